//! Frames as peers make them.

use super::nic::MAC;
use crate::inet::Ip;
use crate::inet::icmp::{fold, pseudo_sum, sum};
use crate::inet::tcp::engine_head::Head;
use std::vec::Vec;

/// Whoever speaks to the machine has this address.
pub(super) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

pub(super) fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    [&MAC[..], &PEER_MAC, &kind.to_be_bytes(), body].concat()
}

pub(super) fn v4(from: Ip, to: Ip, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; 20];
    (header[0], header[8], header[9]) = (0x45, 64, protocol);
    header[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    header[12..16].copy_from_slice(&from.bytes()[12..]);
    header[16..].copy_from_slice(&to.bytes()[12..]);
    let check = !fold(sum(&header, 0));
    header[10..12].copy_from_slice(&check.to_be_bytes());
    ethernet(0x0800, &[&header, payload].concat())
}

pub(super) fn v6(from: Ip, to: Ip, next: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; 40];
    (header[0], header[6], header[7]) = (0x60, next, hops);
    header[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    header[8..24].copy_from_slice(&from.bytes());
    header[24..].copy_from_slice(&to.bytes());
    ethernet(0x86dd, &[&header, payload].concat())
}

/// Puts the checksum of a transport at `place`.
pub(super) fn checked(from: Ip, to: Ip, protocol: u8, place: usize, mut body: Vec<u8>) -> Vec<u8> {
    let pseudo = if protocol == 1 { 0 } else { pseudo_sum(protocol, from, to, body.len()) };
    let check = !fold(sum(&body, pseudo));
    body[place..place + 2].copy_from_slice(&check.to_be_bytes());
    body
}

pub(super) fn ip(from: Ip, to: Ip, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if to.is_v4() { v4(from, to, protocol, payload) } else { v6(from, to, protocol, 64, payload) }
}

/// A segment from `from`:`ports.0` to `to`:`ports.1`.
pub(super) fn tcp(from: Ip, to: Ip, ports: (u16, u16), head: &Head, payload: &[u8]) -> Vec<u8> {
    let mut body = std::vec![0; head.len()];
    head.write(ports, &mut body);
    body.extend_from_slice(payload);
    ip(from, to, 6, &checked(from, to, 6, 16, body))
}

pub(super) fn udp(from: Ip, to: Ip, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [ports.0, ports.1, 8 + payload.len() as u16, 0] {
        body.extend_from_slice(&number.to_be_bytes());
    }
    body.extend_from_slice(payload);
    ip(from, to, 17, &checked(from, to, 17, 6, body))
}

/// An ARP packet: 1 asks, 2 answers.
pub(super) fn arp(operation: u8, mac: [u8; 6], from: Ip, to: Ip) -> Vec<u8> {
    let mut body = [0, 1, 8, 0, 6, 4, 0, operation].to_vec();
    body.extend_from_slice(&mac);
    body.extend_from_slice(&from.bytes()[12..]);
    body.extend_from_slice(&MAC);
    body.extend_from_slice(&to.bytes()[12..]);
    ethernet(0x0806, &body)
}

/// A question of IGMPv2 for a group.
pub(super) fn checked_v4_query(group: Ip) -> Vec<u8> {
    let mut message = [0x11, 10, 0, 0, 0, 0, 0, 0];
    message[4..].copy_from_slice(&group.bytes()[12..]);
    let check = !crate::inet::icmp::fold(crate::inet::icmp::sum(&message, 0));
    message[2..4].copy_from_slice(&check.to_be_bytes());
    v4(Ip::from_v4(0x0a00_00fe), Ip::from_v4(0xe000_0001), 2, &message)
}
