// Costs of single kernel services: micro count|wall [CASE...]
//
// Each case runs N operations, then 2N: the difference is N operations without the case's own preparations.
// "count" reads the time-stamp counter: under QEMU's -icount shift=0 with one vCPU that is the number of
// executed instructions. "wall" reads CLOCK_MONOTONIC in nanoseconds. A line per round: micro CASE value
// minor-faults, per operation.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define KIB 1024UL
#define MIB (1024UL * KIB)
#define PAGE (4 * KIB)
#define LARGE (2 * MIB)
// What one fault-around maps, on both systems.
#define AROUND (64 * KIB)
#define ROUNDS 5

static int wall;

static uint64_t now(void) {
    if (wall) {
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec * 1000000000ULL + time.tv_nsec;
    }
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

static void die(const char *what) {
    printf("micro: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *map(size_t bytes, int protection, int more) {
    void *area = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0);
    if (area == MAP_FAILED) die("mmap");
    return area;
}

// The measured part of a case starts here and ends at the next read of the clock; what comes before is
// preparation.
static uint64_t started;
static long faults_at_start;

static long minor_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void start(void) {
    faults_at_start = minor_faults();
    started = now();
}

// --- calls

static void null_call(long n) {
    start();
    for (long i = 0; i < n; i++) syscall(SYS_getpid);
}

static void read_clock(long n) {
    struct timespec time;
    start();
    for (long i = 0; i < n; i++) clock_gettime(CLOCK_MONOTONIC, &time);
}

static void dev_zero(long n) {
    char byte;
    int fd = open("/dev/zero", O_RDWR);
    if (fd < 0) die("/dev/zero");
    start();
    for (long i = 0; i < n; i++)
        if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1) die("/dev/zero");
    close(fd);
}

static void pipe_byte(long n) {
    char byte = 0;
    int ends[2];
    if (pipe(ends)) die("pipe");
    start();
    for (long i = 0; i < n; i++)
        if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) die("pipe");
    close(ends[0]);
    close(ends[1]);
}

// --- two threads. The second one is started and waits before the clock does; one operation is one hand-over.

static pthread_barrier_t together;

static void with_thread(void *(*second)(void *), void (*first)(long), long n) {
    pthread_t thread;
    pthread_barrier_init(&together, NULL, 2);
    if (pthread_create(&thread, NULL, second, (void *)n)) die("pthread_create");
    pthread_barrier_wait(&together);
    start();
    first(n);
    pthread_join(thread, NULL);
}

static int turn __attribute__((aligned(64)));

static void futex(int operation, int value) {
    syscall(SYS_futex, &turn, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void take_turns(int mine, long hand_overs) {
    for (long i = 0; i < hand_overs; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine) futex(FUTEX_WAIT, !mine);
        __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
        futex(FUTEX_WAKE, 1);
    }
}

static void *futex_second(void *n) {
    pthread_barrier_wait(&together);
    take_turns(1, (long)n / 2);
    return NULL;
}
static void futex_first(long n) { take_turns(0, n / 2); }
static void futex_hand_over(long n) { with_thread(futex_second, futex_first, n); }

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int owner;

static void take_condition_turns(int mine, long hand_overs) {
    for (long i = 0; i < hand_overs; i++) {
        pthread_mutex_lock(&lock);
        while (owner != mine) pthread_cond_wait(&changed[mine], &lock);
        owner = !mine;
        pthread_cond_signal(&changed[!mine]);
        pthread_mutex_unlock(&lock);
    }
}

static void *condition_second(void *n) {
    pthread_barrier_wait(&together);
    take_condition_turns(1, (long)n / 2);
    return NULL;
}
static void condition_first(long n) { take_condition_turns(0, n / 2); }
static void condition_hand_over(long n) { with_thread(condition_second, condition_first, n); }

static void pin(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void unpin(void) {
    cpu_set_t set;
    memset(&set, 0xff, sizeof set);
    sched_setaffinity(0, sizeof set, &set);
}

static void yield_first(long n) {
    for (long i = 0; i < n / 2; i++) sched_yield();
}
static void *yield_second(void *n) {
    pin();
    pthread_barrier_wait(&together);
    yield_first((long)n);
    return NULL;
}
static void context_switch(long n) {
    pin();
    with_thread(yield_second, yield_first, n);
    unpin();
}

static void *nothing(void *argument) { return argument; }

static void thread_start_join(long n) {
    start();
    for (long i = 0; i < n; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL)) die("pthread_create");
        pthread_join(thread, NULL);
    }
}

// --- memory

static void touch(volatile char *area, size_t bytes, size_t step) {
    for (size_t at = 0; at < bytes; at += step) area[at] = 1;
}

static void fault_small(long n) {
    size_t bytes = n * PAGE;
    char *area = map(bytes, PROT_READ | PROT_WRITE, 0);
    madvise(area, bytes, MADV_NOHUGEPAGE);
    // Page tables exist, as within a heap: one page of each 2 MiB is there.
    touch(area + PAGE, bytes - PAGE, LARGE);
    start();
    for (long i = 0; i < n; i++)
        if (i % 512 != 1) ((volatile char *)area)[i * PAGE] = 1;
    uint64_t end = now();
    munmap(area, bytes);
    started += now() - end;
}

static void fault_large(long n) {
    size_t bytes = (n + 1) * LARGE;
    char *area = map(bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    char *aligned = (char *)(((uintptr_t)area + LARGE - 1) & ~(LARGE - 1));
    madvise(aligned, n * LARGE, MADV_HUGEPAGE);
    start();
    touch(aligned, n * LARGE, LARGE);
    uint64_t end = now();
    munmap(area, bytes);
    started += now() - end;
}

// 8 MiB at /classes/data, in the page cache already.
static void fault_file(long n) {
    int fd = open("/classes/data", O_RDONLY);
    char *area = mmap(NULL, n * AROUND, PROT_READ, MAP_PRIVATE, fd, 0);
    if (area == MAP_FAILED) die("/classes/data");
    start();
    for (long i = 0; i < n; i++) (void)*(volatile char *)&area[i * AROUND];
    uint64_t end = now();
    munmap(area, n * AROUND);
    close(fd);
    started += now() - end;
}

static void map_unmap(long n, size_t bytes, int is_touched) {
    start();
    for (long i = 0; i < n; i++) {
        char *area = map(bytes, PROT_READ | PROT_WRITE, 0);
        if (is_touched) *(volatile char *)area = 1;
        munmap(area, bytes);
    }
}
static void map_page(long n) { map_unmap(n, PAGE, 0); }
static void map_page_touch(long n) { map_unmap(n, PAGE, 1); }
static void map_mib(long n) { map_unmap(n, MIB, 0); }

// As glibc grows an arena: one more page of a reserved area may be read and written.
static void protect_grow(long n) {
    char *area = map(n * PAGE, PROT_NONE, MAP_NORESERVE);
    start();
    for (long i = 0; i < n; i++)
        if (mprotect(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE)) die("mprotect");
    uint64_t end = now();
    munmap(area, n * PAGE);
    started += now() - end;
}

// As HotSpot commits more of a reserved heap (os::pd_commit_memory).
static void commit_grow(long n) {
    const size_t step = 64 * KIB;
    char *area = map(n * step, PROT_NONE, MAP_NORESERVE);
    start();
    for (long i = 0; i < n; i++) {
        char *at = area + i * step;
        if (mmap(at, step, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
                 0) != at)
            die("mmap");
    }
    uint64_t end = now();
    munmap(area, n * step);
    started += now() - end;
}

// As JDK 17's ZGC commits a granule: 2 MiB of its memfd, mapped in three views, and touched in each
// (zPhysicalMemoryBacking_linux.cpp, ZPhysicalMemoryManager::map).
static void zgc_granule(long n) {
    enum { VIEWS = 3 };
    int fd = memfd_create("java_heap", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, n * LARGE)) die("memfd");
    char *views[VIEWS], *areas[VIEWS];
    for (int view = 0; view < VIEWS; view++) {
        areas[view] = map((n + 1) * LARGE, PROT_NONE, MAP_NORESERVE);
        views[view] = (char *)(((uintptr_t)areas[view] + LARGE - 1) & ~(LARGE - 1));
    }
    start();
    for (long i = 0; i < n; i++) {
        if (fallocate(fd, 0, i * LARGE, LARGE)) die("fallocate");
        for (int view = 0; view < VIEWS; view++) {
            char *at = views[view] + i * LARGE;
            if (mmap(at, LARGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, fd, i * LARGE) != at)
                die("mmap");
            *(volatile char *)at = 1;
        }
    }
    uint64_t end = now();
    for (int view = 0; view < VIEWS; view++) munmap(areas[view], (n + 1) * LARGE);
    close(fd);
    started += now() - end;
}

// --- signals

extern char after_load[];

static void skip(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)after_load;
}

static void segv(long n) {
    struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    start();
    // An implicit null check: a load from an unmapped low address; the handler goes on behind it.
    __asm__ volatile("1: movl 8, %%eax\n"
                     "   .globl after_load\n"
                     "after_load:\n"
                     "   decq %0\n"
                     "   jnz 1b\n"
                     : "+r"(n)::"rax", "cc", "memory");
}

// --- what zeroing a page costs by itself, to be taken off the faults: Linux's clear_page_rep, and our
// zero_pages

static char pages[256 * PAGE] __attribute__((aligned(4096)));

static void zero_quads(long n) {
    start();
    void *to = pages;
    size_t count = n * PAGE / 8;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

static void zero_vectors(long n) {
    start();
    char *to = pages;
    __asm__ volatile("   xorps %%xmm0, %%xmm0\n"
                     "1: .set at, 0\n"
                     "   .rept 32\n"
                     "   movaps %%xmm0, at(%0)\n"
                     "   .set at, at + 16\n"
                     "   .endr\n"
                     "   addq $512, %0\n"
                     "   cmpq %1, %0\n"
                     "   jb 1b\n"
                     : "+r"(to)
                     : "r"(pages + n * PAGE)
                     : "xmm0", "cc", "memory");
}

static const struct {
    const char *name;
    void (*run)(long n);
    long n;
} CASES[] = {
    {"null_call", null_call, 5000},
    {"clock_gettime", read_clock, 5000},
    {"dev_zero", dev_zero, 2000},
    {"pipe_byte", pipe_byte, 2000},
    {"futex_hand_over", futex_hand_over, 2000},
    {"condition_hand_over", condition_hand_over, 2000},
    {"context_switch", context_switch, 2000},
    {"thread_start_join", thread_start_join, 200},
    {"fault_4k", fault_small, 2048},
    {"fault_2m", fault_large, 16},
    {"fault_file", fault_file, 60},
    {"map_unmap_4k", map_page, 1000},
    {"map_touch_unmap_4k", map_page_touch, 1000},
    {"map_unmap_1m", map_mib, 1000},
    {"mprotect_grow", protect_grow, 1000},
    {"commit_grow", commit_grow, 1000},
    {"zgc_granule", zgc_granule, 16},
    {"segv", segv, 1000},
    {"zero_quads", zero_quads, 128},
    {"zero_vectors", zero_vectors, 128},
};

static double measure(void (*run)(long n), long n, double *faults) {
    run(n);
    uint64_t end = now();
    *faults = minor_faults() - faults_at_start;
    return end - started;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    wall = !strcmp(argv[1], "wall");
    // Later prints and stack growth fault nowhere.
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        int is_wanted = argc == 2;
        for (int at = 2; at < argc; at++) is_wanted |= !strcmp(argv[at], CASES[i].name);
        if (!is_wanted) continue;
        double faults[2], cost[2];
        measure(CASES[i].run, CASES[i].n, faults);
        for (int round = 0; round < ROUNDS; round++) {
            for (int size = 0; size < 2; size++)
                cost[size] = measure(CASES[i].run, CASES[i].n << size, &faults[size]);
            printf("micro %s %.2f %.4f\n", CASES[i].name, (cost[1] - cost[0]) / CASES[i].n,
                   (faults[1] - faults[0]) / CASES[i].n);
        }
    }
    puts("micro end");
    return 0;
}
