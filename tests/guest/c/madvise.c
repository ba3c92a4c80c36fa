/* madvise(2) and mincore(2). */
#include "t.h"
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
static int resident(void *p, int n) {
    unsigned char v[64] = {0};
    int c = 0;
    if (mincore(p, n * PAGE, v)) return -1;
    for (int i = 0; i < n; i++) c += v[i] & 1;
    return c;
}
int main(void) {
    char *p = pages(16, PROT_READ | PROT_WRITE);
    VAL(resident(p, 16));
    memset(p, 1, 8 * PAGE);
    VAL(resident(p, 8));
    TRY(madvise(p, 4 * PAGE, MADV_DONTNEED));
    VAL(resident(p, 8));
    printf("%d %d %d\n", p[0], p[3 * PAGE], p[4 * PAGE]);
    TRY(madvise(p, 16 * PAGE, MADV_POPULATE_WRITE));
    VAL(resident(p, 16));
    TRY(madvise(p, 16 * PAGE, MADV_WILLNEED));
    TRY(madvise(p, 16 * PAGE, MADV_SEQUENTIAL));
    TRY(madvise(p, 16 * PAGE, MADV_RANDOM));
    TRY(madvise(p, 16 * PAGE, MADV_NORMAL));
    TRY(madvise(p, 16 * PAGE, MADV_HUGEPAGE));
    TRY(madvise(p, 16 * PAGE, MADV_NOHUGEPAGE));
    TRY(madvise(p, 16 * PAGE, MADV_DONTDUMP));
    TRY(madvise(p, 16 * PAGE, MADV_FREE));
    TRY(madvise(p, 16 * PAGE, 12345));
    TRY(madvise(p + 1, PAGE, MADV_DONTNEED));
    TRY(madvise(p, 0, MADV_DONTNEED));
    TRY(madvise(NULL, 0, MADV_POPULATE_WRITE));
    char *h = pages(3, PROT_READ | PROT_WRITE);
    memset(h, 2, 3 * PAGE);
    munmap(h + PAGE, PAGE);
    TRY(madvise(h, 3 * PAGE, MADV_DONTNEED));
    VAL(h[2 * PAGE]);
    fresh_dir();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    char b[PAGE];
    memset(b, 'f', PAGE);
    write(fd, b, PAGE);
    write(fd, b, PAGE);
    char *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    m[0] = 'x';
    TRY(madvise(m, PAGE, MADV_DONTNEED));
    printf("private file page again: %c\n", m[0]);
    int mf = memfd_create("m", 0);
    ftruncate(mf, 4 * PAGE);
    char *s = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mf, 0);
    memset(s, 's', 4 * PAGE);
    TRY(madvise(s, 4 * PAGE, MADV_DONTNEED));
    printf("shared page kept: %c\n", s[0]);
    TRY(madvise(s, 2 * PAGE, MADV_REMOVE));
    printf("removed: %d %c\n", s[PAGE], s[2 * PAGE]);
    TRY(madvise(m, PAGE, MADV_POPULATE_READ));
    unsigned char vec[4];
    TRY(mincore(s, 4 * PAGE, vec));
    TRY(mincore(s + 1, PAGE, vec));
    TRY(mincore(h + PAGE, PAGE, vec));
    TRY(mincore(s, PAGE, (void *)8));
    TRY(mlock(s, PAGE));
    TRY(munlock(s, PAGE));
    unlink("f");
    remove_dir();
    return 0;
}
