//! Java's own spellings of options: `-cp` and `-classpath` before the program's name become `--class-path`.

use clap::Command;
use std::ffi::OsString;

/// `words` (the program's name first) as clap understands them.
pub(super) fn normal(words: impl Iterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    let mut words = words.peekable();
    out.extend(words.next());
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if text == "--" || !text.starts_with('-') || text.len() < 2 {
            // The program begins: nothing after it is ours.
            out.push(word);
            break;
        }
        let is_class_path = matches!(text.as_str(), "-cp" | "-classpath");
        let takes_value = is_class_path || takes_value(&text, command);
        out.push(if is_class_path { "--class-path".into() } else { word });
        if takes_value {
            out.extend(words.next());
        }
    }
    out.extend(words);
    out
}

/// Whether the option `text` has its value in the next word.
fn takes_value(text: &str, command: &Command) -> bool {
    let mut options =
        command.get_arguments().filter(|argument| !argument.is_positional() && argument.get_action().takes_values());
    match text.strip_prefix("--") {
        Some(long) => options.any(|argument| {
            argument.get_long() == Some(long)
                || argument.get_visible_aliases().is_some_and(|aliases| aliases.contains(&long))
        }),
        None => options.any(|argument| argument.get_short().is_some_and(|short| text == format!("-{short}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arguments;
    use super::*;
    use clap::CommandFactory;

    fn check(before: &str, after: &str) {
        let words = before.split(' ').map(OsString::from);
        let got: Vec<String> =
            normal(words, &Arguments::command()).into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(got.join(" "), after);
    }

    #[test]
    fn cp_is_ours_only_before_the_program() {
        check("d -cp a.jar Main -cp x", "d --class-path a.jar Main -cp x");
        check("d -J -cp --memory 1G -cp a Main", "d -J -cp --memory 1G --class-path a Main");
        check("d --memory=1G -v -classpath a Main", "d --memory=1G -v --class-path a Main");
        check("d a.jar -cp x", "d a.jar -cp x");
        check("d --exec prog -cp", "d --exec prog -cp");
    }
}
