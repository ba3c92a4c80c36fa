/* A leaf function's data below RSP survives faults, signals and system calls; flags and all integer registers
 * do as well. */
#include "t.h"
static volatile int caught;
static void handler(int s, siginfo_t *i, void *c) {
    (void)i;
    char big[2048];
    memset(big, 0x5a, sizeof big);
    __asm__ volatile("" ::"r"(big) : "memory");
    ucontext_t *u = c;
    caught++;
    if (s == SIGSEGV) u->uc_mcontext.gregs[REG_RIP] += 3; /* mov (%rax),%rax with rax = 0 */
}
/* Fills the red zone and registers, runs `op`, returns the number of differing words. */
#define CHECK(op)                                                                                            \
    ({                                                                                                       \
        long bad_;                                                                                           \
        __asm__ volatile("mov $0x1111, %%r8\n mov $0x2222, %%r9\n mov $0x3333, %%r10\n mov $0x5555, "        \
                         "%%r12\n mov $0x6666, %%r13\n mov $0x7777, %%r14\n"                                 \
                         "mov $0xaaaa, %%rdx\n mov %%rdx, -8(%%rsp)\n mov %%rdx, -64(%%rsp)\n mov %%rdx, "   \
                         "-120(%%rsp)\n mov %%rdx, -128(%%rsp)\n" op "\n"                                    \
                         "xor %%ebx, %%ebx\n cmp $0xaaaa, %%rdx\n setne %%cl\n or %%cl, %%bl\n"              \
                         "cmpq $0xaaaa, -8(%%rsp)\n setne %%cl\n or %%cl, %%bl\n cmpq $0xaaaa, "             \
                         "-64(%%rsp)\n setne %%cl\n or %%cl, %%bl\n cmpq $0xaaaa, -120(%%rsp)\n setne "      \
                         "%%cl\n or %%cl, %%bl\n cmpq $0xaaaa, -128(%%rsp)\n setne %%cl\n or %%cl, %%bl\n"   \
                         "cmp $0x1111, %%r8\n setne %%cl\n or %%cl, %%bl\n cmp $0x2222, %%r9\n setne "       \
                         "%%cl\n or %%cl, %%bl\n cmp $0x3333, %%r10\n setne %%cl\n or %%cl, %%bl\n cmp "     \
                         "$0x5555, %%r12\n setne %%cl\n or %%cl, %%bl\n cmp $0x6666, %%r13\n setne %%cl\n "  \
                         "or %%cl, %%bl\n cmp $0x7777, %%r14\n setne %%cl\n or %%cl, %%bl\n"                 \
                         "movzbl %%bl, %%eax\n mov %%rax, %0"                                                \
                         : "=m"(bad_)                                                                        \
                         :                                                                                   \
                         : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", \
                           "r14", "r15", "memory", "cc");                                                    \
        bad_;                                                                                                \
    })
static volatile int quit;
static pthread_t main_thread;
static void *pester(void *p) {
    while (!quit) {
        pthread_kill(main_thread, SIGUSR1);
        sleep_ms(1);
    }
    return p;
}
int main(void) {
    on(SIGSEGV, handler, 0);
    on(SIGUSR1, handler, SA_RESTART);
    printf("system call: %ld\n", CHECK("mov $39, %%eax\n syscall"));
    printf("failing system call: %ld\n", CHECK("mov $9999, %%eax\n syscall"));
    printf("fault: %ld\n", CHECK("xor %%eax, %%eax\n mov (%%rax), %%rax"));
    VAL(caught);
    long bad = 0;
    main_thread = pthread_self();
    pthread_t t = start(pester, NULL);
    caught = 0;
    while (caught < 30) bad += CHECK("mov $20000, %%eax\n 1: dec %%eax\n jnz 1b");
    printf("signals in a loop: %ld\n", bad);
    caught = 0;
    while (caught < 30) bad += CHECK("mov $24, %%eax\n syscall");
    printf("signals beside calls: %ld\n", bad);
    quit = 1;
    pthread_join(t, NULL);
    return 0;
}
