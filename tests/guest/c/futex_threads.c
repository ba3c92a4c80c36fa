/* Futex between threads: counts of woken, bitsets, requeue, wake-op, shared keys over two mappings of one
 * file. */
#include "t.h"
#include <linux/futex.h>
enum { N = 8 };
static uint32_t a, b;
static volatile int tids[N], ended;
static long futex(uint32_t *w, int op, uint32_t v, const struct timespec *t, uint32_t *x, uint32_t v3) {
    return syscall(SYS_futex, w, op, v, t, x, v3);
}
static void *waiter(void *p) {
    long i = (long)p;
    tids[i] = tid();
    futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 1u << i);
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static pthread_t th[N];
static void launch(void) {
    ended = 0;
    for (long i = 0; i < N; i++) {
        tids[i] = 0;
        th[i] = start(waiter, (void *)i);
    }
    for (int i = 0; i < N; i++) {
        while (!tids[i]) sched_yield();
        until_asleep(tids[i]);
    }
}
static void settle(int n) {
    for (int i = 0; i < 3000 && ended < n; i++) sleep_ms(1);
    printf("ended %d\n", ended);
}
static uint32_t *view[2];
static volatile int shared_tid;
static void *shared_waiter(void *p) {
    (void)p;
    shared_tid = tid();
    return (void *)futex(view[0], FUTEX_WAIT, 0, NULL, NULL, 0);
}
int main(void) {
    launch();
    VAL(futex(&a, FUTEX_WAKE_PRIVATE, 3, NULL, NULL, 0));
    settle(3);
    VAL(futex(&a, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    settle(8);
    for (int i = 0; i < N; i++) pthread_join(th[i], NULL);
    launch();
    VAL(futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 0x15));
    settle(3);
    VAL(futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 0x15));
    settle(3);
    VAL(futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2L, &b, 0));
    settle(4);
    VAL(futex(&b, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    settle(6);
    VAL(futex(&a, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    settle(8);
    for (int i = 0; i < N; i++) pthread_join(th[i], NULL);
    launch();
    VAL(futex(&a, FUTEX_REQUEUE_PRIVATE, 0, (void *)100L, &b, 0));
    settle(0);
    VAL(futex(&a, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    b = 4;
    uint32_t other = 0;
    VAL(futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)2L, &b,
              FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_GT, 3)));
    settle(2);
    VAL(b);
    VAL(futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)2L, &b,
              FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_EQ, 3)));
    settle(2);
    VAL(b);
    VAL(futex(&b, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    settle(8);
    for (int i = 0; i < N; i++) pthread_join(th[i], NULL);
    int fd = memfd_create("f", 0);
    ftruncate(fd, PAGE);
    for (int i = 0; i < 2; i++) view[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    IS(view[0] != view[1]);
    pthread_t t = start(shared_waiter, NULL);
    while (!shared_tid) sched_yield();
    until_asleep(shared_tid);
    VAL(futex(view[1], FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
              0)); /* a private wake does not find a shared waiter */
    VAL(futex(view[1], FUTEX_WAKE, 1, NULL, NULL, 0));
    void *result;
    pthread_join(t, &result);
    VAL(result);
    /* A hand-over in both directions, many times: none is lost. */
    static uint32_t turn;
    void *ping(void *p) {
        (void)p;
        for (int i = 0; i < 5000; i++) {
            while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != 1)
                futex(&turn, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
            __atomic_store_n(&turn, 0, __ATOMIC_SEQ_CST);
            futex(&turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        }
        return NULL;
    }
    t = start(ping, NULL);
    for (int i = 0; i < 5000; i++) {
        __atomic_store_n(&turn, 1, __ATOMIC_SEQ_CST);
        futex(&turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != 0)
            futex(&turn, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    }
    pthread_join(t, NULL);
    printf("handed over 10000 times\n");
    return 0;
}
