//! The terminal behind the standard streams, as ioctl(2) sees it: its modes and its size.
//!
//! The host keeps the real one, in whatever mode the user's shell left it. What the application sets is kept and given
//! back; the host is not told.

use hal::sync::SpinLock;

/// `struct termios` as the kernel knows it: four flag words, the line discipline, 19 control characters.
pub type Termios = [u8; 36];

/// Size of a window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

struct Terminal {
    modes: Termios,
    size: WindowSize,
}

static TERMINAL: SpinLock<Terminal> =
    SpinLock::new(Terminal { modes: default_modes(), size: WindowSize { columns: 80, rows: 24 } });

/// The modes of a fresh Linux terminal (termios(3)): cooked input, ICRNL, OPOST and ONLCR, 38400 baud, 8 bits.
const fn default_modes() -> Termios {
    const WORDS: [u32; 4] = [
        0x0000_0500, // ICRNL IXON
        0x0000_0005, // OPOST ONLCR
        0x0000_00bf, // B38400 CS8 CREAD
        0x0000_8a3b, // ISIG ICANON ECHO ECHOE ECHOK ECHOCTL ECHOKE IEXTEN
    ];
    const CHARACTERS: [u8; 19] = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];
    let mut out = [0; 36];
    let mut word = 0;
    while word < WORDS.len() {
        let bytes = WORDS[word].to_ne_bytes();
        let mut byte = 0;
        while byte < 4 {
            out[word * 4 + byte] = bytes[byte];
            byte += 1;
        }
        word += 1;
    }
    let mut at = 0;
    while at < CHARACTERS.len() {
        out[17 + at] = CHARACTERS[at];
        at += 1;
    }
    out
}

/// The modes.
pub fn modes() -> Termios {
    TERMINAL.lock().modes
}

/// Sets the modes.
pub fn set_modes(modes: Termios) {
    TERMINAL.lock().modes = modes;
}

/// The size.
pub fn size() -> WindowSize {
    TERMINAL.lock().size
}

/// Sets the size; true if it changed (the caller then sends SIGWINCH).
pub fn set_size(size: WindowSize) -> bool {
    core::mem::replace(&mut TERMINAL.lock().size, size) != size
}

/// A new program finds a fresh terminal.
pub fn reset(size: Option<WindowSize>) {
    let mut terminal = TERMINAL.lock();
    terminal.modes = default_modes();
    if let Some(size) = size {
        terminal.size = size;
    }
}
