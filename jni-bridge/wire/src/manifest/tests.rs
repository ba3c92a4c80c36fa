use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(1u8.., 0..20)
}

fn absolute() -> impl Strategy<Value = Vec<u8>> {
    bytes().prop_map(|mut tail| {
        tail.insert(0, b'/');
        tail
    })
}

fn program() -> impl Strategy<Value = Program> {
    let streams = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let window = option::of((any::<u16>(), any::<u16>()));
    (
        (any::<bool>(), absolute(), vec(bytes(), 1..4), vec(bytes(), 0..4), option::of(absolute())),
        (streams, window, any::<Option<u64>>(), vec(absolute(), 0..3)),
    )
        .prop_map(|((java, exe, argv, env, cwd), ((port, stdin, stdout, stderr), window, timeout_ms, get))| {
            Program {
                kind: if java { Kind::Java } else { Kind::Native },
                exe,
                argv,
                env,
                cwd: cwd.unwrap_or_default(),
                stdin: if port { Stdin::Port } else { Stdin::None },
                ttys: Terminals { stdin, stdout, stderr },
                window: window.map(|(columns, rows)| WindowSize { columns, rows }),
                timeout_ms,
                get,
            }
        })
}

fn fixed(address: core::net::Ipv4Addr) -> crate::FixedAddress {
    crate::FixedAddress { address: address.into(), prefix_bits: 24, gateway: None, dns: Vec::from([address.into()]) }
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let name = "[^\0]{0,12}";
    (
        option::of(name),
        any::<Option<u64>>(),
        vec(1u32..0x7f00_0000, 0..3),
        vec((absolute(), absolute()), 0..3),
        vec(("[^\0]{1,8}", absolute(), any::<bool>()), 0..3),
        vec(("[^\0=]{0,8}", bytes()), 0..3),
        vec(program(), 0..3),
    )
        .prop_map(|(hostname, epoch_ns, addresses, binds, volumes, options, programs)| Manifest {
            hostname,
            epoch_ns,
            addresses: addresses.into_iter().map(|octets| fixed(octets.into())).collect(),
            binds: binds.into_iter().map(|(from, to)| Bind { from, to }).collect(),
            volumes: volumes.into_iter().map(|(serial, path, read_only)| Volume { serial, path, read_only }).collect(),
            options,
            programs,
        })
}

proptest! {
    #[test]
    fn every_manifest_comes_back(manifest in manifest()) {
        let disk = manifest.to_disk();
        prop_assert_eq!(disk.len() % crate::MANIFEST_BLOCK, 0);
        prop_assert_eq!(Manifest::parse(&disk), Ok(manifest));
    }

    #[test]
    fn garbage_is_an_error_not_a_panic(garbage: Vec<u8>, lines in vec("(arg|env|tty|window|bind|option|get|exe) ?[ -~]{0,9}", 0..5)) {
        let _ = Manifest::parse(&garbage);
        let _ = Manifest::parse(format!("{HEADER}\nprogram java\n{}", lines.join("\n")).as_bytes());
    }
}

#[test]
fn errors_name_the_line_and_the_cause() {
    let cases = [
        ("", "manifest line 1: expected \"demitasse-manifest 1\", found \"\""),
        ("demitasse-manifest 1\nexe /x\n", "manifest line 2: unknown setting \"exe\" before the first program"),
        (
            "demitasse-manifest 1\n\nprogram perl\n",
            "manifest line 3: expected java or native after program, found \"perl\"",
        ),
        (
            "demitasse-manifest 1\nprogram java\nexe java\n",
            "manifest line 3: expected an absolute path, found \"java\"",
        ),
        (
            "demitasse-manifest 1\nprogram java\narg %4\n",
            "manifest line 3: a % must be followed by two hexadecimal digits",
        ),
        ("demitasse-manifest 1\nprogram java\nwindow 80 x\n", "manifest line 3: \"x\" is not a number in range"),
        ("demitasse-manifest 1\nprogram java\nexe /j\n", "manifest: program 0 has no arg line (argv[0] is one)"),
    ];
    for (text, message) in cases {
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap_err().to_string(), message);
    }
}

#[test]
fn comments_and_the_text_after_a_nul_are_skipped() {
    let text = b"demitasse-manifest 1\n# a comment\nprogram native\nexe /bin/true\narg true\n\0rubbish";
    let manifest = Manifest::parse(text).unwrap();
    assert_eq!(manifest.programs[0].argv, [b"true".to_vec()]);
}
