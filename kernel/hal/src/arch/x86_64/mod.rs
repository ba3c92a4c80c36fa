//! A real x86-64 machine. `boot.s` and `boot` bring it up, `trap.s` and `trap` are the ways in and out of the kernel.

mod apic;
mod boot;
mod calibrate;
mod clock;
mod context;
mod cpu_local;
mod cpuid;
mod ioapic;
mod irq;
mod mem;
mod paging;
mod pio;
mod power;
mod rtc;
mod seed;
mod serial;
pub mod smp;
mod trap;
mod user;

pub use apic::{report_stuck, send_ipi, stop_others};
pub use calibrate::refine as refine_clock;
pub use clock::{now_ns, on_clock_change, read_tsc, set_deadline, set_real_offset, tsc_params};
pub use context::{Context, current_thread, fs_base, set_current, set_fs_base, switch};
pub use cpu_local::{boot_stack, cpu_count, cpu_id, stack_room};
pub use cpuid::features;
pub use ioapic::route_gsi;
pub use irq::{irq_allocate, irq_counts, irq_enable, irq_enabled, irq_save, msi_message, wait_for_interrupt};
pub use mem::{copy_page, zero_pages};
pub use paging::{flush_all, flush_page, page_table_root, phys_to_virt};
pub use pio::{inb, inl, inw, outb, outl, outw};
pub use power::{halt_for_ever, panic_stop, power_off};
pub use rtc::seconds_since_epoch;
pub use seed::hardware_seed;
pub use serial::serial_write;
pub use trap::{enter_app, is_app_stack_pointer, set_syscall_hook};
pub use user::{fpu_reset, user_compare_exchange, user_copy, user_load_u32, user_xrstor, user_xsave, user_zero};

pub(crate) use trap::kernel_text;
