//! What routers say of paths, and other machines of our addresses.

use super::{PORT, SERVER, SERVER_V6, World, wire};
use crate::device::device;
use crate::inet::tcp::engine_head::{Head, SYN};
use crate::inet::{Endpoint, Ip, ip};
use crate::interface::InterfaceAddress;
use crate::socket::{Address, InetAddress, SendArguments, Socket};
use fs::{Blocking, SliceSource};
use std::vec::Vec;

/// A router's word that a packet of ours was too big, with what was sent of it.
fn too_big(frame: &[u8], mtu: u16) -> Vec<u8> {
    let mut body = [3, 4, 0, 0, 0, 0, 0, 0].to_vec();
    body[6..8].copy_from_slice(&mtu.to_be_bytes());
    body.extend_from_slice(&frame[14..14 + 28]);
    let router = Ip::from_v4(0x0a00_00fe);
    wire::v4(router, SERVER, 1, &wire::checked(router, SERVER, 1, 2, body))
}

#[test]
fn what_a_router_says_of_a_path_holds_for_the_next_datagram_and_connection() {
    let (_turn, mut world) = World::new();
    let send = |world: &mut World, last: u32, len: usize| {
        let to = Address::Inet(InetAddress { v6: true, at: Endpoint::new(Ip::from_v4(0x0a00_0800 + last), 4000) });
        let arguments = SendArguments { to: Some(to), ..SendArguments::default() };
        let sent = world.udp.send(&mut SliceSource::new(&vec![5; len]), arguments, Blocking::Never);
        assert_eq!(sent, Ok(len));
        let mut frames = world.sent();
        frames.retain(|frame| frame[12..14] == [8, 0]);
        frames
    };
    let whole = send(&mut world, 1, 1400).remove(0);
    assert_eq!((whole.len(), &whole[20..22]), (14 + 20 + 8 + 1400, &[0x40, 0][..]), "not to be cut on the way");
    world.take(&too_big(&whole, 1000), false);
    // 1408 bytes in parts of 976, the most that is a multiple of 8 behind the header.
    let parts: Vec<usize> = send(&mut world, 1, 1400).iter().map(|frame| frame.len() - 34).collect();
    assert_eq!(parts, [976, 432]);
    // A larger word is none; the smallest has a bound; other destinations have nothing to do with it.
    world.take(&too_big(&whole, 1300), false);
    assert_eq!(send(&mut world, 1, 1400).len(), 2);
    world.take(&too_big(&whole, 68), false);
    assert_eq!(send(&mut world, 1, 1400)[0].len() - 34, 528);
    assert_eq!(send(&mut world, 2, 1400).len(), 1);
    // A connection to the same host begins with it.
    let (from, ports) = (Ip::from_v4(0x0a00_0801), (5002, PORT));
    let head = Head { seq: 9, flags: SYN, window: 60_000, mss: Some(1460), ..Head::default() };
    world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
    let (answer, _) = world.answers(from, ports).pop().expect("an answer to the first segment");
    assert_eq!(answer.mss, Some(512));
}

#[test]
fn an_address_that_another_machine_has_is_not_used() {
    let (_turn, mut world) = World::new();
    let device = device().expect("there is a device");
    let before = crate::interface::table().interface(device.index).expect("its interface").addresses.clone();
    let (fresh, other) = (Ip(SERVER_V6.0 + 0x77), Ip(SERVER_V6.0 + 0x78));
    let mut addresses = before.clone();
    addresses.extend([fresh, other].map(|ip| InterfaceAddress { ip, prefix: 64 }));
    crate::interface::set_addresses(device.index, &addresses);
    world.sent();
    ip::duplicate::forget();
    ip::duplicate::addressed(device);
    let is_own = |ip: Ip| crate::interface::table().is_own(ip);
    // One question for each, from nobody, to the group of the address, with a number.
    let asked: Vec<Vec<u8>> = world.sent().into_iter().filter(|frame| frame.len() == 86 && frame[54] == 135).collect();
    assert_eq!(asked.len(), addresses.iter().filter(|address| !address.ip.is_v4()).count());
    let ours = asked.iter().find(|frame| frame[62..78] == fresh.bytes()).expect("asked for");
    assert_eq!((&ours[..3], &ours[22..38], ours[78]), (&[0x33, 0x33, 0xff][..], &[0; 16][..], 14));
    ip::duplicate::addressed(device);
    assert!(world.sent().is_empty(), "once is enough");
    // The network sends it back; somebody else asks for one that nobody disputed; somebody answers.
    let mut echo = ours.clone();
    echo[6..12].copy_from_slice(&wire::PEER_MAC);
    world.take(&echo, false);
    assert!(is_own(fresh) && world.sent().is_empty());
    let message = |kind: u8, target: Ip, from: Ip, to: Ip| {
        let mut body = [kind, 0, 0, 0, 0, 0, 0, 0].to_vec();
        body.extend_from_slice(&target.bytes());
        wire::v6(from, to, 58, 255, &wire::checked(from, to, 58, 2, body))
    };
    let all = Ip(0xff02 << 112 | 1);
    world.take(&message(136, fresh, fresh, all), false);
    assert!(!is_own(fresh) && ip::duplicate::is_refused(fresh), "another machine has it");
    world.take(&message(135, other, Ip::ANY_V6, Ip(0xff02 << 112 | 0x1_ff00_0078)), false);
    assert!(!is_own(other), "both ask at once: neither has it");
    // One that we have had for long is defended.
    ip::duplicate::forget();
    let mut group = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    group |= SERVER_V6.0 & 0xff_ffff;
    world.take(&message(135, SERVER_V6, Ip::ANY_V6, Ip(group)), false);
    let answer = world.sent().pop().expect("an advertisement");
    assert_eq!((answer[54], &answer[38..54], &answer[62..78]), (136, &all.bytes()[..], &SERVER_V6.bytes()[..]));
    assert!(is_own(SERVER_V6));
    crate::interface::set_addresses(device.index, &before);
    ip::duplicate::forget();
}
