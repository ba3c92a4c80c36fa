/* The alternate stack: handlers on it, SS_ONSTACK, AUTODISARM's absence, overflow of the normal stack caught
 * there; siglongjmp out. */
#include "t.h"
#include <setjmp.h>
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static char *alt;
static sigjmp_buf back;
static long alt_size;
static int on_alt(void *p) { return (char *)p >= alt && (char *)p < alt + alt_size; }
static void plain(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    int x;
    printf("plain handler on alternate stack: %d\n", on_alt(&x));
}
static void alternate(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    int x;
    stack_t st;
    ucontext_t *u = c;
    sigaltstack(NULL, &st);
    printf("on alternate stack: %d flags %d, uc_stack flags %d\n", on_alt(&x), st.ss_flags,
           u->uc_stack.ss_flags);
    stack_t z = {.ss_flags = SS_DISABLE};
    TRY(sigaltstack(&z, NULL));
    raise(SIGUSR2);
}
static void overflow(int s, siginfo_t *i, void *c) {
    (void)c;
    int x;
    printf("overflow: %s code %d on alternate stack %d\n", sigabbrev_np(s), i->si_code, on_alt(&x));
    siglongjmp(back, 1);
}
static int deep(volatile char *p) {
    volatile char frame[1000];
    frame[0] = *p;
    return deep(frame) + frame[0];
}
static void *in_thread(void *p) {
    alt_size = 64 << 10;
    alt = malloc((size_t)alt_size);
    stack_t st = {.ss_sp = alt, .ss_size = (size_t)alt_size};
    sigaltstack(&st, NULL);
    volatile char c = 0;
    for (int k = 0; k < 3; k++)
        if (!sigsetjmp(back, 1))
            deep(&c);
        else
            printf("back\n");
    return p;
}
int main(void) {
    on(SIGUSR1, plain, 0);
    raise(SIGUSR1);
    on(SIGUSR1, plain, SA_ONSTACK);
    raise(SIGUSR1);
    alt_size = 64 << 10;
    alt = malloc((size_t)alt_size);
    stack_t st = {.ss_sp = alt, .ss_size = (size_t)alt_size}, o;
    TRY(sigaltstack(&st, &o));
    VAL(o.ss_flags);
    on(SIGUSR2, plain, SA_ONSTACK);
    on(SIGUSR1, alternate, SA_ONSTACK);
    raise(SIGUSR1);
    sigaltstack(NULL, &o);
    VAL(o.ss_flags);
    st.ss_size = 100;
    TRY(sigaltstack(&st, NULL));
    st.ss_size = 1 << 16;
    st.ss_flags = 77;
    TRY(sigaltstack(&st, NULL));
    TRY(sigaltstack((void *)8, NULL));
    on(SIGSEGV, overflow, SA_ONSTACK);
    volatile char c = 0;
    for (volatile int k = 0; k < 3; k++)
        if (!sigsetjmp(back, 1))
            deep(&c);
        else
            printf("back\n");
    pthread_join(start(in_thread, NULL), NULL);
    return 0;
}
