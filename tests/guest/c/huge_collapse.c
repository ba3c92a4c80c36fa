/* MADV_COLLAPSE: small pages become large ones, and what the kernel says where they cannot. */
#include "t.h"
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE (2L << 20)
/* kB that /proc/self/smaps says under `field` for the area that holds `p`. */
static long in_smaps(void *p, const char *field) {
    char line[512];
    unsigned long from, to;
    int inside = 0;
    long kb = -1;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, '-') < strchr(line, ' '))
            inside = from <= (unsigned long)p && (unsigned long)p < to;
        else if (inside && !strncmp(line, field, strlen(field)))
            kb = atol(line + strlen(field));
    }
    fclose(f);
    return kb;
}
static char *aligned(long n, int prot) {
    char *p = pages((n + 1) * 512, PROT_NONE);
    char *a = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
    mprotect(a, n * HUGE, prot);
    return a;
}
int main(void) {
    char *p = aligned(2, PROT_READ | PROT_WRITE);
    TRY(madvise(p, 2 * HUGE, MADV_NOHUGEPAGE));
    for (long i = 0; i < 2 * HUGE; i += PAGE) p[i] = (char)(i / PAGE * 7);
    VAL(in_smaps(p, "AnonHugePages:"));
    TRY(madvise(p, 2 * HUGE, MADV_COLLAPSE));
    TRY(madvise(p, 2 * HUGE, MADV_HUGEPAGE));
    TRY(madvise(p, 2 * HUGE, MADV_COLLAPSE));
    VAL(in_smaps(p, "AnonHugePages:"));
    VAL(in_smaps(p, "Rss:"));
    int same = 1;
    for (long i = 0; i < 2 * HUGE; i += PAGE) same &= p[i] == (char)(i / PAGE * 7);
    IS(same);
    p[5] = 9;
    TRY(madvise(p, 2 * HUGE, MADV_COLLAPSE));
    IS(p[5] == 9);
    /* A piece goes, and the rest is as it was. */
    TRY(madvise(p + PAGE, PAGE, MADV_DONTNEED));
    IS(p[5] == 9 && p[PAGE] == 0 && p[2 * PAGE] == 14);
    TRY(madvise(p + 1, HUGE, MADV_COLLAPSE));
    TRY(madvise(NULL, 0, MADV_COLLAPSE));
    char *small = pages(16, PROT_READ | PROT_WRITE);
    small[0] = 1;
    TRY(madvise(small, 16 * PAGE, MADV_COLLAPSE));
    char *empty = aligned(1, PROT_READ | PROT_WRITE);
    TRY(madvise(empty, HUGE, MADV_COLLAPSE));
    munmap(empty, HUGE);
    TRY(madvise(empty, HUGE, MADV_COLLAPSE));
    return 0;
}
