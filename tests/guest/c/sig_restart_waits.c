/* More calls that wait while a signal comes: which go on with SA_RESTART, which end with EINTR all the same.
 * Each case has what ends its wait; a call that ended before does not need it. */
#include "t.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
static volatile int caught;
static pid_t who;
static int a, b, word;
static struct sockaddr_un address = {AF_UNIX, "\0sig_restart_waits"};
static const struct timeval minute = {60, 0};
static void handler(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    caught++;
}

static void no_setup(void) { a = b = -1; }
static void with_pipe(void) {
    int p[2];
    pipe(p);
    a = p[0];
    b = p[1];
}
static void full_pipe(void) {
    static char page[PAGE];
    with_pipe();
    fcntl(b, F_SETFL, O_NONBLOCK);
    while (write(b, page, PAGE) > 0) {
    }
    fcntl(b, F_SETFL, 0);
}
static void read_much(void) {
    static char much[1 << 16];
    read(a, much, sizeof much);
}
static void write_one(void) { write(b, "x", 1); }
static void with_pair(void) {
    int p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    a = p[0];
    b = p[1];
}
static void pair_with_timeout(void) {
    with_pair();
    setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
}
static void with_listener(void) {
    a = socket(AF_UNIX, SOCK_STREAM, 0);
    b = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(a, (void *)&address, sizeof address);
    listen(a, 1);
}
static void listener_with_timeout(void) {
    with_listener();
    setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
}
static void connect_b(void) { connect(b, (void *)&address, sizeof address); }
static void with_lock(void) {
    a = open("/tmp/sig_restart_waits", O_CREAT | O_RDWR, 0600);
    b = open("/tmp/sig_restart_waits", O_RDWR);
    unlink("/tmp/sig_restart_waits");
    flock(b, LOCK_EX);
    struct flock l = {.l_type = F_WRLCK};
    fcntl(b, F_OFD_SETLK, &l);
}
static void unlock(void) {
    flock(b, LOCK_UN);
    struct flock l = {.l_type = F_UNLCK};
    fcntl(b, F_OFD_SETLK, &l);
}
static void with_fifo(void) {
    no_setup();
    mkfifo("/tmp/sig_restart_waits", 0600);
}
static void open_fifo(void) { b = open("/tmp/sig_restart_waits", O_RDWR); }
static void with_timer(void) {
    a = timerfd_create(CLOCK_MONOTONIC, 0);
    b = -1;
}
static void arm(void) {
    struct itimerspec soon = {{0, 0}, {0, 1}};
    timerfd_settime(a, 0, &soon, NULL);
}
static void with_signalfd(void) {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    a = signalfd(-1, &s, 0);
    b = -1;
}
static void send_usr2(void) { kill(getpid(), SIGUSR2); }
static void with_epoll(void) {
    with_pipe();
    int e = epoll_create1(0);
    struct epoll_event v = {.events = EPOLLIN};
    /* The pipe's own end stays open to the end. */
    int end = dup(a);
    epoll_ctl(e, EPOLL_CTL_ADD, end, &v);
    dup2(e, a);
    close(e);
}
static void futex_setup(void) {
    no_setup();
    word = 0;
}
static void futex_wake(void) {
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static char byte[8];
static struct iovec vector = {byte, 1};
static long do_write(void) { return write(b, "x", 1); }
static long do_recv(void) { return recv(a, byte, 1, 0); }
static long do_recvmsg(void) {
    struct msghdr m = {.msg_iov = &vector, .msg_iovlen = 1};
    return recvmsg(a, &m, 0);
}
static long do_accept(void) {
    int fd = accept(a, NULL, NULL);
    return fd < 0 ? -1 : close(fd);
}
static long do_flock(void) { return flock(a, LOCK_EX); }
static long do_lock(void) {
    struct flock l = {.l_type = F_WRLCK};
    return fcntl(a, F_OFD_SETLKW, &l);
}
static long do_open(void) {
    int fd = open("/tmp/sig_restart_waits", O_RDONLY);
    return fd < 0 ? -1 : close(fd);
}
static long do_read8(void) { return read(a, byte, 8); }
static long do_signalfd(void) {
    struct signalfd_siginfo i;
    return read(a, &i, sizeof i) == sizeof i ? 1 : -1;
}
static long do_ppoll(void) {
    struct pollfd p = {a, POLLIN, 0};
    struct timespec t = {60, 0};
    return ppoll(&p, 1, &t, NULL);
}
static long do_pselect(void) {
    fd_set s;
    FD_ZERO(&s);
    FD_SET(a, &s);
    struct timespec t = {60, 0};
    return pselect(a + 1, &s, NULL, NULL, &t, NULL);
}
static long do_epoll_pwait(void) {
    struct epoll_event e;
    sigset_t none;
    sigemptyset(&none);
    sigaddset(&none, SIGUSR2);
    return epoll_pwait(a, &e, 1, 60000, &none);
}
static long do_futex(void) {
    long r = syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    return r == -1 && errno == EAGAIN ? 0 : r;
}
static long do_futex_timed(void) {
    struct timespec t = {60, 0};
    long r = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0);
    return r == -1 && errno == EAGAIN ? 0 : r;
}
static long do_sigtimedwait(void) {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    struct timespec t = {60, 0};
    return sigtimedwait(&s, NULL, &t);
}
static long do_sigsuspend(void) {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    return sigsuspend(&s);
}
static void nothing(void) {}

static const struct {
    const char *name;
    void (*setup)(void);
    long (*call)(void);
    void (*release)(void);
} cases[] = {{"write to a full pipe", full_pipe, do_write, read_much},
             {"recvmsg", with_pair, do_recvmsg, write_one},
             {"recv with SO_RCVTIMEO", pair_with_timeout, do_recv, write_one},
             {"accept", with_listener, do_accept, connect_b},
             {"accept with SO_RCVTIMEO", listener_with_timeout, do_accept, connect_b},
             {"flock", with_lock, do_flock, unlock},
             {"F_OFD_SETLKW", with_lock, do_lock, unlock},
             {"open of a FIFO", with_fifo, do_open, open_fifo},
             {"timerfd read", with_timer, do_read8, arm},
             {"signalfd read", with_signalfd, do_signalfd, send_usr2},
             {"ppoll", with_pipe, do_ppoll, write_one},
             {"pselect", with_pipe, do_pselect, write_one},
             {"epoll_pwait", with_epoll, do_epoll_pwait, write_one},
             {"futex", futex_setup, do_futex, futex_wake},
             {"futex with a time", futex_setup, do_futex_timed, futex_wake},
             {"sigtimedwait", no_setup, do_sigtimedwait, send_usr2},
             {"sigsuspend", no_setup, do_sigsuspend, nothing}};

static void *sender(void *p) {
    unsigned i = *(unsigned *)((void **)p)[0];
    sleep_ms(1);
    until_asleep(who);
    pthread_kill(*(pthread_t *)((void **)p)[1], SIGUSR1);
    for (int n = 0; n < 3000 && !caught; n++) sleep_ms(1);
    cases[i].release();
    return NULL;
}
static void run(unsigned i, int flags) {
    on(SIGUSR1, handler, flags);
    cases[i].setup();
    caught = 0;
    pthread_t self = pthread_self();
    void *given[2] = {&i, &self};
    pthread_t t = start(sender, given);
    errno = 0;
    long r = cases[i].call();
    int e = r == -1 ? errno : 0;
    pthread_join(t, NULL);
    printf("%-24s %s: %ld %s, caught %d\n", cases[i].name, flags ? "restart" : "plain  ", r, errno_name(e),
           caught);
    if (a >= 0) close(a);
    if (b >= 0) close(b);
    unlink("/tmp/sig_restart_waits");
    /* What was sent to end a wait that had ended already. */
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    struct timespec now = {0, 0};
    sigtimedwait(&s, NULL, &now);
}
int main(void) {
    who = tid();
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(i, 0);
        run(i, SA_RESTART);
    }
    return 0;
}
