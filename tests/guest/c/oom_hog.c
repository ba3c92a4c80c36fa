/* Guest only: takes memory of one kind until the machine has none left, or until a call is refused; by
 * several threads where that makes a difference. Ends with status 137 and one line of the machine's, or says
 * which call was refused and ends with 3: never with a hang, never with the kernel. */
#include "t.h"
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
/* The threads' functions never return. */
#pragma GCC diagnostic ignored "-Wreturn-type"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define MIB (1L << 20)
#define THREADS 4
static const char *kind;
static void refused(const char *call) {
    printf("%s: %s refused: %s\n", kind, call, errno_name(errno));
    exit(3);
}
static char *area(long len) {
    char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) refused("mmap");
    return p;
}
static void *touch_anonymous(void *unused) {
    for (;;) {
        char *p = area(4 * MIB);
        for (long i = 0; i < 4 * MIB; i += PAGE) p[i] = 1;
    }
}
static void *touch_shared(void *unused) {
    for (;;) {
        char *p = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) refused("mmap");
        for (long i = 0; i < 4 * MIB; i += PAGE) p[i] = 1;
    }
}
/* A touch each 2 MiB, or each GiB: page tables. */
static void *touch_sparsely(void *step) {
    for (;;) {
        char *p = area(64L << 30);
        for (long i = 0; i < 64L << 30; i += (long)step) (void)*(volatile char *)(p + i);
    }
}
static void *fill_memfd(void *unused) {
    int fd = memfd_create("hog", 0);
    for (long at = 0;; at += MIB) {
        if (ftruncate(fd, at + MIB)) refused("ftruncate");
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
        if (p == MAP_FAILED) refused("mmap");
        for (long i = 0; i < MIB; i += PAGE) p[i] = 1;
    }
}
static void *allocate_memfd(void *unused) {
    int fd = memfd_create("hog", 0);
    for (long at = 0;; at += 3 * MIB)
        if (fallocate(fd, 0, at, 3 * MIB)) refused("fallocate");
}
static void *write_tmp(void *unused) {
    static char b[64 << 10];
    char name[64];
    sprintf(name, "/dev/shm/hog%d", tid());
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    for (;;)
        if (write(fd, b, sizeof b) < 0) refused("write");
}
static void many_files(void) {
    struct rlimit r = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_NOFILE, &r)) refused("setrlimit");
}
static void make_pipes(void) {
    static char b[64 << 10];
    for (;;) {
        int p[2];
        if (pipe2(p, O_NONBLOCK)) refused("pipe2");
        if (write(p[1], b, sizeof b) < 0) refused("write");
    }
}
static void make_sockets(void) {
    static char b[64 << 10];
    for (;;) {
        int p[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p)) refused("socketpair");
        while (write(p[0], b, sizeof b) > 0) {
        }
        if (errno != EAGAIN) refused("write");
    }
}
static void make_eventfds(void) {
    for (;;)
        if (eventfd(0, 0) < 0) refused("eventfd");
}
static void make_epolls(void) {
    for (;;) {
        int e = eventfd(0, 0);
        if (e < 0) refused("eventfd");
        int p = epoll_create1(0);
        if (p < 0) refused("epoll_create1");
        struct epoll_event v = {.events = EPOLLIN};
        if (epoll_ctl(p, EPOLL_CTL_ADD, e, &v)) refused("epoll_ctl");
    }
}
static void make_timers(void) {
    struct sigevent s = {.sigev_notify = SIGEV_NONE};
    for (;;) {
        timer_t t;
        if (timer_create(CLOCK_MONOTONIC, &s, &t)) refused("timer_create");
    }
}
static void make_timerfds(void) {
    struct itimerspec v = {.it_value = {1000, 0}};
    for (;;) {
        int fd = timerfd_create(CLOCK_MONOTONIC, 0);
        if (fd < 0) refused("timerfd_create");
        timerfd_settime(fd, 0, &v, NULL);
    }
}
static void open_files(void) {
    for (;;)
        if (open("/proc/self/maps", O_RDONLY) < 0) refused("open");
}
static void make_names(void) {
    char name[300];
    memset(name, 'n', sizeof name);
    if (mkdir("/tmp/names", 0700) || chdir("/tmp/names")) refused("mkdir");
    for (long i = 0;; i++) {
        sprintf(name + 200, "%ld", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0) refused("open");
        close(fd);
    }
}
static void look_up_names(void) {
    char name[300];
    struct stat s;
    memset(name, 'n', sizeof name);
    for (long i = 0;; i++) {
        sprintf(name + 200, "%ld", i);
        stat(name, &s);
        if (i == 400000) errno = 0, refused("nothing");
    }
}
static void make_areas(void) {
    struct rlimit r = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_NOFILE, &r);
    char *p = area(64L << 30);
    for (long i = 0;; i += 2 * PAGE)
        if (mprotect(p + i, PAGE, PROT_READ)) refused("mprotect");
}
static void *park(void *unused) {
    static int word;
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return NULL;
}
static void make_threads(void) {
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 64 << 10);
    pthread_attr_setguardsize(&a, 0);
    for (;;) {
        pthread_t t;
        errno = pthread_create(&t, &a, park, NULL);
        if (errno) refused("pthread_create");
    }
}
static void queue_signals(void) {
    sigset_t s;
    sigfillset(&s);
    sigprocmask(SIG_BLOCK, &s, NULL);
    union sigval v = {0};
    struct rlimit r = {1 << 30, 1 << 30};
    setrlimit(RLIMIT_SIGPENDING, &r);
    for (;;)
        if (sigqueue(getpid(), SIGRTMIN, v)) refused("sigqueue");
}
static void set_xattrs(void) {
    char name[64], value[4096] = "v";
    int fd = open("/tmp/attributes", O_CREAT | O_RDWR, 0600);
    for (long i = 0;; i++) {
        sprintf(name, "user.a%ld", i);
        if (syscall(SYS_fsetxattr, fd, name, value, sizeof value, 0)) refused("fsetxattr");
    }
}
static void lock_pieces(void) {
    int fd = open("/tmp/locks", O_CREAT | O_RDWR, 0600);
    for (long i = 0;; i += 2) {
        struct flock l = {.l_type = F_WRLCK, .l_start = i, .l_len = 1};
        if (fcntl(fd, F_SETLK, &l)) refused("fcntl");
        if (i == 20000) errno = 0, refused("nothing");
    }
}
static void by_threads(void *(*f)(void *), long argument) {
    for (int i = 1; i < THREADS; i++) start(f, (void *)argument);
    f((void *)argument);
}
int main(int argc, char **argv) {
    kind = argv[1];
    printf("taking memory: %s\n", kind);
    many_files();
#define KIND(name, act)                                                                                      \
    if (!strcmp(kind, name)) act
    KIND("anonymous", by_threads(touch_anonymous, 0));
    KIND("shared", by_threads(touch_shared, 0));
    KIND("tables", by_threads(touch_sparsely, 2 * MIB));
    KIND("upper-tables", by_threads(touch_sparsely, 1L << 30));
    KIND("memfd", by_threads(fill_memfd, 0));
    KIND("memfd-allocate", by_threads(allocate_memfd, 0));
    KIND("tmpfs", by_threads(write_tmp, 0));
    KIND("pipes", make_pipes());
    KIND("sockets", make_sockets());
    KIND("eventfds", make_eventfds());
    KIND("epolls", make_epolls());
    KIND("timers", make_timers());
    KIND("timerfds", make_timerfds());
    KIND("files", open_files());
    KIND("names", make_names());
    KIND("lookups", look_up_names());
    KIND("areas", make_areas());
    KIND("threads", make_threads());
    KIND("signals", queue_signals());
    KIND("xattrs", set_xattrs());
    KIND("locks", lock_pieces());
    puts("no such kind");
    return 9;
}
