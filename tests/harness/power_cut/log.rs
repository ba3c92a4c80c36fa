//! What QEMU's block driver `blklogwrites` writes: the format of Linux's dm-log-writes
//! (Documentation/admin-guide/device-mapper/log-writes.rst), little-endian, in sectors of 512 bytes. A superblock, then
//! for each write or flush one sector with its header, then its data.

use anyhow::{Result, ensure};

/// Sector size that QEMU is told to log with.
pub const SECTOR: usize = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLAG_FLUSH: u64 = 1;
const FLAG_FUA: u64 = 2;
const FLAG_DISCARD: u64 = 4;

/// One entry of the log.
#[derive(Debug)]
pub struct Entry {
    /// Where its data goes on the disk, in bytes.
    pub offset: usize,
    /// Where its data lies in the log.
    pub data: std::ops::Range<usize>,
    /// Bytes that were discarded there; there is no data then.
    pub discarded: usize,
    /// Everything that had ended before it is safe.
    pub is_flush: bool,
}

/// The entries of `log`, in order.
pub fn parse(log: &[u8]) -> Result<Vec<Entry>> {
    let word = |at: usize| log.get(at..at + 8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    ensure!(word(0) == Some(MAGIC) && word(8) == Some(1), "this is no log of blklogwrites");
    let mut entries = Vec::new();
    let mut at = SECTOR;
    while let (Some(sector), Some(sectors), Some(flags)) = (word(at), word(at + 8), word(at + 16)) {
        // An entry that QEMU had not written when it ended: a hole.
        if sectors == 0 && flags == 0 {
            break;
        }
        ensure!(flags & FLAG_FUA == 0, "entry {}: flags {flags} are not expected", entries.len());
        let bytes = sectors as usize * SECTOR;
        let (length, discarded) = if flags & FLAG_DISCARD == 0 { (bytes, 0) } else { (0, bytes) };
        let data = at + SECTOR..at + SECTOR + length;
        if data.end > log.len() {
            break;
        }
        at = data.end;
        let is_flush = flags & FLAG_FLUSH != 0;
        entries.push(Entry { offset: sector as usize * SECTOR, data, discarded, is_flush });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_flushes_and_discards_are_read_and_a_cut_end_is_left_out() {
        let mut log = vec![0; SECTOR];
        log[..8].copy_from_slice(&MAGIC.to_le_bytes());
        log[8] = 1;
        for (sector, sectors, flags) in [(7u64, 2u64, 0u64), (0, 0, FLAG_FLUSH), (8, 100, FLAG_DISCARD), (9, 4, 0)] {
            let mut header = vec![0; SECTOR];
            for (i, value) in [sector, sectors, flags].into_iter().enumerate() {
                header[i * 8..i * 8 + 8].copy_from_slice(&value.to_le_bytes());
            }
            log.extend(header);
            let data = if flags == FLAG_DISCARD { 0 } else { sectors as usize };
            log.resize(log.len() + data * SECTOR, 1);
        }
        log.truncate(log.len() - 1);
        let entries = parse(&log).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!((entries[0].offset, entries[0].data.clone(), entries[0].is_flush), (3584, 1024..2048, false));
        assert!(entries[1].is_flush && entries[1].data.is_empty());
        assert_eq!((entries[2].offset, entries[2].data.len(), entries[2].discarded), (4096, 0, 51_200));
        assert!(parse(&[0; 4096]).is_err());
    }
}
