//! Files that JVM options name: agents, class and module paths, archives, settings, `@argfiles`.

use super::{add_at, add_jar, add_named_file};
use crate::closure::Resolver;
use crate::failure::Failure;
use crate::tree::{Tree, absolute};
use std::path::Path;

/// Options whose next word is a list of jars and directories.
const PATH_LISTS: [&str; 7] =
    ["-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--patch-module"];

/// Takes along what the options name. A file that does not exist is the JVM's to report.
pub(super) fn add_jvm_options(tree: &mut Tree, resolver: &Resolver, options: &[String]) -> Result<(), Failure> {
    add(tree, resolver, options, 0)
}

fn add(tree: &mut Tree, resolver: &Resolver, options: &[String], depth: usize) -> Result<(), Failure> {
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if let Some(file) = option.strip_prefix('@').filter(|file| !file.starts_with('@')) {
            let path = absolute(Path::new(file))?;
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::file("read the argument file", &path, &error))?;
            tree.add_host(&path).map_err(|error| Failure::file("read the argument file", &path, &error))?;
            // The launcher does not expand argument files in argument files either.
            if depth == 0 {
                add(tree, resolver, &words(&text), depth + 1)?;
            }
        } else if PATH_LISTS.contains(&option.as_str()) {
            if let Some(list) = options.next() {
                add_path_list(tree, list.split_once('=').map_or(list.as_str(), |(_, list)| list))?;
            }
        } else if let Some(list) = path_list_in(option) {
            add_path_list(tree, list)?;
        } else {
            for name in named(option) {
                let path = absolute(Path::new(name))?;
                if path.is_file() {
                    add_named_file(tree, resolver, &path)?;
                }
            }
        }
    }
    Ok(())
}

/// The list in `--module-path=LIST`, `-Xbootclasspath/a:LIST`.
fn path_list_in(option: &str) -> Option<&str> {
    let (name, list) = option.split_once('=').unwrap_or((option, ""));
    if PATH_LISTS.contains(&name) && name.starts_with("--") {
        return Some(list.split_once('=').map_or(list, |(_, list)| list));
    }
    option.strip_prefix("-Xbootclasspath/a:")
}

/// What may be a file name in `-javaagent:FILE=OPTIONS`, `-agentpath:FILE=OPTIONS`, `-Dname=FILE`, `-XX:Name=FILE`.
fn named(option: &str) -> impl Iterator<Item = &str> {
    let after_colon = option.split_once(':').map(|(_, rest)| rest.split_once('=').map_or(rest, |(file, _)| file));
    let after_equals = option.split_once('=').map(|(_, rest)| rest.strip_prefix("file:").unwrap_or(rest));
    [after_colon, after_equals].into_iter().flatten().filter(|name| !name.is_empty())
}

/// Jars, directories and `DIR/*` of a class or module path.
pub(super) fn add_path_list(tree: &mut Tree, list: &str) -> Result<(), Failure> {
    for entry in list.split(':').filter(|entry| !entry.is_empty()) {
        if let Some(directory) = entry.strip_suffix("/*").or((entry == "*").then_some(".")) {
            let directory = absolute(Path::new(directory))?;
            tree.depends_on(&directory);
            let jars = std::fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
            for jar in jars.filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jar"))) {
                add_jar(tree, &jar)?;
            }
            continue;
        }
        let path = absolute(Path::new(entry))?;
        if path.is_dir() {
            add_at(tree, &path, &path)?;
        } else if path.is_file() {
            add_jar(tree, &path)?;
        } else {
            tree.depends_on(&path);
        }
    }
    Ok(())
}

/// The words of an argument file: separated by white space, with quotes, `\` escapes in quotes, `#` comments.
/// The java launcher's documentation, "java Command-Line Argument Files".
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), '\\') => match chars.next() {
                Some('\n') | None => {}
                Some('n') => word.get_or_insert_default().push('\n'),
                Some('t') => word.get_or_insert_default().push('\t'),
                Some(other) => word.get_or_insert_default().push(other),
            },
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => {
                chars.by_ref().find(|&c| c == '\n');
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_files_have_quotes_and_comments() {
        let text = "# settings\n-cp \"a b.jar:c\\\\d\"\n-Dx='y # z'  -Xmx1g# not a comment\n\"\" \"con\\\ntinued\"";
        assert_eq!(
            words(text),
            ["-cp", "a b.jar:c\\d", "-Dx=y # z", "-Xmx1g#", "not", "a", "comment", "", "continued"]
        );
    }

    #[test]
    fn names_are_found_in_options() {
        let in_option = |option: &'static str| named(option).collect::<Vec<_>>();
        assert_eq!(in_option("-javaagent:a.jar=x=y"), ["a.jar", "x=y"]);
        assert_eq!(in_option("-XX:SharedArchiveFile=/a.jsa"), ["SharedArchiveFile", "/a.jsa"]);
        assert!(in_option("-Dc=file:/etc/c.xml").contains(&"/etc/c.xml"));
        assert_eq!(path_list_in("--module-path=a:b"), Some("a:b"));
        assert_eq!(path_list_in("--patch-module=m=a:b"), Some("a:b"));
        assert_eq!(path_list_in("-Xbootclasspath/a:x.jar"), Some("x.jar"));
    }

    #[test]
    fn agents_and_archives_come_along() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let agent = dir.path().join("agent.jar");
        let archive = dir.path().join("x.jsa");
        let arguments = dir.path().join("arguments");
        std::fs::write(&agent, "not really a jar").unwrap();
        std::fs::write(&archive, "x").unwrap();
        std::fs::write(&arguments, format!("-XX:SharedArchiveFile={}", archive.display())).unwrap();
        let mut tree = Tree::new();
        let options = [format!("-javaagent:{}=verbose", agent.display()), format!("@{}", arguments.display())];
        add_jvm_options(&mut tree, &Resolver::new(""), &options).unwrap();
        for path in [&agent, &archive, &arguments] {
            assert!(tree.contains(&path.canonicalize().unwrap()), "{}", path.display());
        }
    }
}
