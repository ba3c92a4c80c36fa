//! The table of guest tests: one line each, `NAME PROGRAM [KEY=VALUE ...]`; the file says what the keys mean.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// One guest test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Unique; what a filter on the command line looks in.
    pub name: String,
    /// What runs.
    pub program: Program,
    /// Its arguments.
    pub args: Vec<String>,
    /// JVM options before the class.
    pub jvm: Vec<String>,
    /// What it reads; none: end of file at once.
    pub stdin: Option<String>,
    /// Tolerances.
    pub normalise: Vec<Normalise>,
    /// Main memory of the guest, in bytes.
    pub memory_bytes: u64,
    /// vCPUs.
    pub cpus: u32,
    /// Ended after this time, in milliseconds.
    pub timeout_ms: u64,
    /// On the host it may have no child processes either.
    pub is_childless: bool,
    /// Why it is known to differ; then it does not count as failed.
    pub pending: Option<String>,
}

/// What a test runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `guest/c/NAME.c`
    C(String),
    /// A class of `guest/java` or of the probes.
    Java(String),
    /// A class of the probes that needs the library of Java 22.
    Java22(String),
    /// A class of `guest/java/tomcat`, with the libraries that its pom.xml names.
    Tomcat(String),
    /// A class of `guest/java` or of the probes, out of a jar.
    Jar(String),
    /// An executable of the host's.
    Host(PathBuf),
    /// `guest/python/NAME.py`
    Python(String),
}

/// A declared tolerance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// Every run of digits is equal to every other.
    Digits,
    /// Lines that start so are equal, whatever follows.
    Line(String),
    /// Lines that contain this are left out.
    Drop(String),
    /// The order of lines does not count.
    AnyOrder,
    /// Numbers are equal that differ by this much, in percent of the larger one.
    About(u64),
}

impl Test {
    /// With nothing special about it.
    pub fn new(name: &str, program: Program) -> Test {
        Test {
            name: name.into(),
            program,
            args: vec![],
            jvm: vec![],
            stdin: None,
            normalise: vec![],
            memory_bytes: 2 << 30,
            cpus: 2,
            timeout_ms: 120_000,
            is_childless: false,
            pending: None,
        }
    }
}

/// The tests of `text`, and for each of `c_files` that no line names one with nothing special.
/// A line `guest-only PROGRAM` keeps a program out: it has another place in the suites.
pub fn parse(text: &str, c_files: &[String]) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    let mut named = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(program)) = (words.next(), words.next()) else {
            continue;
        };
        named.push(program.to_string());
        if name == "guest-only" {
            continue;
        }
        let test = row(name, program, words).with_context(|| format!("line {} of the table", number + 1))?;
        tests.push(test);
    }
    let unnamed =
        c_files.iter().filter(|file| !["c", "cpp"].iter().any(|kind| named.contains(&format!("{kind}/{file}"))));
    tests.splice(0..0, unnamed.map(|file| Test::new(file, Program::C(file.clone()))));
    for (index, test) in tests.iter().enumerate() {
        if tests[..index].iter().any(|other| other.name == test.name) {
            bail!("two tests are named {}", test.name);
        }
    }
    Ok(tests)
}

/// One line's test.
pub fn row<'a>(name: &str, program: &str, words: impl Iterator<Item = &'a str>) -> Result<Test> {
    let program = match program.split_once('/') {
        Some(("c" | "cpp", file)) => Program::C(file.into()),
        Some(("java", class)) => Program::Java(class.into()),
        Some(("java22", class)) => Program::Java22(class.into()),
        Some(("tomcat", class)) => Program::Tomcat(class.into()),
        Some(("host", path)) => Program::Host(path.into()),
        Some(("python", name)) => Program::Python(name.into()),
        _ => bail!(
            "{program:?} is none of c/FILE, cpp/FILE, java/CLASS, java22/CLASS, tomcat/CLASS, host/PATH, python/FILE"
        ),
    };
    let mut test = Test::new(name, program);
    for word in words {
        let (key, value) = word.split_once('=').with_context(|| format!("{word:?} is not KEY=VALUE"))?;
        let spaced = || value.replace('_', " ");
        match key {
            "args" => test.args = value.split(',').map(|word| word.replace("\\s", " ")).collect(),
            "jvm" => test.jvm = value.split(',').map(String::from).collect(),
            "stdin" => test.stdin = Some(spaced().replace("\\n", "\n")),
            "line" => test.normalise.push(Normalise::Line(spaced())),
            "drop" => test.normalise.push(Normalise::Drop(spaced())),
            "order" if value == "any" => test.normalise.push(Normalise::AnyOrder),
            "normalise" if value == "digits" => test.normalise.push(Normalise::Digits),
            "about" => test.normalise.push(Normalise::About(value.parse()?)),
            "childless" if value == "yes" => test.is_childless = true,
            "memory" => test.memory_bytes = images::size::parse(value).map_err(anyhow::Error::msg)?,
            "cpus" => test.cpus = value.parse()?,
            "timeout" => test.timeout_ms = value.parse::<u64>()? * 1000,
            "pending" => test.pending = Some(spaced()),
            _ => bail!("unknown key {key:?}"),
        }
    }
    Ok(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_no_line_names_are_tests_of_their_own() {
        let table = "# comment\nboom c/endings args=exit,7 pending=not_yet # more\nguest-only c/dead\n";
        let tests = parse(table, &["a".into(), "endings".into(), "dead".into()]).unwrap();
        assert_eq!(tests.iter().map(|test| test.name.as_str()).collect::<Vec<_>>(), ["a", "boom"]);
        assert_eq!(tests[1].args, ["exit", "7"]);
        assert_eq!(tests[1].pending.as_deref(), Some("not yet"));
    }

    #[test]
    fn mistakes_in_the_table_are_refused() {
        for wrong in ["a b", "a c/x nonsense", "a c/x key=1", "a c/x cpus=many", "a c/x\na c/x"] {
            assert!(parse(wrong, &[]).is_err(), "{wrong}");
        }
    }
}
