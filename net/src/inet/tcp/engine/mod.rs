//! The TCP state machine of one connection: segments, the time and the application's bytes go in, segments and
//! deadlines come out. It knows no socket, device or lock.
//!
//! `input.rs` takes a segment (`plain.rs` the kind that most are), `output.rs` makes what can be sent, `timer.rs` does what is
//! due, `congestion.rs` says how much may be under way.
//!
//! # Specifications
//! RFC 9293; RFC 7323 (timestamps, window scale), RFC 6298 (retransmission timer), RFC 5681, 6675 and 9438 (congestion,
//! loss recovery by selective acknowledgements, CUBIC), RFC 5961 (attacks in the window), RFC 2018.

mod congestion;
pub(crate) mod head;
mod input;
mod output;
mod plain;
#[cfg(test)]
mod tests;
mod timer;

use crate::inet::queue::ByteQueue;
use crate::inet::tcp::memory::Pressure;
use alloc::vec::Vec;
use congestion::Congestion;
use head::Head;

/// `a` is before `b` in sequence space.
pub(crate) const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// States behind LISTEN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// Why a connection ended badly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    Refused,
    Reset,
    TimedOut,
}

/// What the connection's owner has to know, collected until it is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effects {
    pub connected: bool,
    pub received: bool,
    pub room: bool,
    pub ended: bool,
    pub failed: Option<Failure>,
}

impl Effects {
    /// Whether nothing has happened.
    pub(crate) fn are_none(&self) -> bool {
        !(self.connected | self.received | self.room | self.ended | self.failed.is_some())
    }
}

/// Where segments go.
pub(crate) trait Wire {
    /// Sends `len` bytes of `data` from `offset` on behind the header; false if there is no room now, `now_ns`.
    fn send(&mut self, now_ns: u64, head: &Head, data: &ByteQueue, offset: usize, len: usize, mss: usize) -> bool;
}

/// What the application's options say at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub now_ns: u64,
    pub no_delay: bool,
    pub cork: bool,
    /// Bytes that the application has not read.
    pub unread: usize,
    /// Keepalive: idle time, interval (nanoseconds) and count; 0: off.
    pub keep: (u64, u64, u32),
    /// How long sent bytes may stay unacknowledged, nanoseconds; 0: as many retransmissions as Linux makes.
    pub user_timeout_ns: u64,
    /// A size of the receive buffer that the application chose; 0: it grows.
    pub receive_limit: usize,
    /// Most bytes of a segment that the device cuts; 0: it cuts none.
    pub cut_max: usize,
    /// How short memory for the bytes of all connections is.
    pub pressure: Pressure,
}

const MS: u64 = 1_000_000;
/// Segments without bytes that are not right are answered this seldom: their answers may be answered, for ever
/// (net.ipv4.tcp_invalid_ratelimit).
pub(crate) const STRAY_NS: u64 = 500 * MS;
/// How long a connection that nobody holds may stand still before it is reset.
const ORPHAN_NS: u64 = 100_000 * MS;
/// The receive buffer at first and at most.
const RECEIVE_FIRST: usize = 65_535;
const RECEIVE_MAX: usize = 4 << 20;
/// What bytes that came before their turn take beside themselves.
const EARLY_COST: usize = 64;
/// The window scale that lets the receive buffer grow so far.
const SCALE: u8 = 7;

/// One connection.
pub(crate) struct Tcb {
    pub stage: Stage,
    pub effects: Effects,
    // Sending.
    iss: u32,
    pub una: u32,
    pub nxt: u32,
    /// Behind the last byte ever sent.
    max: u32,
    window: u32,
    /// The largest that there was.
    window_max: u32,
    window_seq: u32,
    window_ack: u32,
    send_scale: u8,
    pub mss: usize,
    /// Bytes from the first unacknowledged one on.
    pub queue: ByteQueue,
    /// No more bytes will come.
    pub fin_queued: bool,
    /// The device had no room.
    pub blocked: bool,
    // Receiving.
    pub rcv_nxt: u32,
    /// Behind the last byte that the peer may send.
    edge: u32,
    receive_scale: u8,
    receive_limit: usize,
    delivered: usize,
    early: Vec<(u32, Vec<u8>)>,
    early_bytes: usize,
    fin_at: Option<u32>,
    ack_now: bool,
    /// Bytes received since the last acknowledgement.
    unacknowledged: usize,
    // Options that both ends have.
    stamps: bool,
    recent_stamp: u32,
    sack: bool,
    // Loss and speed.
    pub congestion: Congestion,
    duplicates: u32,
    recovery: Option<u32>,
    sacked: Vec<(u32, u32)>,
    /// The next byte that may be sent again in recovery; whether it shall be now.
    resend: u32,
    resend_now: bool,
    srtt_us: u64,
    rttvar_us: u64,
    rto_ns: u64,
    timed: Option<(u32, u64)>,
    pub retries: u32,
    probes: u32,
    /// When the oldest unacknowledged byte was sent first.
    stalled_ns: u64,
    heard_ns: u64,
    /// When a stray segment was answered last.
    strayed_ns: u64,
    // Deadlines; 0: none.
    resend_at: u64,
    ack_at: u64,
    keep_at: u64,
    end_at: u64,
}

impl Tcb {
    fn new(stage: Stage, iss: u32, mss: usize, now_ns: u64) -> Self {
        Self {
            stage,
            effects: Effects::default(),
            iss,
            una: iss,
            nxt: iss,
            max: iss,
            window: 0,
            window_max: 0,
            window_seq: 0,
            window_ack: 0,
            send_scale: 0,
            mss,
            queue: ByteQueue::new(),
            fin_queued: false,
            blocked: false,
            rcv_nxt: 0,
            edge: 0,
            receive_scale: 0,
            receive_limit: RECEIVE_FIRST,
            delivered: 0,
            early: Vec::new(),
            early_bytes: 0,
            fin_at: None,
            ack_now: false,
            unacknowledged: 0,
            stamps: false,
            recent_stamp: 0,
            sack: false,
            congestion: Congestion::new(mss),
            duplicates: 0,
            recovery: None,
            sacked: Vec::new(),
            resend: iss,
            resend_now: false,
            srtt_us: 0,
            rttvar_us: 0,
            rto_ns: 1000 * MS,
            timed: None,
            retries: 0,
            probes: 0,
            stalled_ns: 0,
            heard_ns: now_ns,
            strayed_ns: 0,
            resend_at: 0,
            ack_at: 0,
            keep_at: 0,
            end_at: 0,
        }
    }

    /// A connection to be opened; `mss` is what this end's packets hold.
    pub(crate) fn connect(iss: u32, mss: usize, now_ns: u64) -> Self {
        Self::new(Stage::SynSent, iss, mss, now_ns)
    }

    /// A connection whose opening was answered elsewhere with `iss` and has been confirmed: `syn` was the peer's first
    /// segment.
    pub(crate) fn accepted(iss: u32, mss: usize, syn: &Head, now_ns: u64) -> Self {
        let mut tcb = Self::new(Stage::SynReceived, iss, mss, now_ns);
        tcb.start_receiving(syn);
        tcb.nxt = iss.wrapping_add(1);
        tcb.max = tcb.nxt;
        tcb
    }

    /// The peer's first segment says what it can do.
    fn start_receiving(&mut self, syn: &Head) {
        self.rcv_nxt = syn.seq.wrapping_add(1);
        self.edge = self.rcv_nxt.wrapping_add(RECEIVE_FIRST as u32);
        if let Some(scale) = syn.scale {
            self.send_scale = scale;
            self.receive_scale = SCALE;
        }
        self.window = u32::from(syn.window);
        self.window_max = self.window;
        self.window_seq = syn.seq;
        if let Some((value, _)) = syn.stamp {
            self.stamps = true;
            self.recent_stamp = value;
        }
        self.sack = syn.sack_permitted;
        let mut mss = self.mss.min(usize::from(syn.mss.unwrap_or(536)).max(88));
        if self.stamps {
            mss -= 12;
        }
        self.mss = mss;
        self.congestion = Congestion::new(mss);
    }

    /// The sequence number of the queue's first byte.
    fn data_start(&self) -> u32 {
        let is_opening = matches!(self.stage, Stage::SynSent | Stage::SynReceived);
        if is_opening { self.iss.wrapping_add(1) } else { self.una }
    }

    /// Behind the queue's last byte: the number of the FIN.
    fn data_end(&self) -> u32 {
        self.data_start().wrapping_add(self.queue.len() as u32)
    }

    /// Whether bytes may still be received.
    pub(crate) fn is_synchronised(&self) -> bool {
        !matches!(self.stage, Stage::SynSent | Stage::SynReceived | Stage::Closed)
    }

    /// The smaller packets of the path hold so many bytes of a segment, options included.
    pub(crate) fn limit_mss(&mut self, mss: usize) {
        let mss = mss.max(88) - if self.stamps { 12 } else { 0 };
        if mss < self.mss {
            self.mss = mss;
            self.congestion.set_mss(mss);
            self.nxt = self.data_start();
            self.recovery = None;
        }
    }

    /// The next deadline, nanoseconds; `u64::MAX`: none.
    pub(crate) fn deadline(&self) -> u64 {
        // 0, none, becomes the latest.
        let at = |deadline: u64| deadline.wrapping_sub(1);
        at(self.resend_at).min(at(self.ack_at)).min(at(self.keep_at)).min(at(self.end_at)).saturating_add(1)
    }

    fn fail(&mut self, failure: Failure) {
        self.stage = Stage::Closed;
        self.effects.failed = Some(failure);
        self.free();
        (self.resend_at, self.ack_at, self.keep_at, self.end_at) = (0, 0, 0, 0);
    }

    /// Nobody holds the connection: it does not wait for ever for the peer's end.
    pub(crate) fn leave(&mut self, now_ns: u64) {
        if self.end_at == 0 && self.stage != Stage::Closed {
            self.end_at = now_ns + if self.stage == Stage::FinWait2 { input::TIME_WAIT_NS } else { ORPHAN_NS };
        }
    }

    /// Buffers go.
    fn free(&mut self) {
        let _gone = (self.queue.clear(), core::mem::take(&mut self.early), core::mem::take(&mut self.sacked));
        self.early_bytes = 0;
    }

    /// Smoothed round-trip time and its variation, microseconds; retransmission timeout, microseconds.
    pub(crate) fn times_us(&self) -> (u32, u32, u32) {
        (self.srtt_us as u32, self.rttvar_us as u32, (self.rto_ns / 1000) as u32)
    }

    /// Options as TCP_INFO shows them, and both scales.
    pub(crate) fn agreed(&self) -> (u8, (u8, u8)) {
        let scaled = self.receive_scale != 0;
        let bits = u8::from(self.stamps) | u8::from(self.sack) << 1 | u8::from(scaled) << 2;
        (bits, (self.send_scale, self.receive_scale))
    }

    /// Bytes of memory that what it keeps takes.
    pub(crate) fn buffered(&self) -> usize {
        self.queue.held() + self.early_bytes + self.early.len() * EARLY_COST
    }

    pub(crate) fn receive_limit(&self) -> usize {
        self.receive_limit
    }
}
