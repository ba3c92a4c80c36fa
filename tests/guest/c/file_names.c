/* rename, link, symlink, readlink, unlink of an open file, rmdir, mkdir: results and refusals. */
#include "t.h"
static void put(const char *p, const char *s) {
    int fd = open(p, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (write(fd, s, strlen(s)) < 0) perror(p);
    close(fd);
}
static void get(const char *p) {
    char b[64] = "";
    int fd = open(p, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", p, errno_name(errno));
        return;
    }
    if (read(fd, b, 63) < 0) printf("%s ", errno_name(errno));
    close(fd);
    printf("%s: %s\n", p, b);
}
static void links(const char *p) {
    struct stat s;
    if (lstat(p, &s))
        printf("%s: %s\n", p, errno_name(errno));
    else
        printf("%s: links %ld\n", p, (long)s.st_nlink);
}
int main(void) {
    fresh_dir();
    put("a", "AAA");
    put("b", "BBB");
    mkdir("d", 0700);
    mkdir("d/sub", 0700);
    mkdir("e", 0700);
    put("e/file", "in e");
    TRY(rename("a", "b"));
    get("a");
    get("b");
    TRY(rename("b", "b"));
    TRY(rename("missing", "x"));
    TRY(rename("b", "d"));
    TRY(rename("d", "b"));
    TRY(rename("d", "d/sub/x"));
    TRY(rename("d", "e"));
    TRY(rename("b", "missing/x"));
    TRY(rename("b", "nodir/"));
    TRY(rename("b", "d/moved"));
    get("d/moved");
    TRY(rename("d", "d2"));
    get("d2/moved");
    mkdir("empty", 0700);
    TRY(rename("d2", "empty"));
    get("empty/moved");
    links("empty");
    links("d2");
    TRY(renameat2(AT_FDCWD, "empty/moved", AT_FDCWD, "e/file", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "empty/moved", AT_FDCWD, "e/file", RENAME_EXCHANGE));
    get("empty/moved");
    get("e/file");
    TRY(renameat2(AT_FDCWD, "e", AT_FDCWD, "x", 0x80));
    put("h", "hard");
    TRY(link("h", "h2"));
    links("h");
    put("h2", "both");
    get("h");
    TRY(link("h", "h2"));
    TRY(link("missing", "y"));
    TRY(link("e", "y"));
    TRY(unlink("h"));
    links("h2");
    links("h");
    TRY(symlink("h2", "s"));
    TRY(symlink("x", "s"));
    TRY(symlink("", "t"));
    get("s");
    links("s");
    char b[8];
    memset(b, '#', 8);
    VAL(readlink("s", b, 8));
    printf("%.3s\n", b);
    VAL(readlink("s", b, 1));
    TRY(readlink("h2", b, 8));
    TRY(readlink("missing", b, 8));
    TRY(readlink("s", b, 0));
    TRY(readlink("h2/x", b, 8));
    TRY(link("s", "s2"));
    links("s");
    TRY(linkat(AT_FDCWD, "s", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW));
    links("h2");
    TRY(unlink("e"));
    TRY(unlink("missing"));
    TRY(unlink("h2/x"));
    TRY(rmdir("e"));
    TRY(rmdir("h2"));
    TRY(rmdir("missing"));
    TRY(rmdir("e/."));
    TRY(rmdir("e/.."));
    TRY(mkdir("e", 0700));
    TRY(mkdir("s", 0700));
    TRY(mkdir("missing/x", 0700));
    TRY(mkdir("new/", 0700));
    TRY(rmdir("new/"));
    int fd = open("h2", O_RDWR);
    unlink("h2");
    unlink("s3");
    struct stat st;
    fstat(fd, &st);
    VAL(st.st_nlink);
    VAL(write(fd, "still", 5));
    char r[6] = "";
    VAL(pread(fd, r, 5, 0));
    puts(r);
    get("h2");
    get("s");
    put("h2", "new one");
    VAL(pread(fd, r, 5, 0));
    puts(r);
    char link[64], target[256] = "";
    sprintf(link, "/proc/self/fd/%d", fd);
    long n = readlink(link, target, 255);
    IS(n > 10 && !strcmp(target + n - 13, "/h2 (deleted)"));
    close(fd);
    int dfd = open("e", O_RDONLY);
    unlink("e/file");
    TRY(rmdir("e"));
    TRY(openat(dfd, "x", O_CREAT | O_RDWR, 0600));
    fstat(dfd, &st);
    VAL(st.st_nlink);
    mkdir("cwd", 0700);
    chdir("cwd");
    rmdir("../cwd");
    TRY(getcwd(target, 256));
    TRY(open("x", O_CREAT | O_RDWR, 0600));
    TRY(chdir(".."));
    TRY(mkdir("/", 0700));
    TRY(mknod("fifo", S_IFIFO | 0600, 0));
    lstat("fifo", &st);
    VAL(S_ISFIFO(st.st_mode));
    return 0;
}
