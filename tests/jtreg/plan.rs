//! From a description to what is compiled on the host and what is run on both systems.

use super::describe::{Action, Description};
use super::rules::{Rule, is_installer};
use super::source::Places;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// One test, ready to be compiled and run.
#[derive(Clone, Debug)]
pub struct Test {
    /// [`Description::name`].
    pub name: String,
    /// The folder of its classes and files in the cache.
    pub folder: PathBuf,
    /// What is run.
    pub runs: Vec<Run>,
}

/// A `@run` that the runner performs.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the runner in the JVM reads.
    pub file: PathBuf,
    /// Options of a JVM of its own, class path included; `None`: shares one.
    pub jvm: Option<Vec<String>>,
    /// Whether it has to fail (`/fail`).
    pub has_to_fail: bool,
    /// jtreg's time limit, in milliseconds.
    pub limit_ms: u64,
}

/// jtreg's default limit, in seconds.
const LIMIT: u64 = 120;
/// OpenJDK's own make files multiply time limits with this.
pub const TIMEOUT_FACTOR: u64 = 4;
/// Options of the JVM whose value is the next word.
const WITH_VALUE: [&str; 12] = [
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--upgrade-module-path",
    "--add-modules",
    "--limit-modules",
    "--add-exports",
    "--add-opens",
    "--add-reads",
    "--patch-module",
];

/// Makes plans for the tests of a source package.
pub struct Planner<'a> {
    places: &'a Places,
    jdk: PathBuf,
    /// Class path of the runner: its classes and the jars.
    runner: String,
}

/// The state while one test is planned.
struct Plan<'a> {
    planner: &'a Planner<'a>,
    test: &'a Description,
    folder: PathBuf,
    /// Where sources are looked for, the test's own folder first.
    sources: Vec<PathBuf>,
    classes: PathBuf,
    class_path: String,
    /// Lines for `Prepare`.
    steps: String,
    /// Sources that have been compiled.
    done: BTreeSet<PathBuf>,
    /// Sources to compile with the next step.
    pending: Vec<PathBuf>,
    /// Modules that classes are added to.
    patched: BTreeSet<String>,
    /// What ClassFileInstaller makes: `.` and names of jars.
    installed: BTreeSet<String>,
}

impl Planner<'_> {
    /// For the JDK at `jdk`.
    pub fn new<'a>(places: &'a Places, jdk: &Path) -> Result<Planner<'a>> {
        let mut jars: Vec<String> = fs::read_dir(&places.jars)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file())
            .map(|path| path.display().to_string())
            .collect();
        jars.sort();
        let runner = format!("{}:{}", places.root.join("runner").display(), jars.join(":"));
        Ok(Planner { places, jdk: jdk.into(), runner })
    }

    /// The class path of the runner.
    pub fn runner(&self) -> &str {
        &self.runner
    }

    /// Plans `test`: what is run, and the lines for `Prepare`. The files of its actions are written.
    pub fn plan(&self, test: &Description) -> Result<Result<(Test, String), Rule>> {
        let folder = self.places.root.join("tests").join(test.name.replace(['/', '#'], "."));
        let own = test.file.parent().context("a folder")?.to_path_buf();
        let library = self.places.suites.join("lib");
        let mut sources = vec![own];
        sources.extend(test.libraries.iter().filter(|path| **path != library).cloned());
        let classes = folder.join("classes");
        let mut path =
            vec![classes.display().to_string(), self.places.root.join("testlib/classes").display().to_string()];
        path.extend(sources.iter().map(|source| source.display().to_string()));
        let mut plan = Plan {
            planner: self,
            test,
            sources,
            class_path: path.join(":"),
            steps: format!("job {}\n", folder.display()),
            done: BTreeSet::new(),
            pending: Vec::new(),
            patched: BTreeSet::new(),
            installed: BTreeSet::new(),
            classes,
            folder,
        };
        Ok(match plan.compile()? {
            Some(rule) => Err(rule),
            None => plan.runs()?.map(|runs| {
                plan.flush();
                (Test { name: test.name.clone(), folder: plan.folder.clone(), runs }, plan.steps)
            }),
        })
    }
}

impl Plan<'_> {
    fn step(&mut self, kind: &str, args: impl IntoIterator<Item = String>) {
        let _ = writeln!(self.steps, "step {kind}");
        for arg in args {
            let _ = writeln!(self.steps, "arg {arg}");
        }
    }

    /// Options for javac that hold for all of the test. `module` is what the classes are added to, with the folder of its sources.
    fn javac(&self, output: &Path, module: Option<(&str, &Path)>) -> Vec<String> {
        let sources: Vec<String> = self.sources.iter().map(|path| path.display().to_string()).collect();
        let mut args: Vec<String> =
            ["-nowarn", "-Xlint:none", "-XDignore.symbol.file=true", "-encoding", "UTF-8"].map(String::from).to_vec();
        args.extend(["-d".into(), output.display().to_string()]);
        args.extend(["-sourcepath".into(), sources.join(":")]);
        args.extend(["-cp".into(), format!("{}:{}", self.class_path, self.planner.runner)]);
        args.extend(self.module_options().into_iter().filter(|option| !option.starts_with("--add-opens")));
        args.extend(patches(&self.folder, &self.patched, module));
        args
    }

    /// Compiles what is pending.
    fn flush(&mut self) {
        let files = std::mem::take(&mut self.pending);
        if !files.is_empty() {
            let mut args = self.javac(&self.classes, None);
            args.extend(files.iter().map(|file| file.display().to_string()));
            self.step("javac", args);
        }
    }

    /// What happens before the first run; a rule if that is beyond this runner.
    fn compile(&mut self) -> Result<Option<Rule>> {
        fs::create_dir_all(&self.classes)?;
        let has_explicit = self.test.actions.iter().any(|action| action.kind == "compile" || action.kind == "clean");
        let mut has_run = false;
        for action in &self.test.actions {
            let is_installer = is_installer(action);
            match action.kind.as_str() {
                // What is compiled anew between runs is not kept apart.
                "compile" | "clean" if has_run => return Ok(Some(Rule::Runner)),
                "compile" => {
                    self.flush();
                    if !self.explicit(action)? {
                        return Ok(Some(Rule::Runner));
                    }
                }
                "clean" => {
                    self.flush();
                    self.step("clean", action.words.iter().cloned());
                }
                "build" => {
                    for word in &action.words {
                        self.build(word)?;
                    }
                }
                _ if is_installer => self.install(action),
                _ => {
                    has_run = true;
                    if let Some((_, main, _)) = split(&action.words) {
                        self.build(&main)?;
                    }
                }
            }
            if has_explicit {
                self.flush();
            }
        }
        self.flush();
        Ok(None)
    }

    /// `@compile`: whether this runner can do it.
    fn explicit(&mut self, action: &Action) -> Result<bool> {
        if action.has("process")
            || action.options.keys().any(|key| !["fail", "ref", "timeout", "module"].contains(&key.as_str()))
        {
            return Ok(false);
        }
        let own = self.sources[0].clone();
        let module = action.options.get("module");
        let (source, output) = match module {
            Some(module) => (own.join(module), self.patch(module)?),
            None => (own, self.classes.clone()),
        };
        let is_assembled = |word: &String| word.ends_with(".jasm") || word.ends_with(".jcod");
        let mut args = self.javac(&output, module.map(|module| (module.as_str(), source.as_path())));
        let mut has_java = false;
        for word in action.words.iter().filter(|word| !is_assembled(word)) {
            if word.ends_with(".java") {
                let file = source.join(word);
                has_java = true;
                self.done.insert(file.clone());
                args.push(file.display().to_string());
            } else {
                args.push(self.substitute(word));
            }
        }
        if has_java {
            self.step(if action.has("fail") { "javac-fail" } else { "javac" }, args);
        }
        for word in action.words.iter().filter(|word| is_assembled(word)) {
            let tool = if word.ends_with(".jasm") { "jasm" } else { "jcoder" };
            let file = source.join(word);
            // The class comes from here: no source of the same name replaces it.
            self.done.insert(file.with_extension("java"));
            self.step(tool, ["-d".into(), output.display().to_string(), file.display().to_string()]);
        }
        Ok(true)
    }

    /// The folder of the classes that are added to `module`, which all that is compiled and run from now on sees.
    fn patch(&mut self, module: &str) -> Result<PathBuf> {
        let folder = patch_folder(&self.folder, module);
        fs::create_dir_all(&folder)?;
        self.patched.insert(module.into());
        Ok(folder)
    }

    /// Notes the source of a class that `@build` or `@run` names.
    fn build(&mut self, name: &str) -> Result<()> {
        if let Some((module, class)) = name.split_once('/') {
            return self.build_in_module(module, class);
        }
        if let Some(package) = name.strip_suffix('*') {
            let path = package.trim_end_matches('.').replace('.', "/");
            let folder = self.sources.iter().map(|source| source.join(&path)).find(|folder| folder.is_dir());
            let files = folder.map(fs::read_dir).transpose()?.into_iter().flatten();
            let mut files: Vec<PathBuf> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
            files.retain(|file| file.extension().is_some_and(|end| end == "java"));
            files.sort();
            files.into_iter().for_each(|file| self.want(file));
            return Ok(());
        }
        let path = format!("{}.java", name.replace('.', "/"));
        let found = self.sources.iter().map(|source| source.join(&path)).find(|file| file.is_file());
        let simple = self.sources[0].join(path.rsplit('/').next().unwrap_or(&path));
        if let Some(file) = found {
            self.want(file);
        } else if simple.is_file() {
            self.want(simple);
        } else if !self.planner.places.suites.join("lib").join(&path).is_file()
            && self.test.file.extension().is_some_and(|end| end == "java")
        {
            // A class that another one's file defines: the test's own.
            self.want(self.test.file.clone());
        }
        Ok(())
    }

    fn build_in_module(&mut self, module: &str, class: &str) -> Result<()> {
        let path = format!("{}.java", class.replace('.', "/"));
        let found = self.sources.iter().map(|source| source.join(module)).find(|source| source.join(&path).is_file());
        if let Some(source) = found.filter(|source| self.done.insert(source.join(&path))) {
            let output = self.patch(module)?;
            let mut args = self.javac(&output, Some((module, &source)));
            args.push(source.join(path).display().to_string());
            // Before what is pending, which may need it; a module's class needs none of the test's.
            self.step("javac", args);
        }
        Ok(())
    }

    fn want(&mut self, file: PathBuf) {
        if self.done.insert(file.clone()) {
            self.pending.push(file);
        }
    }

    fn install(&mut self, action: &Action) {
        self.flush();
        let words: Vec<String> =
            action.words.iter().skip_while(|word| !word.ends_with("ClassFileInstaller")).skip(1).cloned().collect();
        match &words[..] {
            [flag, jar, ..] if flag == "-jar" => self.installed.insert(jar.clone()),
            _ => self.installed.insert(".".into()),
        };
        let path = self.class_path.clone();
        self.step("install", std::iter::once(path).chain(words));
    }

    /// Options that `@modules` means, for javac and java.
    fn module_options(&self) -> Vec<String> {
        let mut options = Vec::new();
        for word in &self.test.modules {
            let (path, kind) = word.split_once(':').unwrap_or((word, ""));
            let module = path.split('/').next().unwrap_or_default();
            if module != "java.base" {
                options.push(format!("--add-modules={module}"));
            }
            if path.contains('/') {
                if kind != "open" {
                    options.push(format!("--add-exports={path}=ALL-UNNAMED"));
                }
                if !kind.is_empty() {
                    options.push(format!("--add-opens={path}=ALL-UNNAMED"));
                }
            }
        }
        options
    }

    fn substitute(&self, word: &str) -> String {
        let own = self.sources[0].display().to_string();
        let classes = self.classes.display().to_string();
        let jdk = self.planner.jdk.display().to_string();
        word.replace("${test.src}", &own)
            .replace("${test.classes}", &classes)
            .replace("${test.jdk}", &jdk)
            .replace("${/}", "/")
            .replace("${:}", ":")
    }

    /// The runs, each with its file written.
    fn runs(&mut self) -> Result<Result<Vec<Run>, Rule>> {
        let mut runs = Vec::new();
        let actions = self.test.actions.iter().filter(|action| action.is_run() && !is_installer(action));
        for (index, action) in actions.enumerate() {
            let Some((options, main, args)) = split(&action.words) else {
                return Ok(Err(Rule::Runner));
            };
            let file = self.folder.join(format!("action-{index}"));
            let limit = action.options.get("timeout").and_then(|text| text.parse().ok()).unwrap_or(LIMIT) * 1000;
            fs::write(&file, self.file(index, action, &main, &args))?;
            let is_own = action.has("othervm")
                || action.has("bootclasspath")
                || !options.is_empty()
                || !self.patched.is_empty()
                || action.has("fail")
                || self
                    .test
                    .modules
                    .iter()
                    .any(|module| module.starts_with("jdk.incubator") || module.starts_with("jdk.internal"));
            let jvm = if is_own { Some(self.jvm(action, &options)?) } else { None };
            runs.push(Run { file, jvm, has_to_fail: action.has("fail"), limit_ms: limit });
        }
        Ok(Ok(runs))
    }

    fn jvm(&self, action: &Action, options: &[String]) -> Result<Vec<String>> {
        let mut jvm = vec!["-cp".into(), format!("{}:{}", self.class_path, self.planner.runner)];
        jvm.extend(self.module_options());
        for module in &self.patched {
            jvm.push(format!("--patch-module={module}={}", patch_folder(&self.folder, module).display()));
            jvm.push(format!("--add-reads={module}=ALL-UNNAMED"));
        }
        if action.has("bootclasspath") {
            jvm.push(format!("-Xbootclasspath/a:{}", self.classes.display()));
        }
        for (key, sign) in [("policy", "=="), ("java.security.policy", "=")] {
            if let Some(name) = action.options.get(key) {
                let policy = self.folder.join(name.trim_start_matches('='));
                let own = fs::read_to_string(self.sources[0].join(name.trim_start_matches('='))).unwrap_or_default();
                let trusted = self.planner.runner.split(':').map(|path| {
                    let end = if path.ends_with(".jar") { "" } else { "/" };
                    format!("grant codeBase \"file:{path}{end}\" {{ permission java.security.AllPermission; }};\n")
                });
                fs::write(&policy, own + "\n" + &trusted.collect::<String>())?;
                jvm.push(format!("-Djava.security.policy={}{}", &sign[1..], policy.display()));
                jvm.push(format!(
                    "-Djava.security.manager={}",
                    action.options.get("secure").map_or("default", String::as_str)
                ));
            }
        }
        jvm.extend(options.iter().map(|option| self.installed_paths(&self.substitute(option))));
        Ok(jvm)
    }

    /// Names of what ClassFileInstaller made become paths.
    fn installed_paths(&self, option: &str) -> String {
        let starts = ["-Xbootclasspath/a:", "-javaagent:"];
        let Some(start) = starts.into_iter().find(|start| option.starts_with(start)) else {
            return option.into();
        };
        let scratch = self.folder.join("scratch");
        let paths = option[start.len()..].split(':').map(|path| match self.installed.contains(path) {
            true if path == "." => scratch.display().to_string(),
            true => scratch.join(path).display().to_string(),
            false => path.into(),
        });
        start.to_string() + &paths.collect::<Vec<_>>().join(":")
    }

    fn file(&self, index: usize, action: &Action, main: &str, args: &[String]) -> String {
        let kind = if action.kind == "driver" { "main" } else { &action.kind };
        let mut text =
            format!("id {}!{index}\nkind {kind}\nclass {main}\nclasspath {}\n", self.test.name, self.class_path);
        for arg in args {
            let _ = writeln!(text, "arg {}", self.substitute(arg));
        }
        if !self.installed.is_empty() {
            let _ = writeln!(text, "scratch {}", self.folder.join("scratch").display());
        }
        let sources: Vec<String> = self.sources.iter().map(|path| path.display().to_string()).collect();
        let jdk = self.planner.jdk.display().to_string();
        for (name, value) in [
            ("test.src", sources[0].clone()),
            ("test.src.path", sources.join(":")),
            ("test.classes", self.classes.display().to_string()),
            ("test.class.path", self.class_path.clone()),
            ("test.class.path.prefix", self.class_path.clone()),
            ("test.file", self.test.file.display().to_string()),
            ("test.root", self.test.root.display().to_string()),
            ("test.name", self.test.name.clone()),
            ("test.modules", self.test.modules.join(" ")),
            ("test.jdk", jdk.clone()),
            ("compile.jdk", jdk),
            ("test.vm.opts", String::new()),
            ("test.tool.vm.opts", String::new()),
            ("test.compiler.opts", String::new()),
            ("test.java.opts", String::new()),
            ("test.timeout.factor", TIMEOUT_FACTOR.to_string()),
        ] {
            let _ = writeln!(text, "property {name}={value}");
        }
        for word in self.test.modules.iter().filter(|word| word.contains('/')) {
            let (path, kind) = word.split_once(':').unwrap_or((word, ""));
            for (key, is_meant) in [("export", kind != "open"), ("open", !kind.is_empty())] {
                if is_meant {
                    let _ = writeln!(text, "{key} {path}");
                }
            }
        }
        text
    }
}

/// Where the classes lie that the test at `folder` adds to `module`.
fn patch_folder(folder: &Path, module: &str) -> PathBuf {
    folder.join("patches").join(module)
}

/// `--patch-module` for javac: what has been added to each module so far, before it the sources of the one that is `compiled`.
fn patches(folder: &Path, patched: &BTreeSet<String>, compiled: Option<(&str, &Path)>) -> Vec<String> {
    let options = patched.iter().map(|module| {
        let classes = patch_folder(folder, module);
        match compiled.filter(|(compiled, _)| compiled == module) {
            Some((_, sources)) => format!("--patch-module={module}={}:{}", sources.display(), classes.display()),
            None => format!("--patch-module={module}={}", classes.display()),
        }
    });
    options.collect()
}

/// Options of the JVM, main class, arguments.
fn split(words: &[String]) -> Option<(Vec<String>, String, Vec<String>)> {
    let mut at = 0;
    while words.get(at)?.starts_with('-') {
        at += if WITH_VALUE.contains(&words[at].as_str()) { 2 } else { 1 };
    }
    let main = words.get(at)?;
    let main = main.split_once('/').map_or(main.as_str(), |(_, class)| class);
    Some((words[..at].to_vec(), main.to_string(), words[at + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_split_where_the_class_is() {
        let words: Vec<String> =
            "-Xmx1g --add-modules java.sql -ea pkg.Main -x 1".split(' ').map(String::from).collect();
        let (options, main, args) = split(&words).unwrap();
        assert_eq!((options.len(), main.as_str(), args.len()), (4, "pkg.Main", 2));
        assert!(split(&words[..3]).is_none());
    }

    #[test]
    fn each_module_has_one_patch_option() {
        let patched = ["java.base", "java.sql"].map(String::from).into();
        let options = patches(Path::new("/t"), &patched, Some(("java.base", Path::new("/s/java.base"))));
        let wanted = [
            "--patch-module=java.base=/s/java.base:/t/patches/java.base",
            "--patch-module=java.sql=/t/patches/java.sql",
        ];
        assert_eq!(options, wanted);
    }
}
