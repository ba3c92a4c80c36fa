//! Mapping an executable: what execve(2) does with PT_LOAD segments.

use crate::elf::{ElfError, Image, Kind, Segment, page_up};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use fs::{Namespace, OpenFile, OpenFlags, SliceSink, StatusFlags};
use hal::addr::{PAGE_SIZE, USER_END};
use mm::{Backing, MapError, MapRequest, Placement, Protection, Sharing};

/// Where position-independent programs go, before the random offset (Linux's ELF_ET_DYN_BASE: two thirds up).
const PROGRAM_BASE: u64 = (USER_END / 3 * 2) & !(PAGE_SIZE - 1);
/// Pages of random offset for programs: 28 bits, as Linux on x86-64.
const PROGRAM_RANDOM_PAGES: u64 = (1 << 28) - 1;

/// An executable in the file system.
pub struct Executable {
    /// The open file.
    pub file: Arc<OpenFile>,
    /// What its headers say.
    pub image: Image,
}

/// An executable in memory.
pub struct Mapped {
    /// What to add to the file's addresses.
    pub bias: u64,
    /// First instruction.
    pub entry: u64,
    /// End of the last segment, page-aligned.
    pub end: u64,
}

/// Opens and judges the executable at `path`. The error is a line for the user.
pub fn open(namespace: &Namespace, path: &[u8]) -> Result<Executable, String> {
    let name = String::from_utf8_lossy(path);
    let file = namespace
        .open(namespace.root(), path, OpenFlags::empty(), StatusFlags::READ, 0)
        .map_err(|error| format!("{name} cannot be opened: {error:?}"))?;
    let size = file.metadata().size;
    let image = Image::parse(size, |offset, buffer| {
        let wanted = buffer.len();
        file.read_at(offset, &mut SliceSink::new(buffer)).is_ok_and(|count| count == wanted)
    })
    .map_err(|error: ElfError| format!("{name} cannot be run: {error}"))?;
    Ok(Executable { file, image })
}

/// Which of a process's two images is mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The program itself.
    Program,
    /// Its dynamic loader, or a program that has none: among the other mappings.
    Loader,
}

/// Maps all segments. The error is a line for the user.
pub fn map(executable: &Executable, role: Role) -> Result<Mapped, String> {
    let image = &executable.image;
    let failed = |error: MapError| format!("no place in memory for {}: {error:?}", executable.file.describe());
    let backing =
        executable.file.backing().map_err(|error| format!("cannot map {}: {error:?}", executable.file.describe()))?;
    let span = image.span();
    let bias = match (image.kind, role) {
        (Kind::Fixed, _) => 0,
        (Kind::Relocatable, Role::Program) => {
            let base = PROGRAM_BASE + mm::space().random_offset(PROGRAM_RANDOM_PAGES);
            (base & !(image.align - 1)).wrapping_sub(span.start)
        }
        (Kind::Relocatable, Role::Loader) => {
            // Nothing else runs in the space yet: a place that was free a moment ago still is.
            let space = mm::space();
            let len = span.end - span.start;
            let start = space.map(&MapRequest::anonymous(len, Protection::empty())).map_err(failed)?;
            space.unmap(start, len).map_err(failed)?;
            start.wrapping_sub(span.start)
        }
    };
    for segment in &image.segments {
        map_segment(segment, bias, &backing).map_err(failed)?;
    }
    Ok(Mapped { bias, entry: bias.wrapping_add(image.entry), end: bias.wrapping_add(span.end) })
}

fn map_segment(segment: &Segment, bias: u64, backing: &Arc<dyn Backing>) -> Result<(), MapError> {
    let prot = protection(segment);
    let space = mm::space();
    let start = bias.wrapping_add(segment.address) & !(PAGE_SIZE - 1);
    let file_end = bias.wrapping_add(segment.file_end());
    let end = page_up(bias.wrapping_add(segment.end()));
    let mut mapped_to = start;
    if segment.file_len > 0 {
        let offset = segment.file_offset & !(PAGE_SIZE - 1);
        mapped_to = page_up(file_end);
        let request = MapRequest::object(backing.clone(), offset, mapped_to - start, prot, Sharing::Private);
        space.map(&request.at(Placement::Fixed(start)))?;
        if segment.memory_len > segment.file_len && segment.writable && file_end < mapped_to {
            // The rest of the last file page belongs to bss.
            if let Err(fault) = hal::user::zero(file_end, (mapped_to - file_end) as usize) {
                log::warn!("bss at {:#x} is not cleared", fault.addr);
                return Err(MapError::NoMemory);
            }
        }
    }
    if end > mapped_to {
        space.map(&MapRequest::anonymous(end - mapped_to, prot).at(Placement::Fixed(mapped_to)))?;
    }
    Ok(())
}

fn protection(segment: &Segment) -> Protection {
    let mut prot = Protection::empty();
    prot.set(Protection::READ, segment.readable);
    prot.set(Protection::WRITE, segment.writable);
    prot.set(Protection::EXEC, segment.executable);
    prot
}

/// The dynamic loader of `executable`, opened; `None` for a static one.
pub fn open_loader(namespace: &Namespace, executable: &Executable) -> Result<Option<Executable>, String> {
    executable
        .image
        .interpreter
        .as_ref()
        .map(|path| open(namespace, path.as_bytes()))
        .transpose()
        .map_err(|error| format!("the dynamic loader of {} is missing or broken: {error}", executable.file.describe()))
}
