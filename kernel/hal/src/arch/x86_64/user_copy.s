// The only code that touches the application's memory for the kernel. Each range in .extable, (first, end, fix-up), is
// where a fault that nobody resolves continues at the fix-up instead of panicking.
    .macro EXTABLE first, end, fixup
    .pushsection .extable,"a"
    .quad \first, \end, \fixup
    .popsection
    .endm

    .section .text.user,"ax"
// user_copy(to, from, len) -> 0, or 1 after a fault
    .global hal_user_copy
hal_user_copy:
    movq %rdx, %rcx
    shrq $3, %rcx
1:  rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
2:  xorl %eax, %eax
    ret
    EXTABLE 1b, 2b, user_failed

// user_zero(to, len)
    .global hal_user_zero
hal_user_zero:
    xorl %eax, %eax
    movq %rsi, %rcx
    shrq $3, %rcx
1:  rep stosq
    movl %esi, %ecx
    andl $7, %ecx
    rep stosb
2:  xorl %eax, %eax
    ret
    EXTABLE 1b, 2b, user_failed

// user_load_u32(from) -> value, or bit 32 set after a fault
    .global hal_user_load_u32
hal_user_load_u32:
1:  movl (%rdi), %eax
2:  ret
    EXTABLE 1b, 2b, user_failed_wide

// user_compare_exchange(addr, old, new) -> found, or bit 32 set after a fault
    .global hal_user_compare_exchange
hal_user_compare_exchange:
    movl %esi, %eax
1:  lock cmpxchgl %edx, (%rdi)
2:  movl %eax, %eax
    ret
    EXTABLE 1b, 2b, user_failed_wide


// user_xsave(to, frame's xmm, mask): the interrupted code's registers are put back first
    .global hal_user_xsave
hal_user_xsave:
    movl %edx, %eax
    shrq $32, %rdx
    movaps 0(%rsi), %xmm0
    movaps 16(%rsi), %xmm1
    movaps 32(%rsi), %xmm2
    movaps 48(%rsi), %xmm3
    movaps 64(%rsi), %xmm4
    movaps 80(%rsi), %xmm5
    movaps 96(%rsi), %xmm6
    movaps 112(%rsi), %xmm7
    movaps 128(%rsi), %xmm8
    movaps 144(%rsi), %xmm9
    movaps 160(%rsi), %xmm10
    movaps 176(%rsi), %xmm11
    movaps 192(%rsi), %xmm12
    movaps 208(%rsi), %xmm13
    movaps 224(%rsi), %xmm14
    movaps 240(%rsi), %xmm15
    // XSAVE leaves parts of its header as they are; stale bytes there would make a later XRSTOR fault.
1:  movq $0, 512(%rdi)
    movq $0, 520(%rdi)
    movq $0, 528(%rdi)
    movq $0, 536(%rdi)
    movq $0, 544(%rdi)
    movq $0, 552(%rdi)
    movq $0, 560(%rdi)
    movq $0, 568(%rdi)
    xsave64 (%rdi)
2:  xorl %eax, %eax
    ret
    EXTABLE 1b, 2b, user_failed

// xrstor(from, frame's xmm, mask): the low halves go to the frame, from where the return path loads them
    .global hal_xrstor
hal_xrstor:
    movl %edx, %eax
    shrq $32, %rdx
1:  xrstor64 (%rdi)
2:  xorl %eax, %eax
    movaps %xmm0, 0(%rsi)
    movaps %xmm1, 16(%rsi)
    movaps %xmm2, 32(%rsi)
    movaps %xmm3, 48(%rsi)
    movaps %xmm4, 64(%rsi)
    movaps %xmm5, 80(%rsi)
    movaps %xmm6, 96(%rsi)
    movaps %xmm7, 112(%rsi)
    movaps %xmm8, 128(%rsi)
    movaps %xmm9, 144(%rsi)
    movaps %xmm10, 160(%rsi)
    movaps %xmm11, 176(%rsi)
    movaps %xmm12, 192(%rsi)
    movaps %xmm13, 208(%rsi)
    movaps %xmm14, 224(%rsi)
    movaps %xmm15, 240(%rsi)
    ret
    EXTABLE 1b, 2b, user_failed

user_failed:
    movl $1, %eax
    ret
user_failed_wide:
    movabsq $0x100000000, %rax
    ret
