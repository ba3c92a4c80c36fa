/* Signal queues: masks, pending sets, order of delivery, real-time values, coalescing, what siginfo says of
 * the sender. */
#include "t.h"
static volatile int n;
static void handler(int s, siginfo_t *i, void *c) {
    (void)c;
    n++;
    printf("  %d: signal %d code %d value %d pid %s\n", n, s, i->si_code,
           i->si_code == SI_QUEUE ? i->si_value.sival_int : 0, i->si_pid == getpid() ? "own" : "?");
}
static void nested(int s, siginfo_t *i, void *c) {
    (void)i;
    (void)c;
    printf("  in %d\n", s);
    if (s == SIGUSR1) {
        raise(SIGUSR2);
        raise(SIGUSR1);
        printf("  leaving %d\n", s);
    }
}
int main(void) {
    sigset_t set, old, pend;
    sigemptyset(&set);
    for (int s = SIGRTMIN; s < SIGRTMIN + 4; s++) {
        sigaddset(&set, s);
        on(s, handler, 0);
    }
    int std[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGTERM};
    for (int i = 0; i < 4; i++) {
        sigaddset(&set, std[i]);
        on(std[i], handler, 0);
    }
    TRY(sigprocmask(SIG_BLOCK, &set, &old));
    VAL(sigismember(&old, SIGUSR1));
    for (int i = 0; i < 3; i++) {
        union sigval v = {.sival_int = 100 + i};
        sigqueue(getpid(), SIGRTMIN + 1, v);
        sigqueue(getpid(), SIGRTMIN, v);
        sigqueue(getpid(), SIGUSR2, v);
    }
    kill(getpid(), SIGTERM);
    raise(SIGHUP);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigpending(&pend);
    printf("pending:");
    for (int s = 1; s < 65; s++)
        if (sigismember(&pend, s)) printf(" %d", s);
    printf("\n");
    VAL(n);
    TRY(sigprocmask(SIG_SETMASK, &old, NULL));
    VAL(n);
    sigpending(&pend);
    VAL(sigisemptyset(&pend));
    printf("ignored signals are not kept\n");
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    sigpending(&pend);
    VAL(sigismember(&pend, SIGUSR1));
    raise(SIGUSR2);
    signal(SIGUSR2, SIG_IGN);
    sigpending(&pend);
    VAL(sigismember(&pend, SIGUSR2));
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("nesting\n");
    on(SIGUSR1, nested, 0);
    on(SIGUSR2, nested, 0);
    raise(SIGUSR2);
    printf("sa_mask holds others back\n");
    struct sigaction a = {.sa_sigaction = nested, .sa_flags = SA_SIGINFO};
    sigfillset(&a.sa_mask);
    sigaction(SIGUSR1, &a, NULL);
    /* the second USR1 raised in the handler arrives once it left: end that recursion */
    a.sa_flags |= SA_RESETHAND;
    sigaction(SIGUSR1, &a, NULL);
    on(SIGUSR2, handler, 0);
    sigset_t u1;
    sigemptyset(&u1);
    sigaddset(&u1, SIGUSR2);
    n = 0;
    raise(SIGUSR2);
    VAL(n);
    struct sigaction now;
    sigaction(SIGUSR2, NULL, &now);
    VAL(now.sa_flags & SA_SIGINFO ? 1 : 0);
    printf("refusals\n");
    TRY(sigaction(SIGKILL, &a, NULL));
    TRY(sigaction(SIGSTOP, &a, NULL));
    TRY(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    TRY(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16));
    TRY(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
    TRY(syscall(SYS_rt_sigprocmask, 7, &u1, NULL, 8));
    TRY(syscall(SYS_rt_sigprocmask, 7, NULL, NULL, 8));
    TRY(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &u1, NULL, 4));
    TRY(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8));
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigprocmask(SIG_BLOCK, NULL, &now.sa_mask);
    VAL(sigismember(&now.sa_mask, SIGKILL));
    VAL(sigismember(&now.sa_mask, SIGSTOP));
    VAL(sigismember(&now.sa_mask, SIGSEGV));
    return 0;
}
