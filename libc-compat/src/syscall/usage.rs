//! What a process or thread has used: getrusage.

use super::time::TimeVal;
use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::process::task_of;
use crate::uaccess::plain;
use core::sync::atomic::Ordering;
use linux_raw_sys::general as linux;
use sched::Thread;

/// The rows of this family.
pub const ROWS: &[Row] = &[row(linux::__NR_getrusage, "getrusage", "dx", getrusage, Full, "getrusage(2)")];

/// `struct rusage`. What Linux does not fill in either is 0.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Rusage {
    user: TimeVal,
    system: TimeVal,
    resident_max_kib: i64,
    unused: [i64; 3],
    minor_faults: i64,
    major_faults: i64,
    unused_too: [i64; 6],
    voluntary_switches: i64,
    involuntary_switches: i64,
}
plain!(Rusage);

const RUSAGE_SELF: i32 = 0;
const RUSAGE_CHILDREN: i32 = -1;
const RUSAGE_THREAD: i32 = 1;

fn getrusage(call: &mut Call<'_>) -> SysResult {
    let mut usage = Rusage::default();
    match call.int(0) {
        RUSAGE_SELF => {
            for thread in call.process().threads() {
                add(&mut usage, &thread);
            }
            // Ended threads count too.
            usage.user = TimeVal::from_ns(call.process().cpu_time_ns());
        }
        RUSAGE_THREAD => {
            add(&mut usage, call.thread());
            usage.user = TimeVal::from_ns(call.thread().cpu_time_ns());
        }
        RUSAGE_CHILDREN => {}
        _ => return Err(Errno::EINVAL),
    }
    if call.int(0) != RUSAGE_CHILDREN {
        usage.resident_max_kib = (mm::space().usage().resident_peak >> 10) as i64;
    }
    call.ptr(1).write(usage)?;
    Ok(0)
}

fn add(usage: &mut Rusage, thread: &Thread) {
    let (voluntary, involuntary) = thread.switches();
    usage.voluntary_switches += voluntary as i64;
    usage.involuntary_switches += involuntary as i64;
    if let Some(task) = task_of(thread) {
        usage.minor_faults += task.minor_faults.load(Ordering::Relaxed) as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_that_of_linux() {
        assert_eq!(size_of::<Rusage>(), size_of::<linux::rusage>());
        assert_eq!(core::mem::offset_of!(Rusage, minor_faults), core::mem::offset_of!(linux::rusage, ru_minflt));
        assert_eq!(core::mem::offset_of!(Rusage, voluntary_switches), core::mem::offset_of!(linux::rusage, ru_nvcsw));
    }
}
