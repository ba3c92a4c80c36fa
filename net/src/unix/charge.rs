//! What a socket has sent and nobody has taken: the bound of its sends (Linux: `sk_wmem_alloc`).

use super::UnixSocket;
use crate::socket::{Kind, Socket};
use alloc::sync::Weak;
use core::sync::atomic::Ordering;
use fs::Readiness;

/// What Linux's buffers cost beside their bytes, which programs see in how much a socket takes: `sk_buff` and
/// `skb_shared_info` of x86_64, rounded as its allocator rounds them (skbuff.h `SKB_TRUESIZE`).
const BUFFER: usize = 256;
const SHARED_INFO: usize = 320;
const PAGE: usize = 4096;
/// Bytes that lie in one allocation with the header; the others lie in pages.
pub(super) const STREAM_HEAD_MAX: usize = PAGE - SHARED_INFO;
const MESSAGE_HEAD_MAX: usize = 4 * PAGE - SHARED_INFO;
/// Bytes in pages, at most (MAX_SKB_FRAGS).
const MESSAGE_PAGES_MAX: usize = 17 * PAGE;

/// What a message of `len` bytes, or a piece of a stream, counts for in its sender's buffer.
pub(super) fn cost(kind: Kind, len: usize) -> usize {
    let in_pages = match kind {
        Kind::Stream => len.saturating_sub(STREAM_HEAD_MAX).next_multiple_of(PAGE).min(len),
        _ => len.saturating_sub(MESSAGE_HEAD_MAX).min(MESSAGE_PAGES_MAX).next_multiple_of(PAGE).min(len),
    };
    let head = (len - in_pages).next_multiple_of(64) + SHARED_INFO;
    BUFFER + head.next_power_of_two() + in_pages.next_multiple_of(PAGE)
}

/// A packet's part of its sender's buffer; given back when the packet goes.
pub(super) struct Charge {
    sender: Weak<UnixSocket>,
    cost: usize,
}

impl Charge {
    /// `None` while the sender's buffer is full. As on Linux the last one may go over its end.
    pub fn take(sender: &UnixSocket, len: usize) -> Option<Self> {
        let limit = sender.options.send_buffer() as usize;
        let cost = cost(sender.kind, len);
        let update = |used| (used < limit).then_some(used + cost);
        sender.sent.fetch_update(Ordering::AcqRel, Ordering::Acquire, update).ok()?;
        Some(Self { sender: sender.me.clone(), cost })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(sender) = self.sender.upgrade() else { return };
        sender.sent.fetch_sub(self.cost, Ordering::AcqRel);
        sender.room.wake_all();
        if sender.has_room() {
            sender.source.notify(Readiness::WRITE);
        }
    }
}

impl UnixSocket {
    /// Whether three quarters of the send buffer are free, so that senders are not woken for single bytes
    /// (Linux: `unix_writable`).
    pub(super) fn has_room(&self) -> bool {
        self.sent.load(Ordering::Acquire) * 4 <= self.options.send_buffer() as usize && !self.is_listening()
    }
}
