//! Resource limits (getrlimit(2)). The table is [`crate::process::Limits`].

use super::Support::Full;
use super::{Call, Errno, Row, SysResult, row};
use crate::process::limits::Limit;
use crate::uaccess::plain;
use linux_raw_sys::general::*;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_prlimit64, "prlimit64", "ddxx", prlimit64, Full, "prlimit(2)"),
    row(__NR_getrlimit, "getrlimit", "dx", getrlimit, Full, "getrlimit(2)"),
    row(__NR_setrlimit, "setrlimit", "dx", setrlimit, Full, "setrlimit(2)"),
];

/// `struct rlimit64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RLimit {
    soft: u64,
    hard: u64,
}
plain!(RLimit);

fn prlimit64(call: &mut Call<'_>) -> SysResult {
    let who = call.int(0);
    if who != 0 && who as u32 != call.process().pid() {
        return Err(Errno::ESRCH);
    }
    let resource = call.uint(1);
    let new = match call.ptr::<RLimit>(2).non_null() {
        Some(new) => Some(new.read()?),
        None => None,
    };
    let old = exchange(call, resource, new)?;
    call.ptr(3).write_if_given(RLimit { soft: old.soft, hard: old.hard })?;
    Ok(0)
}

fn getrlimit(call: &mut Call<'_>) -> SysResult {
    let old = exchange(call, call.uint(0), None)?;
    call.ptr(1).write(RLimit { soft: old.soft, hard: old.hard })?;
    Ok(0)
}

fn setrlimit(call: &mut Call<'_>) -> SysResult {
    let new = call.ptr::<RLimit>(1).read()?;
    exchange(call, call.uint(0), Some(new))?;
    Ok(0)
}

/// fs.nr_open: no hard limit of descriptors above it.
const NR_OPEN: u64 = 1 << 20;

/// Root may raise hard limits too.
fn exchange(call: &Call<'_>, resource: u32, new: Option<RLimit>) -> Result<Limit, Errno> {
    let process = call.process();
    let Some(new) = new else { return process.limits.get(resource).ok_or(Errno::EINVAL) };
    if new.soft > new.hard {
        return Err(Errno::EINVAL);
    }
    if resource == RLIMIT_NOFILE && new.hard > NR_OPEN {
        return Err(Errno::EPERM);
    }
    let old = process.limits.replace(resource, Limit { soft: new.soft, hard: new.hard }).ok_or(Errno::EINVAL)?;
    match resource {
        RLIMIT_AS | RLIMIT_STACK => super::memory::apply_limits(process),
        RLIMIT_NOFILE => process.files.set_descriptor_limit(new.soft),
        _ => {}
    }
    Ok(old)
}
