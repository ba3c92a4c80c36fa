/* Stop signals: every thread stops until SIGCONT, which a timer sends here; what is pending meanwhile, what a
 * stopped system call gives, that SIGCONT and stop signals cancel each other, handlers of both. */
#include "t.h"
#include <sys/epoll.h>
static volatile unsigned long spins;
static volatile int handled, quit;
static volatile pid_t sleeper_tid;
/* What a thread saw: printed by main, since nothing says who runs first after the stop. */
static char said[100];
static void handler(int s, siginfo_t *i, void *c) {
    (void)c;
    handled++;
    printf("  in the handler of %s, code %d\n", sigabbrev_np(s), i->si_code);
}
static void *spin(void *a) {
    while (!quit) {
        spins++;
    }
    return a;
}
static void *sleeper(void *a) {
    sleeper_tid = tid();
    struct timespec t = {0, 30000000};
    int64_t begin = now_ns();
    int r = nanosleep(&t, NULL);
    snprintf(said, sizeof said, "nanosleep over the stop: %d, long enough: %d\n", r,
             now_ns() - begin >= 30000000);
    return a;
}
static void *in_epoll(void *a) {
    sleeper_tid = tid();
    int ep = epoll_create1(0);
    struct epoll_event e;
    int r = epoll_wait(ep, &e, 1, 100);
    snprintf(said, sizeof said, "epoll_wait over the stop: %d %s\n", r, errno_name(r < 0 ? errno : 0));
    close(ep);
    return a;
}
static timer_t timer;
static void continue_in(long ms) {
    struct itimerspec s = {{0, 0}, {0, ms * 1000000}};
    timer_settime(timer, 0, &s, NULL);
}
static void stop_for(const char *what, int sig, long ms) {
    continue_in(ms);
    int64_t begin = now_ns();
    kill(getpid(), sig);
    printf("%s: stopped: %s\n", what, now_ns() - begin >= (ms - 1) * 1000000 ? "yes" : "no");
}
int main(void) {
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
    TRY(timer_create(CLOCK_MONOTONIC, &e, &timer));
    stop_for("SIGSTOP", SIGSTOP, 30);
    printf("with a thread that runs\n");
    pthread_t t = start(spin, NULL);
    while (!spins) {
        sched_yield();
    }
    stop_for("SIGSTOP", SIGSTOP, 30);
    unsigned long seen = spins;
    while (spins == seen) {
        sched_yield();
    }
    quit = 1;
    pthread_join(t, NULL);
    printf("with threads in system calls\n");
    t = start(sleeper, NULL);
    while (!sleeper_tid) {
        sched_yield();
    }
    until_asleep(sleeper_tid);
    stop_for("SIGSTOP", SIGSTOP, 60);
    pthread_join(t, NULL);
    fputs(said, stdout);
    sleeper_tid = 0;
    t = start(in_epoll, NULL);
    while (!sleeper_tid) {
        sched_yield();
    }
    until_asleep(sleeper_tid);
    stop_for("SIGSTOP", SIGSTOP, 30);
    pthread_join(t, NULL);
    fputs(said, stdout);
    printf("a handler of SIGCONT runs after the stop\n");
    on(SIGCONT, handler, SA_RESTART);
    stop_for("SIGSTOP", SIGSTOP, 20);
    VAL(handled);
    printf("a handler of SIGTSTP instead of the stop\n");
    on(SIGTSTP, handler, SA_RESTART);
    kill(getpid(), SIGTSTP);
    printf("cancelling\n");
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGTTIN);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGTSTP);
    raise(SIGTTIN);
    sigpending(&pending);
    printf("pending: %d %d %d\n", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN),
           sigismember(&pending, SIGCONT));
    kill(getpid(), SIGCONT);
    sigpending(&pending);
    printf("pending: %d %d %d\n", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN),
           sigismember(&pending, SIGCONT));
    kill(getpid(), SIGTSTP);
    sigpending(&pending);
    printf("pending: %d %d %d\n", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN),
           sigismember(&pending, SIGCONT));
    signal(SIGTSTP, SIG_IGN);
    stop_for("blocked SIGCONT continues", SIGSTOP, 20);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    VAL(handled);
    timer_delete(timer);
    return 0;
}
