/* The hostile fuzzer: SEED CALLS THREADS. Any system call (unknown numbers too) with bad pointers, sizes and
 * descriptors. Runs in the guest only. Nothing is expected of a call but that the kernel lives on; the
 * program itself may end at any call, and the harness then starts the next. Kernel memory is watched: the
 * program's own page has an alias in the kernel's direct map, calls get pointers to it, and no call may
 * change the page through it or read from it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define THREADS_MAX 8
/* kernel/hal/src/addr.rs */
#define DIRECT_MAP 0xffff888000000000UL

struct worker {
    uint64_t generator;
    pthread_t thread;
    volatile int tid;
    volatile unsigned long done, number;
};
static struct worker workers[THREADS_MAX];
static unsigned long calls;
static int threads;
static uint8_t *scratch, *canary, *alias;

static long raw(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
static uint64_t draw(struct worker *worker) {
    uint64_t x = worker->generator += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* The direct map's address of a page, by the page tables: application and kernel share ring 0. */
static uint8_t *alias_of(void *page) {
    uint64_t root, address = (uint64_t)page;
    __asm__ volatile("mov %%cr3, %0" : "=r"(root));
    uint64_t table = root & 0xffffffffff000;
    for (int level = 4; level >= 1; level--) {
        uint64_t entry = ((uint64_t *)(DIRECT_MAP + table))[address >> (12 + 9 * (level - 1)) & 511];
        if (!(entry & 1)) return NULL;
        table = entry & 0xffffffffff000;
        if (level == 2 && entry & 0x80) {
            table += address & 0x1ff000;
            break;
        }
    }
    return (uint8_t *)(DIRECT_MAP + table);
}

static uint64_t pointer(struct worker *worker) {
    uint64_t random = draw(worker), offset = random >> 8 & 4095;
    switch (random & 15) {
    case 0:
        return 0;
    case 1:
        return offset;
    case 2:
        return 0x7ffffffff000 - (random >> 24 & 15);
    case 3:
        return 0x800000000000 + offset;
    case 4:
        return 0xffff800000000000 + (random >> 20 & 0xfffffff000);
    case 5:
        return (uint64_t)alias + (offset & ~7UL);
    case 6:
        return 0xffffffff80100000 + (random >> 20 & 0xfffff);
    case 7:
        return -1 - (random >> 20 & 31);
    /* Read-only, no access, a page before a hole, the middle. */
    case 8:
        return (uint64_t)scratch + 8 * PAGE + offset;
    case 9:
        return (uint64_t)scratch + 12 * PAGE + offset;
    case 10:
        return (uint64_t)scratch + 8 * PAGE - (random >> 24 & 31);
    case 11:
        return (uint64_t)scratch + 24 * PAGE - (random >> 24 & 31);
    default:
        return (uint64_t)scratch + (random >> 24 & 7) * PAGE + (offset & ~7UL);
    }
}
static uint64_t argument(struct worker *worker) {
    static const uint64_t odd[] = {0,          1,          2,          8,           16,        24,
                                   64,         4095,       4096,       4097,        65536,     1 << 20,
                                   0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, INT64_MAX, 1UL << 63,
                                   -1UL,       -4096,      -100};
    uint64_t random = draw(worker);
    switch (random >> 60) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        return pointer(worker);
    case 6:
    case 7:
    case 8:
        return odd[random % COUNT(odd)];
    case 9:
    case 10:
        return random % 64;
    case 11:
        return 1UL << random % 64;
    case 12:
        return random & 0xffff;
    case 13:
        return random;
    default:
        return 3 + random % 20;
    }
}
/* Things that calls can find: numbers, strings, structures of pointers. */
static void stir(struct worker *worker) {
    uint64_t *words = (uint64_t *)(scratch + (draw(worker) & 7) * PAGE);
    for (int i = 0; i < 16; i++) words[draw(worker) & 511] = argument(worker);
    static const char *const names[] = {"/tmp/h", "/proc/self/maps", "/dev/null",      "/",
                                        "h/../x", "/dev/zero",       "/proc/self/mem", "/sys"};
    strcpy((char *)words + (draw(worker) & 511) * 4, names[draw(worker) & 7]);
}

/* What would only end the program, or block for good, or speak on the wire that counts the calls. */
static int is_left_out(struct worker *worker, long number, uint64_t *arguments) {
    switch (number) {
    case SYS_exit:
    case SYS_exit_group:
    case SYS_rt_sigreturn:
    case SYS_pause:
    case SYS_reboot:
        /* Rarely, to see that these ends are ends too. */
        return number == SYS_pause || number == SYS_reboot || draw(worker) % 64;
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
        return draw(worker) % 16 != 0;
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mmap:
    case SYS_pkey_mprotect:
        /* Lengths that reach the program itself. */
        return arguments[1] > 64 * PAGE && arguments[1] < 1UL << 47 && draw(worker) % 64;
    case SYS_close:
    case SYS_dup2:
    case SYS_dup3:
    case SYS_close_range:
        return (int)arguments[0] < 3 || (int)arguments[1] < 3;
    }
    return (int)arguments[0] == 1 || (int)arguments[0] == 2;
}
static void check_canary(long number) {
    for (unsigned i = 0; i < PAGE; i++) {
        if (canary[i] == 0x5a) continue;
        char text[100];
        int length = snprintf(text, sizeof text, "CANARY: a call %ld wrote to kernel memory\n", number);
        raw(SYS_write, 1, (long)text, length, 0, 0, 0);
        raw(SYS_exit_group, 77, 0, 0, 0, 0, 0);
    }
}
static void on_nudge(int signal) { (void)signal; }
static void *work(void *of) {
    struct worker *worker = of;
    worker->tid = raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
    for (unsigned long i = 0; i < calls; i++) {
        uint64_t random = draw(worker), none = 0, arguments[6];
        long number =
            random % 16 ? (long)(random >> 8) % 470 : (long)(random >> 8) % 600 * (random & 16 ? 1 : -1);
        if (random % 400 == 0) number = (long)(random << 20);
        for (int n = 0; n < 6; n++) arguments[n] = argument(worker);
        if (draw(worker) % 4) arguments[0] = 3 + draw(worker) % 20;
        if (i % 8 == 0) stir(worker);
        if (is_left_out(worker, number, arguments)) continue;
        if (number == SYS_clone || number == SYS_clone3 || number == SYS_vfork || number == SYS_fork)
            arguments[0] &= ~0x10000UL;
        raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
        worker->number = number;
        raw(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        worker->done++;
        if (i % 16 == 0) check_canary(number);
    }
    return NULL;
}
/* A call that reads must refuse the kernel's memory. */
static void check_reads(void) {
    int file = memfd_create("x", 0), pipes[2], pair[2];
    if (pipe2(pipes, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) return;
    const long tried[][4] = {{SYS_write, file, (long)alias, 64},      {SYS_pwrite64, file, (long)alias, 64},
                             {SYS_write, pipes[1], (long)alias, 64},  {SYS_sendto, pair[0], (long)alias, 64},
                             {SYS_openat, AT_FDCWD, (long)alias, 0},  {SYS_read, pipes[0], (long)alias, 64},
                             {SYS_getrandom, (long)alias, 64, 0},     {SYS_memfd_create, (long)alias, 0, 0},
                             {SYS_nanosleep, (long)alias, 0, 0},      {SYS_clock_gettime, 1, (long)alias, 0},
                             {SYS_futex, (long)alias, 0, 0x5a5a5a5a}, {SYS_write, file, (long)alias - 1, 64}};
    raw(SYS_write, pipes[1], (long)"something", 9, 0, 0, 0);
    for (unsigned i = 0; i < COUNT(tried); i++) {
        long got = raw(tried[i][0], tried[i][1], tried[i][2], tried[i][3], 0, 0, 0);
        if (got != -EFAULT) printf("CANARY: call %ld of a kernel address gives %ld\n", tried[i][0], got);
    }
}
static void report(const char *how) {
    unsigned long done = 0;
    for (int i = 0; i < threads; i++) done += workers[i].done;
    char text[100];
    int length = snprintf(text, sizeof text, "%s %lu calls\n", how, done);
    raw(SYS_write, 1, (long)text, length, 0, 0, 0);
}

/* One descriptor of each kind at 3 to 22, where calls draw theirs from. */
static void open_every_kind(void) {
    const int quiet = SOCK_NONBLOCK;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int both[2];
    for (int i = 0; i < 3; i++) open("/tmp/h", O_CREAT | O_RDWR | O_NONBLOCK, 0600);
    open("/tmp", O_RDONLY | O_DIRECTORY);
    pipe2(both, O_NONBLOCK);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = both[0]};
    epoll_ctl(epoll, EPOLL_CTL_ADD, both[0], &event);
    eventfd(1, EFD_NONBLOCK);
    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    signalfd(-1, &set, SFD_NONBLOCK);
    inotify_add_watch(inotify_init1(IN_NONBLOCK), "/tmp", IN_ALL_EVENTS);
    memfd_create("h", MFD_ALLOW_SEALING);
    socketpair(AF_UNIX, SOCK_STREAM | quiet, 0, both);
    socket(AF_UNIX, SOCK_DGRAM | quiet, 0);
    int listener = socket(AF_INET, SOCK_STREAM | quiet, 0);
    bind(listener, (void *)&here, sizeof here);
    listen(listener, 5);
    socklen_t length = sizeof here;
    getsockname(listener, (void *)&here, &length);
    int client = socket(AF_INET, SOCK_STREAM | quiet, 0);
    connect(client, (void *)&here, length);
    socket(AF_INET, SOCK_DGRAM | quiet, 0);
    socket(AF_INET6, SOCK_STREAM | quiet, 0);
    socket(AF_NETLINK, SOCK_RAW | quiet, 0);
}

int main(int count, char **arguments) {
    if (count < 4) return 2;
    calls = strtoul(arguments[2], NULL, 10);
    threads = atoi(arguments[3]);
    if (threads < 1 || threads > THREADS_MAX) return 2;
    scratch = mmap((void *)0x300000000, 32 * PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    canary = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(canary, 0x5a, PAGE);
    alias = alias_of(canary);
    if (!alias || alias[5] != 0x5a) {
        printf("CANARY: no alias\n");
        return 1;
    }
    check_reads();
    check_canary(-1);
    memset(scratch, 0, 24 * PAGE);
    mprotect(scratch + 8 * PAGE, 4 * PAGE, PROT_READ);
    mprotect(scratch + 12 * PAGE, 4 * PAGE, PROT_NONE);
    munmap(scratch + 24 * PAGE, 8 * PAGE);
    open_every_kind();
    fflush(stdout);
    for (int i = 0; i < threads; i++) {
        workers[i].generator = strtoull(arguments[1], NULL, 10) * 1000003 + i;
        if (pthread_create(&workers[i].thread, NULL, work, workers + i)) return 3;
    }
    /* Nudges who sits in a call for long; who cannot be nudged ends the program. */
    unsigned long last[THREADS_MAX] = {0};
    int idle[THREADS_MAX] = {0};
    for (unsigned tick = 0;; tick++) {
        struct timespec nap = {0, 5000000};
        uint64_t none = 0;
        raw(SYS_nanosleep, (long)&nap, 0, 0, 0, 0, 0);
        raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
        int working = 0;
        for (int i = 0; i < threads; i++) {
            struct worker *worker = workers + i;
            idle[i] = worker->done != last[i] ? 0 : idle[i] + 1;
            last[i] = worker->done;
            working += idle[i] < 100;
            if (idle[i] < 2) continue;
            struct sigaction action = {.sa_handler = on_nudge};
            sigaction(SIGUSR1, &action, NULL);
            raw(SYS_tgkill, raw(SYS_getpid, 0, 0, 0, 0, 0, 0), worker->tid, SIGUSR1, 0, 0, 0);
        }
        if (tick % 20 == 19) report("so far");
        if (!working) {
            report("end after");
            raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
        }
    }
}
