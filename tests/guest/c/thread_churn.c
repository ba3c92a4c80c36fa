/* Threads that start and end in a hurry: joined, detached, many at once. With an argument: that many. */
#include "t.h"
static volatile long ran;
static void *body(void *a) {
    __atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
    return a;
}
static long count = 1000;
static void *churner(void *a) {
    for (long n = 0; n < count; n++) {
        pthread_t t = start(body, (void *)n);
        void *r;
        if (pthread_join(t, &r) || r != (void *)n) printf("join: wrong\n");
    }
    return a;
}
int main(int argc, char **argv) {
    if (argc > 1) count = atol(argv[1]) / 5;
    int64_t began = now_ns();
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = start(churner, NULL);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    IS(ran == 4 * count);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (long n = 0; n < count; n++) {
        pthread_t one;
        while (pthread_create(&one, &detached, body, NULL)) sched_yield();
    }
    while (ran != 5 * count) sched_yield();
    IS(ran == 5 * count);
    if (argc > 1) fprintf(stderr, "%ld threads: %ld ms\n", 5 * count, (long)((now_ns() - began) / 1000000));
    return 0;
}
