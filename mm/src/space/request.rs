//! The arguments of the verbs, without Linux numbers.
use crate::backing::Backing;
use alloc::sync::Arc;

bitflags::bitflags! {
    /// What an area allows.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Protection: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXEC = 4;
    }
}

/// Who sees writes to the area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Nobody else: pages are copied on the first write.
    Private,
    /// The object itself changes.
    Shared,
}

/// Where a mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Anywhere.
    Any,
    /// Exactly here if it is free, else anywhere.
    Hint(u64),
    /// Here; what was there goes.
    Fixed(u64),
    /// Here, or not at all.
    FixedNoReplace(u64),
}

/// Whether 2 MiB pages may serve an area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HugePolicy {
    /// As the machine's policy says (plenty of memory: yes).
    Default,
    /// Whenever it fits (MADV_HUGEPAGE).
    Always,
    /// Never (MADV_NOHUGEPAGE, stacks).
    Never,
}

/// Everything about a new mapping.
#[derive(Clone)]
pub struct MapRequest {
    /// Where.
    pub addr: Placement,
    /// Bytes; rounded up to pages.
    pub len: u64,
    /// Protection now.
    pub prot: Protection,
    /// What `protect` may ever grant (a shared mapping of a file opened for reading: not WRITE).
    pub max_prot: Protection,
    /// Private or shared. Shared without a backing makes a shared anonymous object.
    pub sharing: Sharing,
    /// Object and byte offset (a multiple of 4096).
    pub backing: Option<(Arc<dyn Backing>, u64)>,
    /// Fault everything in at once; a failure to do so is not an error.
    pub populate: bool,
    /// Do not count it against the commit limit.
    pub no_reserve: bool,
    /// A thread stack: never 2 MiB pages.
    pub stack: bool,
    /// 2 MiB pages.
    pub huge: HugePolicy,
    /// Name for /proc/self/maps.
    pub name: Option<&'static str>,
}

impl MapRequest {
    /// What the area is to remember about 2 MiB pages: stacks never get any.
    pub(crate) fn huge_policy(&self) -> HugePolicy {
        if self.stack { HugePolicy::Never } else { self.huge }
    }

    /// Private anonymous memory, anywhere.
    pub fn anonymous(len: u64, prot: Protection) -> Self {
        MapRequest {
            addr: Placement::Any,
            len,
            prot,
            max_prot: Protection::all(),
            sharing: Sharing::Private,
            backing: None,
            populate: false,
            no_reserve: false,
            stack: false,
            huge: HugePolicy::Default,
            name: None,
        }
    }

    /// A file or other object from byte `offset` on.
    pub fn object(backing: Arc<dyn Backing>, offset: u64, len: u64, prot: Protection, sharing: Sharing) -> Self {
        MapRequest { sharing, backing: Some((backing, offset)), ..Self::anonymous(len, prot) }
    }

    /// The same at another place.
    pub fn at(self, addr: Placement) -> Self {
        MapRequest { addr, ..self }
    }

    /// The same with a name.
    pub fn named(self, name: &'static str) -> Self {
        MapRequest { name: Some(name), ..self }
    }
}

/// The access that faulted. Neither flag: a load.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// A store.
    pub write: bool,
    /// An instruction fetch.
    pub fetch: bool,
}

/// How `remap` may go about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remap {
    /// Only where it is.
    InPlace,
    /// Anywhere (MREMAP_MAYMOVE).
    MayMove,
    /// To this address; what was there goes (MREMAP_FIXED).
    Fixed(u64),
    /// To a free place, leaving the old range mapped and empty (MREMAP_DONTUNMAP).
    KeepOld(Placement),
}

/// What `advise` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// Pages go at once; anonymous memory reads as zeros, files are read again.
    DontNeed,
    /// Private anonymous pages may go; here they go at once.
    Free,
    /// Read ahead.
    WillNeed,
    /// 2 MiB pages wherever they fit.
    HugePage,
    /// No 2 MiB pages.
    NoHugePage,
    /// 2 MiB pages now, for what is in small ones.
    Collapse,
    /// Fault everything in for reading; errors are reported.
    PopulateRead,
    /// The same for mlock(2), which takes every area that may be used at all.
    Lock,
    /// Fault everything in for writing; errors are reported.
    PopulateWrite,
    /// Give the object's pages up (hole punching).
    Remove,
    /// Access pattern hints and dump hints: checked for holes, otherwise without effect.
    Neutral,
}
