/* Contents: sparse files, truncation, positions, vectors, holes, allocation, sendfile, copy_file_range. */
#include "t.h"
#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
static long size(int fd) {
    struct stat s;
    fstat(fd, &s);
    return s.st_size;
}
static long blocks(int fd) {
    struct stat s;
    fstat(fd, &s);
    return s.st_blocks;
}
int main(void) {
    fresh_dir();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    char b[64] = "", big[PAGE * 2];
    VAL(pwrite(fd, "end", 3, 1 << 20));
    VAL(size(fd));
    IS(blocks(fd) < 64);
    VAL(pread(fd, b, 4, 100));
    VAL(b[0] + b[3]);
    VAL(pread(fd, b, 10, (1 << 20) + 1));
    VAL(pread(fd, b, 10, 1 << 21));
    VAL(lseek(fd, 0, SEEK_HOLE));
    VAL(lseek(fd, 0, SEEK_DATA));
    VAL(lseek(fd, 1 << 20, SEEK_HOLE));
    VAL(lseek(fd, 1 << 21, SEEK_DATA));
    VAL(lseek(fd, -1, SEEK_SET));
    VAL(lseek(fd, -5, SEEK_END));
    VAL(lseek(fd, 1L << 40, SEEK_SET));
    VAL(read(fd, b, 1));
    VAL(lseek(fd, 0, 9));
    VAL(lseek(fd, 3, SEEK_SET));
    VAL(lseek(fd, -4, SEEK_CUR));
    TRY(ftruncate(fd, 10));
    VAL(size(fd));
    TRY(ftruncate(fd, 100));
    VAL(pread(fd, big, 200, 0));
    TRY(ftruncate(fd, -1));
    TRY(truncate("f", 5));
    VAL(size(fd));
    TRY(truncate("missing", 5));
    TRY(truncate(".", 5));
    memset(big, 'x', sizeof big);
    pwrite(fd, big, sizeof big, 0);
    TRY(ftruncate(fd, 5000));
    TRY(ftruncate(fd, 8192));
    pread(fd, big, 8192, 0);
    int dirt = 0;
    for (int i = 5000; i < 8192; i++) dirt += big[i] != 0;
    VAL(dirt);
    VAL(big[4999]);
    TRY(ftruncate(fd, 0));
    lseek(fd, 0, SEEK_SET);
    struct iovec v[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
    VAL(writev(fd, v, 3));
    char x[3], y[8] = "";
    struct iovec r[2] = {{x, 3}, {y, 7}};
    VAL(preadv(fd, r, 2, 0));
    printf("%.3s|%s\n", x, y);
    VAL(pwritev(fd, v, 1, 2));
    VAL(readv(fd, r, 0));
    VAL(readv(fd, r, -1));
    VAL(writev(fd, v, 1025));
    r[0].iov_base = (void *)8;
    VAL(preadv(fd, r, 2, 0));
    TRY(fallocate(fd, 0, 0, 65536));
    VAL(size(fd));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 65536, 65536));
    VAL(size(fd));
    pwrite(fd, big, 4096, 8192);
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096));
    pread(fd, b, 1, 8192);
    VAL(b[0]);
    TRY(fallocate(fd, 0x80, 0, 10));
    TRYP(posix_fallocate(fd, 0, 131072));
    VAL(size(fd));
    int g = open("g", O_RDWR | O_CREAT, 0600);
    pwrite(fd, "sendfile data", 13, 0);
    off_t off = 4;
    VAL(sendfile(g, fd, &off, 9));
    VAL(off);
    lseek(fd, 0, SEEK_SET);
    VAL(sendfile(g, fd, NULL, 4));
    VAL(lseek(fd, 0, SEEK_CUR));
    pread(g, b, 13, 0);
    b[13] = 0;
    puts(b);
    loff_t i0 = 0, o0 = 100;
    VAL(copy_file_range(fd, &i0, g, &o0, 8, 0));
    VAL(i0);
    VAL(size(g));
    pread(g, b, 8, 100);
    b[8] = 0;
    puts(b);
    VAL(copy_file_range(fd, &i0, g, &o0, 8, 1));
    TRY(fsync(fd));
    TRY(fdatasync(fd));
    TRY(fsync(99));
    TRY(syscall(SYS_fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    TRY(syscall(SYS_fadvise64, fd, 0, 0, 99));
    TRY(syscall(SYS_sync));
    VAL(read(fd, b, 0));
    VAL(write(fd, b, 0));
    TRY(read(99, b, 0));
    VAL(pread(fd, b, 1, -1));
    TRY(pread(99, b, 1, 0));
    int n = open("/dev/null", O_RDWR), z = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR),
        ur = open("/dev/urandom", O_RDONLY);
    VAL(read(n, b, 5));
    VAL(write(n, b, 5));
    b[0] = 9;
    VAL(read(z, b, 5));
    VAL(b[0]);
    VAL(write(z, b, 5));
    TRY(write(full, b, 5));
    VAL(read(full, b, 5));
    VAL(read(ur, b, 32));
    VAL(lseek(n, 5, SEEK_SET));
    unlink("f");
    unlink("g");
    remove_dir();
    return 0;
}
