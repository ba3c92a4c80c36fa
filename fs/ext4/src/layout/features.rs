//! The feature sets of a superblock, and which of them this code takes.

use bitflags::bitflags;

bitflags! {
    /// `s_feature_compat`: may be ignored by who does not know them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Compatible: u32 {
        const HAS_JOURNAL = 0x4;
        const EXT_ATTR = 0x8;
        const RESIZE_INODE = 0x10;
        const DIR_INDEX = 0x20;
        const SPARSE_SUPER2 = 0x200;
        const FAST_COMMIT = 0x400;
    }

    /// `s_feature_incompat`: who does not know one must not mount.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Incompatible: u32 {
        const FILETYPE = 0x2;
        const RECOVER = 0x4;
        const EXTENTS = 0x40;
        const BITS_64 = 0x80;
        const FLEX_BG = 0x200;
        const CHECKSUM_SEED = 0x2000;
        const _ = !0;
    }

    /// `s_feature_ro_compat`: who does not know one must not write.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ReadOnlyCompatible: u32 {
        const SPARSE_SUPER = 0x1;
        const LARGE_FILE = 0x2;
        const HUGE_FILE = 0x8;
        const GDT_CHECKSUM = 0x10;
        const DIR_NLINK = 0x20;
        const EXTRA_ISIZE = 0x40;
        const METADATA_CHECKSUM = 0x400;
        const _ = !0;
    }
}

impl Incompatible {
    /// What can be mounted.
    pub const KNOWN: Self = Self::FILETYPE
        .union(Self::RECOVER)
        .union(Self::EXTENTS)
        .union(Self::BITS_64)
        .union(Self::FLEX_BG)
        .union(Self::CHECKSUM_SEED);
    /// Without which it cannot.
    pub const NEEDED: Self = Self::FILETYPE.union(Self::EXTENTS);
}

impl ReadOnlyCompatible {
    /// What can be written.
    pub const KNOWN: Self = Self::SPARSE_SUPER
        .union(Self::LARGE_FILE)
        .union(Self::HUGE_FILE)
        .union(Self::GDT_CHECKSUM)
        .union(Self::DIR_NLINK)
        .union(Self::EXTRA_ISIZE)
        .union(Self::METADATA_CHECKSUM);
}

/// Names of the features in a set, for messages: as mke2fs(8) calls them, or the bit.
pub fn name_of(set: Set, bit: u32) -> Option<&'static str> {
    let names: &[(u32, &str)] = match set {
        Set::Incompatible => &[
            (0x1, "compression"),
            (0x8, "journal_dev"),
            (0x10, "meta_bg"),
            (0x100, "mmp"),
            (0x400, "ea_inode"),
            (0x1000, "dirdata"),
            (0x4000, "large_dir"),
            (0x8000, "inline_data"),
            (0x10000, "encrypt"),
            (0x20000, "casefold"),
        ],
        Set::ReadOnlyCompatible => &[
            (0x4, "btree_dir"),
            (0x100, "quota"),
            (0x200, "bigalloc"),
            (0x1000, "read-only"),
            (0x2000, "project"),
            (0x4000, "shared_blocks"),
            (0x8000, "verity"),
            (0x10000, "orphan_present"),
        ],
    };
    names.iter().find(|(known, _)| *known == bit).map(|(_, name)| *name)
}

/// Which set a bit is of.
#[derive(Clone, Copy)]
pub enum Set {
    /// `s_feature_incompat`.
    Incompatible,
    /// `s_feature_ro_compat`.
    ReadOnlyCompatible,
}
