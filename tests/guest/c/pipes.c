/* Pipes: partial reads, end of file, EPIPE with and without SIGPIPE, capacity, non-blocking, atomic small
 * writes, FIONREAD, named ones. */
#include "t.h"
#include <poll.h>
#include <sys/ioctl.h>
static int p[2];
static volatile int pipes_caught;
static void handler(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)c;
    pipes_caught++;
    printf("SIGPIPE code %d\n", i->si_code);
}
static void *writer(void *a) {
    char b[512];
    memset(b, (int)(long)a, sizeof b);
    for (int i = 0; i < 200; i++)
        if (write(p[1], b, sizeof b) != sizeof b) printf("short write\n");
    return NULL;
}
static void *late(void *a) {
    (void)a;
    sleep_ms(20);
    write(p[1], "late", 4);
    return NULL;
}
static void *closer(void *a) {
    (void)a;
    sleep_ms(20);
    close(p[1]);
    return NULL;
}
static void *drainer(void *a) {
    (void)a;
    static char b[1 << 17];
    long n = 0, r;
    while ((r = read(p[0], b, sizeof b)) > 0) n += r;
    return (void *)n;
}
static void *opener(void *a) {
    (void)a;
    int f = open("fifo", O_WRONLY);
    write(f, "fifo", 4);
    close(f);
    return NULL;
}
int main(void) {
    char b[1024], *big = malloc(1 << 20);
    pipe(p);
    VAL(write(p[1], "hello world", 11));
    int n = 0;
    TRY(ioctl(p[0], FIONREAD, &n));
    VAL(n);
    VAL(read(p[0], b, 5));
    VAL(read(p[0], b, 100));
    TRY(write(p[0], "x", 1));
    TRY(read(p[1], b, 1));
    TRY(lseek(p[0], 0, SEEK_SET));
    TRY(pread(p[0], b, 1, 0));
    VAL(fcntl(p[0], F_GETPIPE_SZ));
    VAL(fcntl(p[0], F_SETPIPE_SZ, 100000));
    VAL(fcntl(p[0], F_SETPIPE_SZ, 65536));
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    TRY(read(p[0], b, 1));
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    VAL(write(p[1], big, 1 << 20));
    TRY(write(p[1], "x", 1));
    struct pollfd q[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
    VAL(poll(q, 2, 0));
    VAL(q[0].revents);
    VAL(q[1].revents);
    VAL(read(p[0], big, 4096));
    VAL(poll(q, 2, 0));
    VAL(write(p[1], big, 100));
    while (read(p[0], big, 1 << 20) > 0) {
    }
    fcntl(p[0], F_SETFL, 0);
    fcntl(p[1], F_SETFL, 0);
    pthread_t t = start(late, NULL);
    VAL(read(p[0], b, 100));
    pthread_join(t, NULL);
    pthread_t w[4];
    for (long i = 0; i < 4; i++) w[i] = start(writer, (void *)(i + 1));
    int mixed = 0;
    for (int i = 0; i < 800; i++) {
        int got = 0;
        while (got < 512) got += (int)read(p[0], b + got, (size_t)(512 - got));
        for (int k = 1; k < 512; k++) mixed += b[k] != b[0];
    }
    VAL(mixed);
    for (int i = 0; i < 4; i++) pthread_join(w[i], NULL);
    t = start(closer, NULL);
    VAL(read(p[0], b, 100));
    pthread_join(t, NULL);
    q[0].events = POLLIN;
    VAL(poll(q, 1, 0));
    VAL(q[0].revents);
    VAL(read(p[0], b, 1));
    close(p[0]);
    pipe(p);
    t = start(drainer, NULL);
    VAL(write(p[1], big, 1 << 20));
    close(p[1]);
    void *r;
    pthread_join(t, &r);
    VAL(r);
    close(p[0]);
    pipe(p);
    close(p[0]);
    on(SIGPIPE, handler, 0);
    TRY(write(p[1], "x", 1));
    VAL(pipes_caught);
    signal(SIGPIPE, SIG_IGN);
    TRY(write(p[1], "x", 1));
    q[1] = (struct pollfd){p[1], POLLOUT, 0};
    VAL(poll(q + 1, 1, 0));
    VAL(q[1].revents);
    close(p[1]);
    fresh_dir();
    mkfifo("fifo", 0600);
    TRY(open("fifo", O_WRONLY | O_NONBLOCK));
    t = start(opener, NULL);
    int f = open("fifo", O_RDONLY);
    VAL(read(f, b, 100));
    VAL(read(f, b, 100));
    pthread_join(t, NULL);
    close(f);
    f = open("fifo", O_RDONLY | O_NONBLOCK);
    VAL(read(f, b, 1));
    unlink("fifo");
    remove_dir();
    struct stat a, c;
    pipe(p);
    fstat(p[0], &a);
    fstat(p[1], &c);
    IS(a.st_ino == c.st_ino);
    char l[64], m[64] = "";
    sprintf(l, "/proc/self/fd/%d", p[0]);
    readlink(l, m, 63);
    IS(!strncmp(m, "pipe:[", 6));
    /* What nobody has read goes with the last end of a named pipe. */
    int unread;
    TRY(mkfifo("forgets", 0600));
    f = open("forgets", O_RDWR);
    VAL(fcntl(f, F_SETPIPE_SZ, 4096));
    VAL(write(f, "unread", 6));
    close(f);
    f = open("forgets", O_RDWR);
    TRY(ioctl(f, FIONREAD, &unread));
    VAL(unread);
    VAL(fcntl(f, F_GETPIPE_SZ));
    return 0;
}
