//! Sets of vCPUs.

use hal::cpu::MAX_CPUS;

/// A set of vCPU indexes below [`MAX_CPUS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSet(u64);

// One word holds every vCPU.
const _: () = assert!(MAX_CPUS == 64);

impl CpuSet {
    /// Every vCPU, also those that the machine does not have.
    pub const ALL: Self = Self(u64::MAX);
    /// No vCPU.
    pub const EMPTY: Self = Self(0);

    /// Bit `n` stands for vCPU `n`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    /// Bit `n` stands for vCPU `n`.
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// The set of one vCPU.
    pub const fn only(cpu: usize) -> Self {
        Self(1 << cpu)
    }
    /// The first `count` vCPUs.
    pub const fn first(count: usize) -> Self {
        if count >= MAX_CPUS { Self::ALL } else { Self((1 << count) - 1) }
    }
    /// Whether `cpu` is in the set.
    pub const fn contains(self, cpu: usize) -> bool {
        cpu < MAX_CPUS && self.0 >> cpu & 1 != 0
    }
    /// The vCPUs that are in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Whether no vCPU is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The lowest member.
    pub const fn lowest(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as usize) }
    }
    /// How many members.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}
