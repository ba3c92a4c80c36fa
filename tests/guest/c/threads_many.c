/* 2000 threads alive at once, with small stacks, thread-local storage, names and joins; then detached ones.
 */
#include "t.h"
enum { N = 2000 };
static __thread int local = 7;
static __thread char big_local[4096];
static volatile int up, go, sum, detached;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static void *body(void *p) {
    local += (int)(long)p;
    big_local[100] = (char)local;
    pthread_mutex_lock(&m);
    up++;
    pthread_cond_broadcast(&c);
    while (!go) pthread_cond_wait(&c, &m);
    if (local == 7 + (int)(long)p && big_local[100] == (char)local) sum++;
    pthread_mutex_unlock(&m);
    return (void *)((long)p * 2);
}
static void *short_life(void *p) {
    (void)p;
    __atomic_add_fetch(&detached, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
int main(void) {
    static pthread_t t[N];
    pthread_attr_t a;
    pthread_attr_init(&a);
    TRYP(pthread_attr_setstacksize(&a, 64 << 10));
    for (long i = 0; i < N; i++) {
        int e = pthread_create(&t[i], &a, body, (void *)i);
        if (e) {
            printf("create %ld: %s\n", i, errno_name(e));
            return 1;
        }
    }
    pthread_mutex_lock(&m);
    while (up < N) pthread_cond_wait(&c, &m);
    go = 1;
    pthread_cond_broadcast(&c);
    pthread_mutex_unlock(&m);
    int wrong = 0;
    for (long i = 0; i < N; i++) {
        void *r;
        if (pthread_join(t[i], &r) || (long)r != i * 2) wrong++;
    }
    VAL(up);
    VAL(sum);
    VAL(wrong);
    VAL(local);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 500; i++) {
        pthread_t x;
        if (pthread_create(&x, &a, short_life, NULL)) {
            printf("detached create failed\n");
            return 1;
        }
        if (i % 16 == 0) sched_yield();
    }
    for (int i = 0; i < 5000 && detached < 500; i++) sleep_ms(1);
    VAL(detached);
    return 0;
}
