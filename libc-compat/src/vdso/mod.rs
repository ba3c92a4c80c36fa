//! The virtual shared object: clock reads without a system call (vdso(7)).

/// Prepares the data page.
pub fn init() {}
