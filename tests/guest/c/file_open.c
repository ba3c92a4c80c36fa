/* open(2): creation, exclusive, truncation, append, directories, links, O_TMPFILE, O_PATH; each refusal's errno. */
#include "t.h"
static long size(const char *p) { struct stat s; return stat(p, &s) ? -1 : s.st_size; }
int main(void) {
    fresh_dir();
    umask(027);
    int a = TRY(open("f", O_RDWR | O_CREAT | O_EXCL, 0666)) >= 0 ? 0 : -1; (void)a;
    struct stat st; stat("f", &st); printf("%o\n", st.st_mode);
    TRY(open("f", O_RDWR | O_CREAT | O_EXCL, 0666));
    TRY(open("missing", O_RDONLY)); TRY(open("missing/x", O_RDWR | O_CREAT, 0600)); TRY(open("f/x", O_RDONLY)); TRY(open("f/", O_RDONLY)); TRY(open("", O_RDONLY)); TRY(open("new/", O_CREAT | O_RDWR, 0600));
    mkdir("d", 0777); stat("d", &st); printf("%o\n", st.st_mode);
    TRY(open("d", O_RDWR)); TRY(open("d", O_WRONLY)); TRY(open("d", O_RDONLY)); TRY(open("d", O_RDONLY | O_CREAT, 0600)); TRY(open("f", O_RDONLY | O_DIRECTORY)); TRY(open("d", O_RDONLY | O_DIRECTORY));
    symlink("f", "link"); symlink("nowhere", "dangling"); symlink("loop2", "loop1"); symlink("loop1", "loop2"); symlink("d", "dlink");
    TRY(open("link", O_RDONLY | O_NOFOLLOW)); TRY(open("link", O_RDONLY)); TRY(open("dangling", O_RDONLY)); TRY(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600)); TRY(open("loop1", O_RDONLY)); TRY(open("loop1/x", O_RDONLY)); TRY(open("dlink", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)); TRY(open("dlink/", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(open("dangling", O_CREAT | O_RDWR, 0600)); VAL(size("nowhere"));
    char name[300]; memset(name, 'n', 299); name[255] = 0; TRY(open(name, O_CREAT | O_RDWR, 0600)); unlink(name); name[255] = 'n'; name[256] = 0; TRY(open(name, O_CREAT | O_RDWR, 0600)); TRY(mkdir(name, 0700));
    char *lng = malloc(5000); memset(lng, '/', 4999); lng[4999] = 0; TRY(open(lng, O_RDONLY)); memset(lng, 'a', 4095); for (int i = 0; i < 4095; i += 2) { lng[i] = '.'; lng[i + 1] = '/'; } lng[4095] = 0; TRY(open(lng, O_RDONLY | O_DIRECTORY));
    int fd = open("f", O_WRONLY); VAL(write(fd, "0123456789", 10)); close(fd);
    fd = open("f", O_RDWR | O_APPEND); VAL(lseek(fd, 0, SEEK_SET)); VAL(write(fd, "ab", 2)); VAL(lseek(fd, 0, SEEK_CUR)); VAL(pwrite(fd, "cd", 2, 0)); VAL(size("f"));
    VAL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)); TRY(fcntl(fd, F_SETFL, 0)); VAL(pwrite(fd, "XY", 2, 0)); VAL(size("f")); char b[16] = ""; VAL(pread(fd, b, 15, 0)); puts(b); close(fd);
    fd = open("f", O_RDONLY | O_CLOEXEC); TRY(write(fd, "x", 1)); TRY(ftruncate(fd, 0)); VAL(fcntl(fd, F_GETFD)); close(fd);
    fd = open("f", O_WRONLY | O_TRUNC); VAL(size("f")); TRY(read(fd, b, 1)); close(fd);
    fd = TRY(open(".", O_TMPFILE | O_RDWR, 0600)); VAL(write(fd, "t", 1)); fstat(fd, &st); VAL(st.st_nlink); close(fd);
    fd = TRY(open("f", O_PATH)); TRY(read(fd, b, 1)); TRY(fstat(fd, &st)); close(fd);
    fd = open("d", O_RDONLY | O_DIRECTORY); TRY(read(fd, b, 1)); TRY(openat(fd, "inner", O_CREAT | O_RDWR, 0600)); VAL(size("d/inner")); TRY(openat(99, "x", O_RDONLY)); TRY(openat(99, "/", O_RDONLY)); int f2 = open("f", O_RDONLY); TRY(openat(f2, "x", O_RDONLY));
    TRY(openat(fd, "../f", O_RDONLY)); TRY(faccessat(fd, "inner", R_OK | W_OK, 0)); TRY(access("f", F_OK)); TRY(access("missing", F_OK)); TRY(access("f", X_OK)); TRY(access("d", X_OK)); TRY(access("f", 077)); TRY(unlinkat(fd, "inner", 0)); TRY(unlinkat(AT_FDCWD, "d", 0)); TRY(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    TRY(creat("c", 0600)); TRY(chdir("f")); TRY(chdir("missing")); TRY(chdir("..")); char cwd[256]; TRY(getcwd(cwd, sizeof cwd)); puts(cwd); TRY(getcwd(cwd, 2)); TRY(fchdir(f2));
    TRY(open("/proc/self/nothing", O_RDONLY)); TRY(open("/dev/null", O_RDWR)); TRY(open("/dev/nothing", O_RDWR)); TRY(open("/nowhere/at/all", O_RDONLY)); TRY(open("/proc/self/exe/x", O_RDONLY));
    return 0;
}
