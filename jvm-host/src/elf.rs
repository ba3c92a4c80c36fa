//! An ELF file's headers, judged: what a program asks to have mapped, or the reason why it cannot be.
//!
//! Pure: it sees bytes, never memory or files. `load.rs` carries its result out. goblin reads the fields; every rule about
//! their values is here, because a header is input that nobody vouches for.
//! Specifications: System V ABI, chapters 4 and 5; elf(5); the rules of execve(2) on x86-64 Linux where the ABI is silent.

use alloc::{string::String, vec::Vec};
use core::{fmt, ops::Range};

use goblin::elf::{header, program_header};
use hal::addr::{PAGE_SIZE, USER_END};

/// Bytes of an ELF64 file header.
pub const HEADER_LEN: usize = header::header64::SIZEOF_EHDR;
/// Bytes of one ELF64 program header.
pub const PROGRAM_HEADER_LEN: usize = program_header::program_header64::SIZEOF_PHDR;
/// Linux refuses a table above 64 KiB.
const PROGRAM_HEADERS_MAX: usize = 65536 / PROGRAM_HEADER_LEN;
/// The longest interpreter path, its NUL included (Linux's PATH_MAX).
const INTERPRETER_MAX: u64 = 4096;

/// Why a file cannot be run. The doc comment is the message's meaning; `Display` is the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// The file could not be read.
    Unreadable,
    /// Shorter than an ELF header.
    TooShort,
    /// No ELF magic.
    NotElf,
    /// ELFCLASS32.
    ThirtyTwoBit,
    /// Big-endian.
    BigEndian,
    /// Another processor's; its e_machine.
    ForeignMachine(u16),
    /// Neither an executable nor a shared object; its e_type.
    NotExecutable(u16),
    /// A program header entry of another size than 56; its e_phentsize.
    HeaderSize(u16),
    /// No program headers, or more than 64 KiB of them; their count.
    HeaderCount(u16),
    /// The program header table is not inside the file.
    TableOutside,
    /// No PT_LOAD segment.
    NothingToLoad,
    /// More bytes in the file than in memory; the segment's index.
    FileLargerThanMemory(usize),
    /// The segment's bytes go past the end of the file: a truncated file.
    Truncated(usize),
    /// The segment is not inside the application's half of the address space.
    AddressOutside(usize),
    /// Address and file offset differ within the page.
    Misaligned(usize),
    /// A segment begins before the end of the one in front of it.
    Overlap(usize),
    /// PT_INTERP is empty, too long, not terminated or not UTF-8.
    BadInterpreter,
    /// The entry point is in no segment.
    EntryOutside(u64),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unreadable => f.write_str("the file cannot be read"),
            Self::TooShort => f.write_str("the file is shorter than an ELF header"),
            Self::NotElf => f.write_str("not an ELF executable"),
            Self::ThirtyTwoBit => f.write_str("a 32-bit executable; only 64-bit ones run here"),
            Self::BigEndian => f.write_str("a big-endian executable; only x86-64 ones run here"),
            Self::ForeignMachine(m) => {
                write!(f, "an executable for another processor (e_machine {m}); only x86-64 ones run here")
            }
            Self::NotExecutable(t) => write!(f, "an ELF file that is no executable (e_type {t})"),
            Self::HeaderSize(n) => write!(f, "program headers of {n} bytes instead of {PROGRAM_HEADER_LEN}"),
            Self::HeaderCount(n) => write!(f, "{n} program headers; 1 to {PROGRAM_HEADERS_MAX} are possible"),
            Self::TableOutside => f.write_str("the program header table lies outside the file"),
            Self::NothingToLoad => f.write_str("no loadable segment"),
            Self::FileLargerThanMemory(i) => write!(f, "segment {i} has more bytes in the file than in memory"),
            Self::Truncated(i) => write!(f, "segment {i} goes past the end of the file: is it truncated?"),
            Self::AddressOutside(i) => write!(f, "segment {i} lies outside the addresses of a program"),
            Self::Misaligned(i) => write!(f, "segment {i}: address and file offset differ within the page"),
            Self::Overlap(i) => write!(f, "segment {i} begins before the end of the one in front of it"),
            Self::BadInterpreter => f.write_str("the interpreter's path (PT_INTERP) is malformed"),
            Self::EntryOutside(a) => write!(f, "the entry point {a:#x} is in no segment"),
        }
    }
}

/// Whether the addresses in the file are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ET_EXEC: they are.
    Fixed,
    /// ET_DYN: they are relative to a load bias.
    Relocatable,
}

/// One PT_LOAD segment. Addresses are the file's own, without bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub address: u64,
    pub memory_len: u64,
    pub file_offset: u64,
    pub file_len: u64,
    pub readable: bool,
    pub writable: bool,
    pub executable: bool,
}

impl Segment {
    /// One past its last byte in memory.
    pub fn end(&self) -> u64 {
        self.address + self.memory_len
    }
    /// One past its last byte that comes from the file.
    pub fn file_end(&self) -> u64 {
        self.address + self.file_len
    }
}

/// A file that may be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub kind: Kind,
    pub entry: u64,
    /// In ascending order; never empty.
    pub segments: Vec<Segment>,
    /// Path of the dynamic loader.
    pub interpreter: Option<String>,
    /// Address of the program headers in memory (AT_PHDR), where a segment holds them.
    pub headers: Option<u64>,
    pub header_count: u16,
    /// PT_GNU_STACK asks for an executable stack. Without that header x86-64 Linux gives none.
    pub stack_executable: bool,
    /// The largest p_align that is a power of two, at least a page.
    pub align: u64,
}

impl Image {
    /// Judges the file. `read(offset, buffer)` fills the buffer from the file and is false when it cannot.
    pub fn parse(file_len: u64, mut read: impl FnMut(u64, &mut [u8]) -> bool) -> Result<Image, ElfError> {
        let head = read_header(file_len, &mut read)?;
        let table = read_table(&head, file_len, &mut read)?;
        let segments = judge_segments(&table, file_len)?;
        if !segments.iter().any(|s| (s.address..s.end()).contains(&head.e_entry)) {
            return Err(ElfError::EntryOutside(head.e_entry));
        }
        let headers = segments
            .iter()
            .find(|s| s.file_offset <= head.e_phoff && head.e_phoff < s.file_offset + s.file_len)
            .map(|s| head.e_phoff - s.file_offset + s.address);
        Ok(Image {
            kind: if head.e_type == header::ET_EXEC { Kind::Fixed } else { Kind::Relocatable },
            entry: head.e_entry,
            interpreter: read_interpreter(&table, file_len, &mut read)?,
            headers,
            header_count: head.e_phnum,
            stack_executable: table
                .iter()
                .rfind(|p| p.p_type == program_header::PT_GNU_STACK)
                .is_some_and(|p| p.p_flags & program_header::PF_X != 0),
            align: largest_align(&table),
            segments,
        })
    }

    /// The pages that all segments together span, without bias.
    pub fn span(&self) -> Range<u64> {
        let start = self.segments.first().map_or(0, |s| s.address & !(PAGE_SIZE - 1));
        let end = self.segments.last().map_or(0, |s| page_up(s.end()));
        start..end
    }
}

/// Rounds up to a page. Callers hold addresses below USER_END only.
pub fn page_up(address: u64) -> u64 {
    (address + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

fn read_header(
    file_len: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<header::header64::Header, ElfError> {
    if file_len < HEADER_LEN as u64 {
        return Err(ElfError::TooShort);
    }
    let mut bytes = [0u8; HEADER_LEN];
    if !read(0, &mut bytes) {
        return Err(ElfError::Unreadable);
    }
    if &bytes[..header::SELFMAG] != header::ELFMAG {
        return Err(ElfError::NotElf);
    }
    match bytes[header::EI_CLASS] {
        header::ELFCLASS64 => {}
        header::ELFCLASS32 => return Err(ElfError::ThirtyTwoBit),
        _ => return Err(ElfError::NotElf),
    }
    match bytes[header::EI_DATA] {
        header::ELFDATA2LSB => {}
        header::ELFDATA2MSB => return Err(ElfError::BigEndian),
        _ => return Err(ElfError::NotElf),
    }
    let head = header::header64::Header::parse(&bytes).map_err(|_| ElfError::NotElf)?;
    if head.e_machine != header::EM_X86_64 {
        return Err(ElfError::ForeignMachine(head.e_machine));
    }
    if head.e_type != header::ET_EXEC && head.e_type != header::ET_DYN {
        return Err(ElfError::NotExecutable(head.e_type));
    }
    if usize::from(head.e_phentsize) != PROGRAM_HEADER_LEN {
        return Err(ElfError::HeaderSize(head.e_phentsize));
    }
    if head.e_phnum == 0 || usize::from(head.e_phnum) > PROGRAM_HEADERS_MAX {
        return Err(ElfError::HeaderCount(head.e_phnum));
    }
    Ok(head)
}

type ProgramHeader = program_header::program_header64::ProgramHeader;

fn read_table(
    head: &header::header64::Header,
    file_len: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Vec<ProgramHeader>, ElfError> {
    let count = usize::from(head.e_phnum);
    let len = count * PROGRAM_HEADER_LEN;
    match head.e_phoff.checked_add(len as u64) {
        Some(end) if end <= file_len => {}
        _ => return Err(ElfError::TableOutside),
    }
    let mut bytes = alloc::vec![0u8; len];
    if !read(head.e_phoff, &mut bytes) {
        return Err(ElfError::Unreadable);
    }
    Ok(program_header::program_header64::ProgramHeader::from_bytes(&bytes, count))
}

fn judge_segments(table: &[ProgramHeader], file_len: u64) -> Result<Vec<Segment>, ElfError> {
    let mut segments: Vec<Segment> = Vec::new();
    for (index, p) in table.iter().enumerate().filter(|(_, p)| p.p_type == program_header::PT_LOAD) {
        if p.p_filesz > p.p_memsz {
            return Err(ElfError::FileLargerThanMemory(index));
        }
        if p.p_memsz == 0 {
            continue;
        }
        // Rounding the end up to a page must stay inside too; USER_END is a multiple of a page.
        match p.p_vaddr.checked_add(p.p_memsz) {
            Some(end) if end <= USER_END => {}
            _ => return Err(ElfError::AddressOutside(index)),
        }
        if p.p_filesz != 0 {
            match p.p_offset.checked_add(p.p_filesz) {
                Some(end) if end <= file_len => {}
                _ => return Err(ElfError::Truncated(index)),
            }
            if p.p_vaddr % PAGE_SIZE != p.p_offset % PAGE_SIZE {
                return Err(ElfError::Misaligned(index));
            }
        }
        if segments.last().is_some_and(|before| p.p_vaddr < before.end()) {
            return Err(ElfError::Overlap(index));
        }
        segments.push(Segment {
            address: p.p_vaddr,
            memory_len: p.p_memsz,
            file_offset: p.p_offset,
            file_len: p.p_filesz,
            readable: p.p_flags & program_header::PF_R != 0,
            writable: p.p_flags & program_header::PF_W != 0,
            executable: p.p_flags & program_header::PF_X != 0,
        });
    }
    if segments.is_empty() { Err(ElfError::NothingToLoad) } else { Ok(segments) }
}

fn read_interpreter(
    table: &[ProgramHeader],
    file_len: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Option<String>, ElfError> {
    let Some(p) = table.iter().find(|p| p.p_type == program_header::PT_INTERP) else { return Ok(None) };
    if !(2..=INTERPRETER_MAX).contains(&p.p_filesz)
        || p.p_offset.checked_add(p.p_filesz).is_none_or(|end| end > file_len)
    {
        return Err(ElfError::BadInterpreter);
    }
    let mut bytes = alloc::vec![0u8; p.p_filesz as usize];
    if !read(p.p_offset, &mut bytes) {
        return Err(ElfError::Unreadable);
    }
    if bytes.pop() != Some(0) {
        return Err(ElfError::BadInterpreter);
    }
    if let Some(nul) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(nul);
    }
    match String::from_utf8(bytes) {
        Ok(path) if !path.is_empty() => Ok(Some(path)),
        _ => Err(ElfError::BadInterpreter),
    }
}

fn largest_align(table: &[ProgramHeader]) -> u64 {
    table
        .iter()
        .filter(|p| p.p_type == program_header::PT_LOAD && p.p_align.is_power_of_two())
        .map(|p| p.p_align)
        .fold(PAGE_SIZE, u64::max)
}

#[cfg(test)]
mod tests;
