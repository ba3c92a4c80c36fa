/* Directories: getdents in full and in small pieces, types, rewinding, removal while reading, deep trees. */
#include "t.h"
#include <dirent.h>
static int cmp(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void list(const char *p) {
    DIR *d = opendir(p);
    char *n[64];
    int k = 0;
    struct dirent *e;
    while ((e = readdir(d)) && k < 64) {
        char b[300];
        snprintf(b, sizeof b, "%s/%d", e->d_name, e->d_type);
        n[k++] = strdup(b);
    }
    closedir(d);
    qsort(n, (size_t)k, sizeof *n, cmp);
    printf("%s:", p);
    for (int i = 0; i < k; i++) printf(" %s", n[i]);
    printf("\n");
}
static int count(const char *p) {
    DIR *d = opendir(p);
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}
int main(void) {
    fresh_dir();
    mkdir("d", 0700);
    close(open("f", O_CREAT | O_RDWR, 0600));
    symlink("f", "l");
    mkfifo("p", 0600);
    list(".");
    for (int i = 0; i < 1000; i++) {
        char n[32];
        sprintf(n, "d/file%d", i);
        close(open(n, O_CREAT | O_RDWR, 0600));
    }
    VAL(count("d"));
    int fd = open("d", O_RDONLY | O_DIRECTORY), total = 0;
    char buf[256];
    long n;
    while ((n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
        for (long o = 0; o < n; total++) o += *(unsigned short *)(buf + o + 16);
    VAL(n);
    VAL(total);
    TRY(syscall(SYS_getdents64, fd, buf, sizeof buf));
    VAL(lseek(fd, 0, SEEK_SET));
    TRY(syscall(SYS_getdents64, fd, buf, 4));
    IS(syscall(SYS_getdents64, fd, buf, sizeof buf) > 0);
    int f = open("f", O_RDONLY);
    TRY(syscall(SYS_getdents64, f, buf, sizeof buf));
    TRY(syscall(SYS_getdents64, fd, (void *)8, 256));
    TRY(opendir("f") ? 0 : -1);
    TRY(opendir("missing") ? 0 : -1);
    DIR *d = opendir("d");
    struct dirent *e;
    int removed = 0;
    char path[300];
    while ((e = readdir(d)))
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "d/%s", e->d_name);
            removed += !unlink(path);
        }
    rewinddir(d);
    int left = 0;
    while (readdir(d)) left++;
    closedir(d);
    VAL(removed);
    VAL(left);
    TRY(rmdir("d"));
    struct stat a, b;
    stat(".", &a);
    stat("..", &b);
    IS(a.st_ino != b.st_ino);
    chdir("..");
    stat(".", &a);
    IS(a.st_ino == b.st_ino);
    char deep[2100] = "/tmp/deep";
    mkdir(deep, 0700);
    for (int i = 0; i < 200; i++) {
        strcat(deep, "/dir");
        if (mkdir(deep, 0700)) {
            perror("mkdir");
            break;
        }
    }
    strcat(deep, "/leaf");
    TRY(close(open(deep, O_CREAT | O_RDWR, 0600)));
    TRY(stat(deep, &a));
    unlink(deep);
    for (int i = 0; i <= 200; i++) {
        *strrchr(deep, '/') = 0;
        if (rmdir(deep)) {
            perror("rmdir");
            break;
        }
    }
    return 0;
}
