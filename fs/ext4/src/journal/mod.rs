//! The journal, JBD2: a ring of blocks in an inode of the volume.
//!
//! While a volume is mounted for writing, the superblock of the journal always names the place and the number of the
//! next transaction whose copies are not at home yet; when all are, that is the place where the next one will begin,
//! and a replay finds nothing there. [`Commit`] appends, [`Checkpoint`] writes home and moves the beginning.

mod checkpoint;
mod commit;
mod format;
mod log;
mod replay;
mod superblock;

pub use checkpoint::Checkpoint;
pub use commit::Commit;
pub use log::{Journal, Layout, Run};
pub use replay::replay;
pub use superblock::{Features, JournalSuperblock};
