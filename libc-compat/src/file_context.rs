//! What a process has open: descriptors, working directory, umask (owner: abi-files).

/// The file side of a process.
pub struct FileContext {}

impl FileContext {
    /// The process ends: closes every descriptor.
    pub fn close_all(&self) {}
}
