use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const TOP: u64 = 0x7fff_ffff_e000;

struct Reader<'a>(&'a InitialStack);

impl Reader<'_> {
    fn word(&self, address: u64) -> u64 {
        let at = (address - self.0.pointer) as usize;
        u64::from_le_bytes(self.0.bytes[at..at + 8].try_into().unwrap())
    }
    fn string(&self, address: u64) -> &[u8] {
        let from = &self.0.bytes[(address - self.0.pointer) as usize..];
        &from[..from.iter().position(|&b| b == 0).unwrap()]
    }
}

fn strings() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(1u8..=255, 0..40), 0..12)
}

proptest! {
    #[test]
    fn a_c_library_finds_everything(argv in strings(), env in strings(), jitter in 0u64..8192, aux in prop::collection::vec((100u64..200, any::<u64>()), 0..20)) {
        let input = StackInput { argv: &argv, env: &env, exec_path: b"/bin/java", random: [7; 16], aux: &aux, jitter };
        let stack = build(TOP, &input).unwrap();
        prop_assert_eq!(stack.pointer % 16, 0);
        prop_assert_eq!(stack.pointer + stack.bytes.len() as u64, TOP);
        let memory = Reader(&stack);
        let mut at = stack.pointer;
        prop_assert_eq!(memory.word(at), argv.len() as u64);
        for list in [&argv, &env] {
            for want in list {
                at += 8;
                prop_assert_eq!(memory.string(memory.word(at)), &want[..]);
            }
            at += 8;
            prop_assert_eq!(memory.word(at), 0);
            if core::ptr::eq(list, &argv) { continue; }
        }
        let mut seen = Vec::new();
        at += 8;
        loop {
            let entry = (memory.word(at), memory.word(at + 8));
            if entry.0 == AT_NULL { break; }
            seen.push(entry);
            at += 16;
        }
        prop_assert_eq!(&seen[..aux.len()], &aux[..]);
        let value = |kind| seen.iter().rfind(|e| e.0 == kind).unwrap().1;
        prop_assert_eq!(memory.string(value(AT_EXECFN)), b"/bin/java");
        prop_assert_eq!(memory.string(value(AT_PLATFORM)), b"x86_64");
        prop_assert_eq!(memory.word(value(AT_RANDOM)), u64::from_le_bytes([7; 8]));
        prop_assert_eq!(stack.argv.end, stack.env.start);
        let cmdline: Vec<u8> = argv.iter().flat_map(|s| s.iter().copied().chain([0])).collect();
        let from = (stack.argv.start - stack.pointer) as usize;
        prop_assert_eq!(&stack.bytes[from..from + cmdline.len()], &cmdline[..]);
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let build = |argv: &[Vec<u8>]| {
        super::build(TOP, &StackInput { argv, env: &[], exec_path: b"x", random: [0; 16], aux: &[], jitter: 0 })
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(build(&[alloc::vec![b'a'; STRING_MAX]]), StackError::StringTooLong);
    assert_eq!(build(&alloc::vec![alloc::vec![b'a'; STRING_MAX - 1]; 17]), StackError::TooLarge);
    assert_eq!(build(&[b"a\0b".to_vec()]), StackError::NulInside);
}
