//! Lines for the person who runs the program, where the program alone would leave them guessing. The control channel
//! takes them to the host tool, which prints them on stderr beside the program's own output.

use hal::sync::Once;

static SINK: Once<fn(&str)> = Once::new();

/// Sets where lines go; the first sink stays. Without one they go to the kernel log.
pub fn set_sink(sink: fn(&str)) {
    SINK.call_once(|| sink);
}

/// Shows `text`, one line. May sleep.
pub fn show(text: &str) {
    match SINK.get() {
        Some(sink) => sink(text),
        None => log::warn!("{text}"),
    }
}
