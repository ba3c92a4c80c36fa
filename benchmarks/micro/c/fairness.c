// How evenly runnable threads share the vCPUs: fairness THREADS SECONDS [THREADS SECONDS...]
//
// All threads of a round pass a barrier together, then count and read the clock until the time is over.
// Printed a round, as `micro NAME-THREADS VALUE 0`: the least and the most that a thread counted (of the
// mean), Jain's index (1 is perfectly even), and the longest time in milliseconds that any thread once had to
// wait for its turn.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 10000
// Between two looks at the clock: some microseconds.
#define WORK 500

// A cache line each: what one thread writes, no other reads meanwhile.
static struct {
    _Alignas(64) long count;
    int64_t gap;
} all[THREADS_MAX];
static atomic_int is_over;
// Not a mutex: threads that wait for their turn to run would hand it on, one after another.
static pthread_barrier_t gate;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void *work(void *argument) {
    long me = (long)argument;
    pthread_barrier_wait(&gate);
    // The first look comes when the first turn does: until then it has waited since the barrier opened for
    // the last one, which the thread itself can't know. A thread that starves shows in `least`.
    int64_t last = now();
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        for (volatile int i = 0; i < WORK; i++) continue;
        int64_t time = now();
        if (time - last > all[me].gap) all[me].gap = time - last;
        last = time;
        all[me].count++;
    }
    return NULL;
}

static void must(int error, const char *what) {
    if (!error) return;
    printf("fairness: %s: %s\n", what, strerror(error));
    exit(1);
}

static void round_of(long threads, long seconds) {
    static pthread_t handles[THREADS_MAX];
    pthread_attr_t attributes;
    must(pthread_attr_init(&attributes), "pthread_attr_init");
    must(pthread_attr_setstacksize(&attributes, 64 << 10), "pthread_attr_setstacksize");
    must(pthread_barrier_init(&gate, NULL, (unsigned)threads + 1), "pthread_barrier_init");
    memset(all, 0, sizeof all);
    is_over = 0;
    for (long i = 0; i < threads; i++)
        must(pthread_create(&handles[i], &attributes, work, (void *)i), "pthread_create");
    pthread_barrier_wait(&gate);
    struct timespec time = {seconds, 0};
    nanosleep(&time, NULL);
    is_over = 1;
    for (long i = 0; i < threads; i++) pthread_join(handles[i], NULL);
    double sum = 0, squares = 0, least = 1e30, most = 0, gap = 0;
    for (long i = 0; i < threads; i++) {
        double count = (double)all[i].count;
        sum += count;
        squares += count * count;
        if (count < least) least = count;
        if (count > most) most = count;
        if ((double)all[i].gap > gap) gap = (double)all[i].gap;
    }
    double mean = sum / (double)threads;
    printf("micro least-%ld %.4f 0\nmicro most-%ld %.4f 0\n", threads, least / mean, threads, most / mean);
    printf("micro jain-%ld %.4f 0\nmicro gap-%ld %.1f 0\n", threads, sum * sum / ((double)threads * squares),
           threads, gap / 1e6);
}

int main(int count, char **words) {
    for (int i = 1; i + 1 < count; i += 2) {
        long threads = atol(words[i]), seconds = atol(words[i + 1]);
        if (threads < 1 || threads > THREADS_MAX || seconds < 1) {
            printf("fairness: %s threads for %s seconds: 1 to %d threads, at least 1 second\n", words[i],
                   words[i + 1], THREADS_MAX);
            return 1;
        }
        round_of(threads, seconds);
    }
    puts("micro end");
    return 0;
}
