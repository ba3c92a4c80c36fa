/* Descriptors: lowest number, dup family, close-on-exec, limits, closing twice, dup2 under a blocked reader,
 * locks. */
#include "t.h"
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
static int fds[2], sv[2];
static volatile pid_t who;
static void *blocked(void *p) {
    char b;
    who = tid();
    long r = recv(sv[0], &b, 1, 0);
    printf("blocked reader: %ld %s\n", r, r == -1 ? errno_name(errno) : "0");
    return p;
}
static void nothing(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
}
int main(void) {
    int a = open("/dev/null", O_RDWR), b = open("/dev/null", O_RDWR);
    VAL(b - a);
    close(a);
    VAL(open("/dev/zero", O_RDONLY) == a);
    VAL(dup(b) - b);
    VAL(dup2(b, 50));
    VAL(dup2(b, b));
    TRY(dup2(99, 51));
    TRY(dup2(b, -1));
    TRY(dup3(b, b, 0));
    VAL(dup3(b, 52, O_CLOEXEC));
    VAL(fcntl(52, F_GETFD));
    VAL(fcntl(50, F_GETFD));
    TRY(dup3(b, 53, 0x80));
    VAL(fcntl(b, F_DUPFD, 100));
    VAL(fcntl(b, F_DUPFD_CLOEXEC, 100));
    VAL(fcntl(101, F_GETFD));
    TRY(fcntl(101, F_SETFD, 0));
    VAL(fcntl(101, F_GETFD));
    TRY(fcntl(b, F_DUPFD, -1));
    TRY(fcntl(b, 9999));
    TRY(fcntl(99, F_GETFD));
    TRY(close(100));
    TRY(close(100));
    TRY(close(-1));
    TRY(syscall(SYS_close_range, 101, 200, 0));
    TRY(fcntl(101, F_GETFD));
    struct rlimit r, n = {60, 4096};
    TRY(getrlimit(RLIMIT_NOFILE, &r));
    TRY(setrlimit(RLIMIT_NOFILE, &n));
    int last = -1, x;
    while ((x = open("/dev/null", O_RDONLY)) >= 0) last = x;
    printf("%s after %d\n", errno_name(errno), last);
    TRY(dup2(b, 60));
    TRY(fcntl(b, F_DUPFD, 60));
    TRY(dup(b));
    TRY(pipe(fds));
    TRY(socket(AF_UNIX, SOCK_STREAM, 0));
    n.rlim_cur = 5000;
    n.rlim_max = 4096;
    TRY(setrlimit(RLIMIT_NOFILE, &n));
    TRY(setrlimit(99, &n));
    n.rlim_cur = 1000;
    setrlimit(RLIMIT_NOFILE, &n);
    for (int i = 53; i < 60; i++) close(i);
    TRY(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
    VAL(fcntl(fds[0], F_GETFD));
    VAL((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    TRY(pipe2(fds, 0x40));
    TRY(pipe((void *)8));
    /* The offset is shared by duplicates, not by separate opens. */
    fresh_dir();
    int f = open("f", O_RDWR | O_CREAT, 0600), g = dup(f), h = open("f", O_RDWR);
    write(f, "abcdef", 6);
    VAL(lseek(g, 0, SEEK_CUR));
    VAL(lseek(h, 0, SEEK_CUR));
    TRY(flock(f, LOCK_EX | LOCK_NB));
    TRY(flock(h, LOCK_EX | LOCK_NB));
    TRY(flock(h, LOCK_SH | LOCK_NB));
    TRY(flock(g, LOCK_UN));
    TRY(flock(h, LOCK_SH));
    TRY(flock(f, LOCK_SH | LOCK_NB));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    TRY(fcntl(f, F_SETLK, &l));
    TRY(fcntl(h, F_SETLKW, &l));
    l.l_type = F_RDLCK;
    TRY(fcntl(h, F_GETLK, &l));
    VAL(l.l_type == F_UNLCK);
    l.l_type = F_UNLCK;
    TRY(fcntl(f, F_SETLK, &l));
    l.l_type = F_WRLCK;
    l.l_pid = 0;
    TRY(fcntl(f, F_OFD_SETLK, &l));
    l.l_pid = 0;
    TRY(fcntl(h, F_OFD_SETLK, &l));
    l.l_type = 77;
    TRY(fcntl(f, F_SETLK, &l));
    l.l_type = F_WRLCK;
    int ro = open("f", O_RDONLY);
    TRY(fcntl(ro, F_SETLK, &l));
    /* Java's close of a socket that another thread reads: dup2 over it, then a signal. */
    on(SIGRTMAX - 2, nothing, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    int marker[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, marker);
    shutdown(marker[0], SHUT_RDWR);
    pthread_t t = start(blocked, NULL);
    while (!who) sched_yield();
    until_asleep(who);
    TRY(dup2(marker[0], sv[0]) < 0 ? -1 : 0);
    pthread_kill(t, SIGRTMAX - 2);
    pthread_join(t, NULL);
    char c;
    VAL(recv(sv[0], &c, 1, 0));
    unlink("f");
    remove_dir();
    return 0;
}
