//! `/sys`: processors, large pages, an empty cgroup directory.

use crate::generated::{GenDir, GenFile, GenFs};
use crate::inode::{FileSystem, InodeRef};
use alloc::{borrow::Cow, format, sync::Arc, vec, vec::Vec};

fn text(text: &'static str) -> InodeRef {
    GenFile::fallible(0o444, 4096, move || Ok(Vec::from(text)))
}

fn dir(entries: Vec<(&'static str, InodeRef)>) -> InodeRef {
    GenDir::new(0o555, entries)
}

/// `0-3`, or `0` for a single processor.
fn cpu_range() -> InodeRef {
    GenFile::fallible(0o444, 4096, || {
        let last = hal::cpu::count() - 1;
        Ok(if last == 0 { b"0\n".to_vec() } else { format!("0-{last}\n").into_bytes() })
    })
}

fn cpus() -> InodeRef {
    let mut entries: Vec<(Cow<'static, str>, InodeRef)> = Vec::new();
    for cpu in 0..hal::cpu::count() {
        let id = move || GenFile::fallible(0o444, 4096, move || Ok(format!("{cpu}\n").into_bytes())) as InodeRef;
        let topology = dir(vec![
            ("core_id", id()),
            ("physical_package_id", text("0\n")),
            ("core_siblings_list", cpu_range()),
            ("thread_siblings_list", id()),
        ]);
        entries.push((Cow::Owned(format!("cpu{cpu}")), dir(vec![("online", text("1\n")), ("topology", topology)])));
    }
    for name in ["online", "possible", "present"] {
        entries.push((Cow::Borrowed(name), cpu_range()));
    }
    entries.push((Cow::Borrowed("offline"), text("\n")));
    entries.push((Cow::Borrowed("isolated"), text("\n")));
    let kernel_max = format!("{}\n", hal::cpu::MAX_CPUS - 1).into_bytes();
    entries.push((Cow::Borrowed("kernel_max"), GenFile::fallible(0o444, 4096, move || Ok(kernel_max.clone()))));
    GenDir::named(0o555, entries)
}

/// The `/sys` file system, as things are now: call it after all processors are up.
pub fn sysfs() -> Arc<dyn FileSystem> {
    // Large pages come where alignment lets, but never for thread stacks: `madvise` is what keeps HotSpot from taking
    // precautions against them there. Shared memory has them where it is allocated (fallocate) or asks for them (madvise), and
    // there is no pool of them to reserve.
    let transparent = dir(vec![
        ("enabled", text("always [madvise] never\n")),
        ("defrag", text("always defer defer+madvise [madvise] never\n")),
        ("shmem_enabled", text("always within_size [advise] never deny force\n")),
        ("hpage_pmd_size", text("2097152\n")),
        ("use_zero_page", text("0\n")),
    ]);
    let mm = dir(vec![("hugepages", dir(Vec::new())), ("transparent_hugepage", transparent)]);
    let root = dir(vec![
        ("block", dir(Vec::new())),
        ("bus", dir(Vec::new())),
        ("class", dir(vec![("net", dir(Vec::new()))])),
        ("dev", dir(Vec::new())),
        ("devices", dir(vec![("system", dir(vec![("cpu", cpus())]))])),
        ("firmware", dir(Vec::new())),
        ("fs", dir(vec![("cgroup", dir(Vec::new()))])),
        ("kernel", dir(vec![("mm", mm)])),
        ("module", dir(Vec::new())),
        ("power", dir(Vec::new())),
    ]);
    GenFs::new("sysfs", 0x6265_6572, root)
}
