//! What the design allows between crates, and where names and instructions may appear: refused here, not in a review.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate may use those after it in this chain, never one before.
const CHAIN: [&str; 8] = ["kernel", "jvm-host", "libc-compat", "net", "fs", "mm", "sched", "hal"];
/// Crates beside the chain, and all that they may use.
const BESIDE: [(&str, &[&str]); 7] = [
    ("drivers", &["mm", "sched", "hal"]),
    ("wire", &[]),
    ("ext4", &[]),
    ("images", &["wire"]),
    ("peer", &[]),
    ("tests", &["images", "peer", "wire"]),
    ("benchmarks", &["images", "peer", "wire"]),
];
/// What crates of the chain may use beside it.
const ALSO: [(&str, &[&str]); 3] = [("kernel", &["drivers"]), ("jvm-host", &["wire"]), ("fs", &["ext4"])];

fn allowed(from: &str, to: &str) -> bool {
    let listed = |table: &[(&str, &[&str])]| table.iter().any(|(name, uses)| *name == from && uses.contains(&to));
    let at = |name: &str| CHAIN.iter().position(|link| *link == name);
    let down_the_chain = matches!((at(from), at(to)), (Some(from), Some(to)) if from < to);
    down_the_chain || listed(&BESIDE) || listed(&ALSO)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the project")
}

/// The workspace's crates with those of them that each uses, as cargo sees it (also for tests).
fn uses() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = |args: &[&str]| {
        let output = Command::new(&cargo)
            .args(["tree", "--offline", "--all-features", "--prefix", "depth", "--format", "{p}"])
            .args(args)
            .current_dir(root())
            .output();
        let output = output.expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // Members are those with a path in the project; every member's own tree begins at depth 0.
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = tree(&["--workspace", "--depth", "1", "--edges", "normal,build,dev", "--no-dedupe"]);
    let mut from = String::new();
    for line in text.lines().filter(|line| line.contains(" (/")) {
        let name = line.trim_start_matches(|c: char| c.is_ascii_digit()).split(' ').next().expect("a name").to_string();
        if line.starts_with('0') {
            from.clone_from(&name);
            uses.entry(name).or_default();
        } else {
            uses.entry(from.clone()).or_default().push(name);
        }
    }
    uses
}

#[test]
fn crates_use_only_what_the_design_allows() {
    let uses = uses();
    assert!(uses.len() >= 12, "cargo tree shows {uses:?}");
    let wrong: Vec<String> = uses
        .iter()
        .flat_map(|(from, to)| to.iter().filter(|to| !allowed(from, to)).map(move |to| format!("{from} -> {to}")))
        .collect();
    assert!(wrong.is_empty(), "not in the design: {wrong:?}");
}

#[test]
fn the_rule_itself() {
    assert!(
        allowed("kernel", "hal") && allowed("fs", "mm") && allowed("drivers", "sched") && allowed("kernel", "drivers")
    );
    assert!(
        !allowed("mm", "fs")
            && !allowed("drivers", "fs")
            && !allowed("hal", "sched")
            && !allowed("images", "kernel")
            && !allowed("fs", "wire")
    );
}

/// Rust sources of a crate's folder, without the crates inside it.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut queue = vec![root().join(folder).join("src")];
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|end| end == "rs" || end == "s") {
                files.push(path);
            }
        }
    }
    files
}

/// Lines of code: without comments and without what is in test modules of their own files.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).expect("readable");
    let without_comment = |line: &str| line.split("//").next().unwrap_or_default().to_string();
    text.lines().enumerate().map(|(number, line)| (number + 1, without_comment(line))).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

const KERNEL_SIDE: [&str; 9] =
    ["kernel", "kernel/drivers", "kernel/hal", "sched", "mm", "fs", "net", "jvm-host", "libc-compat"];

fn found(folders: impl Iterator<Item = &'static str>, is_wrong: impl Fn(&Path, &str) -> Option<String>) -> Vec<String> {
    let mut all = Vec::new();
    for file in folders.flat_map(sources) {
        for (number, line) in code(&file) {
            if let Some(what) = is_wrong(&file, &line) {
                let shown = file.strip_prefix(root()).expect("in the project").display().to_string();
                all.push(format!("{shown}:{number}: {what}"));
            }
        }
    }
    all
}

/// Linux's names end at libc-compat.
#[test]
fn linux_names_stop_at_libc_compat() {
    const ERRORS: [&str; 23] = [
        "EPERM",
        "ENOENT",
        "ESRCH",
        "EINTR",
        "EIO",
        "EBADF",
        "EAGAIN",
        "ENOMEM",
        "EACCES",
        "EFAULT",
        "EBUSY",
        "EEXIST",
        "ENOTDIR",
        "EISDIR",
        "EINVAL",
        "EMFILE",
        "ENOTTY",
        "ENOSPC",
        "ESPIPE",
        "EPIPE",
        "ERANGE",
        "ENOSYS",
        "ENOTEMPTY",
    ];
    const PREFIXES: [&str; 6] = ["MAP_", "O_", "MADV_", "FUTEX_", "EPOLL_", "CLONE_"];
    let below = KERNEL_SIDE.into_iter().filter(|folder| !["libc-compat", "jvm-host"].contains(folder));
    let wrong = found(below, |_, line| {
        let is_name = |word: &&str| {
            let is_loud = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            is_loud && (ERRORS.contains(word) || PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
        };
        words(line).find(is_name).map(String::from)
    });
    assert!(wrong.is_empty(), "Linux names below libc-compat:\n{}", wrong.join("\n"));
}

/// Privileged instructions are in hal; assembly at all only there and in the vDSO that libc-compat maps.
#[test]
fn privileged_instructions_stop_at_hal() {
    let above = KERNEL_SIDE.into_iter().filter(|folder| *folder != "kernel/hal");
    let wrong = found(above, |file, line| {
        let is_vdso = file.components().any(|part| part.as_os_str() == "vdso" || part.as_os_str() == "vdso.rs");
        let has_asm = line.contains("asm!");
        (has_asm && !is_vdso).then(|| line.trim().to_string())
    });
    assert!(wrong.is_empty(), "assembly outside hal:\n{}", wrong.join("\n"));
}

#[test]
fn the_crates_that_need_no_unsafe_code_deny_it() {
    for crate_root in ["kernel/src/main.rs", "jvm-host/src/lib.rs", "net/src/lib.rs", "fs/src/lib.rs"] {
        let text = fs::read_to_string(root().join(crate_root)).expect("readable");
        assert!(text.contains("#![deny(unsafe_code)]"), "{crate_root} does not deny unsafe code");
    }
}

/// One concept a file.
#[test]
fn no_file_is_longer_than_500_lines() {
    let folders = KERNEL_SIDE.into_iter().chain(["images", "jni-bridge/wire"]);
    let is_test =
        |file: &Path| file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    let long: Vec<String> = folders
        .flat_map(sources)
        .filter(|file| !is_test(file))
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).ok()?.lines().count();
            (lines > 500).then(|| format!("{}: {lines}", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
