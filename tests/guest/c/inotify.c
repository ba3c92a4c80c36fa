/* inotify: every kind of event, on a directory and on a file, their order, names and cookies; masks, one-shot
 * watches, the end of a watch, FIONREAD, poll, non-blocking and short reads, refusals. */
#include "t.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
static int in;
static uint32_t first_cookie;
static void show(const char *what) {
    _Alignas(8) char buf[8192];
    struct pollfd p = {.fd = in, .events = POLLIN};
    int ready = poll(&p, 1, 0), waiting = -1;
    ioctl(in, FIONREAD, &waiting);
    long n = read(in, buf, sizeof buf);
    printf("%s: ready %d, FIONREAD is what read gives: %s\n", what, ready,
           waiting == (n < 0 ? 0 : n) ? "yes" : "NO");
    for (long at = 0; at < n;) {
        struct inotify_event *e = (void *)(buf + at);
        if (e->cookie && !first_cookie) first_cookie = e->cookie;
        printf("  wd %d mask %#x cookie %d len %u name %s\n", e->wd, e->mask,
               e->cookie ? (int)(e->cookie - first_cookie) : -1, e->len, e->len ? e->name : "-");
        at += (long)sizeof *e + e->len;
    }
    if (n < 0) printf("  %s\n", errno_name(errno));
}
static void put(const char *path, const char *text, int flags) {
    int fd = open(path, O_WRONLY | flags, 0644);
    write(fd, text, strlen(text));
    close(fd);
}
int main(void) {
    fresh_dir();
    VAL((in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) >= 0);
    VAL(fcntl(in, F_GETFD));
    VAL(fcntl(in, F_GETFL) & O_NONBLOCK ? 1 : 0);
    show("nothing");
    VAL(inotify_add_watch(in, ".", IN_ALL_EVENTS));
    put("f", "1", O_CREAT);
    show("create and write");
    VAL(inotify_add_watch(in, "f", IN_ALL_EVENTS));
    put("f", "22", O_TRUNC);
    show("truncate and write");
    put("f", "33", O_APPEND);
    show("append");
    char c;
    int fd = open("f", O_RDONLY);
    read(fd, &c, 1);
    read(fd, &c, 1);
    read(fd, &c, 1);
    pread(fd, &c, 1, 0);
    close(fd);
    show("read");
    TRY(truncate("f", 1));
    TRY(chmod("f", 0600));
    TRY(chown("f", 0, 0));
    struct timespec both[2] = {{5, 0}, {6, 0}}, one[2] = {{7, 0}, {0, UTIME_OMIT}};
    TRY(utimensat(AT_FDCWD, "f", both, 0));
    TRY(utimensat(AT_FDCWD, "f", one, 0));
    show("attributes");
    TRY(link("f", "g"));
    show("link");
    TRY(rename("g", "h"));
    show("rename");
    TRY(mkdir("d", 0755));
    TRY(symlink("f", "s"));
    TRY(mkfifo("p", 0600));
    show("mkdir, symlink, mkfifo");
    VAL(inotify_add_watch(in, "d", IN_MOVE | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF));
    TRY(rename("h", "d/h"));
    show("move into a directory");
    TRY(rename("d", "e"));
    show("move a watched directory");
    TRY(unlink("e/h"));
    TRY(unlink("s"));
    TRY(unlink("p"));
    show("unlink");
    TRY(rmdir("e"));
    show("rmdir of a watched directory");
    put("t", "x", O_CREAT);
    put("u", "y", O_CREAT);
    show("two files");
    TRY(rename("t", "u"));
    show("rename over another");
    TRY(unlink("f"));
    show("unlink of a watched file");
    TRY(inotify_rm_watch(in, 2));
    TRY(inotify_rm_watch(in, 1));
    show("watch removed");
    put("u", "z", 0);
    show("not watched any more");
    VAL(inotify_add_watch(in, "u", IN_MODIFY | IN_ONESHOT));
    put("u", "1", 0);
    put("u", "2", 0);
    show("one shot");
    VAL(inotify_add_watch(in, "u", IN_OPEN));
    VAL(inotify_add_watch(in, "u", IN_MODIFY | IN_MASK_ADD));
    put("u", "1", 0);
    show("added mask");
    VAL(inotify_add_watch(in, "u", IN_CLOSE_WRITE));
    put("u", "1", 0);
    show("replaced mask");
    VAL(inotify_add_watch(in, "u", IN_OPEN | IN_MASK_CREATE));
    for (int i = 0; i < 5; i++) {
        put("u", "1", 0);
    }
    show("equal events in a row are one");
    printf("short reads\n");
    VAL(inotify_add_watch(in, ".", IN_CREATE | IN_DELETE));
    put("a-rather-long-name", "", O_CREAT);
    put("b", "", O_CREAT);
    char small[64];
    VAL(read(in, small, 16));
    VAL(read(in, small, 63));
    VAL(read(in, small, 64));
    VAL(read(in, small, 64));
    TRY(unlink("a-rather-long-name"));
    TRY(unlink("b"));
    show("rest");
    printf("refusals\n");
    VAL(inotify_init1(1));
    VAL(inotify_add_watch(in, ".", 0));
    VAL(inotify_add_watch(in, "none", IN_CREATE));
    VAL(inotify_add_watch(in, "u", IN_CREATE | IN_ONLYDIR));
    VAL(inotify_add_watch(in, (char *)8, IN_CREATE));
    VAL(inotify_add_watch(0, ".", IN_CREATE));
    VAL(inotify_add_watch(-1, ".", IN_CREATE));
    VAL(inotify_add_watch(in, "u", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD));
    VAL(inotify_rm_watch(in, 77));
    VAL(inotify_rm_watch(1, 1));
    VAL(write(in, "x", 1));
    TRY(unlink("u"));
    close(in);
    remove_dir();
    return 0;
}
