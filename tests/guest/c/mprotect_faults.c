/* Faults by protection: signal, si_code and the exact address, and that the access works once the handler
 * allows it. */
#include "t.h"
static char *base;
static volatile int grant;
static void handler(int sig, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    long err = u->uc_mcontext.gregs[REG_ERR];
    printf("  %s code %d at +%ld%s%s trap %lld cr2 +%ld\n", sigabbrev_np(sig), i->si_code,
           (long)((char *)i->si_addr - base), err & 2 ? " write" : "", err & 16 ? " fetch" : "",
           (long long)u->uc_mcontext.gregs[REG_TRAPNO], (long)((char *)u->uc_mcontext.gregs[REG_CR2] - base));
    char *page = (char *)((uintptr_t)i->si_addr & ~(PAGE - 1));
    if (i->si_code == SEGV_MAPERR)
        mmap(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    else
        mprotect(page, PAGE, grant);
}
int main(void) {
    on(SIGSEGV, handler, 0);
    base = pages(8, PROT_NONE);
    volatile char *v = base;
    grant = PROT_READ;
    printf("read of NONE\n");
    VAL(v[5]);
    grant = PROT_READ | PROT_WRITE;
    printf("write of READ\n");
    v[4095] = 9;
    VAL(v[4095]);
    printf("write of NONE\n");
    v[PAGE + 1] = 3;
    VAL(v[PAGE + 1]);
    grant = PROT_READ | PROT_EXEC;
    base[PAGE * 2 - 1] = (char)0xc3;
    printf("fetch of READ|WRITE\n");
    ((void (*)(void))(base + PAGE * 2 - 1))();
    printf("read of unmapped\n");
    munmap(base + 3 * PAGE, PAGE);
    VAL(v[3 * PAGE + 17]);
    printf("8 bytes over a page end\n");
    grant = PROT_READ | PROT_WRITE;
    v[3 * PAGE] = 1;
    VAL(*(volatile long *)(base + 4 * PAGE - 4) != 1);
    printf("loop over a toggled page\n");
    for (int i = 0; i < 3; i++) {
        mprotect(base + 5 * PAGE, PAGE, PROT_NONE);
        v[5 * PAGE + i]++;
    }
    VAL(v[5 * PAGE] + v[5 * PAGE + 1] + v[5 * PAGE + 2]);
    return 0;
}
