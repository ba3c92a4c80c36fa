//! What a process has open: descriptors, working directory, umask (owner: abi-files).

/// The file side of a process.
pub struct FileContext {}

impl FileContext {
    /// The process ends: closes every descriptor.
    pub fn close_all(&self) {}
}

impl FileContext {
    /// RLIMIT_NOFILE changed.
    pub fn set_descriptor_limit(&self, _limit: u64) {}
}

/// mmap(2) of descriptor `fd`: puts the object into `request` and checks that its access mode allows it (EBADF, EACCES,
/// ENODEV).
pub fn map_file(
    _process: &crate::Process,
    _fd: i32,
    _offset: u64,
    _request: &mut mm::MapRequest,
) -> Result<(), crate::Errno> {
    Err(crate::Errno::EBADF)
}

#[cfg(test)]
impl FileContext {
    /// For host tests: nothing open.
    pub(crate) fn for_test() -> Self {
        Self {}
    }
}
