use super::support::{RW, list, mount, names, open, read, read_file, tmp_namespace, write};
use crate::proc::{ProcessSource, ProcessView, procfs};
use crate::{
    FileKind, FollowLast, FsError, FsResult, Link, Namespace, NewNode, OpenFile, OpenFlags, StatusFlags, dev, pipe,
    sysfs,
};
use std::sync::{Arc, Mutex};

struct Fake {
    descriptors: Vec<Arc<OpenFile>>,
    filter: Mutex<Vec<u8>>,
}

impl ProcessView for Fake {
    fn files(&self) -> &'static [(&'static str, u32)] {
        &[("maps", 0o444), ("coredump_filter", 0o644)]
    }
    fn read(&self, name: &str) -> FsResult<Vec<u8>> {
        match name {
            "maps" => Ok(b"00001000-00002000\n".to_vec()),
            _ => Ok(self.filter.lock().expect("no panic").clone()),
        }
    }
    fn write(&self, _name: &str, bytes: &[u8]) -> FsResult<()> {
        *self.filter.lock().expect("no panic") = bytes.to_vec();
        Ok(())
    }
    fn links(&self) -> &'static [&'static str] {
        &["exe"]
    }
    fn link(&self, _name: &str) -> FsResult<Link> {
        Ok(Link::Path(b"/bin/java".to_vec()))
    }
    fn descriptors(&self) -> Vec<i32> {
        (0..self.descriptors.len() as i32).collect()
    }
    fn descriptor(&self, fd: i32) -> Option<Link> {
        let file = self.descriptors.get(fd as usize)?;
        Some(Link::Place(file.place_or_made_up(), file.path()))
    }
    fn descriptor_info(&self, fd: i32) -> Option<Vec<u8>> {
        self.descriptors.get(fd as usize).map(|file| format!("pos:\t{}\n", file.position()).into_bytes())
    }
    fn threads(&self) -> Vec<u32> {
        vec![7, 8]
    }
    fn thread_files(&self) -> &'static [(&'static str, u32)] {
        &[("comm", 0o644)]
    }
    fn thread_read(&self, tid: u32, _name: &str) -> FsResult<Vec<u8>> {
        Ok(format!("thread-{tid}\n").into_bytes())
    }
}

struct Source(Arc<Fake>);

impl ProcessSource for Source {
    fn processes(&self) -> Vec<u32> {
        vec![7]
    }
    fn process(&self, pid: u32) -> Option<Arc<dyn ProcessView>> {
        (pid == 7).then(|| self.0.clone() as Arc<dyn ProcessView>)
    }
    fn current(&self) -> Option<(u32, u32)> {
        Some((7, 8))
    }
}

fn space_with(descriptors: impl FnOnce(&Arc<Namespace>) -> Vec<Arc<OpenFile>>) -> Arc<Namespace> {
    let space = tmp_namespace(100);
    for dir in ["proc", "sys", "dev", "tmp"] {
        space.create(space.root(), dir.as_bytes(), NewNode::Directory, 0o755).expect("new");
    }
    let fake = Arc::new(Fake { descriptors: descriptors(&space), filter: Mutex::new(b"00000033\n".to_vec()) });
    mount(&space, "/proc", procfs(Arc::new(Source(fake)), &space));
    mount(&space, "/sys", sysfs());
    mount(&space, "/dev", dev::devfs());
    space
}

fn text(space: &Namespace, path: &str) -> String {
    String::from_utf8(read_file(space, path).unwrap_or_else(|error| panic!("{path}: {error:?}"))).expect("text")
}

#[test]
fn the_system_s_files_have_their_forms() {
    let _ = hal::boot_info::get;
    let space = space_with(|_| vec![]);
    let memory = text(&space, "/proc/meminfo");
    let kib = |name: &str| -> u64 {
        let line = memory.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    assert!(kib("MemTotal:") > kib("MemFree:") && kib("MemAvailable:") > 0 && kib("Hugepagesize:") == 2048);
    assert!(text(&space, "/proc/stat").starts_with("cpu  "));
    assert!(text(&space, "/proc/stat").contains("\ncpu0 "));
    assert!(text(&space, "/proc/cpuinfo").contains("flags\t\t: fpu"));
    assert!(text(&space, "/proc/cpuinfo").contains("model name\t: "));
    assert_eq!(text(&space, "/proc/uptime").split_whitespace().count(), 2);
    assert_eq!(text(&space, "/proc/loadavg").split_whitespace().count(), 5);
    assert!(text(&space, "/proc/version").starts_with("Linux version "));
    assert!(text(&space, "/proc/filesystems").contains("nodev\ttmpfs\n"));
    assert_eq!(text(&space, "/proc/sys/vm/overcommit_memory"), "0\n");
    assert!(text(&space, "/proc/sys/vm/max_map_count").trim().parse::<u64>().expect("a number") > 65_000);
    assert_eq!(text(&space, "/proc/net/if_inet6"), "");
    let possible = text(&space, "/sys/devices/system/cpu/possible");
    assert!(possible == "0\n" || possible.starts_with("0-"));
    assert!(text(&space, "/sys/kernel/mm/transparent_hugepage/enabled").contains("[madvise]"));
    assert_eq!(names(&space, "/sys/kernel/mm/hugepages"), [""; 0]);
    assert_eq!(text(&space, "/proc/sys/kernel/random/uuid").len(), 37);
    assert_eq!(text(&space, "/proc/sys/kernel/random/boot_id"), text(&space, "/proc/sys/kernel/random/boot_id"));
    assert_eq!(space.create(space.root(), b"/proc/x", NewNode::Directory, 0).err(), Some(FsError::NotFound));
}

#[test]
fn the_process_is_shown_through_its_view() {
    let mut writer = None;
    let space = space_with(|space| {
        let (reader, end) = pipe::pipe(StatusFlags::empty());
        writer = Some(end);
        let file = open(space, "/tmp/gone", OpenFlags::CREATE, RW).expect("new");
        write(&file, b"still here").expect("room");
        space.unlink(space.root(), b"/tmp/gone").expect("there");
        vec![reader, file]
    });
    assert_eq!(text(&space, "/proc/self/maps"), "00001000-00002000\n");
    assert_eq!(space.readlink(space.root(), b"/proc/self"), Ok(b"7".to_vec()));
    assert_eq!(space.readlink(space.root(), b"/proc/self/exe"), Ok(b"/bin/java".to_vec()));
    assert_eq!(text(&space, "/proc/thread-self/comm"), "thread-8\n");
    assert_eq!(names(&space, "/proc/self/task"), ["7", "8"]);
    assert_eq!(names(&space, "/proc/7/fd"), ["0", "1"]);
    assert!(names(&space, "/proc").contains(&"7".to_owned()));
    assert_eq!(open(&space, "/proc/8", OpenFlags::empty(), StatusFlags::READ).err(), Some(FsError::NotFound));
    assert_eq!(open(&space, "/proc/07", OpenFlags::empty(), StatusFlags::READ).err(), Some(FsError::NotFound));
    assert_eq!(space.readlink(space.root(), b"/proc/self/fd/1"), Ok(b"/tmp/gone (deleted)".to_vec()));
    // Opening the magic link of a file without a name gives the file.
    assert_eq!(text(&space, "/proc/self/fd/1"), "still here");
    assert_eq!(text(&space, "/dev/fd/1"), "still here");
    write(&writer.expect("set above"), b"through the link").expect("room");
    let again = open(&space, "/proc/self/fd/0", OpenFlags::empty(), StatusFlags::READ).expect("a pipe");
    assert_eq!(read(&again, 100), Ok(b"through the link".to_vec()));
    let stat = space.metadata(space.root(), b"/dev/stdin", FollowLast::Yes).expect("a pipe");
    assert_eq!(stat.kind, FileKind::Fifo);
    assert_eq!(text(&space, "/proc/self/fdinfo/1"), "pos:\t10\n");
    let filter = open(&space, "/proc/self/coredump_filter", OpenFlags::empty(), RW).expect("may be written");
    assert_eq!(read(&filter, 100), Ok(b"00000033\n".to_vec()));
    write(&filter, b"0x7").expect("may be written");
    assert_eq!(text(&space, "/proc/self/coredump_filter"), "0x7");
    let mounts = text(&space, "/proc/mounts");
    assert!(mounts.starts_with("tmpfs / tmpfs rw,relatime"), "{mounts}");
    assert!(mounts.contains("test /proc proc rw,relatime 0 0\n"));
    let info = text(&space, "/proc/self/mountinfo");
    assert!(info.lines().all(|line| line.split_whitespace().nth(6) == Some("-")), "{info}");
}

#[test]
fn devices_do_what_they_are_for() {
    let space = space_with(|_| vec![]);
    let open = |path| open(&space, path, OpenFlags::empty(), RW).unwrap_or_else(|error| panic!("{path}: {error:?}"));
    assert_eq!(read(&open("/dev/null"), 10), Ok(vec![]));
    assert_eq!(write(&open("/dev/null"), b"gone"), Ok(4));
    assert_eq!(read(&open("/dev/zero"), 10_000), Ok(vec![0; 10_000]));
    assert_eq!(write(&open("/dev/full"), b"x"), Err(FsError::NoSpace));
    let random = read(&open("/dev/urandom"), 4096).expect("never empty");
    assert!(random.len() == 4096 && random != read(&open("/dev/random"), 4096).expect("never empty"));
    assert_eq!(super::support::open(&space, "/dev/tty", OpenFlags::empty(), RW).err(), Some(FsError::NoSuchAddress));
    let listed = list(&open_dir(&space, "/dev"));
    assert!(listed.contains(&"shm".to_owned()) && listed.contains(&"stdin".to_owned()));
    let stat = space.metadata(space.root(), b"/dev/null", FollowLast::Yes).expect("there");
    assert_eq!((stat.kind, stat.rdev), (FileKind::CharDevice, 0x103));
}

fn open_dir(space: &Namespace, path: &str) -> Arc<OpenFile> {
    open(space, path, OpenFlags::DIRECTORY, StatusFlags::READ).expect("a directory")
}
