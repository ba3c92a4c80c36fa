//! What the boot loader told us, copied out of low memory before anything else runs.

use crate::addr::PhysAddr;
use crate::sync::Once;
use core::ops::Range;

/// What a range of physical memory is for (E820 types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Free for the kernel to use.
    Usable,
    /// Firmware, devices, or holes.
    Reserved,
    /// ACPI tables, which may be reclaimed after they are read. We never do.
    Acpi,
}

/// One range of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes.
    pub len: u64,
    /// What it is for.
    pub kind: MemoryKind,
}

/// At most this many regions are kept; firmware gives about ten.
pub const MAX_REGIONS: usize = 64;

/// What the boot loader told us.
#[derive(Clone, Debug)]
pub struct BootInfo {
    regions: [MemoryRegion; MAX_REGIONS],
    region_count: usize,
    /// The kernel's command line.
    pub cmdline: &'static str,
    /// The ACPI root pointer, when the loader passed one.
    pub rsdp: Option<PhysAddr>,
    /// The kernel image and what boot allocated behind it: not for `mm`.
    pub kernel: Range<PhysAddr>,
}

impl BootInfo {
    /// An empty description with `kernel` as the kernel's own memory.
    pub fn new(cmdline: &'static str, rsdp: Option<PhysAddr>, kernel: Range<PhysAddr>) -> Self {
        let none = MemoryRegion { start: PhysAddr(0), len: 0, kind: MemoryKind::Reserved };
        Self { regions: [none; MAX_REGIONS], region_count: 0, cmdline, rsdp, kernel }
    }

    /// Adds a region. Returns whether there was room: memory beyond [`MAX_REGIONS`] regions is not used.
    pub fn push(&mut self, region: MemoryRegion) -> bool {
        if self.region_count == MAX_REGIONS {
            return false;
        }
        self.regions[self.region_count] = region;
        self.region_count += 1;
        true
    }

    /// All regions, in the loader's order.
    pub fn memory(&self) -> &[MemoryRegion] {
        &self.regions[..self.region_count]
    }

    /// The value of `name=value` on the command line, or "" for a bare `name`; the last one wins.
    pub fn option(&self, name: &str) -> Option<&'static str> {
        self.cmdline.split_ascii_whitespace().rev().find_map(|word| match word.split_once('=') {
            Some((key, value)) if key == name => Some(value),
            None if word == name => Some(""),
            _ => None,
        })
    }
}

static BOOT_INFO: Once<BootInfo> = Once::new();

/// Sets the description; later calls change nothing.
pub fn set(info: BootInfo) {
    BOOT_INFO.call_once(|| info);
}

/// The description of this boot.
///
/// # Panics
/// Before [`set`], which the boot code calls before anything else.
pub fn get() -> &'static BootInfo {
    BOOT_INFO.get().expect("boot code sets the boot information first")
}

/// The value of a command-line option; `None` also before boot information is set (host tests).
pub fn option(name: &str) -> Option<&'static str> {
    BOOT_INFO.get().and_then(|info| info.option(name))
}
