/* signalfd: what a read gives of each kind of signal, in which order, poll and epoll, a blocking read, a
 * changed mask, refusals. */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
static int fd;
static void show(void) {
    struct signalfd_siginfo s[8];
    long n = read(fd, s, sizeof s);
    printf("read: %ld %s\n", n, errno_name(n < 0 ? errno : 0));
    for (long i = 0; i < n / (long)sizeof *s; i++) {
        printf("  %u code %d pid %s value %d tid %u overrun %u addr %lu\n", s[i].ssi_signo, s[i].ssi_code,
               s[i].ssi_pid == (uint32_t)getpid() ? "own"
               : s[i].ssi_pid                     ? "?"
                                                  : "0",
               s[i].ssi_int, s[i].ssi_tid, s[i].ssi_overrun, s[i].ssi_addr);
    }
}
static int ready(void) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 0);
    return p.revents;
}
static volatile pid_t reader;
static void *blocked(void *a) {
    reader = tid();
    struct signalfd_siginfo s;
    long n = read(fd, &s, sizeof s);
    printf("blocking read: %ld signal %u value %d\n", n, s.ssi_signo, s.ssi_int);
    return a;
}
int main(void) {
    sigset_t set, one;
    sigemptyset(&set);
    for (int s = SIGRTMIN; s < SIGRTMIN + 3; s++) {
        sigaddset(&set, s);
    }
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    VAL((fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) >= 0);
    VAL(fcntl(fd, F_GETFD));
    VAL(ready());
    show();
    union sigval v = {.sival_int = 5};
    sigqueue(getpid(), SIGRTMIN + 1, v);
    v.sival_int = 6;
    sigqueue(getpid(), SIGRTMIN + 1, v);
    sigqueue(getpid(), SIGRTMIN, v);
    kill(getpid(), SIGUSR2);
    raise(SIGUSR1);
    VAL(ready());
    show();
    VAL(ready());
    timer_t t;
    struct sigevent e = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 9};
    struct itimerspec s = {{0, 0}, {0, 1000000}};
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t));
    timer_settime(t, 0, &s, NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    VAL(poll(&p, 1, 5000));
    show();
    timer_delete(t);
    printf("epoll\n");
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    TRY(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    VAL(epoll_wait(ep, &ev, 1, 0));
    kill(getpid(), SIGUSR1);
    VAL(epoll_wait(ep, &ev, 1, 1000));
    VAL(epoll_wait(ep, &ev, 1, 0));
    show();
    printf("another mask\n");
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    VAL(signalfd(fd, &one, 0) == fd);
    raise(SIGUSR1);
    VAL(ready());
    raise(SIGUSR2);
    VAL(ready());
    show();
    VAL(signalfd(fd, &set, 0) == fd);
    show();
    printf("a blocking read\n");
    fcntl(fd, F_SETFL, 0);
    pthread_t th = start(blocked, NULL);
    while (!reader) {
        sched_yield();
    }
    until_asleep(reader);
    v.sival_int = 77;
    sigqueue(getpid(), SIGRTMIN, v);
    pthread_join(th, NULL);
    printf("refusals\n");
    char small[64];
    raise(SIGUSR1);
    VAL(read(fd, small, sizeof small));
    VAL(write(fd, small, 8));
    VAL(signalfd(0, &set, 0));
    VAL(signalfd(99, &set, 0));
    VAL(signalfd(-1, &set, 1));
    VAL(syscall(SYS_signalfd4, -1, &set, 4, 0));
    VAL(syscall(SYS_signalfd4, -1, (void *)8, 8, 0));
    return 0;
}
