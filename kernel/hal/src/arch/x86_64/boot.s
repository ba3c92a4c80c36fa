// From the boot loader's 32-bit world to Rust. Low symbols are used as they are until long mode, high ones only by
// movabs after it. Everything here lies in low memory and is not mapped any more once hal_boot has built the final
// page tables.
    .section .note.Xen,"a",@note
    .balign 4
    .long 4, 8, 18                      // XEN_ELFNOTE_PHYS32_ENTRY, an 8-byte value
    .asciz "Xen"
    .quad start32

    .section .boot,"awx"
    .code32
    .global start32
start32:                                // PVH: ebx = hvm_start_info, paging off, flat segments
    cld
    movl $0x336ec578, %edi
    movl %ebx, %esi
    movl $boot_pdpt + 3, boot_pml4
    movl $boot_pdpt + 3, boot_pml4 + 511*8
    movl $boot_pd + 3, boot_pdpt
    movl $boot_pd + 3, boot_pdpt + 510*8
    movl $boot_pd, %edx                 // 512 pages of 2 MiB: the first GiB
    movl $0x83, %eax
    movl $512, %ecx
1:  movl %eax, (%edx)
    addl $0x200000, %eax
    addl $8, %edx
    decl %ecx
    jnz 1b
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax                    // PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $0xc0000080, %ecx              // EFER
    rdmsr
    orl $0x900, %eax                    // LME, NXE
    wrmsr
    movl %cr0, %eax
    andl $~0x0c, %eax                   // EM, TS
    orl $0x80010022, %eax               // PG, WP, NE, MP
    movl %eax, %cr0
    lgdt boot_gdtr
    ljmpl $8, $start64
    .code64
start64:
    movl $16, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movabsq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    pushq $0                            // a return address that ends backtraces
    movabsq $hal_boot, %rax             // hal_boot(magic, physical address of the start info)
    jmpq *%rax

    .section .bootdata,"aw"
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff            // 64-bit code
    .quad 0x00cf92000000ffff            // data
boot_gdtr:
    .short 23
    .long boot_gdt

// Zeros, which take no place in the file.
    .section .boottables,"aw",@nobits
    .balign 4096
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pd:
    .skip 4096
    .global boot_pml4
    .global boot_pdpt

// The other vCPUs start here in real mode: smp.rs copies it to physical 0x8000 and fills in the words at its end.
    .section .rodata.trampoline,"a"
    .balign 16
    .global ap_trampoline
    .global ap_trampoline_end
    .code16
ap_trampoline:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl 0x8000 + (ap_gdtr - ap_trampoline)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $24, $0x8000 + (ap_start32 - ap_trampoline)
    .code32
ap_start32:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %ss
    movl 0x8000 + (ap_root - ap_trampoline), %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x6000000c, %eax             // CD, NW, EM, TS
    orl $0x80010022, %eax
    movl %eax, %cr0
    ljmpl $8, $0x8000 + (ap_start64 - ap_trampoline)
    .code64
ap_start64:
    movl $16, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq 0x8000 + (ap_stack - ap_trampoline), %rsp
    movq 0x8000 + (ap_argument - ap_trampoline), %rdi
    xorl %ebp, %ebp
    pushq $0                            // a return address that ends backtraces
    jmpq *0x8000 + (ap_entry - ap_trampoline)
    .balign 8
ap_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
    .quad 0x00cf9a000000ffff            // 32-bit code
ap_gdtr:
    .short 31
    .long 0x8000 + (ap_gdt - ap_trampoline)
    .balign 8
    .global ap_words
ap_words:
ap_root:     .quad 0
ap_stack:    .quad 0
ap_argument: .quad 0
ap_entry:    .quad 0
ap_trampoline_end:
