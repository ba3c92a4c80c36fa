// The shared object that the kernel maps into the application: ELF headers, symbols, versions and code, laid out by
// hand (System V ABI: object files and dynamic linking; glibc reads it in dl-vdso-setup).
//
// The page right before it is the data page, described in `data.rs`. Everything is position-independent: distances
// within this section only.

    .section .rodata.vdso, "a", @progbits
    .balign 4096
    .globl vdso_image_start
vdso_image_start:
.Lstart:

    .set DATA, .Lstart - 4096
    .set SEQUENCE, DATA + 0
    .set SHIFT, DATA + 4
    .set MULT, DATA + 8
    .set TSC_BASE, DATA + 16
    .set MONO_BASE_NS, DATA + 24
    .set REAL_BASE_NS, DATA + 32

// ---- ELF header: ELF64, little-endian, shared object, x86-64 ----
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0
    .quad 0
    .short 3, 62
    .long 1
    .quad 0
    .quad .Lprogram_headers - .Lstart
    .quad .Lsection_headers - .Lstart
    .long 0
    .short 64, 56, 3, 64, 9, 8

    .balign 8
.Lprogram_headers:
    .long 1, 5                          // PT_LOAD, R X
    .quad 0, 0, 0
    .quad .Lend - .Lstart, .Lend - .Lstart
    .quad 4096
    .long 2, 4                          // PT_DYNAMIC, R
    .quad .Ldynamic - .Lstart, .Ldynamic - .Lstart, .Ldynamic - .Lstart
    .quad .Ldynamic_end - .Ldynamic, .Ldynamic_end - .Ldynamic
    .quad 8
    .long 0x6474e551, 6                 // PT_GNU_STACK, R W
    .quad 0, 0, 0, 0, 0
    .quad 16

// ---- Symbol hash (System V): one bucket, all symbols in its chain ----
    .balign 8
.Lhash:
    .long 1, 7
    .long 1
    .long 0, 2, 3, 4, 5, 6, 0
.Lhash_end:

    .macro FUNCTION_SYMBOL name, label
    .long .Lname_\name - .Lstrings
    .byte 0x12, 0                       // global function
    .short 7                            // section .text
    .quad .L\label - .Lstart
    .quad .L\label\()_end - .L\label
    .endm

    .balign 8
.Lsymbols:
    .quad 0, 0, 0
    FUNCTION_SYMBOL clock_gettime, clock_gettime
    FUNCTION_SYMBOL gettimeofday, gettimeofday
    FUNCTION_SYMBOL time, time
    FUNCTION_SYMBOL clock_getres, clock_getres
    FUNCTION_SYMBOL getcpu, getcpu
    .long .Lname_version - .Lstrings    // LINUX_2.6 itself
    .byte 0x11, 0                       // global object
    .short 0xfff1                       // absolute
    .quad 0, 0
.Lsymbols_end:

.Lstrings:
    .byte 0
.Lname_clock_gettime: .asciz "__vdso_clock_gettime"
.Lname_gettimeofday: .asciz "__vdso_gettimeofday"
.Lname_time: .asciz "__vdso_time"
.Lname_clock_getres: .asciz "__vdso_clock_getres"
.Lname_getcpu: .asciz "__vdso_getcpu"
.Lname_soname: .asciz "linux-vdso.so.1"
.Lname_version: .asciz "LINUX_2.6"
.Lstrings_end:

    .balign 2
.Lversions:
    .short 0, 2, 2, 2, 2, 2, 2
.Lversions_end:

    .balign 8
.Lversion_definitions:
    .short 1, 1, 1, 1                   // base: the object itself
    .long 0x0deebfa1, 20, 28            // hash of "linux-vdso.so.1"
    .long .Lname_soname - .Lstrings, 0
    .short 1, 0, 2, 1
    .long 0x03ae75f6, 20, 0             // hash of "LINUX_2.6"
    .long .Lname_version - .Lstrings, 0
.Lversion_definitions_end:

    .balign 8
.Ldynamic:
    .quad 14, .Lname_soname - .Lstrings         // DT_SONAME
    .quad 4, .Lhash - .Lstart                   // DT_HASH
    .quad 5, .Lstrings - .Lstart                // DT_STRTAB
    .quad 6, .Lsymbols - .Lstart                // DT_SYMTAB
    .quad 10, .Lstrings_end - .Lstrings         // DT_STRSZ
    .quad 11, 24                                // DT_SYMENT
    .quad 0x6ffffff0, .Lversions - .Lstart      // DT_VERSYM
    .quad 0x6ffffffc, .Lversion_definitions - .Lstart // DT_VERDEF
    .quad 0x6ffffffd, 2                         // DT_VERDEFNUM
    .quad 0, 0
.Ldynamic_end:

    .macro SECTION name, type, flags, start, end, link, info, align, entry
    .long .Lsection_\name - .Lsection_names
    .long \type
    .quad \flags
    .quad \start - .Lstart, \start - .Lstart
    .quad \end - \start
    .long \link, \info
    .quad \align, \entry
    .endm

    .balign 8
.Lsection_headers:
    .fill 64, 1, 0
    SECTION hash, 5, 2, .Lhash, .Lhash_end, 2, 0, 8, 4
    SECTION dynsym, 11, 2, .Lsymbols, .Lsymbols_end, 3, 1, 8, 24
    SECTION dynstr, 3, 2, .Lstrings, .Lstrings_end, 0, 0, 1, 0
    SECTION versym, 0x6fffffff, 2, .Lversions, .Lversions_end, 2, 0, 2, 2
    SECTION verdef, 0x6ffffffd, 2, .Lversion_definitions, .Lversion_definitions_end, 3, 2, 8, 0
    SECTION dynamic, 6, 2, .Ldynamic, .Ldynamic_end, 3, 0, 8, 16
    SECTION text, 1, 6, .Ltext, .Ltext_end, 0, 0, 16, 0
    SECTION shstrtab, 3, 0, .Lsection_names, .Lsection_names_end, 0, 0, 1, 0

.Lsection_names:
    .byte 0
.Lsection_hash: .asciz ".hash"
.Lsection_dynsym: .asciz ".dynsym"
.Lsection_dynstr: .asciz ".dynstr"
.Lsection_versym: .asciz ".gnu.version"
.Lsection_verdef: .asciz ".gnu.version_d"
.Lsection_dynamic: .asciz ".dynamic"
.Lsection_text: .asciz ".text"
.Lsection_shstrtab: .asciz ".shstrtab"
.Lsection_names_end:

// ---- Code ----
    .balign 16
.Ltext:

// RAX = nanoseconds on the clock whose base word is `base`. Changes RCX, RDX, R8.
// The sequence is odd while the kernel writes, and different after: then it is read again. `lfence` keeps the counter
// from being read before the sequence.
    .macro READ_NS base
8:
    movl SEQUENCE(%rip), %r8d
    testb $1, %r8b
    jnz 9f
    lfence
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    xorl %ecx, %ecx
    subq TSC_BASE(%rip), %rax
    cmovbq %rcx, %rax                   // another vCPU's counter may lag behind the base by a little
    movl SHIFT(%rip), %ecx
    mulq MULT(%rip)
    shrdq %cl, %rdx, %rax
    addq \base(%rip), %rax
    cmpl SEQUENCE(%rip), %r8d
    je 10f
    jmp 8b
9:
    pause
    jmp 8b
10:
    .endm

// RDX = RAX / 10^9, RCX = the rest. Changes RAX. (The quotient of two shifts and a multiplication is exact for all
// 64-bit values.)
    .macro SPLIT_SECONDS
    movq %rax, %rcx
    shrq $9, %rax
    movabsq $0x44b82fa09b5a53, %rdx
    mulq %rdx
    shrq $11, %rdx
    imulq $1000000000, %rdx, %rax
    subq %rax, %rcx
    .endm

// int clock_gettime(clockid_t edi, struct timespec *rsi)
    .balign 16
.Lclock_gettime:
    cmpl $1, %edi
    jne 2f
1:
    READ_NS MONO_BASE_NS
3:
    SPLIT_SECONDS
    movq %rdx, (%rsi)
    movq %rcx, 8(%rsi)
    xorl %eax, %eax
    ret
2:
    cmpl $11, %edi
    ja 4f
    movl $0xd2, %eax                    // MONOTONIC, its RAW and COARSE forms, BOOTTIME
    btl %edi, %eax
    jc 1b
    movl $0x821, %eax                   // REALTIME, its COARSE form, TAI
    btl %edi, %eax
    jnc 4f
    READ_NS REAL_BASE_NS
    jmp 3b
4:
    movl $228, %eax
    syscall
    ret
.Lclock_gettime_end:

// int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    .balign 16
.Lgettimeofday:
    testq %rdi, %rdi
    jz 1f
    READ_NS REAL_BASE_NS
    SPLIT_SECONDS
    movq %rdx, (%rdi)
    imulq $274877907, %rcx, %rcx        // nanoseconds / 1000, exact below 2^32
    shrq $38, %rcx
    movq %rcx, 8(%rdi)
1:
    testq %rsi, %rsi
    jz 2f
    movq $0, (%rsi)
2:
    xorl %eax, %eax
    ret
.Lgettimeofday_end:

// time_t time(time_t *rdi)
    .balign 16
.Ltime:
    READ_NS REAL_BASE_NS
    SPLIT_SECONDS
    movq %rdx, %rax
    testq %rdi, %rdi
    jz 1f
    movq %rax, (%rdi)
1:
    ret
.Ltime_end:

// int clock_getres(clockid_t edi, struct timespec *rsi)
    .balign 16
.Lclock_getres:
    cmpl $11, %edi
    ja 3f
    movl $1, %ecx
    movl $0x893, %eax                   // REALTIME, MONOTONIC, RAW, BOOTTIME, TAI: 1 ns
    btl %edi, %eax
    jc 1f
    movl $4000000, %ecx
    movl $0x60, %eax                    // the COARSE clocks
    btl %edi, %eax
    jnc 3f
1:
    testq %rsi, %rsi
    jz 2f
    movq $0, (%rsi)
    movq %rcx, 8(%rsi)
2:
    xorl %eax, %eax
    ret
3:
    movl $229, %eax
    syscall
    ret
.Lclock_getres_end:

// int getcpu(unsigned *rdi, unsigned *rsi, void *unused)
    .balign 16
.Lgetcpu:
    movl $309, %eax
    syscall
    ret
.Lgetcpu_end:

.Ltext_end:
.Lend:
    .globl vdso_image_end
vdso_image_end:
    .previous
