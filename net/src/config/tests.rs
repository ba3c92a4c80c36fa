use super::dhcp::Dhcp;
use super::router::Router;
use super::*;
use alloc::{vec, vec::Vec};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const SERVER_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
const S: u64 = 1_000_000_000;
const YOURS: [u8; 4] = [10, 0, 2, 15];
const SERVER: [u8; 4] = [10, 0, 2, 2];

fn checksum(bytes: &[u8]) -> [u8; 2] {
    (!frame::sum(&[bytes])).to_be_bytes()
}

/// A server's frame with these options behind the magic number.
fn reply(request: &[u8], options: &[u8]) -> Vec<u8> {
    let asked = &request[42..];
    let mut message = vec![0; 236];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&asked[4..8]);
    message[16..20].copy_from_slice(&YOURS);
    message[28..34].copy_from_slice(&asked[28..34]);
    message.extend([0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    let mut frame = [MAC, SERVER_MAC].concat();
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(((28 + message.len()) as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([SERVER, YOURS].concat());
    let check = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&check);
    frame.extend([0, 67, 0, 68]);
    frame.extend(((8 + message.len()) as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

fn kind(request: &[u8]) -> u8 {
    request[42 + 236 + 4 + 2]
}

const OFFER: [u8; 9] = [53, 1, 2, 54, 4, 10, 0, 2, 2];

fn ack(extra: &[u8]) -> Vec<u8> {
    let mut options = vec![53, 1, 5, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2];
    options.extend([6, 8, 10, 0, 2, 3, 8, 8, 8, 8, 51, 4, 0, 0, 14, 16]);
    options.extend(extra);
    options.push(255);
    options
}

fn sent(dhcp: &mut Dhcp, now_ns: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    dhcp.poll(now_ns, &mut |frame| frames.push(frame.to_vec()));
    frames
}

/// A client that was granted an address for an hour at time 0.
fn bound(extra: &[u8]) -> (Dhcp, Vec<u8>) {
    let mut dhcp = Dhcp::new(MAC, 7, 0);
    let discover = sent(&mut dhcp, 0).remove(0);
    assert!(!dhcp.receive(&reply(&discover, &OFFER), 0));
    let request = sent(&mut dhcp, 0).remove(0);
    assert_eq!((kind(&discover), kind(&request)), (1, 3));
    assert!(dhcp.receive(&reply(&request, &ack(extra)), 0));
    (dhcp, request)
}

#[test]
fn an_address_is_discovered_requested_renewed_and_lost() {
    let (mut dhcp, _) = bound(&[15, 4, b'a', b'.', b'b', 0]);
    let grant = dhcp.grant().expect("granted").clone();
    let gateway = Some(SERVER.into());
    assert_eq!(grant.ipv4, Ipv4Config { address: YOURS.into(), prefix_bits: 24, gateway });
    assert_eq!((grant.dns.len(), grant.domain.as_deref(), grant.mtu_bytes), (2, Some("a.b"), None));
    // Half of the hour later the server itself is asked, and grants another hour.
    assert_eq!(dhcp.deadline_ns(), 1800 * S);
    assert!(sent(&mut dhcp, 1799 * S).is_empty());
    let renewal = sent(&mut dhcp, 1800 * S).remove(0);
    assert_eq!((&renewal[..6], &renewal[26..34]), (&SERVER_MAC[..], &[YOURS, SERVER].concat()[..]));
    assert_eq!(&renewal[54..58], &YOURS, "ciaddr");
    assert!(!dhcp.receive(&reply(&renewal, &ack(&[15, 3, b'a', b'.', b'b'])), 1801 * S), "nothing has changed");
    assert_eq!(dhcp.deadline_ns(), 3601 * S);
    // Nobody answers: everybody is asked, then the address goes and a new one is sought.
    let mut now_ns = 0;
    let mut asks = Vec::new();
    while dhcp.grant().is_some() {
        assert!(dhcp.deadline_ns() > now_ns);
        now_ns = dhcp.deadline_ns();
        asks.extend(sent(&mut dhcp, now_ns));
    }
    assert_eq!(now_ns, 5401 * S);
    assert!(asks.len() > 3 && asks[0][..6] == SERVER_MAC && asks[asks.len() - 2][..6] == frame::BROADCAST);
    assert_eq!(kind(asks.last().expect("some")), 1);
}

#[test]
fn repeats_get_rarer_and_a_refusal_starts_over() {
    let mut dhcp = Dhcp::new(MAC, 7, 0);
    let mut now_ns = 0;
    let mut gaps = Vec::new();
    for _ in 0..10 {
        assert_eq!(sent(&mut dhcp, now_ns).len(), 1);
        gaps.push(dhcp.deadline_ns() - now_ns);
        now_ns = dhcp.deadline_ns();
    }
    assert!(gaps[0] < S && gaps.windows(2).take(7).all(|pair| pair[0] < pair[1]) && gaps[9] <= 72 * S, "{gaps:?}");

    let (mut dhcp, _) = bound(&[]);
    let renewal = sent(&mut dhcp, 1800 * S).remove(0);
    assert!(dhcp.receive(&reply(&renewal, &[53, 1, 6, 54, 4, 10, 0, 2, 2, 255]), 1800 * S));
    assert!(dhcp.grant().is_none());
    assert_eq!(kind(&sent(&mut dhcp, 1800 * S)[0]), 1);
}

#[test]
fn what_is_not_for_us_is_not_taken() {
    let mut dhcp = Dhcp::new(MAC, 7, 0);
    let discover = sent(&mut dhcp, 0).remove(0);
    let right = reply(&discover, &OFFER);
    let request_follows = |frame: &[u8]| {
        let mut dhcp = Dhcp::new(MAC, 7, 0);
        sent(&mut dhcp, 0);
        dhcp.receive(frame, 0);
        sent(&mut dhcp, 0).len() == 1
    };
    assert!(request_follows(&right));
    // Another transaction, another client, a request, another port, a fragment, a wrong header sum.
    for at in [42 + 4, 42 + 33, 42, 37, 20, 25, 12, 23] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert!(!request_follows(&wrong), "byte {at}");
    }
    for len in 0..right.len() {
        assert!(!request_follows(&right[..len]), "cut to {len}");
    }
    for bad in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
        let mut wrong = right.clone();
        wrong[58..62].copy_from_slice(&bad);
        assert!(!request_follows(&wrong), "{bad:?}");
    }
}

#[test]
fn routes_without_classes_come_before_the_router() {
    let (dhcp, _) = bound(&[121, 14, 24, 10, 1, 2, 10, 0, 2, 9, 0, 10, 0, 2, 7, 0]);
    assert_eq!(dhcp.grant().and_then(|grant| grant.ipv4.gateway), Some([10, 0, 2, 7].into()));
    let (dhcp, _) = bound(&[121, 3, 24, 10, 1]);
    assert_eq!(dhcp.grant().map(|grant| grant.ipv4.gateway), Some(None), "cut short: no router at all");
}

#[test]
fn leases_of_any_length_neither_overflow_nor_keep_us_busy() {
    for lease in [0u32, 1, 59, 60, 61, u32::MAX - 1, u32::MAX] {
        for t1 in [0u32, 30, lease, u32::MAX] {
            let mut dhcp = Dhcp::new(MAC, 7, 0);
            let discover = sent(&mut dhcp, 0).remove(0);
            dhcp.receive(&reply(&discover, &OFFER), 0);
            let request = sent(&mut dhcp, 0).remove(0);
            let mut options = vec![53, 1, 5, 54, 4, 10, 0, 2, 2, 51, 4];
            options.extend(lease.to_be_bytes());
            for kind in [58, 59] {
                options.extend([kind, 4]);
                options.extend(t1.to_be_bytes());
            }
            assert!(dhcp.receive(&reply(&request, &options), 0));
            assert!(dhcp.deadline_ns() >= 30 * S, "{lease} {t1}");
            assert_eq!(dhcp.deadline_ns() == u64::MAX, lease == u32::MAX);
        }
    }
}

/// A router's advertisement with these options.
fn advertisement(life_s: u16, options: &[u8]) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0];
    message.extend(life_s.to_be_bytes());
    message.extend([0; 8]);
    message.extend(options);
    let mut frame = [MAC, SERVER_MAC].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(link_local(SERVER_MAC).octets());
    frame.extend(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
    let len = (message.len() as u32).to_be_bytes();
    let check = !frame::sum(&[&frame[22..54], &len, &[0, 58], &message]);
    message[2..4].copy_from_slice(&check.to_be_bytes());
    frame.extend(message);
    frame
}

fn prefix(valid_s: u32, preferred_s: u32) -> Vec<u8> {
    let mut option = vec![3, 4, 64, 0xc0];
    option.extend(valid_s.to_be_bytes());
    option.extend(preferred_s.to_be_bytes());
    option.extend([0; 4]);
    option.extend(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0).octets());
    option
}

fn told(router: &Router) -> Configuration {
    let mut configuration = Configuration::default();
    router.fill(&mut configuration);
    configuration
}

#[test]
fn a_router_gives_an_address_a_gateway_and_name_servers_for_their_time() {
    let mut router = Router::new(MAC, 0);
    let mut frames = Vec::new();
    assert!(!router.poll(0, &mut |frame| frames.push(frame.to_vec())));
    assert_eq!(frames[0].len(), 70);
    let len = 16u32.to_be_bytes();
    assert_eq!(frame::sum(&[&frames[0][22..54], &len, &[0, 58], &frames[0][54..]]), 0xffff);
    let dns = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 3);
    let mut options = prefix(86400, 14400);
    options.extend([5, 1, 0, 0, 0, 0, 5, 0xdc, 25, 3, 0, 0, 0, 0, 7, 8]);
    options.extend(dns.octets());
    let frame = advertisement(1800, &options);
    assert!(Router::wants(&frame) && router.receive(&frame, false, 0) && !router.receive(&frame, false, S));
    let configuration = told(&router);
    let address = Ipv6Addr::new(0xfec0, 0, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456);
    assert_eq!(configuration.ipv6, [Ipv6Config { address, prefix_bits: 64 }]);
    assert_eq!(configuration.gateway6, Some(link_local(SERVER_MAC)));
    assert_eq!((&configuration.dns[..], configuration.mtu_bytes), (&[IpAddr::V6(dns)][..], Some(1500)));
    // No solicitation any more; what ends, ends at its time, and the prefix cannot be taken away at once.
    let mut silent = |_: &[u8]| panic!("sent");
    assert_eq!(router.deadline_ns(), 1801 * S);
    assert!(router.poll(1801 * S, &mut silent));
    assert_eq!((told(&router).gateway6, told(&router).dns.len()), (None, 0));
    router.receive(&advertisement(0, &prefix(0, 0)), false, 1802 * S);
    assert_eq!((told(&router).ipv6.len(), router.deadline_ns()), (1, (1802 + 7200) * S));
    assert!(router.poll(router.deadline_ns(), &mut silent) && told(&router).ipv6.is_empty());
}

#[test]
fn solicitations_end_and_wrong_advertisements_do_nothing() {
    let mut router = Router::new(MAC, 0);
    let mut count = 0;
    while router.deadline_ns() != u64::MAX {
        let now_ns = router.deadline_ns();
        router.poll(now_ns, &mut |_| count += 1);
    }
    assert_eq!(count, 3);
    let right = advertisement(1800, &prefix(7200, 3600));
    // Hop limit, code, sum, source, type.
    for at in [21, 55, 56, 22, 54] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert!(!router.receive(&wrong, false, 0), "byte {at}");
    }
    for len in 0..right.len() {
        assert!(!router.receive(&right[..len], false, 0), "cut to {len}");
    }
    // Options of length 0 and beyond the end; a prefix that lives shorter than it is preferred, or is no prefix for hosts.
    for options in [vec![3, 0, 0, 0, 0, 0, 0, 0], vec![3, 9, 0, 0, 0, 0, 0, 0], prefix(10, 20)] {
        router.receive(&advertisement(0, &options), false, 0);
        assert!(told(&router).ipv6.is_empty());
    }
    // Very many prefixes: the first four.
    for number in 0..100 {
        let mut option = prefix(7200, 3600);
        option[18] = number;
        router.receive(&advertisement(0, &option), false, 0);
    }
    assert_eq!(told(&router).ipv6.len(), 4);
}

proptest::proptest! {
    #[test]
    fn no_frame_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), at in 0usize..400, dhcp: bool) {
        let mut client = Dhcp::new(MAC, 7, 0);
        let mut router = Router::new(MAC, 0);
        let discover = sent(&mut client, 0).remove(0);
        let mut frame = if dhcp { reply(&discover, &ack(&bytes)) } else { advertisement(9, &bytes) };
        client.receive(&frame, 0);
        router.receive(&frame, true, 0);
        let at = at.min(frame.len());
        frame.splice(at..(at + bytes.len()).min(frame.len()), bytes.iter().copied());
        client.receive(&frame, 0);
        router.receive(&frame, true, 0);
        client.receive(&bytes, 0);
        router.receive(&bytes, true, 0);
    }
}

#[test]
fn the_resolver_file_has_three_servers_at_most() {
    let dns = [[10, 0, 2, 3], [1, 1, 1, 1], [8, 8, 8, 8], [9, 9, 9, 9]].map(|octets| IpAddr::V4(octets.into()));
    let configuration = Configuration { dns: dns.into(), domain: Some("a.b".into()), ..Configuration::default() };
    let text = "search a.b\nnameserver 10.0.2.3\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n";
    assert_eq!(resolv_conf(&configuration), text);
    assert_eq!(resolv_conf(&Configuration::default()), "");
}
