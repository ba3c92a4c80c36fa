//! What can be sent is sent: the opening, bytes that the windows allow, lost ones again, the end, acknowledgements.

use super::head::{ACK, FIN, Head, PSH, RST, SACKS_MAX, SYN};
use super::{MS, RECEIVE_FIRST, Rules, SCALE, Stage, Tcb, Wire, before};
use crate::inet::queue::ByteQueue;
use crate::inet::tcp::memory::{Pressure, SHORT};

/// Most bytes of a segment that is to be cut.
const CUT_MAX: usize = 60_000;

impl Tcb {
    /// Sends what can be sent.
    pub(crate) fn output(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        match self.stage {
            Stage::Closed => return,
            Stage::SynSent | Stage::SynReceived => {
                if self.nxt == self.iss {
                    self.send_syn(rules, wire);
                }
                return;
            }
            _ => {}
        }
        self.blocked = false;
        self.update_window(rules);
        if self.resend_now {
            self.send_lost(rules, wire);
        }
        while self.send_new(rules, wire) {}
        let end = self.data_end();
        if self.window == 0 && before(self.nxt, end) && self.nxt == self.una && self.resend_at == 0 {
            // Closed: asked again and again.
            self.resend_at = rules.now_ns + self.rto_ns;
        }
        if self.ack_now {
            self.send_ack(rules, wire);
        }
    }

    fn head(&self, seq: u32, flags: u8, rules: &Rules) -> Head {
        let window = (self.edge.wrapping_sub(self.rcv_nxt) >> self.receive_scale).min(65_535) as u16;
        let stamp = self.stamps.then_some(((rules.now_ns / MS) as u32, self.recent_stamp));
        Head { seq, ack: self.rcv_nxt, flags, window, stamp, ..Head::default() }
    }

    fn send_syn(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        let answer = self.stage == Stage::SynReceived;
        let mut head = Head {
            seq: self.iss,
            ack: self.rcv_nxt,
            flags: if answer { SYN | ACK } else { SYN },
            window: RECEIVE_FIRST as u16,
            mss: Some(self.mss as u16),
            scale: (!answer || self.receive_scale != 0).then_some(SCALE),
            sack_permitted: !answer || self.sack,
            stamp: Some(((rules.now_ns / MS) as u32, self.recent_stamp)),
            ..Head::default()
        };
        if answer && !self.stamps {
            head.stamp = None;
        }
        wire.send(rules.now_ns, &head, &ByteQueue::new(), 0, 0, 0);
        self.nxt = self.iss.wrapping_add(1);
        self.max = self.nxt;
        if self.timed.is_none() && self.retries == 0 {
            self.timed = Some((self.nxt, rules.now_ns));
            self.stalled_ns = rules.now_ns;
        }
        self.resend_at = rules.now_ns + self.rto_ns;
    }

    /// Where the peer's right to send ends: it never moves back, and forward only by a worthwhile step.
    fn update_window(&mut self, rules: &Rules) {
        let limit = if rules.receive_limit > 0 { rules.receive_limit } else { self.receive_limit };
        let limit = if rules.pressure == Pressure::None { limit } else { limit.min(SHORT) };
        let space = limit.saturating_sub(rules.unread + self.early_bytes) as u32;
        let edge = self.rcv_nxt.wrapping_add(space);
        if !before(self.edge, edge) {
            return;
        }
        let step = edge.wrapping_sub(self.edge) as usize;
        let open = self.edge.wrapping_sub(self.rcv_nxt) as usize;
        if step >= (2 * self.mss).min(limit / 2) || step >= open {
            // An acknowledgement tells of it only if the peer may be waiting.
            self.ack_now |= open < limit / 2 && step >= (2 * self.mss).min(limit / 2);
            self.edge = edge;
        }
    }

    /// One segment of new bytes, or the end; false when nothing (more) can go.
    fn send_new(&mut self, rules: &Rules, wire: &mut dyn Wire) -> bool {
        let may_send = matches!(
            self.stage,
            Stage::Established | Stage::CloseWait | Stage::FinWait1 | Stage::Closing | Stage::LastAck
        );
        if !may_send {
            return false;
        }
        let end = self.data_end();
        if before(end, self.nxt) {
            return false;
        }
        let left = end.wrapping_sub(self.nxt) as usize;
        let flight = self.nxt.wrapping_sub(self.una) as usize;
        let sacked: usize = self.sacked.iter().map(|(from, to)| to.wrapping_sub(*from) as usize).sum();
        let by_congestion = self.congestion.window.saturating_sub(flight.saturating_sub(sacked));
        let by_peer = (self.window as usize).saturating_sub(flight);
        let can = left.min(by_congestion).min(by_peer);
        let cut = if rules.cut_max > 0 { rules.cut_max.min(CUT_MAX) / self.mss * self.mss } else { self.mss };
        let mut len = can.min(cut.max(self.mss));
        if len > self.mss && len < left {
            len -= len % self.mss;
        }
        let is_last = len == left;
        let fin = is_last && self.fin_queued;
        if len == 0 && !fin {
            return false;
        }
        if len < self.mss && !fin && self.nxt == self.max {
            // Less than a segment waits for company: for more bytes of the application (Nagle, TCP_CORK), or more room.
            let waits = if is_last { rules.cork || !rules.no_delay && flight > 0 } else { flight > 0 };
            if waits {
                if rules.cork && flight == 0 && self.ack_at == 0 {
                    self.resend_at = if self.resend_at == 0 { rules.now_ns + 200 * MS } else { self.resend_at };
                }
                return false;
            }
        }
        let mut flags = ACK;
        flags |= if fin { FIN } else { 0 };
        flags |= if is_last { PSH } else { 0 };
        let head = self.head(self.nxt, flags, rules);
        let offset = self.nxt.wrapping_sub(self.data_start()) as usize;
        if !wire.send(rules.now_ns, &head, &self.queue, offset, len, self.mss) {
            self.blocked = true;
            return false;
        }
        self.sent_ack();
        let fresh = self.nxt == self.max;
        self.nxt = self.nxt.wrapping_add(len as u32 + u32::from(fin));
        if before(self.max, self.nxt) {
            self.max = self.nxt;
        }
        if fresh && self.timed.is_none() {
            self.timed = Some((self.nxt, rules.now_ns));
        }
        if flight == 0 && fresh {
            self.stalled_ns = rules.now_ns;
        }
        if self.resend_at == 0 || flight == 0 {
            self.resend_at = rules.now_ns + self.rto_ns;
        }
        if fin {
            self.stage = match self.stage {
                Stage::Established => Stage::FinWait1,
                Stage::CloseWait => Stage::LastAck,
                stage => stage,
            };
        }
        !is_last
    }

    /// In recovery: the first hole that was not sent again yet.
    fn send_lost(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        self.resend_now = false;
        let Some(recover) = self.recovery else { return };
        let mut seq = if before(self.resend, self.una) { self.una } else { self.resend };
        let mut until = recover;
        for &(from, to) in &self.sacked {
            if !before(seq, from) && before(seq, to) {
                seq = to;
            } else if before(seq, from) {
                until = from;
                break;
            }
        }
        // Only what lies before something that arrived is known to be lost.
        let known = self.sacked.last().is_some_and(|&(_, to)| before(seq, to)) || seq == self.una;
        if !known || !before(seq, until) {
            return;
        }
        let start = self.data_start();
        let left = (self.data_end().wrapping_sub(seq) as i32).max(0) as usize;
        let len = (until.wrapping_sub(seq) as usize).min(self.mss).min(left);
        let fin = len == left && self.fin_queued && before(self.data_end(), self.max);
        if len == 0 && !fin {
            return;
        }
        let head = self.head(seq, if fin { ACK | FIN } else { ACK }, rules);
        if wire.send(rules.now_ns, &head, &self.queue, seq.wrapping_sub(start) as usize, len, self.mss) {
            self.sent_ack();
            self.resend = seq.wrapping_add(len as u32 + u32::from(fin));
            self.timed = None;
            self.resend_at = rules.now_ns + self.rto_ns;
        } else {
            self.blocked = true;
        }
    }

    fn sent_ack(&mut self) {
        self.ack_now = false;
        self.ack_at = 0;
        self.unacknowledged = 0;
    }

    pub(super) fn send_ack(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        let mut head = self.head(self.nxt, ACK, rules);
        if self.sack {
            for (seq, bytes) in &self.early {
                let end = seq.wrapping_add(bytes.len() as u32);
                match head.sacks[..head.sack_count].last_mut() {
                    Some(last) if last.1 == *seq => last.1 = end,
                    _ if head.sack_count < SACKS_MAX => {
                        head.sacks[head.sack_count] = (*seq, end);
                        head.sack_count += 1;
                    }
                    _ => break,
                }
            }
        }
        if wire.send(rules.now_ns, &head, &self.queue, 0, 0, 0) {
            self.sent_ack();
        } else {
            self.blocked = true;
        }
    }

    /// A probe of a closed window, or of an idle peer: a byte that was acknowledged before, or none, must be answered.
    pub(super) fn send_probe(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        let head = self.head(self.una.wrapping_sub(1), ACK, rules);
        wire.send(rules.now_ns, &head, &self.queue, 0, 0, 0);
    }

    /// Ends the connection at once.
    pub(crate) fn abort(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        if self.is_synchronised() && self.stage != Stage::TimeWait || self.stage == Stage::SynReceived {
            let head = self.head(self.nxt, RST | ACK, rules);
            wire.send(rules.now_ns, &head, &ByteQueue::new(), 0, 0, 0);
        }
        self.stage = Stage::Closed;
        self.free();
        (self.resend_at, self.ack_at, self.keep_at, self.end_at) = (0, 0, 0, 0);
    }
}
