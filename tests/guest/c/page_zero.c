/* Bad addresses: page 0 with exact offsets, unmapped low pages, non-canonical ones (SI_KERNEL, address 0). */
#include "t.h"
#include <setjmp.h>
static sigjmp_buf back;
static void handler(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    printf("%s code %d addr %#lx trap %lld\n", sigabbrev_np(s), i->si_code, (unsigned long)i->si_addr,
           (long long)u->uc_mcontext.gregs[REG_TRAPNO]);
    siglongjmp(back, 1);
}
static void rd(unsigned long a) {
    printf("read %#lx: ", a);
    if (!sigsetjmp(back, 1)) {
        volatile char c = *(volatile char *)a;
        (void)c;
        printf("no fault\n");
    }
}
static void wr(unsigned long a) {
    printf("write %#lx: ", a);
    if (!sigsetjmp(back, 1)) {
        *(volatile long *)a = 1;
        printf("no fault\n");
    }
}
static void call(unsigned long a) {
    printf("call %#lx: ", a);
    if (!sigsetjmp(back, 1)) {
        ((void (*)(void))a)();
        printf("no fault\n");
    }
}
int main(void) {
    on(SIGSEGV, handler, 0);
    on(SIGBUS, handler, 0);
    rd(0);
    rd(0xc);
    rd(4095);
    wr(0);
    wr(0xff8);
    call(0);
    call(16);
    rd(0x1000);
    rd(0xfffffff);
    rd(0x800000000000);
    rd(0xdeadbeefdeadbeef & 0x7fffffffffffffff);
    call(0x4141414141414141);
    rd(0x4141414141414140);
    return 0;
}
