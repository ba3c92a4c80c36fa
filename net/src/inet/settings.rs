//! Options of Internet sockets that are one number each (ip(7), ipv6(7), tcp(7), udp(7)).

use core::sync::atomic::{AtomicI32, Ordering};

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $default:expr),* $(,)?) => {
        /// Which option. Names are those of the manual pages.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs, reason = "the names are those of the manual pages")]
        #[repr(u8)]
        pub enum Setting { $($(#[$doc])* $name),* }
        const DEFAULTS: &[i32] = &[$($default),*];
        const COUNT: usize = [$(Setting::$name),*].len();
    };
}

settings! {
    // SOL_SOCKET
    ReceiveLow = 1, Priority = 0, Timestamp = 0, Mark = 0, DontRoute = 0,
    // IPPROTO_IP
    Tos = 0, Ttl = -1, MulticastTtl = 1, MulticastLoop = 1, MulticastIf = 0, MulticastAll = 1, RecvErr = 0, PktInfo = 0,
    MtuDiscover = 1, RecvTos = 0, RecvTtl = 0, HeaderIncluded = 0, FreeBind = 0, NoPort = 0,
    // IPPROTO_IPV6
    V6Only = 0, UnicastHops = -1, MulticastHops = 1, MulticastLoop6 = 1, MulticastIf6 = 0, MulticastAll6 = 1, RecvErr6 = 0,
    RecvPktInfo6 = 0, RecvHopLimit = 0, RecvTclass = 0, Tclass = 0, MtuDiscover6 = 1, Checksum = -1, AutoFlowLabel = 1,
    // IPPROTO_TCP
    NoDelay = 0, MaxSeg = 0, Cork = 0, KeepIdle = 7200, KeepInterval = 75, KeepCount = 9, SynCount = 6, Linger2 = 60,
    DeferAccept = 0, WindowClamp = 0, QuickAck = 1, UserTimeout = 0, FastOpen = 0, NotSentLow = 0, Reno = 0,
}

/// Repetitions of a connection's first answer, the first after a second and each after twice as long (two minutes at most),
/// that `seconds` of TCP_DEFER_ACCEPT are, and how long they take: what Linux keeps instead.
pub fn repetitions(seconds: i32) -> (u32, i32) {
    let (mut count, mut wait, mut all) = (0, 0, 0);
    while all < seconds && count < 255 {
        wait = (wait * 2).clamp(1, 120);
        (count, all) = (count + 1, all + wait);
    }
    (count, all)
}

/// The options of one socket.
pub struct Settings([AtomicI32; COUNT]);

impl Settings {
    /// As a new socket has them.
    pub fn new() -> Self {
        Self(core::array::from_fn(|n| AtomicI32::new(DEFAULTS[n])))
    }
    /// As a new socket of IPv6 or IPv4 has them: only the latter hears groups that others have joined (IP_MULTICAST_ALL).
    pub fn of_family(v6: bool) -> Self {
        let settings = Self::new();
        settings.set(Setting::MulticastAll, i32::from(!v6));
        settings
    }
    /// One option's value.
    pub fn get(&self, which: Setting) -> i32 {
        self.0[which as usize].load(Ordering::Relaxed)
    }
    /// Whether it is on.
    pub fn is_on(&self, which: Setting) -> bool {
        self.get(which) != 0
    }
    /// Sets one.
    pub fn set(&self, which: Setting, value: i32) {
        self.0[which as usize].store(value, Ordering::Relaxed);
    }
    /// Takes over another's options (an accepted socket has its listener's).
    pub fn copy_from(&self, other: &Settings) {
        for (to, from) in self.0.iter().zip(&other.0) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}
