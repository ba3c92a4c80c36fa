//! The trace of system calls: with `strace` on the kernel's command line, one log line a call, when it returns.

use super::{Call, SysResult, table};
use alloc::string::String;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Turns the trace on.
pub fn enable_trace() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Whether the trace is on.
#[inline(always)]
pub fn trace_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Carries the call out and logs it.
#[cold]
pub(crate) fn traced(call: &mut Call<'_>) -> SysResult {
    let number = call.number();
    let text = describe(call, number);
    if matches!(number as u32, linux_raw_sys::general::__NR_exit | linux_raw_sys::general::__NR_exit_group) {
        log::info!("{text} = ?");
    }
    let result = table::handler(number)(call);
    match result {
        Ok(value) if value < 1 << 20 => log::info!("{text} = {value}"),
        Ok(value) => log::info!("{text} = {value:#x}"),
        Err(error) => log::info!("{text} = -1 {error:?}"),
    }
    result
}

/// `[tid] name(arguments)`; errors of formatting cannot happen, a `String` takes everything.
fn describe(call: &Call<'_>, number: u64) -> String {
    let mut text = String::new();
    let _ = write!(text, "[{}] ", call.thread().id());
    let Some(row) = table::row_of(number) else {
        let _ = write!(text, "syscall_{number}({:#x}, {:#x}, {:#x})", call.arg(0), call.arg(1), call.arg(2));
        return text;
    };
    text.push_str(row.name);
    text.push('(');
    for (n, kind) in row.args.bytes().enumerate() {
        let value = call.arg(n);
        let separator = if n == 0 { "" } else { ", " };
        let _ = match kind {
            b'd' => write!(text, "{separator}{}", value as i32),
            b'o' => write!(text, "{separator}{value:#o}"),
            b's' => match hal::user::copy_string(value, 256) {
                Ok(bytes) => write!(text, "{separator}{:?}", String::from_utf8_lossy(&bytes)),
                Err(_) => write!(text, "{separator}{value:#x}"),
            },
            _ => write!(text, "{separator}{value:#x}"),
        };
    }
    text.push(')');
    text
}
