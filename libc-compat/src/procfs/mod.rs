//! The contents of /proc/self (owner: abi-files).
