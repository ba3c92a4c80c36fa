/* Signals of one thread: every outcome has one order. */
#include "fuzz.h"

static const struct name numbers[] = {{SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGWINCH, "WINCH"},
                                      {SIGALRM, "ALRM"}, {34, "RT34"},      {35, "RT35"},
                                      {36, "RT36"},      {SIGCHLD, "CHLD"}};
static int number(void) {
    const char *text;
    int signal = CHOOSE(numbers, &text);
    say("%s", text);
    return signal;
}
static void draw_set(sigset_t *set) {
    sigemptyset(set);
    say("{");
    for (unsigned i = 0; i < COUNT(numbers); i++) {
        if (!once_in(3)) continue;
        sigaddset(set, numbers[i].value);
        say(" %s", numbers[i].text);
    }
    say(" }");
}
static void say_set(const sigset_t *set) {
    say(" {");
    for (int signal = 1; signal <= 64; signal++) /* glibc keeps 32 and 33. */
        if (signal != 32 && signal != 33 && sigismember(set, signal)) say(" %d", signal);
    say(" }");
}

static char alternate[2][1 << 18];
static void on_signal(int signal, siginfo_t *info, void *context) {
    ucontext_t *frame = context;
    sigset_t now;
    stack_t stack;
    char here;
    sigprocmask(SIG_BLOCK, NULL, &now);
    sigaltstack(NULL, &stack);
    int on = -1;
    for (int i = 0; i < 2; i++)
        if (&here >= alternate[i] && &here < alternate[i] + sizeof alternate[i]) on = i;
    say(" [handler %d code %d value %d stack %d flags %x mask", signal, info->si_code,
        info->si_code == SI_QUEUE || info->si_code == SI_TIMER ? info->si_value.sival_int : 0, on,
        stack.ss_flags);
    say_set(&now);
    say(" saved");
    say_set(&frame->uc_sigmask);
    say("]");
}
static int timers_used;
static void do_action(void) {
    static const struct name action_flags[] = {N(SA_NODEFER), N(SA_ONSTACK), N(SA_ONSTACK), N(SA_RESTART)};
    char text[256];
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    say("sigaction(");
    int signal = once_in(20) ? PICK(0, -1, 65, SIGKILL, SIGSTOP) : 0;
    if (signal)
        say("%d", signal);
    else
        signal = number();
    int kind = below(6);
    /* Whether a timer's signal is kept that is both ignored and blocked changed with Linux 6.13; the guest
     * reports 6.1. */
    if (timers_used) kind = 5;
    action.sa_flags = FLAGS(action_flags, 3, text) | SA_SIGINFO;
    action.sa_sigaction = on_signal;
    if (kind == 0) action.sa_handler = SIG_IGN;
    /* The default of these is to do nothing. */
    if (kind == 1 && (signal == SIGWINCH || signal == SIGCHLD)) action.sa_handler = SIG_DFL;
    say(", %s, %s, ",
        action.sa_handler == SIG_IGN   ? "SIG_IGN"
        : action.sa_handler == SIG_DFL ? "SIG_DFL"
                                       : "handler",
        text);
    draw_set(&action.sa_mask);
    say(")");
    memset(&old, 0, sizeof old);
    if (result(sigaction(signal, &action, &old)) == 0) {
        say(" was %s flags %x",
            old.sa_handler == SIG_IGN   ? "SIG_IGN"
            : old.sa_handler == SIG_DFL ? "SIG_DFL"
                                        : "handler",
            old.sa_flags & ~0x04000000);
        say_set(&old.sa_mask);
    }
}
static void do_mask(void) {
    sigset_t set, old;
    int how = PICK(SIG_BLOCK, SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK, 9);
    say("sigprocmask(%d, ", how);
    draw_set(&set);
    say(")");
    sigemptyset(&old);
    if (result(sigprocmask(how, &set, &old)) == 0) say_set(&old);
}
static void do_send(void) {
    int kind = below(5), value = below(1000);
    say("%s", kind == 0 ? "kill(" : kind == 1 ? "tgkill(" : kind == 2 ? "raise(" : "sigqueue(");
    int signal = once_in(15) ? PICK(0, -1, 65, 0) : number();
    if (signal <= 0 || signal > 64) say("%d", signal);
    say(", %d)", value);
    union sigval with = {.sival_int = value};
    long done = kind == 0   ? kill(getpid(), signal)
                : kind == 1 ? syscall(SYS_tgkill, getpid(), gettid(), signal)
                : kind == 2 ? (errno = raise(signal) ? errno : 0, errno ? -1 : 0)
                            : sigqueue(getpid(), signal, with);
    result(done);
}
static void do_send_wrong(void) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = PICK(SI_QUEUE, -7, SI_USER, SI_KERNEL, SI_TKILL);
    info.si_value.sival_int = 5;
    int kind = below(3), target = PICK(0, 0, 999999, -5);
    say("rt_%ssigqueueinfo(code %d, %d, ", kind ? "" : "tg", info.si_code, target);
    int signal = number();
    say(")");
    pid_t pid = target ? target : getpid();
    if (pid < 0 && kind == 1) kind = 2;
    result(kind == 0 ? syscall(SYS_rt_tgsigqueueinfo, getpid(), target ? target : gettid(), signal, &info)
                     : syscall(SYS_rt_sigqueueinfo, pid, signal, &info));
}
static void do_pending(void) {
    sigset_t set;
    say("sigpending()");
    if (result(sigpending(&set)) == 0) say_set(&set);
}
static void do_take(void) {
    sigset_t set;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    struct timespec now = {0, PICK(0, 0, 0, 0, 1000000000, -1)};
    say("sigtimedwait(");
    draw_set(&set);
    say(", %ld)", now.tv_nsec);
    if (result(sigtimedwait(&set, &info, &now)) > 0)
        say(" code %d value %d", info.si_code,
            info.si_code == SI_QUEUE || info.si_code == SI_TIMER ? info.si_value.sival_int : 0);
}
static void do_suspend(void) {
    sigset_t mask, waiting;
    say("sigsuspend(");
    draw_set(&mask);
    say(")");
    sigpending(&waiting);
    int ends = 0;
    for (unsigned i = 0; i < COUNT(numbers); i++) {
        struct sigaction action;
        int signal = numbers[i].value;
        sigaction(signal, NULL, &action);
        ends |= sigismember(&waiting, signal) && !sigismember(&mask, signal) &&
                action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL;
    }
    /* A signal of a timer that was changed since is pending, but dropped when it is its turn. */
    if (ends && !timers_used)
        result(sigsuspend(&mask));
    else
        say(" would wait");
}
static void do_stack(void) {
    int which = below(2);
    long kind = below(8);
    stack_t stack = {.ss_sp = alternate[which], .ss_size = sizeof alternate[which], .ss_flags = 0}, old;
    if (kind == 0) stack.ss_flags = SS_DISABLE;
    if (kind == 1) stack.ss_size = 100;
    if (kind == 2) stack.ss_flags = 77;
    if (kind == 3) stack.ss_flags = (int)(1u << 31);
    if (kind == 4) stack.ss_flags = SS_ONSTACK;
    say("sigaltstack(%d, %#x, %zu)", which, stack.ss_flags, stack.ss_size);
    memset(&old, 0, sizeof old);
    if (result(sigaltstack(&stack, &old)) == 0) {
        int was = old.ss_sp == alternate[0] ? 0 : old.ss_sp == alternate[1] ? 1 : -1;
        say(" was %d %x %zu", was, old.ss_flags, was < 0 ? 0 : old.ss_size);
    }
}

#define TIMERS 4
static timer_t timers[TIMERS];
/* 2: of a clock that runs all the time. */
static uint8_t exists[TIMERS];
/* Those of SIGEV_NONE. */
static uint8_t is_silent[TIMERS];
static void do_timer(void) {
    int slot = below(TIMERS), kind = below(5);
    /* When a clock of used time comes due is a matter of ticks. */
    if (kind == 4 && exists[slot] == 1) kind = 2;
    if (kind == 0 || !exists[slot]) {
        static const struct name clocks[] = {N(CLOCK_REALTIME),
                                             N(CLOCK_MONOTONIC),
                                             N(CLOCK_BOOTTIME),
                                             N(CLOCK_PROCESS_CPUTIME_ID),
                                             {77, "77"}};
        const char *text;
        long clock = CHOOSE(clocks, &text);
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = PICK(SIGEV_SIGNAL, SIGEV_SIGNAL, SIGEV_NONE, 4, 99);
        event.sigev_value.sival_int = 100 + slot;
        event._sigev_un._tid = gettid();
        if (exists[slot]) timer_delete(timers[slot]);
        exists[slot] = 0;
        say("timer_create(%s, %d, ", text, event.sigev_notify);
        event.sigev_signo = number();
        if (once_in(15)) event.sigev_signo = PICK(0, 65, -1);
        say(" %d)", event.sigev_signo);
        /* See do_action. */
        for (unsigned i = 0; i < COUNT(numbers); i++) {
            struct sigaction now, with = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
            sigaction(numbers[i].value, NULL, &now);
            if (now.sa_handler == SIG_IGN || now.sa_handler == SIG_DFL)
                sigaction(numbers[i].value, &with, NULL);
        }
        timers_used = 1;
        /* Through the kernel's own call: glibc has its own view of notifications. */
        int id = -1;
        if (success(syscall(SYS_timer_create, clock, &event, &id)) == 0) {
            timers[slot] = (timer_t)(intptr_t)id;
            exists[slot] = clock == CLOCK_PROCESS_CPUTIME_ID ? 1 : 2;
            is_silent[slot] = event.sigev_notify == SIGEV_NONE;
        }
        return;
    }
    int id = (int)(intptr_t)timers[slot];
    struct itimerspec value, old;
    memset(&value, 0, sizeof value);
    memset(&old, 0, sizeof old);
    switch (kind) {
    case 1:
        exists[slot] = 0;
        say("timer_delete(%d)", slot);
        result(syscall(SYS_timer_delete, id));
        break;
    case 2:
        say("timer_gettime(%d)", slot);
        if (result(syscall(SYS_timer_gettime, id, &value)) == 0)
            say(" armed %d interval %ld", value.it_value.tv_sec || value.it_value.tv_nsec,
                value.it_interval.tv_sec);
        break;
    case 3: {
        value.it_value.tv_sec = PICK(0, 1000, 0, -1);
        value.it_value.tv_nsec = PICK(0, 0, 1000000000, -1);
        value.it_interval.tv_sec = PICK(0, 5);
        int flag = PICK(0, 0, 2);
        /* Linux tells the old time of one that nobody hears and that was stopped. */
        if (is_silent[slot] && !value.it_value.tv_sec) value.it_value.tv_sec = 1000;
        /* How long either machine has run is nobody's business: an absolute time lies far ahead. */
        if (flag && value.it_value.tv_sec == 1000) value.it_value.tv_sec = 4000000000;
        say("timer_settime(%d, %d, %ld.%ld, %ld)", slot, flag, value.it_value.tv_sec, value.it_value.tv_nsec,
            value.it_interval.tv_sec);
        if (result(syscall(SYS_timer_settime, id, flag, &value, &old)) == 0)
            say(" was %d interval %ld", old.it_value.tv_sec || old.it_value.tv_nsec, old.it_interval.tv_sec);
        break;
    }
    default: {
        /* Comes due while every signal is blocked, and is seen as pending afterwards. */
        sigset_t all, mask;
        sigfillset(&all);
        sigdelset(&all, SIGSEGV);
        sigdelset(&all, SIGBUS);
        sigprocmask(SIG_SETMASK, &all, &mask);
        value.it_value.tv_nsec = 1;
        say("timer_settime(%d, 1 ns)", slot);
        long done = result(syscall(SYS_timer_settime, id, 0, &value, NULL));
        for (int i = 0; done == 0 && i < 200; i++) {
            struct timespec nap = {0, 1000000};
            syscall(SYS_timer_gettime, id, &old);
            if (!old.it_value.tv_sec && !old.it_value.tv_nsec) break;
            clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        }
        say(" overrun");
        result(syscall(SYS_timer_getoverrun, id));
        sigpending(&all);
        say_set(&all);
        sigprocmask(SIG_SETMASK, &mask, NULL);
    }
    }
}

static void begin(void) {
    timers_used = 0;
    for (int i = 0; i < TIMERS; i++) {
        if (exists[i]) syscall(SYS_timer_delete, (int)(intptr_t)timers[i]);
        exists[i] = 0;
    }
    sigset_t none;
    sigemptyset(&none);
    struct sigaction ignore = {.sa_handler = SIG_IGN},
                     action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    for (unsigned i = 0; i < COUNT(numbers); i++) {
        /* To ignore a signal drops what is pending of it. */
        sigaction(numbers[i].value, &ignore, NULL);
        sigaction(numbers[i].value, &action, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
}
static const struct operation operations[] = {{8, do_action},     {8, do_mask},    {16, do_send},
                                              {2, do_send_wrong}, {4, do_pending}, {6, do_take},
                                              {4, do_suspend},    {3, do_stack},   {8, do_timer}};
const struct family signals = {"signals", begin, begin, operations, COUNT(operations)};
