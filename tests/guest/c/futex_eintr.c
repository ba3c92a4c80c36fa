/* Signals and futex waits: EINTR without SA_RESTART, a restart with it, timed waits keep their deadline. */
#include "t.h"
#include <linux/futex.h>
static uint32_t w;
static volatile int the_tid, caught;
static void handler(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    caught++;
}
static long futex(uint32_t *a, int op, uint32_t v, const struct timespec *t, uint32_t v3) {
    return syscall(SYS_futex, a, op, v, t, NULL, v3);
}
struct job {
    int op;
    int timed;
    long result;
    int error;
    int64_t took;
};
static void *run(void *p) {
    struct job *j = p;
    struct timespec t = {0, 150000000}, *tp = j->timed ? &t : NULL;
    if (j->timed == 2) {
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += 150000000;
        if (t.tv_nsec >= 1000000000) {
            t.tv_sec++;
            t.tv_nsec -= 1000000000;
        }
    }
    int64_t t0 = now_ns();
    the_tid = tid();
    errno = 0;
    j->result = futex(&w, j->op, 0, tp, FUTEX_BITSET_MATCH_ANY);
    j->error = errno;
    j->took = now_ns() - t0;
    return NULL;
}
static void test(const char *name, int op, int timed, int flags) {
    struct job j = {.op = op, .timed = timed};
    on(SIGUSR1, handler, flags);
    caught = 0;
    the_tid = 0;
    w = 0;
    pthread_t t = start(run, &j);
    while (!the_tid) sched_yield();
    until_asleep(the_tid);
    int before = caught;
    pthread_kill(t, SIGUSR1);
    for (int i = 0; i < 3000 && caught == before; i++) sleep_ms(1);
    until_asleep(the_tid);
    if (!timed) {
        sleep_ms(5);
        w = 1;
        futex(&w, FUTEX_WAKE_PRIVATE, 1, NULL, 0);
    }
    pthread_join(t, NULL);
    printf("%s: %ld %s, caught %d%s\n", name, j.result, errno_name(j.error), caught,
           timed && j.error == ETIMEDOUT ? (j.took >= 150000000 ? ", full time" : ", EARLY") : "");
}
int main(void) {
    test("wait, no restart", FUTEX_WAIT_PRIVATE, 0, 0);
    test("wait, restart", FUTEX_WAIT_PRIVATE, 0, SA_RESTART);
    test("bitset, no restart", FUTEX_WAIT_BITSET_PRIVATE, 0, 0);
    test("bitset, restart", FUTEX_WAIT_BITSET_PRIVATE, 0, SA_RESTART);
    test("timed wait, no restart", FUTEX_WAIT_PRIVATE, 1, 0);
    test("timed wait, restart", FUTEX_WAIT_PRIVATE, 1, SA_RESTART);
    test("timed bitset, no restart", FUTEX_WAIT_BITSET_PRIVATE, 2, 0);
    test("timed bitset, restart", FUTEX_WAIT_BITSET_PRIVATE, 2, SA_RESTART);
    return 0;
}
