//! setsockopt and getsockopt at the level of sockets (socket(7)). Internet sockets have others: `inet_option.rs`.

use super::{Handle, inet_option, interface};
use crate::syscall::time::TimeVal;
use crate::syscall::{Call, Errno, SysResult};
use crate::uaccess::{UserPtr, UserSlice};
use crate::unsupported;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_raw_sys::net as codes;
use net::inet::Setting;
use net::{Family, Kind, Options, Socket};

/// A switch that is only kept.
fn switch(options: &Options, name: u32) -> Option<&AtomicBool> {
    Some(match name {
        codes::SO_REUSEADDR => &options.reuse_address,
        codes::SO_REUSEPORT => &options.reuse_port,
        codes::SO_KEEPALIVE => &options.keep_alive,
        codes::SO_BROADCAST => &options.broadcast,
        codes::SO_OOBINLINE => &options.out_of_band_inline,
        codes::SO_PASSCRED => &options.pass_credentials,
        _ => return None,
    })
}

/// A number that is kept.
fn kept(name: u32) -> Option<Setting> {
    Some(match name {
        codes::SO_PRIORITY => Setting::Priority,
        codes::SO_DONTROUTE => Setting::DontRoute,
        codes::SO_RCVLOWAT => Setting::ReceiveLow,
        codes::SO_MARK => Setting::Mark,
        codes::SO_TIMESTAMP_OLD => Setting::Timestamp,
        _ => return None,
    })
}

pub fn set(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    if call.uint(1) != codes::SOL_SOCKET {
        return inet_option::set(call, &**handle.socket());
    }
    let options = handle.socket().options();
    let (name, len) = (call.uint(2), call.int(4));
    let need = |bytes: i32| if len < bytes { Err(Errno::EINVAL) } else { Ok(()) };
    need(4)?;
    let number = call.ptr::<i32>(3).read()?;
    if let Some(switch) = switch(options, name) {
        switch.store(number != 0, Ordering::Relaxed);
        if name == codes::SO_KEEPALIVE {
            handle.socket().setting_changed(None);
        }
        return Ok(0);
    }
    match name {
        codes::SO_SNDBUF | codes::SO_SNDBUFFORCE => options.set_send_buffer(number.max(0) as u32),
        codes::SO_RCVBUF | codes::SO_RCVBUFFORCE => options.set_receive_buffer(number.max(0) as u32),
        codes::SO_LINGER => {
            need(8)?;
            let [on, seconds] = call.ptr::<[i32; 2]>(3).read()?;
            options.set_linger(on != 0, seconds.max(0) as u32);
        }
        codes::SO_RCVTIMEO_OLD | codes::SO_RCVTIMEO_NEW => options.set_receive_timeout_ns(timeout(call)?),
        codes::SO_SNDTIMEO_OLD | codes::SO_SNDTIMEO_NEW => options.set_send_timeout_ns(timeout(call)?),
        codes::SO_PRIORITY | codes::SO_DONTROUTE | codes::SO_RCVLOWAT | codes::SO_MARK | codes::SO_TIMESTAMP_OLD => {
            if let (Some(settings), Some(setting)) = (handle.socket().settings(), kept(name)) {
                settings.set(setting, if name == codes::SO_RCVLOWAT { number.max(1) } else { number });
            }
        }
        // Debugging, and what a security policy would look at: nothing here could make a difference.
        codes::SO_DEBUG | codes::SO_BUSY_POLL | codes::SO_ATTACH_FILTER | codes::SO_DETACH_FILTER => {}
        codes::SO_BINDTODEVICE => return interface::bind_to_device(call),
        codes::SO_TYPE | codes::SO_ERROR | codes::SO_PROTOCOL | codes::SO_DOMAIN | codes::SO_ACCEPTCONN => {
            return Err(Errno::ENOPROTOOPT);
        }
        _ => {
            unsupported!("setsockopt SOL_SOCKET option", name);
            return Err(Errno::ENOPROTOOPT);
        }
    }
    Ok(0)
}

/// A timeout: 0 is none; a negative one is one that is over at once (Linux: `sock_set_timeout`).
fn timeout(call: &Call<'_>) -> Result<u64, Errno> {
    if call.int(4) < size_of::<TimeVal>() as i32 {
        return Err(Errno::EINVAL);
    }
    let time = call.ptr::<TimeVal>(3).read()?;
    if !(0..1_000_000).contains(&time.usec) {
        return Err(Errno::EDOM);
    }
    if time.sec < 0 { Ok(1) } else { time.to_ns() }
}

pub fn get(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let socket = handle.socket();
    if call.uint(1) != codes::SOL_SOCKET {
        return inet_option::get(call, &**socket);
    }
    let mut answer = Answer::new(call)?;
    match call.uint(2) {
        codes::SO_LINGER => {
            let (on, seconds) = socket.options().linger();
            answer.give(&[i32::from(on), seconds as i32])
        }
        codes::SO_RCVTIMEO_OLD | codes::SO_RCVTIMEO_NEW => answer.give_time(socket.options().receive_timeout_ns()),
        codes::SO_SNDTIMEO_OLD | codes::SO_SNDTIMEO_NEW => answer.give_time(socket.options().send_timeout_ns()),
        codes::SO_PEERCRED => match socket.peer_credentials() {
            Some(peer) => answer.give(&[peer.pid as i32, peer.uid as i32, peer.gid as i32]),
            // No peer: pid 0, nobody's ids.
            None => answer.give(&[0, -1, -1]),
        },
        name => answer.give(&[number(&**socket, name)?]),
    }
}

fn number(socket: &dyn Socket, name: u32) -> Result<i32, Errno> {
    let options = socket.options();
    if let Some(switch) = switch(options, name) {
        return Ok(i32::from(switch.load(Ordering::Relaxed)));
    }
    Ok(match name {
        codes::SO_TYPE => {
            (match socket.kind() {
                Kind::Stream => codes::SOCK_STREAM,
                Kind::Datagram => codes::SOCK_DGRAM,
                Kind::SeqPacket => codes::SOCK_SEQPACKET,
                Kind::Raw => codes::SOCK_RAW,
            }) as i32
        }
        codes::SO_DOMAIN => match socket.family() {
            Family::Unix => codes::AF_UNIX as i32,
            Family::Inet => codes::AF_INET as i32,
            Family::Inet6 => codes::AF_INET6 as i32,
            Family::Netlink => codes::AF_NETLINK as i32,
        },
        codes::SO_ERROR => socket.take_error().map_or(0, |error| Errno::from(error).number() as i32),
        codes::SO_SNDBUF => options.send_buffer() as i32,
        codes::SO_RCVBUF => options.receive_buffer() as i32,
        codes::SO_ACCEPTCONN => i32::from(socket.is_listening()),
        codes::SO_RCVLOWAT | codes::SO_PRIORITY | codes::SO_DONTROUTE | codes::SO_MARK | codes::SO_TIMESTAMP_OLD => {
            match (socket.settings(), kept(name)) {
                (Some(settings), Some(setting)) => settings.get(setting),
                _ => i32::from(name == codes::SO_RCVLOWAT),
            }
        }
        codes::SO_SNDLOWAT => 1,
        codes::SO_PROTOCOL => i32::from(socket.protocol()),
        codes::SO_DEBUG => 0,
        codes::SO_BUSY_POLL | codes::SO_INCOMING_NAPI_ID | codes::SO_INCOMING_CPU => 0,
        // No security module labels peers.
        codes::SO_PEERSEC => return Err(Errno::ENOPROTOOPT),
        _ => {
            unsupported!("getsockopt SOL_SOCKET option", name);
            return Err(Errno::ENOPROTOOPT);
        }
    })
}

/// Where an option's value goes, cut to the length that was given.
pub(super) struct Answer {
    value: UserSlice,
    len: UserPtr<i32>,
}

impl Answer {
    pub fn new(call: &Call<'_>) -> Result<Self, Errno> {
        let len = call.ptr::<i32>(4);
        let room = len.read()?;
        if room < 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Self { value: UserSlice::new(call.arg(3), room as usize), len })
    }

    pub fn give(&mut self, words: &[i32]) -> SysResult {
        let mut bytes = [0; 16];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        self.give_bytes(&bytes[..words.len() * 4])
    }

    fn give_time(&mut self, ns: u64) -> SysResult {
        let time = TimeVal::from_ns(ns);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&time.sec.to_ne_bytes());
        bytes[8..].copy_from_slice(&time.usec.to_ne_bytes());
        self.give_bytes(&bytes)
    }

    /// How many bytes fit.
    pub fn room(&self) -> usize {
        self.value.len()
    }

    pub fn give_bytes(&mut self, bytes: &[u8]) -> SysResult {
        let count = self.value.write(&bytes[..bytes.len().min(self.value.len())])?;
        self.len.write(count as i32)?;
        Ok(0)
    }
}
