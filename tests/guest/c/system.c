/* uname, sysconf, ids, limits, auxiliary vector, random, scheduling, sysinfo, priorities, prctl, membarrier.
 */
#include "t.h"
#include <linux/membarrier.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <pwd.h>
int main(int argc, char **argv) {
    (void)argc;
    struct utsname u;
    TRY(uname(&u));
    printf("%s %s\n", u.sysname, u.machine);
    IS(atoi(u.release) >= 4);
    IS(u.nodename[0] != 0);
    IS(u.version[0] == '#');
    TRY(uname((void *)8));
    VAL(sysconf(_SC_PAGESIZE));
    VAL(sysconf(_SC_CLK_TCK));
    VAL(sysconf(_SC_IOV_MAX));
    IS(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    IS(sysconf(_SC_NPROCESSORS_CONF) >= sysconf(_SC_NPROCESSORS_ONLN));
    IS(sysconf(_SC_PHYS_PAGES) > 1000);
    IS(sysconf(_SC_AVPHYS_PAGES) > 100);
    IS(sysconf(_SC_OPEN_MAX) >= 1024);
    VAL(sysconf(_SC_NGROUPS_MAX));
    IS(get_nprocs() >= 1);
    IS(sysconf(_SC_ARG_MAX) >= 131072);
    VAL(getuid());
    VAL(geteuid());
    VAL(getgid());
    VAL(getegid());
    IS(getpid() > 0);
    IS(getppid() >= 0);
    IS(getsid(0) >= 0);
    IS(getpgrp() >= 0);
    int e1, e2, e3;
    VAL(getresuid((void *)&e1, (void *)&e2, (void *)&e3));
    struct passwd *pw = getpwuid(getuid());
    puts(pw ? pw->pw_name : "no passwd entry");
    VAL(getauxval(AT_PAGESZ));
    VAL(getauxval(AT_CLKTCK));
    VAL(getauxval(AT_SECURE));
    IS(getauxval(AT_SYSINFO_EHDR) != 0);
    IS(!memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4));
    IS(getauxval(AT_RANDOM) != 0);
    IS(getauxval(AT_PHDR) != 0);
    VAL(getauxval(AT_PHENT));
    IS(getauxval(AT_PHNUM) > 5);
    IS(getauxval(AT_BASE) != 0);
    IS(getauxval(AT_ENTRY) != 0);
    puts((char *)getauxval(AT_PLATFORM));
    IS(!strcmp((char *)getauxval(AT_EXECFN), argv[0]));
    IS(getauxval(AT_MINSIGSTKSZ) >= 1024);
    IS(getauxval(AT_HWCAP) != 0);
    VAL(getauxval(AT_UID));
    VAL(getauxval(AT_EGID));
    unsigned char a[64] = {0}, b[64] = {0};
    VAL(getrandom(a, 64, 0));
    VAL(getrandom(b, 64, GRND_NONBLOCK));
    IS(memcmp(a, b, 64) != 0);
    VAL(getrandom(a, 8, GRND_RANDOM));
    TRY(getrandom(a, 8, 0x80));
    TRY(getrandom((void *)8, 8, 0));
    VAL(getrandom(a, 0, 0));
    VAL(getentropy(a, 32));
    struct rlimit r;
    for (int i = 0; i < 16; i++) {
        struct rlimit l;
        if (getrlimit(i, &l)) printf("limit %d %s\n", i, errno_name(errno));
    }
    getrlimit(RLIMIT_STACK, &r);
    VAL(r.rlim_cur);
    getrlimit(RLIMIT_AS, &r);
    VAL(r.rlim_cur == RLIM_INFINITY);
    getrlimit(RLIMIT_CORE, &r);
    VAL(r.rlim_cur);
    TRY(prlimit(0, RLIMIT_NOFILE, NULL, &r));
    TRY(prlimit(1 << 21, RLIMIT_NOFILE, NULL, &r));
    TRY(prlimit(0, 99, NULL, &r));
    r.rlim_cur = 1 << 20;
    r.rlim_max = RLIM_INFINITY;
    TRY(setrlimit(RLIMIT_CORE, &r));
    TRY(setrlimit(RLIMIT_AS, &(struct rlimit){1L << 30, RLIM_INFINITY}));
    TRY(mmap(NULL, 2L << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    cpu_set_t s, one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    VAL(syscall(SYS_sched_getaffinity, 0, sizeof s, &s) >= 8);
    TRY(syscall(SYS_sched_getaffinity, 0, 4, &s));
    TRY(syscall(SYS_sched_getaffinity, 1 << 21, sizeof s, &s));
    TRY(sched_setaffinity(0, sizeof one, &one));
    sched_getaffinity(0, sizeof s, &s);
    VAL(CPU_COUNT(&s));
    VAL(sched_getcpu());
    CPU_ZERO(&one);
    TRY(sched_setaffinity(0, sizeof one, &one));
    unsigned c, n;
    TRY(getcpu(&c, &n));
    VAL(c);
    TRY(sched_yield());
    VAL(sched_getscheduler(0));
    struct sched_param sp = {0};
    TRY(sched_getparam(0, &sp));
    VAL(sp.sched_priority);
    VAL(sched_get_priority_max(SCHED_FIFO));
    VAL(sched_get_priority_min(SCHED_OTHER));
    sp.sched_priority = 5;
    TRY(sched_setscheduler(0, SCHED_OTHER, &sp));
    TRY(sched_getscheduler(-1));
    VAL(getpriority(PRIO_PROCESS, 0));
    TRY(setpriority(PRIO_PROCESS, 0, 5));
    VAL(getpriority(PRIO_PROCESS, 0));
    TRY(getpriority(9, 0));
    VAL(nice(2));
    struct sysinfo si;
    TRY(sysinfo(&si));
    IS(si.totalram > 0 && si.freeram < si.totalram);
    VAL(si.mem_unit);
    TRY(sysinfo((void *)8));
    TRY(prctl(PR_SET_NAME, (void *)8));
    TRY(prctl(9999));
    VAL(prctl(PR_GET_DUMPABLE));
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    VAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    VAL(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) >= 0);
    TRY(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    TRY(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    TRY(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    TRY(syscall(SYS_membarrier, 1 << 30, 0, 0));
    TRY(syscall(9999));
    TRY(syscall(-1));
    TRY(syscall(SYS_arch_prctl, 0x9999, 0));
    TRY(syscall(SYS_set_robust_list, a, 5));
    VAL(syscall(SYS_set_tid_address, &e1) == tid());
    return 0;
}
