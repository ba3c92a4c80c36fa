//! Cuts the guest's byte stream into messages and the raw bytes of files.

use super::{GuestMessage, WireError};
use alloc::string::String;
use alloc::vec::Vec;

/// Longest line that is accepted, in bytes. Longer ones are dropped with one error.
const LINE_MAX: usize = 64 * 1024;

/// What the stream holds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line.
    Message(GuestMessage),
    /// Bytes of the file that the last [`GuestMessage::File`] announced.
    FileBytes(Vec<u8>),
}

/// Push what was read, then take events until there is none.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    file_bytes_left: u64,
    skipping: bool,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Adds bytes that were read from the port.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Whether the announced bytes of a file are still to come.
    pub fn inside_file(&self) -> bool {
        self.file_bytes_left > 0
    }

    /// The next event, an error for a line that is no message, or `None` until more is pushed.
    pub fn next_event(&mut self) -> Option<Result<Event, WireError>> {
        if self.file_bytes_left > 0 {
            if self.pending.is_empty() {
                return None;
            }
            let len = usize::try_from(self.file_bytes_left).unwrap_or(usize::MAX).min(self.pending.len());
            self.file_bytes_left -= len as u64;
            return Some(Ok(Event::FileBytes(self.pending.drain(..len).collect())));
        }
        let Some(end) = self.pending.iter().position(|&b| b == b'\n') else {
            if self.pending.len() <= LINE_MAX {
                return None;
            }
            self.pending.clear();
            let first = !core::mem::replace(&mut self.skipping, true);
            return first.then(|| Err(WireError("a line of more than 64 KiB was dropped".into())));
        };
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        if core::mem::take(&mut self.skipping) {
            return self.next_event();
        }
        let line = String::from_utf8_lossy(&line[..end]);
        Some(GuestMessage::parse(&line).map(|message| {
            if let GuestMessage::File { len, .. } = message {
                self.file_bytes_left = len;
            }
            Event::Message(message)
        }))
    }
}
