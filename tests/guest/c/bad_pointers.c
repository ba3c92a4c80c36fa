/* A bad pointer for each family of calls gives EFAULT, never a crash: unmapped low, non-canonical, read-only
 * and half-mapped buffers. */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#define CALL(nr, ...)                                                                                        \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long r = syscall(SYS_##nr, __VA_ARGS__);                                                             \
        printf("%s(%s): %s%s\n", #nr, what, r == -1 ? errno_name(errno) : "ok ",                             \
               r == -1 ? ""                                                                                  \
               : r     ? "n"                                                                                 \
                       : "0");                                                                                   \
    } while (0)
int main(void) {
    fresh_dir();
    int f = open("f", O_RDWR | O_CREAT, 0600), p[2], s[2], ep = epoll_create1(0),
        tf = timerfd_create(CLOCK_MONOTONIC, 0), d = open("/", O_RDONLY | O_DIRECTORY);
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(f, "0123456789abcdef", 16);
    write(p[1], "pipe data", 9);
    write(s[0], "socket data", 11);
    char *ro = pages(2, PROT_READ), *edge = pages(2, PROT_READ | PROT_WRITE);
    munmap(edge + PAGE, PAGE);
    struct {
        const char *n;
        char *a;
    } bad[] = {{"low", (char *)16},
               {"hole", edge + PAGE},
               {"noncanonical", (char *)0x800000000000},
               {"top", (char *)-4096},
               {"kernel half", (char *)0xffff888000001000},
               {"read-only", ro}};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *what = bad[i].n;
        char *a = bad[i].a;
        int writable_only = a == ro;
        CALL(pread64, f, a, 8, 0);
        CALL(read, p[0], a, 4);
        CALL(recvfrom, s[1], a, 4, MSG_DONTWAIT, 0, 0);
        CALL(getdents64, d, a, 512);
        CALL(fstat, f, a);
        CALL(stat, "f", a);
        CALL(statfs, "/", a);
        CALL(readlink, "/proc/self/exe", a, 64);
        CALL(getcwd, a, 64);
        CALL(uname, a);
        CALL(sysinfo, a);
        CALL(getrusage, 0, a);
        CALL(times, a);
        CALL(getrandom, a, 8, 0);
        CALL(clock_getres, 1, a);
        CALL(rt_sigprocmask, 0, 0, a, 8);
        CALL(rt_sigpending, a, 8);
        CALL(rt_sigaction, SIGUSR1, 0, a, 8);
        CALL(sigaltstack, 0, a);
        CALL(prlimit64, 0, 7, 0, a);
        CALL(sched_getaffinity, 0, 8, a);
        CALL(pipe2, a, 0);
        CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, a);
        CALL(ioctl, p[0], FIONREAD, a);
        CALL(getsockname, s[0], a, a);
        CALL(timerfd_gettime, tf, a);
        CALL(getitimer, 0, a);
        CALL(gettimeofday, a, 0);
        CALL(mincore, edge, PAGE, a);
        CALL(statx, AT_FDCWD, "f", 0, 0x7ff, a);
        if (writable_only) continue;
        CALL(pwrite64, f, a, 8, 0);
        CALL(write, p[1], a, 4);
        CALL(sendto, s[0], a, 4, 0, 0, 0);
        CALL(openat, AT_FDCWD, a, 0, 0);
        CALL(unlink, a);
        CALL(mkdir, a, 0700);
        CALL(rename, "f", a);
        CALL(chdir, a);
        CALL(readv, f, a, 1);
        CALL(writev, f, a, 1);
        CALL(poll, a, 1, 0);
        CALL(epoll_ctl, ep, EPOLL_CTL_ADD, p[0], a);
        CALL(nanosleep, a, 0);
        CALL(clock_nanosleep, 1, 0, a, 0);
        CALL(rt_sigprocmask, 0, a, 0, 8);
        CALL(rt_sigaction, SIGUSR1, a, 0, 8);
        CALL(setitimer, 0, a, 0);
        CALL(timerfd_settime, tf, 0, a, 0);
        CALL(bind, s[0], a, 16);
        CALL(connect, s[0], a, 16);
        CALL(sendmsg, s[0], a, 0);
        CALL(recvmsg, s[0], a, 0);
        CALL(futex, a, 1, 1, 0, 0, 0);
        CALL(futex, a, 0, 1, 0, 0, 0);
        CALL(prctl, 15, a, 0, 0, 0);
        CALL(setsockopt, s[0], SOL_SOCKET, SO_REUSEADDR, a, 4);
        CALL(memfd_create, a, 0);
        CALL(symlink, "x", a);
        CALL(utimensat, AT_FDCWD, "f", a, 0);
        CALL(sendfile, f, f, a, 4);
    }
    /* Buffers that end in a hole: what fits is transferred. */
    char *half = edge + PAGE - 4;
    memset(half, 'h', 4);
    VAL(pread(f, half, 8, 0));
    VAL(pwrite(f, half, 8, 100));
    const char *what = "path without an end";
    CALL(openat, AT_FDCWD, half, 0, 0);
    struct iovec v[2] = {{half, 4}, {(void *)16, 4}};
    VAL(preadv(f, v, 2, 0));
    VAL(pwritev(f, v, 2, 0));
    VAL(read(f, (void *)-1, 0));
    TRY(read(f, edge, -1L));
    TRY(read(f, edge, 1L << 62));
    unlink("f");
    remove_dir();
    return 0;
}
