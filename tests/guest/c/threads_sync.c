/* pthread objects between threads: mutex kinds, robust mutex, condition with timeout, barrier, rwlock,
 * semaphore, once, keys. */
#include "t.h"
#include <semaphore.h>
static pthread_mutex_t rob;
static void *dies_holding(void *p) {
    (void)p;
    pthread_mutex_lock(&rob);
    return NULL;
}
static pthread_barrier_t bar;
static volatile int serial, counter;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static void *barrier_body(void *p) {
    (void)p;
    for (int i = 0; i < 50; i++)
        if (pthread_barrier_wait(&bar) == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static void *count_body(void *p) {
    (void)p;
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&m);
        counter++;
        pthread_mutex_unlock(&m);
    }
    return NULL;
}
static sem_t sem;
static void *poster(void *p) {
    (void)p;
    sleep_ms(10);
    sem_post(&sem);
    return NULL;
}
static pthread_key_t key;
static void destroyed(void *p) { printf("key destructor: %s\n", (char *)p); }
static void *key_body(void *p) {
    (void)p;
    pthread_setspecific(key, "value");
    return NULL;
}
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static volatile int readers, max_readers, rw_value;
static void *reader(void *p) {
    (void)p;
    for (int i = 0; i < 300; i++) {
        pthread_rwlock_rdlock(&rw);
        int n = __atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
        if (n > max_readers) max_readers = n;
        if (rw_value & 1) printf("torn\n");
        sched_yield();
        __atomic_sub_fetch(&readers, 1, __ATOMIC_SEQ_CST);
        pthread_rwlock_unlock(&rw);
    }
    return NULL;
}
static void *writer(void *p) {
    (void)p;
    for (int i = 0; i < 300; i++) {
        pthread_rwlock_wrlock(&rw);
        if (readers) printf("reader beside writer\n");
        rw_value++;
        sched_yield();
        rw_value++;
        pthread_rwlock_unlock(&rw);
    }
    return NULL;
}
static void *canceled(void *p) {
    (void)p;
    for (;;) sleep(100);
    return NULL;
}
static void once_body(void) { printf("once\n"); }
int main(void) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&rob, &a);
    pthread_join(start(dies_holding, NULL), NULL);
    TRYP(pthread_mutex_lock(&rob));
    TRYP(pthread_mutex_consistent(&rob));
    TRYP(pthread_mutex_unlock(&rob));
    TRYP(pthread_mutex_lock(&rob));
    TRYP(pthread_mutex_trylock(&rob));
    pthread_mutex_t e;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&e, &a);
    TRYP(pthread_mutex_lock(&e));
    TRYP(pthread_mutex_lock(&e));
    TRYP(pthread_mutex_unlock(&e));
    TRYP(pthread_mutex_unlock(&e));
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&m);
    TRYP(pthread_cond_timedwait(&c, &m, &t));
    TRYP(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &(struct timespec){0, 1}));
    pthread_mutex_unlock(&m);
    pthread_barrier_init(&bar, NULL, 5);
    pthread_t th[8];
    for (int i = 0; i < 5; i++) th[i] = start(barrier_body, NULL);
    for (int i = 0; i < 5; i++) pthread_join(th[i], NULL);
    VAL(serial);
    for (int i = 0; i < 8; i++) th[i] = start(count_body, NULL);
    for (int i = 0; i < 8; i++) pthread_join(th[i], NULL);
    VAL(counter);
    sem_init(&sem, 0, 0);
    TRY(sem_trywait(&sem));
    th[0] = start(poster, NULL);
    TRY(sem_wait(&sem));
    pthread_join(th[0], NULL);
    clock_gettime(CLOCK_REALTIME, &t);
    TRY(sem_timedwait(&sem, &t));
    pthread_key_create(&key, destroyed);
    pthread_join(start(key_body, NULL), NULL);
    for (int i = 0; i < 4; i++) th[i] = start(i == 3 ? writer : reader, NULL);
    for (int i = 0; i < 4; i++) pthread_join(th[i], NULL);
    VAL(rw_value);
    IS(max_readers >= 1);
    th[0] = start(canceled, NULL);
    sleep_ms(5);
    TRYP(pthread_cancel(th[0]));
    void *r;
    TRYP(pthread_join(th[0], &r));
    IS(r == PTHREAD_CANCELED);
    TRYP(pthread_join(pthread_self(), NULL));
    pthread_once_t o = PTHREAD_ONCE_INIT;
    pthread_once(&o, once_body);
    pthread_once(&o, once_body);
    return 0;
}
