//! The virtual shared object (vdso(7)): clock reads without a system call. HotSpot's nanoTime and currentTimeMillis
//! come here more than a million times a second.
//!
//! * `image.s`: the object itself, one page.
//! * [`data`]: the page before it, with the clock's parameters, rewritten when they change.
//!
//! Both pages exist once and are mapped into every process: [`map`].

mod data;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::sync::Arc;
use core::slice;
use data::Data;
use hal::addr::PAGE_SIZE;
use hal::sync::{Once, SpinLock};
use mm::{Backing, BackingError, FrameRef, MapError, MapRequest, Placement, Protection, Sharing};

core::arch::global_asm!(include_str!("image.s"), options(att_syntax));

unsafe extern "C" {
    static vdso_image_start: u8;
    static vdso_image_end: u8;
}

/// The object's bytes.
pub fn image() -> &'static [u8] {
    let start = &raw const vdso_image_start;
    let len = &raw const vdso_image_end as usize - start as usize;
    // SAFETY: `image.s` puts the bytes between the two symbols.
    unsafe { slice::from_raw_parts(start, len) }
}

/// The two pages, as an object that can be mapped: page 0 the data, page 1 the image.
struct Pages {
    data: FrameRef,
    image: FrameRef,
}

static PAGES: Once<Arc<Pages>> = Once::new();
/// One writer of the data page at a time.
static WRITER: SpinLock<()> = SpinLock::new(());

/// Makes the two pages and keeps the data page up to date from now on. Called once; without memory for two pages the
/// application does without and makes system calls.
pub fn init() {
    let (Some(data), Some(image_frame)) = (mm::frame::alloc_zeroed(), mm::frame::alloc_zeroed()) else { return };
    let bytes = image();
    debug_assert!(bytes.len() <= PAGE_SIZE as usize, "the image outgrew its page");
    // SAFETY: the frame is ours and a page long, the image is at most that.
    unsafe { image_frame.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    let pages = Pages { data: data.into_shared(), image: image_frame.into_shared() };
    PAGES.call_once(|| Arc::new(pages));
    refresh();
    hal::clock::on_change(refresh);
}

/// The clock's parameters changed.
fn refresh() {
    let Some(pages) = PAGES.get() else { return };
    let _one_writer = WRITER.lock();
    // SAFETY: the frame lives as long as PAGES; its content is `Data`, whose zero bytes are valid, and atomic.
    let data = unsafe { &*pages.data.as_ptr().cast::<Data>() };
    data.write(&hal::clock::tsc_params());
}

/// Maps the vDSO into the process that is being built; returns the address for AT_SYSINFO_EHDR.
pub fn map() -> Result<u64, MapError> {
    let pages: Arc<dyn Backing> = PAGES.get().ok_or(MapError::NoMemory)?.clone();
    let request = |offset, len, prot| MapRequest::object(pages.clone(), offset, len, prot, Sharing::Shared);
    let space = mm::space();
    let start = space.map(&request(0, 2 * PAGE_SIZE, Protection::READ).named("[vvar]"))?;
    let text = request(PAGE_SIZE, PAGE_SIZE, Protection::READ | Protection::EXEC);
    space.map(&text.at(Placement::Fixed(start + PAGE_SIZE)).named("[vdso]"))
}

impl Backing for Pages {
    fn id(&self) -> u64 {
        // Files count from 1 up, anonymous objects from 2^63.
        u64::MAX
    }
    fn size(&self) -> u64 {
        2 * PAGE_SIZE
    }
    fn fault_page(&self, index: u64, _write: bool) -> Result<FrameRef, BackingError> {
        self.peek_page(index).ok_or(BackingError::BeyondEnd)
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        match index {
            0 => Some(self.data.clone()),
            1 => Some(self.image.clone()),
            _ => None,
        }
    }
    fn dev_ino(&self) -> (u64, u64) {
        (0, 0)
    }
    fn path(&self) -> String {
        String::new()
    }
    fn writable_shared(&self) -> bool {
        false
    }
}
