/* Signals and threads: directed ones, process-wide ones to a thread that has them open, sigsuspend, sigwait,
 * masks inherited, suspend and resume. */
#include "t.h"
#include <semaphore.h>
static sem_t sem, ready;
static volatile pid_t got_in;
static volatile int hits;
static void note(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    got_in = tid();
    hits++;
    sem_post(&sem);
}
static volatile pid_t other;
static volatile int quit;
static void *idle(void *p) {
    (void)p;
    other = tid();
    sem_post(&ready);
    while (!quit) sleep_ms(2);
    return NULL;
}
static void *waits(void *p) {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigaddset(&s, SIGRTMIN);
    other = tid();
    sem_post(&ready);
    for (int i = 0; i < 3; i++) {
        siginfo_t si;
        int r = sigwaitinfo(&s, &si);
        printf("sigwaitinfo: %d code %d value %d\n", r, si.si_code,
               si.si_code == SI_QUEUE ? si.si_value.sival_int : 0);
        sem_post(&sem);
    }
    struct timespec t = {0, 10000000};
    TRY(sigtimedwait(&s, NULL, &t));
    return p;
}
static volatile int resumed, suspended;
static void suspend(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    ucontext_t *u = c;
    if (suspended) {
        resumed++;
        return;
    }
    suspended = 1;
    sem_post(&sem);
    sigdelset(&u->uc_sigmask, SIGUSR2);
    sigset_t m = u->uc_sigmask;
    while (!resumed) sigsuspend(&m);
    suspended = 0;
    sem_post(&sem);
}
static volatile unsigned long spins;
static void *spinner(void *p) {
    other = tid();
    sem_post(&ready);
    while (!quit) spins++;
    return p;
}
static void wait_sem(sem_t *s) {
    while (sem_wait(s) && errno == EINTR) {
    }
}
int main(void) {
    sem_init(&sem, 0, 0);
    sem_init(&ready, 0, 0);
    sigset_t u1;
    sigemptyset(&u1);
    sigaddset(&u1, SIGUSR1);
    sigaddset(&u1, SIGRTMIN);
    on(SIGUSR1, note, SA_RESTART);
    pthread_t t = start(idle, NULL);
    wait_sem(&ready);
    TRYP(pthread_kill(t, SIGUSR1));
    wait_sem(&sem);
    IS(got_in == other);
    raise(SIGUSR1);
    wait_sem(&sem);
    IS(got_in == getpid());
    TRYP(pthread_sigmask(SIG_BLOCK, &u1, NULL)); /* now only the other thread has it open */
    kill(getpid(), SIGUSR1);
    wait_sem(&sem);
    IS(got_in == other);
    quit = 1;
    pthread_join(t, NULL);
    quit = 0;
    hits = 0;
    t = start(waits, NULL); /* inherits the mask */
    wait_sem(&ready);
    until_asleep(other);
    union sigval v = {.sival_int = 77};
    sigqueue(getpid(), SIGRTMIN, v);
    wait_sem(&sem);
    pthread_kill(t, SIGUSR1);
    wait_sem(&sem);
    kill(getpid(), SIGUSR1);
    wait_sem(&sem);
    pthread_join(t, NULL);
    VAL(hits);
    raise(SIGUSR1);
    sigset_t empty;
    sigemptyset(&empty);
    TRY(sigsuspend(&empty)); /* the pending one ends it at once, and the mask is back */
    VAL(hits);
    raise(SIGUSR1);
    VAL(hits);
    sigset_t pend;
    sigpending(&pend);
    VAL(sigismember(&pend, SIGUSR1));
    int got = 0;
    TRYP(sigwait(&u1, &got));
    VAL(got);
    sem_init(&sem, 0, 0); /* the handler above has posted it once more than was waited for */
    on(SIGUSR2, suspend, SA_RESTART);
    for (int round = 0; round < 20; round++) {
        quit = resumed = 0;
        t = start(spinner, NULL);
        wait_sem(&ready);
        pthread_kill(t, SIGUSR2);
        wait_sem(&sem);
        unsigned long a = spins;
        sleep_ms(2);
        if (spins != a) printf("ran while suspended\n");
        pthread_kill(t, SIGUSR2);
        wait_sem(&sem);
        quit = 1;
        pthread_join(t, NULL);
    }
    printf("suspended and resumed 20 times\n");
    return 0;
}
