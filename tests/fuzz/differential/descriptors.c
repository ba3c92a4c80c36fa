/* What is behind descriptors without being a file: pipes, counters, epoll, sockets; and the descriptor table.
 */
#include "fuzz.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

/* A descriptor that may be changed: not the fuzzer's own three. */
static int own(void) {
    int fd = descriptor();
    return fd >= 0 && fd < 3 ? -1 : fd;
}
static void trim(int fd) {
    if (fd > 15) close(fd);
}
static void do_make(void) {
    int both[2] = {-1, -1}, kind = below(6);
    long flag = PICK(0, 0, O_CLOEXEC, 0x7);
    switch (kind) {
    case 0:
        say("pipe2(%#lx)", flag);
        result(pipe2(both, flag | O_NONBLOCK));
        break;
    case 1: {
        unsigned first = PICK(0, 1, 5, 0xffffffff);
        flag = PICK(0, EFD_SEMAPHORE, EFD_CLOEXEC, 0x40);
        say("eventfd(%u, %#lx)", first, flag);
        trim(result(eventfd(first, flag | EFD_NONBLOCK)));
        return;
    }
    case 2:
        flag = PICK(0, EPOLL_CLOEXEC, 1);
        say("epoll_create1(%#lx)", flag);
        trim(result(epoll_create1(flag)));
        return;
    case 3:
    case 4: {
        int domain = PICK(AF_UNIX, AF_UNIX, AF_UNIX, 99),
            type = PICK(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, 99);
        say("socketpair(%d, %d)", domain, type);
        result(socketpair(domain, type | SOCK_NONBLOCK, 0, both));
        break;
    }
    default: {
        int type = PICK(SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET);
        say("socket(AF_UNIX, %d)", type);
        trim(result(socket(AF_UNIX, type | SOCK_NONBLOCK, PICK(0, 0, 0, 1, 77))));
        return;
    }
    }
    say(" %d %d", both[0], both[1]);
    trim(both[0]);
    trim(both[1]);
}
static void do_close(void) {
    int fd = own();
    say("close(%d)", fd);
    result(close(fd));
}
static void do_duplicate(void) {
    int fd = descriptor(), other = own(), kind = below(4);
    switch (kind) {
    case 0:
        say("dup(%d)", fd);
        trim(result(dup(fd)));
        break;
    case 1:
        say("dup2(%d, %d)", fd, other);
        trim(result(dup2(fd, other)));
        break;
    case 2: {
        long flag = PICK(0, O_CLOEXEC, 1);
        say("dup3(%d, %d, %#lx)", fd, other, flag);
        trim(result(dup3(fd, other, flag)));
        break;
    }
    default: {
        int least = PICK(0, 3, 8, -1, 1 << 30);
        say("fcntl(%d, F_DUPFD_CLOEXEC, %d)", fd, least);
        trim(result(fcntl(fd, F_DUPFD_CLOEXEC, least)));
    }
    }
}
static void do_fcntl(void) {
    int fd = own(), kind = below(8);
    switch (kind) {
    case 0:
        say("fcntl(%d, F_GETFD)", fd);
        result(fcntl(fd, F_GETFD));
        break;
    case 1:
        say("fcntl(%d, F_SETFD, %d)", fd, kind);
        result(fcntl(fd, F_SETFD, kind));
        break;
    case 2:
        say("fcntl(%d, F_GETFL)", fd);
        result(fcntl(fd, F_GETFL));
        break;
    case 3: {
        long flag = PICK(0, O_APPEND, O_NOATIME, O_RDWR, O_CREAT);
        say("fcntl(%d, F_SETFL, %#lx)", fd, flag);
        result(fcntl(fd, F_SETFL, flag | O_NONBLOCK));
        break;
    }
    case 4: {
        long seals =
            PICK(F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SHRINK | F_SEAL_GROW, 0x1000);
        say("fcntl(%d, F_ADD_SEALS, %#lx)", fd, seals);
        result(fcntl(fd, F_ADD_SEALS, seals));
        break;
    }
    case 5:
        say("fcntl(%d, F_GET_SEALS)", fd);
        result(fcntl(fd, F_GET_SEALS));
        break;
    case 6: {
        long size = PICK(0, 4096, 8192, 65536, 5000, -1);
        say("fcntl(%d, F_SETPIPE_SZ, %ld)", fd, size);
        result(fcntl(fd, F_SETPIPE_SZ, size));
        say(" F_GETPIPE_SZ");
        result(fcntl(fd, F_GETPIPE_SZ));
        break;
    }
    default:
        say("fcntl(%d, 9999)", fd);
        result(fcntl(fd, 9999, 0));
    }
}
static void do_move(void) {
    int fd = own();
    long count = PICK(0, 1, 8, 100, 4096, 5000, 40000);
    if (once_in(2)) {
        say("read(%d, %ld)", fd, count);
        say_bytes(result(read(fd, buffer, count)));
        return;
    }
    /* Since 6.9 a counter takes 8 bytes and no more. */
    if (descriptor_is(fd, "eventfd")) count = 8;
    if (!count && is_sequenced(fd)) count = 1;
    memset(buffer, 0, 8);
    buffer[0] = stamp();
    if (count != 8) memset(buffer, stamp(), count);
    if (once_in(12)) memset(buffer, 0xff, 8);
    say("write(%d, %ld, %d)", fd, count, buffer[7]);
    result(write(fd, buffer, count));
}
static const struct name interests[] = {N(EPOLLIN), N(EPOLLIN),      N(EPOLLOUT), N(EPOLLRDHUP),
                                        N(EPOLLET), N(EPOLLONESHOT), N(EPOLLPRI)};
static void do_epoll_ctl(void) {
    int epoll = own(), fd = own(), verb = PICK(EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 9);
    char text[256];
    struct epoll_event event = {.events = FLAGS(interests, 3, text), .data.fd = fd};
    say("epoll_ctl(%d, %d, %d, %s)", epoll, verb, fd, text);
    result(epoll_ctl(epoll, verb, fd, &event));
}
static int by_number(const void *a, const void *b) {
    const struct epoll_event *x = a, *y = b;
    return x->data.fd - y->data.fd;
}
static void do_epoll_wait(void) {
    struct epoll_event events[20];
    int epoll = own(), count = once_in(10) ? PICK(0, -1) : 20;
    say("epoll_wait(%d, %d)", epoll, count);
    long got = result(epoll_wait(epoll, events, count, 0));
    if (got <= 0) return;
    qsort(events, got, sizeof *events, by_number);
    for (long i = 0; i < got; i++) say(" %d:%x", events[i].data.fd, events[i].events);
}
static void do_poll(void) {
    struct pollfd polled[4];
    unsigned count = 1 + below(4);
    say("poll(");
    for (unsigned i = 0; i < count; i++) {
        polled[i].fd = own();
        polled[i].events = PICK(POLLIN, POLLOUT, POLLIN | POLLOUT, POLLRDHUP | POLLPRI, 0);
        polled[i].revents = 0x7fff;
        say(" %d:%x", polled[i].fd, polled[i].events);
    }
    say(")");
    if (result(poll(polled, count, 0)) < 0) return;
    for (unsigned i = 0; i < count; i++) say(" %x", polled[i].revents);
}
static void do_select(void) {
    fd_set in, out, except;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    say("select(");
    for (int i = 0; i < 3; i++) {
        int fd = 3 + below(13);
        say(" %d", fd);
        /* What O_PATH opened is always ready on Linux, and refused here. */
        int status = fcntl(fd, F_GETFL);
        if (status >= 0 && status & O_PATH) continue;
        FD_SET(fd, &in);
        if (i) FD_SET(fd, &out);
        if (i == 2) FD_SET(fd, &except);
    }
    int count = PICK(16, 16, 16, 8, 0, -1);
    struct timeval now = {0, 0};
    say(", %d)", count);
    if (result(select(count, &in, &out, &except, &now)) < 0) return;
    for (int fd = 0; fd < 16; fd++)
        if (FD_ISSET(fd, &in) || FD_ISSET(fd, &out) || FD_ISSET(fd, &except))
            say(" %d:%d%d%d", fd, !!FD_ISSET(fd, &in), !!FD_ISSET(fd, &out), !!FD_ISSET(fd, &except));
}
static void do_ioctl(void) {
    int fd = own(), number = -1;
    long request = PICK(FIONREAD, FIONREAD, TCGETS, TIOCGWINSZ, FIOCLEX, FIONCLEX, 0x1234);
    struct stat status;
    /* What may be read of a directory is its size, which is each file system's own. */
    if (!fstat(fd, &status) && S_ISDIR(status.st_mode)) request = TCGETS;
    /* Since 6.9 an epoll says EINVAL instead of ENOTTY. */
    if (descriptor_is(fd, "eventpoll")) request = FIOCLEX;
    say("ioctl(%d, %#lx)", fd, request);
    struct termios room;
    result(ioctl(fd, request, request == FIONREAD ? (void *)&number : &room));
    if (request == FIONREAD) say(" %d", number);
}

static socklen_t address(struct sockaddr_un *to) {
    static const char *const names[] = {"s1", "s2", "s3", "d/s", "", "@x", "@y"};
    const char *name = names[below(COUNT(names))];
    memset(to, 0, sizeof *to);
    to->sun_family = once_in(20) ? AF_INET : AF_UNIX;
    strcpy(to->sun_path, name);
    if (*name == '@') to->sun_path[0] = 0;
    say("%d:\"%s\"", to->sun_family, name);
    if (once_in(20)) return PICK(0, 1, 2, 200);
    return *name ? 2 + strlen(name) + (*name != '@') : 2;
}
static void say_address(const struct sockaddr_un *from, socklen_t length) {
    /* Names that the kernel makes up are random. */
    if (length <= 2)
        say(" length %d", (int)length);
    else if (from->sun_path[0])
        say(" \"%s\"", from->sun_path);
    else if (length == 4)
        say(" @%c", from->sun_path[1]);
    else
        say(" made up");
}
static void do_socket(void) {
    int fd = own(), kind = below(12);
    struct sockaddr_un name;
    socklen_t length = sizeof name;
    long flag = PICK(0, 0, MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, MSG_OOB, MSG_WAITALL),
         count = PICK(0, 1, 8, 100, 5000, 40000);
    if (is_sequenced(fd)) count = count ? count : 1;
    memset(&name, 0, sizeof name);
    switch (kind) {
    case 0:
        say("bind(%d, ", fd);
        length = address(&name);
        say(", %d)", (int)length);
        result(bind(fd, (void *)&name, length));
        return;
    case 1:
    case 2:
        say("connect(%d, ", fd);
        length = address(&name);
        say(", %d)", (int)length);
        result(connect(fd, (void *)&name, length));
        return;
    case 3: {
        int backlog = PICK(0, 1, 5, -1);
        say("listen(%d, %d)", fd, backlog);
        result(listen(fd, backlog));
        return;
    }
    case 4: {
        flag = PICK(0, SOCK_CLOEXEC, 1);
        say("accept4(%d, %ld)", fd, flag);
        int got = result(accept4(fd, (void *)&name, &length, flag | SOCK_NONBLOCK));
        if (got >= 0) say_address(&name, length);
        trim(got);
        return;
    }
    case 5:
    case 6:
        memset(buffer, stamp(), count);
        say("send(%d, %ld, %#lx)", fd, count, flag & ~MSG_OOB);
        result(send(fd, buffer, count, (flag & ~MSG_OOB) | MSG_NOSIGNAL));
        return;
    case 7:
        memset(buffer, stamp(), count);
        say("sendto(%d, %ld, ", fd, count);
        length = address(&name);
        say(", %d)", (int)length);
        result(sendto(fd, buffer, count, MSG_NOSIGNAL, (void *)&name, length));
        return;
    case 8:
    case 9: {
        say("recvfrom(%d, %ld, %#lx)", fd, count, flag);
        long got = result(recvfrom(fd, buffer, count, flag, (void *)&name, &length));
        if (got >= 0) {
            say_bytes(got < count ? got : count);
            say_address(&name, length);
        }
        return;
    }
    case 10: {
        int how = PICK(SHUT_RD, SHUT_WR, SHUT_RDWR, 7);
        say("shutdown(%d, %d)", fd, how);
        result(shutdown(fd, how));
        return;
    }
    default: {
        int is_peer = once_in(2);
        say("%s(%d)", is_peer ? "getpeername" : "getsockname", fd);
        if (result(is_peer ? getpeername(fd, (void *)&name, &length)
                           : getsockname(fd, (void *)&name, &length)) == 0)
            say_address(&name, length);
    }
    }
}
static void do_option(void) {
    static const struct name options[] = {N(SO_TYPE),      N(SO_ERROR),    N(SO_ACCEPTCONN), N(SO_DOMAIN),
                                          N(SO_PROTOCOL),  N(SO_PASSCRED), N(SO_REUSEADDR),  N(SO_KEEPALIVE),
                                          N(SO_BROADCAST), {999, "999"}};
    const char *text;
    int fd = own(), value = PICK(0, 1, 77), is_set = once_in(2);
    long option = CHOOSE(options, &text);
    socklen_t length = PICK(4, 4, 4, 1, 0, 8);
    say("%ssockopt(%d, %s, %d, %d)", is_set ? "set" : "get", fd, text, value, (int)length);
    int room[4] = {value, 0, 0, 0};
    long done = is_set ? setsockopt(fd, SOL_SOCKET, option, room, length)
                       : getsockopt(fd, SOL_SOCKET, option, room, &length);
    if (result(done) == 0 && !is_set)
        say(" %d length %d", length < 4 ? room[0] & ((1 << length * 8) - 1) : room[0], (int)length);
}
/* Descriptors through a socket. */
static void do_pass(void) {
    int fd = own(), passed = own(), is_send = once_in(2);
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof control);
    uint8_t byte = stamp();
    struct iovec vector = {is_send ? &byte : buffer, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct stat status;
    if (is_send) {
        /* Sockets in flight are collected later, when Linux finds time. */
        if (!fstat(passed, &status) && S_ISSOCK(status.st_mode)) passed = -1;
        *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, once_in(20) ? 9 : SCM_RIGHTS};
        memcpy(CMSG_DATA(header), &passed, sizeof passed);
        say("sendmsg(%d, SCM_RIGHTS %d)", fd, passed);
        result(sendmsg(fd, &message, MSG_NOSIGNAL));
        return;
    }
    say("recvmsg(%d)", fd);
    long got = result(recvmsg(fd, &message, 0));
    if (got < 0) return;
    say_bytes(got);
    say(" flags %x control %ld", message.msg_flags, (long)message.msg_controllen);
    header = CMSG_FIRSTHDR(&message);
    if (message.msg_controllen && header && header->cmsg_type == SCM_RIGHTS) {
        memcpy(&passed, CMSG_DATA(header), sizeof passed);
        say(" fd %d", passed);
        trim(passed);
    }
}

static void begin(void) { signal(SIGPIPE, SIG_IGN); }
static const struct operation operations[] = {
    {14, do_make},     {8, do_close},      {5, do_duplicate}, {6, do_fcntl},  {16, do_move},
    {8, do_epoll_ctl}, {6, do_epoll_wait}, {6, do_poll},      {2, do_select}, {4, do_ioctl},
    {20, do_socket},   {3, do_option},     {4, do_pass}};
const struct family descriptors = {"descriptors", begin, begin, operations, COUNT(operations)};
