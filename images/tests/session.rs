//! What a user sees of a run: streams, status, signals, limits. A script plays QEMU and the guest.

mod common;
use common::{Stage, eventually, finish, output};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::Instant;

#[test]
fn output_and_status_are_the_programs_own() {
    let stage = Stage::new();
    let script = r#"say start 0; out 'one\n\x00\xff'; err 'two\n'; say exit 0 code 7 out=6 err=4; finish"#;
    let status = stage.dir.path().join("status");
    let mut command = stage.fake(script, &["--status-file", status.to_str().unwrap()]);
    let result = command.output().unwrap();
    assert_eq!(result.stdout, b"one\n\0\xff");
    assert_eq!(String::from_utf8_lossy(&result.stderr), "two\n");
    assert_eq!(result.status.code(), Some(7));
    assert_eq!(std::fs::read_to_string(status).unwrap(), "program 7\n");
    stage.assert_clean();
}

#[test]
fn a_lot_of_output_arrives_whole_though_the_exit_message_is_faster() {
    let stage = Stage::new();
    let script = r#"say start 0; (sleep 0.2; head -c 3000000 /dev/zero >&"$stdout") & say exit 0 code 0 out=3000000 err=0; finish"#;
    let result = stage.fake(script, &[]).output().unwrap();
    assert_eq!((result.stdout.len(), result.status.code()), (3_000_000, Some(0)));
}

#[test]
fn input_reaches_the_program_and_its_end_too() {
    let stage = Stage::new();
    let script =
        r#"say start 0; text=$(cat <&"$stdin"); out "<$text>"; say exit 0 code 0 out=$((${#text} + 2)) err=0; finish"#;
    let mut command = stage.fake(script, &[]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"some words").unwrap();
    assert_eq!(finish(child), (0, "<some words>".into(), String::new()));
}

#[test]
fn a_closed_stdout_is_closed_for_the_program() {
    let stage = Stage::new();
    // Writes until it cannot, as a program that gets EPIPE.
    let script = r#"trap '' PIPE; say start 0; n=0; while out 'line\n' 2>/dev/null; do n=$((n + 5)); done; say exit 0 code 9 out=$n err=0; finish"#;
    let mut command = stage.fake(script, &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "line\n");
    assert_eq!(finish(child).0, 9);
}

#[test]
fn interrupts_go_to_the_program_and_the_second_ends_the_machine() {
    let stage = Stage::new();
    for (script, status) in [
        (r#"say start 0; sleep 0.2; out ready; hear; out " $heard"; say exit 0 code 130 out=14 err=0; finish"#, 130),
        (r#"say start 0; sleep 0.2; out ready; hear; out " $heard"; while :; do sleep 1; done"#, 130),
    ] {
        let mut command = stage.fake(script, &[]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut bytes = [0; 5];
        out.read_exact(&mut bytes).unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let mut heard = [0; 9];
        out.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b" signal 2");
        if script.contains("while") {
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
        drop(out);
        assert_eq!(finish(child).0, status);
    }
}

#[test]
fn terminate_and_quit_are_passed_on() {
    let stage = Stage::new();
    let script = r#"say start 0; sleep 0.2; out ready; hear; out " $heard"; hear; out " $heard"; say exit 0 signal 15 out=23 err=0; finish"#;
    let mut child = stage.fake(script, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut bytes = [0; 5];
    out.read_exact(&mut bytes).unwrap();
    kill_process(Pid::from_child(&child), Signal::QUIT).unwrap();
    let mut heard = [0; 9];
    out.read_exact(&mut heard).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((&heard[..], rest.as_str()), (&b" signal 3"[..], " signal 15"));
    assert_eq!(finish(child).0, 143);
}

#[test]
fn each_end_has_its_status_and_its_line() {
    let stage = Stage::new();
    let cases: [(&str, i32, &str, &str); 8] = [
        ("say start 0; say exit 0 signal 6 out=0 err=0; finish", 134, "", "program 134"),
        (
            "say start 0; say 'exit 0 deadlock out=0 err=0 all 3 threads wait'; finish",
            122,
            "demitasse: deadlock: all 3 threads wait\n",
            "demitasse deadlock",
        ),
        (
            "say start 0; say 'exit 0 memory out=0 err=0 no page left'; finish",
            137,
            "demitasse: out of memory: no page left\n",
            "demitasse memory",
        ),
        (
            "say 'exit 0 failed out=0 err=0 no such file: /x'; finish",
            125,
            "demitasse: the program could not be started: no such file: /x\n",
            "demitasse machine",
        ),
        (
            "say start 0; log 'demitasse: panic: vCPU 0: oh no'; log 'demitasse:   at 0xffffffff80000010 main+0x10'; exit 121",
            121,
            "demitasse: panic: vCPU 0: oh no\ndemitasse:   at 0xffffffff80000010 main+0x10\n",
            "demitasse panic",
        ),
        (
            "echo 'qemu: could not load PC BIOS' >&2; exit 1",
            125,
            "demitasse: QEMU ended early (exit status: 1): qemu: could not load PC BIOS\n",
            "demitasse machine",
        ),
        (
            "log 'last words'; exit 0",
            125,
            "demitasse: the machine switched off before the program had ended: last words\n",
            "demitasse machine",
        ),
        (
            "say 'note no network'; say start 0; say exit 0 code 0 out=0 err=0; finish",
            0,
            "demitasse: no network\n",
            "program 0",
        ),
    ];
    let status = stage.dir.path().join("status");
    for (script, code, stderr, line) in cases {
        let result = output(stage.fake(script, &["--status-file", status.to_str().unwrap()]));
        assert_eq!((result.0, result.2.as_str()), (code, stderr), "{script}");
        assert_eq!(std::fs::read_to_string(&status).unwrap().trim_end(), line, "{script}");
    }
    stage.assert_clean();
}

#[test]
fn a_time_limit_ends_a_program_and_a_machine_that_does_not_listen() {
    let stage = Stage::new();
    let listens = r#"say start 0; out begun; hear; say exit 0 signal 9 out=5 err=0; finish"#;
    let result = output(stage.fake(listens, &["--timeout", "0.3"]));
    assert_eq!(
        (result.0, result.1.as_str(), result.2.as_str()),
        (124, "begun", "demitasse: the time limit was reached\n")
    );
    let began = Instant::now();
    let deaf = output(stage.fake("while :; do sleep 0.1; done", &["--timeout", "0.3"]));
    assert_eq!(deaf.0, 124, "{deaf:?}");
    assert!(began.elapsed().as_secs() < 8);
}

#[test]
fn files_come_back_also_from_a_crash() {
    let stage = Stage::new();
    let script = r#"say start 0; say 'file /tmp/hs_err%20pid1.log 644 5'; say -n 2>/dev/null; printf 'crash' >&"$control"; say exit 0 signal 6 out=0 err=0; finish"#;
    let script = script.replace("say -n 2>/dev/null; ", "");
    let result = output(stage.fake(&script, &["--get", "/tmp/hs_err pid1.log:got"]));
    assert_eq!(result.0, 134, "{result:?}");
    assert_eq!(std::fs::read(stage.cwd().join("got")).unwrap(), b"crash");
}

#[test]
fn the_machine_dies_with_the_wrapper() {
    let stage = Stage::new();
    let pid_file = stage.dir.path().join("pid");
    let script = format!("echo $$ >{}; say start 0; out x; while :; do sleep 0.1; done", pid_file.display());
    let mut child = stage.fake(&script, &[]).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let machine = std::fs::read_to_string(pid_file).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let state = |pid: &str| std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    eventually("the machine is gone", || state(&machine).map_or(true, |stat| stat.contains(") Z ")));
}

#[test]
fn the_manifest_says_what_to_run() {
    let stage = Stage::new();
    let script = r#"text=$(manifest "$@"); say start 0; out "$text"; say exit 0 code 0 out=0 err=0; finish"#;
    let mut command = stage.command(&[
        "--accel",
        "tcg",
        "--kernel",
        "/bin/true",
        "--env",
        "A=b c",
        "--exec",
        "true",
        "x y",
        "--memory",
    ]);
    let qemu = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/fake-qemu.sh");
    command.env("DEMITASSE_QEMU", qemu).env("FAKE", script);
    let text = command.output().unwrap().stdout;
    let manifest = wire::Manifest::parse(&text).unwrap();
    let program = &manifest.programs[0];
    assert_eq!(program.argv, [&b"true"[..], b"x y", b"--memory"]);
    assert!(program.exe.ends_with(b"/true"));
    assert_eq!(program.cwd, stage.cwd().to_str().unwrap().as_bytes());
    assert!(program.env.contains(&b"A=b c".to_vec()) && program.env.contains(&b"LANG=C.UTF-8".to_vec()));
    assert_eq!(program.stdin, wire::Stdin::Port);
}

#[test]
fn a_build_that_is_interrupted_leaves_nothing() {
    let fresh = tempfile::tempdir_in("/var/tmp").unwrap();
    let stage = Stage::with_cache(fresh.path().to_path_buf());
    let mut child = stage.fake("exit 0", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let cache = fresh.path().join("demitasse");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&cache).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    eventually("the build has begun", || names().iter().any(|name| name.starts_with("work-")));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{text}");
    assert!(text.ends_with("ended by SIGTERM\n"), "{text}");
    let left: Vec<String> = names().into_iter().filter(|name| name.starts_with("work-")).collect();
    assert!(left.is_empty(), "{left:?}");
    stage.assert_clean();
}
