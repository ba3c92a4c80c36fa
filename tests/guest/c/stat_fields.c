/* What stat, statx and statfs say; chmod, umask, times, owners. */
#include "t.h"
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
static void show(const char *p) {
    struct stat s;
    if (lstat(p, &s)) {
        printf("%s: %s\n", p, errno_name(errno));
        return;
    }
    printf("%s: mode %o links %ld uid %d gid %d size %ld\n", p, s.st_mode,
           S_ISDIR(s.st_mode) ? 0L : (long)s.st_nlink, s.st_uid, s.st_gid,
           S_ISDIR(s.st_mode) ? 0L : (long)s.st_size);
}
int main(void) {
    fresh_dir();
    umask(022);
    int fd = open("f", O_RDWR | O_CREAT, 0666);
    write(fd, "12345", 5);
    mkdir("d", 0777);
    symlink("f", "l");
    mkfifo("p", 0666);
    show("f");
    show("d");
    show("l");
    show("p");
    struct stat a, b, c;
    stat("l", &a);
    fstat(fd, &b);
    IS(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    VAL(a.st_blksize);
    VAL(a.st_blocks);
    IS(a.st_ino != 0);
    TRY(chmod("f", 0451));
    show("f");
    TRY(fchmod(fd, 06755));
    show("f");
    TRY(fchmodat(AT_FDCWD, "missing", 0, 0));
    TRY(chown("f", 12, 34));
    show("f");
    TRY(lchown("l", 1, 2));
    show("l");
    TRY(fchown(fd, 0, -1));
    show("f");
    VAL(umask(0777));
    VAL(umask(022));
    struct timespec t[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    TRY(utimensat(AT_FDCWD, "f", t, 0));
    stat("f", &a);
    VAL(a.st_atime);
    VAL(a.st_mtime);
    VAL(a.st_mtim.tv_nsec);
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_nsec = UTIME_NOW;
    TRY(futimens(fd, t));
    stat("f", &b);
    IS(b.st_atime == a.st_atime);
    IS(b.st_mtime > 1700000000);
    t[0].tv_nsec = 2000000000;
    TRY(futimens(fd, t));
    TRY(utimensat(AT_FDCWD, "missing", NULL, 0));
    TRY(utimensat(AT_FDCWD, "l", NULL, AT_SYMLINK_NOFOLLOW));
    stat("f", &a);
    sleep_ms(30);
    pwrite(fd, "x", 1, 0);
    stat("f", &b);
    IS(b.st_mtim.tv_sec > a.st_mtim.tv_sec || b.st_mtim.tv_nsec > a.st_mtim.tv_nsec);
    stat("d", &a);
    sleep_ms(30);
    close(open("d/x", O_CREAT | O_RDWR, 0600));
    stat("d", &c);
    IS(c.st_mtim.tv_sec > a.st_mtim.tv_sec || c.st_mtim.tv_nsec > a.st_mtim.tv_nsec);
    struct statx x;
    TRY(statx(AT_FDCWD, "l", 0, STATX_ALL, &x));
    VAL(x.stx_size);
    printf("%o\n", x.stx_mode);
    VAL((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    VAL((x.stx_mask & STATX_BTIME) != 0);
    IS(x.stx_btime.tv_sec > 1700000000);
    TRY(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MODE, &x));
    printf("%o\n", x.stx_mode);
    TRY(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    TRY(statx(fd, "", 0, STATX_SIZE, &x));
    TRY(statx(AT_FDCWD, "f", 0, 0x80000000, &x));
    TRY(statx(AT_FDCWD, "f", 0x8000, 0, &x));
    TRY(fstatat(fd, "", &a, AT_EMPTY_PATH));
    TRY(fstatat(AT_FDCWD, "f/x", &a, 0));
    TRY(fstatat(AT_FDCWD, "f", &a, 0x8000));
    TRY(stat("", &a));
    TRY(syscall(SYS_stat, "f", &a));
    TRY(syscall(SYS_lstat, "l", &a));
    TRY(syscall(SYS_fstat, fd, &a));
    TRY(syscall(SYS_fstat, 99, &a));
    stat("/dev/null", &a);
    IS(S_ISCHR(a.st_mode));
    VAL(major(a.st_rdev));
    VAL(minor(a.st_rdev));
    stat("/tmp", &a);
    printf("%o\n", a.st_mode);
    stat("/dev/shm", &a);
    printf("%o\n", a.st_mode);
    stat("/proc/self/maps", &a);
    IS(S_ISREG(a.st_mode));
    VAL(a.st_size);
    lstat("/proc/self/exe", &a);
    IS(S_ISLNK(a.st_mode));
    int fds[2];
    pipe(fds);
    fstat(fds[0], &a);
    IS(S_ISFIFO(a.st_mode));
    struct statfs f;
    TRY(statfs("/proc", &f));
    printf("%lx\n", f.f_type);
    TRY(statfs("/dev/shm", &f));
    printf("%lx %ld %ld\n", f.f_type, (long)f.f_bsize, (long)f.f_namelen);
    TRY(statfs("/missing", &f));
    TRY(fstatfs(99, &f));
    IS(f.f_blocks > 0 && f.f_bfree <= f.f_blocks);
    struct statvfs v;
    TRY(statvfs("/tmp", &v));
    IS(v.f_bavail > 0);
    unlink("f");
    unlink("d/x");
    rmdir("d");
    unlink("l");
    unlink("p");
    remove_dir();
    return 0;
}
