// The memory routines that compiled code calls, and whole pages. compiler_builtins leaves memcpy and friends to libc on
// this target. In assembly, because rustc may turn a Rust loop back into a call to the very function. Quadword string
// instructions and 16-byte moves: byte string instructions are many times slower under emulation.
    .section .text.mem,"ax"
    .global memcpy
    .global memmove
memmove:
    movq %rdi, %rax
    subq %rsi, %rax
    cmpq %rdx, %rax                     // to - from, unsigned: below len = overlapping with to above from
    jb move_backward
memcpy:
    movq %rdi, %rax
    cmpq $16, %rdx
    jb copy_small
    cmpq $128, %rdx
    ja copy_large
    movups -16(%rsi,%rdx), %xmm1        // the tail first, in case the loop overwrites it
    leaq -16(%rdi,%rdx), %rcx
1:  movups (%rsi), %xmm0
    addq $16, %rsi
    movups %xmm0, (%rdi)
    addq $16, %rdi
    cmpq %rcx, %rdi
    jb 1b
    movups %xmm1, (%rcx)
    ret
copy_large:
    movups -16(%rsi,%rdx), %xmm4
    leaq -16(%rdi,%rdx), %r8
    leaq -64(%rdi,%rdx), %rcx
1:  movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups 32(%rsi), %xmm2
    movups 48(%rsi), %xmm3
    addq $64, %rsi
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, 32(%rdi)
    movups %xmm3, 48(%rdi)
    addq $64, %rdi
    cmpq %rcx, %rdi
    jbe 1b
2:  cmpq %r8, %rdi
    jae 3f
    movups (%rsi), %xmm0
    addq $16, %rsi
    movups %xmm0, (%rdi)
    addq $16, %rdi
    jmp 2b
3:  movups %xmm4, (%r8)
    ret
copy_small:
    testl $8, %edx
    jz 1f
    movq (%rsi), %rcx
    movq -8(%rsi,%rdx), %r8
    movq %rcx, (%rdi)
    movq %r8, -8(%rdi,%rdx)
    ret
1:  testl $4, %edx
    jz 2f
    movl (%rsi), %ecx
    movl -4(%rsi,%rdx), %r8d
    movl %ecx, (%rdi)
    movl %r8d, -4(%rdi,%rdx)
    ret
2:  testl %edx, %edx
    jz 3f
    movzbl (%rsi), %ecx                 // one to three bytes: first, middle, last
    movzbl -1(%rsi,%rdx), %r8d
    movl %edx, %r10d
    shrl $1, %r10d
    movzbl (%rsi,%r10), %r9d
    movb %cl, (%rdi)
    movb %r9b, (%rdi,%r10)
    movb %r8b, -1(%rdi,%rdx)
3:  ret

move_backward:
    movq %rdi, %rax
    leaq (%rsi,%rdx), %rsi
    leaq (%rdi,%rdx), %rdi
1:  cmpq $8, %rdx
    jb 2f
    subq $8, %rsi
    subq $8, %rdi
    movq (%rsi), %rcx
    movq %rcx, (%rdi)
    subq $8, %rdx
    jmp 1b
2:  testq %rdx, %rdx
    jz 3f
    decq %rsi
    decq %rdi
    movb (%rsi), %cl
    movb %cl, (%rdi)
    decq %rdx
    jmp 2b
3:  ret

    .global memset
memset:
    movq %rdi, %r9
    movzbl %sil, %eax
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rax
    cmpq $8, %rdx
    jb 2f
    movq %rdx, %rcx
    shrq $3, %rcx
    movq %rax, -8(%rdi,%rdx)
    rep stosq
    movq %r9, %rax
    ret
2:  testq %rdx, %rdx
    jz 3f
    movb %al, (%rdi)
    incq %rdi
    decq %rdx
    jmp 2b
3:  movq %r9, %rax
    ret

    .global memcmp
    .global bcmp
memcmp:
bcmp:
1:  cmpq $8, %rdx
    jb 2f
    movq (%rdi), %rax
    movq (%rsi), %rcx
    cmpq %rcx, %rax
    jne 4f
    addq $8, %rdi
    addq $8, %rsi
    subq $8, %rdx
    jmp 1b
2:  testq %rdx, %rdx
    jz 3f
    movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    subl %ecx, %eax
    jne 5f
    incq %rdi
    incq %rsi
    decq %rdx
    jmp 2b
3:  xorl %eax, %eax
5:  ret
4:  bswapq %rax                         // the first differing byte decides: compare as big-endian numbers
    bswapq %rcx
    cmpq %rcx, %rax
    sbbl %eax, %eax
    orl $1, %eax
    ret

    .global strlen
strlen:
    xorl %eax, %eax
1:  cmpb $0, (%rdi,%rax)
    je 2f
    incq %rax
    jmp 1b
2:  ret

// zero_pages(start, pages)
    .global hal_zero_pages
hal_zero_pages:
    shlq $12, %rsi
    addq %rdi, %rsi
    xorps %xmm0, %xmm0
1:  .set offset, 0
    .rept 32
    movaps %xmm0, offset(%rdi)
    .set offset, offset + 16
    .endr
    addq $512, %rdi
    cmpq %rsi, %rdi
    jb 1b
    ret

// copy_page(to, from)
    .global hal_copy_page
hal_copy_page:
    leaq 4096(%rdi), %rdx
1:  .set offset, 0
    .rept 8
    movaps offset(%rsi), %xmm0
    movaps offset+16(%rsi), %xmm1
    movaps %xmm0, offset(%rdi)
    movaps %xmm1, offset+16(%rdi)
    .set offset, offset + 32
    .endr
    addq $256, %rsi
    addq $256, %rdi
    cmpq %rdx, %rdi
    jb 1b
    ret
