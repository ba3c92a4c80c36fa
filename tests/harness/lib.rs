//! The differential harness: a guest test is an ordinary Linux program that runs on the host and in the guest, and stdout,
//! stderr and status must be equal. No expectation is anybody's opinion.
//!
//! * [`table`]: which programs, with which arguments, input and tolerances (`guest/table.txt`)
//! * [`build`]: compiles `guest/c`, `guest/java` and the probes of the shared folder
//! * [`host`]: runs one in the sandbox of `host/sandbox.sh`
//! * [`guest`]: runs many in one boot
//! * [`compare`]: what counts as equal
//! * [`additions`]: what of the host's programs come along
//! * [`differential`], [`boots`], [`endings`], [`java`]: the suites
//! * [`examples`]: what `examples/` promises
//! * [`exhaustion`], [`exhaustion_java`]: memory that is gone
//! * [`dns`]: names looked up over the network
//! * [`fuzz`]: the fuzzers and the stress program
//! * [`databases`]: H2, Derby, ZooKeeper and Kafka on a volume
//! * [`disk_faults`]: disks that fail, are full, or hold something else
//! * [`power_cut`]: the whole machine loses its power under load
//! * [`parts`]: volumes and the network
//! * [`volume_files`]: O_DIRECT and large directories, as on the host's ext4
//! * [`crowd`]: a server in a hostile network
//! * [`flood`]: a server on a tap that strangers flood at full speed
//! * [`lossy`]: a server behind a bad link
//! * [`served`]: a program in the guest and its client on the host's side
//! * [`tally`]: counts, and the closing line
//! * [`jtreg`]: OpenJDK's own tests, with a program of their own

pub mod additions;
pub mod boots;
pub mod build;
pub mod compare;
pub mod crowd;
pub mod databases;
pub mod differential;
pub mod disk_faults;
pub mod dns;
pub mod endings;
pub mod examples;
pub mod exhaustion;
pub mod exhaustion_java;
pub mod flood;
pub mod fuzz;
pub mod guest;
pub mod host;
pub mod java;
#[path = "../jtreg/mod.rs"]
pub mod jtreg;
pub mod lossy;
pub mod many;
pub mod parts;
pub mod power_cut;
mod queues;
pub mod served;
pub mod switch;
pub mod table;
pub mod tally;
mod tap;
pub mod volume_files;

/// A number out of the environment: the long forms of some tests.
fn number_of(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit status, 128 + n after a signal, or one of the run's own.
    pub status: u8,
}
