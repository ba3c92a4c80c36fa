/* The shape of /proc, /sys and /etc files: names of the lines, parsed values compared with calls. */
#include "t.h"
#include <dirent.h>
#include <sys/sysinfo.h>
static char buf[1 << 18];
static long slurp(const char *p) {
    int fd = open(p, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", p, errno_name(errno));
        buf[0] = 0;
        return -1;
    }
    long n = 0, r;
    while ((r = read(fd, buf + n, sizeof buf - 1 - (size_t)n)) > 0) n += r;
    close(fd);
    buf[n] = 0;
    return n;
}
static long field(const char *name) {
    char *p = strstr(buf, name);
    return p ? strtol(p + strlen(name), NULL, 10) : -1;
}
static void has(const char *name) { printf("  %s %s\n", name, strstr(buf, name) ? "there" : "MISSING"); }
static int lines(void) {
    int n = 0;
    for (char *p = buf; *p; p++) n += *p == '\n';
    return n;
}
static int count(const char *p) {
    DIR *d = opendir(p);
    if (!d) return -1;
    int n = 0;
    struct dirent *e;
    while ((e = readdir(d))) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}
int main(int argc, char **argv) {
    (void)argc;
    char path[256], link[512] = "";
    slurp("/proc/self/status");
    for (char *k[] = {"Name:\t", "State:\t", "Tgid:\t", "Pid:\t", "PPid:\t", "Uid:\t", "Gid:\t", "FDSize:\t",
                      "VmPeak:\t", "VmSize:\t", "VmRSS:\t", "VmSwap:\t", "Threads:\t", "SigBlk:\t",
                      "SigCgt:\t", "Cpus_allowed_list:\t", "voluntary_ctxt_switches:\t", NULL},
              **q = k;
         *q; q++)
        has(*q);
    IS(field("\nPid:\t") == getpid());
    IS(field("\nTgid:\t") == getpid());
    VAL(field("Threads:\t"));
    IS(field("VmRSS:\t") > 100);
    IS(field("VmSize:\t") >= field("VmRSS:\t"));
    slurp("/proc/self/stat");
    int f = 0;
    char *p = strrchr(buf, ')');
    IS(p && p[2] == 'R');
    for (p += 2; *p; p++) f += *p == ' ';
    VAL(f);
    IS(strtol(buf, NULL, 10) == getpid());
    slurp("/proc/self/statm");
    long size, rss;
    IS(sscanf(buf, "%ld %ld", &size, &rss) == 2 && size >= rss && rss > 0);
    long n = readlink("/proc/self/exe", link, 511);
    IS(n > 0 && link[0] == '/' && strstr(link, "proc_files"));
    memset(link, 0, sizeof link);
    n = readlink("/proc/self", link, 511);
    IS(atoi(link) == getpid());
    memset(link, 0, sizeof link);
    readlink("/proc/self/cwd", link, 511);
    puts(link);
    memset(link, 0, sizeof link);
    readlink("/proc/self/root", link, 511);
    puts(link);
    memset(link, 0, sizeof link);
    IS(readlink("/proc/thread-self", link, 511) > 0);
    slurp("/proc/self/cmdline");
    IS(!strcmp(buf, argv[0]));
    VAL(slurp("/proc/self/environ") > 0);
    slurp("/proc/self/comm");
    printf("%s", strstr(buf, "proc_files") ? "comm ok\n" : buf);
    sprintf(path, "/proc/%d/comm", getpid());
    VAL(slurp(path) > 0);
    sprintf(path, "/proc/self/task/%d/stat", getpid());
    VAL(slurp(path) > 0);
    TRY(open("/proc/4000000/stat", O_RDONLY));
    int before = count("/proc/self/fd");
    int fd = open("/dev/null", O_RDONLY);
    VAL(count("/proc/self/fd") - before);
    sprintf(path, "/proc/self/fd/%d", fd);
    memset(link, 0, sizeof link);
    readlink(path, link, 511);
    puts(link);
    VAL(open(path, O_RDONLY) > fd);
    VAL(count("/proc/self/task"));
    slurp("/proc/self/maps");
    IS(lines() > 10);
    has("[stack]");
    has("libc.so.6");
    has("r-xp");
    unsigned long a, b, off;
    unsigned mj, mn;
    long ino;
    char perm[8];
    IS(sscanf(buf, "%lx-%lx %4s %lx %x:%x %ld", &a, &b, perm, &off, &mj, &mn, &ino) == 7);
    IS(b > a && ino > 0);
    slurp("/proc/self/smaps");
    has("Rss:");
    has("Private_Dirty:");
    has("VmFlags:");
    slurp("/proc/self/auxv");
    VAL(*(long *)buf != 0);
    slurp("/proc/self/limits");
    has("Max open files");
    has("Max stack size");
    slurp("/proc/self/coredump_filter");
    printf("%s", buf);
    fd = open("/proc/self/coredump_filter", O_RDWR);
    VAL(write(fd, "0x33", 4));
    close(fd);
    slurp("/proc/self/oom_score_adj");
    VAL(atoi(buf));
    slurp("/proc/self/mountinfo");
    has(" / /tmp ");
    has(" - tmpfs ");
    has(" - proc ");
    slurp("/proc/self/mounts");
    has(" /proc proc ");
    VAL(slurp("/proc/self/cgroup") > 0);
    slurp("/proc/meminfo");
    for (char *k[] = {"MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SwapTotal:",
                      "SwapFree:", "AnonPages:", "CommitLimit:", "Committed_AS:", "Hugepagesize:", NULL},
              **q = k;
         *q; q++)
        has(*q);
    struct sysinfo si;
    sysinfo(&si);
    IS(field("MemTotal:") == (long)(si.totalram * si.mem_unit / 1024));
    IS(field("MemAvailable:") > 0 && field("MemAvailable:") <= field("MemTotal:"));
    IS(si.procs >= 1 && si.uptime >= 0);
    slurp("/proc/cpuinfo");
    int cpus = 0;
    for (p = buf; (p = strstr(p, "processor\t:")); p++) cpus++;
    IS(cpus == sysconf(_SC_NPROCESSORS_ONLN));
    has("model name\t:");
    has("cpu MHz\t\t:");
    has("flags\t\t:");
    has(" sse2 ");
    slurp("/proc/stat");
    has("cpu  ");
    has("cpu0 ");
    has("ctxt ");
    has("btime ");
    has("processes ");
    slurp("/proc/uptime");
    IS(atof(buf) > 0);
    slurp("/proc/loadavg");
    IS(strchr(buf, '/') != NULL);
    slurp("/proc/version");
    has("Linux version ");
    slurp("/proc/filesystems");
    has("nodev\tproc");
    has("nodev\ttmpfs");
    slurp("/proc/sys/vm/max_map_count");
    IS(atoi(buf) >= 65530);
    slurp("/proc/sys/vm/overcommit_memory");
    VAL(atoi(buf));
    slurp("/proc/sys/kernel/pid_max");
    IS(atoi(buf) >= 32768);
    slurp("/proc/sys/kernel/threads-max");
    IS(atoi(buf) > 100);
    slurp("/proc/sys/kernel/osrelease");
    IS(atoi(buf) >= 4);
    slurp("/proc/sys/kernel/random/boot_id");
    VAL(strlen(buf));
    slurp("/proc/sys/vm/mmap_min_addr");
    VAL(atoi(buf));
    slurp("/proc/sys/kernel/hostname");
    IS(buf[0] > ' ');
    slurp("/sys/devices/system/cpu/online");
    printf("%s", buf[0] == '0' ? "online 0..\n" : buf);
    slurp("/sys/devices/system/cpu/possible");
    printf("%s", buf[0] == '0' ? "possible 0..\n" : buf);
    slurp("/sys/kernel/mm/transparent_hugepage/enabled");
    IS(strchr(buf, '[') && strchr(buf, ']'));
    VAL(slurp("/etc/passwd") > 0);
    has("root:");
    VAL(slurp("/etc/hosts") > 0);
    has("localhost");
    TRY(mkdir("/proc/x", 0700));
    TRY(unlink("/proc/version"));
    VAL(lseek(open("/proc/meminfo", O_RDONLY), 10, SEEK_SET));
    int m = open("/proc/self/maps", O_RDONLY);
    VAL(pread(m, buf, 10, 0));
    VAL(pread(m, buf + 100, 10, 0));
    IS(!memcmp(buf, buf + 100, 10));
    return 0;
}
