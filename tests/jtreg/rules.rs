//! Why a test is not in the denominator. Every rule is mechanical, and its count is printed.

use super::describe::Description;
use super::facts::MEMORY;
use super::requires::{self, Facts};
use std::fmt;

/// A reason to leave a test out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// `@run shell`, a `.sh` file, applets: processes by definition.
    Shell,
    /// A person has to look.
    Manual,
    /// `/native`: libraries that are not in the package of the JDK.
    Native,
    /// A `@requires` does not hold for this JDK and machine.
    Requires,
    /// An option that asks for more memory than the machine has.
    Memory,
    /// Uses a class of the test library whose purpose are child processes.
    ChildSource,
    /// Passes on Linux, but not when Linux refuses to start a process.
    Child,
    /// `@ignore`, or nothing of it is run: what only javac does happens on the host.
    NothingToRun,
    /// The test says itself that it does not apply (SkippedException).
    Skips,
    /// Its description asks for something that this runner does not do.
    Runner,
    /// Does not compile against the host's JDK.
    Compile,
    /// Does not pass on the host's Linux.
    FailsOnLinux,
}

impl Rule {
    /// All, as the table shows them.
    pub const ALL: [Rule; 12] = [
        Rule::Shell,
        Rule::ChildSource,
        Rule::Child,
        Rule::Memory,
        Rule::Native,
        Rule::Manual,
        Rule::Requires,
        Rule::NothingToRun,
        Rule::Skips,
        Rule::Runner,
        Rule::Compile,
        Rule::FailsOnLinux,
    ];

    /// One word, for files.
    pub fn word(self) -> String {
        format!("{self:?}")
    }

    /// The rule with this word.
    pub fn parse(word: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.word() == word)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Shell => "child process: shell script or applet",
            Rule::ChildSource => "child process: the source uses ProcessTools or the like",
            Rule::Child => "child process: passes on Linux, not when Linux refuses to fork",
            Rule::Memory => "more memory: an option asks for more than the machine has",
            Rule::Native => "native libraries that are not in the package",
            Rule::Manual => "manual",
            Rule::Requires => "@requires not met",
            Rule::NothingToRun => "nothing to run: @ignore, or compiled only",
            Rule::Skips => "skips itself on Linux",
            Rule::Runner => "description not handled by the runner",
            Rule::Compile => "does not compile with the host's JDK",
            Rule::FailsOnLinux => "fails on the host's Linux in the sandbox (a network beyond loopback is not there)",
        })
    }
}

/// Words in a test's source that mean child processes. What they miss is found by running with fork refused.
const CHILD_WORDS: [&str; 12] = [
    "ProcessTools",
    "ProcessBuilder",
    "getRuntime().exec(",
    "OutputAnalyzer",
    "LingeredApp",
    "JDKToolLauncher",
    "JcmdExecutor",
    "CDSTestUtils",
    "TestCommon",
    "DynamicArchiveTestBase",
    "CommandLineOptionTest",
    "CLICompileOption",
];

/// The rule that the description and the source alone show.
pub fn by_source(test: &Description, source: &str, facts: &Facts) -> Option<Rule> {
    let any = |wanted: &dyn Fn(&super::describe::Action) -> bool| test.actions.iter().any(wanted);
    if any(&|action| ["shell", "applet"].contains(&action.kind.as_str())) {
        return Some(Rule::Shell);
    }
    if any(&|action| action.has("manual")) {
        return Some(Rule::Manual);
    }
    if any(&|action| action.has("native")) {
        return Some(Rule::Native);
    }
    if any(&|action| action.kind == "ignore") || !any(&|action| action.is_run() && !is_installer(action)) {
        return Some(Rule::NothingToRun);
    }
    for expression in &test.requires {
        match requires::holds(expression, facts) {
            Ok(true) => {}
            Ok(false) => return Some(Rule::Requires),
            Err(_) => return Some(Rule::Runner),
        }
    }
    if test.actions.iter().flat_map(|action| &action.words).any(|word| asks_for_too_much(word)) {
        return Some(Rule::Memory);
    }
    CHILD_WORDS.iter().any(|word| source.contains(word)).then_some(Rule::ChildSource)
}

/// `driver jdk.test.lib.helpers.ClassFileInstaller`: copies class files; done on the host.
pub fn is_installer(action: &super::describe::Action) -> bool {
    action.words.iter().any(|word| word == "ClassFileInstaller" || word.ends_with(".ClassFileInstaller"))
}

/// A heap (or a part of it) of more than three quarters of the machine.
fn asks_for_too_much(word: &str) -> bool {
    let starts = ["-Xmx", "-Xms", "-Xmn", "-XX:MaxHeapSize=", "-XX:InitialHeapSize=", "-XX:MaxDirectMemorySize="];
    let Some(size) = starts.iter().find_map(|start| word.strip_prefix(start)) else {
        return false;
    };
    let bytes = images::size::parse(&size.to_uppercase());
    bytes.is_ok_and(|bytes| bytes > MEMORY / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_with_the_machine() {
        assert!(asks_for_too_much("-Xmx4g") && asks_for_too_much("-Xms3500m"));
        assert!(!asks_for_too_much("-Xmx3g") && !asks_for_too_much("-Dx=9g") && !asks_for_too_much("-Xmxnonsense"));
    }

    #[test]
    fn every_rule_has_a_word_of_its_own() {
        for rule in Rule::ALL {
            assert_eq!(Rule::parse(&rule.word()), Some(rule));
        }
    }
}
