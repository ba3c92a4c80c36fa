/* poll, select, epoll and eventfd: level, edge and one-shot, MOD of what is not there, nesting, wake-ups
 * between threads. */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
static int ep, p[2];
static void add(int op, int fd, unsigned ev) {
    struct epoll_event e = {.events = ev, .data.u64 = 1000u + (unsigned)fd};
    errno = 0;
    int r = epoll_ctl(ep, op, fd, &e);
    printf("epoll_ctl %d %x: %s\n", op, ev, r ? errno_name(errno) : "ok");
}
static void waits(int timeout) {
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, timeout);
    printf("epoll_wait: %d", n);
    if (n < 0) printf(" %s", errno_name(errno));
    for (int i = 0; i < n; i++)
        printf(" %x%s", e[i].events, e[i].data.u64 == 1000u + (unsigned)p[0] ? "(p0)" : "");
    printf("\n");
}
static void *wakes(void *a) {
    sleep_ms(20);
    uint64_t one = 1;
    write((int)(long)a, &one, 8);
    return NULL;
}
static volatile int woken;
static void *one_waiter(void *a) {
    struct epoll_event e;
    if (epoll_wait((int)(long)a, &e, 1, 5000) == 1) __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
int main(void) {
    char b[64];
    pipe(p);
    ep = epoll_create1(EPOLL_CLOEXEC);
    waits(0);
    add(EPOLL_CTL_MOD, p[0], EPOLLIN);
    add(EPOLL_CTL_ADD, p[0], EPOLLIN);
    add(EPOLL_CTL_ADD, p[0], EPOLLIN);
    waits(0);
    write(p[1], "ab", 2);
    waits(0);
    waits(0);
    read(p[0], b, 1);
    waits(0);
    read(p[0], b, 1);
    waits(10);
    add(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET);
    write(p[1], "a", 1);
    waits(0);
    waits(0);
    write(p[1], "b", 1);
    waits(0);
    waits(0);
    read(p[0], b, 9);
    add(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT);
    write(p[1], "c", 1);
    waits(0);
    waits(0);
    add(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT);
    waits(0);
    waits(0);
    add(EPOLL_CTL_DEL, p[0], 0);
    add(EPOLL_CTL_DEL, p[0], 0);
    waits(0);
    add(EPOLL_CTL_ADD, p[1], EPOLLOUT);
    waits(0);
    add(EPOLL_CTL_DEL, p[1], 0);
    add(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLRDHUP);
    int d = dup(p[0]);
    read(p[0], b, 9);
    close(p[1]);
    waits(0);
    close(p[0]);
    waits(0);
    close(d);
    waits(0);
    int f = open("/proc/self/exe", O_RDONLY);
    add(EPOLL_CTL_ADD, f, EPOLLIN);
    add(EPOLL_CTL_ADD, 99, EPOLLIN);
    add(EPOLL_CTL_ADD, ep, EPOLLIN);
    add(99, f, 0);
    TRY(epoll_ctl(f, EPOLL_CTL_ADD, f, (void *)b));
    TRY(epoll_create1(7));
    TRY(epoll_create(0));
    TRY(epoll_wait(ep, (void *)b, 0, 0));
    TRY(epoll_wait(f, (void *)b, 1, 0));
    TRY(epoll_wait(ep, (void *)8, 1, 0));
    int e = eventfd(0, EFD_NONBLOCK), in = epoll_create1(0);
    uint64_t v = 5;
    TRY(read(e, &v, 8));
    VAL(write(e, &v, 8));
    VAL(write(e, &v, 8));
    TRY(read(e, &v, 4));
    VAL(read(e, &v, 8));
    VAL(v);
    v = -1;
    TRY(write(e, &v, 8));
    v = -2;
    VAL(write(e, &v, 8));
    v = 1;
    TRY(write(e, &v, 8));
    read(e, &v, 8);
    TRY(eventfd(0, 77));
    int sem = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 4; i++) {
        v = 9;
        long r = read(sem, &v, 8);
        printf("semaphore read %ld %ld\n", r, (long)v);
    }
    struct epoll_event ee = {.events = EPOLLIN};
    TRY(epoll_ctl(in, EPOLL_CTL_ADD, e, &ee));
    add(EPOLL_CTL_ADD, in, EPOLLIN);
    waits(0);
    v = 1;
    write(e, &v, 8);
    waits(0);
    struct pollfd q = {ep, POLLIN, 0};
    VAL(poll(&q, 1, 0));
    VAL(q.revents);
    read(e, &v, 8);
    waits(0);
    VAL(poll(&q, 1, 0));
    TRY(epoll_ctl(in, EPOLL_CTL_ADD, ep, &ee));
    fcntl(e, F_SETFL, 0);
    pthread_t t = start(wakes, (void *)(long)e);
    VAL(epoll_wait(in, &ee, 1, 5000));
    pthread_join(t, NULL);
    read(e, &v, 8);
    t = start(wakes, (void *)(long)e);
    VAL(read(e, &v, 8));
    pthread_join(t, NULL);
    pthread_t w[3];
    for (int i = 0; i < 3; i++) w[i] = start(one_waiter, (void *)(long)in);
    sleep_ms(10);
    write(e, &v, 8);
    for (int i = 0; i < 3; i++) pthread_join(w[i], NULL);
    VAL(woken);
    pipe(p);
    struct pollfd m[4] = {{p[0], POLLIN, 0}, {99, POLLIN, 0}, {-1, POLLIN, 7}, {f, POLLIN | POLLOUT, 0}};
    VAL(poll(m, 4, 0));
    for (int i = 0; i < 4; i++) printf("revents %x\n", m[i].revents);
    int64_t t0 = now_ns();
    VAL(poll(m, 1, 30));
    IS(now_ns() - t0 >= 29000000);
    VAL(poll(NULL, 0, 1));
    TRY(poll((void *)8, 1, 0));
    TRY(poll(m, 1 << 30, 0));
    TRY(ppoll(m, 1, &(struct timespec){0, 1}, NULL));
    TRY(ppoll(m, 1, &(struct timespec){0, -1}, NULL));
    fd_set s;
    FD_ZERO(&s);
    FD_SET(p[0], &s);
    struct timeval tv = {0, 1000};
    VAL(select(p[0] + 1, &s, NULL, NULL, &tv));
    VAL(FD_ISSET(p[0], &s) != 0);
    write(p[1], "x", 1);
    FD_SET(p[0], &s);
    VAL(select(p[0] + 1, &s, NULL, NULL,
               NULL)); /* Linux looks only as far as its descriptor table reaches: make it reach 98. */
    dup2(p[0], 98);
    close(98);
    FD_ZERO(&s);
    FD_SET(98, &s);
    TRY(select(99, &s, NULL, NULL, &tv));
    TRY(select(-1, NULL, NULL, NULL, &tv));
    return 0;
}
