//! The kernel log: the `log` crate's sink on the serial port, and the marks of the boot's timeline.

use crate::arch::current as arch;
use crate::sync::SpinLock;
use alloc::vec::Vec;
use core::fmt::{self, Write};

struct SerialSink;
struct SerialWriter;

/// One writer at a time, so that lines of different vCPUs do not mix.
static WRITER: SpinLock<SerialWriter> = SpinLock::new(SerialWriter);

impl Write for SerialWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        arch::serial_write(text.as_bytes());
        Ok(())
    }
}

impl ::log::Log for SerialSink {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        let now_us = crate::clock::now_ns() / 1000;
        let mut writer = WRITER.lock();
        let _ = writeln!(
            writer,
            "[{:5}.{:06}] {:5} {}: {}",
            now_us / 1_000_000,
            now_us % 1_000_000,
            record.level(),
            record.target().split(':').next().unwrap_or(""),
            record.args()
        );
    }

    fn flush(&self) {}
}

/// Starts logging at `level` (a `log` level's name; `warn` when it is none).
pub fn init(level: Option<&str>) {
    let level = level.and_then(|name| name.parse().ok()).unwrap_or(::log::LevelFilter::Warn);
    let _ = ::log::set_logger(&SerialSink);
    ::log::set_max_level(level);
}

/// Writes `args` as one line, whatever the log level: for lines that the host tool reads.
pub fn line(args: fmt::Arguments<'_>) {
    let mut writer = WRITER.lock();
    let _ = writeln!(writer, "{args}");
}

/// Writes without taking the lock, for a panic, whose vCPU may hold it.
#[cfg(feature = "bare")]
pub(crate) fn panic_write(args: fmt::Arguments<'_>) {
    let _ = SerialWriter.write_fmt(args);
}

const MAX_MARKS: usize = 32;
static MARKS: SpinLock<([(&str, u64); MAX_MARKS], usize)> = SpinLock::new(([("", 0); MAX_MARKS], 0));

/// Notes that the boot reached `name` now. The first 32 are kept.
pub fn mark(name: &'static str) {
    let now = arch::read_tsc();
    let mut marks = MARKS.lock();
    let count = marks.1;
    if count < MAX_MARKS {
        marks.0[count] = (name, now);
        marks.1 += 1;
    }
}

/// The marks: (name, raw TSC at it, nanoseconds since boot).
pub fn marks() -> Vec<(&'static str, u64, u64)> {
    let params = crate::clock::tsc_params();
    let marks = MARKS.lock();
    marks.0[..marks.1].iter().map(|&(name, tsc)| (name, tsc, params.monotonic_ns(tsc))).collect()
}
