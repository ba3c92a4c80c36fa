//! One boot of one side for each function here.

use crate::load::{Clients, Door, Peer};
use anyhow::{Context, Result};
use guest::qmp::Monitor;
use guest::run::Run;
use guest::system::{Link, Plan, Program, Side, Systems};
use guest::turns::Samples;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A server that is not ready by then has failed.
const LIMIT: Duration = Duration::from_secs(300);
/// Rounds whose median counts, and requests of each.
const ROUNDS: usize = 7;
const REQUESTS: usize = 2_000;
/// Rounds before, until so many in a row differ by so little: Java has compiled what it will. Their number at most.
const QUIET: usize = 3;
const QUIET_RATIO: f64 = 1.05;
const QUIET_WITHIN: usize = 25;

/// Runs of each load before it counts, and their seconds: another number of connections is another path through the server, which Java
/// compiles anew, and so is what happens when connections begin and end, for which compiled code is thrown away at first. As many,
/// from the least to the most, as it takes until the 99th percentile and the rate of so many in a row differ by so little.
const WRK_SETTLES: usize = 5;
const WRK_SETTLES_MAX: usize = 24;
const WRK_SETTLE_S: u32 = 5;
const WRK_QUIET: usize = 3;
const WRK_QUIET_RATIO: f64 = 1.3;

/// A server: its class, and its name for the report.
pub struct Server {
    /// The class.
    pub class: &'static str,
    /// For tables.
    pub text: &'static str,
    /// Requests before the first that counts: what runs often is compiled then. Fewer where each takes long.
    pub warm_up: usize,
    /// Seconds of wrk, with 16 connections, before the first that count: Java's compiler takes vCPUs from the server meanwhile.
    pub warm_up_s: u32,
    /// More options for Java.
    pub jvm: Vec<String>,
}

fn plan(program: Program, link: Link, is_counted: bool) -> Plan {
    Plan { link, ..if is_counted { Plan::counted(program) } else { Plan::timed(program) } }
}

fn java(server: &Server) -> Program {
    // The JDK's HttpServer sends in two pieces; without the property it would wait for a delayed acknowledgement between.
    let words = ["-XX:+UseSerialGC", "-Xmx256m", "-Dsun.net.httpserver.nodelay=true", "-cp", "/classes:/classes/*"];
    let words = words.into_iter().map(String::from).chain(server.jvm.iter().cloned()).chain([server.class.into()]);
    Program::Java(words.collect())
}

/// How the client and the guest are connected.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// A network of this process's own: see the crate `peer`.
    Peer,
    /// QEMU's user networking.
    User,
    /// This tap device.
    Tap(&'a str),
}

fn link(way: Way<'_>) -> Result<(Link, Door)> {
    match way {
        Way::Peer => {
            let (peer, path) = Peer::new()?;
            Ok((Link::Frames(path), Door::Peer(Arc::new(peer))))
        }
        Way::User => {
            // Free a moment ago: QEMU says so if it is not any more.
            let server = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            Ok((Link::User(server.port()), Door::Host(server)))
        }
        Way::Tap(name) => {
            let link = Link::Tap(name.into());
            let server = link.server().context("no address")?;
            Ok((link, Door::Host(server)))
        }
    }
}

/// Starts a server; it is ready, and the way to it too.
fn start(systems: &Systems, side: Side, server: &Server, way: Way<'_>, is_counted: bool) -> Result<(Run, Door)> {
    let (link, door) = link(way)?;
    let plan = plan(java(server), link, is_counted);
    let mut run = Run::start(systems, side, &plan)?;
    run.wait_for_line("ready", LIMIT)?;
    if let Door::Peer(peer) = &door {
        peer.network.wait_for_guest(LIMIT)?;
    }
    Ok((run, door))
}

/// Instructions a request of one round, everything that the guest does meanwhile included.
fn round(monitor: &mut Monitor, clients: &mut Clients) -> Result<f64> {
    let each = REQUESTS / clients.count();
    monitor.stop()?;
    let before = monitor.instructions()?;
    monitor.go_on()?;
    clients.ask(each)?;
    monitor.stop()?;
    let after = monitor.instructions()?;
    monitor.go_on()?;
    Ok((after - before) as f64 / (each * clients.count()) as f64)
}

/// Rounds that count, when what comes before has become quiet.
fn rounds(monitor: &mut Monitor, clients: &mut Clients) -> Result<Vec<f64>> {
    let mut before = Vec::new();
    loop {
        before.push(round(monitor, clients)?);
        let last = &before[before.len().saturating_sub(QUIET)..];
        let (least, most) = last.iter().fold((f64::MAX, 0_f64), |(least, most), &one| (least.min(one), most.max(one)));
        if last.len() == QUIET && most <= least * QUIET_RATIO {
            break;
        }
        if before.len() == QUIET_WITHIN {
            eprintln!("net: not quiet after {QUIET_WITHIN} rounds: {last:.0?} instructions a request");
            break;
        }
    }
    let counted = (0..ROUNDS).map(|_| round(monitor, clients)).collect::<Result<Vec<f64>>>()?;
    eprintln!("net: before {before:.0?}, counted {counted:.0?}");
    Ok(counted)
}

/// Instructions a request: one connection (each request wakes the server), and 16 that ask together.
pub fn requests(systems: &Systems, side: Side, server: &Server, way: Way<'_>) -> Result<Samples> {
    let (run, door) = start(systems, side, server, way, true)?;
    let mut monitor = run.monitor()?;
    let mut samples = Samples::new();
    let mut many = Clients::connect(&door, 16)?;
    many.ask(server.warm_up / 16)?;
    for (name, clients) in [("16", &mut many), ("1", &mut Clients::connect(&door, 1)?)] {
        clients.ask(server.warm_up / 10 / clients.count())?;
        samples.insert(format!("{}_{name}", server.class), rounds(&mut monitor, clients)?);
    }
    Ok(samples)
}

/// Prints where the instructions of a request go, with one connection and with 16. `addresses`: a directory for ours by address,
/// `CLASS-CONNECTIONS`.
pub fn profile(systems: &Systems, side: Side, server: &Server, way: Way<'_>, addresses: Option<&Path>) -> Result<()> {
    let (run, door) = start(systems, side, server, way, true)?;
    let mut monitor = run.monitor()?;
    let kernel = (side == Side::Demitasse).then(|| systems.unstripped(&["network"])).transpose()?;
    let mut many = Clients::connect(&door, 16)?;
    many.ask(server.warm_up / 16)?;
    for clients in [&mut many, &mut Clients::connect(&door, 1)?] {
        rounds(&mut monitor, clients)?;
        println!("\n{}, {}", side.name(), server.text);
        let file = addresses.filter(|_| side == Side::Demitasse);
        let file = file.map(|directory| directory.join(format!("{}-{}", server.class, clients.count())));
        crate::profile::print(&mut monitor, clients, kernel.as_deref(), file.as_deref())?;
    }
    Ok(())
}

/// Instructions a request of one connection, then while `idle` others are open, in one boot. What comes after those have ended says
/// nothing: their ends, all at once, seem to leave Java's set of selected keys with a large table, which every select walks through.
pub fn idle(systems: &Systems, side: Side, server: &Server, way: Way<'_>, idle: usize) -> Result<Samples> {
    let (run, door) = start(systems, side, server, way, true)?;
    let mut monitor = run.monitor()?;
    let mut one = Clients::connect(&door, 1)?;
    // Java shall know how connections end before it compiles what serves them.
    drop(one.more(100)?);
    one.ask(server.warm_up)?;
    let mut samples = Samples::new();
    samples.insert("idle_without".into(), rounds(&mut monitor, &mut one)?);
    let started = std::time::Instant::now();
    let _others = one.more(idle)?;
    eprintln!("net: {idle} connections are open after {:.0?}", started.elapsed());
    one.ask(server.warm_up / 30)?;
    samples.insert("idle_with".into(), rounds(&mut monitor, &mut one)?);
    Ok(samples)
}

/// Instructions a hand-over over the loopback (c/loopback.c).
pub fn loopback(systems: &Systems, side: Side) -> Result<Samples> {
    let plan = plan(Program::Native("loopback".into(), vec![]), Link::None, true);
    let mut run = Run::start(systems, side, &plan)?;
    run.wait_for_line("net end", LIMIT)?;
    let mut samples = Samples::new();
    let output = run.output();
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("net ")) {
        let (name, value) = line.split_once(' ').with_context(|| format!("the guest printed {line:?}"))?;
        samples.entry(name.into()).or_default().push(value.parse().with_context(|| format!("{line:?}"))?);
    }
    Ok(samples)
}

/// wrk got no answer.
#[derive(Debug)]
struct Silent(String);

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Silent {}

/// What a client of ours that waited in vain has met.
fn silent_if_late(error: anyhow::Error) -> anyhow::Error {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let is_late = |error: &std::io::Error| matches!(error.kind(), WouldBlock | TimedOut);
    match error.downcast_ref::<std::io::Error>() {
        Some(late) if is_late(late) => Silent(format!("{error:#}")).into(),
        _ => error,
    }
}

/// Boots of the Linux guest that may fall silent before one counts: its virtio driver has no barrier that QEMU's one-thread
/// emulation keeps (docs/decisions/0012-one-thread-emulation.md). A boot of ours has to do at once.
const SILENT_BOOTS: u32 = 3;

/// Requests a second, and the 99th percentile of their times in milliseconds, at each number of connections.
pub fn wrk(systems: &Systems, side: Side, server: &Server, way: Way<'_>, seconds: u32) -> Result<Samples> {
    let mut silent = 0;
    loop {
        match wrk_once(systems, side, server, way, seconds) {
            Err(error) if side == Side::Linux && error.is::<Silent>() && silent < SILENT_BOOTS => {
                silent += 1;
                eprintln!("net: a boot of Linux does not count: {error}");
            }
            result => return result,
        }
    }
}

fn wrk_once(systems: &Systems, side: Side, server: &Server, way: Way<'_>, seconds: u32) -> Result<Samples> {
    let (run, door) = start(systems, side, server, way, false)?;
    let Door::Host(address) = door else { anyhow::bail!("wrk uses this computer's own TCP") };
    Clients::connect(&door, 16).and_then(|mut many| many.ask(server.warm_up / 16)).map_err(silent_if_late)?;
    let ask = |connections: usize, seconds: u32| -> Result<(f64, f64)> {
        let threads = connections.min(2);
        let output = Command::new("wrk")
            .args(["--latency", "-t", &threads.to_string(), "-c", &connections.to_string()])
            .args(["-d", &format!("{seconds}s"), &format!("http://{address}/")])
            .output()
            .context("cannot start wrk (Debian's package wrk)")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        let silent = || {
            Silent(format!(
                "wrk with {connections} connections: {:?}, {text:?}, {error:?}; the guest: {}",
                output.status,
                run.output()
            ))
        };
        Ok(wrk_figures(&text).ok_or_else(silent)?)
    };
    ask(16, server.warm_up_s)?;
    let mut samples = Samples::new();
    for connections in crate::CONNECTIONS {
        let mut before = Vec::new();
        while before.len() < WRK_SETTLES || !is_settled(&before) && before.len() < WRK_SETTLES_MAX {
            before.push(ask(connections, WRK_SETTLE_S)?);
        }
        let (rate, p99) = ask(connections, seconds)?;
        eprintln!("net: {connections} connections: before {before:?}, counted {:?}", (rate, p99));
        samples.insert(format!("rate_{connections}"), vec![rate]);
        samples.insert(format!("p99_{connections}"), vec![p99]);
        if connections == 1 {
            // wrk adds requests that it would have sent while one took long: a faster server has more of them.
            let mut client = Clients::connect(&door, 1)?;
            let times = client.times_ms(Duration::from_secs(seconds.into()))?;
            samples.insert("seen_p99_1".into(), vec![guest::stats::quantile(&times, 0.99)]);
        }
    }
    Ok(samples)
}

/// Whether the last runs' rates and 99th percentiles are near each other.
fn is_settled(runs: &[(f64, f64)]) -> bool {
    let last = &runs[runs.len().saturating_sub(WRK_QUIET)..];
    let is_near = |value: fn(&(f64, f64)) -> f64| {
        let most = last.iter().map(value).fold(f64::MIN, f64::max);
        let least = last.iter().map(value).fold(f64::MAX, f64::min);
        most <= least * WRK_QUIET_RATIO
    };
    last.len() == WRK_QUIET && is_near(|run| run.0) && is_near(|run| run.1)
}

/// Requests a second and the 99th percentile in milliseconds, from wrk's report.
fn wrk_figures(text: &str) -> Option<(f64, f64)> {
    let value = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    let rate = value("Requests/sec:")?.parse().ok()?;
    let p99 = value("99%")?;
    let unit = p99.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = p99.strip_suffix(unit)?.parse().ok()?;
    let scale = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 6e4,
        _ => return None,
    };
    Some((rate, number * scale))
}

/// Megabytes a second of `bytes` sent to the guest and received from it, one connection.
pub fn transfer(systems: &Systems, side: Side, server: &Server, way: Way<'_>, bytes: u64) -> Result<Samples> {
    let (_run, door) = start(systems, side, server, way, false)?;
    let mut client = Clients::connect(&door, 1)?;
    client.receive(bytes / 16)?;
    client.send(bytes / 16)?;
    let from = client.receive(bytes)? / 1e6;
    let to = client.send(bytes)? / 1e6;
    Ok(Samples::from([("from_guest".into(), vec![from]), ("to_guest".into(), vec![to])]))
}

/// Instructions a megabyte, both ways.
pub fn transfer_count(systems: &Systems, side: Side, server: &Server, way: Way<'_>, bytes: u64) -> Result<Samples> {
    let (run, door) = start(systems, side, server, way, true)?;
    let mut monitor = run.monitor()?;
    let mut client = Clients::connect(&door, 1)?;
    let mut samples = Samples::new();
    for is_counted in [false, true, true, true] {
        for (name, way) in [("from_guest", true), ("to_guest", false)] {
            monitor.stop()?;
            let before = monitor.instructions()?;
            monitor.go_on()?;
            if way {
                client.receive(bytes)?
            } else {
                client.send(bytes)?
            };
            monitor.stop()?;
            let value = (monitor.instructions()? - before) as f64 / (bytes as f64 / 1e6);
            monitor.go_on()?;
            if is_counted {
                samples.entry(name.into()).or_default().push(value);
            }
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::{is_settled, wrk_figures};

    #[test]
    fn runs_have_settled_when_the_last_three_are_near() {
        assert!(!is_settled(&[(100.0, 5.0), (100.0, 5.0)]));
        assert!(is_settled(&[(10.0, 50.0), (100.0, 5.0), (110.0, 5.5), (90.0, 6.0)]));
        assert!(!is_settled(&[(100.0, 5.0), (110.0, 5.5), (60.0, 6.0)]));
        assert!(!is_settled(&[(100.0, 5.0), (110.0, 8.0), (100.0, 6.0)]));
    }

    #[test]
    fn reports_of_wrk_are_read() {
        let text =
            "  Latency Distribution\n     50%  369.00us\n     99%    1.20s \n  100 requests\nRequests/sec:  15951.22\n";
        assert_eq!(wrk_figures(text), Some((15951.22, 1200.0)));
        assert_eq!(wrk_figures("unable to connect"), None);
    }
}
