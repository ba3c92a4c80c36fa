/* Threads that change protections and mappings of their own and of shared pages at once: every change must be
 * seen by every thread when the call returns, and all of it must come to an end. With an argument: prints
 * rounds a second on stderr. */
#include "t.h"
#include <setjmp.h>
#define THREADS 4
#define ROUNDS 150
static volatile int stop;
static char *shared_page;
static volatile long wrong, faults;
static __thread sigjmp_buf back;
static __thread volatile int expecting;
static int64_t began;
static long limit = ROUNDS;

static void on_fault(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    if (!expecting) {
        static const char m[] = "unexpected fault\n";
        write(1, m, sizeof m - 1);
        _exit(9);
    }
    __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
    siglongjmp(back, 1);
}

/* Its own page, on and off: a store must work after RW and fault after R. */
static void *own(void *a) {
    char *p = pages(4, PROT_READ | PROT_WRITE);
    for (long n = 0; n < limit; n++) {
        p[0] = (char)n;
        mprotect(p, 4 * PAGE, PROT_READ);
        expecting = 1;
        if (!sigsetjmp(back, 1)) {
            p[PAGE] = 1;
            __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
        }
        expecting = 0;
        mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE);
        p[2 * PAGE] = 1;
        madvise(p, 4 * PAGE, MADV_DONTNEED);
        if (p[0] || p[2 * PAGE]) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    }
    munmap(p, 4 * PAGE);
    return a;
}

/* Maps and unmaps; fresh memory is zero. */
static void *mapper(void *a) {
    for (long n = 0; n < limit; n++) {
        long count = 1 + n % 40;
        char *p = pages(count, PROT_READ | PROT_WRITE);
        for (long i = 0; i < count; i++) {
            if (p[i * PAGE]) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
            p[i * PAGE] = 7;
        }
        munmap(p, count * PAGE);
    }
    return a;
}

/* Reads the shared page for ever; the main thread swaps it. */
static void *reader(void *a) {
    long last = 0;
    while (!stop) {
        long seen = *(volatile long *)shared_page;
        if (seen < last) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
        last = seen;
    }
    return a;
}

int main(int argc, char **argv) {
    if (argc > 1) limit = atol(argv[1]);
    on(SIGSEGV, on_fault, 0);
    shared_page = pages(1, PROT_READ | PROT_WRITE);
    pthread_t t[THREADS], r;
    began = now_ns();
    for (int i = 0; i < THREADS; i++) t[i] = start(i % 2 ? mapper : own, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    if (argc > 1) fprintf(stderr, "own and mapper: %ld ms\n", (long)((now_ns() - began) / 1000000));
    IS(faults == limit * THREADS / 2);
    VAL(wrong);
    r = start(reader, NULL);
    began = now_ns();
    for (long n = 1; n <= limit; n++) {
        char *p = pages(1, PROT_READ | PROT_WRITE);
        *(long *)p = n;
        if (mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, shared_page) != shared_page) wrong++;
    }
    stop = 1;
    pthread_join(r, NULL);
    if (argc > 1) fprintf(stderr, "swap: %ld ms\n", (long)((now_ns() - began) / 1000000));
    VAL(wrong);
    return 0;
}
