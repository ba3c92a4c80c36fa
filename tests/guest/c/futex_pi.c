/* Priority-inheritance mutexes and their futex calls: normal, recursive, error-checking and robust mutexes,
 * timed and try locks, an owner that dies, contention, condition variables, what the calls refuse. */
#include "t.h"
#include <linux/futex.h>
static pthread_mutex_t m;
static int counter;
static volatile pid_t waiter;
static void make(int type, int robust) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    TRYP(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    pthread_mutexattr_setrobust(&a, robust);
    TRYP(pthread_mutex_init(&m, &a));
    pthread_mutexattr_destroy(&a);
}
static void *try(void *a) {
    TRYP(pthread_mutex_trylock(&m));
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    TRYP(pthread_mutex_timedlock(&m, &t));
    TRYP(pthread_mutex_unlock(&m));
    return a;
}
static void *wait_for_it(void *a) {
    waiter = tid();
    int e = pthread_mutex_lock(&m);
    printf("waiter got it: %s\n", errno_name(e));
    if (e == EOWNERDEAD) TRYP(pthread_mutex_consistent(&m));
    TRYP(pthread_mutex_unlock(&m));
    return a;
}
static void *die(void *a) {
    TRYP(pthread_mutex_lock(&m));
    if (a) {
        until_asleep(*(pid_t *)a);
        sleep_ms(20);
    }
    return NULL;
}
static void *count(void *a) {
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&m);
        counter++;
        if (i % 100 == 0) sched_yield();
        pthread_mutex_unlock(&m);
    }
    return a;
}
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;
static void *ping(void *a) {
    int me = a != NULL;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&m);
        while (turn != me) {
            pthread_cond_wait(&cond, &m);
        }
        turn = !me;
        pthread_cond_signal(&cond);
        pthread_mutex_unlock(&m);
    }
    return NULL;
}
static void nothing(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
}
static long futex(uint32_t *word, int op, const struct timespec *t) {
    return syscall(SYS_futex, word, op, 0, t, NULL, 0);
}
int main(void) {
    make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED);
    TRYP(pthread_mutex_lock(&m));
    pthread_join(start(try, NULL), NULL);
    printf("contended unlock wakes\n");
    waiter = 0;
    pthread_t t = start(wait_for_it, NULL);
    while (!waiter) {
        sched_yield();
    }
    until_asleep(waiter);
    on(SIGUSR1, nothing, 0);
    pthread_kill(t, SIGUSR1);
    sleep_ms(20);
    pthread_mutex_unlock(&m);
    pthread_join(t, NULL);
    printf("contention\n");
    pthread_t all[8];
    for (int i = 0; i < 8; i++) {
        all[i] = start(count, NULL);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(all[i], NULL);
    }
    VAL(counter);
    all[0] = start(ping, NULL);
    all[1] = start(ping, &turn);
    pthread_join(all[0], NULL);
    pthread_join(all[1], NULL);
    VAL(turn);
    TRYP(pthread_mutex_destroy(&m));
    printf("error-checking and recursive\n");
    make(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
    TRYP(pthread_mutex_unlock(&m));
    TRYP(pthread_mutex_lock(&m));
    TRYP(pthread_mutex_lock(&m));
    TRYP(pthread_mutex_trylock(&m));
    TRYP(pthread_mutex_unlock(&m));
    TRYP(pthread_mutex_destroy(&m));
    make(PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED);
    TRYP(pthread_mutex_lock(&m));
    TRYP(pthread_mutex_lock(&m));
    TRYP(pthread_mutex_unlock(&m));
    TRYP(pthread_mutex_unlock(&m));
    TRYP(pthread_mutex_destroy(&m));
    printf("robust\n");
    make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
    pthread_join(start(die, NULL), NULL);
    TRYP(pthread_mutex_lock(&m));
    TRYP(pthread_mutex_consistent(&m));
    waiter = 0;
    t = start(wait_for_it, NULL);
    while (!waiter) {
        sched_yield();
    }
    until_asleep(waiter);
    pthread_mutex_unlock(&m);
    pthread_join(t, NULL);
    printf("owner dies while another waits\n");
    waiter = 0;
    static pid_t w;
    pthread_mutex_lock(&m);
    pthread_t dying = start(die, &w);
    w = getpid();
    sleep_ms(5);
    pthread_mutex_unlock(&m);
    sleep_ms(5);
    t = start(wait_for_it, NULL);
    while (!waiter) {
        sched_yield();
    }
    w = waiter;
    pthread_join(dying, NULL);
    pthread_join(t, NULL);
    printf("calls\n");
    uint32_t word = 0;
    TRY(futex(&word, FUTEX_UNLOCK_PI, NULL));
    TRY(futex(&word, FUTEX_LOCK_PI, NULL));
    IS((word & FUTEX_TID_MASK) == (uint32_t)tid());
    TRY(futex(&word, FUTEX_LOCK_PI, NULL));
    TRY(futex(&word, FUTEX_TRYLOCK_PI, NULL));
    TRY(futex(&word, FUTEX_UNLOCK_PI, NULL));
    VAL(word);
    TRY(futex(&word, FUTEX_TRYLOCK_PI, NULL));
    TRY(futex(&word, FUTEX_UNLOCK_PI, NULL));
    struct timespec bad = {0, -1};
    TRY(futex(&word, FUTEX_LOCK_PI, &bad));
    VAL(word);
    word = 0x3ffffff0;
    TRY(futex(&word, FUTEX_LOCK_PI, NULL));
    TRY(futex((uint32_t *)((char *)&word + 1), FUTEX_LOCK_PI, NULL));
    TRY(futex(NULL, FUTEX_LOCK_PI, NULL));
    return 0;
}
