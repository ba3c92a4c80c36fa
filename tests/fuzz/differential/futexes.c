/* Futexes: the calls of one thread, and small plays of two in which one waits before the other acts. */
#include "fuzz.h"
#include <linux/futex.h>
#include <pthread.h>

static uint32_t words[8];
static uint32_t *word(void) {
    if (once_in(25)) {
        long bad = PICK(0, 1, 16, 0x800000000000, -4);
        say("%#lx", bad);
        return (uint32_t *)bad;
    }
    if (once_in(30)) {
        say("unaligned");
        return (uint32_t *)((char *)words + 2);
    }
    int slot = below(8);
    say("w%d", slot);
    return words + slot;
}
static long futex(uint32_t *at, long operation, long value, void *timeout, uint32_t *other, long value3) {
    return syscall(SYS_futex, at, operation, value, timeout, other, value3);
}
static long kind(void) { return once_in(3) ? 0 : FUTEX_PRIVATE_FLAG; }

static void do_set(void) {
    int slot = below(8);
    words[slot] = PICK(0, 1, 2, 0x7fffffff, 0x80000000);
    say("w%d = %u", slot, words[slot]);
}
static void do_wait(void) {
    struct timespec timeout = {PICK(0, 0, 0, -1), PICK(0, 1, 1000, 1000000000)};
    long flag = kind(),
         operation = PICK(FUTEX_WAIT, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME,
                          FUTEX_WAIT | FUTEX_CLOCK_REALTIME);
    uint32_t value = PICK(0, 1, 2, 0x80000000), bits = PICK(1, -1, -1, 0);
    say("futex(");
    uint32_t *at = word();
    say(", %#lx, %u, %ld.%ld, %x)", operation | flag, value, timeout.tv_sec, timeout.tv_nsec, bits);
    result(futex(at, operation | flag, value, &timeout, NULL, bits));
}
static void do_wake(void) {
    long flag = kind(), operation = PICK(FUTEX_WAKE, FUTEX_WAKE, FUTEX_WAKE_BITSET),
         count = PICK(0, 1, 2, INT32_MAX, -1);
    uint32_t bits = PICK(1, -1, 0);
    say("futex(");
    uint32_t *at = word();
    say(", %#lx, %ld, %x)", operation | flag, count, bits);
    result(futex(at, operation | flag, count, NULL, NULL, bits));
}
static void do_wake_op(void) {
    long verb = below(6), compare = below(7), operand = PICK(0, 1, 5, 0x7ff), against = PICK(0, 1, 0x7ff),
         flag = kind();
    if (once_in(5)) verb |= 8, operand = PICK(0, 3, 31, 40);
    say("futex(");
    uint32_t *at = word();
    say(", FUTEX_WAKE_OP|%#lx, ", flag);
    uint32_t *other = word();
    say(", %ld %ld %ld %ld)", verb, operand, compare, against);
    long encoded = (verb & 15) << 28 | compare << 24 | (operand & 0xfff) << 12 | (against & 0xfff);
    result(futex(at, FUTEX_WAKE_OP | flag, 1, (void *)1, other, encoded));
    for (int i = 0; i < 8; i++) say(" %x", words[i]);
}
static void do_requeue(void) {
    long flag = kind(), operation = PICK(FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE),
         wake = PICK(0, 1, -1), move = PICK(0, 1, 100, -1), value = PICK(0, 1);
    say("futex(");
    uint32_t *at = word();
    say(", %#lx, %ld, %ld, ", operation | flag, wake, move);
    uint32_t *other = word();
    say(", %ld)", value);
    result(futex(at, operation | flag, wake, (void *)move, other, value));
}
static void do_wrong(void) {
    long operation = PICK(2, 14, 15, 77, -1, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0x40000000);
    say("futex(");
    uint32_t *at = word();
    say(", %#lx)", operation);
    result(futex(at, operation, 0, NULL, NULL, 0));
}
static void do_robust(void) {
    static struct {
        void *next;
        long offset;
        void *pending;
    } list = {&list, 0, NULL};
    long size = PICK(24, 24, 16, 0);
    void *head = NULL;
    size_t length = 0;
    say("set_robust_list(%ld)", size);
    result(syscall(SYS_set_robust_list, &list, size));
    say(" get_robust_list");
    result(syscall(SYS_get_robust_list, 0, &head, &length));
    say(" %zu", length);
}

/* Two threads. */
static volatile int waiter_tid;
static struct {
    uint32_t *at;
    uint32_t bits;
    long result;
    int error;
} play;
static void *waiter(void *unused) {
    (void)unused;
    waiter_tid = gettid();
    errno = 0;
    struct timespec limit;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += 20;
    play.result = futex(play.at, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, *play.at, &limit, NULL, play.bits);
    play.error = errno;
    return NULL;
}
static void until_asleep(int tid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    for (int i = 0; i < 5000; i++) {
        int fd = open(path, O_RDONLY);
        long length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[length > 0 ? length : 0] = 0;
        char *end = strrchr(text, ')');
        if (end && end[2] == 'S') return;
        struct timespec nap = {0, 200000};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }
}
static void do_play(void) {
    static uint32_t stage[4];
    pthread_t thread;
    sigset_t all, mask;
    sigfillset(&all);
    play.at = stage;
    play.bits = PICK(1, 2, -1);
    play.result = 77;
    waiter_tid = 0;
    /* The process's signals are for this thread. */
    sigprocmask(SIG_BLOCK, &all, &mask);
    int failed = pthread_create(&thread, NULL, waiter, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (failed) {
        say("pthread_create: %d", failed);
        return;
    }
    while (!waiter_tid) sched_yield();
    until_asleep(waiter_tid);
    int act = below(5);
    static const char *const names[] = {"wake", "wake bits 2", "requeue", "wake op", "wrong word"};
    say("play bits %x, %s", play.bits, names[act]);
    switch (act) {
    case 0:
        result(futex(stage, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 0));
        break;
    case 1:
        result(futex(stage, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 2));
        break;
    case 2:
        result(futex(stage, FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG, 0, (void *)5, stage + 2, 0));
        result(futex(stage, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 0));
        result(futex(stage + 2, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 0));
        break;
    case 3:
        result(futex(stage + 1, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1, stage, 0));
        break;
    default:
        result(futex(stage + 3, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 0));
    }
    say(" left");
    result(futex(stage, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 0));
    pthread_join(thread, NULL);
    say(" waiter %ld %d", play.result, play.error);
}

static void begin(void) { memset(words, 0, sizeof words); }
static const struct operation operations[] = {{6, do_set},     {8, do_wait},  {8, do_wake},   {8, do_wake_op},
                                              {6, do_requeue}, {2, do_wrong}, {1, do_robust}, {3, do_play}};
const struct family futexes = {"futexes", begin, begin, operations, COUNT(operations)};
