//! What is due: retransmissions, probes, late acknowledgements, keepalive.

use super::{Failure, MS, ORPHAN_NS, Rules, Stage, Tcb, Wire, before};

/// The longest retransmission timeout, and how often is sent again (net.ipv4.tcp_retries2, tcp_syn_retries).
const RTO_MAX_NS: u64 = 120_000 * MS;
const RETRIES_MAX: u32 = 15;
const SYN_RETRIES_MAX: u32 = 6;

impl Tcb {
    /// Does what is due; follow with [`Tcb::output`].
    pub(crate) fn on_timer(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        let now = rules.now_ns;
        let due = |at: u64| at != 0 && now >= at;
        if due(self.ack_at) {
            self.ack_at = 0;
            self.ack_now = true;
        }
        if due(self.end_at) {
            self.end_at = 0;
            if !matches!(self.stage, Stage::FinWait2 | Stage::TimeWait) {
                // Nobody holds it. As long as bytes get through it may go on.
                let still_ns = now.saturating_sub(self.stalled_ns);
                if still_ns >= ORPHAN_NS {
                    return self.abort(rules, wire);
                }
                self.end_at = now + ORPHAN_NS - still_ns;
                return;
            }
            self.stage = Stage::Closed;
            self.free();
            return;
        }
        if due(self.resend_at) {
            self.resend_at = 0;
            self.resend_due(rules, wire);
        }
        if due(self.keep_at) {
            self.keep_at = 0;
            self.keep_due(rules, wire);
        }
    }

    fn resend_due(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        let now = rules.now_ns;
        let opening = !self.is_synchronised();
        let flight = self.max.wrapping_sub(self.una) as usize;
        if flight == 0 {
            if self.window == 0 && self.queue.len() > 0 {
                self.probes += 1;
                if self.has_run_out(rules, RETRIES_MAX, self.probes) {
                    return self.fail(Failure::TimedOut);
                }
                self.send_probe(rules, wire);
                self.resend_at = now + (self.rto_ns << self.probes.min(10)).min(RTO_MAX_NS);
            }
            // Else: corked bytes have waited long enough; they go as if they were pushed.
            return;
        }
        self.retries += 1;
        if self.has_run_out(rules, if opening { SYN_RETRIES_MAX } else { RETRIES_MAX }, self.retries) {
            return self.fail(Failure::TimedOut);
        }
        self.rto_ns = (self.rto_ns * 2).min(RTO_MAX_NS);
        self.timed = None;
        if opening {
            self.nxt = self.iss;
            return;
        }
        if self.retries == 1 {
            self.congestion.timed_out(flight);
        } else {
            self.congestion.window = self.mss;
        }
        // All over again; what the peer has already it will say.
        self.sacked.clear();
        self.recovery = None;
        self.duplicates = 0;
        self.nxt = self.una;
        self.resend_at = now + self.rto_ns;
        if self.window == 0 {
            self.window = 1;
        }
    }

    fn has_run_out(&self, rules: &Rules, most: u32, tried: u32) -> bool {
        if rules.user_timeout_ns > 0 && self.is_synchronised() {
            return rules.now_ns.saturating_sub(self.stalled_ns) >= rules.user_timeout_ns;
        }
        tried > most
    }

    /// Keepalive is on (or off) from now on.
    pub(crate) fn set_keepalive(&mut self, rules: &Rules) {
        let (idle, _, _) = rules.keep;
        let on = idle > 0 && self.is_synchronised() && self.stage != Stage::TimeWait;
        self.keep_at = if on { self.heard_ns.max(1) + idle } else { 0 };
    }

    fn keep_due(&mut self, rules: &Rules, wire: &mut dyn Wire) {
        let (idle, interval, count) = rules.keep;
        if idle == 0 || self.max != self.una {
            return self.set_keepalive(&Rules { now_ns: rules.now_ns, ..*rules });
        }
        let quiet = rules.now_ns.saturating_sub(self.heard_ns);
        if quiet < idle {
            self.probes = 0;
            self.keep_at = self.heard_ns + idle;
            return;
        }
        if self.probes >= count {
            return self.fail(Failure::TimedOut);
        }
        self.probes += 1;
        self.send_probe(rules, wire);
        self.keep_at = rules.now_ns + interval;
    }

    /// A round trip was measured.
    pub(super) fn measured(&mut self, us: u64) {
        let us = us.max(1);
        if self.srtt_us == 0 {
            (self.srtt_us, self.rttvar_us) = (us, us / 2);
        } else {
            self.rttvar_us = (3 * self.rttvar_us + self.srtt_us.abs_diff(us)) / 4;
            self.srtt_us = (7 * self.srtt_us + us) / 8;
        }
        // Never under 200 ms, as Linux: the peer may acknowledge late.
        let spread = (4 * self.rttvar_us).max(200_000);
        self.rto_ns = ((self.srtt_us + spread) * 1000).min(RTO_MAX_NS);
    }

    /// Whether `ack` acknowledges everything that was sent.
    pub(super) fn all_acknowledged(&self) -> bool {
        !before(self.una, self.max)
    }
}
