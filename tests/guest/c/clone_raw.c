/* clone(2) by hand: the thread id words, CHILD_CLEARTID's wake, flags that make no sense, ids in
 * /proc/self/task, thread names. */
#include "t.h"
#include <dirent.h>
#include <linux/futex.h>
#include <sys/prctl.h>
static volatile pid_t parent_tid, child_tid;
static volatile int ran, same_pid;
static int body(void *p) {
    ran = *(int *)p;
    same_pid = syscall(SYS_getpid) == *(volatile int *)((int *)p + 1);
    syscall(SYS_exit, 0);
    return 0;
}
static int tasks(void) {
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    struct dirent *e;
    while ((e = readdir(d))) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}
static void *named(void *p) {
    char b[16];
    prctl(PR_SET_NAME, "exactly-fifteen-and-more");
    prctl(PR_GET_NAME, b);
    puts(b);
    char path[64];
    sprintf(path, "/proc/self/task/%d/comm", tid());
    FILE *f = fopen(path, "r");
    fgets(b, 16, f);
    fclose(f);
    printf("comm %s\n", b);
    VAL(tasks());
    return p;
}
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
int main(void) {
    char *stack = pages(16, PROT_READ | PROT_WRITE);
    int arg[2] = {42, getpid()};
    IS(getpid() == tid());
    VAL(tasks());
    child_tid = -1;
    int t = clone(body, stack + 16 * PAGE,
                  THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, arg, &parent_tid,
                  NULL, &child_tid);
    IS(t > 0 && t != getpid());
    pid_t v;
    while ((v = child_tid) != 0) syscall(SYS_futex, &child_tid, FUTEX_WAIT, v, NULL, NULL, 0);
    IS(parent_tid == t);
    VAL(ran);
    VAL(same_pid);
    VAL(child_tid);
    for (int i = 0; i < 1000 && tasks() != 1; i++) sleep_ms(1);
    VAL(tasks());
    TRY(syscall(SYS_clone, CLONE_THREAD, stack + 16 * PAGE, 0, 0, 0));
    TRY(syscall(SYS_clone, CLONE_SIGHAND, stack + 16 * PAGE, 0, 0, 0));
    TRY(syscall(SYS_clone3, (void *)8, 88));
    TRY(syscall(SYS_clone3, arg, 8));
    TRY(syscall(SYS_tgkill, getpid(), 1 << 21, 0));
    TRY(syscall(SYS_tgkill, getpid(), tid(), 0));
    TRY(syscall(SYS_tgkill, getpid(), tid(), 65));
    TRY(syscall(SYS_tgkill, -1, tid(), 0));
    TRY(kill(getpid(), 0));
    TRY(kill(1 << 21, 0));
    pthread_join(start(named, NULL), NULL);
    char b[16];
    prctl(PR_GET_NAME, b);
    b[6] = 0;
    puts(b);
    pthread_setname_np(pthread_self(), "main thread");
    FILE *f = fopen("/proc/self/comm", "r");
    fgets(b, 16, f);
    fclose(f);
    printf("%s", b);
    TRYP(pthread_setname_np(pthread_self(), "sixteen charact!"));
    pthread_attr_t a;
    void *lo;
    size_t size;
    TRYP(pthread_getattr_np(pthread_self(), &a));
    pthread_attr_getstack(&a, &lo, &size);
    IS((char *)&a > (char *)lo && (char *)&a < (char *)lo + size);
    cpu_set_t s;
    TRYP(pthread_getaffinity_np(pthread_self(), sizeof s, &s));
    IS(CPU_COUNT(&s) == sysconf(_SC_NPROCESSORS_ONLN));
    return 0;
}
