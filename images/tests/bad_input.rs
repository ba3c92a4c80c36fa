//! Input that cannot be used: one line that says what and why, status 2, nothing left behind.

mod common;
use common::{Stage, output};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Runs the tool and asserts the one line, which must contain `part`.
#[track_caller]
fn refused(stage: &Stage, command: Command, part: &str) {
    let (code, stdout, stderr) = output(command);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains(part), "expected \"{part}\" in: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("demitasse: "), "{stderr}");
    stage.assert_clean();
}

fn jar(path: &Path, manifest: &str) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    zip.start_file("META-INF/MANIFEST.MF", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(manifest.as_bytes()).unwrap();
    zip.finish().unwrap();
}

#[test]
fn jars() {
    let stage = Stage::new();
    let cwd = stage.cwd();
    refused(&stage, stage.command(&["missing.jar"]), "no such jar: ");
    std::fs::write(cwd.join("text.jar"), "hello").unwrap();
    refused(&stage, stage.command(&["text.jar"]), "not a jar: ");
    std::fs::write(cwd.join("cut.jar"), b"PK\x03\x04 and no more").unwrap();
    refused(&stage, stage.command(&["cut.jar"]), "not a jar: ");
    jar(&cwd.join("plain.jar"), "Manifest-Version: 1.0\n");
    refused(&stage, stage.command(&["plain.jar"]), "no Main-Class in the manifest of ");
    refused(&stage, stage.command(&["."]), "is a directory");
}

#[test]
fn options() {
    let stage = Stage::new();
    refused(&stage, stage.command(&[]), "nothing to run");
    refused(&stage, stage.command(&["--bogus", "x.jar"]), "--bogus");
    refused(&stage, stage.command(&["--memory", "lots", "x.jar"]), "is not a size");
    refused(
        &stage,
        stage.command(&["--memory", "8M", "--kernel", "/bin/true", "--exec", "/bin/true"]),
        "too small to start",
    );
    refused(&stage, stage.command(&["--cpus", "0", "--kernel", "/bin/true", "--exec", "/bin/true"]), "--cpus 0");
    for (words, part) in [
        (&["--net", "bridge"][..], "expected user, tap=NAME"),
        (&["--publish", "80"], "[ADDRESS:]HOSTPORT:[GUESTADDRESS:]GUESTPORT"),
        (&["--publish", "80:80", "--net", "none"], "--net user only"),
        (&["--ip", "10.0.0.2"], "expected ADDRESS/LENGTH"),
        (&["--ip", "10.0.0.2/24", "--ip", "10.0.0.3/24"], "at most one IPv4"),
        (&["--ip", "10.0.0.2/24", "--net", "none"], "leave --net none out"),
    ] {
        refused(&stage, stage.command(&[words, &["--exec", "/bin/true"]].concat()), part);
    }
    refused(&stage, stage.command(&["--timeout", "-1", "x.jar"]), "seconds");
    refused(&stage, stage.command(&["--env", "NOVALUE", "--exec", "/bin/true"]), "expected NAME=VALUE");
    refused(&stage, stage.command(&["--add", "nowhere:/x", "--exec", "/bin/true"]), "no such file or directory");
    refused(&stage, stage.command(&["--add", ".:x", "--exec", "/bin/true"]), "absolute path");
    refused(
        &stage,
        stage.command(&["--kernel", "/bin/true", "--accel", "tcg", "--get", "x:y", "--exec", "/bin/true"]),
        "must be absolute",
    );
    refused(&stage, stage.command(&["--output", "x.img", "a.jar"]), "--build-only");
    refused(
        &stage,
        stage.command(&["--status-file", "/no/such/folder/file", "--exec", "/bin/true"]),
        "cannot write the status file",
    );
    refused(&stage, stage.command(&["--kernel", "/no/kernel", "--exec", "/bin/true"]), "cannot open the kernel");
}

#[test]
fn jdks() {
    let stage = Stage::new();
    let jdk = stage.cwd().join("jdk");
    refused(&stage, stage.command(&["--jdk", "jdk", "x.jar"]), "not a usable JDK: jdk");
    std::fs::create_dir_all(jdk.join("bin")).unwrap();
    std::fs::copy("/bin/true", jdk.join("bin/java")).unwrap();
    refused(&stage, stage.command(&["--jdk", "jdk", "x.jar"]), "has no lib/server/libjvm.so");
    let mut command = stage.command(&["x.jar"]);
    command.env("JAVA_HOME", "/no/jdk");
    refused(&stage, command, "(JAVA_HOME)");
    let mut command = stage.command(&["x.jar"]);
    command.env_remove("JAVA_HOME").env("PATH", "/nowhere");
    refused(&stage, command, "no java on the PATH");
}

#[test]
fn executables() {
    let stage = Stage::new();
    let cwd = stage.cwd();
    let program = |name: &str, bytes: &[u8]| {
        let path = cwd.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let real = std::fs::read("/bin/true").unwrap();
    let changed = |at: usize, value: u8| {
        let mut bytes = real.clone();
        bytes[at] = value;
        bytes
    };
    program("script", b"#!/bin/sh\nexit 0\n");
    program("narrow", &changed(4, 1));
    program("foreign", &changed(18, 183));
    program("text", b"hello");
    for (name, part) in [
        ("script", "is a script"),
        ("narrow", "32-bit"),
        ("foreign", "another processor"),
        ("text", "not an executable"),
    ] {
        refused(&stage, stage.command(&["--exec", &format!("./{name}")]), part);
    }
    refused(&stage, stage.command(&["--exec", "./missing"]), "no such program");
    refused(&stage, stage.command(&["--exec", "no-such-program-at-all"]), "no such program on the PATH");
    // Needs a library that is not there: the name of libc, changed in place.
    let at = real.windows(9).position(|window| window == b"libc.so.6").unwrap();
    program("lacking", &changed(at + 3, b'x'));
    refused(&stage, stage.command(&["--exec", "./lacking"]), "needs libx.so.6, which is not installed");
}

#[test]
fn qemus() {
    let stage = Stage::new();
    let mut command = stage.command(&["--exec", "/bin/true"]);
    command.env("PATH", "/nowhere");
    refused(&stage, command, "QEMU is missing");
    let old = stage.dir.path().join("old-qemu");
    std::fs::write(&old, "#!/bin/sh\necho QEMU emulator version 5.2.0\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = stage.command(&["--exec", "/bin/true"]);
    command.env("DEMITASSE_QEMU", &old);
    refused(&stage, command, "QEMU 5.2.0 is too old");
    let mut command = stage.command(&["--exec", "/bin/true"]);
    command.env("DEMITASSE_QEMU", "/bin/true");
    refused(&stage, command, "does not say its version");
}

/// Needs to mount a small file system; where that is not allowed there is nothing to test.
#[test]
fn a_full_disk() {
    let stage = Stage::with_cache("/unused".into());
    let small = stage.dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let inner = stage.command(&["--kernel", "/bin/true", "--accel", "tcg", "--exec", "/bin/true"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs -o size=300k none \"$0\" || exit 77; XDG_CACHE_HOME=$0 \"$@\"; s=$?; ls -A \"$0/demitasse\" | grep work; exit $s"]);
    command.arg(&small).arg(inner.get_program()).args(inner.get_args()).current_dir(stage.cwd());
    let (code, stdout, stderr) = output(command);
    if code == 77 || stderr.contains("unshare") {
        return;
    }
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("no space left to write") && stderr.contains("XDG_CACHE_HOME"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
