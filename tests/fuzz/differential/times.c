/* Clocks, sleeps, timers and limits: what the arguments may be. Nothing here sets a clock. */
#include "fuzz.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

static const struct name clocks[] = {N(CLOCK_REALTIME),
                                     N(CLOCK_MONOTONIC),
                                     N(CLOCK_PROCESS_CPUTIME_ID),
                                     N(CLOCK_THREAD_CPUTIME_ID),
                                     N(CLOCK_MONOTONIC_RAW),
                                     N(CLOCK_REALTIME_COARSE),
                                     N(CLOCK_MONOTONIC_COARSE),
                                     N(CLOCK_BOOTTIME),
                                     {10, "10"},
                                     {-1, "-1"},
                                     {77, "77"},
                                     {-6, "-6"},
                                     N(CLOCK_TAI)};
static void draw(struct timespec *time) {
    time->tv_sec = PICK(0, 0, 0, -1, INT64_MIN);
    time->tv_nsec = PICK(0, 1, 1000, 1000000000, -1, 999);
    say("%ld.%ld", time->tv_sec, time->tv_nsec);
}
static void do_clock(void) {
    const char *text;
    long clock = CHOOSE(clocks, &text);
    struct timespec time = {-1, -1};
    if (once_in(2)) {
        say("clock_gettime(%s)", text);
        if (result(syscall(SYS_clock_gettime, clock, &time)) == 0)
            say(" sane %d", time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1000000000);
    } else {
        int has_room = !once_in(4);
        say("clock_getres(%s, %d)", text, has_room);
        result(syscall(SYS_clock_getres, clock, has_room ? &time : NULL));
    }
}
static void do_sleep(void) {
    const char *text;
    long clock = CHOOSE(clocks, &text), flag = PICK(0, 0, TIMER_ABSTIME, 2);
    struct timespec time, rest = {7, 7};
    if (once_in(3)) {
        say("nanosleep(");
        draw(&time);
        say(")");
        result(syscall(SYS_nanosleep, &time, &rest));
        return;
    }
    say("clock_nanosleep(%s, %ld, ", text, flag);
    draw(&time);
    say(")");
    /* A sleep that is measured in time used would not end. */
    if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == -6) {
        say(" left out");
        return;
    }
    result(syscall(SYS_clock_nanosleep, clock, flag, &time, &rest));
}
static void do_timerfd(void) {
    int kind = below(3);
    if (kind == 0) {
        const char *text;
        long clock = CHOOSE(clocks, &text), flag = PICK(0, TFD_CLOEXEC, 1);
        say("timerfd_create(%s, %#lx)", text, flag);
        int fd = result(timerfd_create(clock, flag | TFD_NONBLOCK));
        if (fd > 15) close(fd);
        return;
    }
    int fd = descriptor();
    struct itimerspec value, old;
    memset(&value, 0, sizeof value);
    memset(&old, 0, sizeof old);
    if (kind == 1) {
        say("timerfd_gettime(%d)", fd);
        if (result(timerfd_gettime(fd, &value)) == 0)
            say(" armed %d interval %ld", value.it_value.tv_sec || value.it_value.tv_nsec,
                value.it_interval.tv_sec);
        return;
    }
    int flag = PICK(0, 0, TFD_TIMER_ABSTIME, 3, 8);
    say("timerfd_settime(%d, %d, ", fd, flag);
    value.it_value.tv_sec = PICK(0, 5000, -1);
    value.it_value.tv_nsec = PICK(0, 0, 1000000000, -1);
    value.it_interval.tv_sec = PICK(0, 3, -1);
    /* An absolute time would be past: how often it was is a matter of time. */
    if (flag & TFD_TIMER_ABSTIME && value.it_value.tv_sec > 0) value.it_value.tv_sec = 1L << 33;
    say("%ld.%ld, %ld)", value.it_value.tv_sec, value.it_value.tv_nsec, value.it_interval.tv_sec);
    if (result(timerfd_settime(fd, flag, &value, &old)) == 0)
        say(" was %d interval %ld", old.it_value.tv_sec || old.it_value.tv_nsec, old.it_interval.tv_sec);
}
static void do_itimer(void) {
    int which = PICK(ITIMER_REAL, ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, 7);
    struct itimerval value = {{PICK(0, 0, 5), 0}, {PICK(0, 5000, -1), PICK(0, 0, 1000000, -1)}}, old;
    memset(&old, 0, sizeof old);
    int is_set = once_in(2);
    say("%sitimer(%d, %ld.%ld, %ld)", is_set ? "set" : "get", which, value.it_value.tv_sec,
        (long)value.it_value.tv_usec, value.it_interval.tv_sec);
    if (result(is_set ? setitimer(which, &value, &old) : getitimer(which, &old)) == 0)
        say(" was %d interval %ld", old.it_value.tv_sec || old.it_value.tv_usec, old.it_interval.tv_sec);
}
static void do_alarm(void) {
    unsigned seconds = PICK(0, 3000);
    say("alarm(%u)", seconds);
    long left = alarm(seconds);
    say(" left %d", left > 0);
}
static void do_read_time(void) {
    struct timeval now;
    struct tms used;
    int kind = below(4);
    static const char *const names[] = {"gettimeofday", "times", "time", "getrusage"};
    say("%s", names[kind]);
    if (kind == 0) result(syscall(SYS_gettimeofday, &now, NULL));
    if (kind == 1) success(times(&used));
    if (kind == 2) success(syscall(SYS_time, NULL));
    if (kind == 3) {
        struct rusage usage;
        int who = PICK(RUSAGE_SELF, RUSAGE_THREAD, RUSAGE_CHILDREN, 5);
        say("(%d)", who);
        result(getrusage(who, &usage));
    }
}
static void do_limit(void) {
    static const struct name limits[] = {
        N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE), N(RLIMIT_RTPRIO), {16, "16"}, {-1, "-1"}};
    const char *text;
    long limit = CHOOSE(limits, &text), soft = PICK(0, 5, 100), hard = PICK(50, 100, 1000);
    struct rlimit old = {7, 7}, new = {soft, hard};
    /* What may be raised depends on capabilities, which a host may not give: only wrong limits are set. */
    int is_set = limit == 16 || limit == -1;
    say("prlimit(%s, %d %ld %ld)", text, is_set, soft, hard);
    if (result(syscall(SYS_prlimit64, 0, limit, is_set ? &new : NULL, &old)) == 0 && is_set) {
        getrlimit(limit, &old);
        say(" now %ld %ld", (long)old.rlim_cur, (long)old.rlim_max);
    }
}
static void do_schedule(void) {
    int kind = below(5);
    struct sched_param parameter = {77};
    struct timespec slice;
    int policy = PICK(SCHED_OTHER, SCHED_FIFO, SCHED_BATCH, SCHED_IDLE, 99);
    switch (kind) {
    case 0:
        say("sched_get_priority_max(%d)", policy);
        result(sched_get_priority_max(policy));
        break;
    case 1:
        say("sched_get_priority_min(%d)", policy);
        result(sched_get_priority_min(policy));
        break;
    case 2:
        say("sched_getparam");
        result(sched_getparam(0, &parameter));
        say(" %d", parameter.sched_priority);
        break;
    case 3:
        say("sched_getscheduler");
        result(sched_getscheduler(PICK(0, -1, 999999)));
        break;
    default:
        say("sched_rr_get_interval");
        success(sched_rr_get_interval(PICK(0, -1), &slice));
    }
}
static void do_prctl(void) {
    char name[17] = "";
    int kind = below(4);
    switch (kind) {
    case 0:
        memset(name, stamp(), PICK(1, 5, 15, 16));
        say("prctl(PR_SET_NAME, %s)", name);
        result(prctl(PR_SET_NAME, name));
        break;
    case 1:
        say("prctl(PR_GET_NAME)");
        result(prctl(PR_GET_NAME, name));
        say(" %s", name);
        prctl(PR_SET_NAME, "fuzz");
        break;
    case 2:
        say("prctl(9999)");
        result(prctl(9999, 0, 0, 0, 0));
        break;
    default: {
        int which = PICK(PRIO_PROCESS, PRIO_PROCESS, 9), who = PICK(0, 999999);
        say("getpriority(%d, %d)", which, who);
        errno = 0;
        long priority = getpriority(which, who);
        result(errno ? -1 : priority + 100);
    }
    }
}
static void end(void) {
    struct itimerval off;
    memset(&off, 0, sizeof off);
    for (int i = 0; i < 3; i++) setitimer(i, &off, NULL);
    struct rlimit limit = {0, 1000};
    static const int limits[] = {RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO};
    for (unsigned i = 0; i < COUNT(limits); i++) setrlimit(limits[i], &limit);
}
static const struct operation operations[] = {{5, do_clock},  {6, do_sleep},    {8, do_timerfd},
                                              {5, do_itimer}, {2, do_alarm},    {3, do_read_time},
                                              {4, do_limit},  {4, do_schedule}, {3, do_prctl}};
const struct family timing = {"time", end, end, operations, COUNT(operations)};
