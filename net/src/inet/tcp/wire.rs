//! A socket whose connection leads over the network: its state machine, and what that means for who waits.

use super::engine::head::Head;
use super::engine::{Failure, Rules, Stage, Tcb, Wire};
use super::memory::{self, Pressure};
use super::{Link, Phase, State, TcpSocket, time_wait, timer};
use crate::device::{HAS_NETWORK, device};
use crate::inet::Settings;
use crate::inet::address::{Ip, Tuple};
use crate::inet::ip::neighbour::Hop;
use crate::inet::ip::{self, Packet};
use crate::inet::queue::{ByteQueue, Piece};
use crate::inet::settings::Setting;
use crate::interface::Path;
use crate::options::Options;
use crate::socket::ARRIVED;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::{FsError, Readiness};

/// TCP's protocol number.
const TCP: u8 = 6;
/// Bytes that wait to be sent or acknowledged: at first, and at most.
const SEND_FIRST: usize = 128 << 10;
const SEND_MAX: usize = 4 << 20;

/// A connection over the network.
pub(crate) struct Remote {
    pub tcb: Tcb,
    pub way: Way,
    /// Bytes that the application had not read, and what their pieces hold, when somebody last looked.
    pub inbox: (usize, usize),
}

impl Remote {
    pub(crate) fn new(tcb: Tcb, way: Way) -> Self {
        Self { tcb, way, inbox: (0, 0) }
    }
}

/// What every packet of a connection has.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub path: Path,
    hop: Hop,
    pub tuple: Tuple,
    pub ttl: u8,
    pub tos: u8,
    /// Most bytes of a segment that the device cuts; 0: it cuts none.
    cut_max: u32,
}

impl Wire for Way {
    #[inline]
    fn send(&mut self, now_ns: u64, head: &Head, data: &ByteQueue, offset: usize, len: usize, mss: usize) -> bool {
        let header_len = head.len();
        let packet = Packet {
            from: self.tuple.local_ip,
            to: self.tuple.remote_ip,
            protocol: TCP,
            ttl: self.ttl,
            tos: self.tos,
            len: header_len + len,
            checksum: Some(16),
            cut: (len > mss && mss > 0).then_some((header_len as u16, mss as u16)),
            part: None,
        };
        let ports = (self.tuple.local_port, self.tuple.remote_port);
        ip::send_by(&self.path, (&mut self.hop, now_ns), &packet, |body| {
            if let Some((header, payload)) = body.split_at_mut_checked(header_len) {
                head.write(ports, header);
                data.peek(offset, payload);
            }
        })
    }
}

impl Way {
    pub(crate) fn new(path: Path, tuple: Tuple, settings: &Settings) -> Self {
        let v4 = tuple.remote_ip.is_v4();
        let ttl = settings.get(if v4 { Setting::Ttl } else { Setting::UnicastHops });
        let tos = settings.get(if v4 { Setting::Tos } else { Setting::Tclass });
        let ttl = u8::try_from(ttl).unwrap_or(64);
        Self { path, hop: Hop::default(), tuple, ttl, tos: tos as u8, cut_max: cut_max(&tuple) as u32 }
    }

    /// Sends a segment without bytes.
    pub(crate) fn send_alone(&mut self, head: &Head) -> bool {
        self.send(hal::clock::now_ns(), head, &ByteQueue::new(), 0, 0, 0)
    }

    /// Bytes of a segment without options.
    pub(crate) fn mss(&self, settings: &Settings) -> usize {
        let headers = if self.tuple.remote_ip.is_v4() { 40 } else { 60 };
        let whole = (self.path.mtu as usize).saturating_sub(headers).max(88);
        match settings.get(Setting::MaxSeg) {
            0 => whole,
            own => whole.min(own as usize),
        }
    }
}

/// The number that a connection starts with (RFC 6528).
pub(crate) fn first_number(tuple: &Tuple) -> u32 {
    let clock = (hal::clock::now_ns() >> 8) as u32;
    (super::secret::of(tuple, 0) as u32).wrapping_add(clock)
}

fn cut_max(tuple: &Tuple) -> usize {
    let Some(device) = device() else { return 0 };
    let offloads = device.info.offloads;
    let cuts = if tuple.remote_ip.is_v4() { offloads.segmentation_tcp4 } else { offloads.segmentation_tcp6 };
    if cuts { device.info.max_transmit_bytes.saturating_sub(120) } else { 0 }
}

/// What counts when something is sent: not how long the peer may be silent.
#[inline]
pub(super) fn rules_of_sending(options: &Options, settings: &Settings, way: &Way, unread: usize) -> Rules {
    Rules {
        now_ns: hal::clock::now_ns(),
        no_delay: settings.is_on(Setting::NoDelay),
        cork: settings.is_on(Setting::Cork),
        unread,
        receive_limit: if options.sizes_are_set() { options.receive_buffer() as usize } else { 0 },
        cut_max: way.cut_max as usize,
        pressure: memory::pressure(),
        ..Rules::default()
    }
}

pub(crate) fn rules(options: &Options, settings: &Settings, way: &Way, unread: usize) -> Rules {
    const SECOND: u64 = 1_000_000_000;
    let number = |setting| settings.get(setting).max(0) as u64;
    let keep = if options.keep_alive.load(Ordering::Relaxed) {
        let count = settings.get(Setting::KeepCount) as u32;
        (number(Setting::KeepIdle) * SECOND, number(Setting::KeepInterval) * SECOND, count)
    } else {
        (0, 0, 0)
    };
    let user_timeout_ns = number(Setting::UserTimeout) * 1_000_000;
    Rules { keep, user_timeout_ns, ..rules_of_sending(options, settings, way, unread) }
}

/// What to do to a connection.
pub(crate) enum Act<'a> {
    /// A segment has arrived.
    Segment(&'a Head, &'a [u8]),
    /// A deadline has come.
    Timer,
    /// Bytes to be sent.
    Send(Piece),
    /// No more bytes to be sent.
    End,
    /// No more bytes to be sent, and nobody who would receive any.
    Leave,
    /// A reset.
    Abort,
    /// Bytes were read, or an option was set.
    Look,
    /// Keepalive was switched.
    Keep,
    /// Packets over this many bytes do not get through.
    PathMtu(usize),
}

impl TcpSocket {
    /// Whether the connection leads over the network.
    pub(super) fn is_remote(&self) -> bool {
        HAS_NETWORK && matches!(self.state.lock().link, Link::Remote(_))
    }

    /// Most bytes that wait to be sent.
    pub(super) fn send_limit(&self, remote: &Remote) -> usize {
        if self.options.sizes_are_set() {
            return self.options.send_buffer() as usize;
        }
        match memory::pressure() {
            Pressure::None => (remote.tcb.congestion.window * 2).clamp(SEND_FIRST, SEND_MAX),
            Pressure::Short => memory::SHORT,
            Pressure::Out => memory::LEAST,
        }
    }

    /// Does something to the connection and everything that follows from it. True: a reset is the answer to the segment.
    pub(crate) fn act(self: &Arc<Self>, act: Act<'_>) -> bool {
        if !HAS_NETWORK {
            return false;
        }
        let mut reset = false;
        let mut gone = None;
        let mut waits = false;
        let (what, deadline) = {
            let mut state = self.state.lock();
            let Link::Remote(remote) = &mut state.link else { return matches!(act, Act::Segment(..)) };
            let (mut unread, mut held) = match act {
                // What the peer may send is not worth a look at the inbox for each piece that is sent.
                Act::Send(_) => remote.inbox,
                _ => {
                    let inbox = self.inbox.lock();
                    (inbox.len(), inbox.held())
                }
            };
            let mut rules = rules(&self.options, &self.settings, &remote.way, unread);
            remote.tcb.congestion.reno = self.settings.is_on(Setting::Reno);
            let Remote { tcb, way, inbox } = &mut **remote;
            match act {
                Act::Segment(head, payload) => {
                    let closed = self.closed.load(Ordering::Acquire);
                    let mut is_for_nobody = false;
                    reset = tcb.input(head, payload, &rules, &mut |bytes| {
                        if closed {
                            is_for_nobody = true;
                            return 0;
                        }
                        let mut inbox = self.inbox.lock();
                        // What there is no memory for the peer sends again later.
                        let is_out = rules.pressure == Pressure::Out && inbox.len() >= memory::LEAST;
                        let taken = if is_out { 0 } else { inbox.append(bytes) };
                        (unread, held) = (unread + taken, inbox.held());
                        taken
                    });
                    // New bytes for nobody: the peer shall know (RFC 9293, 3.6.1). Not so old ones again, whose acknowledgement
                    // was lost, nor any with a number that a stranger has guessed.
                    if is_for_nobody {
                        tcb.abort(&rules, way);
                    }
                    rules.unread = unread;
                }
                Act::Timer => tcb.on_timer(&rules, way),
                Act::Send(piece) => tcb.queue.push(piece),
                Act::End | Act::Leave => tcb.fin_queued = true,
                Act::Abort => tcb.abort(&rules, way),
                Act::Look => {}
                Act::Keep => tcb.set_keepalive(&rules),
                Act::PathMtu(mtu) => {
                    way.path.mtu = way.path.mtu.min(mtu as u32);
                    let mss = way.mss(&self.settings);
                    tcb.limit_mss(mss);
                }
            }
            tcb.output(&rules, way);
            if self.closed.load(Ordering::Acquire) {
                tcb.leave(rules.now_ns);
            }
            if tcb.blocked {
                timer::wait_for_device(self);
            }
            *inbox = (unread, held);
            self.charge.set(tcb.buffered() + held);
            let deadline = tcb.deadline();
            let what = self.effects(&mut state);
            let mut is_over = false;
            if let Link::Remote(remote) = &state.link {
                waits = remote.tcb.stage == Stage::TimeWait;
                is_over = waits || remote.tcb.stage == Stage::Closed;
                if waits && let Some(tuple) = state.listed {
                    // Before anybody can find that the connection is over.
                    time_wait::add(tuple, time_wait::Record::of(&remote.tcb, remote.way, &rules));
                }
            }
            if is_over {
                if state.phase == Phase::Connected || state.phase == Phase::Connecting {
                    state.phase = Phase::Closed;
                }
                if waits {
                    state.keep_port(&self.options);
                }
                let shared = state.shared.take();
                // What the application still sees of the connection is in the state.
                gone = Some((core::mem::replace(&mut state.link, Link::Over), state.listed.take(), shared));
            }
            (what, deadline)
        };
        if let Some((_link, tuple, shared)) = gone {
            self.unlist(tuple, shared, waits);
            timer::cancel(self);
            self.no_orphan();
        } else {
            timer::set(self, deadline);
        }
        if self.closed.load(Ordering::Acquire) {
            // Somebody may linger in close(2).
            self.writable.wake_all();
        }
        if !what.is_empty() {
            self.wake(what);
        }
        reset
    }

    /// Makes the state machine's news the socket's state; what became ready.
    fn effects(&self, state: &mut State) -> Readiness {
        let Link::Remote(remote) = &mut state.link else { return Readiness::empty() };
        let effects = core::mem::take(&mut remote.tcb.effects);
        if effects.are_none() {
            return Readiness::empty();
        }
        let has_room = || remote.tcb.queue.len() <= self.send_limit(remote) * 2 / 3;
        let mut what = Readiness::empty();
        if effects.connected && state.phase == Phase::Connecting {
            state.phase = Phase::Connected;
            what |= Readiness::WRITE;
        }
        if effects.received {
            what |= ARRIVED;
        }
        // Who found no room said so under this lock.
        if effects.room && self.starved.load(Ordering::Relaxed) && has_room() {
            self.starved.store(false, Ordering::Relaxed);
            what |= Readiness::WRITE;
        }
        if effects.ended {
            state.ended = true;
            state.read_shut = true;
            what |= Readiness::READ | Readiness::READ_HANGUP | state.hangup();
        }
        if let Some(failure) = effects.failed {
            state.error = Some(match failure {
                Failure::Refused => FsError::ConnectionRefused,
                Failure::TimedOut => FsError::TimedOut,
                Failure::Reset if state.ended => FsError::BrokenPipe,
                Failure::Reset => FsError::ConnectionReset,
            });
            state.phase = Phase::Closed;
            (state.read_shut, state.write_shut) = (true, true);
            what |= Readiness::READ | Readiness::WRITE | Readiness::ERROR | Readiness::HANGUP | Readiness::READ_HANGUP;
        }
        what
    }
}

/// Answers a segment that belongs to nothing (RFC 9293, 3.10.7.1).
pub(crate) fn refuse(local: (Ip, u16), remote: (Ip, u16), head: &Head, len: usize) {
    use super::engine::head::{ACK, FIN, RST, SYN};
    if head.has(RST) {
        return;
    }
    let Ok(path) = crate::interface::table().path(remote.0, 0) else { return };
    let tuple = Tuple { local_ip: local.0, remote_ip: remote.0, local_port: local.1, remote_port: remote.1 };
    let mut way = Way { path, hop: Hop::default(), tuple, ttl: 64, tos: 0, cut_max: 0 };
    let answer = if head.has(ACK) {
        Head { seq: head.ack, flags: RST, ..Head::default() }
    } else {
        let len = len as u32 + u32::from(head.has(SYN)) + u32::from(head.has(FIN));
        Head { ack: head.seq.wrapping_add(len), flags: RST | ACK, ..Head::default() }
    };
    way.send_alone(&answer);
}
