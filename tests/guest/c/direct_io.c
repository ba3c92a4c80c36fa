/* O_DIRECT on ext4: what must be aligned, and that it and the page cache never show different bytes. What
 * Linux asks of a buffer's address has changed (6.1: whole sectors; 6.18: not of one piece), so buffers are
 * aligned here. ARGS: DIRECTORY, on a file system whose disk has sectors of 512 bytes; everything happens
 * there. */
#include "t.h"
#include <sys/statvfs.h>
#include <sys/uio.h>

static char *buffer, *other;

/* The sum of a file's bytes by way of the page cache, each weighed by its place. */
static long sum(int f, long from, long length) {
    long s = 0;
    for (long at = 0; at < length; at += PAGE) {
        long n = pread(f, other, PAGE, from + at);
        for (long i = 0; i < n; i++) s = s * 31 + other[i];
    }
    return s & 0xffffff;
}

static void fill(char *b, long length, int seed) {
    for (long i = 0; i < length; i++) b[i] = (char)(seed + i * 7 + (i >> 9));
}

static void alignment(void) {
    int f = open("aligned", O_CREAT | O_RDWR | O_TRUNC | O_DIRECT, 0600);
    VAL(f >= 0);
    fill(buffer, 64 * PAGE, 1);
    VAL(pwrite(f, buffer, 4 * PAGE, 0));
    VAL(pwrite(f, buffer, 512, 512));
    VAL(pwrite(f, buffer + 512, 1024, 1536));
    VAL(pwrite(f, buffer, 100, 0));
    VAL(pwrite(f, buffer, 512, 100));
    VAL(pwrite(f, buffer, 0, 0));
    VAL(pread(f, other, PAGE, 0));
    VAL(pread(f, other + 512, 512, 4096 + 512));
    VAL(pread(f, other, 100, 0));
    VAL(pread(f, other, 512, 3));
    /* At and behind the end nothing is read, however it is aligned. */
    VAL(pread(f, other, 512, 4 * PAGE));
    VAL(pread(f, other + 1, 100, 4 * PAGE));
    VAL(pread(f, other + 1, 100, 100000));
    VAL(pread(f, other, 8 * PAGE, 2 * PAGE));
    VAL(sum(f, 0, 4 * PAGE));
    struct iovec v[2] = {{buffer, 512}, {buffer + PAGE, 1536}};
    VAL(pwritev(f, v, 2, 2 * PAGE));
    v[1].iov_len = 1000;
    VAL(pwritev(f, v, 2, 2 * PAGE));
    struct iovec r[2] = {{other, 1024}, {other + PAGE, 1024}};
    VAL(preadv(f, r, 2, 2 * PAGE));
    VAL(memcmp(other, buffer, 512) == 0 && memcmp(other + 512, buffer + PAGE, 512) == 0);
    VAL(pread(f, (char *)8192, 512, 0));
    VAL(pwrite(f, (char *)8192, 512, 0));
    close(f);
}

static void ends(void) {
    int f = open("ends", O_CREAT | O_RDWR | O_TRUNC, 0600);
    int d = open("ends", O_RDWR | O_DIRECT);
    VAL(pwrite(f, buffer, 5000, 0));
    memset(other, 'o', 4 * PAGE);
    VAL(pread(d, other, 2 * PAGE, 0));
    VAL(memcmp(other, buffer, 5000));
    VAL(pread(d, other, PAGE, PAGE));
    VAL(pwrite(d, buffer, 512, 5120));
    VAL(lseek(d, 0, SEEK_END));
    VAL(sum(f, 0, 2 * PAGE));
    /* Far behind the end, in the middle of a block: the rest of it is zeros. */
    VAL(pwrite(d, buffer, 512, 20 * PAGE + 1024));
    VAL(pread(f, other, PAGE, 20 * PAGE));
    VAL(other[0] || other[1023]);
    VAL(memcmp(other + 1024, buffer, 512));
    VAL(pread(d, other, PAGE, 10 * PAGE));
    VAL(other[0] || other[PAGE - 1]);
    VAL(ftruncate(d, 21 * PAGE));
    VAL(pread(f, other, PAGE, 20 * PAGE));
    VAL(other[1536] || other[PAGE - 1]);
    VAL(sum(d, 20 * PAGE, PAGE));
    /* A hole wants no alignment. */
    VAL(pread(d, other, 100, 10 * PAGE));
    VAL(pread(d, other + 1, 512, 10 * PAGE));
    int a = open("ends", O_WRONLY | O_APPEND | O_DIRECT);
    VAL(write(a, buffer, PAGE));
    VAL(lseek(a, 0, SEEK_CUR));
    VAL(ftruncate(f, 22 * PAGE + 10));
    VAL(write(a, buffer, 512));
    close(a);
    TRY(fallocate(d, 0, 30 * PAGE, 8 * PAGE));
    VAL(pread(d, other, 8 * PAGE, 30 * PAGE));
    VAL(other[0] || other[8 * PAGE - 1]);
    VAL(pwrite(d, buffer, 512, 33 * PAGE + 512));
    VAL(pread(f, other, PAGE, 33 * PAGE));
    VAL(other[0] || other[1024] || other[PAGE - 1]);
    VAL(memcmp(other + 512, buffer, 512));
    VAL(sum(f, 0, 38 * PAGE));
    close(d);
    close(f);
}

static void coherence(void) {
    int f = open("both", O_CREAT | O_RDWR | O_TRUNC, 0600);
    int d = open("both", O_RDWR | O_DIRECT);
    fill(buffer, 16 * PAGE, 3);
    VAL(pwrite(f, buffer, 16 * PAGE, 0));
    VAL(pread(d, other, 16 * PAGE, 0));
    VAL(memcmp(other, buffer, 16 * PAGE));
    fill(buffer, 4 * PAGE, 90);
    VAL(pwrite(d, buffer, 4 * PAGE, 4 * PAGE));
    VAL(pread(f, other, 4 * PAGE, 4 * PAGE));
    VAL(memcmp(other, buffer, 4 * PAGE));
    VAL(sum(f, 0, 16 * PAGE));
    /* Dirty in the cache around what is written past it, within one block. */
    VAL(pwrite(f, "cached", 6, 8 * PAGE));
    VAL(pwrite(d, buffer, 512, 8 * PAGE + 512));
    VAL(pwrite(f, "more", 4, 8 * PAGE + 1024));
    VAL(sum(f, 8 * PAGE, PAGE));
    VAL(pread(d, other, PAGE, 8 * PAGE));
    VAL(memcmp(other, "cached", 6) || memcmp(other + 512, buffer, 512) || memcmp(other + 1024, "more", 4));
    char *m = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    VAL(m[8 * PAGE]);
    m[2 * PAGE] = 'm';
    VAL(pread(d, other, 512, 2 * PAGE));
    VAL(other[0]);
    fill(buffer, PAGE, 17);
    VAL(pwrite(d, buffer, PAGE, 2 * PAGE));
    VAL(memcmp(m + 2 * PAGE, buffer, PAGE));
    m[2 * PAGE + 5] = 'n';
    TRY(msync(m, 16 * PAGE, MS_SYNC));
    VAL(pread(d, other, 512, 2 * PAGE));
    VAL(other[5]);
    /* From and to the file's own pages. */
    VAL(pwrite(d, m + 6 * PAGE, PAGE, 12 * PAGE));
    VAL(memcmp(m + 6 * PAGE, m + 12 * PAGE, PAGE));
    VAL(pread(d, m + 14 * PAGE, PAGE, 4 * PAGE));
    VAL(memcmp(m + 14 * PAGE, m + 4 * PAGE, PAGE));
    munmap(m, 16 * PAGE);
    m = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    VAL(pwrite(f, m + PAGE, 2 * PAGE, 10 * PAGE + 7));
    VAL(memcmp(m + PAGE, m + 10 * PAGE + 7, 2 * PAGE));
    munmap(m, 16 * PAGE);
    VAL(sum(f, 0, 16 * PAGE));
    close(d);
    close(f);
}

static void flags(void) {
    int f = open("both", O_RDWR);
    VAL(pread(f, other + 1, 100, 3));
    TRY(fcntl(f, F_SETFL, O_DIRECT));
    VAL(pread(f, other + 1, 100, 3));
    VAL((fcntl(f, F_GETFL) & O_DIRECT) != 0);
    TRY(fcntl(f, F_SETFL, 0));
    VAL(pread(f, other + 1, 100, 3));
    close(f);
    int s = open("both", O_RDWR | O_DIRECT | O_DSYNC);
    VAL(pwrite(s, buffer, PAGE, PAGE));
    TRY(fsync(s));
    TRY(ftruncate(s, 1000));
    VAL(pread(s, other, PAGE, 0));
    close(s);
}

static void *write_through_cache(void *arg) {
    int f = open("race", O_RDWR);
    for (int i = 0; i < 300; i++) {
        memset(other + 40 * PAGE, 'a' + i % 26, PAGE);
        if (pwrite(f, other + 40 * PAGE, PAGE, i % 16 * 2 * PAGE) != PAGE)
            printf("a write through the cache is short\n");
    }
    close(f);
    return arg;
}

/* One thread writes the even pages through the cache, one the odd ones past it. */
static void together(void) {
    int d = open("race", O_CREAT | O_RDWR | O_TRUNC | O_DIRECT, 0600);
    TRY(ftruncate(d, 32 * PAGE));
    pthread_t t = start(write_through_cache, NULL);
    long bad = 0;
    for (int i = 0; i < 300; i++) {
        long at = i % 16 * 2 * PAGE + PAGE;
        memset(buffer, 'A' + i % 26, PAGE);
        if (pwrite(d, buffer, PAGE, at) != PAGE || pread(d, other, PAGE, at) != PAGE) bad++;
        if (memcmp(buffer, other, PAGE)) bad++;
    }
    pthread_join(t, NULL);
    VAL(bad);
    VAL(sum(d, 0, 32 * PAGE));
    close(d);
}

int main(int argc, char **argv) {
    if (argc < 2 || chdir(argv[1])) return 2;
    buffer = pages(64, PROT_READ | PROT_WRITE);
    other = pages(64, PROT_READ | PROT_WRITE);
    alignment();
    ends();
    coherence();
    flags();
    together();
    return 0;
}
