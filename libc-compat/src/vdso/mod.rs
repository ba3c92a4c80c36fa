//! The virtual shared object: clock reads without a system call (vdso(7)).
