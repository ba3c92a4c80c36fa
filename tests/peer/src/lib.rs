//! All of a guest's network in this process: QEMU hands the guest's frames over (`-netdev stream`) and gets ours. Behind the
//! socket are as many hosts as connections need, with smoltcp's TCP; nothing of the computer's own network is used, no right
//! is needed, and ten thousand connections cost QEMU nothing.
//!
//! ```text
//! guest - QEMU - Unix socket - link.rs (Ethernet, ARP) - faults.rs (both ways) - host.rs (smoltcp, by address) - stream.rs
//! ```
//!
//! One lock holds everything; a thread takes frames in, one looks after timers.

use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

mod faults;
mod host;
mod link;
mod state;
mod stream;

pub use faults::{Faults, Seen};
pub use stream::Stream;

use state::State;

/// How often timers are looked after: retransmissions of hosts and packets that are held back.
const TICK: Duration = Duration::from_millis(5);

/// The network of one guest. Its hosts have addresses in 10.0.64.0/18; they answer ARP, and ICMP echoes.
pub struct Network {
    shared: Arc<Shared>,
    path: PathBuf,
}

struct Shared {
    state: Mutex<State>,
    /// A frame or a timer changed something.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    /// Listens at `path`, where a QEMU connects one guest (`-netdev stream,server=off`). The guest's address is `guest`.
    pub fn bind(path: &Path, guest: Ipv4Addr) -> Result<Network> {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        let shared = Arc::new(Shared { state: Mutex::new(State::new(guest)), changed: Condvar::new() });
        let inner = Arc::downgrade(&shared);
        thread::spawn(move || {
            let Ok((stream, _)) = listener.accept() else { return };
            let Ok(to_guest) = stream.try_clone() else { return };
            let Some(shared) = inner.upgrade() else { return };
            shared.lock().attach(to_guest);
            drop(shared);
            link::take_in(stream, &inner);
        });
        let inner = Arc::downgrade(&shared);
        thread::spawn(move || {
            while let Some(shared) = inner.upgrade() {
                shared.lock().tick();
                shared.changed.notify_all();
                drop(shared);
                thread::sleep(TICK);
            }
        });
        Ok(Network { shared, path: path.into() })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks the guest for its Ethernet address until it answers.
    pub fn wait_for_guest(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let mut state = self.shared.lock();
            if state.knows_guest() {
                return Ok(());
            }
            ensure!(Instant::now() < end, "the guest answers no ARP within {patience:?}");
            state.ask_for_guest();
            drop(self.shared.changed.wait_timeout(state, Duration::from_millis(200)));
        }
    }

    /// Opens a connection to a port of the guest's from a new port of one of the hosts, with `buffer` bytes for each way.
    /// The connection's reads and writes too have so much patience.
    pub fn connect(&self, server: SocketAddrV4, buffer: usize, patience: Duration) -> std::io::Result<Stream> {
        Stream::connect(&self.shared, server, buffer, patience)
    }

    /// From now on packets suffer, both ways; `Faults::default()` ends it.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().set_faults(faults);
    }

    /// What the faults did so far: to packets for the guest, and to the guest's.
    pub fn seen(&self) -> [Seen; 2] {
        self.shared.lock().seen()
    }
}
