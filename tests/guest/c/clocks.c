/* Clocks: monotonic across threads, CPU clocks that grow only with work, sleeps that are long enough,
 * refusals. */
#include "t.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
static int64_t last;
static volatile int backwards, quit;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static void *looker(void *p) {
    clockid_t c = (clockid_t)(long)p;
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&m);
        int64_t t = clock_ns(c);
        if (t < last) backwards++;
        last = t;
        pthread_mutex_unlock(&m);
    }
    return NULL;
}
static void across(const char *name, clockid_t c) {
    pthread_t t[4];
    last = 0;
    backwards = 0;
    for (int i = 0; i < 4; i++) t[i] = start(looker, (void *)(long)c);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    printf("%s backwards %d\n", name, backwards);
}
static void burn(int ms) {
    int64_t t0 = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) - t0 < ms * 1000000LL) {
    }
}
static void *burner(void *p) {
    while (!quit) (*(volatile long *)p)++;
    return NULL;
}
int main(void) {
    across("monotonic", CLOCK_MONOTONIC);
    across("raw", CLOCK_MONOTONIC_RAW);
    across("boottime", CLOCK_BOOTTIME);
    struct timespec r;
    TRY(clock_getres(CLOCK_MONOTONIC, &r));
    VAL(r.tv_nsec);
    TRY(clock_getres(CLOCK_REALTIME, &r));
    VAL(r.tv_nsec);
    TRY(clock_getres(CLOCK_THREAD_CPUTIME_ID, &r));
    VAL(r.tv_nsec);
    TRY(clock_getres(CLOCK_PROCESS_CPUTIME_ID, NULL));
    TRY(clock_gettime(99, &r));
    TRY(clock_getres(99, &r));
    TRY(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)8));
    TRY(clock_gettime(CLOCK_REALTIME_COARSE, &r));
    TRY(clock_gettime(CLOCK_MONOTONIC_COARSE, &r));
    TRY(clock_gettime(CLOCK_TAI, &r));
    struct timeval tv;
    gettimeofday(&tv, NULL);
    struct timespec rt;
    clock_gettime(CLOCK_REALTIME, &rt);
    IS(rt.tv_sec - tv.tv_sec <= 1);
    IS(time(NULL) - rt.tv_sec <= 1);
    IS(rt.tv_sec > 1700000000);
    struct timespec sys;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &sys);
    int64_t v = now_ns() - (sys.tv_sec * 1000000000LL + sys.tv_nsec);
    IS(v >= 0 && v < 1000000000); /* the vDSO and the call agree */
    int64_t a = clock_ns(CLOCK_PROCESS_CPUTIME_ID), w = now_ns();
    sleep_ms(60);
    IS(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - a < 40000000);
    IS(now_ns() - w >= 60000000);
    a = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    burn(30);
    IS(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - a >= 30000000);
    volatile long n = 0;
    clockid_t c;
    pthread_t t = start(burner, (void *)&n);
    TRYP(pthread_getcpuclockid(t, &c));
    a = clock_ns(c);
    for (int i = 0; i < 3000 && clock_ns(c) - a < 20000000; i++) sleep_ms(1);
    IS(clock_ns(c) - a >= 20000000);
    IS(clock_ns(CLOCK_THREAD_CPUTIME_ID) < clock_ns(CLOCK_PROCESS_CPUTIME_ID));
    quit = 1;
    pthread_join(t, NULL);
    struct rusage u, ut;
    TRY(getrusage(RUSAGE_SELF, &u));
    TRY(getrusage(RUSAGE_THREAD, &ut));
    TRY(getrusage(77, &u));
    TRY(getrusage(RUSAGE_CHILDREN, &u));
    getrusage(RUSAGE_SELF, &u);
    IS(u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec >=
       30000);
    IS(u.ru_maxrss > 500);
    struct tms ts;
    clock_t k = times(&ts);
    IS(k != -1);
    IS(ts.tms_utime + ts.tms_stime >= 2);
    VAL(sysconf(_SC_CLK_TCK));
    TRY(nanosleep(&(struct timespec){0, 1000000000}, NULL));
    TRY(nanosleep(&(struct timespec){-1, 0}, NULL));
    TRY(nanosleep((void *)8, NULL));
    TRYP(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){0, 1}, NULL));
    TRYP(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &(struct timespec){0, 1}, NULL));
    TRYP(clock_nanosleep(99, 0, &(struct timespec){0, 1}, NULL));
    for (int us = 1; us <= 10000; us *= 10) {
        int64_t t0 = now_ns();
        usleep((useconds_t)us);
        if (now_ns() - t0 < us * 1000) printf("usleep %d too short\n", us);
    }
    return 0;
}
