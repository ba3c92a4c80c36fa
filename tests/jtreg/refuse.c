/* runs a program for which some system calls fail as they do in the guest: refuse [-c] PROGRAM [ARGS]
 *   -c   no child process: clone without CLONE_THREAD, fork and vfork fail with EPERM
 * Which tests need a child process is found out so, not guessed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define FAIL(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter children[] = {
    LOAD(nr),
    SKIP_UNLESS(SYS_fork, 1),
    FAIL(EPERM),
    SKIP_UNLESS(SYS_vfork, 1),
    FAIL(EPERM),
    /* Its flags lie in memory, out of the filter's reach: glibc falls back to clone. */
    SKIP_UNLESS(SYS_clone3, 1),
    FAIL(ENOSYS),
    SKIP_UNLESS(SYS_clone, 3),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
    FAIL(EPERM),
    ALLOW,
};

static int install(struct sock_filter *filter, unsigned short len) {
    struct sock_fprog program = {.len = len, .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
    int at = argc > 1 && !strcmp(argv[1], "-c") ? 2 : 1;
    if (at >= argc || (at == 2 && install(children, sizeof children / sizeof *children))) {
        perror("refuse");
        return 125;
    }
    execv(argv[at], argv + at);
    perror("refuse");
    return 127;
}
