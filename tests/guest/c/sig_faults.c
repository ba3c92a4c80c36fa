/* CPU exceptions as signals: codes and addresses for divide, invalid opcode, breakpoint, x87 exceptions;
 * nested faults; a changed RIP. */
#include "t.h"
#include <setjmp.h>
static sigjmp_buf back;
static volatile uintptr_t expect;
static void handler(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    uintptr_t rip = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    printf("%s code %d, addr is %s, trap %lld\n", sigabbrev_np(s), i->si_code,
           (uintptr_t)i->si_addr == rip ? "rip"
           : i->si_addr                 ? "other"
                                        : "0",
           (long long)u->uc_mcontext.gregs[REG_TRAPNO]);
    siglongjmp(back, 1);
}
static void skip2(int s, siginfo_t *i, void *c) {
    (void)i;
    ucontext_t *u = c;
    printf("%s: stepped over\n", sigabbrev_np(s));
    u->uc_mcontext.gregs[REG_RIP] += 2;
    u->uc_mcontext.gregs[REG_RBX] = 4242;
}
static int depth;
static void nesting(int s, siginfo_t *i, void *c) {
    (void)i;
    (void)c;
    depth++;
    printf("%s depth %d\n", sigabbrev_np(s), depth);
    if (depth < 4) *(volatile int *)(long)(16 * depth) = 1;
    siglongjmp(back, 1);
}
static volatile int zero;
int main(void) {
    int sigs[] = {SIGFPE, SIGILL, SIGTRAP, SIGSEGV, SIGBUS};
    for (int i = 0; i < 5; i++) on(sigs[i], handler, 0);
    if (!sigsetjmp(back, 1)) {
        printf("idiv: ");
        printf("%d\n", 7 / zero);
    }
    if (!sigsetjmp(back, 1)) {
        printf("idiv overflow: ");
        int q;
        __asm__ volatile("mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idivl %%ecx" : "=a"(q)::"ecx", "edx");
    }
    if (!sigsetjmp(back, 1)) {
        printf("ud2: ");
        __asm__ volatile("ud2");
    }
    if (!sigsetjmp(back, 1)) {
        printf("ud1 (0f ff): ");
        __asm__ volatile(".byte 0x0f, 0xff, 0xc0");
    }
    if (!sigsetjmp(back, 1)) {
        printf("int3: ");
        __asm__ volatile("int3");
    }
    if (!sigsetjmp(back, 1)) {
        printf("single step: ");
        __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" ::: "cc", "memory");
    }
    if (!sigsetjmp(back, 1)) {
        printf("x87 divide: ");
        unsigned short cw = 0x37f & ~4;
        __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(cw) : "st");
    }
    __asm__ volatile("fninit");
    if (!sigsetjmp(back, 1)) {
        printf("general protection: ");
        *(volatile char *)0x8000000000000000;
    }
    on(SIGILL, skip2, 0);
    long b = 0, keep = 0x1122334455667788;
    __asm__ volatile("mov %2, %%r15; xor %%ebx, %%ebx; stc; ud2; adc $0, %%rbx; mov %%rbx, %0; mov %%r15, %1"
                     : "=r"(b), "=r"(keep)
                     : "r"(keep)
                     : "rbx", "r15", "cc");
    printf("rbx set by the handler plus carry: %ld, r15 kept: %d\n", b, keep == 0x1122334455667788);
    struct sigaction a = {.sa_sigaction = nesting, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &a, NULL);
    if (!sigsetjmp(back, 1)) *(volatile int *)8 = 1;
    printf("out of depth %d\n", depth);
    return 0;
}
