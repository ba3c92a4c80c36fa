//! Test descriptions: the comments with `@test` in OpenJDK's sources, and the `TEST.properties` of their folders.
//! Syntax: the jtreg tag specification (<https://openjdk.org/jtreg/tag-spec.html>).

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One test: a comment with `@test`.
#[derive(Clone, Debug)]
pub struct Description {
    /// Path of the file below `test/`, with `#ID` where the file holds several.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// The suite's root: the folder with `TEST.ROOT`.
    pub root: PathBuf,
    /// `@library`, resolved to folders.
    pub libraries: Vec<PathBuf>,
    /// `@modules`, with those of `TEST.properties`.
    pub modules: Vec<String>,
    /// `@requires`, one expression each.
    pub requires: Vec<String>,
    /// What is done, in order.
    pub actions: Vec<Action>,
}

/// `@run`, `@compile`, `@build`, `@clean`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// `main`, `driver`, `testng`, `junit`, `shell`, `compile`, `build`, `clean`, `ignore`, `applet`.
    pub kind: String,
    /// What follows the kind after slashes, with the value.
    pub options: BTreeMap<String, String>,
    /// The words.
    pub words: Vec<String>,
}

impl Action {
    fn parse(tag: &str, value: &str) -> Action {
        // `@run main/othervm A`, but `@compile/fail A.java`.
        let (head, rest) = match tag {
            "run" => value.split_once(char::is_whitespace).unwrap_or((value, "")),
            _ => (tag, value),
        };
        let mut parts = head.split('/');
        let kind = parts.next().unwrap_or_default().to_string();
        let options = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(owned).collect();
        Action { kind, options, words: words(rest) }
    }

    /// Whether the option `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// Whether it starts the test's code.
    pub fn is_run(&self) -> bool {
        ["main", "driver", "testng", "junit"].contains(&self.kind.as_str())
    }
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.to_string(), b.to_string())
}

/// Splits at white space; quotes keep words together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// All tests of `folder` (a path below the `test` folder at `suites`), in the order of their names.
pub fn find(suites: &Path, folder: &str) -> Result<Vec<Description>> {
    let mut files = Vec::new();
    let start = suites.join(folder);
    collect(&start, &mut files).with_context(|| format!("cannot read {}", start.display()))?;
    files.sort();
    let root = start.ancestors().find(|path| path.join("TEST.ROOT").is_file()).context("no TEST.ROOT")?.to_path_buf();
    let mut tests = Vec::new();
    for file in files {
        tests.extend(read(suites, &root, &file)?);
    }
    Ok(tests)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "java" || end == "sh") {
            files.push(path);
        }
    }
    Ok(())
}

/// The tests of one file.
fn read(suites: &Path, root: &Path, file: &Path) -> Result<Vec<Description>> {
    let bytes = fs::read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("@test") {
        return Ok(Vec::new());
    }
    let is_shell = file.extension().is_some_and(|end| end == "sh");
    let comments: Vec<Vec<(String, String)>> = if is_shell {
        let lines = text.lines().filter_map(|line| line.strip_prefix('#')).collect::<Vec<_>>().join("\n");
        vec![tags(&lines)]
    } else {
        comments(&text).map(tags).collect()
    };
    let comments: Vec<_> = comments.into_iter().filter(|tags| tags.iter().any(|(tag, _)| tag == "test")).collect();
    let below = file.strip_prefix(suites)?.display().to_string();
    let is_alone = comments.len() == 1;
    let made = comments.iter().enumerate().map(|(index, tags)| {
        let id = tags.iter().find(|(tag, _)| tag == "test").and_then(|(_, value)| value.split("id=").nth(1));
        let id = id.and_then(|id| id.split_whitespace().next());
        let name = match id {
            Some(id) => format!("{below}#{id}"),
            None if is_alone => below.clone(),
            None => format!("{below}#id{index}"),
        };
        describe(name, suites, root, file, tags)
    });
    Ok(made.collect())
}

fn describe(name: String, suites: &Path, root: &Path, file: &Path, tags: &[(String, String)]) -> Description {
    let folder = file.parent().expect("in a folder");
    let of = |wanted: &'static str| tags.iter().filter(move |(tag, _)| tag == wanted).map(|(_, value)| value.as_str());
    let libraries = of("library").flat_map(str::split_whitespace);
    let libraries = libraries.map(|library| resolve(library, suites, root, folder)).collect();
    let mut modules: Vec<String> = of("modules").flat_map(str::split_whitespace).map(String::from).collect();
    if modules.is_empty() {
        modules = inherited(root, folder, "modules");
    }
    let is_action = |tag: &str| {
        let kind = tag.split('/').next().unwrap_or_default();
        ["run", "compile", "build", "clean", "ignore"].contains(&kind)
    };
    let mut actions: Vec<Action> =
        tags.iter().filter(|(tag, _)| is_action(tag)).map(|(tag, value)| Action::parse(tag, value)).collect();
    if actions.is_empty() {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = if file.extension().is_some_and(|end| end == "sh") { "shell" } else { "main" };
        actions.push(Action { kind: kind.into(), words: vec![stem], ..Action::default() });
    }
    let requires = of("requires").map(String::from).collect();
    Description { name, file: file.into(), root: root.into(), libraries, modules, requires, actions }
}

/// A `@library`: from the suite's root with a slash before it (or from the roots that `external.lib.roots` adds), else beside the test.
fn resolve(library: &str, suites: &Path, root: &Path, folder: &Path) -> PathBuf {
    let Some(absolute) = library.strip_prefix('/') else {
        return normal(&folder.join(library));
    };
    let inside = root.join(absolute);
    let outside = suites.parent().unwrap_or(suites).join(absolute);
    normal(if inside.exists() || !outside.exists() { &inside } else { &outside })
}

/// Without `..` and doubled or closing slashes.
fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    clean
}

/// A property of the nearest `TEST.properties` (or `TEST.ROOT`) at or above `folder`.
fn inherited(root: &Path, folder: &Path, key: &str) -> Vec<String> {
    for above in folder.ancestors().take_while(|path| path.starts_with(root)) {
        let text = fs::read_to_string(above.join("TEST.properties")).unwrap_or_default().replace("\\\n", " ");
        let line = text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key);
        if let Some((_, value)) = line {
            return value.split_whitespace().map(String::from).collect();
        }
    }
    Vec::new()
}

/// The texts between `/*` and `*/`.
fn comments(text: &str) -> impl Iterator<Item = &str> {
    text.split("/*").skip(1).filter_map(|rest| rest.split("*/").next())
}

/// The tags of a comment in order, each with all its text on one line.
fn tags(comment: &str) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for line in comment.lines() {
        let line = line.trim().trim_start_matches('*').trim();
        if let Some(tag) = line.strip_prefix('@') {
            let (tag, value) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            tags.push((tag.into(), value.trim().into()));
        } else if let Some((_, value)) = tags.last_mut() {
            value.push(' ');
            value.push_str(line);
        }
    }
    tags.iter_mut().for_each(|(_, value)| value.truncate(value.trim_end().len()));
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_as_jtreg_reads_it() {
        let text = "/* copyright */\n/*\n * @test id=G1\n * @summary of\n *   two lines\n * @library /test/lib\n * @requires vm.gc.G1\n\
                    \x20* @compile/fail/ref=a.out A.java\n * @run main/othervm/timeout=300 -Xmx1g\n *      -Dx=\"a b\" Foo 1\n */";
        let tags = tags(comments(text).nth(1).unwrap());
        assert_eq!(tags[0], ("test".into(), "id=G1".into()));
        assert_eq!(tags[1].1, "of two lines");
        let compile = Action::parse(&tags[4].0, &tags[4].1);
        assert_eq!((compile.kind.as_str(), compile.has("fail")), ("compile", true));
        let run = Action::parse(&tags[5].0, &tags[5].1);
        assert_eq!(run.words, ["-Xmx1g", "-Dx=a b", "Foo", "1"]);
        assert_eq!(run.options["timeout"], "300");
        assert!(run.is_run() && run.has("othervm"));
    }

    #[test]
    fn libraries_are_found_in_and_outside_of_the_suite() {
        let here = tempfile::tempdir().unwrap();
        let suites = here.path().join("test");
        let root = suites.join("jdk");
        fs::create_dir_all(suites.join("lib")).unwrap();
        fs::create_dir_all(root.join("lib/x")).unwrap();
        let folder = root.join("java/lang");
        assert_eq!(resolve("/lib/x", &suites, &root, &folder), root.join("lib/x"));
        assert_eq!(resolve("/test/lib/", &suites, &root, &folder), suites.join("lib"));
        assert_eq!(resolve("../io", &suites, &root, &folder), root.join("java/io"));
    }
}
