/* Scheduling policies, priorities and affinity, of the caller and of another thread. */
#include "t.h"
#include <sys/resource.h>
static volatile pid_t other;
static volatile int quit;
static void *idle(void *a) {
    other = tid();
    while (!quit) {
        sleep_ms(1);
    }
    return a;
}
static void policy(pid_t who) {
    struct sched_param p = {-1};
    int s = sched_getscheduler(who);
    sched_getparam(who, &p);
    printf("  policy %d priority %d nice %d\n", s, p.sched_priority, getpriority(PRIO_PROCESS, (id_t)who));
}
static void *child(void *a) {
    policy(0);
    return a;
}
int main(void) {
    struct sched_param p = {0};
    policy(0);
    TRY(sched_setscheduler(0, SCHED_BATCH, &p));
    policy(0);
    pthread_join(start(child, NULL), NULL);
    TRY(sched_setscheduler(0, SCHED_IDLE, &p));
    policy(0);
    TRY(sched_setscheduler(0, SCHED_OTHER, &p));
    policy(0);
    pthread_t t = start(idle, NULL);
    while (!other) {
        sched_yield();
    }
    TRY(setpriority(PRIO_PROCESS, (id_t)other, 7));
    policy(other);
    policy(0);
    TRY(sched_setscheduler(other, SCHED_BATCH, &p));
    policy(other);
    p.sched_priority = 1;
    TRY(sched_setscheduler(other, SCHED_BATCH, &p));
    TRY(sched_setparam(other, &p));
    TRY(sched_setscheduler(other, SCHED_FIFO, &p));
    policy(other);
    p.sched_priority = 9;
    TRY(sched_setparam(other, &p));
    policy(other);
    TRY(sched_setscheduler(other, SCHED_RR | SCHED_RESET_ON_FORK, &p));
    policy(other);
    struct timespec slice;
    TRY(sched_rr_get_interval(other, &slice));
    printf("  slice %ld ns\n", slice.tv_nsec);
    p.sched_priority = 100;
    TRY(sched_setscheduler(other, SCHED_RR, &p));
    p.sched_priority = 0;
    TRY(sched_setscheduler(other, SCHED_FIFO, &p));
    TRY(sched_setscheduler(other, 77, &p));
    TRY(sched_setscheduler(other, SCHED_OTHER, NULL));
    TRY(sched_setscheduler(-1, SCHED_OTHER, &p));
    TRY(sched_setscheduler(other, SCHED_OTHER, &p));
    policy(other);
    printf("affinity\n");
    cpu_set_t all, one, got;
    sched_getaffinity(0, sizeof all, &all);
    for (int c = 0; c < CPU_SETSIZE; c++) {
        if (!CPU_ISSET(c, &all)) continue;
        CPU_ZERO(&one);
        CPU_SET(c, &one);
        if (sched_setaffinity(0, sizeof one, &one) || sched_getcpu() != c)
            printf("not on the CPU asked for\n");
        if (sched_setaffinity(other, sizeof one, &one)) printf("other: %s\n", errno_name(errno));
        sched_getaffinity(other, sizeof got, &got);
        if (!CPU_EQUAL(&one, &got)) printf("another set came back\n");
    }
    TRY(sched_setaffinity(0, sizeof all, &all));
    CPU_ZERO(&one);
    TRY(sched_setaffinity(0, sizeof one, &one));
    TRY(sched_setaffinity(1 << 21, sizeof all, &all));
    quit = 1;
    pthread_join(t, NULL);
    return 0;
}
