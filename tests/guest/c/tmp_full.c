/* /tmp refuses when it is full: ENOSPC, partial writes, the rest of the system lives on, and removal gives
 * the space back. */
#include "t.h"
#include <setjmp.h>
#include <sys/statvfs.h>
static sigjmp_buf back;
static void bus(int s, siginfo_t *i, void *c) {
    (void)c;
    printf("%s code %d\n", sigabbrev_np(s), i->si_code);
    siglongjmp(back, 1);
}
static long fill(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    static char b[1 << 20];
    long total = 0, r;
    memset(b, 'f', sizeof b);
    while ((r = write(fd, b, sizeof b)) > 0) total += r;
    printf("ends with %s\n", errno_name(errno));
    close(fd);
    return total;
}
int main(void) {
    on(SIGBUS, bus, 0);
    struct statvfs v;
    fresh_dir();
    statvfs(".", &v);
    long space = (long)(v.f_bavail * v.f_bsize);
    long a = fill("big");
    IS(a > space - (1 << 20) && a <= space);
    statvfs(".", &v);
    IS(v.f_bavail * v.f_bsize < 1 << 20);
    int fd = open("small", O_RDWR | O_CREAT, 0600);
    IS(fd >= 0 || errno == ENOSPC);
    if (fd >= 0) {
        static char b[1 << 20];
        long r = write(fd, b, sizeof b);
        IS(r == -1 && errno == ENOSPC);
        TRY(fallocate(fd, 0, 0, 16 << 20));
        ftruncate(fd, 16 << 20);
        char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (!sigsetjmp(back, 1)) {
            for (long i = 0; i < 16 << 20; i += PAGE) p[i] = 1;
            printf("no fault\n");
        }
        munmap(p, 16 << 20);
        close(fd);
    }
    char *m = malloc(8 << 20);
    memset(m, 1, 8 << 20);
    printf("memory is still there\n");
    TRY(unlink("big"));
    unlink("small");
    long b = fill("again");
    IS(b > a - (2 << 20));
    TRY(ftruncate(open("again", O_WRONLY), 0));
    VAL(write(open("again", O_WRONLY), "ok", 2));
    unlink("again");
    remove_dir();
    return 0;
}
