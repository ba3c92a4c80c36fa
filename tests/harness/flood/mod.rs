//! A server at a real network device that strangers flood at full speed, while somebody who behaves is served.
//!
//! The device is a tap in a network namespace of the test's own (needs root): nothing slows the strangers down, and what is too
//! much for the guest is lost, whosever it is. Three times: first segments, what is wrong in any layer, resets in every state
//! of a connection. Connections that stay open through all of it must neither end nor hear a wrong byte.
//!
//! `FLOOD_SECONDS=60 guest-tests parts-flood` floods a minute each time; `FLOOD_CPUS=1` has one vCPU (and pair of queues) instead of two.

mod hostile;
mod states;

use crate::build::Built;
use crate::crowd::frame::End;
use crate::crowd::peer::{Crowd, Manner};
use crate::crowd::transport::Interface;
use crate::guest::Guest;
use crate::served::{self, Said};
use crate::table::{Program, Test};
use crate::{number_of, tap};
use anyhow::{Context, Result, ensure};
use hostile::{Kind, Sent, Target};
use images::machine::Machine;
use images::network::Network;
use images::program;
use states::Victim;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const TAP: &str = "dm0";
/// Most of what somebody sends is lost in a flood: it is said again that often.
const SILENCE: Duration = Duration::from_millis(5);
/// Most of every answer is lost too: 25 s for one were seen.
const PATIENCE: Duration = Duration::from_secs(180);
/// Who is served in each phase at least, however long it takes.
const SERVED_MIN: u32 = 3;
/// A round of a phase, for which fresh victims are made.
const ROUND: Duration = Duration::from_secs(2);
/// Connections that stay.
const STEADY: usize = 4;
/// Peers that take nothing of what they asked for.
const DEAF: usize = 8;
/// Addresses that nobody has: half of those that first segments come from. The guest asks for them in vain.
const NOBODY: std::ops::Range<u32> = 0x0a00_c000..0x0a01_0000;
/// What tables may take that strangers fill: openings, neighbours, parts of datagrams, what came out of order.
const TABLES_MAX_KIB: u64 = 24 << 10;

/// Runs the server, the strangers and those who behave.
pub fn run(machine: Machine, built: &Built, guest: &Guest) -> Result<()> {
    tap::in_namespace(|| serve(machine, built, guest))
}

fn serve(mut machine: Machine, built: &Built, guest: &Guest) -> Result<()> {
    let cpus = number_of("FLOOD_CPUS", 2);
    let many = if cpus > 1 { " multi_queue" } else { "" };
    tap::ip(&format!("tuntap add {TAP} mode tap{many}"))?;
    // This computer's own stack has no address there and says nothing.
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6"), "1").context("IPv6")?;
    tap::ip(&format!("link set {TAP} up"))?;
    machine.network = Network::Tap { name: TAP.into(), queues: cpus as u16 };
    machine.cpus = cpus;
    let seconds = u64::from(number_of("FLOOD_SECONDS", 4));
    let limit = Duration::from_secs(600 + seconds * 6);
    let test = Test {
        jvm: ["-Xms256m", "-Xmx256m", "-XX:+AlwaysPreTouch"].map(String::from).into(),
        timeout_ms: limit.as_millis() as u64,
        ..Test::new("parts-flood", Program::Java("Crowd".into()))
    };
    let mut manifest = program::manifest([guest.program(&test, built)]);
    manifest.addresses = vec!["10.0.2.15/16".parse().map_err(anyhow::Error::msg)?];
    let crowd = thread::spawn(move || {
        let mut flooded = Flooded::new()?;
        let result = flooded.all(Duration::from_secs(seconds));
        // The server shall end in any case, if it can.
        let quit = flooded.crowd.quit();
        result.and(quit)
    });
    let Said { stdout, stderr, status, .. } = served::run(&machine, &manifest, limit, crowd)?;
    ensure!(status == 0 && stdout == "ready\nwriters that had to wait: some\n", "{stdout}{stderr}");
    Ok(())
}

/// The guest in its flood.
struct Flooded {
    crowd: Crowd,
    steady: Vec<End>,
    /// What the strangers know.
    targets: Arc<Mutex<Vec<Target>>>,
}

impl Flooded {
    fn new() -> Result<Self> {
        let mut crowd = Crowd::new(Interface::new(TAP)?, SILENCE, PATIENCE);
        crowd.nobody = NOBODY;
        Ok(Self { crowd, steady: Vec::new(), targets: Arc::default() })
    }

    fn all(&mut self, time: Duration) -> Result<()> {
        self.crowd.meet()?;
        self.crowd.somebody().context("at first")?;
        for _ in 0..DEAF {
            let end = self.crowd.open(PATIENCE)?;
            self.crowd.connection(end)?.manner = Manner::Deaf;
            self.crowd.say(end, b"S")?;
        }
        for _ in 0..STEADY {
            let end = self.crowd.open(PATIENCE)?;
            self.steady.push(end);
        }
        let before = self.crowd.free_kib()?;
        for kind in [Kind::Openings, Kind::Noise, Kind::Resets] {
            self.phase(kind, time).with_context(|| format!("{kind:?}"))?;
        }
        let after = self.crowd.free_kib()?;
        eprintln!("parts-flood: {before} KiB free before, {after} after");
        ensure!(after + TABLES_MAX_KIB > before, "{before} KiB were free before, {after} after");
        for end in std::mem::take(&mut self.steady) {
            self.crowd.close(end)?;
        }
        Ok(())
    }

    fn phase(&mut self, kind: Kind, time: Duration) -> Result<()> {
        let (before, start) = (tap::counts(TAP)?, Instant::now());
        let mut all = Round::default();
        while all.sent.time < time || all.served < SERVED_MIN {
            let victims = if kind == Kind::Openings { Vec::new() } else { states::prepare(&mut self.crowd)? };
            all.add(&self.round(kind, &victims)?);
            states::end(&mut self.crowd, &victims)?;
        }
        let after = tap::counts(TAP)?;
        let (sent, seconds) = (all.sent.frames, all.sent.time.as_secs_f64());
        eprintln!(
            "parts-flood: {kind:?}: {sent} hostile frames in {seconds:.1} s, {:.0} a second; the guest took {} frames in \
             {:.1} s and sent {}; {} served meanwhile, the slowest in {:.2} s",
            sent as f64 / seconds,
            after.taken - before.taken,
            start.elapsed().as_secs_f64(),
            after.given - before.given,
            all.served,
            all.slowest.as_secs_f64(),
        );
        Ok(())
    }

    /// Tells the strangers what they may know.
    fn tell(&mut self, victims: &[Victim]) -> Result<()> {
        let ends = victims.iter().map(|victim| (victim.end, true)).chain(self.steady.iter().map(|&end| (end, false)));
        let targets =
            ends.map(|(end, is_victim)| states::target(&mut self.crowd, end, is_victim)).collect::<Result<_>>()?;
        *self.targets.lock().map_err(|_| anyhow::anyhow!("the strangers panicked"))? = targets;
        Ok(())
    }

    /// Strangers for a while, and meanwhile somebody, and those who stay.
    fn round(&mut self, kind: Kind, victims: &[Victim]) -> Result<Round> {
        self.tell(victims)?;
        let (targets, must_stop) = (self.targets.clone(), Arc::new(AtomicBool::new(false)));
        let (mac, must_stop_too) = (self.crowd.mac, must_stop.clone());
        let strangers = thread::spawn(move || hostile::attack(TAP, mac, kind, &targets, &must_stop_too));
        let served = self.serve(victims);
        must_stop.store(true, Ordering::Relaxed);
        let sent = strangers.join().map_err(|_| anyhow::anyhow!("the strangers panicked"))?;
        let (served, slowest) = served?;
        Ok(Round { sent: sent?, served, slowest })
    }

    /// How many were served in a round, and the slowest of them.
    fn serve(&mut self, victims: &[Victim]) -> Result<(u32, Duration)> {
        let (end, mut served, mut slowest) = (Instant::now() + ROUND, 0, Duration::ZERO);
        while Instant::now() < end {
            let start = Instant::now();
            self.crowd.somebody()?;
            served += 1;
            slowest = slowest.max(start.elapsed());
            let one = self.steady[served as usize % STEADY];
            let answer = self.crowd.ask(one, b"still here.", b'.').context("one who stays")?;
            ensure!(answer == b"still here.", "one who stays hears \"{}\"", answer.escape_ascii());
            self.tell(victims)?;
        }
        Ok((served, slowest))
    }
}

/// What happened in a round, or in all of a phase.
#[derive(Default)]
struct Round {
    sent: Sent,
    served: u32,
    slowest: Duration,
}

impl Round {
    fn add(&mut self, other: &Self) {
        self.sent.frames += other.sent.frames;
        self.sent.time += other.sent.time;
        self.served += other.served;
        self.slowest = self.slowest.max(other.slowest);
    }
}
