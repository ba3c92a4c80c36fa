//! A connection, as a program has it.

use crate::Shared;
use crate::state::{Place, State};
use smoltcp::socket::tcp::{RecvError, State as TcpState};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::SocketAddrV4;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An open connection to the guest; dropped, it is closed. Reads and writes block as [`std::net::TcpStream`]'s do, with
/// `TimedOut` when patience ends, `ConnectionReset` when the guest reset it, `BrokenPipe` when the guest is gone.
pub struct Stream {
    shared: Arc<Shared>,
    place: Place,
    patience: Duration,
}

impl Stream {
    pub(crate) fn connect(
        shared: &Arc<Shared>,
        server: SocketAddrV4,
        buffer: usize,
        patience: Duration,
    ) -> Result<Stream> {
        let place = shared.lock().connect(server, buffer).map_err(Error::other)?;
        let stream = Stream { shared: shared.clone(), place, patience };
        stream.until(|state| match state.socket(place).state() {
            TcpState::SynSent | TcpState::SynReceived => None,
            TcpState::Closed => Some(Err(ErrorKind::ConnectionRefused.into())),
            _ => Some(Ok(())),
        })?;
        Ok(stream)
    }

    /// No more is sent; what the guest sends is still read.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.socket(self.place).close();
        state.run(self.place.0);
    }

    /// The connection is over at once, for the guest too.
    pub fn reset(self) {
        let mut state = self.shared.lock();
        state.socket(self.place).abort();
        state.run(self.place.0);
    }

    /// Tries again after each change, for as long as patience lasts.
    fn until<T>(&self, mut attempt: impl FnMut(&mut State) -> Option<Result<T>>) -> Result<T> {
        let end = Instant::now() + self.patience;
        let mut state: MutexGuard<'_, State> = self.shared.lock();
        loop {
            if let Some(result) = attempt(&mut state) {
                return result;
            }
            if state.is_gone() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let why = format!("nothing within {:?}, {}", self.patience, state.socket(self.place).state());
                return Err(Error::new(ErrorKind::TimedOut, why));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let place = self.place;
        self.until(|state| match state.socket(place).recv_slice(buffer) {
            Ok(0) if !buffer.is_empty() => None,
            Ok(count) => {
                // The window may have grown.
                state.run(place.0);
                Some(Ok(count))
            }
            Err(RecvError::Finished) => Some(Ok(0)),
            Err(RecvError::InvalidState) => Some(Err(ErrorKind::ConnectionReset.into())),
        })
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let place = self.place;
        self.until(|state| match state.socket(place).send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => None,
            Ok(count) => {
                state.run(place.0);
                Some(Ok(count))
            }
            Err(_) => Some(Err(ErrorKind::ConnectionReset.into())),
        })
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.lock().leave(self.place);
    }
}
