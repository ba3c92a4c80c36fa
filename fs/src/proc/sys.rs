//! `/proc/sys` and `/proc/net`.

use crate::generated::{GenDir, GenFile};
use crate::inode::InodeRef;
use alloc::{format, sync::Arc, vec, vec::Vec};
use hal::sync::SpinLock;

/// A text that does not change.
fn fixed(text: &'static str) -> InodeRef {
    GenFile::new(move || Vec::from(text))
}

/// What the sysctl files show where the machine's owner decides; set by `libc-compat` or `jvm-host`.
pub struct Settings {
    /// `vm.max_map_count`.
    pub max_map_count: u64,
    /// `kernel.threads-max`.
    pub threads_max: u64,
    /// `kernel.pid_max`.
    pub pid_max: u64,
    /// `fs.file-max`.
    pub file_max: u64,
    /// `kernel.hostname`.
    pub hostname: &'static str,
}

/// The settings that are shown.
pub static SETTINGS: SpinLock<Settings> = SpinLock::new(Settings {
    max_map_count: 1_048_576,
    threads_max: 32_768,
    pid_max: 4_194_304,
    file_max: 1_048_576,
    hostname: "demitasse",
});

fn number(get: impl Fn(&Settings) -> u64 + Send + Sync + 'static) -> InodeRef {
    GenFile::new(move || format!("{}\n", get(&SETTINGS.lock())).into_bytes())
}

fn dir(entries: Vec<(&'static str, InodeRef)>) -> InodeRef {
    GenDir::new(0o555, entries)
}

pub(super) fn sys() -> InodeRef {
    let random = dir(vec![
        ("boot_id", boot_id()),
        ("entropy_avail", fixed("256\n")),
        ("poolsize", fixed("256\n")),
        ("uuid", GenFile::new(uuid)),
    ]);
    let kernel = dir(vec![
        ("cap_last_cap", fixed("40\n")),
        ("core_pattern", fixed("core\n")),
        ("core_uses_pid", fixed("0\n")),
        ("hostname", GenFile::new(|| format!("{}\n", SETTINGS.lock().hostname).into_bytes()) as InodeRef),
        ("ngroups_max", fixed("65536\n")),
        ("osrelease", GenFile::new(|| format!("{}\n", super::RELEASE).into_bytes())),
        ("ostype", fixed("Linux\n")),
        ("overflowgid", fixed("65534\n")),
        ("overflowuid", fixed("65534\n")),
        ("perf_event_paranoid", fixed("4\n")),
        ("pid_max", number(|settings| settings.pid_max)),
        ("random", random),
        ("randomize_va_space", fixed("2\n")),
        ("threads-max", number(|settings| settings.threads_max)),
        ("version", fixed("#1 SMP\n")),
    ]);
    let vm = dir(vec![
        ("max_map_count", number(|settings| settings.max_map_count)),
        ("mmap_min_addr", fixed("4096\n")),
        ("nr_hugepages", fixed("0\n")),
        ("overcommit_kbytes", fixed("0\n")),
        ("overcommit_memory", fixed("0\n")),
        ("overcommit_ratio", fixed("50\n")),
        ("swappiness", fixed("60\n")),
    ]);
    let fs = dir(vec![
        ("file-max", number(|settings| settings.file_max)),
        ("nr_open", fixed("1048576\n")),
        ("pipe-max-size", fixed("1048576\n")),
        (
            "inotify",
            dir(vec![
                ("max_queued_events", fixed("16384\n")),
                ("max_user_instances", fixed("128\n")),
                ("max_user_watches", fixed("65536\n")),
            ]),
        ),
    ]);
    let core = dir(vec![
        ("rmem_default", fixed("212992\n")),
        ("rmem_max", fixed("212992\n")),
        ("somaxconn", fixed("4096\n")),
        ("wmem_default", fixed("212992\n")),
        ("wmem_max", fixed("212992\n")),
    ]);
    let ipv4 = dir(vec![
        ("ip_local_port_range", fixed("32768\t60999\n")),
        ("tcp_congestion_control", fixed("cubic\n")),
        ("tcp_fastopen", fixed("0\n")),
        ("tcp_fin_timeout", fixed("60\n")),
        ("tcp_keepalive_intvl", fixed("75\n")),
        ("tcp_keepalive_probes", fixed("9\n")),
        ("tcp_keepalive_time", fixed("7200\n")),
        ("tcp_max_syn_backlog", fixed("4096\n")),
        ("tcp_rmem", fixed("4096\t131072\t6291456\n")),
        ("tcp_syncookies", fixed("0\n")),
        ("tcp_wmem", fixed("4096\t16384\t4194304\n")),
    ]);
    dir(vec![("fs", fs), ("kernel", kernel), ("net", dir(vec![("core", core), ("ipv4", ipv4)])), ("vm", vm)])
}

fn uuid() -> Vec<u8> {
    let mut bytes = [0; 16];
    hal::random::fill(&mut bytes);
    // RFC 4122: version 4, variant 1.
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(3 << 62) | 4 << 76 | 2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}\n",
        number >> 96,
        number >> 80 & 0xffff,
        number >> 64 & 0xffff,
        number >> 48 & 0xffff,
        number & 0xffff_ffff_ffff
    )
    .into_bytes()
}

fn boot_id() -> InodeRef {
    static BOOT_ID: hal::sync::Once<Vec<u8>> = hal::sync::Once::new();
    GenFile::new(|| BOOT_ID.call_once(uuid).clone())
}

/// A function that writes a file of `/proc/net`.
pub type NetText = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

static NET_FILES: SpinLock<Vec<(&'static str, NetText)>> = SpinLock::new(Vec::new());

/// Lets `net` fill a file of `/proc/net`, such as `if_inet6`; those that nobody fills show an empty table.
pub fn register_net_file(name: &'static str, text: NetText) {
    let _old = {
        let mut files = NET_FILES.lock();
        match files.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => Some(core::mem::replace(&mut known.1, text)),
            None => {
                files.push((name, text));
                None
            }
        }
    };
}

/// The files of `/proc/net` and what they show while the network layer has not taken them over.
const NET_DEFAULTS: [(&str, &str); 12] = [
    (
        "dev",
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    ),
    ("if_inet6", ""),
    ("igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"),
    ("ipv6_route", ""),
    ("netstat", ""),
    ("route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"),
    ("snmp", ""),
    ("tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"),
    (
        "tcp6",
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
    ),
    (
        "udp",
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
    ),
    (
        "udp6",
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
    ),
    ("unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"),
];

pub(super) fn net() -> InodeRef {
    let entries = NET_DEFAULTS.iter().map(|&(name, empty)| {
        let file = GenFile::new(move || {
            let text = NET_FILES.lock().iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone());
            text.map_or_else(|| Vec::from(empty), |text| text())
        });
        (name, file as InodeRef)
    });
    dir(entries.collect())
}
