/* Files on a volume: makes them (write), or looks at what an earlier machine has left (check), or both (all).
 * ARGS: MODE DIRECTORY; everything happens in DIRECTORY. */
#include "t.h"
#include <dirent.h>
#include <sys/statvfs.h>

static char bytes[8192];

static void contents(void) {
    int f = open("dir/file", O_CREAT | O_RDWR | O_EXCL, 0644);
    VAL(f >= 0);
    memset(bytes, 'x', sizeof bytes);
    VAL(write(f, bytes, 8192));
    VAL(pwrite(f, "hello", 5, 100000));
    TRY(fsync(f));
    VAL(lseek(f, 0, SEEK_END));
    VAL(lseek(f, 9000, SEEK_HOLE));
    VAL(lseek(f, 20000, SEEK_DATA));
    char *m = mmap(0, 200000, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    VAL(m[100000]);
    m[5] = 'Y';
    m[50000] = 'Z';
    TRY(msync(m, 100000, MS_SYNC));
    m[6] = 'Q';
    TRY(fdatasync(f));
    VAL(pread(f, bytes, 10, 0));
    printf("%.10s\n", bytes);
    VAL(pread(f, bytes, 1, 50000));
    VAL(bytes[0]);
    TRY(ftruncate(f, 5000));
    VAL(pread(f, bytes, 8192, 0));
    TRY(ftruncate(f, 9000));
    VAL(pread(f, bytes, 8192, 4096));
    VAL(bytes[5000 - 4096]);
    TRY(fallocate(f, 0, 0, 1 << 20));
    TRY(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    VAL(pread(f, bytes, 3, 0));
    VAL(bytes[0]);
    close(f);
}

static void names(void) {
    TRY(link("dir/file", "hard"));
    TRY(symlink("dir/moved", "soft"));
    TRY(rename("hard", "dir/moved"));
    TRY(unlink("dir/file"));
    TRY(rmdir("dir"));
    int k = open("gone", O_CREAT | O_RDWR, 0600);
    TRY(unlink("gone"));
    VAL(write(k, bytes, 100));
    VAL(pread(k, bytes, 100, 0));
    TRY(close(k));
    for (int i = 0; i < 2000; i++) {
        char n[50];
        sprintf(n, "dir/n%d", i);
        int q = open(n, O_CREAT | O_WRONLY, 0600);
        if (q < 0) {
            printf("%s: %s\n", n, errno_name(errno));
            break;
        }
        write(q, n, strlen(n));
        close(q);
    }
    for (int i = 0; i < 2000; i += 2) {
        char n[50];
        sprintf(n, "dir/n%d", i);
        unlink(n);
    }
    int t = open(".", O_TMPFILE | O_RDWR, 0600);
    VAL(write(t, "tmp", 3));
    int d = open("dir", O_RDONLY | O_DIRECTORY);
    TRY(fsync(d));
}

static void check(void) {
    struct stat st;
    TRY(stat("soft", &st));
    printf("%ld %ld %o\n", (long)st.st_size, (long)st.st_nlink, st.st_mode);
    TRY(stat("dir/file", &st));
    int f = open("dir/moved", O_RDONLY);
    VAL(pread(f, bytes, 8192, 0));
    long sum = 0;
    for (int i = 0; i < 8192; i++) sum = sum * 31 + bytes[i];
    VAL(sum);
    int names = 0, right = 0;
    DIR *d = opendir("dir");
    for (struct dirent *e; (e = readdir(d));) {
        char n[300], back[300] = "";
        names++;
        snprintf(n, sizeof n, "dir/%s", e->d_name);
        int q = e->d_name[0] == 'n' ? open(n, O_RDONLY) : -1;
        if (q < 0) continue;
        read(q, back, sizeof back);
        close(q);
        right += !strcmp(n, back);
    }
    printf("%d names, %d right\n", names, right);
}

int main(int argc, char **argv) {
    if (argc < 3 || chdir(argv[2])) return 2;
    if (strcmp(argv[1], "check")) {
        TRY(mkdir("dir", 0755));
        contents();
        names();
    }
    if (strcmp(argv[1], "write")) check();
    return 0;
}
