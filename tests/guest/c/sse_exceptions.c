/* SSE exceptions as signals. Its own file: QEMU's software emulation (7.2) never raises them. */
#include "t.h"
#include <setjmp.h>
static sigjmp_buf back;
static void handler(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    printf("%s code %d, addr is rip: %d, trap %lld\n", sigabbrev_np(s), i->si_code,
           (long long)(uintptr_t)i->si_addr == u->uc_mcontext.gregs[REG_RIP],
           (long long)u->uc_mcontext.gregs[REG_TRAPNO]);
    siglongjmp(back, 1);
}
static void mxcsr(unsigned v) { __asm__ volatile("ldmxcsr %0" ::"m"(v)); }
int main(void) {
    on(SIGFPE, handler, 0);
    if (!sigsetjmp(back, 1)) {
        printf("sse divide: ");
        mxcsr(0x1f80 & ~0x200u);
        volatile double z = 0, d = 1;
        d = d / z;
        (void)d;
    }
    mxcsr(0x1f80);
    if (!sigsetjmp(back, 1)) {
        printf("sse invalid: ");
        mxcsr(0x1f80 & ~0x80u);
        volatile double z = 0, d = z / z;
        (void)d;
    }
    mxcsr(0x1f80);
    return 0;
}
