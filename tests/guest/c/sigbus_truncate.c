/* A mapped file shrinks: accesses past its end raise SIGBUS with BUS_ADRERR at the exact address, and work
 * again once it grows. */
#include "t.h"
#include <setjmp.h>
static sigjmp_buf back;
static char *p;
static void handler(int s, siginfo_t *i, void *c) {
    (void)c;
    printf("%s code %d at +%ld\n", sigabbrev_np(s), i->si_code, (long)((char *)i->si_addr - p));
    siglongjmp(back, 1);
}
static void touch(long at, int write) {
    printf("%s +%ld: ", write ? "write" : "read", at);
    if (sigsetjmp(back, 1)) return;
    if (write)
        p[at] = 'w';
    else {
        volatile char c = p[at];
        printf("value %d, ", c);
    }
    printf("ok\n");
}
static void run(int fd, int flags) {
    ftruncate(fd, 0);
    ftruncate(fd, 16 * PAGE);
    p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
    for (int i = 0; i < 16; i++) p[i * PAGE + 7] = (char)('a' + i);
    touch(10 * PAGE + 7, 0);
    TRY(ftruncate(fd, 2 * PAGE + 100));
    touch(PAGE + 7, 0);
    touch(2 * PAGE + 99, 1);
    touch(2 * PAGE + 200, 0);
    touch(3 * PAGE, 0);
    touch(10 * PAGE + 7, 1);
    TRY(ftruncate(fd, 16 * PAGE));
    touch(10 * PAGE + 7, 0);
    touch(2 * PAGE + 7, 0);
    /* What is reserved behind the end is not to be seen. */
    TRY(ftruncate(fd, PAGE));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * PAGE, 2 * PAGE));
    touch(4 * PAGE, 0);
    touch(5 * PAGE, 1);
    munmap(p, 16 * PAGE);
}
int main(void) {
    on(SIGBUS, handler, 0);
    fresh_dir();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    printf("tmp, shared\n");
    run(fd, MAP_SHARED);
    printf("tmp, private\n");
    run(fd, MAP_PRIVATE);
    printf("memfd, shared\n");
    run(memfd_create("m", 0), MAP_SHARED);
    unlink("f");
    remove_dir();
    return 0;
}
