/* memfd: three views of the same pages, punching holes, blocks, seals, statfs, the name in /proc. */
#include "t.h"
#include <sys/vfs.h>
#include <linux/falloc.h>
static long blocks(int fd) {
    struct stat s;
    fstat(fd, &s);
    return s.st_blocks;
}
int main(void) {
    int fd = memfd_create("java_heap", MFD_CLOEXEC);
    VAL(fcntl(fd, F_GETFD));
    TRY(ftruncate(fd, 64L << 20));
    struct stat st;
    fstat(fd, &st);
    VAL(st.st_size);
    IS(S_ISREG(st.st_mode));
    VAL(blocks(fd));
    VAL(st.st_nlink);
    struct statfs f;
    TRY(fstatfs(fd, &f));
    printf("%#lx\n", (long)f.f_type);
    char *v[3];
    for (int i = 0; i < 3; i++) {
        v[i] = mmap((void *)(0x40000000000L << i), 4L << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                    fd, 8L << 20);
        IS(v[i] == (void *)(0x40000000000L << i));
    }
    v[0][5] = 1;
    v[1][6] = 2;
    v[2][7] = 3;
    printf("%d %d %d\n", v[2][5], v[0][6], v[1][7]);
    VAL(fallocate(fd, 0, 8L << 20, 2L << 20));
    VAL(blocks(fd));
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8L << 20, 2L << 20));
    VAL(blocks(fd));
    printf("punched: %d %d %d\n", v[0][5], v[1][6], v[2][7]);
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE));
    TRY(fallocate(fd, 0, 0, 0));
    TRY(fallocate(fd, 0, -1, PAGE));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 64L << 20, PAGE));
    fstat(fd, &st);
    VAL(st.st_size);
    TRY(fallocate(fd, 0, 64L << 20, PAGE));
    fstat(fd, &st);
    VAL(st.st_size);
    char link[64], name[128] = "";
    sprintf(link, "/proc/self/fd/%d", fd);
    VAL(readlink(link, name, sizeof name - 1));
    puts(name);
    VAL(pwrite(fd, "abc", 3, 100));
    char b[4] = "";
    VAL(pread(fd, b, 3, 100));
    puts(b);
    VAL(lseek(fd, 0, SEEK_DATA));
    VAL(lseek(fd, PAGE, SEEK_HOLE));
    int s = memfd_create("sealed", MFD_ALLOW_SEALING);
    write(s, "x", 1);
    VAL(fcntl(fd, F_GET_SEALS));
    VAL(fcntl(s, F_GET_SEALS));
    TRY(fcntl(s, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
    TRY(write(s, "y", 1));
    TRY(ftruncate(s, 100));
    TRY(fallocate(s, FALLOC_FL_ZERO_RANGE, 0, 1));
    TRY(fallocate(s, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 1));
    TRY(fallocate(s, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
    int w = memfd_create("written", MFD_ALLOW_SEALING);
    ftruncate(w, PAGE);
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0);
    TRY(fcntl(w, F_ADD_SEALS, F_SEAL_WRITE));
    TRY(mprotect(shared, PAGE, PROT_READ));
    TRY(fcntl(w, F_ADD_SEALS, F_SEAL_WRITE));
    TRY(fcntl(w, F_ADD_SEALS, F_SEAL_GROW));
    VAL(fcntl(w, F_GET_SEALS));
    munmap(shared, PAGE);
    TRY(fcntl(w, F_ADD_SEALS, F_SEAL_WRITE));
    TRY(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0));
    TRY(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, w, 0));
    shared = (void *)TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w, 0));
    TRY(mprotect(shared, PAGE, PROT_READ | PROT_WRITE));
    TRY(memfd_create("x", 0x1000));
    char longname[300];
    memset(longname, 'n', 299);
    longname[299] = 0;
    TRY(memfd_create(longname, 0));
    TRY(memfd_create((char *)8, 0));
    return 0;
}
