//! Was the application halted? In ring 0 its `hlt` does not trap as it would in ring 3: the vCPU sleeps until the next
//! interrupt and then runs on behind it. The interrupt handler asks here whether the instruction before the interrupted
//! one was a `hlt`, which is then turned into the fault that it should have been.
//!
//! A byte 0xf4 before RIP proves nothing: it ends many other instructions (a displacement of -12). So the bytes before
//! are decoded from several starting points; x86 code read from a wrong point falls into step within a few
//! instructions. Only when every reading that makes sense arrives exactly at the byte is it a `hlt`.
//!
//! Specification: Intel SDM volume 2, chapter 2 (instruction format) and appendix A (opcode maps).

/// Opcode of `hlt`.
pub const HLT: u8 = 0xf4;
/// Bytes before RIP that are looked at.
pub const WINDOW: usize = 48;
/// Readings start at the window's first bytes, so that each passes several instructions before the last byte.
const STARTS: usize = 28;

/// Whether the last byte of `code`, the bytes right before the interrupted instruction, is a `hlt`.
pub fn ends_in_halt(code: &[u8; WINDOW]) -> bool {
    const LAST: usize = WINDOW - 1;
    if code[LAST] != HLT {
        return false;
    }
    let mut arrived = 0;
    for start in 0..STARTS {
        let mut at = start;
        while at < LAST {
            match length(&code[at..]) {
                Some(bytes) => at += bytes,
                None => break,
            }
        }
        match at.cmp(&LAST) {
            core::cmp::Ordering::Equal => arrived += 1,
            core::cmp::Ordering::Greater => return false,
            // Not an instruction: this reading was out of step.
            core::cmp::Ordering::Less => {}
        }
    }
    arrived > 0
}

/// Operand size and address size that prefixes chose.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    operand_16: bool,
    address_32: bool,
    rex_w: bool,
}

impl Prefixes {
    /// Bytes of an immediate that follows the operand size but never has eight (Iz).
    fn immediate(self) -> usize {
        if self.operand_16 && !self.rex_w { 2 } else { 4 }
    }
}

/// Length in bytes of the 64-bit instruction at the start of `code`; `None` if it is none, or its
/// opcode or ModRM lies behind the end.
fn length(code: &[u8]) -> Option<usize> {
    let mut prefixes = Prefixes::default();
    let mut at = 0;
    loop {
        match *code.get(at)? {
            0x66 => prefixes.operand_16 = true,
            0x67 => prefixes.address_32 = true,
            0xf0 | 0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 => {}
            _ => break,
        }
        at += 1;
    }
    if let rex @ 0x40..=0x4f = *code.get(at)? {
        prefixes.rex_w = rex & 8 != 0;
        at += 1;
    }
    let opcode = *code.get(at)?;
    at += 1;
    match opcode {
        0x0f => escaped(code, at),
        // VEX and EVEX: the map is in the prefix.
        0xc5 => vector(code, at + 1, 1),
        0xc4 => vector(code, at + 2, code.get(at)? & 0x1f),
        0x62 => vector(code, at + 3, code.get(at)? & 7),
        _ => one_byte(code, at, opcode, prefixes),
    }
}

fn one_byte(code: &[u8], at: usize, opcode: u8, prefixes: Prefixes) -> Option<usize> {
    let modrm = |immediate: usize| Some(at + modrm_length(code, at)? + immediate);
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => modrm(0),
            4 => Some(at + 1),
            5 => Some(at + prefixes.immediate()),
            _ => None,
        },
        0x60 | 0x61 | 0x82 | 0x9a | 0xd4 | 0xd5 | 0xd6 | 0xea | 0xce => None,
        0x63 | 0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xfe | 0xff => modrm(0),
        0x69 | 0x81 | 0xc7 => modrm(prefixes.immediate()),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => modrm(1),
        0x68 | 0xa9 => Some(at + prefixes.immediate()),
        0x6a | 0x70..=0x7f | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe0..=0xe7 | 0xeb => Some(at + 1),
        0xa0..=0xa3 => Some(at + if prefixes.address_32 { 4 } else { 8 }),
        0xb8..=0xbf => Some(at + if prefixes.rex_w { 8 } else { prefixes.immediate() }),
        0xc2 | 0xca => Some(at + 2),
        0xc8 => Some(at + 3),
        0xe8 | 0xe9 => Some(at + 4),
        0xf6 | 0xf7 => {
            let has_immediate = code.get(at)? >> 3 & 7 < 2;
            let immediate = if opcode == 0xf6 { 1 } else { prefixes.immediate() };
            modrm(if has_immediate { immediate } else { 0 })
        }
        _ => Some(at),
    }
}

/// Two- and three-byte opcodes.
fn escaped(code: &[u8], at: usize) -> Option<usize> {
    let opcode = *code.get(at)?;
    match opcode {
        0x38 => Some(at + 2 + modrm_length(code, at + 2)?),
        0x3a => Some(at + 2 + modrm_length(code, at + 2)? + 1),
        0x05..=0x09 | 0x0b | 0x30..=0x37 | 0x77 | 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf => Some(at + 1),
        0x04 | 0x0a | 0x0c | 0x0f | 0x24..=0x27 | 0x39 | 0x3b..=0x3f => None,
        0x80..=0x8f => Some(at + 5),
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => Some(at + 1 + modrm_length(code, at + 1)? + 1),
        _ => Some(at + 1 + modrm_length(code, at + 1)?),
    }
}

/// An instruction with a VEX or EVEX prefix that ends before `at`, in opcode map `map`.
fn vector(code: &[u8], at: usize, map: u8) -> Option<usize> {
    let opcode = *code.get(at)?;
    let modrm = at + 1 + modrm_length(code, at + 1).unwrap_or(0);
    match (map, opcode) {
        (1, 0x77) => Some(at + 1),
        (1, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6) | (3, _) => Some(modrm + 1),
        (1 | 2 | 5 | 6, _) => Some(modrm),
        _ => None,
    }
}

/// Bytes of ModRM, SIB and displacement at `at`.
fn modrm_length(code: &[u8], at: usize) -> Option<usize> {
    let modrm = *code.get(at)?;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    if mode == 3 {
        return Some(1);
    }
    let sib = if rm == 4 { Some(*code.get(at + 1)?) } else { None };
    let displacement = match mode {
        0 if rm == 5 || sib.is_some_and(|sib| sib & 7 == 5) => 4,
        0 => 0,
        1 => 1,
        _ => 4,
    };
    Some(1 + usize::from(sib.is_some()) + displacement)
}

#[cfg(test)]
mod tests {
    use super::{HLT, WINDOW, ends_in_halt, length};

    /// Plain compiled code to stand in front (objdump -d of a small function).
    const CODE: [u8; 44] = [
        0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0x48, 0x89, 0x7d, 0xe8, 0x89, 0x75, 0xe4, 0xc7, 0x45, 0xfc, 0,
        0, 0, 0, 0x8b, 0x45, 0xe4, 0x48, 0x63, 0xd0, 0x48, 0x8b, 0x45, 0xe8, 0x48, 0x01, 0xd0, 0x0f, 0xb6, 0x00, 0x84,
        0xc0, 0x74, 0x05, 0x31, 0xc0,
    ];

    fn window(tail: &[u8]) -> [u8; WINDOW] {
        let mut code = [0x90; WINDOW];
        let start = WINDOW - tail.len();
        let from = CODE.len().saturating_sub(start);
        let front = &CODE[from..];
        code[start - front.len()..start].copy_from_slice(front);
        code[start..].copy_from_slice(tail);
        code
    }

    #[test]
    fn instructions_have_their_lengths() {
        let cases: [(&[u8], usize); 14] = [
            (&[0x90], 1),
            (&[0x48, 0x89, 0xe5], 3),
            (&[0x8b, 0x45, 0xf4], 3),
            (&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], 10),
            (&[0x66, 0xb8, 1, 2], 4),
            (&[0xe8, 1, 2, 3, 4], 5),
            (&[0x0f, 0x84, 1, 2, 3, 4], 6),
            (&[0xf6, 0x45, 0xfc, 1], 4),
            (&[0xf7, 0xd8], 2),
            (&[0x8b, 0x04, 0x25, 0, 0x10, 0, 0], 7),
            (&[0xc5, 0xf8, 0x77], 3),
            (&[0xc4, 0xe3, 0x7d, 0x19, 0xc1, 1], 6),
            (&[0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1], 6),
            (&[0x66, 0x0f, 0x3a, 0x0f, 0xc1, 8], 6),
        ];
        for (code, bytes) in cases {
            assert_eq!(length(code), Some(bytes), "{code:x?}");
        }
    }

    #[test]
    fn a_halt_is_found() {
        assert!(ends_in_halt(&window(&[HLT])));
        assert!(ends_in_halt(&window(&[0xe8, 0x10, 0, 0, 0, HLT])));
        assert!(ends_in_halt(&window(&[HLT, HLT, HLT])));
    }

    #[test]
    fn a_last_byte_that_only_looks_like_one_is_not() {
        assert!(!ends_in_halt(&window(&[0x8b, 0x45, HLT])));
        assert!(!ends_in_halt(&window(&[0x48, 0x8d, 0x65, HLT])));
        assert!(!ends_in_halt(&window(&[0xeb, HLT])));
        assert!(!ends_in_halt(&window(&[0x0f, 0xb6, HLT])));
        assert!(!ends_in_halt(&window(&[0x90])));
    }
}
