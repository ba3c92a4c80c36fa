/* memfd in 2 MiB frames: several views of them, partial unmap, protect, hole punching and truncation, writes
 * and reads by calls, small and misaligned views beside large ones. Where the kernel is Demitasse it also
 * looks at smaps: the views must be mapped by 2 MiB entries (Linux maps shared memory so only when it is told
 * to). */
#include "t.h"
#include <linux/falloc.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MIB (1L << 20)
#define HUGE (2 * MIB)
static int here;
/* Sum of a field of smaps over the areas in [from, to), in KiB. */
static long smaps(const char *field, char *from, char *to) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    long sum = 0;
    int in = 0;
    size_t n = strlen(field);
    while (fgets(line, sizeof line, f)) {
        unsigned long a, b;
        if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
            in = a >= (unsigned long)from && b <= (unsigned long)to;
        else if (in && !strncmp(line, field, n) && line[n] == ':')
            sum += atol(line + n + 1);
    }
    fclose(f);
    return sum;
}
#define MAPPED_HUGE(p, len, want) IS(!here || smaps("ShmemPmdMapped", p, (p) + (len)) == (want) >> 10)
static long blocks(int fd) {
    struct stat s;
    fstat(fd, &s);
    return s.st_blocks;
}
static unsigned long sum(char *p, long n) {
    unsigned long s = 0;
    for (long i = 0; i < n; i += 512) s = s * 31 + (unsigned char)p[i];
    return s;
}
static char *view(void *at, int fd, long off, long len) {
    char *p = mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, off);
    if (p != at) perror("mmap"), exit(1);
    return p;
}
int main(void) {
    struct utsname u;
    uname(&u);
    here = strstr(u.release, "demitasse") != NULL;
    int fd = memfd_create("java_heap", MFD_CLOEXEC);
    TRY(ftruncate(fd, 64 * MIB));
    VAL(fallocate(fd, 0, 0, 16 * MIB));
    VAL(blocks(fd));
    char *v[3];
    for (int i = 0; i < 3; i++) {
        v[i] = view((void *)(0x40000000000L << i), fd, 0, 16 * MIB);
        for (long g = 0; g < 16 * MIB; g += HUGE) v[i][g + i] = (char)(g / HUGE + 1);
        MAPPED_HUGE(v[i], 16 * MIB, 16 * MIB);
    }
    for (int i = 0; i < 3; i++) printf("%d %d %d\n", v[i][0], v[i][HUGE + 1], v[(i + 1) % 3][5 * HUGE + 2]);

    puts("a part of one view is unmapped");
    TRY(munmap(v[0] + HUGE + 64 * PAGE, 10 * PAGE));
    printf("%d %d\n", v[0][HUGE], v[1][HUGE + 2]);
    v[0][HUGE + 5] = 77;
    printf("%d\n", v[2][HUGE + 5]);
    MAPPED_HUGE(v[1], 16 * MIB, 16 * MIB);

    puts("a part is protected");
    TRY(mprotect(v[1] + 2 * HUGE + PAGE, PAGE, PROT_READ));
    v[1][2 * HUGE] = 9;
    printf("%d %d\n", v[0][2 * HUGE], v[1][2 * HUGE + PAGE]);
    TRY(read(open("/dev/zero", O_RDONLY), v[1] + 2 * HUGE + PAGE, 10));
    TRY(mprotect(v[1] + 2 * HUGE + PAGE, PAGE, PROT_READ | PROT_WRITE));
    v[1][2 * HUGE + PAGE] = 10;
    printf("%d\n", v[2][2 * HUGE + PAGE]);

    puts("a hole in the middle of a frame");
    memset(v[2] + 3 * HUGE, 0x33, HUGE);
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * HUGE + 100 * PAGE + 5, 50 * PAGE));
    VAL(lseek(fd, 3 * HUGE, SEEK_HOLE) - 3 * HUGE);
    VAL(lseek(fd, 3 * HUGE + 110 * PAGE, SEEK_DATA) - 3 * HUGE);
    VAL(blocks(fd));
    printf("%d %d %d %d\n", v[0][3 * HUGE + 100 * PAGE + 4], v[0][3 * HUGE + 100 * PAGE + 5],
           v[1][3 * HUGE + 150 * PAGE + 4], v[2][3 * HUGE + 150 * PAGE + 5]);
    printf("%lu\n", sum(v[1] + 3 * HUGE, HUGE));
    VAL(blocks(fd));

    puts("whole frames are punched and come again");
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * HUGE, 2 * HUGE));
    VAL(blocks(fd));
    printf("%d %d %d\n", v[0][4 * HUGE], v[1][5 * HUGE + 1], v[2][4 * HUGE + 7]);
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * HUGE, 2 * HUGE));
    TRY(fallocate(fd, 0, 4 * HUGE, 2 * HUGE));
    VAL(blocks(fd));
    v[1][4 * HUGE + 1] = 5;
    v[1][5 * HUGE + 1] = 6;
    printf("%d %d\n", v[0][4 * HUGE + 1], v[2][5 * HUGE + 1]);
    MAPPED_HUGE(v[1], 16 * MIB, 12 * MIB);

    puts("small and misaligned views");
    char *s = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 6 * HUGE + 7 * PAGE);
    s[PAGE] = 42;
    printf("%d\n", v[0][6 * HUGE + 8 * PAGE]);
    char *odd = view((void *)(0x50000000000L + PAGE), fd, 6 * HUGE, HUGE);
    printf("%d\n", odd[8 * PAGE]);
    odd[9 * PAGE] = 43;
    printf("%d %d\n", v[1][6 * HUGE + 9 * PAGE], s[2 * PAGE]);
    char *priv = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 6 * HUGE);
    priv[8 * PAGE] = 1;
    printf("%d %d %d\n", priv[8 * PAGE], priv[9 * PAGE], s[PAGE]);

    puts("calls");
    char b[3 * PAGE];
    memset(b, 'b', sizeof b);
    VAL(pwrite(fd, b, sizeof b, 7 * HUGE + 100));
    VAL(pread(fd, b, 200, 7 * HUGE));
    printf("%d %c %c\n", b[99], b[100], v[1][7 * HUGE + 100 + 3 * PAGE - 1]);
    /* From the file into itself, through a view that has to be mapped first. */
    char *into = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 7 * HUGE + 20 * PAGE);
    VAL(pread(fd, into, PAGE, 7 * HUGE));
    printf("%c\n", v[0][7 * HUGE + 20 * PAGE + 150]);

    puts("moved, discarded, removed");
    char *m = mremap(v[2] + 6 * HUGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, 0x60000000000L);
    printf("%d %d\n", m[8 * PAGE], m[9 * PAGE]);
    TRY(madvise(v[0] + 6 * HUGE, HUGE, MADV_DONTNEED));
    printf("%d\n", v[0][6 * HUGE + 8 * PAGE]);
    TRY(madvise(v[0] + 6 * HUGE + 8 * PAGE, PAGE, MADV_REMOVE));
    printf("%d %d %d\n", v[1][6 * HUGE + 8 * PAGE], m[9 * PAGE], s[2 * PAGE]);
    VAL(blocks(fd));

    puts("shrunk into a frame, and grown again");
    TRY(ftruncate(fd, HUGE + 9 * PAGE + 1));
    VAL(blocks(fd));
    v[0][9 * PAGE + HUGE] = 4;
    TRY(ftruncate(fd, 64 * MIB));
    printf("%d %d %d\n", v[0][HUGE], v[0][HUGE + 9 * PAGE], v[1][3 * HUGE]);
    VAL(blocks(fd));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 60 * MIB, 8 * MIB));
    VAL(blocks(fd));

    puts("asked for");
    int fa = memfd_create("asked", 0);
    TRY(ftruncate(fa, 8 * MIB));
    char *a = view((void *)0x70000000000L, fa, 0, 8 * MIB);
    TRY(madvise(a, 8 * MIB, MADV_HUGEPAGE));
    a[3 * MIB] = 3;
    MAPPED_HUGE(a, 8 * MIB, HUGE);
    TRY(munmap(a, 8 * MIB));
    close(fa);
    return 0;
}
