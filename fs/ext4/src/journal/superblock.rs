//! `journal_superblock_t`: block 0 of the journal.

use super::format::MAGIC;
use crate::MountError;
use crate::bytes::{be32_at, put_be32};
use crate::checksum::crc32c;
use alloc::boxed::Box;
use alloc::format;
use bitflags::bitflags;

bitflags! {
    /// `s_feature_incompat`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Features: u32 {
        const REVOKE = 1;
        const BITS_64 = 2;
        const ASYNC_COMMIT = 4;
        const CHECKSUM_2 = 8;
        const CHECKSUM_3 = 16;
        const _ = !0;
    }
}

impl Features {
    /// Whether blocks and tags carry checksums.
    pub fn has_checksums(self) -> bool {
        self.intersects(Self::CHECKSUM_2.union(Self::CHECKSUM_3))
    }
}

const SIZE: usize = 1024;
const CHECKSUM: usize = 0xfc;

/// The journal's superblock.
#[derive(Clone)]
pub struct JournalSuperblock {
    raw: Box<[u8]>,
}

impl JournalSuperblock {
    /// Of the journal's first block.
    pub fn parse(block: &[u8], volume_block_size: usize) -> Result<Self, MountError> {
        let raw: Box<[u8]> = Box::from(&block[..SIZE]);
        let refuse = |what: &str| Err(MountError(format!("the journal cannot be used: {what}")));
        if be32_at(&raw, 0) != MAGIC || be32_at(&raw, 4) != 4 {
            return refuse("block 0 is no version-2 journal superblock");
        }
        let superblock = Self { raw };
        if be32_at(&superblock.raw, 0xc) as usize != volume_block_size {
            return refuse("its block size is not the volume's");
        }
        let unknown = superblock.features().difference(
            Features::REVOKE | Features::BITS_64 | Features::ASYNC_COMMIT | Features::CHECKSUM_2 | Features::CHECKSUM_3,
        );
        if !unknown.is_empty() {
            return refuse(&format!("unknown features {:#x} (fast_commit is 0x20)", unknown.bits()));
        }
        if superblock.features().has_checksums() && be32_at(&superblock.raw, CHECKSUM) != superblock.checksum() {
            return refuse("the checksum of its superblock is wrong");
        }
        if superblock.first() == 0
            || superblock.first() >= superblock.length()
            || superblock.start() >= superblock.length()
        {
            return refuse("its superblock names blocks beyond its end");
        }
        Ok(superblock)
    }

    fn checksum(&self) -> u32 {
        crc32c(crc32c(crc32c(!0, &self.raw[..CHECKSUM]), &[0; 4]), &self.raw[CHECKSUM + 4..])
    }

    pub fn features(&self) -> Features {
        Features::from_bits_retain(be32_at(&self.raw, 0x28))
    }

    pub fn set_features(&mut self, features: Features) {
        put_be32(&mut self.raw, 0x28, features.bits());
        if features.has_checksums() {
            // JBD2_CRC32C_CHKSUM
            self.raw[0x50] = 4;
            // The older checksum of whole transactions (compatible feature 1) excludes the newer ones.
            let compatible = be32_at(&self.raw, 0x24) & !1;
            put_be32(&mut self.raw, 0x24, compatible);
        }
    }

    /// Blocks in the journal, this one included.
    pub fn length(&self) -> u32 {
        be32_at(&self.raw, 0x10)
    }

    /// First block of the ring.
    pub fn first(&self) -> u32 {
        be32_at(&self.raw, 0x14)
    }

    /// Number of the first transaction to look for.
    pub fn sequence(&self) -> u32 {
        be32_at(&self.raw, 0x18)
    }

    /// Where it begins; 0: there is none.
    pub fn start(&self) -> u32 {
        be32_at(&self.raw, 0x1c)
    }

    /// Error number left by an earlier mount.
    pub fn error(&self) -> u32 {
        be32_at(&self.raw, 0x20)
    }

    pub fn set_beginning(&mut self, start: u32, sequence: u32) {
        put_be32(&mut self.raw, 0x18, sequence);
        put_be32(&mut self.raw, 0x1c, start);
    }

    /// What the log's checksums start from.
    pub fn seed(&self) -> u32 {
        crc32c(!0, &self.raw[0x30..0x40])
    }

    pub fn uuid(&self) -> &[u8] {
        &self.raw[0x30..0x40]
    }

    /// Its 1024 bytes, sealed.
    pub fn sealed(&mut self) -> &[u8] {
        if self.features().has_checksums() {
            let sum = self.checksum();
            put_be32(&mut self.raw, CHECKSUM, sum);
        }
        &self.raw
    }
}
