/* Files, directories and names on /tmp (tmpfs on both systems). */
#include "fuzz.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static const char *const paths[] = {"a",   "b",   "c",   "d",  "d/a", "d/b",  "d/e", "d/e/a", "e",      "l",
                                    "l/a", "./a", "d/.", "a/", "d/",  "d/..", "e/b", "m",     "d/../b", "f"};
/* Of two bad names Linux tells the first whose parent is bad, before it looks at either's length. */
static int one_of_two;
static const char *path(void) {
    if (once_in(40) && !one_of_two) {
        static char long_name[4200];
        size_t length = PICK(255, 256, 4095, 4096);
        memset(long_name, 'x', length);
        long_name[length] = 0;
        say("x*%zu", length);
        return long_name;
    }
    const char *name = once_in(40) && !one_of_two ? "" : paths[once_in(2) ? below(5) : below(COUNT(paths))];
    say("\"%s\"", name);
    return name;
}
static mode_t mode(void) { return PICK(0644, 0600, 0755, 0, 0444, 07777, 04711, 01777); }

static const struct name open_flags[] = {N(O_CREAT),   N(O_CREAT),     N(O_EXCL),     N(O_TRUNC), N(O_APPEND),
                                         N(O_CLOEXEC), N(O_DIRECTORY), N(O_NOFOLLOW), N(O_PATH)};
static void do_open(void) {
    long access = PICK(O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR);
    char text[256];
    long flag = FLAGS(open_flags, 4, text);
    if (once_in(2)) {
        flag = O_CREAT;
        strcpy(text, "O_CREAT");
    }
    /* EINVAL since Linux 6.4; 6.1, which the guest reports, takes it. */
    if (flag & O_CREAT && flag & O_DIRECTORY) {
        flag &= ~O_DIRECTORY;
        strcat(text, " without O_DIRECTORY");
    }
    say("open(");
    const char *name = path();
    mode_t bits = mode();
    say(", %ld|%s, %o)", access, text, bits);
    int fd = result(open(name, access | flag | O_NONBLOCK, bits));
    if (fd > 15) close(fd);
}
static void do_tmpfile(void) {
    say("open(O_TMPFILE)");
    int fd = result(open(".", O_TMPFILE | O_RDWR, 0600));
    if (fd > 15) close(fd);
}
static void do_read(void) {
    int fd = descriptor(), kind = below(3);
    long count = PICK(0, 1, 100, 4096, 5000, 20000), offset = small_offset();
    if (fd < 3) fd = -1;
    if (kind == 0) {
        say("read(%d, %ld)", fd, count);
        say_bytes(result(read(fd, buffer, count)));
    } else if (kind == 1) {
        say("pread(%d, %ld, %ld)", fd, count, offset);
        say_bytes(result(pread(fd, buffer, count, offset)));
    } else {
        struct iovec vectors[3] = {
            {buffer, count / 3}, {buffer + count / 3, 0}, {buffer + count / 3, count / 2}};
        int vector_count = PICK(3, 3, 2, 0, -1, 1025);
        say("preadv(%d, %ld, %d, %ld)", fd, count, vector_count, offset);
        say_bytes(result(vector_count <= 3 ? preadv(fd, vectors, vector_count, offset)
                                           : preadv(fd, (struct iovec *)buffer, vector_count, offset)));
    }
}
static void do_write(void) {
    int fd = descriptor(), kind = below(3);
    long count = PICK(0, 1, 100, 4096, 5000, 20000), offset = small_offset();
    /* Since 6.9 a counter takes 8 bytes and no more. */
    if (fd < 3 || descriptor_is(fd, "eventfd")) fd = -1;
    if (!count && is_sequenced(fd)) count = 1;
    memset(buffer, stamp(), count);
    if (kind == 0) {
        say("write(%d, %ld)", fd, count);
        result(write(fd, buffer, count));
    } else if (kind == 1) {
        say("pwrite(%d, %ld, %ld)", fd, count, offset);
        result(pwrite(fd, buffer, count, offset));
    } else {
        struct iovec vectors[2] = {{buffer, count}, {buffer, count / 2}};
        /* What cannot be written is not asked for nothing on Linux. */
        if (is_nameless(fd)) fd = -1;
        say("writev(%d, %ld)", fd, count);
        result(writev(fd, vectors, 2));
    }
}
/* What fallocate has reserved is a hole on Linux's tmpfs and data here. */
int reserved;
static void do_lseek(void) {
    static const struct name whences[] = {N(SEEK_SET),  N(SEEK_CUR),  N(SEEK_END),
                                          N(SEEK_DATA), N(SEEK_HOLE), {77, "77"}};
    const char *text;
    int fd = descriptor();
    long whence = CHOOSE(whences, &text), offset = once_in(4) ? -(long)below(9000) : small_offset();
    struct stat status;
    /* Where a directory ends is each file system's own. */
    if (!fstat(fd, &status) && S_ISDIR(status.st_mode)) offset = 0, whence = SEEK_SET, text = "SEEK_SET";
    if (reserved && (whence == SEEK_DATA || whence == SEEK_HOLE)) whence = SEEK_CUR, text = "SEEK_CUR";
    say("lseek(%d, %ld, %s)", fd, offset, text);
    result(lseek(fd, offset, whence));
}
static void do_truncate(void) {
    long length = small_offset();
    if (length > 1L << 20 && length != INT64_MAX) length = 1 << 20;
    if (once_in(2)) {
        int fd = descriptor();
        say("ftruncate(%d, %ld)", fd, length);
        result(ftruncate(fd, length));
        return;
    }
    say("truncate(");
    const char *name = path();
    say(", %ld)", length);
    result(truncate(name, length));
}
static void do_fallocate(void) {
    static const struct name modes[] = {N(0),
                                        N(FALLOC_FL_KEEP_SIZE),
                                        N(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
                                        N(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),
                                        N(FALLOC_FL_PUNCH_HOLE),
                                        N(FALLOC_FL_ZERO_RANGE),
                                        N(FALLOC_FL_COLLAPSE_RANGE),
                                        {0x100, "0x100"}};
    const char *text;
    int fd = descriptor();
    long kind = CHOOSE(modes, &text), offset = once_in(2) ? (long)below(8) * PAGE : small_offset();
    long length = once_in(2) ? (long)(1 + below(5)) * PAGE : small_offset();
    if (length > 1L << 20 && length != INT64_MAX) length = 1 << 20;
    reserved |= kind == 0 || kind == FALLOC_FL_KEEP_SIZE;
    say("fallocate(%d, %s, %ld, %ld)", fd, text, offset, length);
    result(fallocate(fd, kind, offset, length));
}

static void say_status(const struct stat *status) {
    say(" mode %o links %ld uid %d", status->st_mode, (long)status->st_nlink, status->st_uid);
    if (S_ISREG(status->st_mode) || S_ISLNK(status->st_mode))
        say(" size %ld blocks %ld", (long)status->st_size, (long)status->st_blocks);
}
static void do_stat(void) {
    struct stat status;
    int kind = below(3);
    long done;
    if (kind == 0) {
        int fd = descriptor();
        if (fd < 3) fd = -1;
        say("fstat(%d)", fd);
        done = fstat(fd, &status);
    } else {
        say(kind == 1 ? "stat(" : "lstat(");
        const char *name = path();
        say(")");
        done = kind == 1 ? stat(name, &status) : lstat(name, &status);
    }
    if (result(done) == 0) say_status(&status);
}
static void do_names(void) {
    static const char *const names[] = {"rename", "link",     "symlink",   "unlink", "mkdir", "rmdir",
                                        "rename", "exchange", "noreplace", "unlink", "mkdir", "mkfifo"};
    unsigned kind = below(COUNT(names));
    say("%s(", names[kind]);
    one_of_two = kind < 3 || (kind >= 6 && kind <= 8);
    const char *first = path(), *second = NULL;
    if (kind < 3 || (kind >= 6 && kind <= 8)) {
        static char copy[4200];
        strcpy(copy, first);
        first = copy;
        say(", ");
        second = path();
    }
    one_of_two = 0;
    mode_t bits = mode();
    say(")");
    long done = 0;
    switch (kind) {
    case 0:
    case 6:
        done = rename(first, second);
        break;
    case 1:
        done = link(first, second);
        break;
    case 2:
        done = symlink(first, second);
        break;
    case 3:
    case 9:
        done = unlink(first);
        break;
    case 4:
    case 10:
        done = mkdir(first, bits | 0700);
        break;
    case 5:
        done = rmdir(first);
        break;
    case 7:
        done = renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE);
        break;
    case 8:
        done = renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_NOREPLACE);
        break;
    default:
        done = mkfifo(first, bits);
    }
    result(done);
}
static void do_readlink(void) {
    say("readlink(");
    const char *name = path();
    long size = PICK(1, 2, 64, 64, 0);
    say(", %ld)", size);
    long length = result(readlink(name, (char *)buffer, size));
    if (length > 0) say(" \"%.*s\"", (int)length, (char *)buffer);
}
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void do_list(void) {
    say("list(");
    const char *name = once_in(2) ? "." : path();
    say(" %s)", *name == '.' ? name : "");
    DIR *directory = opendir(name);
    if (!directory) {
        result(-1);
        return;
    }
    char *found[64];
    unsigned count = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) && count < 64)
        if (asprintf(&found[count], "%s:%d", entry->d_name, entry->d_type) > 0) count++;
    closedir(directory);
    qsort(found, count, sizeof *found, by_name);
    for (unsigned i = 0; i < count; i++) {
        say(" %.60s", found[i]);
        free(found[i]);
    }
}
static void do_mode(void) {
    int kind = below(5), fd = descriptor();
    mode_t bits = mode();
    if (kind == 0) {
        struct stat status;
        /* The modes of nameless objects are kept by Linux and refused here. */
        if (fd < 3 || fstat(fd, &status) || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) fd = -1;
        say("fchmod(%d, %o)", fd, bits);
        result(fchmod(fd, bits));
    } else if (kind == 1) {
        say("umask(%o)", bits & 077);
        result(umask(bits & 077));
    } else if (kind == 2) {
        say("access(");
        const char *name = path();
        int how = PICK(F_OK, R_OK, W_OK, X_OK, 9);
        say(", %d)", how);
        result(access(name, how));
    } else if (kind == 3) {
        say("chown(");
        const char *name = path();
        int owner = PICK(-1, 0, 1000), group = PICK(-1, 0, 50);
        say(", %d, %d)", owner, group);
        result(chown(name, owner, group));
    } else {
        say("chmod(");
        const char *name = path();
        say(", %o)", bits);
        result(chmod(name, bits));
    }
}
static void do_times(void) {
    long nanoseconds[] = {0, 1, 999999999, 1000000000, UTIME_OMIT, UTIME_NOW, -1};
    struct timespec both[2] = {{PICK(0, 1, 1000000000, -1), nanoseconds[below(7)]},
                               {PICK(0, 77, 1L << 33), nanoseconds[below(7)]}};
    say("utimensat(");
    const char *name = path();
    int flag = PICK(0, AT_SYMLINK_NOFOLLOW, 1);
    say(", %ld.%ld, %ld.%ld, %d)", both[0].tv_sec, both[0].tv_nsec, both[1].tv_sec, both[1].tv_nsec, flag);
    struct stat status;
    if (result(utimensat(AT_FDCWD, name, both, flag)) == 0 && !fstatat(AT_FDCWD, name, &status, flag)) {
        if (both[0].tv_nsec < 1000000000)
            say(" atime %ld.%ld", status.st_atim.tv_sec, status.st_atim.tv_nsec);
        if (both[1].tv_nsec < 1000000000)
            say(" mtime %ld.%ld", status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    }
}
static void do_xattr(void) {
    static const char *const names[] = {"user.a", "user.b", "trusted.c", "user.", "nonsense.x", "", "a"};
    static const char *const verbs[] = {"set", "get", "list", "remove"};
    int kind = below(4), flag = PICK(0, 0, XATTR_CREATE, XATTR_REPLACE, 9);
    const char *attribute = names[once_in(2) ? below(2) : below(COUNT(names))];
    long size = PICK(0, 1, 10, 100, 5000);
    say("%sxattr(", verbs[kind]);
    const char *name = path();
    if (kind == 2)
        say(", %ld)", size);
    else
        say(", %s, %ld, %d)", attribute, size, flag);
    struct stat status;
    /* Which of a bad path and a bad attribute is told first changed with 6.13; the guest reports 6.1. */
    if (stat(name, &status)) {
        flag = 0;
        attribute = "user.a";
        say(" user.a");
    }
    memset(buffer, stamp(), 8192);
    long done = kind == 0   ? setxattr(name, attribute, buffer, size, flag)
                : kind == 1 ? getxattr(name, attribute, buffer, size)
                : kind == 2 ? listxattr(name, (char *)buffer, size)
                            : removexattr(name, attribute);
    result(done);
    if (done > 0 && size && kind == 1) say_bytes(done);
    if (done > 0 && size && kind == 2) {
        /* The order is the file system's. */
        unsigned sum = 0;
        for (long i = 0; i < done; i++) sum += buffer[i] * buffer[i];
        say(" sum %u", sum);
    }
}
static void do_directory(void) {
    char where[4096];
    if (once_in(3)) {
        int fd = descriptor();
        say("fchdir(%d)", fd);
        result(fchdir(fd));
    } else {
        say("chdir(");
        const char *name = path();
        say(")");
        result(chdir(name));
    }
    say(" getcwd");
    if (getcwd(where, sizeof where))
        say(" \"%s\"", where);
    else
        result(-1);
    /* Back, so that names keep meaning something. */
    if (!once_in(3)) {
        char *round = strstr(where, "/fuzz-");
        if (round) {
            char *end = strchr(round + 1, '/');
            if (end) *end = 0;
            if (chdir(where)) result(-1);
        }
    }
}
static void do_transfer(void) {
    int in = descriptor(), out = descriptor(), is_copy = once_in(2);
    off_t from = small_offset(), to = small_offset();
    int has_from = once_in(2), has_to = once_in(2);
    long count = PICK(0, 1, 100, 5000, 20000);
    if (in < 3) in = -1;
    if (out < 3) out = -1;
    /* Into a pipe Linux's sendfile is a splice, which moves from streams too. */
    struct stat status, source;
    if (!is_copy && !fstat(out, &status) && S_ISFIFO(status.st_mode)) out = -1;
    /* What a file that is sent into itself holds then depends on the pieces. */
    if (!is_copy && !fstat(out, &status) && S_ISREG(status.st_mode) && !fstat(in, &source) &&
        status.st_ino == source.st_ino && status.st_dev == source.st_dev)
        out = -1;
    say("%s(%d, %d, %ld, %ld, %ld)", is_copy ? "copy_file_range" : "sendfile", out, in,
        has_from ? (long)from : -7, has_to && is_copy ? (long)to : -7, count);
    if (is_copy)
        result(copy_file_range(in, has_from ? &from : NULL, out, has_to ? &to : NULL, count, 0));
    else
        result(sendfile(out, in, has_from ? &from : NULL, count));
    if (has_from) say(" from %ld", (long)from);
}
static void do_statfs(void) {
    struct statfs about;
    int fd = descriptor();
    if (fd < 3) fd = -1;
    say("fstatfs(%d)", fd);
    if (result(fstatfs(fd, &about)) == 0)
        say(" type %lx block %ld name %ld", (long)about.f_type, (long)about.f_bsize, (long)about.f_namelen);
}
static void do_lock(void) {
    int fd = descriptor();
    if (fd < 3) fd = -1;
    /* Nameless objects share one inode on Linux, and so their locks. */
    if (is_nameless(fd)) fd = -1;
    if (once_in(2)) {
        int how = PICK(LOCK_SH, LOCK_EX, LOCK_UN, 0) | LOCK_NB;
        say("flock(%d, %d)", fd, how);
        result(flock(fd, how));
        return;
    }
    struct flock lock = {.l_type = PICK(F_RDLCK, F_WRLCK, F_UNLCK, 7),
                         .l_whence = PICK(SEEK_SET, SEEK_CUR, SEEK_END, 9),
                         .l_start = small_offset() % 10000,
                         .l_len = below(3) * 100};
    int is_open_file = once_in(2), verb = below(3);
    /* Since 6.6 F_OFD_GETLK also asks for locks of a kind of their own. */
    if (is_open_file && !verb && lock.l_type == F_UNLCK) lock.l_type = F_RDLCK;
    int command = is_open_file ? (verb ? F_OFD_SETLK : F_OFD_GETLK) : verb ? F_SETLK : F_GETLK;
    say("fcntl(%d, %s%s, %d %d %ld %ld)", fd, is_open_file ? "F_OFD_" : "F_", verb ? "SETLK" : "GETLK",
        lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len);
    if (result(fcntl(fd, command, &lock)) == 0 && !verb)
        say(" type %d whence %d start %ld len %ld", lock.l_type, lock.l_whence, (long)lock.l_start,
            (long)lock.l_len);
}
static void do_sync(void) {
    int fd = descriptor(), kind = below(4);
    if (fd < 3) fd = -1;
    static const char *const names[] = {"fsync", "fdatasync", "posix_fadvise", "readahead"};
    say("%s(%d)", names[kind], fd);
    if (kind == 2) {
        errno = posix_fadvise(fd, 0, 100, PICK(POSIX_FADV_NORMAL, POSIX_FADV_WILLNEED, 99));
        result(errno ? -1 : 0);
    } else {
        result(kind == 0 ? fsync(fd) : kind == 1 ? fdatasync(fd) : readahead(fd, 0, 100));
    }
}

static void nothing(void) {}
static void begin(void) {
    static const char *const names[] = {"a", "d/a", "d/e/a"};
    reserved = 0;
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    symlink("d", "l");
    for (unsigned i = 0; i < COUNT(names); i++) {
        int fd = open(names[i], O_CREAT | O_RDWR, 0644);
        memset(buffer, 'a' + i, 10000);
        write(fd, buffer, 10000);
        if (i) close(fd);
    }
}
static const struct operation operations[] = {
    {14, do_open},    {1, do_tmpfile},   {9, do_read},  {12, do_write}, {5, do_lseek},
    {5, do_truncate}, {6, do_fallocate}, {8, do_stat},  {14, do_names}, {3, do_readlink},
    {5, do_list},     {5, do_mode},      {3, do_times}, {6, do_xattr},  {2, do_directory},
    {5, do_transfer}, {1, do_statfs},    {4, do_lock},  {1, do_sync}};
const struct family files = {"files", begin, nothing, operations, COUNT(operations)};
