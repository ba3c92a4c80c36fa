/* What every guest test shares: results are printed as "text of the call: outcome", so that a difference
 * names its cause. A test is an ordinary Linux program: the same binary runs on the host and in the guest,
 * and stdout, stderr and status must be equal. A test runs as root on a person's machine, in host/sandbox.sh:
 * it changes nothing outside /tmp and /dev/shm, and signals no process but itself. Print nothing that differs
 * from run to run (addresses, times, ids): print comparisons. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* Bad arguments are what some tests are about. */
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wunused-result"

#define PAGE 4096L

/* Whole lines go out at once, so that a deadly signal loses none. */
__attribute__((constructor)) static void line_buffered(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

__attribute__((unused)) static const char *errno_name(int e) {
    const char *s = strerrorname_np(e);
    return e == 0 ? "0" : s ? s : "?";
}

/* Runs a call that gives -1 (or MAP_FAILED) on failure; prints "ok" or the error's name; its value is the
 * call's. */
#define TRY(call)                                                                                            \
    ({                                                                                                       \
        errno = 0;                                                                                           \
        long try_r = (long)(call);                                                                           \
        printf("%s: %s\n", #call, try_r == -1 ? errno_name(errno) : "ok");                                   \
        try_r;                                                                                               \
    })
/* The same for pthread calls, which return the error. */
#define TRYP(call)                                                                                           \
    ({                                                                                                       \
        int try_e = (call);                                                                                  \
        printf("%s: %s\n", #call, try_e ? errno_name(try_e) : "ok");                                         \
        try_e;                                                                                               \
    })
/* Prints a number. */
#define VAL(expr)                                                                                            \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long val_r = (long)(expr);                                                                           \
        if (val_r == -1 && errno)                                                                            \
            printf("%s: %s\n", #expr, errno_name(errno));                                                    \
        else                                                                                                 \
            printf("%s = %ld\n", #expr, val_r);                                                              \
    } while (0)
/* Prints whether a condition holds. */
#define IS(cond) printf("%s: %s\n", #cond, (cond) ? "yes" : "NO")

__attribute__((unused)) static void *pages(long n, int prot) {
    void *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(99);
    }
    return p;
}
__attribute__((unused)) static int64_t clock_ns(clockid_t c) {
    struct timespec t;
    clock_gettime(c, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
__attribute__((unused)) static int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
__attribute__((unused)) static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) == -1 && errno == EINTR) {
    }
}
__attribute__((unused)) static pid_t tid(void) { return (pid_t)syscall(SYS_gettid); }
__attribute__((unused)) static pthread_t start(void *(*f)(void *), void *a) {
    pthread_t t;
    int e = pthread_create(&t, NULL, f, a);
    if (e) {
        printf("pthread_create: %s\n", errno_name(e));
        exit(98);
    }
    return t;
}
__attribute__((unused)) static void on(int sig, void (*f)(int, siginfo_t *, void *), int flags) {
    struct sigaction s = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&s.sa_mask);
    if (sigaction(sig, &s, NULL)) {
        perror("sigaction");
        exit(97);
    }
}
/* Waits until thread `t` of this process is asleep ('S' in /proc), so that a wake-up or signal finds it
 * blocked. */
__attribute__((unused)) static void until_asleep(pid_t t) {
    char path[64], buf[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", t);
    for (int i = 0; i < 2000; i++) {
        int fd = open(path, O_RDONLY);
        if (fd < 0) return;
        long n = read(fd, buf, sizeof buf - 1);
        close(fd);
        if (n > 0) {
            buf[n] = 0;
            char *p = strrchr(buf, ')');
            if (p && p[2] == 'S') return;
        }
        sleep_ms(1);
    }
    printf("thread never slept\n");
}
/* A fresh directory under /tmp, entered. */
__attribute__((unused)) static void fresh_dir(void) {
    char d[] = "/tmp/testXXXXXX";
    if (!mkdtemp(d) || chdir(d)) {
        perror("fresh_dir");
        exit(96);
    }
}
__attribute__((unused)) static void remove_dir(void) {
    char d[256];
    if (getcwd(d, sizeof d) && !chdir("/tmp")) rmdir(d);
}
