/* SECONDS THREADS: threads that unmap and protect pages against each other. Each owns a block of pages and
 * changes its mappings; all others write to it all the time. Once a call has returned, no other vCPU may get
 * through to what is gone: mprotect to read-only: the page does not change any more munmap and a new map in
 * its place: nothing that was written to the old frame shows, and nothing is written to it the data that was
 * there before a call is there after it */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define BLOCK 16
#define THREADS_MAX 16
#define AREA ((volatile uint64_t *)0x400000000)

static int threads;
static volatile int ends;
static volatile unsigned long rounds[THREADS_MAX], writes[THREADS_MAX], refused[THREADS_MAX];
static __thread sigjmp_buf here;
static __thread volatile int expected;

static volatile uint64_t *page_of(int thread, int page) {
    return AREA + (thread * BLOCK + page) * (PAGE / 8);
}
static void fail(const char *what, int thread, int page) {
    printf("FAILED: %s, block %d page %d after %lu rounds\n", what, thread, page, rounds[thread]);
    fflush(stdout);
    _exit(1);
}
static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (!expected) {
        printf("FAILED: signal %d code %d at %p\n", signal, info->si_code, info->si_addr);
        fflush(stdout);
        _exit(1);
    }
    siglongjmp(here, 1);
}

/* A store to somebody's page: word 1 is for others, word 0 for the owner. */
static void intrude(int me, volatile uint64_t *at, unsigned value) {
    if (sigsetjmp(here, 0)) {
        expected = 0;
        refused[me]++;
        return;
    }
    expected = 1;
    at[1] = value;
    writes[me]++;
    expected = 0;
}
static void map(int me, int page, int count) {
    void *at = (void *)page_of(me, page);
    if (mmap(at, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
        fail("mmap", me, page);
}
static void own_round(int me, unsigned random) {
    int page = random % BLOCK, count = 1 + random / 16 % (BLOCK - page);
    volatile uint64_t *at = page_of(me, page);
    uint64_t before = at[0], stamp = random | 1UL << 40;
    if (before >> 40 == 0 && before) fail("a stamp that nobody wrote", me, page);
    switch (random >> 16 & 3) {
    case 0:
        for (int i = 0; i < count; i++) page_of(me, page + i)[0] = stamp;
        if (mprotect((void *)at, count * PAGE, PROT_READ)) fail("mprotect", me, page);
        for (int i = 0; i < count; i++) {
            volatile uint64_t *words = page_of(me, page + i);
            uint64_t theirs = words[1];
            for (int wait = 0; wait < 50; wait++)
                if (words[1] != theirs) fail("a store got through to a read-only page", me, page + i);
            if (words[0] != stamp) fail("data changed by mprotect", me, page + i);
        }
        if (mprotect((void *)at, count * PAGE, PROT_READ | PROT_WRITE)) fail("mprotect", me, page);
        break;
    case 1:
        if (munmap((void *)at, count * PAGE)) fail("munmap", me, page);
        map(me, page, count);
        for (int i = 0; i < count; i++)
            if (page_of(me, page + i)[0]) fail("a new page is not empty", me, page + i);
        break;
    case 2: {
        /* The frames may go to somebody else: they must not be written to through old translations. */
        if (munmap((void *)at, count * PAGE)) fail("munmap", me, page);
        uint64_t *fresh = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (fresh == MAP_FAILED) fail("mmap", me, page);
        for (int look = 0; look < 3; look++)
            for (unsigned i = 0; i < count * PAGE / 8; i++)
                if (fresh[i]) fail("a store got through to a freed frame", me, page);
        munmap(fresh, count * PAGE);
        map(me, page, count);
        break;
    }
    default:
        for (int i = 0; i < count; i++) page_of(me, page + i)[0] = stamp;
        if (madvise((void *)at, count * PAGE, MADV_DONTNEED)) fail("madvise", me, page);
        for (int i = 0; i < count; i++)
            if (page_of(me, page + i)[0]) fail("data after MADV_DONTNEED", me, page + i);
    }
    rounds[me]++;
}
static void *work(void *number) {
    int me = (int)(intptr_t)number;
    uint64_t generator = 88172645463325252UL + me;
    while (!ends) {
        generator ^= generator << 13;
        generator ^= generator >> 7;
        generator ^= generator << 17;
        own_round(me, generator >> 20);
        for (int i = 0; i < 64; i++) {
            unsigned random = (generator >> 12) + i * 977;
            int other = (me + 1 + random % (threads - 1)) % threads;
            intrude(me, page_of(other, random / 64 % BLOCK), random);
        }
    }
    return NULL;
}
int main(int count, char **arguments) {
    int seconds = count > 1 ? atoi(arguments[1]) : 10;
    threads = count > 2 ? atoi(arguments[2]) : 4;
    if (threads < 2) threads = 2;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    pthread_t all[THREADS_MAX];
    for (int i = 0; i < threads; i++) map(i, 0, BLOCK);
    for (int i = 0; i < threads; i++) pthread_create(all + i, NULL, work, (void *)(intptr_t)i);
    unsigned long last[THREADS_MAX] = {0};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        sleep(1);
        clock_gettime(CLOCK_MONOTONIC, &now);
        /* Each thread must have come on within ten seconds. */
        if ((now.tv_sec - start.tv_sec) % 10 == 9) {
            for (int i = 0; i < threads; i++) {
                if (rounds[i] == last[i]) fail("no progress", i, 0);
                last[i] = rounds[i];
            }
            sleep(1);
        }
    } while (now.tv_sec - start.tv_sec < seconds);
    ends = 1;
    unsigned long total = 0, stored = 0, faults = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(all[i], NULL);
        total += rounds[i];
        stored += writes[i];
        faults += refused[i];
    }
    printf("%d threads, %d s: %lu rounds, %lu stores of others, %lu refused\n", threads, seconds, total,
           stored, faults);
    return 0;
}
