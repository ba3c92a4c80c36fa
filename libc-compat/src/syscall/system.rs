//! The machine: its name, its memory, randomness; and what only an administrator of a whole system could do.

use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::procfs::status::ALL_CAPABILITIES;
use crate::uaccess::{UserSlice, plain};
use crate::unsupported;
use alloc::boxed::Box;
use alloc::string::String;
use fs::proc::RELEASE;
use fs::proc::sys::SETTINGS;
use hal::addr::PAGE_SIZE;
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_uname, "uname", "x", uname, Full, "uname(2)"),
    row(linux::__NR_sethostname, "sethostname", "sd", sethostname, Full, "gethostname(2)"),
    row(linux::__NR_setdomainname, "setdomainname", "sd", accept, Accepted, "getdomainname(2)"),
    row(linux::__NR_sysinfo, "sysinfo", "x", sysinfo, Full, "sysinfo(2)"),
    row(linux::__NR_getrandom, "getrandom", "xdx", getrandom, Full, "getrandom(2)"),
    row(linux::__NR_umask, "umask", "o", umask, Full, "umask(2)"),
    row(linux::__NR_personality, "personality", "x", personality, Partial, "personality(2)"),
    row(linux::__NR_capget, "capget", "xx", capget, Full, "capget(2)"),
    row(linux::__NR_capset, "capset", "xx", accept, Accepted, "capget(2)"),
    row(linux::__NR_mount, "mount", "sssxx", not_permitted, Refused, "mount(2)"),
    row(linux::__NR_umount2, "umount2", "sx", not_permitted, Refused, "umount(2)"),
    row(linux::__NR_pivot_root, "pivot_root", "ss", not_permitted, Refused, "pivot_root(2)"),
    row(linux::__NR_chroot, "chroot", "s", not_permitted, Refused, "chroot(2)"),
    row(linux::__NR_unshare, "unshare", "x", not_permitted, Refused, "unshare(2)"),
    row(linux::__NR_setns, "setns", "dx", not_permitted, Refused, "setns(2)"),
    row(linux::__NR_reboot, "reboot", "xxxx", not_permitted, Refused, "reboot(2)"),
    row(linux::__NR_syslog, "syslog", "dxd", not_permitted, Refused, "syslog(2)"),
    row(linux::__NR_ptrace, "ptrace", "xdxx", not_permitted, Refused, "ptrace(2)"),
    row(linux::__NR_swapon, "swapon", "sx", not_permitted, Refused, "swapon(2)"),
    row(linux::__NR_swapoff, "swapoff", "s", not_permitted, Refused, "swapon(2)"),
];

/// Bytes of a field of `struct utsname`.
const UTS_FIELD: usize = 65;

fn uname(call: &mut Call<'_>) -> SysResult {
    let hostname = SETTINGS.lock().hostname;
    let fields = ["Linux", hostname, RELEASE, "#1 SMP PREEMPT_DYNAMIC Demitasse", "x86_64", "(none)"];
    let mut out = [0u8; 6 * UTS_FIELD];
    for (field, text) in out.chunks_exact_mut(UTS_FIELD).zip(fields) {
        let len = text.len().min(UTS_FIELD - 1);
        field[..len].copy_from_slice(&text.as_bytes()[..len]);
    }
    call.ptr::<[u8; 6 * UTS_FIELD]>(0).write(out)?;
    Ok(0)
}

/// Sets the name that uname and /proc show. A name lives as long as the machine: it is set once or twice.
pub fn set_hostname(name: &str) {
    let name: &'static str = Box::leak(Box::<str>::from(name));
    SETTINGS.lock().hostname = name;
}

fn sethostname(call: &mut Call<'_>) -> SysResult {
    let len = call.int(1);
    if len < 0 || len as usize >= UTS_FIELD {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; UTS_FIELD];
    hal::user::copy_from(&mut bytes[..len as usize], call.arg(0))?;
    let name = String::from_utf8_lossy(&bytes[..len as usize]);
    set_hostname(name.split('\0').next().unwrap_or(""));
    Ok(0)
}

fn accept(_call: &mut Call<'_>) -> SysResult {
    Ok(0)
}

/// What the owner of the machine decides, outside: as for a process without the capability.
fn not_permitted(call: &mut Call<'_>) -> SysResult {
    unsupported!("administrative system call", call.number());
    Err(Errno::EPERM)
}

/// `struct sysinfo`; the memory unit is a byte.
#[derive(Clone, Copy)]
#[repr(C)]
struct Sysinfo {
    uptime_s: i64,
    loads: [u64; 3],
    total: u64,
    free: u64,
    shared: u64,
    buffers: u64,
    swap_total: u64,
    swap_free: u64,
    processes: u16,
    pad: [u16; 3],
    high_total: u64,
    high_free: u64,
    unit: u32,
    pad_end: u32,
}
plain!(Sysinfo);

/// Linux's fixed point for load averages in sysinfo(2): 16 bits.
const SI_LOAD_SCALE: u64 = 1 << 16;

fn sysinfo(call: &mut Call<'_>) -> SysResult {
    let frames = mm::frame::stats();
    call.ptr(0).write(Sysinfo {
        uptime_s: (hal::clock::now_ns() / 1_000_000_000) as i64,
        loads: sched::stat::load_average().map(|load| load * SI_LOAD_SCALE / sched::stat::LOAD_SCALE),
        total: frames.total * PAGE_SIZE,
        free: frames.free * PAGE_SIZE,
        shared: fs::tmpfs::used_pages() * PAGE_SIZE,
        buffers: 0,
        swap_total: 0,
        swap_free: 0,
        processes: call.process().thread_count().min(u16::MAX as usize) as u16,
        pad: [0; 3],
        high_total: 0,
        high_free: 0,
        unit: 1,
        pad_end: 0,
    })?;
    Ok(0)
}

/// Bytes that are made at once.
const RANDOM_PIECE: usize = 1024;
/// The most that one call gives.
const RANDOM_MAX: usize = i32::MAX as usize & !(PAGE_SIZE as usize - 1);

fn getrandom(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(2);
    if flags & !(linux::GRND_NONBLOCK | linux::GRND_RANDOM | linux::GRND_INSECURE) != 0
        || flags & (linux::GRND_RANDOM | linux::GRND_INSECURE) == linux::GRND_RANDOM | linux::GRND_INSECURE
    {
        return Err(Errno::EINVAL);
    }
    let want = (call.arg(1) as usize).min(RANDOM_MAX);
    let mut to = UserSlice::new(call.arg(0), want);
    let mut piece = [0u8; RANDOM_PIECE];
    while !to.is_empty() {
        let len = to.len().min(RANDOM_PIECE);
        hal::random::fill(&mut piece[..len]);
        if let Err(error) = to.write(&piece[..len]) {
            let done = want - to.len();
            return if done > 0 { Ok(done as u64) } else { Err(error) };
        }
    }
    Ok(want as u64)
}

fn umask(call: &mut Call<'_>) -> SysResult {
    Ok(u64::from(call.process().files.set_umask(call.uint(0))))
}

/// The personality is that of Linux (0) and stays so; ADDR_NO_RANDOMIZE would take effect at an execve(2) only.
fn personality(call: &mut Call<'_>) -> SysResult {
    const QUERY: u32 = u32::MAX;
    match call.uint(0) {
        0 | QUERY => Ok(0),
        other => {
            unsupported!("personality", other);
            Err(Errno::EINVAL)
        }
    }
}

const CAPABILITY_VERSION_1: u32 = 0x1998_0330;
const CAPABILITY_VERSION_2: u32 = 0x2007_1026;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Root has them all.
fn capget(call: &mut Call<'_>) -> SysResult {
    let header = call.ptr::<[u32; 2]>(0);
    let [version, pid] = header.read()?;
    let words = match version {
        CAPABILITY_VERSION_1 => 1,
        CAPABILITY_VERSION_2 | CAPABILITY_VERSION_3 => 2,
        _ => {
            header.write([CAPABILITY_VERSION_3, pid])?;
            // Without a data pointer this is how a program asks for the version.
            return if call.arg(1) == 0 { Ok(0) } else { Err(Errno::EINVAL) };
        }
    };
    if (pid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    if pid != 0 && call.process().thread(pid).is_none() {
        return Err(Errno::ESRCH);
    }
    let Some(data) = call.ptr::<[u32; 3]>(1).non_null() else { return Ok(0) };
    for word in 0..words {
        let set = (ALL_CAPABILITIES >> (32 * word)) as u32;
        // Effective, permitted, inheritable.
        data.add(word).write([set, set, 0])?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_that_of_linux() {
        assert_eq!(size_of::<Sysinfo>(), 112);
        assert_eq!(core::mem::offset_of!(Sysinfo, unit), 104);
    }
}
