//! Mounting: checks first, then the journal, then what a crash left half deleted.

use crate::allocator::Pending;
use crate::attributes::Time;
use crate::buffers::Buffers;
use crate::groups::{Geometry, read_groups};
use crate::inodes::ROOT;
use crate::journal::{self, Journal};
use crate::layout::features::{Set, name_of};
use crate::layout::superblock::{OFFSET, SIZE};
use crate::layout::{Compatible, Incompatible, ReadOnlyCompatible, Superblock};
use crate::volume::{Options, Volume};
use crate::{Device, Error, Kind, MountError};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

type Mounted<T> = core::result::Result<T, MountError>;

/// Error 0 of the journal's superblock means none; Linux leaves a negative errno there.
fn refuse<T>(text: impl Into<String>) -> Mounted<T> {
    Err(MountError(text.into()))
}

fn failed(what: &str) -> impl Fn(Error) -> MountError + '_ {
    move |error| {
        MountError(match error {
            Error::Io => format!("{what}: the device failed (EIO)"),
            Error::Corrupt(found) => format!("{what}: {found} is wrong: run e2fsck on the image"),
            other => format!("{what}: {other:?}"),
        })
    }
}

impl Volume {
    /// Mounts the volume on a device.
    ///
    /// What a crash left in the journal is brought home (with `read_only`: just seen through), and files that were
    /// deleted while open are finished off. Errors: a sentence that says what the device holds instead, which feature
    /// is not known, or what is damaged; nothing was written then, unless by a replay that had to be repeated anyway.
    pub fn mount(device: Arc<dyn Device>, options: Options, now: Time) -> Mounted<Volume> {
        let superblock = read_superblock(&device)?;
        check_features(&superblock, options)?;
        let geometry = Geometry::of(&superblock, device.size())?;
        if let Some(wanted) = options.block_size.filter(|wanted| *wanted != geometry.block_size()) {
            let size = geometry.block_size();
            return refuse(format!(
                "its blocks have {size} bytes, only {wanted} are supported: make it with mkfs.ext4 -b {wanted}"
            ));
        }
        let mut volume = Volume {
            buffers: Buffers::new(device, geometry.block_size()),
            checked_bitmaps: vec![(false, false); geometry.groups as usize],
            geometry,
            superblock,
            logged_orphan: 0,
            groups: Vec::new(),
            changed_groups: alloc::collections::BTreeMap::new(),
            free_blocks: 0,
            free_inodes: 0,
            pending: Pending::default(),
            orphans: Vec::new(),
            journal: None,
            given_up: None,
            generation: now.nanoseconds ^ now.seconds as u32,
        };
        read_groups(&mut volume)?;
        volume.logged_orphan = volume.superblock.last_orphan();
        volume.open_journal(options, now)?;
        let root = volume.attributes(ROOT).map_err(failed("the top directory"))?;
        if root.kind != Kind::Directory {
            return refuse("the top directory is none: run e2fsck on the image");
        }
        if !volume.is_read_only() {
            volume.finish_orphans(now).map_err(failed("finishing what was deleted before a crash"))?;
        }
        Ok(volume)
    }

    fn open_journal(&mut self, options: Options, now: Time) -> Mounted<()> {
        if !self.superblock.compatible().contains(Compatible::HAS_JOURNAL) {
            if options.read_only {
                return Ok(());
            }
            return refuse(
                "it has no journal, so it would not survive a power cut: add one with tune2fs -j, or mount it :ro",
            );
        }
        let (layout, mut superblock) = self.find_journal()?;
        if superblock.error() != 0 {
            log::warn!("ext4: an earlier mount ended with error {}", superblock.error());
        }
        let needs_recovery = self.superblock.incompatible().contains(Incompatible::RECOVER);
        let found = journal::replay(&layout, &superblock).map_err(failed("replaying the journal"))?;
        if found.transactions > 0 && !needs_recovery {
            return refuse(
                "its journal holds changes, but its superblock says that there are none: run e2fsck on the image",
            );
        }
        let last = self.geometry.blocks;
        if found.blocks.keys().any(|block| *block >= last) {
            return refuse("its journal holds blocks beyond the volume: run e2fsck on the image");
        }
        let replayed = found.transactions;
        for (block, data) in found.blocks {
            self.buffers.put_committed(block, data);
        }
        if replayed > 0 {
            log::info!("ext4: replayed {replayed} transactions");
            self.read_again()?;
        }
        if options.read_only {
            return Ok(());
        }
        // The mark first: who finds a log in use must also find that it counts.
        self.superblock.set_needs_recovery(true);
        self.superblock.note_mount(now.seconds as u32);
        let mut features = superblock.features() | journal::Features::REVOKE;
        features.set(journal::Features::BITS_64, self.superblock.incompatible().contains(Incompatible::BITS_64));
        features.remove(journal::Features::CHECKSUM_2 | journal::Features::ASYNC_COMMIT);
        features.set(journal::Features::CHECKSUM_3, self.geometry.checksums);
        superblock.set_features(features);
        let head = layout.first;
        let mut journal = Journal { layout, superblock, head, sequence: found.next_sequence, tail: head };
        if replayed > 0 {
            // Home first, by the log as it is: a second power cut finds it unchanged.
            journal.write_home(self.buffers.committed()).map_err(failed("replaying the journal"))?;
            let written = self.buffers.committed();
            self.buffers.clear_committed(&written);
        }
        self.write_superblock().map_err(failed("marking the volume as mounted"))?;
        journal.checkpoint(Vec::new()).write().map_err(failed("starting the journal"))?;
        self.journal = Some(journal);
        Ok(())
    }

    /// The superblock and the groups as a replay has left them.
    fn read_again(&mut self) -> Mounted<()> {
        self.buffers.invalidate();
        let first = self.geometry.first_data_block;
        let at = if first == 0 { OFFSET as usize } else { 0 };
        let block = self.buffers.get(first, crate::buffers::Seal::None).map_err(failed("the superblock"))?;
        let mut raw = Box::new([0; SIZE]);
        raw.copy_from_slice(&block[at..at + SIZE]);
        let Some(superblock) = Superblock::parse(raw) else {
            return refuse("the superblock in its journal is none: run e2fsck on the image");
        };
        self.superblock = superblock;
        self.logged_orphan = self.superblock.last_orphan();
        self.groups.clear();
        (self.free_blocks, self.free_inodes) = (0, 0);
        read_groups(self)
    }

    /// Where the journal's blocks are, and its superblock.
    fn find_journal(&mut self) -> Mounted<(Arc<journal::Layout>, journal::JournalSuperblock)> {
        let number = self.superblock.journal_inode();
        let inode = self.read_inode(number).map_err(failed("the journal's inode"))?;
        let shift = self.geometry.block_shift;
        let length = u32::try_from(inode.size() >> shift).unwrap_or(u32::MAX);
        let mut runs = Vec::new();
        let mut logical = 0;
        while logical < length {
            let mapping = self.map_inode(&inode, logical, length - logical).map_err(failed("the journal's inode"))?;
            let Some(block) = mapping.block else { return refuse("its journal has a hole: run e2fsck on the image") };
            runs.push(journal::Run { logical, block, count: mapping.length });
            logical += mapping.length;
        }
        let mut layout = journal::Layout {
            device: Arc::clone(self.buffers.device()),
            block_size: self.geometry.block_size(),
            first: 0,
            length,
            runs,
        };
        let first = layout.read(0).map_err(failed("the journal's superblock"))?;
        let superblock = journal::JournalSuperblock::parse(&first, layout.block_size)?;
        if superblock.length() > length || superblock.length() - superblock.first() < 256 {
            return refuse("its journal is shorter than it says, or has less than 256 blocks: run e2fsck on the image");
        }
        (layout.first, layout.length) = (superblock.first(), superblock.length());
        Ok((Arc::new(layout), superblock))
    }
}

fn read_superblock(device: &Arc<dyn Device>) -> Mounted<Superblock> {
    if device.size() < OFFSET + SIZE as u64 {
        return refuse(format!("{} bytes are too few for ext4", device.size()));
    }
    let mut raw = Box::new([0; SIZE]);
    device.read(OFFSET, &mut raw[..]).map_err(|_| MountError("its superblock cannot be read (EIO)".to_string()))?;
    if let Some(superblock) = Superblock::parse(raw) {
        if !superblock.is_intact() {
            return refuse("the checksum of its superblock is wrong: run e2fsck on the image");
        }
        return Ok(superblock);
    }
    let mut start = [0; 512];
    let _ = device.read(0, &mut start);
    let mut raw = [0; SIZE];
    let _ = device.read(OFFSET, &mut raw);
    refuse(match () {
        () if start.iter().chain(&raw).all(|byte| *byte == 0) => "it is empty: format it with mkfs.ext4",
        () if start.starts_with(b"XFSB") => "it holds XFS, not ext4",
        () if raw.starts_with(&0xe0f5_e1e2_u32.to_le_bytes()) => "it holds EROFS, not ext4",
        () if start.starts_with(b"QFI\xfb") => "it is a qcow2 file: convert it with qemu-img convert -O raw",
        () if start[510..] == [0x55, 0xaa] => {
            "it begins with a partition table: give the partition as an image of its own"
        }
        () => "it holds no ext4 (no magic number)",
    })
}

fn check_features(superblock: &Superblock, options: Options) -> Mounted<()> {
    let name = |set, bits: u32| {
        let bit = 1 << bits.trailing_zeros();
        name_of(set, bit).map_or_else(|| format!("{bit:#x}"), ToString::to_string)
    };
    let unknown = superblock.incompatible().difference(Incompatible::KNOWN);
    if !unknown.is_empty() {
        let name = name(Set::Incompatible, unknown.bits());
        return refuse(format!(
            "it uses the feature {name}, which is not supported: make it with mkfs.ext4 -O ^{name}"
        ));
    }
    if !superblock.incompatible().contains(Incompatible::NEEDED) {
        return refuse(
            "it has no extents or no file types (ext2 or ext3): convert it with tune2fs -O extents,filetype",
        );
    }
    let unknown = superblock.read_only_compatible().difference(ReadOnlyCompatible::KNOWN);
    if !unknown.is_empty() && !options.read_only {
        let name = name(Set::ReadOnlyCompatible, unknown.bits());
        return refuse(format!("it uses the feature {name}, which can only be read: mount it with :ro"));
    }
    if superblock.compatible().contains(Compatible::FAST_COMMIT) {
        return refuse("it uses the feature fast_commit, which is not supported: tune2fs -O ^fast_commit");
    }
    Ok(())
}
