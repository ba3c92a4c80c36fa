/* futex(2) by one thread: values, timeouts, errors. */
#include "t.h"
#include <linux/futex.h>
static uint32_t w = 5;
static long futex(uint32_t *a, int op, uint32_t v, const struct timespec *t, uint32_t *b, uint32_t v3) {
    return syscall(SYS_futex, a, op, v, t, b, v3);
}
int main(void) {
    struct timespec ms20 = {0, 20000000}, past = {0, 1}, bad = {0, 1000000000}, neg = {-1, 0};
    TRY(futex(&w, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0));
    int64_t t0 = now_ns();
    TRY(futex(&w, FUTEX_WAIT_PRIVATE, 5, &ms20, NULL, 0));
    IS(now_ns() - t0 >= 20000000);
    TRY(futex(&w, FUTEX_WAIT, 5, &ms20, NULL, 0));
    TRY(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 5, &past, NULL, FUTEX_BITSET_MATCH_ANY));
    TRY(futex(&w, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &past, NULL, FUTEX_BITSET_MATCH_ANY));
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += 30000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    TRY(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 5, &at, NULL, FUTEX_BITSET_MATCH_ANY));
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    IS(now.tv_sec > at.tv_sec || (now.tv_sec == at.tv_sec && now.tv_nsec >= at.tv_nsec));
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 30000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    TRY(futex(&w, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &at, NULL, 1));
    TRY(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 5, &past, NULL, 0));
    TRY(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 4, &past, NULL, 1));
    TRY(futex(&w, FUTEX_WAIT_PRIVATE, 5, &bad, NULL, 0));
    TRY(futex(&w, FUTEX_WAIT_PRIVATE, 5, &neg, NULL, 0));
    TRY(futex((uint32_t *)((char *)&w + 1), FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0));
    TRY(futex((uint32_t *)((char *)&w + 2), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    TRY(futex((uint32_t *)16, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0));
    TRY(futex((uint32_t *)16, FUTEX_WAIT, 5, NULL, NULL, 0));
    TRY(futex(&w, FUTEX_WAIT_PRIVATE, 5, (void *)16, NULL, 0));
    TRY(futex(&w, 0x60, 0, NULL, NULL, 0));
    TRY(futex(&w, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0));
    VAL(futex(&w, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    VAL(futex(&w, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0));
    uint32_t w2 = 0;
    VAL(futex(&w, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1L, &w2, 5));
    TRY(futex(&w, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1L, &w2, 6));
    VAL(futex(&w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &w2, FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0)));
    VAL(w2);
    char *ro = pages(1, PROT_READ); /* a wait on a read-only, untouched page */
    TRY(futex((uint32_t *)ro, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
    TRY(futex((uint32_t *)ro, FUTEX_WAIT_PRIVATE, 0, &ms20, NULL, 0));
    return 0;
}
