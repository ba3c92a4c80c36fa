//! One file that boots: a root image that is also an ELF kernel (`--output`).
//!
//! The first 1024 bytes of an EROFS image are free. The kernel's ELF header and program headers go there, its segments
//! after the image's end, so the same file is given to QEMU (or any loader that knows PVH) both as kernel and as disk.

use crate::failure::{self, Failure};
use crate::interrupt;
use crate::machine::{Disk, Machine};
use crate::mkfs;
use crate::tree::Tree;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use wire::Manifest;

/// Free space at an EROFS image's start, in bytes.
const FREE: usize = 1024;
/// Alignment of the appended segments, in bytes.
const PAGE: usize = 4096;

/// Writes the tree with `manifest` inside, and the kernel of `machine`, to `file`.
pub fn write(file: &Path, mut tree: Tree, mut manifest: Manifest, machine: &Machine) -> Result<(), Failure> {
    manifest.binds = tree.binds();
    manifest.epoch_ns = None;
    tree.text(Path::new(wire::MANIFEST_PATH), manifest.to_string());
    let kernel =
        fs::read(&machine.kernel.image).map_err(|error| Failure::own_file("read", &machine.kernel.image, &error))?;
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = tempfile::Builder::new().prefix(".demitasse-").tempdir_in(directory);
    let work = work.map_err(|error| Failure::file("write to the folder", directory, &error))?;
    let image = work.path().join("image");
    mkfs::write(&tree, &image)?;
    interrupt::check()?;
    append(&image, &kernel).map_err(|why| Failure::build(format!("cannot write {}: {why}", file.display())))?;
    fs::rename(&image, file).map_err(|error| Failure::file("write", file, &error))
}

fn append(image: &Path, kernel: &[u8]) -> Result<(), String> {
    use std::io::{Seek, SeekFrom, Write};
    let words = |error: std::io::Error| failure::reason(&error);
    let mut out = fs::OpenOptions::new().write(true).open(image).map_err(words)?;
    let len = out.metadata().map_err(words)?.len() as usize;
    let start = len.next_multiple_of(PAGE);
    let head = moved_headers(kernel, start as u64)?;
    out.write_all(&head).map_err(words)?;
    out.seek(SeekFrom::Start(start as u64)).map_err(words)?;
    out.write_all(kernel).map_err(words)?;
    // A disk has whole sectors, an EROFS image whole blocks.
    out.set_len((start + kernel.len()).next_multiple_of(PAGE) as u64).map_err(words)
}

/// ELF header and program headers for a kernel whose file starts `by` bytes further on.
fn moved_headers(kernel: &[u8], by: u64) -> Result<Vec<u8>, String> {
    let field = |at: usize, len: usize| kernel.get(at..at + len).ok_or("the kernel file is cut short");
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    // Offsets in ELF64's header and program header: System V ABI.
    let (offset, size, count) = (number(field(0x20, 8)?), number(field(0x36, 2)?), number(field(0x38, 2)?));
    let (offset, size, count) = (offset as usize, size as usize, count as usize);
    let mut head = field(0, 64)?.to_vec();
    head[0x20..0x28].copy_from_slice(&64u64.to_le_bytes());
    for index in 0..count {
        let mut part = field(offset + index * size, size)?.to_vec();
        let moved = number(&part[8..16]) + by;
        part[8..16].copy_from_slice(&moved.to_le_bytes());
        head.extend(part);
    }
    if head.len() > FREE {
        return Err("the kernel has too many segments".into());
    }
    Ok(head)
}

/// The command that runs `file`, for the user to copy: input, output and the kernel's log on the terminal.
pub fn how_to_run(file: &Path, machine: &Machine) -> String {
    let mut bare = machine.clone();
    bare.kernel.image = file.to_path_buf();
    bare.layers.clear();
    bare.disks =
        vec![Disk { file: file.to_path_buf(), serial: wire::LAYER_SERIALS[0].to_string(), is_writable: false }];
    let mut words = vec![machine.qemu.clone().into_os_string()];
    words.extend(bare.arguments());
    words.extend(["-device".into(), format!("{},id=ports", bare.device("virtio-serial")).into()]);
    let ports = [
        ("stdin", wire::PORT_STDIN, "stdio,signal=off"),
        ("stdout", wire::PORT_STDOUT, "file,path=/dev/stdout,append=on"),
        ("stderr", wire::PORT_STDERR, "file,path=/dev/stderr,append=on"),
    ];
    for (id, name, backend) in ports {
        let (kind, settings) = backend.split_once(',').unwrap_or((backend, ""));
        words.extend(["-chardev".into(), format!("{kind},id={id},{settings}").into()]);
        words.extend(["-device".into(), format!("virtserialport,bus=ports.0,chardev={id},name={name}").into()]);
    }
    words.extend(["-serial".into(), "file:/dev/stderr".into()]);
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// As a shell reads it.
fn quoted(word: &OsString) -> String {
    let text = word.to_string_lossy().into_owned();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./,:=+".contains(&byte));
    if is_plain && !text.is_empty() { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goblin::elf::Elf;

    #[test]
    fn the_file_is_a_root_and_a_kernel() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut tree = Tree::new();
        tree.text(Path::new("/etc/hosts"), "x");
        let image = dir.path().join("image");
        mkfs::write(&tree, &image).unwrap();
        let kernel = fs::read("/proc/self/exe").unwrap();
        append(&image, &kernel).unwrap();
        let checked = std::process::Command::new("fsck.erofs").arg(&image).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        let file = fs::read(&image).unwrap();
        let (one, two) = (Elf::parse_header(&file).unwrap(), Elf::parse_header(&kernel).unwrap());
        assert_eq!((one.e_entry, one.e_phnum), (two.e_entry, two.e_phnum));
        let parts = |elf: &[u8]| {
            let header = Elf::parse_header(elf).unwrap();
            let ctx = goblin::container::Ctx::new(goblin::container::Container::Big, goblin::container::Endian::Little);
            goblin::elf::ProgramHeader::parse(elf, header.e_phoff as usize, header.e_phnum as usize, ctx).unwrap()
        };
        for (one, two) in parts(&file).iter().zip(parts(&kernel)) {
            assert_eq!(file[one.file_range()], kernel[two.file_range()]);
        }
    }
}
