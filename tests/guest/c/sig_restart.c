/* Blocking calls that a signal interrupts: EINTR, restarted with SA_RESTART, or never restarted. */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
static volatile int caught;
static volatile pid_t who;
static int fds[2], sv[2], ep, ev;
static void handler(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    caught++;
}
static long do_read(void) {
    char b;
    return read(fds[0], &b, 1);
}
static long do_recv(void) {
    char b;
    return recv(sv[0], &b, 1, 0);
}
static long do_eventfd(void) {
    uint64_t v;
    return read(ev, &v, 8);
}
static long do_poll(void) {
    struct pollfd p = {fds[0], POLLIN, 0};
    return poll(&p, 1, -1);
}
static long do_select(void) {
    fd_set s;
    FD_ZERO(&s);
    FD_SET(fds[0], &s);
    return select(fds[0] + 1, &s, NULL, NULL, NULL);
}
static long do_epoll(void) {
    struct epoll_event e;
    return epoll_wait(ep, &e, 1, -1);
}
static long do_nanosleep(void) {
    struct timespec t = {0, 200000000}, r = {0, 0};
    long x = nanosleep(&t, &r);
    if (x) {
        if (!(r.tv_nsec > 0 && r.tv_nsec <= 200000000)) printf("rem wrong ");
    }
    return x;
}
static long do_abs_sleep(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 200000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    int e = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    if (e) {
        errno = e;
        return -1;
    }
    return 0;
}
static long do_pause(void) { return pause(); }
static void *sender(void *p) {
    pthread_t main_thread = *(pthread_t *)p;
    sleep_ms(1);
    until_asleep(who);
    int before = caught;
    pthread_kill(main_thread, SIGUSR1);
    for (int i = 0; i < 3000 && caught == before; i++) sleep_ms(1);
    sleep_ms(20);
    uint64_t one = 1; /* what a restarted call waits for */
    write(fds[1], "x", 1);
    write(sv[1], "x", 1);
    write(ev, &one, 8);
    return NULL;
}
static void drain(void) {
    char b[8];
    uint64_t v;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    while (read(fds[0], b, 8) > 0) {
    }
    fcntl(fds[0], F_SETFL, 0);
    while (recv(sv[0], b, 8, MSG_DONTWAIT) > 0) {
    }
    fcntl(ev, F_SETFL, O_NONBLOCK);
    while (read(ev, &v, 8) > 0) {
    }
    fcntl(ev, F_SETFL, 0);
}
static void run(const char *name, long (*f)(void), int flags) {
    on(SIGUSR1, handler, flags);
    drain();
    caught = 0;
    pthread_t self = pthread_self(), t = start(sender, &self);
    errno = 0;
    long r = f();
    int e = r == -1 ? errno : 0;
    pthread_join(t, NULL);
    printf("%-10s %s: %ld %s, caught %d\n", name, flags ? "restart" : "plain  ", r, errno_name(e), caught);
}
int main(void) {
    who = tid();
    pipe(fds);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    ep = epoll_create1(0);
    ev = eventfd(0, 0);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e);
    struct {
        const char *n;
        long (*f)(void);
    } c[] = {{"read", do_read},           {"recv", do_recv},           {"eventfd", do_eventfd},
             {"poll", do_poll},           {"select", do_select},       {"epoll", do_epoll},
             {"nanosleep", do_nanosleep}, {"abs sleep", do_abs_sleep}, {"pause", do_pause}};
    for (unsigned i = 0; i < sizeof c / sizeof *c; i++) {
        run(c[i].n, c[i].f, 0);
        run(c[i].n, c[i].f, SA_RESTART);
    }
    return 0;
}
