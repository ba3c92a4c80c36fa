/* Advisory locks: changing an flock, record locks of open descriptions that touch, overlap and are cut, and
 * who is told to be in the way. */
#include "t.h"
#include <sys/file.h>
static void held(int fd, short kind, long start, long len) {
    struct flock l = {.l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    if (fcntl(fd, F_OFD_GETLK, &l)) {
        printf("F_OFD_GETLK: %s\n", errno_name(errno));
        return;
    }
    if (l.l_type == F_UNLCK)
        puts("nobody");
    else
        printf("%s from %ld, %ld bytes\n", l.l_type == F_RDLCK ? "shared" : "exclusive", (long)l.l_start,
               (long)l.l_len);
}
static int set(int fd, short kind, long start, long len) {
    struct flock l = {.l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, F_OFD_SETLK, &l);
}
int main(void) {
    int a = open("locked", O_CREAT | O_RDWR, 0600), b = open("locked", O_RDWR), c = open("locked", O_RDWR);
    TRY(flock(a, LOCK_SH));
    TRY(flock(b, LOCK_SH));
    TRY(flock(a, LOCK_EX | LOCK_NB));
    /* The attempt cost a what it had. */
    TRY(flock(b, LOCK_EX | LOCK_NB));
    TRY(flock(a, LOCK_SH | LOCK_NB));
    TRY(flock(b, LOCK_EX | LOCK_NB));
    TRY(flock(b, LOCK_SH | LOCK_NB));
    TRY(flock(a, LOCK_SH | LOCK_NB));
    TRY(flock(a, LOCK_UN));
    TRY(flock(b, LOCK_UN));

    TRY(set(b, F_RDLCK, 100, 10));
    TRY(set(a, F_RDLCK, 0, 10));
    held(c, F_WRLCK, 0, 0);
    TRY(set(b, F_RDLCK, 110, 10));
    held(c, F_WRLCK, 0, 0);
    TRY(set(b, F_RDLCK, 95, 10));
    held(c, F_WRLCK, 0, 0);
    TRY(set(b, F_WRLCK, 105, 5));
    held(c, F_RDLCK, 0, 0);
    held(c, F_WRLCK, 0, 0);
    held(c, F_WRLCK, 110, 0);
    TRY(set(b, F_UNLCK, 96, 2));
    held(c, F_WRLCK, 0, 0);
    held(c, F_WRLCK, 96, 0);
    TRY(set(a, F_WRLCK, 96, 3));
    TRY(set(a, F_WRLCK, 96, 2));
    held(c, F_WRLCK, 96, 2);
    TRY(set(b, F_UNLCK, 0, 0));
    held(c, F_WRLCK, 0, 0);
    TRY(set(b, F_RDLCK, 50, 0));
    TRY(set(b, F_RDLCK, 40, 0));
    held(c, F_WRLCK, 30, 20);
    TRY(set(a, F_UNLCK, 0, 0));
    TRY(set(a, F_RDLCK, 45, 1));
    held(c, F_WRLCK, 45, 1);
    close(b);
    held(c, F_WRLCK, 0, 0);
    close(a);
    held(c, F_WRLCK, 0, 0);
    return 0;
}
