//! The image is a shared object that the host's own tools and loader accept, and its code keeps time.

use super::data::Data;
use super::image;
use hal::clock::TscParams;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Write;
use std::process::Command;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
    fn mmap(addr: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
}

const NAMES: [&str; 5] =
    ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_clock_getres", "__vdso_getcpu"];

fn file(tag: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("demitasse-vdso-{}-{tag}.so", std::process::id()));
    std::fs::File::create(&path).and_then(|mut file| file.write_all(image())).expect("a temporary file");
    path
}

#[test]
fn readelf_finds_nothing_to_complain_about() {
    let path = file("readelf");
    let output = Command::new("readelf").arg("-aW").arg(&path).output().expect("binutils");
    std::fs::remove_file(&path).expect("just written");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for name in NAMES {
        assert!(text.contains(&format!("{name}@@LINUX_2.6")), "{name} is missing in:\n{text}");
    }
    assert!(text.contains("Library soname: [linux-vdso.so.1]"));
}

#[test]
fn the_loader_finds_every_function_with_its_version() {
    let path = file("dlopen");
    let c_path = CString::new(path.to_str().expect("an ASCII path")).expect("no NUL");
    const RTLD_NOW: c_int = 2;
    // SAFETY: the object has no constructors; the strings are terminated.
    let handle = unsafe { dlopen(c_path.as_ptr(), RTLD_NOW) };
    assert!(!handle.is_null());
    for name in NAMES {
        let c_name = CString::new(name).expect("no NUL");
        // SAFETY: the handle is open, the strings are terminated.
        let found = unsafe { dlvsym(handle, c_name.as_ptr(), c"LINUX_2.6".as_ptr()) };
        assert!(!found.is_null(), "{name}");
    }
    std::fs::remove_file(&path).expect("just written");
}

/// The image as the kernel maps it: the data page right before it.
struct Mapped {
    data: &'static Data,
    image: usize,
}

fn mapped() -> Mapped {
    const READ_WRITE_EXEC: c_int = 7;
    const PRIVATE_ANONYMOUS: c_int = 0x22;
    // SAFETY: new memory, anywhere.
    let base = unsafe { mmap(std::ptr::null_mut(), 8192, READ_WRITE_EXEC, PRIVATE_ANONYMOUS, -1, 0) };
    assert_ne!(base as isize, -1);
    let image_at = base as usize + 4096;
    // SAFETY: the second page is ours and the image fits.
    unsafe { (image_at as *mut u8).copy_from_nonoverlapping(image().as_ptr(), image().len()) };
    // SAFETY: zero bytes are a valid `Data`; the mapping stays.
    Mapped { data: unsafe { &*base.cast::<Data>() }, image: image_at }
}

impl Mapped {
    /// The address of the function called `name`, by the symbol table (24 bytes an entry, 7 entries).
    fn function(&self, name: &str) -> usize {
        let bytes = image();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")) as usize;
        let section = |n: usize| word(0x28) + 64 * n;
        let (symbols, strings) = (word(section(2) + 24), word(section(3) + 24));
        let symbol = (1..7).map(|n| symbols + 24 * n).find(|&at| {
            let at_name = strings + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
            bytes[at_name..].starts_with(name.as_bytes())
        });
        self.image + word(symbol.expect("the symbol exists") + 8)
    }

    fn call(&self, name: &str, first: u64, second: u64) -> i64 {
        // SAFETY: every function of the image takes two words and returns one.
        let function: extern "C" fn(u64, u64) -> i64 = unsafe { std::mem::transmute(self.function(name)) };
        function(first, second)
    }

    fn clock(&self, clock: u64) -> (i64, u64) {
        let mut time = [0u64; 2];
        let result = self.call("__vdso_clock_gettime", clock, &raw mut time as u64);
        assert!(time[1] < 1_000_000_000);
        (result, time[0] * 1_000_000_000 + time[1])
    }
}

fn tsc() -> u64 {
    // SAFETY: every x86-64 has the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// 3 GHz: a third of a nanosecond a tick.
fn three_ghz(tsc_base: u64) -> TscParams {
    TscParams {
        mult: (1u64 << 30).div_ceil(3) as u32,
        shift: 30,
        tsc_base,
        mono_base_ns: 5_000_000_123,
        real_offset_ns: 1_700_000_000_000_000_000,
    }
}

#[test]
fn the_clocks_read_what_the_kernel_would() {
    let vdso = mapped();
    let params = three_ghz(tsc() - 123_456_789_012);
    vdso.data.write(&params);
    for (clock, offset) in [
        (1, 0),
        (0, params.real_offset_ns as u64),
        (4, 0),
        (7, 0),
        (6, 0),
        (5, params.real_offset_ns as u64),
        (11, params.real_offset_ns as u64),
    ] {
        let before = params.monotonic_ns(tsc()) + offset;
        let (result, now) = vdso.clock(clock);
        let after = params.monotonic_ns(tsc()) + offset;
        assert_eq!(result, 0);
        assert!((before..=after).contains(&now), "clock {clock}: {before} <= {now} <= {after}");
    }
}

#[test]
fn a_counter_behind_the_base_reads_as_the_base() {
    let vdso = mapped();
    let params = three_ghz(u64::MAX);
    vdso.data.write(&params);
    assert_eq!(vdso.clock(1).1, params.mono_base_ns);
}

#[test]
fn time_and_gettimeofday_agree_with_the_realtime_clock() {
    let vdso = mapped();
    vdso.data.write(&three_ghz(tsc()));
    let (_, before) = vdso.clock(0);
    let mut seconds = 0u64;
    let time = vdso.call("__vdso_time", &raw mut seconds as u64, 0);
    let mut timeval = [0u64; 2];
    let mut zone = [7u32; 2];
    assert_eq!(vdso.call("__vdso_gettimeofday", &raw mut timeval as u64, &raw mut zone as u64), 0);
    let (_, after) = vdso.clock(0);
    assert_eq!(time as u64, seconds);
    assert!((before / 1_000_000_000..=after / 1_000_000_000).contains(&seconds));
    let micros = timeval[0] * 1_000_000 + timeval[1];
    assert!((before / 1000..=after / 1000).contains(&micros));
    assert_eq!(zone, [0, 0]);
    assert_eq!(vdso.call("__vdso_gettimeofday", 0, 0), 0);
    assert!(vdso.call("__vdso_time", 0, 0) as u64 >= seconds);
}

#[test]
fn resolutions_are_linux_s() {
    let vdso = mapped();
    for (clock, expected) in [(0u64, 1u64), (1, 1), (4, 1), (7, 1), (11, 1), (5, 4_000_000), (6, 4_000_000)] {
        let mut resolution = [9u64; 2];
        assert_eq!(vdso.call("__vdso_clock_getres", clock, &raw mut resolution as u64), 0);
        assert_eq!(resolution, [0, expected], "clock {clock}");
        assert_eq!(vdso.call("__vdso_clock_getres", clock, 0), 0);
    }
}

/// On the test's own kernel the fall-backs are real system calls.
#[test]
fn other_clocks_and_getcpu_ask_the_kernel() {
    let vdso = mapped();
    assert_eq!(vdso.clock(3).0, 0);
    assert!(vdso.clock(3).1 > 0);
    assert_eq!(vdso.clock(12), (-22, 0));
    let mut cpu = [u32::MAX; 2];
    assert_eq!(vdso.call("__vdso_getcpu", &raw mut cpu as u64, 0), 0);
    assert!(cpu[0] < 4096);
}
