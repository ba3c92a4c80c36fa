use super::*;
use crate::virtio::feature;
use crate::virtio::queue::fake_device::Chain;
use crate::virtio::transport::fake::{FakeTransport, Queues, Running};
use hal::hil::{Port, PortError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FEATURES: u64 = MULTIPORT | feature::EVENT_INDEX | feature::INDIRECT_DESCRIPTORS;
const CONTROL_IN: u16 = 2;
const CONTROL_OUT: u16 = 3;

fn config(ports: u32) -> Vec<u8> {
    let mut config = [0; 4].to_vec();
    config.extend(ports.to_le_bytes());
    config
}

/// What the test wants the host to do, and what the host has seen.
#[derive(Default)]
struct Host {
    /// Messages and bytes for the guest, by queue.
    out: BTreeMap<u16, VecDeque<Vec<u8>>>,
    seen: BTreeMap<u32, Vec<u8>>,
    /// Ports whose bytes the host leaves in the queue.
    is_busy: bool,
    /// Lie about the length of the next bytes.
    lies: bool,
}

type Shared = Arc<Mutex<Host>>;

fn control(port: u32, event: u16, value: u16, name: &str) -> Vec<u8> {
    let mut message = port.to_le_bytes().to_vec();
    message.extend(event.to_le_bytes());
    message.extend(value.to_le_bytes());
    message.extend(name.as_bytes());
    message
}

fn with<R>(host: &Shared, act: impl FnOnce(&mut Host) -> R) -> R {
    act(&mut host.lock().unwrap_or_else(PoisonError::into_inner))
}

fn say(host: &Shared, port: u32, event: u16, value: u16) {
    with(host, |host| host.out.entry(CONTROL_IN).or_default().push_back(control(port, event, value, "")));
}

fn port_queue(port: u32) -> u16 {
    if port == 0 { 0 } else { port as u16 * 2 + 2 }
}

/// A host with these ports, as QEMU behaves.
fn run(transport: &Arc<FakeTransport>, host: &Shared, names: &'static [(u32, &'static str)]) -> Running {
    let host = host.clone();
    let mut held: BTreeMap<u16, VecDeque<Chain>> = BTreeMap::new();
    transport.run(move |queues| with(&host, |host| step(host, queues, &mut held, names)))
}

fn step(
    host: &mut Host,
    queues: &mut Queues,
    held: &mut BTreeMap<u16, VecDeque<Chain>>,
    names: &[(u32, &str)],
) -> bool {
    let mut interrupt = false;
    for (&number, device) in queues.iter_mut() {
        let is_transmit = number % 2 == 1;
        if !is_transmit {
            held.entry(number).or_default().extend(std::iter::from_fn(|| device.take()));
            let waiting = host.out.entry(number).or_default();
            while let Some(message) = waiting.pop_front() {
                let Some(chain) = held.entry(number).or_default().pop_front() else {
                    waiting.push_front(message);
                    break;
                };
                let (address, len, writes) = chain.buffers[0];
                assert!(writes);
                let count = message.len().min(len as usize);
                // SAFETY: a buffer that the driver gave.
                unsafe { device.bytes(address, count as u32) }.copy_from_slice(&message[..count]);
                if count < message.len() {
                    waiting.push_front(message[count..].to_vec());
                }
                let told = if host.lies { 1 << 20 } else { count as u32 };
                interrupt |= device.give_back(chain.head.into(), told);
            }
        } else if number == CONTROL_OUT {
            while let Some(chain) = device.take() {
                // SAFETY: as above.
                let message = unsafe { device.bytes(chain.buffers[0].0, 8) }.to_vec();
                interrupt |= device.give_back(chain.head.into(), 0);
                let port = u32::from_le_bytes(message[..4].try_into().expect("4 bytes"));
                let answers = host.out.entry(CONTROL_IN).or_default();
                match message[4] {
                    0 => answers.extend(names.iter().map(|(port, _)| control(*port, 1, 0, ""))),
                    3 => {
                        let name = names.iter().find(|(known, _)| *known == port).expect("announced").1;
                        answers.push_back(control(port, 7, 1, name));
                        answers.push_back(control(port, 6, 1, ""));
                    }
                    _ => {}
                }
            }
        } else if !host.is_busy {
            let port = if number == 1 { 0 } else { u32::from(number - 3) / 2 };
            while let Some(chain) = device.take() {
                let (address, len, writes) = chain.buffers[0];
                assert!(!writes);
                // SAFETY: as above.
                host.seen.entry(port).or_default().extend_from_slice(unsafe { device.bytes(address, len) });
                interrupt |= device.give_back(chain.head.into(), 0);
            }
        }
    }
    interrupt
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn port(name: &str) -> Arc<dyn Port> {
    hil::port(name).expect("started ports are registered")
}

#[test]
fn ports_are_found_by_name_and_carry_bytes_both_ways() {
    let (transport, host) = (FakeTransport::new(FEATURES, config(31), 64), Shared::default());
    let _running = run(&transport, &host, &[(1, "a.in"), (2, "a.out")]);
    assert_eq!(start(transport.clone()), Ok(String::from("console, ports a.in a.out")));
    let (input, output) = (port("a.in"), port("a.out"));
    eventually("both open", || input.host_open() && output.host_open());

    let data: Vec<u8> = (0..100_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
    with(&host, |host| host.out.entry(port_queue(1)).or_default().push_back(data.clone()));
    let mut got = Vec::new();
    while got.len() < data.len() {
        let mut buffer = [0; 777];
        let count = input.read(&mut buffer).expect("reads");
        got.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(got, data);

    assert_eq!(output.write(&data), Ok(data.len()));
    assert_eq!(output.drain(), Ok(()));
    assert_eq!(with(&host, |host| host.seen[&2].clone()), data);
}

#[test]
fn a_full_port_would_block_and_tells_when_it_does_not_any_more() {
    let (transport, host) = (FakeTransport::new(FEATURES, config(3), 64), Shared::default());
    let _running = run(&transport, &host, &[(1, "b.out")]);
    start(transport.clone()).expect("starts");
    let output = port("b.out");
    eventually("open", || output.host_open());
    with(&host, |host| host.is_busy = true);
    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    output.set_notify(Some(Arc::new(move || tell.store(true, Ordering::SeqCst))));
    let mut written = 0;
    while let Ok(count) = output.try_write(&[1; 5000]) {
        written += count;
    }
    assert_eq!(output.try_write(&[1]), Err(PortError::WouldBlock));
    assert!(!output.readiness().writable);
    told.store(false, Ordering::SeqCst);
    with(&host, |host| host.is_busy = false);
    eventually("told", || told.load(Ordering::SeqCst));
    eventually("writable", || output.readiness().writable);
    assert_eq!(output.write(&[2; 50_000]), Ok(50_000));
    output.drain().expect("open");
    assert_eq!(with(&host, |host| host.seen[&1].len()), written + 50_000);
}

#[test]
fn a_closed_port_is_a_broken_pipe_and_an_end_of_stream() {
    let (transport, host) = (FakeTransport::new(FEATURES, config(3), 64), Shared::default());
    let _running = run(&transport, &host, &[(1, "c")]);
    start(transport.clone()).expect("starts");
    let both = port("c");
    eventually("open", || both.host_open());
    with(&host, |host| host.is_busy = true);
    let writer = std::thread::spawn(|| {
        let both = port("c");
        let first = both.write(&[0; 100_000]);
        (first, both.write(&[0]))
    });
    with(&host, |host| host.out.entry(port_queue(1)).or_default().push_back(b"last".to_vec()));
    eventually("last words are there", || both.readiness().readable);
    say(&host, 1, 6, 0);
    eventually("closed", || both.readiness().closed);
    let mut buffer = [0; 10];
    assert_eq!(both.read(&mut buffer), Ok(4));
    assert_eq!(both.read(&mut buffer), Ok(0));
    let (first, second) = writer.join().expect("does not panic");
    assert!(first == Err(PortError::Closed) || first.is_ok_and(|count| count < 100_000), "{first:?}");
    assert_eq!(second, Err(PortError::Closed));
    assert_eq!(both.drain(), Err(PortError::Closed));
    // A host that comes again finds the port working.
    with(&host, |host| host.is_busy = false);
    say(&host, 1, 6, 1);
    eventually("open again", || both.host_open());
    assert_eq!(both.write(b"x"), Ok(1));
}

#[test]
fn a_lying_host_closes_every_port() {
    let (transport, host) = (FakeTransport::new(FEATURES, config(3), 64), Shared::default());
    let _running = run(&transport, &host, &[(1, "d.in"), (2, "d.out")]);
    start(transport.clone()).expect("starts");
    let input = port("d.in");
    eventually("open", || input.host_open());
    let resets = transport.resets();
    with(&host, |host| {
        host.lies = true;
        host.out.entry(port_queue(1)).or_default().push_back(b"short".to_vec());
    });
    assert_eq!(input.read(&mut [0; 10]), Ok(0));
    assert_eq!(port("d.out").write(b"x"), Err(PortError::Closed));
    assert!(port("d.out").readiness().writable);
    assert_eq!(transport.resets(), resets + 1);
}

#[test]
fn odd_control_messages_are_ignored() {
    let (transport, host) = (FakeTransport::new(FEATURES, config(3), 64), Shared::default());
    let _running = run(&transport, &host, &[(1, "e")]);
    with(&host, |host| {
        let out = host.out.entry(CONTROL_IN).or_default();
        out.push_back(Vec::new());
        out.push_back([1, 2, 3].to_vec());
        out.push_back(control(77, 1, 0, ""));
        out.push_back(control(1, 999, 0, ""));
        out.push_back(control(0, 7, 0, &"long".repeat(100)));
    });
    assert_eq!(start(transport.clone()), Ok(String::from("console, ports e")));
}

#[test]
fn a_device_without_ports_or_answers_does_not_hold_the_boot() {
    let silent = FakeTransport::new(FEATURES, config(3), 64);
    assert_eq!(start(silent), Ok(String::from("console, ports ")));
    assert_eq!(start(FakeTransport::new(FEATURES, config(0), 64)), Err(VirtioError::BadConfiguration));
    assert_eq!(start(FakeTransport::new(FEATURES, config(3), 0)), Err(VirtioError::NoQueue(0)));
}

#[test]
fn a_plain_console_is_one_open_port() {
    let (transport, host) = (FakeTransport::new(0, Vec::new(), 64), Shared::default());
    let _running = run(&transport, &host, &[]);
    start(transport.clone()).expect("starts");
    assert_eq!(port("console").write(b"hello"), Ok(5));
    eventually("arrives", || with(&host, |host| host.seen.get(&0).is_some_and(|seen| seen == b"hello")));
}
