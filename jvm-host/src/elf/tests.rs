use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8]) -> Result<Image, ElfError> {
    Image::parse(bytes.len() as u64, |offset, buffer| {
        let Some(from) = bytes.get(offset as usize..) else { return false };
        let Some(from) = from.get(..buffer.len()) else { return false };
        buffer.copy_from_slice(from);
        true
    })
}

#[derive(Clone, Copy, Debug)]
struct Ph(u32, u32, u64, u64, u64, u64, u64);

const LOAD: u32 = program_header::PT_LOAD;
const RX: u32 = 5;
const RW: u32 = 6;

/// A file of `len` bytes with the given type and program headers (type, flags, offset, address, file, memory, align).
fn file(e_type: u16, entry: u64, headers: &[Ph], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    out.extend_from_slice(&e_type.to_le_bytes());
    out.extend_from_slice(&62u16.to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    for word in [entry, 64, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, headers.len() as u16, 0, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for h in headers {
        out.extend_from_slice(&h.0.to_le_bytes());
        out.extend_from_slice(&h.1.to_le_bytes());
        for word in [h.2, h.3, h.3, h.4, h.5, h.6] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out.resize(out.len().max(len), 0);
    out
}

fn typical() -> Vec<Ph> {
    Vec::from([
        Ph(LOAD, RX, 0, 0, 0x1234, 0x1234, 0x1000),
        Ph(LOAD, RW, 0x1e00, 0x2e00, 0x200, 0x900, 0x1000),
        Ph(program_header::PT_GNU_STACK, RW, 0, 0, 0, 0, 16),
    ])
}

#[test]
fn a_usual_shared_object_is_described() {
    let image = parse(&file(3, 0x1000, &typical(), 0x2000)).unwrap();
    assert_eq!(image.kind, Kind::Relocatable);
    assert_eq!(image.segments.len(), 2);
    assert_eq!(image.headers, Some(64));
    assert_eq!(image.span(), 0..0x4000);
    assert!(!image.stack_executable);
    assert_eq!(image.interpreter, None);
    assert_eq!(image.segments[1].file_end(), 0x3000);
}

#[test]
fn refusals_name_their_reason() {
    let with = |change: &dyn Fn(&mut Vec<Ph>)| {
        let mut headers = typical();
        change(&mut headers);
        parse(&file(3, 0x1000, &headers, 0x2000)).unwrap_err()
    };
    assert_eq!(with(&|h| h[1].4 = 0x1000), ElfError::FileLargerThanMemory(1));
    assert_eq!(with(&|h| h[1] = Ph(LOAD, RW, 0x1e00, 0x2e00, 0x900, 0x900, 0)), ElfError::Truncated(1));
    assert_eq!(with(&|h| h[1].3 = 0x2e01), ElfError::Misaligned(1));
    assert_eq!(with(&|h| h[1].3 = 0xe00), ElfError::Overlap(1));
    assert_eq!(with(&|h| h[1].5 = u64::MAX), ElfError::AddressOutside(1));
    assert_eq!(with(&|h| h[1].3 = USER_END - 0x200), ElfError::AddressOutside(1));
    assert_eq!(with(&|h| h.truncate(0)), ElfError::HeaderCount(0));
    assert_eq!(with(&|h| h.retain(|p| p.0 != LOAD)), ElfError::NothingToLoad);
    assert_eq!(parse(&file(3, 0x9_0000, &typical(), 0x2000)), Err(ElfError::EntryOutside(0x9_0000)));
    assert_eq!(parse(&file(1, 0x1000, &typical(), 0x2000)), Err(ElfError::NotExecutable(1)));
    assert_eq!(parse(b"#!/bin/sh\n"), Err(ElfError::TooShort));
    assert_eq!(parse(&[b'a'; 100]), Err(ElfError::NotElf));
    let mut other = file(3, 0x1000, &typical(), 0x2000);
    other[4] = 1;
    assert_eq!(parse(&other), Err(ElfError::ThirtyTwoBit));
    other[4] = 2;
    other[18] = 183;
    assert_eq!(parse(&other), Err(ElfError::ForeignMachine(183)));
}

#[test]
fn the_interpreter_must_be_terminated_and_inside() {
    let mut headers = typical();
    headers.push(Ph(program_header::PT_INTERP, 4, 0x800, 0x800, 8, 8, 1));
    let mut bytes = file(3, 0x1000, &headers, 0x2000);
    bytes[0x800..0x808].copy_from_slice(b"/lib/ld\0");
    assert_eq!(parse(&bytes).unwrap().interpreter.as_deref(), Some("/lib/ld"));
    bytes[0x807] = b'x';
    assert_eq!(parse(&bytes), Err(ElfError::BadInterpreter));
    headers[3].2 = u64::MAX - 2;
    assert_eq!(parse(&file(3, 0x1000, &headers, 0x2000)), Err(ElfError::BadInterpreter));
}

#[test]
fn the_test_binary_itself_is_accepted() {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let image = parse(&bytes).unwrap();
    assert_eq!(image.kind, Kind::Relocatable);
    assert!(image.interpreter.unwrap().contains("ld-linux"));
    assert!(image.headers.is_some());
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_safe_to_map(
        e_type in 0u16..5, entry in any::<u64>(),
        headers in prop::collection::vec(
            (prop::sample::select(&[LOAD, LOAD, LOAD, program_header::PT_INTERP, 0, program_header::PT_GNU_STACK][..]), 0u32..8,
             prop_oneof![0u64..0x4000, any::<u64>()], prop_oneof![0u64..0x10000, any::<u64>()],
             prop_oneof![0u64..0x4000, any::<u64>()], prop_oneof![0u64..0x4000, any::<u64>()], any::<u64>())
                .prop_map(|(a, b, c, d, e, f, g)| Ph(a, b, c, d, e, f, g)),
            0..8),
        len in 0usize..0x5000,
    ) {
        let bytes = file(e_type, entry, &headers, len);
        if let Ok(image) = parse(&bytes) {
            let mut floor = 0;
            for s in &image.segments {
                prop_assert!(s.address >= floor && s.memory_len > 0 && s.end() <= USER_END);
                prop_assert!(s.file_len <= s.memory_len && (s.file_len == 0 || s.file_offset + s.file_len <= bytes.len() as u64));
                floor = s.end();
            }
            prop_assert!(image.span().end <= USER_END && image.align.is_power_of_two());
        }
    }

    #[test]
    fn random_damage_never_panics(at in prop::collection::vec((0usize..400, any::<u8>()), 0..12), cut in 0usize..0x2000) {
        let mut bytes = file(3, 0x1000, &typical(), 0x2000);
        for (index, value) in at { bytes[index] = value; }
        bytes.truncate(cut.max(1));
        let _ = parse(&bytes);
    }
}
