//! A stand-in machine on top of std, so that the crates above are tested by `cargo test`: one vCPU that any number of
//! std threads share, physical memory in an arena, time from the host.
//!
//! What it cannot do (interrupts, context switches, page faults) does nothing or panics; the tests of those run in a
//! guest. "Application memory" is the test's own memory, with the first 64 KiB as the only bad pointers.

mod memory;
mod time;
mod vcpu;

pub use memory::*;
pub use time::*;
pub use vcpu::*;

use crate::context::WorkFlags;
use crate::cpu::CpuFeatures;
use crate::irq::{MsiMessage, Trigger, Vector};
use crate::stack::KernelStack;
use crate::trap::TrapFrame;
use std::cell::Cell;

#[cfg(not(feature = "loom"))]
std::thread_local! {
    static CURRENT: Cell<*const ()> = const { Cell::new(core::ptr::null()) };
}
#[cfg(feature = "loom")]
loom::thread_local! {
    static CURRENT: Cell<*const ()> = Cell::new(core::ptr::null());
}

std::thread_local! {
    static FS_BASE: Cell<u64> = const { Cell::new(0) };
}

pub fn features() -> &'static CpuFeatures {
    static FEATURES: crate::sync::Once<CpuFeatures> = crate::sync::Once::new();
    FEATURES.call_once(|| CpuFeatures { xcr0: 7, xsave_size: 832, ..CpuFeatures::default() })
}

pub fn irq_allocate(_name: &'static str, _handler: fn(usize), _arg: usize) -> Option<Vector> {
    Some(Vector(64))
}
pub fn msi_message(vector: Vector, _cpu: usize) -> MsiMessage {
    MsiMessage { address: 0xfee0_0000, data: vector.0.into() }
}
pub fn route_gsi(_gsi: u32, _vector: Vector, _trigger: Trigger) -> bool {
    true
}
pub fn irq_counts() -> Vec<(&'static str, u64)> {
    Vec::new()
}

/// A suspended thread; the host backend suspends none.
#[derive(Debug, Default)]
pub struct Context {
    /// FS base of the thread.
    pub fs_base: u64,
}

impl Context {
    /// A context that would start `entry(arg)`.
    pub fn new(_stack: KernelStack, _entry: extern "C" fn(usize) -> !, _arg: usize, _app: bool) -> Option<Self> {
        Some(Self::default())
    }
    /// Nothing to copy.
    pub fn copy_fpu_from_current(&mut self) {}
    /// The stack below what the context keeps at its top.
    pub fn usable_stack(&self, stack: KernelStack) -> KernelStack {
        stack
    }
}

/// # Safety
/// As `context::set_current`.
pub unsafe fn set_current(thread: *const (), _flags: *const WorkFlags, _stack: KernelStack) {
    CURRENT.with(|current| current.set(thread));
}
pub fn current_thread() -> *const () {
    CURRENT.with(Cell::get)
}
/// What threads do in a model lies in their steps, not on stacks: the vCPU goes on with those of the current one.
///
/// # Safety
/// Called in models only: elsewhere `sched` parks std threads instead.
pub unsafe fn switch(_prev: *mut Context, _next: *mut Context) {
    #[cfg(not(feature = "loom"))]
    unreachable!("the host backend parks std threads instead of switching contexts")
}
/// No stack of its own.
pub fn boot_stack() -> KernelStack {
    KernelStack { lo: 0, hi: 0 }
}
pub fn fs_base() -> u64 {
    FS_BASE.get()
}
pub fn set_fs_base(base: u64) {
    FS_BASE.set(base);
}
/// std's threads have stacks of their own size.
pub fn stack_room() -> u64 {
    u64::MAX
}
pub fn is_app_stack_pointer(rsp: u64) -> bool {
    rsp < crate::addr::USER_END
}
/// # Safety
/// Never called on the host.
pub unsafe fn enter_app(_frame: &TrapFrame) -> ! {
    unreachable!("there is no application on the host backend")
}

pub fn serial_write(bytes: &[u8]) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(bytes);
}
pub fn power_off(status: u8) -> ! {
    std::process::exit(status.into())
}
pub fn report_stuck(cpu: usize) -> ! {
    panic!("vCPU {cpu} is stuck")
}
pub fn panic_stop() -> ! {
    std::process::abort()
}

macro_rules! no_ports {
    ($($read:ident $write:ident $ty:ty),*) => {$(
        /// # Safety
        /// Always safe: there are no ports; reads give all ones as on a PC.
        pub unsafe fn $read(_port: u16) -> $ty { <$ty>::MAX }
        /// # Safety
        /// Always safe: there are no ports.
        pub unsafe fn $write(_port: u16, _value: $ty) {}
    )*};
}
no_ports!(inb outb u8, inw outw u16, inl outl u32);

pub fn hardware_seed() -> [u8; 32] {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut seed = [0; 32];
    for piece in seed.chunks_mut(8) {
        piece.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
    }
    seed
}
