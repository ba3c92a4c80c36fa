//! temporary
pub fn run() { log::info!("init runs on vCPU {}", hal::cpu::id()); for i in 0..3 { sched::sleep_until(hal::clock::now_ns()+50_000_000, sched::Interruptible::No); log::info!("tick {i} {}", hal::clock::now_ns()); }
 let t0=hal::clock::now_ns(); let q=alloc::sync::Arc::new(sched::WaitQueue::new()); let _=q;
 let mut v=alloc::vec::Vec::new(); for i in 0..200u64 { v.push(sched::spawn(sched::Spawn{name:"w",ext:None,affinity:None,start:alloc::boxed::Box::new(move||{ sched::sleep_until(hal::clock::now_ns()+1_000_000*(i%7), sched::Interruptible::No); })}).unwrap()); }
 sched::sleep_until(hal::clock::now_ns()+100_000_000, sched::Interruptible::No);
 log::info!("200 threads {} {:?} {:?}", hal::clock::now_ns()-t0, mm::frame::stats(), sched::stat::cpus());
 hal::power::off(0) }
pub const HOOKS: hal::trap::Hooks = hal::trap::Hooks { syscall: |_|{}, fault: |_,_| hal::trap::FaultOutcome::Unhandled, return_work: |_|{}, timer: sched::hooks::timer, reschedule: sched::hooks::reschedule, preempt: sched::hooks::preempt, tlb_flush: mm::space::shootdown::serve };
