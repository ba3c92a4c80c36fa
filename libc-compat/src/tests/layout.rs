//! Our structures against the C headers of the host: a small C program prints sizes and offsets.

use crate::signal::action::Action;
use crate::signal::info::SigInfo;
use crate::signal::layout::*;
use crate::syscall::time::{TimeSpec, TimeVal};
use std::io::Write;
use std::mem::{offset_of, size_of};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Compiles and runs C expressions that are integers; their values in order.
fn c_values(headers: &str, expressions: &[&str]) -> Vec<u64> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("demitasse-layout-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let (source, program) = (dir.join("layout.c"), dir.join("layout"));
    let mut text =
        format!("#define _GNU_SOURCE\n#include <stddef.h>\n#include <stdio.h>\n{headers}\nint main(void) {{\n");
    for expression in expressions {
        text += &format!("printf(\"%llu\\n\", (unsigned long long)({expression}));\n");
    }
    text += "return 0; }\n";
    std::fs::File::create(&source).and_then(|mut file| file.write_all(text.as_bytes())).expect("a temporary file");
    let built = Command::new("cc").arg("-o").arg(&program).arg(&source).status().expect("a C compiler");
    assert!(built.success());
    let output = Command::new(&program).output().expect("just built");
    std::fs::remove_dir_all(&dir).expect("just made");
    String::from_utf8(output.stdout).expect("numbers").lines().map(|line| line.parse().expect("a number")).collect()
}

/// Compares expressions in C with values in Rust.
macro_rules! agree {
    ($headers:expr, $($c:literal => $rust:expr),* $(,)?) => {{
        let values = c_values($headers, &[$($c),*]);
        let expected = [$(($c, $rust as u64)),*];
        for ((text, ours), theirs) in expected.iter().zip(values) {
            assert_eq!(*ours, theirs, "{text}");
        }
    }};
}

#[test]
fn the_ucontext_is_linux_s() {
    const MCONTEXT: usize = offset_of!(UContext, mcontext);
    agree!("#include <ucontext.h>\n#include <signal.h>",
        "offsetof(ucontext_t, uc_flags)" => offset_of!(UContext, flags),
        "offsetof(ucontext_t, uc_link)" => offset_of!(UContext, link),
        "offsetof(ucontext_t, uc_stack)" => offset_of!(UContext, stack),
        "offsetof(ucontext_t, uc_mcontext)" => MCONTEXT,
        "offsetof(ucontext_t, uc_sigmask)" => offset_of!(UContext, sigmask),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_R8])" => MCONTEXT + offset_of!(SigContext, r8),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_R15])" => MCONTEXT + offset_of!(SigContext, r15),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RDI])" => MCONTEXT + offset_of!(SigContext, rdi),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RBP])" => MCONTEXT + offset_of!(SigContext, rbp),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RBX])" => MCONTEXT + offset_of!(SigContext, rbx),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RDX])" => MCONTEXT + offset_of!(SigContext, rdx),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RAX])" => MCONTEXT + offset_of!(SigContext, rax),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RCX])" => MCONTEXT + offset_of!(SigContext, rcx),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP])" => MCONTEXT + offset_of!(SigContext, rsp),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP])" => MCONTEXT + offset_of!(SigContext, rip),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_EFL])" => MCONTEXT + offset_of!(SigContext, eflags),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_CSGSFS])" => MCONTEXT + offset_of!(SigContext, cs),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_ERR])" => MCONTEXT + offset_of!(SigContext, err),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_TRAPNO])" => MCONTEXT + offset_of!(SigContext, trapno),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_OLDMASK])" => MCONTEXT + offset_of!(SigContext, oldmask),
        "offsetof(ucontext_t, uc_mcontext.gregs[REG_CR2])" => MCONTEXT + offset_of!(SigContext, cr2),
        "offsetof(ucontext_t, uc_mcontext.fpregs)" => MCONTEXT + offset_of!(SigContext, fpstate),
        "sizeof(stack_t)" => size_of::<AltStack>(),
        "offsetof(stack_t, ss_size)" => offset_of!(AltStack, size),
        "sizeof(siginfo_t)" => crate::signal::info::SIGINFO_BYTES,
        "offsetof(siginfo_t, si_code)" => offset_of!(SigInfo, code),
        "offsetof(siginfo_t, si_errno)" => offset_of!(SigInfo, errno),
        "offsetof(siginfo_t, si_addr)" => offset_of!(SigInfo, fields),
        "offsetof(siginfo_t, si_pid)" => offset_of!(SigInfo, fields),
        "offsetof(siginfo_t, si_overrun)" => offset_of!(SigInfo, fields) + 4,
        "offsetof(siginfo_t, si_value)" => offset_of!(SigInfo, fields) + 8,
        "offsetof(struct sigevent, sigev_signo)" => 8,
        "offsetof(struct sigevent, sigev_notify)" => 12,
        "SI_KERNEL" => crate::signal::info::SI_KERNEL,
        "SI_TIMER + 64" => crate::signal::info::SI_TIMER + 64,
        "SI_TKILL + 64" => crate::signal::info::SI_TKILL + 64,
        "SI_QUEUE + 64" => crate::signal::info::SI_QUEUE + 64,
    );
}

#[test]
fn the_marks_of_the_xsave_image_are_linux_s() {
    // The kernel's header wants the kernel's types, which libc's headers do not give.
    const TYPES: &str = "typedef struct { void *sp; int flags; size_t size; } stack_t; typedef unsigned long sigset_t;";
    agree!(&format!("{TYPES}\n#include <asm/sigcontext.h>\n#include <asm/ucontext.h>"),
        "FP_XSTATE_MAGIC1" => FP_XSTATE_MAGIC1,
        "FP_XSTATE_MAGIC2" => FP_XSTATE_MAGIC2,
        "sizeof(struct _fpx_sw_bytes)" => size_of::<SoftwareBytes>(),
        "offsetof(struct _fpx_sw_bytes, extended_size)" => offset_of!(SoftwareBytes, extended_size),
        "offsetof(struct _fpx_sw_bytes, xfeatures)" => offset_of!(SoftwareBytes, xfeatures),
        "offsetof(struct _fpx_sw_bytes, xstate_size)" => offset_of!(SoftwareBytes, xstate_size),
        "offsetof(struct _fpstate, sw_reserved)" => SOFTWARE_OFFSET,
        "sizeof(struct sigcontext)" => size_of::<SigContext>(),
        "offsetof(struct sigcontext, cs)" => offset_of!(SigContext, cs),
        "offsetof(struct sigcontext, ss)" => offset_of!(SigContext, ss),
        "offsetof(struct sigcontext, fpstate)" => offset_of!(SigContext, fpstate),
        "UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS" => UC_FLAGS,
    );
}

#[test]
fn other_structures_have_linux_s_sizes() {
    agree!("#include <time.h>\n#include <sys/time.h>\n#include <sys/times.h>\n#include <sys/resource.h>\n#include <linux/futex.h>\n#include <linux/sched.h>\n#include <linux/time_types.h>",
        "sizeof(struct timespec)" => size_of::<TimeSpec>(),
        "offsetof(struct timespec, tv_nsec)" => offset_of!(TimeSpec, nsec),
        "sizeof(struct timeval)" => size_of::<TimeVal>(),
        "sizeof(struct itimerspec)" => 32,
        "offsetof(struct itimerspec, it_value)" => 16,
        "sizeof(struct tms)" => 32,
        "sizeof(struct rlimit64)" => 16,
        "offsetof(struct rlimit64, rlim_max)" => 8,
        "sizeof(struct robust_list_head)" => 24,
        "offsetof(struct robust_list_head, list_op_pending)" => 16,
        "sizeof(struct clone_args)" => 88,
        "offsetof(struct clone_args, tls)" => 56,
    );
    assert_eq!(size_of::<Action>(), size_of::<linux_raw_sys::general::kernel_sigaction>());
    assert_eq!(offset_of!(Action, restorer), offset_of!(linux_raw_sys::general::kernel_sigaction, sa_restorer));
    assert_eq!(offset_of!(Action, mask), offset_of!(linux_raw_sys::general::kernel_sigaction, sa_mask));
}
