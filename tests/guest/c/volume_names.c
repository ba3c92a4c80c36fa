/* A large directory that is read while names come and go: what stays is seen once, cookies lead back, and a
 * directory can be emptied while it is read. ARGS: DIRECTORY COUNT; everything happens in DIRECTORY. */
#include "t.h"
#include <dirent.h>
#include <stdatomic.h>

/* Hard links, so that few inodes are needed; ext4 allows 65,000 of one. */
#define LINKS_MAX 30000

struct entry {
    uint64_t inode;
    int64_t cookie;
    unsigned short length;
    unsigned char type;
    char name[];
};

static long count;
static atomic_int is_read;

static void link_name(const char *kind, long i) {
    char target[32], name[64];
    snprintf(target, sizeof target, "target%ld", i / LINKS_MAX);
    if (i % LINKS_MAX == 0) close(open(target, O_CREAT | O_WRONLY, 0600));
    snprintf(name, sizeof name, "names/%s %ld", kind, i);
    if (link(target, name)) printf("link %s: %s\n", name, errno_name(errno));
}

static void unlink_name(const char *kind, long i) {
    char name[64];
    snprintf(name, sizeof name, "names/%s %ld", kind, i);
    if (unlink(name)) printf("unlink %s: %s\n", name, errno_name(errno));
}

/* Names come, and half of them go, as long as the directory is read. */
static void *change(void *arg) {
    long gone = 0;
    for (long made = 0; !is_read && made < count; made++) {
        char name[64];
        snprintf(name, sizeof name, "names/comes %ld", made);
        if (link("target0", name)) {
            /* The target's links are used up: no more of them. */
            if (errno != EMLINK) printf("link %s: %s\n", name, errno_name(errno));
            break;
        }
        if (made % 2) unlink_name("comes", gone++);
    }
    return arg;
}

/* Calls `each` for every entry until it answers 0. */
static void list(int d, long size, int (*each)(struct entry *)) {
    static char buffer[1 << 16];
    for (;;) {
        long n = syscall(SYS_getdents64, d, buffer, size);
        if (n <= 0) {
            if (n) printf("getdents64: %s\n", errno_name(errno));
            return;
        }
        for (long at = 0; at < n;) {
            struct entry *e = (struct entry *)(buffer + at);
            if (!each(e)) return;
            at += e->length;
        }
    }
}

static unsigned char *times;
static long dots, strangers;

static int note(struct entry *e) {
    long i;
    if (sscanf(e->name, "stays %ld", &i) == 1 && i >= 0 && i < count)
        times[i]++;
    else if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
        dots++;
    else if (strncmp(e->name, "comes ", 6))
        strangers++;
    return 1;
}

static void once(const char *when) {
    long missing = 0, twice = 0;
    for (long i = 0; i < count; i++) {
        missing += times[i] == 0;
        twice += times[i] > 1;
    }
    printf("%s: %ld missing, %ld seen twice, %ld of . and .., %ld strangers\n", when, missing, twice, dots,
           strangers);
    memset(times, 0, count);
    dots = strangers = 0;
}

/* What follows after the entry number `skipped`. */
static long skipped;
static int64_t cookie;
static char next[256];
static int remember(struct entry *e) {
    if (skipped-- > 0) {
        cookie = e->cookie;
        return 1;
    }
    snprintf(next, sizeof next, "%s", e->name);
    return 0;
}

static long lost;
static int compare(struct entry *e) {
    lost += strcmp(e->name, next) != 0;
    return 0;
}

static long removed;
static int erase(struct entry *e) {
    if (!strcmp(e->name, ".") || !strcmp(e->name, "..")) return 1;
    char name[300];
    snprintf(name, sizeof name, "names/%s", e->name);
    removed += unlink(name) == 0;
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3 || chdir(argv[1])) return 2;
    count = atol(argv[2]);
    times = calloc(count, 1);
    TRY(mkdir("names", 0755));
    for (long i = 0; i < count; i++) link_name("stays", i);
    int d = open("names", O_RDONLY | O_DIRECTORY);
    list(d, 1 << 16, note);
    once("alone");
    for (int round = 0; round < 2; round++) {
        is_read = 0;
        pthread_t t = start(change, NULL);
        VAL(lseek(d, 0, SEEK_SET));
        list(d, round ? 1 << 12 : 1 << 16, note);
        is_read = 1;
        pthread_join(t, NULL);
        once("while names come and go");
        /* The next round begins with none of them. */
        DIR *all = opendir("names");
        for (struct dirent *e; (e = readdir(all));) {
            long i;
            if (sscanf(e->d_name, "comes %ld", &i) == 1) unlink_name("comes", i);
        }
        closedir(all);
    }
    for (int i = 0; i < 8; i++) {
        VAL(lseek(d, 0, SEEK_SET) != 0);
        skipped = 1 + (count - 1) * i / 8;
        list(d, 1 << 14, remember);
        lseek(d, cookie, SEEK_SET);
        list(d, 1 << 14, compare);
    }
    VAL(lost);
    lseek(d, 0, SEEK_SET);
    list(d, 1 << 12, erase);
    VAL(removed == count);
    close(d);
    TRY(rmdir("names"));
    for (long i = 0; i < count; i += LINKS_MAX) {
        char target[32];
        snprintf(target, sizeof target, "target%ld", i / LINKS_MAX);
        unlink(target);
    }
    return 0;
}
