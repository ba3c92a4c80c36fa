/* timer_create, setitimer, alarm, timerfd. */
#include "t.h"
#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>
static volatile int fired, value;
static volatile pid_t in;
static void handler(int s, siginfo_t *i, void *c) {
    (void)c;
    fired++;
    in = tid();
    value = s == SIGRTMIN ? i->si_value.sival_int * 100 + (i->si_code == SI_TIMER) : i->si_code;
}
static void *notified(void *p) { return p; }
static void thread_notify(union sigval v) {
    value = v.sival_int;
    __atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
}
static volatile pid_t helper;
static volatile int quit;
static void *sleeper(void *p) {
    helper = tid();
    while (!quit) sleep_ms(1);
    return p;
}
static void until(int n) {
    for (int i = 0; i < 5000 && fired < n; i++) sleep_ms(1);
}
int main(void) {
    on(SIGRTMIN, handler, SA_RESTART);
    on(SIGALRM, handler, SA_RESTART);
    timer_t t;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 5};
    struct itimerspec s = {{0, 0}, {0, 10000000}}, o;
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t));
    TRY(timer_gettime(t, &o));
    VAL(o.it_value.tv_sec + o.it_value.tv_nsec);
    int64_t t0 = now_ns();
    TRY(timer_settime(t, 0, &s, NULL));
    until(1);
    VAL(fired);
    VAL(value);
    IS(now_ns() - t0 >= 10000000);
    s.it_interval.tv_nsec = s.it_value.tv_nsec = 2000000;
    fired = 0;
    t0 = now_ns();
    TRY(timer_settime(t, 0, &s, NULL));
    until(5);
    IS(fired >= 5);
    IS(now_ns() - t0 >= 10000000);
    timer_gettime(t, &o);
    VAL(o.it_interval.tv_nsec);
    IS(o.it_value.tv_nsec > 0 && o.it_value.tv_nsec <= 2000000);
    TRY(timer_settime(t, 0, &(struct itimerspec){0}, &o));
    VAL(o.it_interval.tv_nsec);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fired = 0;
    timer_settime(t, 0, &s, NULL);
    sleep_ms(50);
    siginfo_t si;
    struct timespec zero = {0, 0};
    int first = sigtimedwait(&set, &si, &zero);
    IS(first == SIGRTMIN);
    IS(si.si_overrun >= 3);
    timer_settime(t, 0, &(struct itimerspec){0}, NULL);
    while (sigtimedwait(&set, &si, &zero) > 0) {
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    TRY(timer_delete(t));
    TRY(timer_delete(t));
    TRY(timer_settime(t, 0, &s, NULL));
    clock_gettime(CLOCK_REALTIME, &s.it_value);
    s.it_interval.tv_nsec = 0;
    fired = 0;
    TRY(timer_create(CLOCK_REALTIME, &e, &t));
    TRY(timer_settime(t, TIMER_ABSTIME, &s, NULL));
    until(1);
    VAL(fired);
    timer_delete(t);
    pthread_t th = start(sleeper, NULL);
    while (!helper) sched_yield();
    e.sigev_notify = SIGEV_THREAD_ID;
    e._sigev_un._tid = helper;
    fired = 0;
    s = (struct itimerspec){{0, 0}, {0, 3000000}};
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t));
    TRY(timer_settime(t, 0, &s, NULL));
    until(1);
    IS(in == helper);
    timer_delete(t);
    quit = 1;
    pthread_join(th, NULL);
    e = (struct sigevent){.sigev_notify = SIGEV_NONE};
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t));
    TRY(timer_settime(t, 0, &s, NULL));
    timer_delete(t);
    TRY(timer_create(99, NULL, &t));
    e.sigev_notify = 77;
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t));
    int id;
    TRY(syscall(SYS_timer_create, CLOCK_MONOTONIC, (void *)8, &id));
    TRY(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, (void *)8));
    e = (struct sigevent){
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = thread_notify, .sigev_value.sival_int = 9};
    fired = 0;
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t));
    timer_settime(t, 0, &s, NULL);
    until(1);
    VAL(value);
    timer_delete(t);
    e = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 6};
    fired = 0; /* a CPU-time timer */
    TRY(timer_create(CLOCK_THREAD_CPUTIME_ID, &e, &t));
    timer_settime(t, 0, &s, NULL);
    t0 = now_ns();
    while (!fired && now_ns() - t0 < 3000000000) {
    }
    VAL(value);
    timer_delete(t);
    struct itimerval iv = {{0, 0}, {0, 5000}}, ov;
    fired = 0;
    TRY(setitimer(ITIMER_REAL, &iv, NULL));
    until(1);
    VAL(fired);
    VAL(value);
    TRY(getitimer(ITIMER_REAL, &ov));
    VAL(ov.it_value.tv_usec);
    VAL(alarm(100));
    VAL(alarm(0));
    TRY(setitimer(9, &iv, NULL));
    iv.it_value.tv_usec = 1000000;
    TRY(setitimer(ITIMER_REAL, &iv, NULL));
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    uint64_t n = 0;
    TRY(read(fd, &n, 8));
    s = (struct itimerspec){{0, 5000000}, {0, 5000000}};
    TRY(timerfd_settime(fd, 0, &s, NULL));
    struct pollfd p = {fd, POLLIN, 0};
    VAL(poll(&p, 1, 3000));
    VAL(read(fd, &n, 8));
    IS(n >= 1);
    TRY(read(fd, &n, 4));
    sleep_ms(30);
    read(fd, &n, 8);
    IS(n >= 4);
    TRY(timerfd_gettime(fd, &o));
    VAL(o.it_interval.tv_nsec);
    TRY(timerfd_settime(fd, 0, &(struct itimerspec){{0, 0}, {0, 1000000000}}, NULL));
    TRY(timerfd_create(99, 0));
    TRY(timerfd_create(CLOCK_MONOTONIC, 1));
    TRY(timerfd_settime(0, 0, &s, NULL));
    pthread_join(start(notified, NULL), NULL);
    return 0;
}
