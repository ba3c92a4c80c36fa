//! The one place that chooses the backend. Both export the same names; the modules above give them their meaning.

#[cfg(not(feature = "bare"))]
pub mod host;
#[cfg(feature = "bare")]
pub mod x86_64;

#[cfg(not(feature = "bare"))]
pub use host as current;
#[cfg(feature = "bare")]
pub use x86_64 as current;
