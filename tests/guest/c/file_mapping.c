/* File mappings: one page cache for read, write and mmap; the tail of the last page; close, unlink and msync.
 */
#include "t.h"
#include <setjmp.h>
static sigjmp_buf back;
static void handler(int s, siginfo_t *i, void *c) {
    (void)c;
    printf("%s code %d\n", sigabbrev_np(s), i->si_code);
    siglongjmp(back, 1);
}
int main(void) {
    fresh_dir();
    on(SIGBUS, handler, 0);
    on(SIGSEGV, handler, 0);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    write(fd, "hello", 5);
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("%.5s %d\n", p, p[5]);
    p[0] = 'J';
    p[100] = 'X'; /* beyond the end, within the page: not part of the file */
    char buf[16] = "";
    VAL(pread(fd, buf, sizeof buf, 0));
    printf("%.5s\n", buf);
    struct stat st;
    fstat(fd, &st);
    VAL(st.st_size);
    if (!sigsetjmp(back, 1)) {
        volatile char c = p[PAGE];
        (void)c;
        printf("no fault\n");
    }
    TRY(ftruncate(fd, 2 * PAGE));
    VAL(p[PAGE]);
    p[PAGE + 1] = 'm';
    VAL(pread(fd, buf, 2, PAGE));
    VAL(buf[1]);
    pwrite(fd, "cached", 6, PAGE + 10);
    printf("%.6s\n", p + PAGE + 10);
    TRY(msync(p, 2 * PAGE, MS_SYNC));
    TRY(msync(p, 2 * PAGE, MS_ASYNC));
    TRY(msync(p, 2 * PAGE, MS_SYNC | MS_ASYNC));
    TRY(msync(p + 1, PAGE, MS_SYNC));
    TRY(msync(p, 2 * PAGE, MS_INVALIDATE));
    close(fd);
    TRY(unlink("f"));
    p[1] = 'E';
    printf("after close and unlink: %.5s\n", p);
    TRY(munmap(p + PAGE, PAGE));
    if (!sigsetjmp(back, 1)) {
        volatile char c = p[PAGE];
        (void)c;
        printf("no fault\n");
    }
    printf("first page still: %.5s\n", p);
    TRY(munmap(p, PAGE));
    TRY(msync(p, PAGE, MS_SYNC));
    fd = open("/proc/self/exe", O_RDONLY);
    char *e = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0), head[PAGE];
    IS(!memcmp(e, "\177ELF", 4));
    pread(fd, head, PAGE, PAGE);
    IS(!memcmp(e + PAGE, head, PAGE));
    char *o = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    IS(!memcmp(o, head, PAGE));
    if (!sigsetjmp(back, 1)) {
        *(volatile char *)o = 1;
        printf("no fault\n");
    }
    TRY(mprotect(o, PAGE, PROT_READ | PROT_WRITE));
    remove_dir();
    return 0;
}
