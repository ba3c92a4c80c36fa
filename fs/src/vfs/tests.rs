use crate::tests::support::{RW, mount, names, open, read_file, tmp_namespace, write_file};
use crate::tmpfs::{Limits, Tmpfs};
use crate::{
    FileKind, FileSystem, FollowLast, FsError, FsResult, Namespace, NewNode, OpenFlags, RenameMode, StatusFlags,
    UnionFs,
};
use std::sync::Arc;

fn mkdir(space: &Namespace, path: &str) -> FsResult<()> {
    space.create(space.root(), path.as_bytes(), NewNode::Directory, 0o755).map(|_| ())
}

fn symlink(space: &Namespace, target: &str, path: &str) {
    let node = NewNode::Symlink(target.as_bytes().to_vec());
    space.create(space.root(), path.as_bytes(), node, 0o777).expect("new");
}

fn kind(space: &Namespace, path: &str) -> FsResult<FileKind> {
    space.metadata(space.root(), path.as_bytes(), FollowLast::Yes).map(|metadata| metadata.kind)
}

fn rename(space: &Namespace, old: &str, new: &str, mode: RenameMode) -> FsResult<()> {
    space.rename(space.root(), old.as_bytes(), space.root(), new.as_bytes(), mode)
}

#[test]
fn paths_are_walked_as_posix_says() {
    let space = tmp_namespace(100);
    mkdir(&space, "/a").expect("new");
    mkdir(&space, "/a/b/").expect("a slash may follow a new directory");
    write_file(&space, "/a/b/f", b"x");
    assert_eq!(kind(&space, "/a//b/./../b/f"), Ok(FileKind::Regular));
    assert_eq!(kind(&space, "/../../a/b/"), Ok(FileKind::Directory));
    assert_eq!(kind(&space, "/a/b/f/"), Err(FsError::NotDirectory));
    assert_eq!(kind(&space, "/a/b/f/x"), Err(FsError::NotDirectory));
    assert_eq!(kind(&space, "/a/b/f/."), Err(FsError::NotDirectory));
    assert_eq!(kind(&space, "/a/b/f/.."), Err(FsError::NotDirectory));
    assert_eq!(kind(&space, "/a/x/.."), Err(FsError::NotFound));
    assert_eq!(kind(&space, ""), Err(FsError::NotFound));
    assert_eq!(kind(&space, &"x".repeat(256)), Err(FsError::NameTooLong));
    assert_eq!(kind(&space, &"x".repeat(255)), Err(FsError::NotFound));
    assert_eq!(kind(&space, &"/a/..".repeat(900)), Err(FsError::NameTooLong));
    let base = space.resolve(space.root(), b"/a", FollowLast::Yes).expect("there");
    assert_eq!(space.metadata(&base, b"b/f", FollowLast::Yes).map(|found| found.size), Ok(1));
    assert_eq!(space.metadata(&base, b"../a", FollowLast::Yes).map(|found| found.ino), Ok(base.metadata().ino));
}

#[test]
fn links_are_followed_forty_times() {
    let space = tmp_namespace(100);
    mkdir(&space, "/d").expect("new");
    write_file(&space, "/d/f", b"here");
    symlink(&space, "d", "/rel");
    symlink(&space, "/d/f", "/abs");
    symlink(&space, "../rel/f", "/d/up");
    symlink(&space, "loop", "/loop");
    symlink(&space, "nowhere", "/dangling");
    assert_eq!(read_file(&space, "/rel/up"), Ok(b"here".to_vec()));
    assert_eq!(read_file(&space, "/abs"), Ok(b"here".to_vec()));
    assert_eq!(read_file(&space, "/loop"), Err(FsError::Loop));
    assert_eq!(read_file(&space, "/loop/x"), Err(FsError::Loop));
    assert_eq!(read_file(&space, "/dangling"), Err(FsError::NotFound));
    assert_eq!(kind(&space, "/abs/"), Err(FsError::NotDirectory));
    let link = space.metadata(space.root(), b"/rel", FollowLast::No).expect("there");
    assert_eq!((link.kind, link.size), (FileKind::Symlink, 1));
    let slashed = space.metadata(space.root(), b"/rel/", FollowLast::No).expect("there");
    assert_eq!(slashed.kind, FileKind::Directory);
    let nofollow = open(&space, "/abs", OpenFlags::NOFOLLOW, StatusFlags::READ);
    assert_eq!(nofollow.err(), Some(FsError::Loop));
    symlink(&space, "/d/f", "/l0");
    (1..=40).for_each(|index| symlink(&space, &format!("l{}", index - 1), &format!("/l{index}")));
    assert_eq!(kind(&space, "/l39"), Ok(FileKind::Regular));
    assert_eq!(kind(&space, "/l40"), Err(FsError::Loop));
    // A link to a name that does not exist: CREATE makes it, EXCLUSIVE does not.
    let create = |flags| open(&space, "/dangling", OpenFlags::CREATE | flags, RW).map(|_| ());
    assert_eq!(create(OpenFlags::EXCLUSIVE), Err(FsError::Exists));
    assert_eq!(create(OpenFlags::NOFOLLOW), Err(FsError::Loop));
    assert_eq!(create(OpenFlags::empty()), Ok(()));
    assert_eq!(kind(&space, "/nowhere"), Ok(FileKind::Regular));
}

#[test]
fn opening_refuses_what_linux_refuses() {
    let space = tmp_namespace(100);
    mkdir(&space, "/d").expect("new");
    write_file(&space, "/f", b"abc");
    let fails = |path: &str, flags, status| open(&space, path, flags, status).err();
    assert_eq!(fails("/d", OpenFlags::empty(), RW), Some(FsError::IsDirectory));
    assert_eq!(fails("/d", OpenFlags::CREATE, StatusFlags::READ), Some(FsError::IsDirectory));
    assert_eq!(fails("/new/", OpenFlags::CREATE, RW), Some(FsError::IsDirectory));
    assert_eq!(fails("/f", OpenFlags::DIRECTORY, StatusFlags::READ), Some(FsError::NotDirectory));
    assert_eq!(fails("/f", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, RW), Some(FsError::Exists));
    assert_eq!(fails("/x/y", OpenFlags::CREATE, RW), Some(FsError::NotFound));
    assert_eq!(fails("/f", OpenFlags::empty(), StatusFlags::READ), None);
    let place = open(&space, "/f", OpenFlags::empty(), StatusFlags::PATH).expect("there");
    assert_eq!(crate::tests::support::read(&place, 1), Err(FsError::BadHandle));
    assert_eq!(place.metadata().size, 3);
    open(&space, "/f", OpenFlags::TRUNCATE, RW).expect("there");
    assert_eq!(place.metadata().size, 0);
    let unnamed = open(&space, "/d", OpenFlags::TMPFILE, RW).expect("tmpfs can");
    assert_eq!(names(&space, "/d"), [""; 0]);
    space.link_place(unnamed.place().expect("made up"), space.root(), b"/d/named").expect("gets a name");
    assert_eq!(names(&space, "/d"), ["named"]);
}

#[test]
fn removed_names_are_gone_and_open_files_stay() {
    let space = tmp_namespace(100);
    mkdir(&space, "/d").expect("new");
    write_file(&space, "/d/f", b"abc");
    let file = open(&space, "/d/f", OpenFlags::empty(), RW).expect("there");
    let dir = space.resolve(space.root(), b"/d", FollowLast::Yes).expect("there");
    assert_eq!(space.rmdir(space.root(), b"/d"), Err(FsError::NotEmpty));
    assert_eq!(space.unlink(space.root(), b"/d"), Err(FsError::IsDirectory));
    assert_eq!(space.rmdir(space.root(), b"/d/f"), Err(FsError::NotDirectory));
    assert_eq!(space.rmdir(space.root(), b"/d/."), Err(FsError::Invalid));
    assert_eq!(space.rmdir(space.root(), b"/d/.."), Err(FsError::NotEmpty));
    assert_eq!(space.rmdir(space.root(), b"/"), Err(FsError::Busy));
    space.unlink(space.root(), b"/d/f").expect("there");
    assert_eq!(space.unlink(space.root(), b"/d/f"), Err(FsError::NotFound));
    assert_eq!((file.metadata().nlink, file.path()), (0, b"/d/f (deleted)".to_vec()));
    assert_eq!(dir.path(), Ok(b"/d".to_vec()));
    space.rmdir(space.root(), b"/d/").expect("empty");
    assert_eq!(dir.path(), Err(FsError::NotFound));
    assert_eq!(space.create(&dir, b"x", NewNode::Regular, 0).err(), Some(FsError::NotFound));
    assert_eq!(kind(&space, "/d"), Err(FsError::NotFound));
}

#[test]
fn renames_move_whole_trees_and_refuse_cycles() {
    let space = tmp_namespace(100);
    for path in ["/a", "/a/b", "/a/b/c", "/empty", "/full", "/full/x"] {
        mkdir(&space, path).expect("new");
    }
    write_file(&space, "/f", b"1");
    write_file(&space, "/g", b"22");
    let deep = space.resolve(space.root(), b"/a/b/c", FollowLast::Yes).expect("there");
    let replace = |old, new| rename(&space, old, new, RenameMode::Replace);
    assert_eq!(replace("/a", "/a/b/c/d"), Err(FsError::Invalid));
    assert_eq!(replace("/a/b/c", "/a"), Err(FsError::NotEmpty));
    assert_eq!(replace("/a", "/full"), Err(FsError::NotEmpty));
    assert_eq!(replace("/a", "/f"), Err(FsError::NotDirectory));
    assert_eq!(replace("/f", "/empty"), Err(FsError::IsDirectory));
    assert_eq!(replace("/f", "/new/"), Err(FsError::NotDirectory));
    assert_eq!(replace("/none", "/f"), Err(FsError::NotFound));
    assert_eq!(replace("/.", "/x"), Err(FsError::Busy));
    assert_eq!(replace("/a/b", "/empty"), Ok(()));
    assert_eq!(deep.path(), Ok(b"/empty/c".to_vec()));
    assert_eq!(kind(&space, "/a/b"), Err(FsError::NotFound));
    assert_eq!(kind(&space, "/empty/c/.."), Ok(FileKind::Directory));
    assert_eq!(rename(&space, "/f", "/g", RenameMode::NoReplace), Err(FsError::Exists));
    assert_eq!(rename(&space, "/f", "/g", RenameMode::Exchange), Ok(()));
    assert_eq!((read_file(&space, "/f"), read_file(&space, "/g")), (Ok(b"22".to_vec()), Ok(b"1".to_vec())));
    assert_eq!(replace("/f", "/g"), Ok(()));
    assert_eq!(read_file(&space, "/g"), Ok(b"22".to_vec()));
    space.link(space.root(), b"/g", FollowLast::No, space.root(), b"/h").expect("a second name");
    assert_eq!(replace("/g", "/h"), Ok(()));
    assert_eq!((kind(&space, "/g"), kind(&space, "/h")), (Ok(FileKind::Regular), Ok(FileKind::Regular)));
    let nlink = |path: &str| space.metadata(space.root(), path.as_bytes(), FollowLast::No).expect("there").nlink;
    assert_eq!((nlink("/h"), nlink("/"), nlink("/a"), nlink("/empty")), (2, 5, 2, 3));
}

#[test]
fn mounts_hide_what_is_below() {
    let space = tmp_namespace(100);
    mkdir(&space, "/m").expect("new");
    write_file(&space, "/m/hidden", b"");
    let small = Tmpfs::new(Limits { pages: 10, inodes: 10 });
    mount(&space, "/m", small.clone());
    assert_eq!(names(&space, "/m"), [""; 0]);
    mkdir(&space, "/m/sub").expect("new");
    assert_eq!(kind(&space, "/m/sub/../../m/sub"), Ok(FileKind::Directory));
    let sub = space.resolve(space.root(), b"/m/sub", FollowLast::Yes).expect("there");
    assert_eq!(sub.path(), Ok(b"/m/sub".to_vec()));
    write_file(&space, "/f", b"");
    assert_eq!(rename(&space, "/f", "/m/f", RenameMode::Replace), Err(FsError::CrossDevice));
    assert_eq!(space.link(space.root(), b"/f", FollowLast::No, space.root(), b"/m/f"), Err(FsError::CrossDevice));
    assert_eq!(space.rmdir(space.root(), b"/m"), Err(FsError::Busy));
    assert_eq!(rename(&space, "/m", "/n", RenameMode::Replace), Err(FsError::Busy));
    mkdir(&space, "/m/sub/deep").expect("new");
    mount(&space, "/m/sub/deep", Tmpfs::new(Limits::UNLIMITED));
    assert_eq!(space.unmount(b"/m"), Err(FsError::Busy));
    assert_eq!(space.unmount(b"/m/sub"), Err(FsError::Invalid));
    assert_eq!(space.unmount(b"/m/sub/deep"), Ok(()));
    assert_eq!(space.unmount(b"/m"), Ok(()));
    assert_eq!(names(&space, "/m"), ["hidden"]);
    drop(sub);
    assert_eq!(Arc::strong_count(&small), 1, "the tree is freed with its mount");
}

#[test]
fn a_tree_of_mounts_goes_at_once() {
    let space = tmp_namespace(100);
    let (outer, inner) = (Tmpfs::new(Limits::UNLIMITED), Tmpfs::new(Limits::UNLIMITED));
    mkdir(&space, "/tmp").expect("new");
    mount(&space, "/tmp", outer.clone());
    mkdir(&space, "/tmp/a").expect("new");
    mount(&space, "/tmp/a", inner.clone());
    write_file(&space, "/tmp/a/f", b"inner");
    write_file(&space, "/tmp/g", &[1; 10_000]);
    let held = open(&space, "/tmp/g", OpenFlags::empty(), StatusFlags::READ).expect("there");
    space.unmount_tree(b"/tmp").expect("mounted");
    assert_eq!((space.mounts().len(), names(&space, "/tmp").len()), (1, 0));
    assert_eq!(space.unmount_tree(b"/tmp").err(), Some(FsError::Invalid));
    assert_eq!(space.unmount_tree(b"/").err(), Some(FsError::Busy));
    assert_eq!(Arc::strong_count(&inner), 1);
    assert_eq!(crate::tests::support::read(&held, 3), Ok(vec![1; 3]));
    drop(held);
    assert_eq!(Arc::strong_count(&outer), 1);
}

/// A file of one tree as a tree of its own.
struct OneFile(crate::InodeRef);

impl FileSystem for OneFile {
    fn root(&self) -> crate::InodeRef {
        self.0.clone()
    }
    fn type_name(&self) -> &'static str {
        "one"
    }
    fn statistics(&self) -> crate::FsStat {
        crate::FsStat::default()
    }
}

#[test]
fn a_file_can_be_mounted_on_a_file() {
    let space = tmp_namespace(100);
    write_file(&space, "/shown", b"shown");
    write_file(&space, "/place", b"hidden");
    mkdir(&space, "/dir").expect("new");
    let shown = space.resolve(space.root(), b"/shown", FollowLast::Yes).expect("there").inode().clone();
    assert_eq!(space.mount(b"/dir", Arc::new(OneFile(shown.clone())), "x").err(), Some(FsError::NotDirectory));
    mount(&space, "/place", Arc::new(OneFile(shown)));
    assert_eq!(read_file(&space, "/place"), Ok(b"shown".to_vec()));
    let file = open(&space, "/place", OpenFlags::empty(), StatusFlags::READ).expect("there");
    assert_eq!(file.path(), b"/place".to_vec());
    assert_eq!(space.unlink(space.root(), b"/place"), Err(FsError::Busy));
    assert_eq!(space.unmount(b"/place"), Ok(()));
    assert_eq!(read_file(&space, "/place"), Ok(b"hidden".to_vec()));
}

#[test]
fn a_union_shows_the_first_of_each_name() {
    let layer = |files: &[(&str, &str)]| -> Arc<dyn FileSystem> {
        let fs = Tmpfs::new(Limits::UNLIMITED);
        let space = Namespace::new(fs.clone(), "layer");
        for (path, text) in files {
            match *text {
                "/" => mkdir(&space, path).expect("new"),
                text => write_file(&space, path, text.as_bytes()),
            }
        }
        fs
    };
    let top = layer(&[("/etc", "/"), ("/etc/a", "top"), ("/hides", "file"), ("/only", "/"), ("/only/x", "1")]);
    let base =
        layer(&[("/etc", "/"), ("/etc/a", "base"), ("/etc/b", "base"), ("/hides", "/"), ("/hides/y", ""), ("/z", "z")]);
    let space = Namespace::new(UnionFs::new(vec![top, base]).expect("two layers"), "union");
    assert_eq!(read_file(&space, "/etc/a"), Ok(b"top".to_vec()));
    assert_eq!(read_file(&space, "/etc/b"), Ok(b"base".to_vec()));
    assert_eq!(kind(&space, "/hides/y"), Err(FsError::NotDirectory));
    assert_eq!(names(&space, "/"), ["etc", "hides", "only", "z"]);
    assert_eq!(names(&space, "/etc"), ["a", "b"]);
    assert_eq!(open(&space, "/etc/a", OpenFlags::empty(), RW).err(), Some(FsError::ReadOnly));
    assert_eq!(open(&space, "/etc/new", OpenFlags::CREATE, RW).err(), Some(FsError::ReadOnly));
    assert_eq!(mkdir(&space, "/etc"), Err(FsError::Exists));
    assert_eq!(mkdir(&space, "/new"), Err(FsError::ReadOnly));
    assert_eq!(space.unlink(space.root(), b"/z"), Err(FsError::ReadOnly));
}

#[test]
fn the_cache_knows_absences_and_forgets_them_when_files_come() {
    let space = tmp_namespace(1000);
    for round in 0..3 {
        assert_eq!(kind(&space, "/late"), Err(FsError::NotFound));
        write_file(&space, "/late", b"");
        assert_eq!(kind(&space, "/late"), Ok(FileKind::Regular), "round {round}");
        space.unlink(space.root(), b"/late").expect("there");
    }
    // Far more absences than the cache keeps.
    for index in 0..50_000 {
        assert_eq!(kind(&space, &format!("/no{index}")), Err(FsError::NotFound));
    }
    assert!(space.shrink() < 16 * 2048 + 1);
}

#[test]
fn threads_that_make_and_remove_one_name_never_see_a_stale_one() {
    let space = tmp_namespace(1000);
    std::thread::scope(|scope| {
        for id in 0..4 {
            let space = &space;
            scope.spawn(move || {
                for _ in 0..2000 {
                    let path = format!("/n{}", id % 2);
                    match space.create(space.root(), path.as_bytes(), NewNode::Regular, 0) {
                        Ok(_) => {
                            // Only this thread's file is there now: a look-up must find it.
                            if id < 2 {
                                let _maybe = kind(space, &path);
                            }
                            let _maybe = space.unlink(space.root(), path.as_bytes());
                        }
                        Err(error) => assert_eq!(error, FsError::Exists),
                    }
                }
            });
        }
    });
    for path in ["/n0", "/n1"] {
        let _maybe = space.unlink(space.root(), path.as_bytes());
        assert_eq!(kind(&space, path), Err(FsError::NotFound));
        write_file(&space, path, b"");
        assert_eq!(kind(&space, path), Ok(FileKind::Regular));
    }
}

#[test]
fn a_deep_tree_is_freed_without_recursion() {
    let space = tmp_namespace(10);
    let mut dir = space.root().clone();
    for _ in 0..5000 {
        dir = space.create(&dir, b"d", NewNode::Directory, 0o755).expect("new");
    }
    let small_stack = std::thread::Builder::new().stack_size(64 << 10);
    let freeing = small_stack.spawn(move || {
        space.shrink();
        drop(dir);
        drop(space);
    });
    freeing.expect("a thread").join().expect("no overflow");
}
