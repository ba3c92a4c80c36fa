//! What the host tool (`images`) and the guest (`jvm-host`) say to each other.
//!
//! * [`manifest`]: what to run. Text, one setting a line, written by the host before the machine starts.
//! * [`control`]: what happens. Lines in both directions on the virtio-serial port [`PORT_CONTROL`].
//! * [`escape`]: how arbitrary bytes (arguments, paths) become part of a line.
//!
//! # Where the guest finds the manifest
//! 1. On the read-only raw block device whose virtio serial is [`MANIFEST_SERIAL`]: the text from sector 0 on, padded
//!    with NULs to a multiple of 512 bytes. `run-java.sh` passes it so: new arguments build no image.
//! 2. Without such a device, in the file [`MANIFEST_PATH`] of the root (images made by `--output`).
//!
//! # Root
//! The devices with the serials [`LAYER_SERIALS`] are EROFS images; the root is their union, each before the next.
//!
//! # Streams
//! Four virtio-serial ports. Output of all programs goes raw to [`PORT_STDOUT`] and [`PORT_STDERR`]; the `exit` message
//! of a program carries how many bytes it wrote to each, so the host knows where its output ends. The host sends
//! end-of-file on [`PORT_STDIN`] by closing its side of the port (the guest sees the port close) and never before it
//! has seen `start`. When the reader of the host's stdout is gone the host closes that port: a write then fails with
//! EPIPE, and the bytes it did not take are not counted.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod address;
pub mod control;
pub mod escape;
pub mod manifest;

pub use address::FixedAddress;
pub use control::{Decoder, Event, ExitReason, GuestMessage, HostMessage, WireError};
pub use manifest::{Bind, Kind, Manifest, ManifestError, Program, Stdin, Terminals, Volume, WindowSize};

/// Path of the manifest in the root file system of a self-contained image.
pub const MANIFEST_PATH: &str = "/demitasse/manifest";
/// Serial of the virtio block device that holds the manifest of this run.
pub const MANIFEST_SERIAL: &str = "manifest";
/// The manifest device's size is a multiple of this, in bytes.
pub const MANIFEST_BLOCK: usize = 512;
/// Serials of the root's EROFS layers, first priority first.
pub const LAYER_SERIALS: [&str; 3] = ["root0", "root1", "root2"];

/// virtio-serial port of the program's standard input.
pub const PORT_STDIN: &str = "demitasse.stdin";
/// virtio-serial port of the program's standard output.
pub const PORT_STDOUT: &str = "demitasse.stdout";
/// virtio-serial port of the program's standard error.
pub const PORT_STDERR: &str = "demitasse.stderr";
/// virtio-serial port of the [`control`] messages.
pub const PORT_CONTROL: &str = "demitasse.control";

/// A kernel log line that reports a panic starts so.
pub const PANIC_PREFIX: &str = "demitasse: panic:";
/// Exit status of the run for a kernel panic; `(PANIC_DEBUG_EXIT << 1) | 1`.
pub const STATUS_PANIC: u8 = 121;
/// What a panicking kernel writes to isa-debug-exit.
pub const PANIC_DEBUG_EXIT: u8 = 0x3c;
