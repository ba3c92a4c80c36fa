//! A segment arrives (RFC 9293, 3.10.7).

use super::head::{ACK, FIN, Head, RST, SYN};
use super::{Failure, MS, RECEIVE_MAX, Rules, STRAY_NS, Stage, Tcb, before};
use crate::inet::tcp::memory::Pressure;
use alloc::vec::Vec;

/// How long an acknowledgement may wait for company.
pub(super) const ACK_DELAY_NS: u64 = 40 * MS;
/// Most runs of bytes that came early, and blocks that the peer said it has.
const EARLY_MAX: usize = 256;
const SACKED_MAX: usize = 64;
/// How long TIME_WAIT lasts, and FIN_WAIT2 of a connection that nobody holds (net.ipv4.tcp_fin_timeout).
pub(crate) const TIME_WAIT_NS: u64 = 60_000 * MS;

impl Tcb {
    /// Takes a segment in; `deliver` keeps bytes that are in order. Follow with [`Tcb::output`]. True: answer with a reset.
    pub(crate) fn input(
        &mut self,
        head: &Head,
        payload: &[u8],
        rules: &Rules,
        deliver: &mut dyn FnMut(&[u8]) -> usize,
    ) -> bool {
        if self.stage == Stage::Closed {
            return !head.has(RST);
        }
        if self.stage == Stage::SynSent {
            return self.in_syn_sent(head, rules);
        }
        if self.stamps && !head.has(RST) && head.stamp.is_some_and(|(value, _)| before(value, self.recent_stamp)) {
            // From before a wrap of the sequence numbers (RFC 7323, 5).
            self.answer_stray(payload.is_empty(), rules);
            return false;
        }
        let len = payload.len() as u32 + u32::from(head.has(SYN)) + u32::from(head.has(FIN));
        if !self.is_acceptable(head.seq, len) {
            if !head.has(RST) {
                self.answer_stray(payload.is_empty() && !head.has(FIN), rules);
                // The peer has not heard that it may stop.
                if self.stage == Stage::TimeWait {
                    self.end_at = rules.now_ns + TIME_WAIT_NS;
                }
            }
            return false;
        }
        if head.has(RST) {
            if head.seq != self.rcv_nxt {
                // It may be forged: only one who answers this knows the right number (RFC 5961, 3.2).
                self.answer_stray(true, rules);
            } else if self.stage == Stage::SynReceived {
                self.fail(Failure::Refused);
            } else if matches!(self.stage, Stage::TimeWait | Stage::Closing | Stage::LastAck) {
                self.stage = Stage::Closed;
                self.free();
            } else {
                self.fail(Failure::Reset);
            }
            return false;
        }
        if head.has(SYN) {
            self.answer_stray(true, rules);
            return false;
        }
        if !head.has(ACK) {
            return false;
        }
        self.heard_ns = rules.now_ns;
        self.probes = 0;
        if self.stage == Stage::SynReceived {
            if !before(self.una, head.ack) || before(self.max, head.ack) {
                return true;
            }
            self.opening_acknowledged(head, rules);
            self.window_seq = head.seq.wrapping_sub(1);
        }
        if let Some((value, _)) = head.stamp
            && !before(self.rcv_nxt, head.seq)
        {
            self.recent_stamp = value;
        }
        // Of bytes never sent, or from long ago: who is blind must not get bytes in (RFC 5961, 5.2).
        if before(self.max, head.ack) || before(head.ack, self.una.wrapping_sub(self.window_max)) {
            self.answer_stray(payload.is_empty(), rules);
            return false;
        }
        self.take_ack(head, payload.is_empty() && len == 0, rules);
        if matches!(self.stage, Stage::Established | Stage::FinWait1 | Stage::FinWait2) {
            self.take_data(head, payload, rules, deliver);
        } else if len > 0 {
            self.ack_now = true;
        }
        false
    }

    /// A segment that is not right tells the peer where this end is; one that carries nothing does so seldom.
    fn answer_stray(&mut self, is_empty: bool, rules: &Rules) {
        if is_empty {
            if self.strayed_ns != 0 && rules.now_ns.saturating_sub(self.strayed_ns) < STRAY_NS {
                return;
            }
            self.strayed_ns = rules.now_ns;
        }
        self.ack_now = true;
    }

    fn in_syn_sent(&mut self, head: &Head, rules: &Rules) -> bool {
        let acked = head.has(ACK) && head.ack == self.iss.wrapping_add(1);
        if head.has(ACK) && !acked {
            return !head.has(RST);
        }
        if head.has(RST) {
            if acked {
                self.fail(Failure::Refused);
            }
            return false;
        }
        if !head.has(SYN) {
            return false;
        }
        self.start_receiving(head);
        self.heard_ns = rules.now_ns;
        if !acked {
            // Both ends open at once.
            self.stage = Stage::SynReceived;
            self.nxt = self.iss;
            return false;
        }
        self.opening_acknowledged(head, rules);
        self.window_ack = head.ack;
        self.ack_now = true;
        false
    }

    /// The peer has this end's SYN.
    fn opening_acknowledged(&mut self, head: &Head, rules: &Rules) {
        self.una = head.ack;
        self.sample(head, rules.now_ns);
        self.retries = 0;
        self.resend_at = 0;
        self.stage = Stage::Established;
        self.effects.connected = true;
        self.set_keepalive(rules);
    }

    /// Whether some of the segment lies in the window.
    fn is_acceptable(&self, seq: u32, len: u32) -> bool {
        let window = self.edge.wrapping_sub(self.rcv_nxt);
        let inside = |seq: u32| seq.wrapping_sub(self.rcv_nxt) < window;
        if len == 0 {
            return seq == self.rcv_nxt || inside(seq);
        }
        // A full window takes nothing, but hears the acknowledgement of what starts at its edge.
        inside(seq) || inside(seq.wrapping_add(len - 1)) || window == 0 && seq == self.rcv_nxt
    }

    /// An acknowledgement of something new says how long it took.
    pub(super) fn sample(&mut self, head: &Head, now_ns: u64) {
        if let Some((_, echo)) = head.stamp.filter(|_| self.stamps) {
            let ms = ((now_ns / MS) as u32).wrapping_sub(echo);
            if ms < 600_000 {
                self.measured(u64::from(ms) * 1000);
            }
            self.timed = None;
        } else if let Some((seq, sent_ns)) = self.timed
            && !before(head.ack, seq)
        {
            self.measured(now_ns.saturating_sub(sent_ns) / 1000);
            self.timed = None;
        }
    }

    fn take_ack(&mut self, head: &Head, empty: bool, rules: &Rules) {
        let ack = head.ack;
        self.take_sacks(head);
        let window = u32::from(head.window) << self.send_scale;
        let same_window = window == self.window;
        if before(self.window_seq, head.seq) || self.window_seq == head.seq && !before(ack, self.window_ack) {
            let was_closed = self.window == 0;
            (self.window, self.window_seq, self.window_ack) = (window, head.seq, ack);
            self.window_max = self.window_max.max(window);
            if was_closed && window > 0 && self.nxt == self.una {
                self.resend_at = 0;
            }
        }
        if !before(self.una, ack) {
            let duplicate = ack == self.una && empty && same_window && before(self.una, self.max);
            if duplicate {
                self.on_duplicate();
            }
            return;
        }
        let acked = ack.wrapping_sub(self.una) as usize;
        let flight = self.nxt.wrapping_sub(self.una) as usize;
        let limited = self.congestion.limits(flight);
        let fin_seq = self.data_end();
        let start = self.data_start();
        let bytes = (ack.wrapping_sub(start) as i32).max(0) as usize;
        self.queue.discard(bytes.min(self.queue.len()));
        self.una = ack;
        if before(self.nxt, ack) {
            self.nxt = ack;
        }
        self.sample(head, rules.now_ns);
        self.retries = 0;
        self.stalled_ns = rules.now_ns;
        self.duplicates = 0;
        self.sacked.retain(|&(_, to)| before(ack, to));
        match self.recovery {
            Some(recover) if before(ack, recover) => self.resend_now = true,
            Some(_) => {
                self.recovery = None;
                self.congestion.window = self.congestion.threshold;
                self.sacked.clear();
            }
            None if limited => self.congestion.acknowledged(acked, rules.now_ns),
            None => {}
        }
        self.resend_at = if self.all_acknowledged() { 0 } else { rules.now_ns + self.rto_ns };
        self.effects.room = true;
        let fin_acked = self.fin_queued && ack == fin_seq.wrapping_add(1);
        if fin_acked {
            match self.stage {
                Stage::FinWait1 => {
                    self.stage = Stage::FinWait2;
                    self.end_at = 0;
                }
                Stage::Closing => self.enter_time_wait(rules),
                Stage::LastAck => {
                    self.stage = Stage::Closed;
                    self.free();
                }
                _ => {}
            }
        }
    }

    pub(super) fn enter_time_wait(&mut self, rules: &Rules) {
        self.stage = Stage::TimeWait;
        self.free();
        (self.resend_at, self.keep_at) = (0, 0);
        self.end_at = rules.now_ns + TIME_WAIT_NS;
    }

    /// Remembers what the peer has out of order, sorted and joined.
    fn take_sacks(&mut self, head: &Head) {
        if !self.sack {
            return;
        }
        for &(from, to) in head.sacks() {
            let sane = before(from, to) && !before(from, self.una) && !before(self.max, to);
            if !sane || self.sacked.len() >= SACKED_MAX {
                continue;
            }
            let at = self.sacked.partition_point(|&(other, _)| before(other, from));
            self.sacked.insert(at, (from, to));
            let mut joined: Vec<(u32, u32)> = Vec::with_capacity(self.sacked.len());
            for &(from, to) in &self.sacked {
                match joined.last_mut() {
                    Some(last) if !before(last.1, from) => {
                        if before(last.1, to) {
                            last.1 = to;
                        }
                    }
                    _ => joined.push((from, to)),
                }
            }
            self.sacked = joined;
        }
    }

    /// The same acknowledgement again: a segment behind a hole has arrived.
    fn on_duplicate(&mut self) {
        self.duplicates += 1;
        if self.recovery.is_some() {
            self.resend_now = true;
            if !self.sack {
                self.congestion.window += self.mss;
            }
            return;
        }
        let sacked: usize = self.sacked.iter().map(|(from, to)| to.wrapping_sub(*from) as usize).sum();
        if self.duplicates >= 3 || sacked > 2 * self.mss {
            let flight = self.nxt.wrapping_sub(self.una) as usize;
            self.congestion.lost(flight);
            self.recovery = Some(self.max);
            self.resend = self.una;
            self.resend_now = true;
        }
    }

    fn take_data(&mut self, head: &Head, payload: &[u8], rules: &Rules, deliver: &mut dyn FnMut(&[u8]) -> usize) {
        let mut seq = head.seq;
        let mut bytes = payload;
        if head.has(FIN) {
            self.fin_at = Some(seq.wrapping_add(bytes.len() as u32));
        }
        if before(seq, self.rcv_nxt) {
            let known = self.rcv_nxt.wrapping_sub(seq) as usize;
            if known > bytes.len() || known == bytes.len() && !bytes.is_empty() {
                self.ack_now = true;
            }
            bytes = bytes.get(known..).unwrap_or(&[]);
            seq = self.rcv_nxt;
        }
        let room = (self.edge.wrapping_sub(seq) as i32).max(0) as usize;
        if bytes.len() > room {
            bytes = &bytes[..room];
            self.fin_at = self.fin_at.filter(|_| !head.has(FIN));
            self.ack_now = true;
        }
        if !bytes.is_empty() {
            if seq == self.rcv_nxt {
                self.in_order(bytes, rules, deliver);
            } else if rules.pressure == Pressure::None {
                self.keep_early(seq, bytes);
                self.ack_now = true;
            } else {
                self.ack_now = true;
            }
        }
        if self.fin_at == Some(self.rcv_nxt) {
            self.fin_at = None;
            self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
            self.ack_now = true;
            self.effects.ended = true;
            match self.stage {
                Stage::Established => self.stage = Stage::CloseWait,
                Stage::FinWait1 => self.stage = Stage::Closing,
                Stage::FinWait2 => self.enter_time_wait(rules),
                _ => {}
            }
        } else if head.has(FIN) {
            self.ack_now = true;
        }
    }

    fn in_order(&mut self, bytes: &[u8], rules: &Rules, deliver: &mut dyn FnMut(&[u8]) -> usize) {
        let taken = deliver(bytes);
        self.rcv_nxt = self.rcv_nxt.wrapping_add(taken as u32);
        let mut total = taken;
        if taken < bytes.len() {
            self.ack_now = true;
        }
        while let Some((seq, _)) = self.early.first()
            && !before(self.rcv_nxt, *seq)
        {
            // A hole is filled: the peer shall know at once.
            self.ack_now = true;
            let (seq, run) = self.early.remove(0);
            self.early_bytes -= run.len();
            let known = self.rcv_nxt.wrapping_sub(seq) as usize;
            if let Some(rest) = run.get(known..) {
                let taken = deliver(rest);
                self.rcv_nxt = self.rcv_nxt.wrapping_add(taken as u32);
                total += taken;
            }
        }
        self.effects.received = true;
        self.unacknowledged += total;
        self.delivered += total;
        if self.delivered >= self.receive_limit && self.receive_limit < RECEIVE_MAX {
            // The application reads as fast as bytes come: it gets more room.
            if rules.unread < self.receive_limit / 2 && rules.pressure == Pressure::None {
                self.receive_limit *= 2;
            }
            self.delivered = 0;
        }
        if self.unacknowledged >= 2 * self.mss {
            self.ack_now = true;
        } else if self.ack_at == 0 {
            self.ack_at = rules.now_ns + ACK_DELAY_NS;
        }
    }

    /// Keeps bytes that came before their turn, sorted, none twice.
    fn keep_early(&mut self, mut seq: u32, mut bytes: &[u8]) {
        let at = self.early.partition_point(|(other, _)| !before(seq, *other));
        if let Some((other, run)) = at.checked_sub(1).and_then(|at| self.early.get(at)) {
            let end = other.wrapping_add(run.len() as u32);
            if before(seq, end) {
                let known = end.wrapping_sub(seq) as usize;
                bytes = bytes.get(known..).unwrap_or(&[]);
                seq = end;
            }
        }
        if let Some((next, _)) = self.early.get(at) {
            let gap = (next.wrapping_sub(seq) as i32).max(0) as usize;
            bytes = &bytes[..bytes.len().min(gap)];
        }
        let mut copy = Vec::new();
        if bytes.is_empty() || self.early.len() >= EARLY_MAX || copy.try_reserve_exact(bytes.len()).is_err() {
            return;
        }
        copy.extend_from_slice(bytes);
        self.early_bytes += copy.len();
        self.early.insert(at, (seq, copy));
    }
}
