/* A load whose acknowledged writes must survive a power cut.
 * load DIRECTORY COUNT: appends COUNT records to a log; "ack N" is printed when record N is safe. Every
 * eighth record a file is also replaced (write, fsync, rename, fsync of the directory) before its
 * acknowledgement. check DIRECTORY...: prints "DIRECTORY RECORDS REPLACED": the records that are whole, and
 * the last replacement (0: none). */
#include "t.h"

#define WORDS 40
/* Records in a file that is replaced: large enough for its blocks to be discarded afterwards. */
#define COPIES 250

struct record {
    uint64_t number;
    uint64_t words[WORDS];
};

static void fill(struct record *r, uint64_t number) {
    r->number = number;
    for (uint64_t i = 0; i < WORDS; i++) r->words[i] = (number + 1) * 0x9e3779b97f4a7c15 ^ i;
}

static int is_whole(const struct record *r, uint64_t number) {
    struct record expected;
    fill(&expected, number);
    return !memcmp(r, &expected, sizeof expected);
}

static void must(int ok, const char *what) {
    if (ok) return;
    printf("%s: %s\n", what, errno_name(errno));
    exit(1);
}

static void replace(uint64_t number, int directory) {
    static struct record r[COPIES];
    for (int i = 0; i < COPIES; i++) fill(r + i, number);
    int f = open("current.new", O_CREAT | O_TRUNC | O_WRONLY, 0644);
    must(f >= 0 && write(f, r, sizeof r) == sizeof r && !fsync(f) && !close(f), "current.new");
    must(!rename("current.new", "current") && !fsync(directory), "rename");
}

static void load(uint64_t count) {
    int log = open("log", O_CREAT | O_WRONLY | O_APPEND, 0644), directory = open(".", O_RDONLY | O_DIRECTORY);
    must(log >= 0 && directory >= 0 && !fsync(directory), "open");
    for (uint64_t number = 1; number <= count; number++) {
        struct record r;
        fill(&r, number);
        must(write(log, &r, sizeof r) == sizeof r && !fdatasync(log), "append");
        if (number % 8 == 0) replace(number, directory);
        printf("ack %lu\n", number);
    }
}

static void check(const char *path) {
    must(!chdir(path), path);
    struct record r;
    uint64_t records = 0, replaced = 0;
    int f = open("log", O_RDONLY);
    if (f >= 0) {
        while (read(f, &r, sizeof r) == sizeof r && is_whole(&r, records + 1)) records++;
        close(f);
    }
    f = open("current", O_RDONLY);
    if (f >= 0) {
        for (int i = 0; i < COPIES; i++) {
            must(read(f, &r, sizeof r) == sizeof r && is_whole(&r, i ? replaced : r.number), "current");
            replaced = r.number;
        }
        close(f);
    }
    printf("%s %lu %lu\n", path, records, replaced);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    if (!strcmp(argv[1], "check")) {
        for (int i = 2; i < argc; i++) check(argv[i]);
    } else {
        must(argc == 4 && !chdir(argv[2]), argv[2]);
        load(strtoul(argv[3], 0, 10));
    }
    return 0;
}
