//! The shoot-down under loom: `cargo test -p mm --release --features loom models`. Translation caches are data of each vCPU; a
//! frame is one of loom's cells, which fails when it is used on one vCPU and given away on another without an order between.

use super::{Flush, enter_idle, flush, leave_idle, serve};
use hal::addr::VirtAddr;
use hal::irq::{Ipi, IrqGuard};
use hal::model::{self, Hardware};
use hal::sync::atomic::{AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::thread;
use std::cell::Cell;
use std::sync::Arc;

const PAGE: u64 = 0x5000;

loom::thread_local! {
    /// This vCPU's translation of the page: the entry that it was made from, 0 for none.
    static CACHED: Cell<u64> = Cell::new(0);
}

fn hardware(cpus: usize) -> Option<Hardware> {
    let interrupt = |kind| {
        if kind == Ipi::TlbFlush {
            serve()
        }
    };
    let flush = |page: Option<VirtAddr>| {
        if page.is_none_or(|page| page.0 == PAGE) {
            CACHED.with(|cached| cached.set(0));
        }
    };
    Some(Hardware { cpus, interrupt, flush })
}

fn check(name: &str, cpus: usize, preemptions: usize, execution: impl Fn() + Send + Sync + 'static) {
    let executions = model::check(preemptions, hardware(cpus), execution);
    println!("{name}: {executions} executions");
    assert!(executions > 5, "the vCPUs of this model do not meet");
}

/// A page-table entry and the frame behind it.
struct Page {
    entry: AtomicU64,
    frame: UnsafeCell<u32>,
}

// SAFETY: loom's cell finds out whether it is.
unsafe impl Sync for Page {}
// SAFETY: as above.
unsafe impl Send for Page {}

impl Page {
    fn mapped() -> Arc<Page> {
        Arc::new(Page { entry: AtomicU64::new(1), frame: UnsafeCell::new(0) })
    }

    /// One access of the application, as the processor does it; interrupts come before and after.
    fn access(&self) {
        model::take_interrupts();
        CACHED.with(|cached| {
            if cached.get() == 0 {
                // A walk reads the entry like any load.
                cached.set(self.entry.load(Ordering::Acquire));
            }
            if cached.get() != 0 {
                // SAFETY: the model's question.
                let contents = self.frame.with(|frame| unsafe { frame.read() });
                assert_eq!(contents, 0, "a frame was used after it was freed");
            }
        });
        model::take_interrupts();
    }

    /// munmap: the entry goes, translations go, somebody else gets the frame.
    fn unmap(&self, flush: impl FnOnce(Flush)) {
        if self.entry.swap(0, Ordering::AcqRel) != 0 {
            flush(Flush::page(PAGE));
            // SAFETY: the model's question.
            self.frame.with_mut(|frame| unsafe { *frame = 1 });
        }
    }
}

/// This vCPU halts.
fn idle() {
    let irq = IrqGuard::mask();
    enter_idle();
    drop(irq);
}

fn cpu(number: usize, body: impl FnOnce() + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        model::become_cpu(number);
        body();
        idle();
        model::retire();
    })
}

/// It goes on.
fn resume() {
    let _irq = IrqGuard::mask();
    leave_idle();
}

#[test]
fn no_cpu_uses_a_frame_after_it_was_freed() {
    check("two vCPUs, one unmaps", 2, 2, || {
        let page = Page::mapped();
        let other = page.clone();
        let user = cpu(1, move || {
            other.access();
            other.access();
        });
        model::become_cpu(0);
        page.access();
        page.unmap(flush);
        page.access();
        idle();
        model::retire();
        user.join().unwrap();
    });
}

/// A vCPU that goes idle and comes back is not interrupted, but finds the mark.
#[test]
fn an_idle_cpu_drops_its_translations_before_it_runs_again() {
    check("two vCPUs, one idles", 2, 2, || {
        let page = Page::mapped();
        let other = page.clone();
        let user = cpu(1, move || {
            other.access();
            idle();
            resume();
            other.access();
        });
        model::become_cpu(0);
        page.unmap(flush);
        idle();
        model::retire();
        user.join().unwrap();
    });
}

/// Each waits for the other, and serves it meanwhile.
#[test]
fn two_initiators_do_not_wait_for_each_other_for_ever() {
    check("two vCPUs unmap", 2, 2, || {
        let pages = [Page::mapped(), Page::mapped()];
        let others = pages.clone();
        let other = cpu(1, move || {
            others[0].access();
            others[1].unmap(flush);
        });
        model::become_cpu(0);
        pages[0].unmap(flush);
        idle();
        model::retire();
        other.join().unwrap();
    });
}

#[test]
fn three_cpus_two_initiators() {
    check("three vCPUs, two unmap", 3, 1, || {
        let pages = [Page::mapped(), Page::mapped()];
        let (user_pages, other_pages) = (pages.clone(), pages.clone());
        let user = cpu(2, move || user_pages[0].access());
        let other = cpu(1, move || other_pages[1].unmap(flush));
        model::become_cpu(0);
        pages[0].unmap(flush);
        idle();
        model::retire();
        user.join().unwrap();
        other.join().unwrap();
    });
}

/// The models can fail: who drops only its own translations frees what others still use.
#[test]
fn a_flush_of_ones_own_is_not_enough() {
    const MARK: &str = "MODEL_IS_WRONG";
    if std::env::var_os(MARK).is_some() {
        check("wrong on purpose", 2, 2, || {
            let page = Page::mapped();
            let other = page.clone();
            let user = cpu(1, move || {
                other.access();
                other.access();
            });
            model::become_cpu(0);
            page.unmap(|flush| flush.here());
            idle();
            model::retire();
            user.join().unwrap();
        });
        return;
    }
    let itself = std::env::current_exe().expect("a test has a file");
    let test = concat!("space::shootdown::models::", "a_flush_of_ones_own_is_not_enough");
    let output = std::process::Command::new(itself).args(["--exact", test, "--nocapture"]).env(MARK, "1").output();
    let output = output.expect("a test can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("UnsafeCell"), "the wrong model did not fail:\n{text}");
}
