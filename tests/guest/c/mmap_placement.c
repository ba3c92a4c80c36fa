/* mmap(2): hints, MAP_FIXED, MAP_FIXED_NOREPLACE and the refusals. */
#include "t.h"
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
int main(void) {
    char *base = pages(64, PROT_NONE);
    munmap(base, 64 * PAGE);
    char *p = mmap(base, 4 * PAGE, PROT_READ, ANON, -1, 0);
    IS(p == base);
    char *q = mmap(base + 8 * PAGE + 123, 4 * PAGE, PROT_READ, ANON, -1, 0);
    IS(q == base + 8 * PAGE || q == base + 9 * PAGE);
    munmap(q, 4 * PAGE);
    q = mmap(base + 2 * PAGE, 4 * PAGE, PROT_READ, ANON, -1, 0);
    IS(q != MAP_FAILED && q != base + 2 * PAGE);
    IS(q + 4 * PAGE <= base || q >= base + 4 * PAGE);
    munmap(q, 4 * PAGE);
    errno = 0;
    q = mmap(base + 2 * PAGE, 4 * PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    IS(q == MAP_FAILED && errno == EEXIST);
    q = mmap(base + 4 * PAGE, 4 * PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    IS(q == base + 4 * PAGE);
    mprotect(base, 4 * PAGE, PROT_READ | PROT_WRITE);
    memset(base, 7, 4 * PAGE);
    q = mmap(base + PAGE, PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0);
    IS(q == base + PAGE);
    VAL(base[0]);
    VAL(base[PAGE]);
    VAL(base[2 * PAGE]);
    munmap(base, 64 * PAGE);
    /* Low addresses are the application's. */
    q = mmap((void *)0x10000, PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    IS(q == (char *)0x10000);
    q = mmap((void *)0x80000000, 16 * PAGE, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    IS(q == (char *)0x80000000);
    q = mmap((void *)0x40000000000, 1L << 33, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    IS(q == (char *)0x40000000000);
    q = mmap(NULL, 1L << 40, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    IS(q != MAP_FAILED);
    IS((uint64_t)q + (1L << 40) < 0x800000000000);
    TRY(munmap(q, 1L << 40));
    TRY(mmap(NULL, 0, PROT_READ, ANON, -1, 0));
    TRY(mmap(NULL, 1L << 46, PROT_READ | PROT_WRITE, ANON, -1, 0));
    TRY(mmap(NULL, 1L << 47, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
    TRY(mmap(NULL, -1L, PROT_NONE, ANON, -1, 0));
    TRY(mmap((void *)0x7ffffffff000, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
    TRY(mmap((void *)0x800000000000, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
    TRY(mmap(base + 1, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0));
    int zero = open("/dev/zero", O_RDWR), exe = open("/proc/self/exe", O_RDONLY),
        null = open("/dev/null", O_RDWR), pfd[2];
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, exe, 1));
    TRY(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, exe, 0));
    TRY(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, exe, 0));
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x200000, exe, 0));
    q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    IS(q != MAP_FAILED && q[0] == 0 && (q[0] = 1) == 1);
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, null, 0));
    TRY(pipe(pfd));
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, pfd[0], 0));
    int wo = open("/tmp/mmap_placement", O_WRONLY | O_CREAT, 0600);
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
    unlink("/tmp/mmap_placement");
    TRY(munmap((void *)0x10001, PAGE));
    TRY(munmap((void *)0x10000, 0));
    TRY(munmap((void *)0x10000, 2 * PAGE));
    TRY(munmap((void *)0x10000, 2 * PAGE));
    TRY(munmap((void *)0x800000000000, PAGE));
    return 0;
}
