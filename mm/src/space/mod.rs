//! The application's half of the address space: areas and the faults that fill them, a file for each verb.
//!
//! [`AddressSpace`] holds the areas ([`tree`]) under a sleeping reader-writer lock, and the page tables. Verbs change
//! areas with the lock held exclusively; faults run with it held shared and install entries by compare-exchange, so
//! any number of vCPUs fault at once. A fault that has to wait for a file drops the lock, gets the page, and looks again.
//!
//! Frames that a verb takes out are freed after every vCPU has dropped its translations ([`shootdown`]).

mod advise;
mod anonymous_object;
mod area;
mod clear;
mod collapse;
mod error;
mod fault;
mod info;
mod invalidate;
mod map;
mod placement;
mod policy;
mod protect;
mod query;
mod remap;
mod request;
pub mod shootdown;
mod sync;
#[cfg(all(test, not(feature = "loom")))]
mod tests;
mod totals;
mod tree;
mod unmap;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hal::addr::{PAGE_SIZE, PhysAddr};
use hal::sync::Once;
use sched::RwLock;

use crate::page_table::gather::{Gather, Resident};
use crate::page_table::walk::Tables;
use placement::Placer;
use policy::Policy;
use tree::Tree;

pub use error::{FaultError, MapError};
pub use info::{AreaInfo, Residence, Usage};
pub use invalidate::PrivateCopies;
pub use policy::HugePages;
pub use request::{Access, Advice, HugePolicy, MapRequest, Placement, Protection, Remap, Sharing};

/// End of the lower half of the page tables.
const HALF_END: u64 = 1 << 47;

/// The areas of the one application and its half of the page tables.
pub struct AddressSpace {
    state: RwLock<State>,
    tables: Tables,
    resident: Resident,
    /// Highest number of resident pages seen.
    resident_peak: AtomicU64,
    /// Where the next search for clean file pages begins.
    clean_hand: AtomicU64,
    policy: Policy,
}

/// What the lock protects.
struct State {
    tree: Tree,
    placer: Placer,
    limits: Limits,
}

/// Limits of the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// RLIMIT_AS, bytes.
    pub address_space_bytes: u64,
    /// RLIMIT_STACK, bytes: the gap kept below the stack when the bases are chosen.
    pub stack_bytes: u64,
    /// vm.max_map_count.
    pub areas: usize,
}

impl Limits {
    /// Linux's defaults.
    pub const DEFAULT: Limits = Limits { address_space_bytes: u64::MAX, stack_bytes: 8 << 20, areas: 65530 };
}

static SPACE: Once<AddressSpace> = Once::new();

/// The only address space.
#[inline]
pub fn space() -> &'static AddressSpace {
    SPACE.call_once(|| {
        let space = AddressSpace::new(hal::paging::root());
        space.policy.read_command_line();
        space.choose_bases();
        space
    })
}

impl AddressSpace {
    /// An empty space over a root table.
    fn new(root: PhysAddr) -> Self {
        AddressSpace {
            state: RwLock::new(State { tree: Tree::new(), placer: Placer::new(), limits: Limits::DEFAULT }),
            tables: Tables::new(root),
            resident: Resident::new(),
            resident_peak: AtomicU64::new(0),
            clean_hand: AtomicU64::new(0),
            policy: Policy::new(),
        }
    }

    fn choose_bases(&self) {
        let state = &mut *self.state.write();
        state.placer.choose_bases(&self.policy, &state.limits);
    }

    /// A place for what a verb takes out of the page tables. Declare it after the lock's guard: it must go first.
    fn gather(&self) -> Gather<'_> {
        Gather::new(&self.tables, &self.resident)
    }

    /// Resident pages now.
    fn resident_pages(&self) -> u64 {
        self.resident.anonymous.load(Relaxed) + self.resident.object.load(Relaxed)
    }

    /// Remembers the number of resident pages before it falls.
    fn note_peak(&self) {
        self.resident_peak.fetch_max(self.resident_pages(), Relaxed);
    }

    /// Sets the limits; `u64::MAX` is none.
    pub fn set_limits(&self, limits: Limits) {
        self.state.write().limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.state.read().limits
    }

    /// Switches 2 MiB pages for areas that do not say.
    pub fn set_huge_pages(&self, huge: HugePages) {
        self.policy.set_huge(huge);
    }

    /// Where top-down search begins (below the stack).
    pub fn mmap_base(&self) -> u64 {
        self.state.read().placer.mmap_base
    }

    /// First byte behind the highest address that the main thread's stack should have.
    pub fn stack_top(&self) -> u64 {
        self.state.read().placer.stack_top
    }

    /// A random page-aligned displacement in bytes of up to `pages` pages, 0 with `noaslr`: for the heap (brk), the
    /// program and the vDSO.
    pub fn random_offset(&self, pages: u64) -> u64 {
        self.policy.random_pages(pages) * PAGE_SIZE
    }
}
