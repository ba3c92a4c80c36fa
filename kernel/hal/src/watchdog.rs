//! The last resort against a vCPU that takes no interrupts any more: an application's `cli` in an endless loop, or a
//! kernel bug. Whoever waits for another vCPU gives up after [`PATIENCE_NS`] and calls [`report_stuck`].

use crate::arch::current as arch;

/// How long a vCPU may leave a request of another one unanswered before it counts as stuck. Long: under emulation on a
/// loaded host a vCPU may not run for seconds.
pub const PATIENCE_NS: u64 = 60_000_000_000;

/// Ends the run with the picture of what vCPU `cpu` is doing: an NMI makes it panic where it stands.
pub fn report_stuck(cpu: usize) -> ! {
    arch::report_stuck(cpu)
}
