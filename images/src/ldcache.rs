//! The dynamic loader's index of libraries, `/etc/ld.so.cache`.
//!
//! Format: glibc `sysdeps/generic/dl-cache.h`, `struct cache_file_new`; an older index may precede it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where it is.
pub const PATH: &str = "/etc/ld.so.cache";

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Magic and version, two counts, flags and reserved words.
const HEADER_LEN: usize = 48;
const ENTRY_LEN: usize = 24;
/// `FLAG_ELF_LIBC6 | FLAG_X8664_LIB64`.
const X86_64_LIBC6: u32 = 0x0303;

/// First path of each library name, for plain x86-64 (no glibc-hwcaps variants).
#[derive(Debug, Default)]
pub struct LdCache {
    paths: HashMap<Vec<u8>, PathBuf>,
}

impl LdCache {
    /// The host's; empty when it has none or none of this format.
    pub fn of_host() -> LdCache {
        std::fs::read(PATH).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default()
    }

    /// Where the library `name` is.
    pub fn get(&self, name: &str) -> Option<&Path> {
        self.paths.get(name.as_bytes()).map(PathBuf::as_path)
    }
}

fn parse(bytes: &[u8]) -> Option<LdCache> {
    let bytes = if bytes.starts_with(OLD_MAGIC) {
        let count = word(bytes, 12)? as usize;
        let old_len = 16usize.checked_add(count.checked_mul(12)?)?;
        bytes.get(old_len.next_multiple_of(8)..)?
    } else {
        bytes
    };
    if !bytes.starts_with(NEW_MAGIC) {
        return None;
    }
    let mut cache = LdCache::default();
    for index in 0..word(bytes, 20)? as usize {
        let entry = bytes.get(HEADER_LEN + index * ENTRY_LEN..)?.get(..ENTRY_LEN)?;
        let is_plain = entry[16..24].iter().all(|&byte| byte == 0);
        if word(entry, 0)? == X86_64_LIBC6 && is_plain {
            let name = text(bytes, word(entry, 4)?)?;
            let path = text(bytes, word(entry, 8)?)?;
            let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
            cache.paths.entry(name.to_vec()).or_insert(path);
        }
    }
    Some(cache)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
}

fn text(bytes: &[u8], at: u32) -> Option<&[u8]> {
    bytes.get(at as usize..)?.split(|&byte| byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hosts_index_knows_libc() {
        let path = LdCache::of_host().get("libc.so.6").map(Path::to_path_buf);
        assert!(path.is_some_and(|path| path.exists()));
    }

    proptest! {
        #[test]
        fn a_damaged_index_is_no_index(cut in 0usize..2000, flips in proptest::collection::vec((0usize..2000, any::<u8>()), 0..9)) {
            let Ok(mut bytes) = std::fs::read(PATH) else { return Ok(()) };
            bytes.truncate(cut.max(60));
            for (at, value) in flips {
                if let Some(byte) = bytes.get_mut(at) { *byte = value }
            }
            let _ = parse(&bytes);
        }
    }
}
