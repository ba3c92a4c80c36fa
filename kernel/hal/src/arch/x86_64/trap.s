// The ways in and out of the kernel. Read trap.rs beside it.
//
// All code runs in ring 0, so CS never tells application from kernel and the CPU never switches stacks by itself: the
// interrupted RSP decides. Every vector enters on an IST stack, because the application's stack has a red zone below
// RSP and may have no room; the stub moves the frame to the thread's kernel stack before anything can nest:
//   RSP inside the thread's kernel stack  -> kernel code: go on below RSP-128 (precompiled core uses the red zone)
//   RSP in the lower half                 -> application: start at the stack's top
//   anything else                         -> a kernel bug: panic on the IST stack
// GS base is this vCPU's CpuLocal, always: 8 = stack top, 16 = stack bottom, 24 = scratch, 40 = work flags.
// TrapFrame: 256 bytes xmm, 15 registers (r15 lowest), vector, error, rip, cs, rflags, rsp, ss = 432 bytes.

    .section .text.trap,"ax"
    .balign 4096
    .global trap_stubs
trap_stubs:
    .set vector_number, 0
    .rept 256
    .balign 16
    .if (vector_number == 8) || ((vector_number >= 10) && (vector_number <= 14)) || (vector_number == 17) || (vector_number == 21) || (vector_number == 29) || (vector_number == 30)
    .else
    pushq $0
    .endif
    pushq $vector_number
    .if (vector_number == 2) || (vector_number == 8) || (vector_number == 18)
    jmp trap_on_ist
    .else
    jmp trap_common
    .endif
    .set vector_number, vector_number + 1
    .endr

    .macro PUSH_REGISTERS
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .endm

    .macro POP_REGISTERS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    .endm

    .macro SAVE_XMM base
    movaps %xmm0, 0(\base)
    movaps %xmm1, 16(\base)
    movaps %xmm2, 32(\base)
    movaps %xmm3, 48(\base)
    movaps %xmm4, 64(\base)
    movaps %xmm5, 80(\base)
    movaps %xmm6, 96(\base)
    movaps %xmm7, 112(\base)
    movaps %xmm8, 128(\base)
    movaps %xmm9, 144(\base)
    movaps %xmm10, 160(\base)
    movaps %xmm11, 176(\base)
    movaps %xmm12, 192(\base)
    movaps %xmm13, 208(\base)
    movaps %xmm14, 224(\base)
    movaps %xmm15, 240(\base)
    .endm

    .macro LOAD_XMM base
    movaps 0(\base), %xmm0
    movaps 16(\base), %xmm1
    movaps 32(\base), %xmm2
    movaps 48(\base), %xmm3
    movaps 64(\base), %xmm4
    movaps 80(\base), %xmm5
    movaps 96(\base), %xmm6
    movaps 112(\base), %xmm7
    movaps 128(\base), %xmm8
    movaps 144(\base), %xmm9
    movaps 160(\base), %xmm10
    movaps 176(\base), %xmm11
    movaps 192(\base), %xmm12
    movaps 208(\base), %xmm13
    movaps 224(\base), %xmm14
    movaps 240(\base), %xmm15
    .endm

trap_common:
    cld
    PUSH_REGISTERS
    movq 160(%rsp), %rdx                // interrupted RSP
    movq %gs:8, %rdi
    testq %rdx, %rdx
    jns 1f                              // lower half: application
    cmpq %rdi, %rdx
    ja trap_lost_stack
    leaq -128(%rdx), %rdi
    andq $-16, %rdi
    leaq -1024(%rdi), %rdx              // room for the frame and a first call
    cmpq %gs:16, %rdx
    jb trap_lost_stack
1:  leaq -176(%rdi), %rdi
    movq %rsp, %rsi
    movl $22, %ecx
    rep movsq
    leaq -432(%rdi), %rsp
    SAVE_XMM %rsp
    movq %rsp, %rdi
    xorl %ebp, %ebp
    call hal_trap
trap_return:
    LOAD_XMM %rsp
    addq $256, %rsp
    POP_REGISTERS
    addq $16, %rsp
    iretq

// The stack pointer is in the kernel's half but not on the thread's stack, or too deep: report it from here.
trap_lost_stack:
    subq $256, %rsp
    andq $-16, %rsp
    movq %rsp, %rdi
    xorl %ebp, %ebp
    call hal_lost_stack
    ud2

// NMI, #DF and #MC stay on their own stack: they may come anywhere, even between a system call and its first push.
trap_on_ist:
    cld
    PUSH_REGISTERS
    subq $256, %rsp
    SAVE_XMM %rsp
    movq %rsp, %rdi
    xorl %ebp, %ebp
    call hal_trap_on_ist
    jmp trap_return

// SYSCALL from ring 0: RSP and the red zone below it are the application's; RCX = return address, R11 = flags; FMASK
// has masked interrupts and cleared DF, TF, AC and NT.
    .balign 64
    .global syscall_entry
syscall_entry:
    movq %rsp, %gs:24
    movq %gs:8, %rsp
    pushq $16
    pushq %gs:24
    pushq %r11
    pushq $8
    pushq %rcx
    pushq %rax
    pushq $0x100
    PUSH_REGISTERS
    subq $256, %rsp
    SAVE_XMM %rsp
    movq %rsp, %rdi
    xorl %ebp, %ebp
    sti
    call *hal_syscall_hook(%rip)
    cli
    movq %gs:40, %rax
    cmpl $0, (%rax)
    jne syscall_work
syscall_return:
    LOAD_XMM %rsp
    cmpq $0x100, 376(%rsp)
    jne syscall_iret
    // rbx and r12 to r15 are as they came: the compiled code has kept them. Who changes them in the frame asks for iretq.
    movq 288(%rsp), %rbp
    movq 312(%rsp), %r10
    movq 320(%rsp), %r9
    movq 328(%rsp), %r8
    movq 336(%rsp), %rax
    movq 352(%rsp), %rdx
    movq 360(%rsp), %rsi
    movq 368(%rsp), %rdi
    movq 392(%rsp), %rcx                // rip
    movq 408(%rsp), %r11                // rflags
    andq $~0x200, 408(%rsp)
    pushq 408(%rsp)
    popfq                               // the application's flags, interrupts still masked: RSP is not ours next
    movq 416(%rsp), %rsp
    sti                                 // takes effect after the jump
    jmpq *%rcx
syscall_iret:
    addq $256, %rsp
    POP_REGISTERS
    addq $16, %rsp
    iretq
syscall_work:
    movq %rsp, %rdi
    call hal_return_work                // returns with interrupts masked and no flag set
    jmp syscall_return

// enter_app(frame): frame lies anywhere in kernel memory; the stack is left for good.
    .global hal_enter_app
hal_enter_app:
    cli
    movq %rdi, %rsi
    movq %gs:8, %rdi
    leaq -432(%rdi), %rdi
    movq %rdi, %rdx
    // The frame may overlap the top of the stack, from below: copy from its end.
    movl $54, %ecx
    leaq 424(%rsi), %rsi
    leaq 424(%rdi), %rdi
    std
    rep movsq
    cld
    movq %rdx, %rsp
    movq %gs:40, %rax
    cmpl $0, (%rax)
    je trap_return
    movq %rsp, %rdi
    call hal_return_work
    jmp trap_return

// switch(prev: *mut u64, next: *const u64): the callee-saved registers go on prev's stack, whose pointer is stored.
    .global hal_switch
hal_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

// A new thread's first code: r12 = argument, r13 = entry.
    .global hal_thread_start
hal_thread_start:
    movq %r12, %rdi
    xorl %ebp, %ebp
    jmpq *%r13                          // the word on the stack is a return address that ends backtraces
