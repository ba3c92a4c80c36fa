//! The files of `/proc/net` (proc(5)).

use super::address::{Endpoint, Ip};
use super::connections;
use super::ports::{self, Holder};
use crate::interface;
use crate::socket::Socket;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use fs::proc::sys::register_net_file;

/// Fills the files. Called once, when the first Internet socket is made or the tree of files is mounted.
pub fn register() {
    let text = |write: fn(&mut String)| {
        Arc::new(move || {
            let mut text = String::new();
            write(&mut text);
            text.into_bytes()
        })
    };
    register_net_file("if_inet6", text(if_inet6));
    register_net_file("dev", text(dev));
    register_net_file("route", text(route));
    register_net_file("tcp", text(|out| tcp(out, false)));
    register_net_file("tcp6", text(|out| tcp(out, true)));
    register_net_file("udp", text(|out| udp(out, false)));
    register_net_file("udp6", text(|out| udp(out, true)));
}

/// Writing to a string does not fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => { let _ = write!($out, $($what)*); };
}

fn if_inet6(out: &mut String) {
    for interface in &interface::table().interfaces {
        for address in interface.addresses.iter().filter(|address| !address.ip.is_v4()) {
            let scope = match address.ip {
                ip if ip.is_loopback() => 0x10,
                ip if ip.is_link_local() => 0x20,
                _ => 0,
            };
            put!(
                out,
                "{:032x} {:02x} {:02x} {:02x} 80 {:>8}\n",
                address.ip.0,
                interface.index,
                address.prefix,
                scope,
                interface.name
            );
        }
    }
}

fn dev(out: &mut String) {
    out.push_str("Inter-|   Receive                                                |  Transmit\n");
    out.push_str(" face |bytes    packets errs drop fifo frame compressed multicast|");
    out.push_str("bytes    packets errs drop fifo colls carrier compressed\n");
    for interface in &interface::table().interfaces {
        let [in_bytes, in_packets, in_errors, out_bytes, out_packets] = interface.counts();
        put!(
            out,
            "{:>6}: {in_bytes:>7} {in_packets:>7} {in_errors:>4}    0    0     0          0         0 {out_bytes:>8} \
             {out_packets:>7}    0    0    0     0       0          0\n",
            interface.name
        );
    }
}

fn route(out: &mut String) {
    out.push_str("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    for _ in 0..53 {
        out.push(' ');
    }
    out.push('\n');
    let table = interface::table();
    for route in table.routes.iter().filter(|route| route.network.is_v4()) {
        let name = table.interface(route.interface).map_or("", |interface| &interface.name);
        let word = |ip: Ip| (ip.0 as u32).swap_bytes();
        let mask = u32::MAX.checked_shl(32 - u32::from(route.prefix)).unwrap_or(0).swap_bytes();
        let flags = 1 | if route.gateway.is_some() { 2 } else { 0 };
        put!(
            out,
            "{name}\t{:08X}\t{:08X}\t{flags:04X}\t0\t0\t0\t{mask:08X}\t0\t0\t0\n",
            word(route.network),
            route.gateway.map_or(0, word)
        );
    }
}

/// An end as these files show it: words of the address in the byte order of the machine.
fn end(end: Endpoint, v6: bool) -> String {
    let ip = end.ip.0;
    if !v6 {
        return format!("{:08X}:{:04X}", (ip as u32).swap_bytes(), end.port);
    }
    let word = |shift: u32| ((ip >> shift) as u32).swap_bytes();
    format!("{:08X}{:08X}{:08X}{:08X}:{:04X}", word(96), word(64), word(32), word(0), end.port)
}

fn line(out: &mut String, number: usize, ends: (Endpoint, Endpoint), v6: bool, state: u8, waiting: usize) {
    put!(
        out,
        "{number:>4}: {} {} {state:02X} 00000000:{waiting:08X} 00:00000000 00000000     0        0 0 1 0000000000000000",
        end(ends.0, v6),
        end(ends.1, v6)
    );
}

/// The line of headings; `wide` for IPv6.
fn headings(out: &mut String, v6: bool, tail: &str) {
    let (gap, rem) =
        if v6 { ("                        ", "remote_address                       ") } else { ("", "rem_address  ") };
    put!(out, "  sl  local_address{gap} {rem} st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode{tail}\n");
}

fn tcp(out: &mut String, v6: bool) {
    headings(out, v6, "");
    let listeners = ports::TCP.all().into_iter().filter_map(|holder| match holder {
        Holder::Tcp(socket) => socket.upgrade().filter(|socket| socket.is_listening()),
        Holder::Udp(_) => None,
    });
    let all: Vec<_> = listeners.chain(connections::all()).collect();
    for (number, shown) in all.iter().map(|socket| socket.shown()).filter(|shown| shown.v6 == v6).enumerate() {
        line(out, number, (shown.local, shown.remote), v6, shown.state, shown.waiting);
        out.push_str(" 100 0 0 10 0\n");
    }
}

fn udp(out: &mut String, v6: bool) {
    headings(out, v6, " ref pointer drops");
    let mut number = 0;
    for holder in ports::UDP.all() {
        let Holder::Udp(socket) = holder else { continue };
        let Some(socket) = socket.upgrade() else { continue };
        let (local, remote, waiting, own_v6) = socket.shown();
        if own_v6 == v6 {
            line(out, number, (local, remote), v6, 7, waiting);
            out.push_str(" 0\n");
            number += 1;
        }
    }
}
