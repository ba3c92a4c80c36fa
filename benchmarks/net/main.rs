//! Measures what a server on the network costs, Demitasse and a Linux guest side by side: same QEMU, same device, same JDK.
//! How and why: README.md beside this file; the bars: ../PROMISES.md.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use guest::report::Bar;
use guest::system::{Side, Systems};
use guest::turns::{self, Common, both, row};
use measure::{Server, Way};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

mod load;
mod measure;
mod profile;

/// Measures servers on Demitasse and on Linux in one run and prints a report in Markdown.
#[derive(Parser)]
struct Options {
    /// What to measure; requests, idle and loopback if not given
    #[arg(value_enum)]
    what: Vec<What>,
    #[command(flatten)]
    common: Common,
    /// Only these servers
    #[arg(long, value_enum)]
    server: Vec<Which>,
    /// Boots a side for each instruction count
    #[arg(long, default_value_t = 1)]
    counts: usize,
    /// Boots a side for each wall-clock figure, in turns
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// More options for the servers' Java, both sides: --jvm=-XX:TieredStopAtLevel=1 is quiet sooner
    #[arg(long, allow_hyphen_values = true)]
    jvm: Vec<String>,
    /// Connections that are open and idle
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Counts: over QEMU's user networking instead of a network of the benchmark's own
    #[arg(long)]
    user: bool,
    /// wall, transfer: over this tap device instead of user networking; the host has 10.77.0.1/24 at it
    #[arg(long)]
    tap: Option<String>,
    /// profile: a directory for files of the kernel's executed addresses with their counts a request, for addr2line and objdump
    #[arg(long)]
    addresses: Option<PathBuf>,
    /// Seconds of each run of wrk
    #[arg(long, default_value_t = 30)]
    seconds: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Instructions a request
    Requests,
    /// Where they go, by function (nothing is compared)
    Profile,
    /// Instructions a request beside idle connections
    Idle,
    /// Instructions a hand-over over the loopback
    Loopback,
    /// Instructions a megabyte, both ways
    Bytes,
    /// Requests a second and their times (wrk); needs an idle machine
    Wall,
    /// 1 GB sent and received; needs an idle machine
    Transfer,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Nio,
    Jdk,
    Netty,
}

impl Which {
    fn server(self, jvm: &[String]) -> Server {
        let (class, text, warm_up, warm_up_s) = match self {
            Which::Nio => ("NioServer", "one-thread NIO server", 100_000, 30),
            Which::Jdk => ("JdkServer", "JDK HttpServer", 60_000, 30),
            // Java compiles it for a minute, on Linux for more than one.
            Which::Netty => ("NettyServer", "Netty", 150_000, 60),
        };
        Server { class, text, warm_up, warm_up_s, jvm: jvm.to_vec() }
    }
}

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// Least ratio of the requests a second at each of [`CONNECTIONS`].
const RATE_BARS: [f64; 4] = [1.5, 1.5, 2.0, 1.5];

fn main() -> ExitCode {
    turns::exit("net", measure(&Options::parse()))
}

/// Whether all is well: with `--check`, that every bar is held.
fn measure(options: &Options) -> Result<bool> {
    let sides = options.common.sides();
    let default = [What::Requests, What::Idle, What::Loopback];
    let wanted: &[What] = if options.what.is_empty() { &default } else { &options.what };
    let all = [Which::Nio, Which::Jdk, Which::Netty];
    let servers: Vec<Which> = if options.server.is_empty() { all.to_vec() } else { options.server.clone() };
    let shared = tempfile::tempdir()?;
    build(shared.path(), servers.contains(&Which::Netty))?;
    let systems = Systems::prepare(shared.path(), sides.contains(&Side::Demitasse))?;
    let way = if options.user { Way::User } else { Way::Peer };
    let mut rows = Vec::new();
    if wanted.contains(&What::Requests) {
        for server in servers.iter().map(|which| which.server(&options.jvm)) {
            let samples = both(&sides, options.counts, |side| measure::requests(&systems, side, &server, way))?;
            for connections in ["1", "16"] {
                let text = format!("{}, {connections} connections, instructions a request", server.text);
                rows.push(row(&samples, &format!("{}_{connections}", server.class), &text, Bar::Ratio(0.5)));
            }
        }
    }
    if wanted.contains(&What::Profile) {
        for server in servers.iter().map(|which| which.server(&options.jvm)) {
            for &side in &sides {
                measure::profile(&systems, side, &server, way, options.addresses.as_deref())?;
            }
        }
    }
    if wanted.contains(&What::Idle) {
        let server = Which::Nio.server(&options.jvm);
        let samples = both(&sides, options.counts, |side| measure::idle(&systems, side, &server, way, options.idle))?;
        let text = format!("{}, beside 0 idle connections, instructions a request", server.text);
        rows.push(row(&samples, "idle_without", &text, Bar::None));
        let limit = 1.05 * guest::stats::median(&row(&samples, "idle_without", "", Bar::None).ours);
        let text = format!("{}, beside {} idle connections, instructions a request", server.text, options.idle);
        rows.push(row(&samples, "idle_with", &text, Bar::AtMost(limit)));
    }
    if wanted.contains(&What::Loopback) {
        let samples = both(&sides, options.counts, |side| measure::loopback(&systems, side))?;
        for (name, text) in [("echo_1", "1 byte"), ("echo_1_epoll", "1 byte, epoll"), ("echo_16k", "16 KiB")] {
            let text = format!("loopback echo, {text}, instructions a hand-over");
            rows.push(row(&samples, name, &text, Bar::Ratio(0.5)));
        }
    }
    if wanted.contains(&What::Bytes) {
        let server = Which::Nio.server(&options.jvm);
        let samples =
            both(&sides, options.counts, |side| measure::transfer_count(&systems, side, &server, way, 64 << 20))?;
        for (name, text) in [("from_guest", "received from"), ("to_guest", "sent to")] {
            rows.push(row(&samples, name, &format!("instructions a megabyte {text} the guest"), Bar::None));
        }
    }
    let way = options.tap.as_deref().map_or(Way::User, Way::Tap);
    if wanted.contains(&What::Wall) {
        for server in servers.iter().map(|which| which.server(&options.jvm)) {
            let samples =
                both(&sides, options.runs, |side| measure::wrk(&systems, side, &server, way, options.seconds))?;
            for (connections, bar) in CONNECTIONS.into_iter().zip(RATE_BARS) {
                let text = format!("{}, {connections} connections", server.text);
                let rate = format!("{text}, requests a second");
                rows.push(row(&samples, &format!("rate_{connections}"), &rate, Bar::AtLeast(bar)));
                let p99 = format!("{text}, 99th percentile, ms");
                rows.push(row(&samples, &format!("p99_{connections}"), &p99, Bar::Ratio(0.7)));
                if connections == 1 {
                    let p99 = format!("{text}, 99th percentile as a client sees it, ms");
                    rows.push(row(&samples, "seen_p99_1", &p99, Bar::Ratio(0.7)));
                }
            }
        }
    }
    if wanted.contains(&What::Transfer) {
        let server = Which::Nio.server(&options.jvm);
        let samples =
            both(&sides, options.runs, |side| measure::transfer(&systems, side, &server, way, 1_000_000_000))?;
        for (name, text) in [("from_guest", "received from"), ("to_guest", "sent to")] {
            rows.push(row(&samples, name, &format!("1 GB {text} the guest, MB/s"), Bar::AtLeast(1.2)));
        }
    }
    Ok(options.common.finish("Servers on the network", &systems, &rows))
}

/// Compiles everything into `directory`, which the guests see as /classes.
fn build(directory: &Path, with_netty: bool) -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("net");
    guest::compile_c(&here.join("c/loopback.c"), directory)?;
    let mut classes = vec!["NioServer", "JdkServer"];
    if with_netty {
        classes.push("NettyServer");
        let target = directory.join("target");
        let maven = Command::new("mvn")
            .args(["--quiet", "--batch-mode", "dependency:copy-dependencies"])
            .arg(format!("-DbuildDirectory={}", target.display()))
            .arg(format!("-DoutputDirectory={}", directory.display()))
            .arg("--file")
            .arg(here.join("pom.xml"))
            .status()
            .context("cannot start mvn, which fetches Netty (Debian's package maven); --server leaves it out")?;
        anyhow::ensure!(maven.success(), "mvn failed");
    }
    let sources = classes.iter().map(|class| here.join(format!("java/{class}.java")));
    let class_path = format!("{}/*", directory.display());
    let status = Command::new("javac").args(["-cp", &class_path, "-d"]).arg(directory).args(sources).status()?;
    anyhow::ensure!(status.success(), "javac failed");
    Ok(())
}
