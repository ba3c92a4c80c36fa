//! Writes the names of the kernel's functions into the section that its linker script reserves, for its panics.
//!
//! Table: magic, count, then sorted pairs (offset from the kernel's base, offset of the name from the table's start), all
//! u32 little-endian, then the names. A name is in two parts, since most of it is the path of a module that it shares with
//! others: a u16 that says where the first part is, counted from the end of the pairs, and the second part; both
//! parts end with a NUL. The reader is `kernel/hal/src/panic.rs`.

use goblin::elf::Elf;
use goblin::elf::header::header64::SIZEOF_EHDR;
use goblin::elf::sym::{STB_LOCAL, STT_FUNC, STT_NOTYPE};

/// `KSYM` in memory order.
pub const MAGIC: u32 = 0x4d59_534b;
/// Where the kernel is linked.
pub const BASE: u64 = 0xffff_ffff_8000_0000;
const SECTION: &str = ".ksyms";
/// Longest name, in bytes.
const NAME_MAX: usize = 96;

struct Symbol {
    offset: u32,
    is_local: bool,
    name: String,
}

/// The kernel `elf` with the table filled in and everything that is not loaded cut off.
pub fn finish(elf: &[u8]) -> Result<Vec<u8>, String> {
    let parsed = Elf::parse(elf).map_err(|error| format!("the kernel is not a readable ELF file: {error}"))?;
    let mut out = strip(elf, &parsed)?;
    let section =
        parsed.section_headers.iter().find(|header| parsed.shdr_strtab.get_at(header.sh_name) == Some(SECTION));
    if let Some(header) = section {
        let start = usize::try_from(header.sh_offset).map_err(|e| e.to_string())?;
        let len = usize::try_from(header.sh_size).map_err(|e| e.to_string())?;
        let room = out.get_mut(start..start + len).ok_or("the section .ksyms is not loaded")?;
        let table = table(symbols(&parsed), len);
        room[..table.len()].copy_from_slice(&table);
    }
    Ok(out)
}

/// Functions of the kernel's half, one name an address, sorted.
fn symbols(elf: &Elf<'_>) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = elf
        .syms
        .iter()
        .filter(|symbol| {
            matches!(symbol.st_type(), STT_FUNC | STT_NOTYPE) && symbol.st_shndx != 0 && symbol.st_value >= BASE
        })
        .filter_map(|symbol| {
            let offset = u32::try_from(symbol.st_value - BASE).ok()?;
            let name = elf.strtab.get_at(symbol.st_name).filter(|name| !name.is_empty() && !name.starts_with('.'))?;
            Some(Symbol { offset, is_local: symbol.st_bind() == STB_LOCAL, name: short(name) })
        })
        .collect();
    symbols.sort_by(|a, b| (a.offset, a.is_local, &a.name).cmp(&(b.offset, b.is_local, &b.name)));
    symbols.dedup_by_key(|symbol| symbol.offset);
    symbols
}

/// Demangled, without the hash, cut.
fn short(name: &str) -> String {
    let mut text = format!("{:#}", rustc_demangle::demangle(name));
    if text.len() > NAME_MAX {
        let end = (0..=NAME_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// The table in at most `room` bytes: when it does not fit, local symbols go, then the shortest distances.
fn table(mut symbols: Vec<Symbol>, room: usize) -> Vec<u8> {
    let fits = |symbols: &[Symbol]| encode(symbols).len() <= room;
    if !fits(&symbols) {
        symbols.retain(|symbol| !symbol.is_local);
    }
    while !fits(&symbols) && !symbols.is_empty() {
        // Functions that are followed closely by the next one are the small ones: panics are rarely in them.
        let mut sizes: Vec<u32> = symbols.windows(2).map(|pair| pair[1].offset - pair[0].offset).collect();
        sizes.sort_unstable();
        let small = sizes.get(sizes.len() / 10).copied().unwrap_or(u32::MAX);
        let next: Vec<u32> = symbols.iter().skip(1).map(|symbol| symbol.offset).chain([u32::MAX]).collect();
        let mut next = next.into_iter();
        symbols.retain(|symbol| next.next().unwrap_or(u32::MAX) - symbol.offset > small);
    }
    encode(&symbols)
}

/// The path of a name's module, up to the last `::` outside of angle brackets, and the rest.
fn split(name: &str) -> (&str, &str) {
    let plain = name.find('<').unwrap_or(name.len());
    match name[..plain].rfind("::") {
        Some(at) => name.split_at(at + 2),
        None => ("", name),
    }
}

fn encode(symbols: &[Symbol]) -> Vec<u8> {
    use std::collections::HashMap;
    let names_at = 8 + 8 * symbols.len();
    let mut names: Vec<u8> = Vec::new();
    let mut heads: HashMap<&str, u16> = HashMap::new();
    for symbol in symbols {
        let (head, _) = split(&symbol.name);
        // Heads that do not fit in front stay with their names.
        if let Ok(at) = u16::try_from(names.len())
            && !heads.contains_key(head)
        {
            heads.insert(head, at);
            names.extend(head.as_bytes());
            names.push(0);
        }
    }
    let nothing =
        heads.get("").copied().unwrap_or_else(|| names.iter().position(|byte| *byte == 0).unwrap_or(0) as u16);
    let mut known = HashMap::new();
    let mut table = Vec::with_capacity(names_at);
    table.extend(MAGIC.to_le_bytes());
    table.extend((symbols.len() as u32).to_le_bytes());
    for symbol in symbols {
        let at = *known.entry(symbol.name.as_str()).or_insert_with(|| {
            let at = names_at + names.len();
            let (head, rest) = split(&symbol.name);
            let (head, rest) = match heads.get(head) {
                Some(head) => (*head, rest),
                None => (nothing, symbol.name.as_str()),
            };
            names.extend(head.to_le_bytes());
            names.extend(rest.as_bytes());
            names.push(0);
            at
        });
        table.extend(symbol.offset.to_le_bytes());
        table.extend((at as u32).to_le_bytes());
    }
    table.extend(names);
    table
}

/// The file up to the end of its last loaded part, with no section headers.
fn strip(elf: &[u8], parsed: &Elf<'_>) -> Result<Vec<u8>, String> {
    let header = &parsed.header;
    let ends = parsed.program_headers.iter().map(|part| part.p_offset + part.p_filesz);
    let headers_end = header.e_phoff + u64::from(header.e_phnum) * u64::from(header.e_phentsize);
    let end = ends.chain([headers_end]).max().unwrap_or(0);
    let end = usize::try_from(end).map_err(|error| error.to_string())?;
    let mut out = elf.get(..end).filter(|out| out.len() >= SIZEOF_EHDR).ok_or("the kernel file is cut short")?.to_vec();
    // e_shoff; e_shentsize, e_shnum, e_shstrndx: System V ABI, "ELF Header".
    out[0x28..0x30].fill(0);
    out[0x3a..0x40].fill(0);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(offset: u32, is_local: bool, name: &str) -> Symbol {
        Symbol { offset, is_local, name: name.into() }
    }

    /// The reader's side, as in the kernel.
    fn look_up(table: &[u8], wanted: u32) -> Option<String> {
        let word = |index: usize| Some(u32::from_le_bytes(table.get(index * 4..index * 4 + 4)?.try_into().ok()?));
        assert_eq!(word(0)?, MAGIC);
        let index = (0..word(1)? as usize).rev().find(|&index| word(2 + 2 * index).unwrap() <= wanted)?;
        let text = |at: usize| table[at..].split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
        let at = word(3 + 2 * index)? as usize;
        let head = usize::from(u16::from_le_bytes([table[at], table[at + 1]]));
        let name = [text(8 + 8 * word(1)? as usize + head)?, text(at + 2)?].concat();
        Some(String::from_utf8(name).unwrap())
    }

    #[test]
    fn every_address_finds_its_function() {
        let names = [(16, "x::a"), (64, "b"), (80, "x::a"), (96, "x::y::<z::b>::c"), (112, "x::d<e::f>")];
        let table = table(names.map(|(offset, name)| symbol(offset, false, name)).into(), 1000);
        let cases = [(0, None), (16, Some("x::a")), (63, Some("x::a")), (64, Some("b")), (80, Some("x::a"))];
        let cases = cases.into_iter().chain([(96, Some("x::y::<z::b>::c")), (9999, Some("x::d<e::f>"))]);
        for (address, name) in cases {
            assert_eq!(look_up(&table, address).as_deref(), name, "{address}");
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_local_ones_first() {
        let all = || (0..50).map(|n| symbol(n * n * 16, n % 2 == 0, &format!("function{n}"))).collect::<Vec<_>>();
        let globals = table(all(), 600);
        assert!(globals.len() <= 600 && look_up(&globals, 49 * 49 * 16).as_deref() == Some("function49"));
        assert!(table(all(), 100).len() <= 100);
        assert_eq!(table(all(), 8).len(), 8);
    }

    #[test]
    fn names_are_demangled_and_cut() {
        assert_eq!(short("_ZN3foo3bar17h05af221e174051e9E"), "foo::bar");
        assert_eq!(short(&"x".repeat(500)).len(), NAME_MAX);
    }

    #[test]
    fn a_stripped_program_is_smaller_and_still_a_program() {
        let elf = std::fs::read("/proc/self/exe").unwrap();
        let out = finish(&elf).unwrap();
        assert!(out.len() < elf.len());
        let parsed = Elf::parse(&out).unwrap();
        assert_eq!(parsed.section_headers.len(), 0);
        assert!(finish(b"\x7fELF").is_err());
    }
}
