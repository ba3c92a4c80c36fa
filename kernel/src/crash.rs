//! Crashes on demand, so that the kernel's own ends have tests: `crash=panic` or `crash=recursion` on the command line.

/// Crashes if the command line says so.
pub fn if_asked() {
    match hal::boot_info::option("crash") {
        Some("panic") => panic!("asked for by crash=panic"),
        Some("recursion") => {
            // Called outside of the log line: its arguments are not evaluated below its level.
            let result = deep(1);
            log::info!("recursion came back with {result}");
        }
        _ => {}
    }
}

/// Fills the kernel stack: must end in a panic line on another stack, never in silence.
#[allow(unconditional_recursion, reason = "that it never returns is what it is for")]
#[inline(never)]
fn deep(level: u64) -> u64 {
    let frame = core::hint::black_box([level; 32]);
    deep(level + 1) + core::hint::black_box(frame)[3]
}
