//! Images made by mkfs.erofs, read back byte by byte; damaged ones.

use super::{Erofs, MountError};
use crate::block::BlockDevice;
use crate::tests::support::{read_all, read_file};
use crate::{
    FileKind, FileSystem, FollowLast, FsError, FsResult, InodeRef, Link, Namespace, OpenFile, OpenFlags, StatusFlags,
    VecSink,
};
use hal::hil::testing::{RamDisk, Writable};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::{env, fs};

struct Tree {
    dir: PathBuf,
}

impl Tree {
    fn new(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("demitasse-erofs-{}-{name}", std::process::id()));
        let _left_over = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("root")).expect("a temporary directory");
        Self { dir }
    }
    fn root(&self) -> PathBuf {
        self.dir.join("root")
    }
    fn image(&self, options: &[&str]) -> Vec<u8> {
        let image = self.dir.join("image");
        let _old = fs::remove_file(&image);
        let output = Command::new("mkfs.erofs").args(options).arg(&image).arg(self.root()).output();
        let output = output.expect("mkfs.erofs is installed (package erofs-utils)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(&image).expect("just made")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ignored = fs::remove_dir_all(&self.dir);
    }
}

fn bytes(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

/// A bit of everything: sizes around block borders, many names, long names, links, modes.
/// (mkfs.erofs 1.5 itself fails on names of 255 bytes.)
fn fill(root: &Path) {
    for size in [0, 1, 100, 4000, 4095, 4096, 4097, 8191, 8192, 100_000, 1 << 20, (1 << 20) + 17] {
        fs::write(root.join(format!("size-{size}")), bytes(size, size as u32)).expect("room");
    }
    let many = root.join("many");
    fs::create_dir(&many).expect("new");
    for index in 0..1500 {
        fs::write(many.join(format!("entry-number-{index}")), format!("{index}")).expect("room");
    }
    fs::create_dir_all(root.join("usr/lib/jvm/deep/er")).expect("new");
    fs::write(root.join("usr/lib/jvm/deep/er").join("n".repeat(254)), b"long").expect("room");
    fs::create_dir(root.join("empty")).expect("new");
    symlink("usr/lib", root.join("lib")).expect("new");
    symlink("/usr/lib/jvm", root.join("jvm")).expect("new");
    symlink("x".repeat(3000), root.join("long-link")).expect("new");
    fs::hard_link(root.join("size-100"), root.join("second-name")).expect("new");
    fs::set_permissions(root.join("size-1"), fs::Permissions::from_mode(0o4751)).expect("own file");
}

fn mount(image: Vec<u8>) -> Result<Arc<Erofs>, MountError> {
    Erofs::mount(BlockDevice::new(Arc::new(RamDisk::new("root0", image, Writable::No))))
}

fn compare(inode: &InodeRef, path: &Path, extended: Extended) {
    let real = fs::symlink_metadata(path).expect("in the tree");
    let here = inode.metadata();
    let name = path.display();
    assert_eq!(here.mode, real.mode() & 0o7777, "{name}");
    if !real.is_dir() {
        assert_eq!(here.size, real.len(), "{name}");
        assert_eq!(u64::from(here.nlink), real.nlink(), "{name}");
    }
    if extended == Extended::Yes {
        assert_eq!(here.mtime_ns, real.mtime() * 1_000_000_000 + real.mtime_nsec(), "{name}");
    }
    match here.kind {
        FileKind::Regular => {
            let file = OpenFile::new(inode.clone().open(StatusFlags::READ).expect("readable"), None, StatusFlags::READ);
            assert!(read_all(&file).expect("readable") == fs::read(path).expect("readable"), "{name}");
            let backing = inode.backing().expect("can be mapped");
            let mut mapped = Vec::new();
            for index in 0..here.size.div_ceil(4096) {
                let frame = backing.fault_page(index, false).expect("readable");
                mapped.extend_from_slice(crate::page_cache::page_bytes(&frame));
            }
            assert!(mapped[here.size as usize..].iter().all(|byte| *byte == 0), "{name}: tail of the last page");
            mapped.truncate(here.size as usize);
            assert!(mapped == fs::read(path).expect("readable"), "{name}, mapped");
        }
        FileKind::Symlink => {
            let target = inode.readlink().expect("a link");
            assert_eq!(target.text(), fs::read_link(path).expect("a link").as_os_str().as_encoded_bytes());
        }
        FileKind::Directory => {
            let mut listed = BTreeMap::new();
            inode
                .readdir(0, &mut |entry| {
                    listed.insert(String::from_utf8(entry.name.to_vec()).expect("text"), (entry.ino, entry.kind));
                    true
                })
                .expect("a directory");
            let real: Vec<String> = fs::read_dir(path)
                .expect("a directory")
                .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
                .collect();
            assert_eq!(listed.len(), real.len(), "{name}");
            for entry in real {
                let below = inode.lookup(entry.as_bytes()).unwrap_or_else(|error| panic!("{name}/{entry}: {error:?}"));
                let shown = below.metadata();
                assert_eq!(listed[&entry], (shown.ino, shown.kind));
                compare(&below, &path.join(entry), extended);
            }
        }
        kind => panic!("{name}: {kind:?}"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extended {
    Yes,
    No,
}

#[test]
fn an_image_reads_as_its_tree() {
    let tree = Tree::new("whole");
    fill(&tree.root());
    for (options, extended) in [
        (&["-Enoinline_data,force-inode-extended"][..], Extended::Yes),
        (&["-Eforce-inode-extended"], Extended::Yes),
        (&["-Eforce-inode-compact", "-T1700000000"], Extended::No),
        (&["-x-1", "--all-root", "-Enoinline_data", "-U00000000-0000-0000-0000-000000000001"], Extended::No),
    ] {
        let image = mount(tree.image(options)).expect("a good image");
        compare(&image.root(), &tree.root(), extended);
        let statistics = image.statistics();
        assert!(statistics.read_only && statistics.blocks > 500);
    }
}

#[test]
fn names_that_are_not_there_are_not_found() {
    let tree = Tree::new("absent");
    fill(&tree.root());
    let image = mount(tree.image(&["-Enoinline_data"])).expect("a good image");
    let many = image.root().lookup(b"many").expect("there");
    for name in ["a", "zzz", "entry-number-", "entry-number-15000", "entry-number-7000", "entry-number-99x", "entry"] {
        assert_eq!(many.lookup(name.as_bytes()).err(), Some(FsError::NotFound), "{name}");
    }
    assert_eq!(image.root().lookup(b"empty").expect("there").lookup(b"x").err(), Some(FsError::NotFound));
    assert_eq!(image.root().lookup(b"size-1").expect("there").lookup(b"x").err(), Some(FsError::NotDirectory));
    let mut seen = 0;
    let mut cursor = 0;
    loop {
        let mut left = 10;
        many.readdir(cursor, &mut |entry| {
            left -= 1;
            if left >= 0 {
                seen += 1;
                cursor = entry.next_cursor;
            }
            left >= 0
        })
        .expect("a directory");
        if left == 10 {
            break;
        }
    }
    assert_eq!(seen, 1500, "in pieces of ten");
}

#[test]
fn an_image_serves_as_root() {
    let tree = Tree::new("root");
    fill(&tree.root());
    let space = Namespace::new(mount(tree.image(&["-Enoinline_data"])).expect("a good image"), "/dev/vda");
    let long = format!("/lib/jvm/deep/../deep/er/{}", "n".repeat(254));
    assert_eq!(read_file(&space, &long), Ok(b"long".to_vec()));
    assert_eq!(read_file(&space, "/jvm/none"), Err(FsError::NotFound));
    let place = space.resolve(space.root(), b"/jvm/deep", FollowLast::Yes).expect("there");
    assert_eq!(place.path(), Ok(b"/usr/lib/jvm/deep".to_vec()));
    let fails = |flags, status| space.open(space.root(), b"/size-1", flags, status, 0).err();
    assert_eq!(fails(OpenFlags::empty(), StatusFlags::WRITE), Some(FsError::ReadOnly));
    assert_eq!(fails(OpenFlags::CREATE, StatusFlags::READ), None);
    assert_eq!(space.unlink(space.root(), b"/size-1"), Err(FsError::ReadOnly));
    let file = space.open(space.root(), b"/size-8192", OpenFlags::empty(), StatusFlags::READ, 0).expect("there");
    let mapped = file.backing().expect("can be mapped");
    assert_eq!((mapped.path(), mapped.size(), mapped.writable_shared()), ("/size-8192".to_owned(), 8192, false));
    assert_eq!(file.truncate(0), Err(FsError::Invalid));
    assert!(matches!(place.inode().readlink(), Err(FsError::Invalid)));
    assert!(matches!(space.root().inode().lookup(b"lib").map(|link| link.readlink()), Ok(Ok(Link::Path(_)))));
}

#[test]
fn what_is_no_proper_image_is_refused_with_its_reason() {
    let tree = Tree::new("refused");
    fs::write(tree.root().join("f"), bytes(10_000, 1)).expect("room");
    let good = tree.image(&["-Enoinline_data"]);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut image = good.clone();
        change(&mut image);
        mount(image).err()
    };
    assert_eq!(with(|_| ()), None);
    assert_eq!(with(|image| image.truncate(1024)), Some(MountError::Magic));
    assert_eq!(with(|image| image[1024] ^= 1), Some(MountError::Magic));
    assert_eq!(with(|image| image[1024 + 12] = 9), Some(MountError::BlockSize(9)));
    assert_eq!(with(|image| image[1024 + 24] ^= 1), Some(MountError::Checksum));
    assert_eq!(with(|image| image.truncate(image.len() - 4096)), Some(MountError::Truncated));
    let compressed = tree.image(&["-zlz4"]);
    match mount(compressed) {
        Err(MountError::Features(_)) => {}
        Ok(image) => {
            let file = image.root().lookup(b"f").and_then(|file| file.open(StatusFlags::READ));
            assert_eq!(file.err(), Some(FsError::Io), "a compressed file must not be readable as it is");
        }
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(mount(tree.image(&["--chunksize=4096"])).err(), Some(MountError::Features(4)));
}

/// A small image without checksum, so that damage reaches what lies behind the superblock's check.
fn small_image() -> &'static Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let tree = Tree::new("small");
        let root = tree.root();
        fs::create_dir_all(root.join("a/b")).expect("new");
        for index in 0..200 {
            fs::write(root.join("a").join(format!("file-{index}")), bytes(index * 40, 3)).expect("room");
        }
        symlink("a/b", root.join("link")).expect("new");
        fs::write(root.join("big"), bytes(50_000, 5)).expect("room");
        let mut image = tree.image(&["-Enosbcrc,force-inode-extended"]);
        image[1024 + 8] &= !1;
        image
    })
}

/// Visits everything that can be reached, up to a bound, whatever errors come.
fn visit(inode: &InodeRef, budget: &mut usize) -> FsResult<()> {
    if *budget == 0 {
        return Ok(());
    }
    *budget -= 1;
    let metadata = inode.metadata();
    match metadata.kind {
        FileKind::Directory => {
            let mut names = Vec::new();
            let _maybe = inode.readdir(0, &mut |entry| {
                names.push(entry.name.to_vec());
                names.len() < 300
            });
            let _absent = inode.lookup(b"file-77x");
            for name in names {
                if let Ok(below) = inode.lookup(&name) {
                    let _maybe = visit(&below, budget);
                }
            }
        }
        FileKind::Regular => {
            let file = inode.clone().open(StatusFlags::READ)?;
            let _maybe = file.read_at(0, &mut VecSink::new(20_000));
            let _maybe = file.read_at(metadata.size.saturating_sub(5), &mut VecSink::new(4096));
            if let Some(backing) = inode.backing() {
                let _maybe = backing.fault_page(metadata.size / 4096, false);
            }
        }
        _ => {
            let _maybe = inode.readlink();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn damage_never_panics(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..40),
        fields in proptest::collection::vec((0..400usize, 0..16usize, any::<u32>()), 0..10),
        superblock in proptest::option::of((4..128usize, any::<u8>())),
    ) {
        let mut image = small_image().clone();
        for (index, value) in flips {
            let at = 1152 + index.index(image.len() - 1152);
            image[at] = value;
        }
        // Aimed at inode records: aligned words in the metadata.
        for (record, field, value) in fields {
            let at = 1152 + record * 32 + field * 4;
            if at + 4 <= image.len() {
                image[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
        if let Some((at, value)) = superblock {
            image[1024 + at] = value;
        }
        if let Ok(image) = mount(image) {
            let mut budget = 300;
            let _maybe = visit(&image.root(), &mut budget);
        }
    }
}
