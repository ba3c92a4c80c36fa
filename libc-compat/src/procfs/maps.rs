//! /proc/PID/maps: one line an area, as `show_map_vma` of Linux 6.1 writes it (proc(5)).

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use fs::{FsError, FsResult};
use mm::{AreaInfo, Protection, Sharing};

/// Column at which the name begins.
pub const NAME_COLUMN: usize = 73;
/// Bytes of a usual line, for the first allocation.
const LINE_GUESS: usize = 96;

/// The whole file.
pub fn render(areas: &[AreaInfo]) -> FsResult<Vec<u8>> {
    let mut out = text_for(areas, LINE_GUESS)?;
    for area in areas {
        line(&mut out, area);
    }
    Ok(out.into_bytes())
}

/// Room for so many bytes an area. There may be 65,530 of them. Errors: `NoMemory`.
pub fn text_for(areas: &[AreaInfo], each: usize) -> FsResult<String> {
    let mut out = String::new();
    out.try_reserve(areas.len() * each).map_err(|_| FsError::NoMemory)?;
    Ok(out)
}

/// Appends one area's line.
pub fn line(out: &mut String, area: &AreaInfo) {
    let (device, inode) = area.backing.as_ref().map_or((0, 0), |b| b.dev_ino());
    let from = out.len();
    prefix(out, area, device, inode);
    let label = area.label();
    if !label.is_empty() {
        while out.len() - from < NAME_COLUMN {
            out.push(' ');
        }
        // A newline in a path would look like another area.
        for c in label.chars() {
            if c == '\n' { out.push_str("\\012") } else { out.push(c) }
        }
    }
    out.push('\n');
}

fn prefix(out: &mut String, area: &AreaInfo, device: u64, inode: u64) {
    let flag = |bit: Protection, letter: char| if area.prot.contains(bit) { letter } else { '-' };
    let _ = write!(
        out,
        "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ",
        area.start,
        area.end,
        flag(Protection::READ, 'r'),
        flag(Protection::WRITE, 'w'),
        flag(Protection::EXEC, 'x'),
        if area.sharing == Sharing::Shared { 's' } else { 'p' },
        area.offset,
        crate::procfs::major(device),
        crate::procfs::minor(device),
        inode,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(start: u64, end: u64, prot: Protection, name: Option<&'static str>) -> AreaInfo {
        AreaInfo {
            start,
            end,
            prot,
            sharing: Sharing::Private,
            backing: None,
            offset: 0,
            name,
            accounted: true,
            stack: false,
            no_reserve: false,
            huge: mm::HugePolicy::Default,
        }
    }

    #[test]
    fn lines_are_those_of_linux() {
        let stack = area(0x7ffe_1b5c_0000, 0x7ffe_1b5e_1000, Protection::READ | Protection::WRITE, Some("[stack]"));
        let low = area(0x1000, 0x5000, Protection::empty(), None);
        let text = String::from_utf8(render(&[low, stack]).unwrap()).unwrap();
        assert_eq!(
            text,
            "00001000-00005000 ---p 00000000 00:00 0 \n\
             7ffe1b5c0000-7ffe1b5e1000 rw-p 00000000 00:00 0                          [stack]\n"
        );
    }

    #[test]
    fn this_process_has_the_same_columns() {
        let own = std::fs::read_to_string("/proc/self/maps").unwrap();
        let named = own.lines().find(|l| l.ends_with("[stack]")).unwrap();
        assert_eq!(named.find("[stack]"), Some(NAME_COLUMN));
    }
}
