//! Kernel stacks with a guard page.

/// Gives sched its stacks; registered by the kernel's wiring as `hal::hil::StackProvider`.
pub struct StackPool {
    _private: (),
}

/// The one pool.
pub static POOL: StackPool = StackPool { _private: () };
