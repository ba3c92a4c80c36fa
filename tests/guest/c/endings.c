/* How a program ends: its status, a signal's, an abort's; which output arrives; which thread ends it. */
#include "t.h"
#include <setjmp.h>
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static void at_exit(void) { printf("atexit ran\n"); }
static void *ends(void *p) {
    sleep_ms(5);
    exit((int)(long)p);
    return NULL;
}
static void *spins(void *p) {
    for (;;) (*(volatile long *)p)++;
    return NULL;
}
static void *blocks(void *p) {
    (void)p;
    for (;;) pause();
    return NULL;
}
static int deep(volatile char *p) {
    volatile char frame[1000];
    frame[0] = *p;
    return deep(frame) + frame[0];
}
static void again(int s, siginfo_t *i, void *c) {
    (void)s;
    (void)i;
    (void)c;
    *(volatile int *)24 = 1;
}
int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "return";
    int n = argc > 2 ? atoi(argv[2]) : 0;
    static long words[4];
    atexit(at_exit);
    fprintf(stderr, "ending by %s\n", how);
    printf("first line\n");
    if (!strcmp(how, "return")) return n;
    if (!strcmp(how, "exit")) exit(n);
    if (!strcmp(how, "_exit")) {
        fputs("lost", stdout);
        _exit(n);
    }
    if (!strcmp(how, "unflushed")) {
        fputs("no newline at the end", stdout);
        return n;
    }
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "raise")) raise(n);
    if (!strcmp(how, "kill")) {
        kill(getpid(), n);
        pause();
    }
    if (!strcmp(how, "thread")) {
        start(ends, (void *)(long)n);
        pause();
    }
    if (!strcmp(how, "busy")) {
        for (int i = 0; i < 4; i++) {
            start(spins, &words[i]);
            start(blocks, NULL);
        }
        sleep_ms(20);
        return n;
    }
    if (!strcmp(how, "pthread_exit")) {
        start(ends, (void *)(long)n);
        pthread_exit(NULL);
    }
    if (!strcmp(how, "last_thread")) pthread_exit(NULL);
    if (!strcmp(how, "raw_exit")) {
        start(ends, (void *)(long)n);
        syscall(SYS_exit, 3);
    }
    if (!strcmp(how, "raw_exit_alone")) syscall(SYS_exit, n);
    if (!strcmp(how, "null")) *(volatile int *)0 = 1;
    if (!strcmp(how, "overflow")) return deep((volatile char *)&n);
    if (!strcmp(how, "divide")) {
        volatile int zero = 0;
        return 1 / zero;
    };
    if (!strcmp(how, "trap")) __builtin_trap();
    if (!strcmp(how, "bus")) {
        int m = memfd_create("m", 0);
        return *(volatile char *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, m, 0);
    }
    if (!strcmp(how, "blocked_fault")) {
        sigset_t s;
        sigfillset(&s);
        sigprocmask(SIG_BLOCK, &s, NULL);
        *(volatile int *)8 = 1;
    }
    if (!strcmp(how, "ignored_fault")) {
        signal(SIGSEGV, SIG_IGN);
        *(volatile int *)8 = 1;
    }
    if (!strcmp(how, "fault_in_handler")) {
        on(SIGSEGV, again, 0);
        *(volatile int *)8 = 1;
    }
    if (!strcmp(how, "bad_stack")) __asm__ volatile("mov $64, %rsp; push %rax");
    if (!strcmp(how, "handler_on_bad_stack")) {
        on(SIGUSR1, again, 0);
        __asm__ volatile(
            "mov %0, %%edi; mov $64, %%rsp; mov $10, %%esi; mov $62, %%eax; syscall; 1: jmp 1b" ::"r"(
                getpid()));
    }
    if (!strcmp(how, "sigpipe")) {
        int p[2];
        pipe(p);
        close(p[0]);
        write(p[1], "x", 1);
    }
    if (!strcmp(how, "alarm")) {
        alarm(1);
        for (;;) pause();
    }
    if (!strcmp(how, "hlt")) __asm__ volatile("hlt");
    if (!strcmp(how, "stderr")) {
        for (int i = 0; i < 500; i++) {
            printf("out %d\n", i);
            fprintf(stderr, "err %d\n", i);
        }
        return n;
    }
    if (!strcmp(how, "binary")) {
        for (int i = 0; i < 70000; i++) putchar(i * 7 & 255);
        fwrite("\0\r\n\x1b", 1, 4, stderr);
        return n;
    }
    return 99;
}
