//! Several programs in one boot, as the tests' harness runs them. A script plays QEMU and the guest.

use images::accel::Accel;
use images::cache::Cache;
use images::kernel::Kernel;
use images::machine::Machine;
use images::session::{self, Options};
use images::{program, session::ProgramResult};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// What became of `count` programs when the machine does what `script` says.
fn run(count: usize, script: &str) -> Vec<ProgramResult> {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/fake-qemu.sh");
    let qemu = dir.path().join("qemu");
    std::fs::write(&qemu, format!("#!/bin/bash\nFAKE='{script}' exec {} \"$@\"\n", fake.display())).unwrap();
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
    let cache = Cache::open().unwrap();
    let mut machine = Machine::new(Kernel::from_file(&cache, Path::new("/bin/true")).unwrap());
    machine.qemu = qemu;
    machine.accel = Accel::Tcg;
    let programs = (0..count).map(|_| program::native::<&str>(Path::new("/bin/true"), "true", &[]));
    let options = Options { time_limit: Some(Duration::from_secs(30)), ..Options::default() };
    session::run(&machine, &program::manifest(programs), options).unwrap().programs
}

#[test]
fn each_program_has_its_own_output_though_all_have_ended_before_the_first_byte_is_here() {
    let ends = "say start 0; say exit 0 code 0 out=4 err=0; say start 1; say exit 1 code 5 out=6 err=2";
    let script = format!("{ends}; sleep 0.2; out \"one\\n\"; sleep 0.2; out \"second\"; err \"ab\"; finish");
    let seen: Vec<_> = run(2, &script)
        .into_iter()
        .map(|result| (result.program, result.status, result.stdout, result.stderr))
        .collect();
    assert_eq!(seen, [(0, 0, b"one\n".to_vec(), vec![]), (1, 5, b"second".to_vec(), b"ab".to_vec())]);
}
