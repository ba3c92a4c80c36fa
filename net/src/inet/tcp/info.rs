//! What TCP_INFO and `/proc/net/tcp` tell of a connection.

use super::{Link, Phase, State, TcpSocket};

/// The part of `struct tcp_info` that is not constant. Times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// 1 is ESTABLISHED; see `number_of`.
    pub state: u8,
    /// Timestamps 1, SACK 2, window scaling 4.
    pub options: u8,
    /// Window scale of the peer and of this end.
    pub scales: (u8, u8),
    /// Retransmission timeout.
    pub rto_us: u32,
    /// Largest segment sent.
    pub send_mss: u32,
    /// Largest segment received.
    pub receive_mss: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Retransmissions.
    pub retransmits: u32,
    /// Smoothed round-trip time and its variation.
    pub rtt_us: (u32, u32),
    /// Slow-start threshold, segments.
    pub slow_start: u32,
    /// Congestion window, segments.
    pub window: u32,
    /// Largest packet of the path, bytes.
    pub path_mtu: u32,
    /// Bytes that may arrive.
    pub receive_space: u32,
}

/// Linux's number of a state (`include/net/tcp_states.h`).
pub(super) fn number_of(state: &State) -> u8 {
    const ESTABLISHED: u8 = 1;
    const SYN_SENT: u8 = 2;
    const FIN_WAIT2: u8 = 5;
    const CLOSE: u8 = 7;
    const CLOSE_WAIT: u8 = 8;
    const LISTEN: u8 = 10;
    match state.phase {
        Phase::Listening => LISTEN,
        Phase::Connecting => SYN_SENT,
        Phase::Closed => CLOSE,
        Phase::Connected if state.ended => CLOSE_WAIT,
        Phase::Connected if state.write_shut => FIN_WAIT2,
        Phase::Connected => ESTABLISHED,
    }
}

impl TcpSocket {
    pub(super) fn make_info(&self) -> TcpInfo {
        let state = self.state.lock();
        let mut info = TcpInfo { state: number_of(&state), rto_us: 1_000_000, ..TcpInfo::default() };
        match &state.link {
            Link::None | Link::Over => {
                (info.send_mss, info.receive_mss) = (536, 536);
                (info.window, info.slow_start) = (10, i32::MAX as u32);
            }
            Link::Remote(remote) => {
                let tcb = &remote.tcb;
                let (srtt, variation, rto) = tcb.times_us();
                (info.options, info.scales) = tcb.agreed();
                info.rto_us = rto;
                (info.send_mss, info.receive_mss) = (tcb.mss as u32, tcb.mss as u32);
                info.unacked = (tcb.nxt.wrapping_sub(tcb.una) as usize).div_ceil(tcb.mss) as u32;
                info.retransmits = tcb.retries;
                info.rtt_us = (srtt, variation);
                info.slow_start = (tcb.congestion.threshold / tcb.mss).min(i32::MAX as usize) as u32;
                info.window = (tcb.congestion.window / tcb.mss) as u32;
                info.path_mtu = remote.way.path.mtu;
                info.receive_space = tcb.receive_limit() as u32;
            }
            Link::Local(_) => {
                info.options = 7;
                info.scales = (7, 7);
                info.rto_us = 201_000;
                (info.send_mss, info.receive_mss) = (32_768, 536);
                info.rtt_us = (20, 10);
                (info.window, info.slow_start) = (10, i32::MAX as u32);
                info.path_mtu = 65_535;
                info.receive_space = self.inbox_limit() as u32;
            }
        }
        info
    }
}
