/* Guest only: prints the free memory in KiB, then ends by exit_group with threads in every state.
 * Argument: what most threads do, or "other" for an end that the first thread does not ask for. */
#include "t.h"
#include <poll.h>
#include <sys/sysinfo.h>
static volatile int spinning;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int pipe_ends[2];
static void *spin(void *a) {
    __atomic_add_fetch(&spinning, 1, __ATOMIC_RELAXED);
    for (;;) {
    }
    return a;
}
static void *yielding(void *a) {
    __atomic_add_fetch(&spinning, 1, __ATOMIC_RELAXED);
    for (;;) {
        sched_yield();
    }
    return a;
}
static void *on_lock(void *a) {
    pthread_mutex_lock(&lock);
    return a;
}
static void *on_pipe(void *a) {
    char c;
    read(pipe_ends[0], &c, 1);
    return a;
}
static void *on_poll(void *a) {
    struct pollfd p = {.fd = pipe_ends[0], .events = POLLIN};
    poll(&p, 1, -1);
    return a;
}
static void *sleeping(void *a) {
    sleep(1000);
    return a;
}
static void *ends(void *a) {
    syscall(SYS_exit_group, 0);
    return a;
}
int main(int argc, char **argv) {
    struct sysinfo s;
    sysinfo(&s);
    printf("%lu\n", s.freeram * s.mem_unit / 1024);
    const char *mode = argc > 1 ? argv[1] : "spin";
    pthread_mutex_lock(&lock);
    pipe(pipe_ends);
    start(spin, NULL);
    start(on_lock, NULL);
    start(on_pipe, NULL);
    start(on_poll, NULL);
    start(sleeping, NULL);
    int more = !strcmp(mode, "runnable") ? 16 : 2;
    for (int i = 0; i < more; i++) {
        start(!strcmp(mode, "block") ? on_lock : yielding, NULL);
    }
    while (!spinning) {
        sched_yield();
    }
    if (!strcmp(mode, "other")) {
        start(ends, NULL);
        pause();
    }
    syscall(SYS_exit_group, 0);
}
