//! Compiles the guest programs, once for both systems: C with the host's cc against the host's glibc, Java with javac.

use crate::java::jdks::{self, Version};
use crate::java::matrix::{self, Matrix};
use crate::table::{self, Test};
use anyhow::{Context, Result, bail};
use images::jdk::Jdk;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Of the probes in the shared folder, those that must equal Linux.
const PROBES: [&str; 24] = [
    "Hello",
    "ExitHook",
    "TimeLocale",
    "Rand",
    "GcSmall",
    "GcStress",
    "Faults",
    "Oom",
    "Threads2000",
    "FileIo",
    "FileChan",
    "HeapResize",
    "Idle",
    "Mgmt",
    "Proc",
    "UnsafeMem",
    "VThreads",
    "Watch",
    "NioEcho",
    "SockBlocking",
    "AsyncChan",
    "Http",
    "Tls",
    "Dns",
];
/// Probes that need the library of Java 22.
const PROBES_22: [&str; 1] = ["Panama"];

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Built {
    /// All that is built; seen by the guest at the same path.
    pub folder: PathBuf,
    /// Executables, one for each C or C++ file.
    pub programs: PathBuf,
    /// Libraries for Java.
    pub libraries: PathBuf,
    /// Classes.
    pub classes: PathBuf,
    /// The same in a jar.
    pub jar: PathBuf,
    /// Classes for Java 22 and later; empty where no such compiler is.
    pub classes_22: PathBuf,
    /// Jars: Tomcat's, and the classes that use it.
    pub tomcat: PathBuf,
    /// Why those are not there, if they are not.
    pub no_tomcat: Option<String>,
    /// Java's tests with their configurations.
    pub matrix: Matrix,
    /// The tests.
    pub tests: Vec<Test>,
}

/// This crate's folder.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The project's root.
pub fn root() -> &'static Path {
    folder().parent().expect("the crate lies in the project")
}

/// Builds what has changed.
pub fn all() -> Result<Built> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let out = target.join("guest-tests");
    let within = |name: &str| -> Result<PathBuf> {
        fs::create_dir_all(out.join(name))?;
        Ok(out.join(name).canonicalize()?)
    };
    let (programs, libraries, classes, classes_22) =
        (within("bin")?, within("lib")?, within("classes")?, within("classes-22")?);
    let c_files = compile_c(&programs)?;
    compile_library(&libraries)?;
    compile_java(&classes)?;
    compile_java_22(&classes_22)?;
    make_keys(&out.join("keystore.p12"))?;
    let tomcat = within("tomcat")?;
    let no_tomcat = compile_tomcat(&tomcat).err().map(|why| format!("{why:#}"));
    let text = fs::read_to_string(folder().join("guest/table.txt"))?;
    let matrix = matrix::parse(&fs::read_to_string(folder().join("guest/java/matrix.txt"))?)?;
    let folder = out.canonicalize()?;
    let (jar, tests) = (folder.join("classes.jar"), table::parse(&text, &c_files)?);
    Ok(Built { folder, programs, libraries, classes, jar, classes_22, tomcat, no_tomcat, matrix, tests })
}

fn compile_c(programs: &Path) -> Result<Vec<String>> {
    let sources = folder().join("guest/c");
    let header = modified(&sources.join("t.h"))?;
    let mut names = Vec::new();
    let mut all = files(&sources, "c")?;
    all.extend(files(&folder().join("guest/cpp"), "cpp")?);
    for file in all {
        let name = file.file_stem().context("a name")?.to_str().context("UTF-8")?.to_string();
        let program = programs.join(&name);
        let is_new =
            modified(&program).is_ok_and(|built| built > header && modified(&file).is_ok_and(|source| built > source));
        if !is_new {
            let warnings = ["-Wall", "-Wextra", "-Werror"];
            let compiler = if file.extension().is_some_and(|end| end == "cpp") { "c++" } else { "cc" };
            run(Command::new(compiler).args(["-O1", "-pthread"]).args(warnings).arg("-o").arg(&program).arg(&file))?;
        }
        names.push(name);
    }
    // What has lost its source would be run for ever.
    for entry in fs::read_dir(programs)? {
        let entry = entry?;
        if !names.iter().any(|name| entry.file_name() == name.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(names)
}

fn compile_java(classes: &Path) -> Result<()> {
    let probes = probes()?;
    let mut sources: Vec<PathBuf> = PROBES.iter().map(|name| probes.join(format!("{name}.java"))).collect();
    if let Some(missing) = sources.iter().find(|file| !file.is_file()) {
        bail!("the probe {} is missing", missing.display());
    }
    let own = folder().join("guest/java");
    if own.is_dir() {
        sources.extend(files(&own, "java")?);
    }
    let newest = sources.iter().map(|file| modified(file)).collect::<Result<Vec<_>>>()?.into_iter().max();
    let mark = classes.join("built");
    if modified(&mark).ok() > newest {
        return Ok(());
    }
    let _ = fs::remove_dir_all(classes);
    fs::create_dir_all(classes)?;
    run(Command::new("javac")
        .args(["-nowarn", "-Xlint:none", "-XDignore.symbol.file", "-d"])
        .arg(classes)
        .args(&sources))?;
    run(Command::new("jar").arg("cf").arg(classes.with_extension("jar")).arg("-C").arg(classes).arg("."))?;
    Ok(fs::write(mark, "")?)
}

/// With the first compiler that knows Java 22; without one the programs that need it are left out, which the suite says.
fn compile_java_22(classes: &Path) -> Result<()> {
    let Some(jdk) = jdks::installed(Version::V25) else { return Ok(()) };
    let probes = probes()?;
    let sources = PROBES_22.map(|name| probes.join(format!("{name}.java")));
    let mark = classes.join("built");
    let newest = sources.iter().filter_map(|file| modified(file).ok()).max();
    if modified(&mark).ok() > newest {
        return Ok(());
    }
    let compiler = jdk.home().join("bin/javac");
    run(Command::new(compiler).args(["-nowarn", "--release", "22", "-d"]).arg(classes).args(&sources))?;
    Ok(fs::write(mark, "")?)
}

/// A key and its certificate for "localhost", by which TLS tests know themselves.
fn make_keys(file: &Path) -> Result<()> {
    if file.is_file() {
        return Ok(());
    }
    let [name, alternatives] = ["CN=localhost", "san=dns:localhost,ip:127.0.0.1"];
    let mut keytool = Command::new("keytool");
    keytool.args(["-genkeypair", "-keyalg", "RSA", "-alias", "test", "-dname", name, "-ext", alternatives]);
    run(keytool.args(["-validity", "36500", "-storepass", "changeit", "-keystore"]).arg(file))
}

/// Fetches what `guest/java/tomcat/pom.xml` names, and compiles what lies beside it into a jar.
fn compile_tomcat(jars: &Path) -> Result<()> {
    let sources = folder().join("guest/java/tomcat");
    let pom = sources.join("pom.xml");
    let (fetched, jar) = (jars.join("fetched"), jars.join("tests.jar"));
    if modified(&fetched).ok() < Some(modified(&pom)?) {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "--file"]).arg(&pom);
        let target = jars.join("target");
        maven.arg(format!("-DbuildDirectory={}", target.display()));
        run(maven.arg(format!("-DoutputDirectory={}", jars.display())))
            .context("Debian's package maven fetches them")?;
        fs::write(&fetched, "")?;
    }
    let sources = files(&sources, "java")?;
    let newest = sources.iter().map(|file| modified(file)).collect::<Result<Vec<_>>>()?.into_iter().max();
    if modified(&jar).ok() > newest {
        return Ok(());
    }
    let classes = jars.join("classes");
    let path = jars.join("*");
    run(Command::new("javac").args(["-nowarn", "-cp"]).arg(path).arg("-d").arg(&classes).args(&sources))?;
    run(Command::new("jar").arg("cf").arg(&jar).arg("-C").arg(&classes).arg("."))
}

/// The libraries of `guest/java/native`, against the JNI header of the JDK that is needed anyway.
fn compile_library(libraries: &Path) -> Result<()> {
    let jdk = Jdk::discover(None).context("the tests need a JDK")?;
    for file in files(&folder().join("guest/java/native"), "c")? {
        let name = file.file_stem().context("a name")?.to_str().context("UTF-8")?;
        let library = libraries.join(format!("lib{name}.so"));
        if modified(&library).is_ok_and(|built| modified(&file).is_ok_and(|source| built > source)) {
            continue;
        }
        let include = jdk.home().join("include");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer"]);
        cc.arg("-I").arg(&include).arg("-I").arg(include.join("linux"));
        run(cc.arg("-o").arg(&library).arg(&file))?;
    }
    Ok(())
}

/// The probes lie in the folder that the project shares with others: beside the project, or where DEMITASSE_SHARED says.
fn probes() -> Result<PathBuf> {
    let shared = std::env::var_os("DEMITASSE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let probes = shared.join("probes");
    if !probes.is_dir() {
        bail!(
            "the Java probes are missing: {} is no folder; set DEMITASSE_SHARED to the shared folder",
            probes.display()
        );
    }
    Ok(probes)
}

fn files(directory: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == end))
        .collect();
    files.sort();
    Ok(files)
}

fn modified(path: &Path) -> Result<std::time::SystemTime> {
    Ok(fs::metadata(path)?.modified()?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
