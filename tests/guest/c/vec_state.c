/* The whole vector state over signals: all YMM registers, MXCSR and the x87 stack, over a SIGSEGV, a signal
 * in a running loop and one that ends a futex wait; the handler clobbers all of it. Also: the frame says
 * where the state is (FP_XSTATE_MAGIC), and a change made there arrives. */
#include "t.h"
#include <linux/futex.h>
#include <stddef.h>
struct state {
    uint8_t ymm[16][32];
    uint32_t mxcsr;
    uint16_t fcw;
    uint8_t st[8][10];
} __attribute__((aligned(32)));
static struct state want, got;
static volatile int caught, clobber = 1, edit;
static volatile pid_t worker;
static uint32_t word;
#define LOAD                                                                                                 \
    "vmovdqu 0(%0),%%ymm0;vmovdqu 32(%0),%%ymm1;vmovdqu 64(%0),%%ymm2;vmovdqu 96(%0),%%ymm3;vmovdqu "        \
    "128(%0),%%ymm4;vmovdqu 160(%0),%%ymm5;vmovdqu 192(%0),%%ymm6;vmovdqu 224(%0),%%ymm7;"                   \
    "vmovdqu 256(%0),%%ymm8;vmovdqu 288(%0),%%ymm9;vmovdqu 320(%0),%%ymm10;vmovdqu 352(%0),%%ymm11;vmovdqu " \
    "384(%0),%%ymm12;vmovdqu 416(%0),%%ymm13;vmovdqu 448(%0),%%ymm14;vmovdqu 480(%0),%%ymm15;"               \
    "fninit;fldcw 516(%0);fldt 518(%0);fldt 528(%0);fldt 538(%0);fldt 548(%0);fldt 558(%0);fldt "            \
    "568(%0);fldt 578(%0);fldt 588(%0);ldmxcsr 512(%0);"
#define STORE                                                                                                \
    "vmovdqu %%ymm0,0(%1);vmovdqu %%ymm1,32(%1);vmovdqu %%ymm2,64(%1);vmovdqu %%ymm3,96(%1);vmovdqu "        \
    "%%ymm4,128(%1);vmovdqu %%ymm5,160(%1);vmovdqu %%ymm6,192(%1);vmovdqu %%ymm7,224(%1);"                   \
    "vmovdqu %%ymm8,256(%1);vmovdqu %%ymm9,288(%1);vmovdqu %%ymm10,320(%1);vmovdqu %%ymm11,352(%1);vmovdqu " \
    "%%ymm12,384(%1);vmovdqu %%ymm13,416(%1);vmovdqu %%ymm14,448(%1);vmovdqu %%ymm15,480(%1);"               \
    "stmxcsr 512(%1);fnstcw 516(%1);fstpt 588(%1);fstpt 578(%1);fstpt 568(%1);fstpt 558(%1);fstpt "          \
    "548(%1);fstpt 538(%1);fstpt 528(%1);fstpt 518(%1);fninit;vzeroupper;"
#define ALL                                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",      \
        "st(7)", "memory", "cc"
_Static_assert(offsetof(struct state, mxcsr) == 512 && offsetof(struct state, fcw) == 516 &&
                   offsetof(struct state, st) == 518,
               "offsets");
static void handler(int s, siginfo_t *i, void *c) {
    (void)i;
    ucontext_t *u = c;
    caught++;
    if (s == SIGSEGV) u->uc_mcontext.gregs[REG_RIP] += 3;
    if (edit) {
        uint8_t *fp = (uint8_t *)u->uc_mcontext.fpregs;
        uint32_t magic1, size, magic2;
        memcpy(&magic1, fp + 464, 4);
        memcpy(&size, fp + 468, 4);
        memcpy(&magic2, fp + size - 4, 4);
        uint64_t bv;
        memcpy(&bv, fp + 512, 8);
        printf("magic %x %x, xstate_bv has x87 SSE AVX: %d\n", magic1, magic2, (bv & 7) == 7);
        memset(fp + 160 + 16 * 3, 0xee, 16); /* xmm3 */
        memset(fp + 576 + 16 * 4, 0xdd, 16); /* upper half of ymm4 */
    }
    if (clobber) {
        static struct state junk;
        memset(&junk, 0x3c, sizeof junk);
        junk.mxcsr = 0x1f80;
        junk.fcw = 0x37f;
        __asm__ volatile(LOAD "fninit;vzeroall" ::"r"(&junk) : ALL);
    }
}
static void compare(const char *name) {
    int y = 0, x = 0;
    for (int i = 0; i < 16; i++) y += memcmp(want.ymm[i], got.ymm[i], 32) != 0;
    for (int i = 0; i < 8; i++) x += memcmp(want.st[i], got.st[i], 10) != 0;
    printf("%s: ymm wrong %d, x87 wrong %d, mxcsr %s, control word %s\n", name, y, x,
           want.mxcsr == (got.mxcsr & ~0x3fu) ? "kept" : "LOST", want.fcw == got.fcw ? "kept" : "LOST");
}
static pthread_t main_thread;
static void *one_signal(void *p) {
    int before = caught;
    until_asleep(worker);
    do {
        pthread_kill(main_thread, SIGUSR1);
        sleep_ms(2);
    } while (caught == before);
    return p;
}
static void *signal_runner(void *p) {
    int before = caught;
    sleep_ms(3);
    pthread_kill(main_thread, SIGUSR1);
    while (caught == before) sleep_ms(1);
    return p;
}
int main(void) {
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 32; j++) want.ymm[i][j] = (uint8_t)(i * 16 + j + 1);
    for (int i = 0; i < 8; i++) {
        long double v = 1.5L + i;
        memcpy(want.st[i], &v, 10);
    }
    want.mxcsr = 0x3f80;
    want.fcw = 0x27f | 0x400;
    on(SIGSEGV, handler, 0);
    on(SIGUSR1, handler, 0);
    main_thread = pthread_self();
    worker = tid();
    memset(&got, 0, sizeof got);
    __asm__ volatile(LOAD "xor %%eax,%%eax; mov (%%rax),%%rax;" STORE ::"r"(&want.ymm), "r"(&got)
                     : "rax", ALL);
    compare("fault");
    int before = caught;
    pthread_t t = start(signal_runner, NULL);
    memset(&got, 0, sizeof got);
    __asm__ volatile(LOAD "1: pause; cmpl %3, %2; je 1b;" STORE ::"r"(&want), "r"(&got), "m"(caught),
                     "r"(before)
                     : ALL);
    pthread_join(t, NULL);
    compare("running loop");
    t = start(one_signal, NULL);
    memset(&got, 0, sizeof got);
    long ret;
    __asm__ volatile(LOAD "mov %1, %%r12; lea %3, %%rdi; mov $128, %%esi; xor %%edx,%%edx; xor "
                          "%%r10d,%%r10d; mov $202, %%eax; syscall; mov %%rax, %%r13; mov %%r12, %1;" STORE
                          "mov %%r13, %2"
                     : "+r"(*(void **)&(void *){&want}), "+r"(*(void **)&(void *){&got}), "=m"(ret)
                     : "m"(word)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r10", "r11", "r12", "r13", ALL);
    pthread_join(t, NULL);
    printf("futex wait: %s\n", errno_name((int)-ret));
    compare("futex wait");
    t = start(signal_runner, NULL); /* a system call that is not interrupted keeps them as well */
    memset(&got, 0, sizeof got);
    __asm__ volatile(LOAD "mov $39, %%eax; syscall; mov $24, %%eax; syscall;" STORE ::"r"(&want), "r"(&got)
                     : "rax", "rcx", "r11", ALL);
    pthread_join(t, NULL);
    compare("plain calls");
    clobber = 0;
    edit = 1;
    memset(&got, 0, sizeof got);
    __asm__ volatile(LOAD "xor %%eax,%%eax; mov (%%rax),%%rax;" STORE ::"r"(&want), "r"(&got) : "rax", ALL);
    memset(want.ymm[3], 0xee, 16);
    memset(want.ymm[4] + 16, 0xdd, 16);
    compare("edited in the frame");
    return 0;
}
