/* What a program sees of a disk that fails, in DIRECTORY on a volume.
 * prepare: a file of eight blocks, safe. read, write, log, flush: the disk then fails at one block of it, at its log, or
 * at every flush. full: the volume has no room left. verify: what was safe is there. */
#include "t.h"
#include <setjmp.h>
#include <sys/statvfs.h>

#define BLOCKS 8

static char block[PAGE];
static sigjmp_buf after_fault;

static void on_bus(int signal) {
    (void)signal;
    siglongjmp(after_fault, 1);
}

static void prepare(void) {
    int f = open("old", O_CREAT | O_WRONLY, 0644);
    for (int i = 0; i < BLOCKS; i++) {
        memset(block, 'a' + i, sizeof block);
        if (write(f, block, sizeof block) != sizeof block) printf("write: %s\n", errno_name(errno));
    }
    TRY(fsync(f));
}

/* Every block by itself: what the disk can read is read. */
static void contents(void) {
    int f = open("old", O_RDONLY);
    for (int i = 0; i < BLOCKS; i++) {
        ssize_t n = pread(f, block, sizeof block, i * PAGE);
        if (n == PAGE) printf("block %d: %c %c\n", i, block[0], block[PAGE - 1]);
        else printf("block %d: %zd %s\n", i, n, errno_name(errno));
    }
    struct sigaction action = {.sa_handler = on_bus};
    sigaction(SIGBUS, &action, 0);
    volatile char *m = mmap(0, BLOCKS * PAGE, PROT_READ, MAP_SHARED, f, 0);
    for (int i = 2; i < 5; i++) {
        if (sigsetjmp(after_fault, 1)) printf("mapped %d: SIGBUS\n", i);
        else printf("mapped %d: %c\n", i, m[i * PAGE]);
    }
    close(f);
}

static void is_read_only(void) {
    struct statvfs v;
    TRY(statvfs(".", &v));
    printf("read-only: %d\n", (v.f_flag & ST_RDONLY) != 0);
    TRY(open("later", O_CREAT | O_WRONLY, 0644));
    TRY(mkdir("directory", 0755));
    TRY(unlink("old"));
    TRY(rename("old", "new"));
}

static void overwrite(void) {
    int f = open("old", O_RDWR);
    memset(block, 'N', sizeof block);
    TRY(pwrite(f, block, sizeof block, 3 * PAGE));
    TRY(fsync(f));
    is_read_only();
    printf("again: %d\n", fsync(f));
    contents();
}

static void make(void) {
    int f = open("fresh", O_CREAT | O_WRONLY, 0644);
    TRY(write(f, "fresh", 5));
    TRY(fsync(f));
    is_read_only();
    printf("again: %d\n", fsync(f));
}

static void flush(void) {
    int f = open("fresh", O_CREAT | O_RDWR, 0644);
    int safe = 0;
    for (; safe < 50; safe++) {
        if (pwrite(f, &safe, sizeof safe, 0) != sizeof safe || fsync(f)) break;
    }
    printf("a flush fails: %s\n", safe == 50 ? "no" : errno_name(errno));
    is_read_only();
    printf("again: %d\n", fsync(f));
}

static void full(void) {
    int f = open("big", O_CREAT | O_WRONLY, 0644);
    static char much[1 << 20];
    ssize_t n;
    long long total = 0;
    while ((n = write(f, much, sizeof much)) > 0) total += n;
    printf("write: %s, after more than 10 MB: %d\n", errno_name(errno), total > 10 << 20);
    for (int round = 0; round < 3; round++) {
        while (write(f, much, PAGE) > 0) {
        }
        printf("write: %s, fsync: %d\n", errno_name(errno), fsync(f));
    }
    struct statvfs v;
    TRY(statvfs(".", &v));
    printf("hardly a block left: %d, read-only: %d\n", v.f_bavail < 100, (v.f_flag & ST_RDONLY) != 0);
    int g = open("sparse", O_CREAT | O_RDWR, 0644);
    TRY(ftruncate(g, 100 * PAGE));
    TRY(fallocate(g, 0, 0, 100 * PAGE));
    signal(SIGBUS, on_bus);
    volatile char *m = mmap(0, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g, 0);
    if (sigsetjmp(after_fault, 1)) printf("a store into a hole: SIGBUS\n");
    else m[95 * PAGE] = 1;
    TRY(ftruncate(f, 0));
    TRY(pwrite(f, much, PAGE, 0));
    TRY(fsync(f));
}

int main(int argc, char **argv) {
    if (argc != 3 || chdir(argv[2])) return 2;
    const char *mode = argv[1];
    if (!strcmp(mode, "prepare")) prepare();
    else if (!strcmp(mode, "read") || !strcmp(mode, "verify")) contents();
    else if (!strcmp(mode, "write")) overwrite();
    else if (!strcmp(mode, "log")) make();
    else if (!strcmp(mode, "flush")) flush();
    else full();
    return 0;
}
