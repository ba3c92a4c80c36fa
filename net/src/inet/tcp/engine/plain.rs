//! The segment that most are: the next bytes, or an acknowledgement, on a connection where nothing is lost, early or ending,
//! and nothing waits to be sent ("header prediction", Van Jacobson 1990; Linux: `tcp_rcv_established`). It is taken in by what
//! `input.rs` would do, without the questions whose answers are known.

use super::head::{ACK, FIN, Head, RST, SYN};
use super::input::ACK_DELAY_NS;
use super::{Stage, Tcb, before};

impl Tcb {
    /// Whether a segment of `len` bytes is one for [`Self::input_plain`], after which nothing needs to be sent.
    #[inline]
    pub(crate) fn is_plain(&self, head: &Head, len: usize) -> bool {
        let is_calm = self.stage == Stage::Established
            && !(self.fin_queued | self.ack_now | self.blocked | self.resend_now)
            && self.window > 0
            && self.fin_at.is_none()
            && self.recovery.is_none()
            && self.sacked.is_empty()
            && self.early.is_empty()
            && self.nxt == self.max
            && self.nxt == self.data_end();
        let stamp_fits = match head.stamp {
            Some((value, _)) => self.stamps && !before(value, self.recent_stamp),
            None => !self.stamps,
        };
        let acked = head.ack.wrapping_sub(self.una);
        let open = self.edge.wrapping_sub(self.rcv_nxt) as usize;
        let step = (2 * self.mss).min(self.receive_limit / 2);
        is_calm
            && head.flags & (FIN | SYN | RST | ACK) == ACK
            && head.seq == self.rcv_nxt
            && head.window > 0
            && head.sack_count == 0
            && stamp_fits
            && acked <= self.nxt.wrapping_sub(self.una)
            && (acked > 0 || len > 0)
            // Else an acknowledgement is due, the window moves, or the receive buffer grows.
            && self.unacknowledged + len < 2 * self.mss
            && self.receive_limit + len < open + step
            && len <= open
            && self.delivered + len < self.receive_limit
    }

    /// Takes such a segment in; its bytes are delivered. Nothing need be sent now. What is new (bytes, or room for more) goes
    /// without saying: [`Self::effects`] is left alone.
    #[inline]
    pub(crate) fn input_plain(&mut self, head: &Head, len: usize, now_ns: u64) {
        self.heard_ns = now_ns;
        self.probes = 0;
        if let Some((value, _)) = head.stamp {
            self.recent_stamp = value;
        }
        if before(self.window_seq, head.seq) || !before(head.ack, self.window_ack) {
            self.window = u32::from(head.window) << self.send_scale;
            (self.window_seq, self.window_ack) = (head.seq, head.ack);
            self.window_max = self.window_max.max(self.window);
        }
        if head.ack != self.una {
            let acked = head.ack.wrapping_sub(self.una) as usize;
            let flight = self.nxt.wrapping_sub(self.una) as usize;
            self.queue.discard(acked);
            self.una = head.ack;
            self.sample(head, now_ns);
            (self.retries, self.duplicates) = (0, 0);
            self.stalled_ns = now_ns;
            if self.congestion.limits(flight) {
                self.congestion.acknowledged(acked, now_ns);
            }
            self.resend_at = if self.all_acknowledged() { 0 } else { now_ns + self.rto_ns };
        }
        if len > 0 {
            self.rcv_nxt = self.rcv_nxt.wrapping_add(len as u32);
            self.unacknowledged += len;
            self.delivered += len;
            if self.ack_at == 0 {
                self.ack_at = now_ns + ACK_DELAY_NS;
            }
        }
    }
}
