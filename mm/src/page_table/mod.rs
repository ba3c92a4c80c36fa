//! Page tables: entries ([`entry`]), walking ([`walk`]), what verbs take out of them ([`gather`]), the kernel's half
//! ([`kernel`]).
//!
//! Tables are reached through the direct map. Entries are installed by compare-exchange with the address-space lock
//! held shared; tables are taken away only with it held exclusively. So a walk is valid while the lock is held.

pub(crate) mod entry;
pub(crate) mod gather;
pub(crate) mod join;
pub(crate) mod kernel;
pub(crate) mod split;
pub(crate) mod walk;
