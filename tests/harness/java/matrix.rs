//! Which programs with which options on which JDK: `guest/java/matrix.txt`, which says what its lines mean.

use super::Extent;
use super::jdks::Version;
use crate::table::{self, Test};
use anyhow::{Context, Result, bail};

/// The whole table.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    configurations: Vec<Configuration>,
    programs: Vec<Program>,
}

/// A way to run HotSpot.
#[derive(Clone, Debug)]
struct Configuration {
    name: String,
    versions: Vec<Version>,
    options: Vec<String>,
}

/// A program and where it belongs.
#[derive(Clone, Debug)]
struct Program {
    test: Test,
    versions: Vec<Version>,
    /// Modules beyond java.base.
    needs: Vec<String>,
    /// Configurations of the full extent; empty: all but `without`.
    with: Vec<String>,
    without: Vec<String>,
    /// `CONFIGURATION` or `VERSION:CONFIGURATION` of the sample.
    sample: Vec<String>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// What and how.
    pub test: Test,
    /// Modules that the JDK must have.
    pub needs: Vec<String>,
}

/// Reads the table.
pub fn parse(text: &str) -> Result<Matrix> {
    let mut matrix = Matrix::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if !words.is_empty() {
            matrix.line(&words).with_context(|| format!("line {} of the matrix", number + 1))?;
        }
    }
    let known = |name: &String| matrix.configurations.iter().any(|configuration| configuration.name == *name);
    for program in &matrix.programs {
        let sampled = program.sample.iter().map(|text| text.rsplit(':').next().unwrap_or_default().to_string());
        let named = program.with.iter().chain(&program.without).cloned().chain(sampled);
        if let Some(unknown) = named.into_iter().find(|name| !known(name)) {
            bail!("{}: no configuration is named {unknown:?}", program.test.name);
        }
    }
    Ok(matrix)
}

/// The runs of one JDK.
pub fn runs(matrix: &Matrix, version: Version, extent: Extent) -> Vec<Run> {
    let mut runs = Vec::new();
    for configuration in matrix.configurations.iter().filter(|c| c.versions.contains(&version)) {
        for program in matrix.programs.iter().filter(|program| program.versions.contains(&version)) {
            if program.takes(configuration, version, extent) {
                runs.push(program.run(configuration, version));
            }
        }
    }
    runs
}

impl Matrix {
    fn line(&mut self, words: &[&str]) -> Result<()> {
        match words {
            ["config", name, versions, options @ ..] => {
                let options = options.iter().map(|option| option.to_string()).collect();
                self.configurations.push(Configuration { name: name.to_string(), versions: list(versions)?, options });
                Ok(())
            }
            ["program", name, program, keys @ ..] => {
                self.programs.push(Program::parse(name, program, keys)?);
                Ok(())
            }
            _ => bail!("neither config NAME JDKS OPTIONS nor program NAME PROGRAM KEYS"),
        }
    }
}

impl Program {
    fn parse(name: &str, program: &str, keys: &[&str]) -> Result<Program> {
        let mut versions = Version::ALL.to_vec();
        let (mut needs, mut with, mut without, mut sample) = (vec![], vec![], vec![], vec![]);
        let mut others = Vec::new();
        for key in keys {
            let words = |value: &str| value.split(',').map(String::from).collect::<Vec<_>>();
            match key.split_once('=') {
                Some(("jdk", value)) => versions = list(value)?,
                Some(("needs", value)) => needs = words(value),
                Some(("with", value)) => with = words(value),
                Some(("without", value)) => without = words(value),
                Some(("sample", value)) => sample = words(value),
                _ => others.push(*key),
            }
        }
        let test = table::row(name, program, others.into_iter())?;
        Ok(Program { test, versions, needs, with, without, sample })
    }

    fn takes(&self, configuration: &Configuration, version: Version, extent: Extent) -> bool {
        let name = &configuration.name;
        let is_sampled = self.sample.iter().any(|text| match text.split_once(':') {
            Some((only, sampled)) => only == version.name() && sampled == name,
            None => text == name,
        });
        match extent {
            Extent::Sample => is_sampled,
            Extent::Full if self.with.is_empty() => !self.without.contains(name),
            Extent::Full => self.with.contains(name),
        }
    }

    fn run(&self, configuration: &Configuration, version: Version) -> Run {
        let mut test = self.test.clone();
        test.name = format!("jdk{}-{}-{}", version.name(), configuration.name, test.name);
        test.jvm = configuration.options.iter().chain(&self.test.jvm).cloned().collect();
        Run { test, needs: self.needs.clone() }
    }
}

fn list(text: &str) -> Result<Vec<Version>> {
    text.split(',').map(|word| Version::parse(word).with_context(|| format!("no JDK {word:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "config serial 17,21 -XX:+UseSerialGC -Xmx64m\nconfig zgc 21 -XX:+UseZGC\n\
                         program a java/A jvm=-Xmx9m sample=21:zgc\nprogram b java/B jdk=21 without=zgc needs=jdk.jfr\n";

    fn names(version: Version, extent: Extent) -> Vec<String> {
        runs(&parse(TABLE).unwrap(), version, extent).into_iter().map(|run| run.test.name).collect()
    }

    #[test]
    fn every_program_meets_every_configuration_that_both_take() {
        assert_eq!(names(Version::V17, Extent::Full), ["jdk17-serial-a"]);
        assert_eq!(names(Version::V21, Extent::Full), ["jdk21-serial-a", "jdk21-serial-b", "jdk21-zgc-a"]);
        assert_eq!(names(Version::V21, Extent::Sample), ["jdk21-zgc-a"]);
        let run = runs(&parse(TABLE).unwrap(), Version::V17, Extent::Full).remove(0);
        assert_eq!(run.test.jvm, ["-XX:+UseSerialGC", "-Xmx64m", "-Xmx9m"]);
    }

    #[test]
    fn mistakes_are_refused() {
        for wrong in ["config x 18", "program a java/A with=none", "program a java/A jdk=1", "nonsense"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
