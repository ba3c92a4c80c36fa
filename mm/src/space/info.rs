//! What can be asked about areas.
use super::request::{HugePolicy, Protection, Sharing};
use crate::backing::Backing;
use alloc::{string::String, sync::Arc};

/// One area, as /proc/self/maps shows it.
#[derive(Clone)]
pub struct AreaInfo {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// Current protection.
    pub prot: Protection,
    /// Private or shared.
    pub sharing: Sharing,
    /// The object, if the area is not anonymous.
    pub backing: Option<Arc<dyn Backing>>,
    /// Byte offset in the object; 0 for anonymous memory.
    pub offset: u64,
    /// A kernel-given name such as `[stack]`.
    pub name: Option<&'static str>,
    /// Counted against the commit limit.
    pub accounted: bool,
    /// Made as a thread stack.
    pub stack: bool,
    /// Mapped without reserving swap space.
    pub no_reserve: bool,
    /// What was asked for about 2 MiB pages.
    pub huge: HugePolicy,
}

impl AreaInfo {
    /// The name column of /proc/self/maps; empty for plain anonymous memory.
    pub fn label(&self) -> String {
        match (self.name, &self.backing) {
            (Some(name), _) => String::from(name),
            (None, Some(backing)) => backing.path(),
            (None, None) => String::new(),
        }
    }
}

/// Totals of the address space, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Sum of all areas.
    pub virtual_bytes: u64,
    /// Highest value that `virtual_bytes` had.
    pub virtual_peak: u64,
    /// Present pages.
    pub resident: u64,
    /// Highest value of `resident` seen by `usage`.
    pub resident_peak: u64,
    /// Of `resident`: pages of files and shared objects.
    pub resident_file: u64,
    /// Of `resident`: anonymous pages in 2 MiB mappings.
    pub huge_anonymous: u64,
    /// Of `resident_file`: in 2 MiB mappings.
    pub huge_object: u64,
    /// Page tables of the application's half.
    pub page_tables: u64,
    /// Private writable memory that counts against the commit limit.
    pub committed: u64,
    /// Commit limit (total memory: overcommit mode 0 checks single requests only).
    pub commit_limit: u64,
    /// Areas with write permission, private (data, for status and statm).
    pub data: u64,
    /// Stack areas.
    pub stack: u64,
    /// Executable file areas.
    pub exec: u64,
    /// Number of areas.
    pub areas: u64,
}

/// What of a range is resident, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Residence {
    /// Present pages.
    pub resident: u64,
    /// Private copies and anonymous pages.
    pub anonymous: u64,
    /// Of `anonymous`: in 2 MiB mappings.
    pub huge: u64,
    /// Pages of objects in 2 MiB mappings.
    pub huge_object: u64,
    /// Present and written to.
    pub dirty: u64,
    /// Present and accessed.
    pub referenced: u64,
}
