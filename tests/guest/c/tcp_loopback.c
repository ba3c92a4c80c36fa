/* TCP within the machine: names, connecting and refusals, both protocols and mapped addresses, half-close,
 * resets, what poll says at each step, urgent data, peeking, backpressure. */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
static struct sockaddr_in v4(const char *a, int port) {
    struct sockaddr_in s = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, a, &s.sin_addr);
    return s;
}
static struct sockaddr_in6 v6(const char *a, int port) {
    struct sockaddr_in6 s = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, a, &s.sin6_addr);
    return s;
}
static int port_of(int fd) {
    struct sockaddr_in6 s;
    socklen_t n = sizeof s;
    getsockname(fd, (void *)&s, &n);
    return ntohs(s.sin6_port);
}
/* An address as text; ports only as zero or not. */
static void show(const char *what, int r, struct sockaddr_storage *s, socklen_t n) {
    char t[64] = "";
    int port = 0;
    if (r) {
        printf("%s: %s\n", what, errno_name(errno));
        return;
    }
    if (s->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)s)->sin_addr, t, sizeof t);
        port = ((struct sockaddr_in *)s)->sin_port;
    } else {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)s)->sin6_addr, t, sizeof t);
        port = ((struct sockaddr_in6 *)s)->sin6_port;
    }
    printf("%s: family %d %s port %s length %d\n", what, s->ss_family, t, port ? "set" : "0", (int)n);
}
static void names(const char *what, int fd) {
    struct sockaddr_storage s;
    socklen_t n = sizeof s;
    int r = getsockname(fd, (void *)&s, &n);
    printf("%s ", what);
    show("own", r, &s, n);
    n = sizeof s;
    r = getpeername(fd, (void *)&s, &n);
    printf("%s ", what);
    show("peer", r, &s, n);
}
static void ready(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    int r = poll(&p, 1, 0);
    printf("%s: %d %x\n", what, r, p.revents);
}
static int error_of(int fd) {
    int e = -1;
    socklen_t n = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
    return e;
}
static int listener(int *port) {
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = v4("127.0.0.1", 0);
    bind(l, (void *)&a, sizeof a);
    listen(l, 5);
    *port = port_of(l);
    return l;
}
/* A connection: c is the client, the result the server's end. */
static int pair(int l, int port, int *c) {
    struct sockaddr_in a = v4("127.0.0.1", port);
    *c = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*c, (void *)&a, sizeof a)) perror("pair");
    return accept(l, NULL, NULL);
}
/* An edge-triggered wait for urgent data hears of it again when other bytes arrive. */
static void urgent_edges(int l, int port) {
    int c, s = pair(l, port, &c), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLET | EPOLLPRI};
    TRY(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
    send(c, "a", 1, 0);
    VAL(epoll_wait(ep, &ev, 1, 0));
    send(c, "b", 1, MSG_OOB);
    VAL(epoll_wait(ep, &ev, 1, 1000));
    VAL(epoll_wait(ep, &ev, 1, 0));
    send(c, "c", 1, 0);
    VAL(epoll_wait(ep, &ev, 1, 1000));
    VAL(epoll_wait(ep, &ev, 1, 0));
    close(ep);
    close(s);
    close(c);
}
static int late_fd;
static char late_text[16];
static void *late_reader(void *p) {
    (void)p;
    long n = 0;
    while (n < 8) n += read(late_fd, late_text + n, 8 - n);
    return NULL;
}
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    char b[65536];
    int port, c;
    /* Before anything. */
    int s = socket(AF_INET, SOCK_STREAM, 0);
    ready("new", s);
    names("new", s);
    TRY(recv(s, b, 1, 0));
    TRY(send(s, b, 1, 0));
    TRY(shutdown(s, SHUT_RDWR));
    TRY(accept(s, NULL, NULL));
    struct sockaddr_in a = v4("127.0.0.1", 1);
    TRY(connect(s, (void *)&a, sizeof a));
    ready("refused", s);
    VAL(error_of(s));
    TRY(connect(s, (void *)&a, 4));
    a.sin_family = 77;
    TRY(connect(s, (void *)&a, sizeof a));
    close(s);
    TRY(socket(AF_INET, SOCK_STREAM, 17));
    TRY(socket(AF_INET, SOCK_DGRAM, 6));
    TRY(socket(AF_INET, SOCK_RAW, 0));
    TRY(socket(AF_INET, SOCK_STREAM, 999));
    TRY(socket(AF_INET, SOCK_SEQPACKET, 0));
    int two[2];
    TRY(socketpair(AF_INET, SOCK_STREAM, 0, two));
    /* Binding. */
    s = socket(AF_INET, SOCK_STREAM, 0);
    a = v4("192.0.2.7", 0);
    TRY(bind(s, (void *)&a, sizeof a));
    a = v4("127.0.0.1", 0);
    TRY(bind(s, (void *)&a, sizeof a));
    TRY(bind(s, (void *)&a, sizeof a));
    port = port_of(s);
    a = v4("127.0.0.1", port);
    int t = socket(AF_INET, SOCK_STREAM, 0);
    TRY(bind(t, (void *)&a, sizeof a));
    a = v4("0.0.0.0", port);
    TRY(bind(t, (void *)&a, sizeof a));
    a = v4("127.0.0.2", port);
    TRY(bind(t, (void *)&a, sizeof a));
    names("second", t);
    close(t);
    int one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    t = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    a = v4("127.0.0.1", port);
    TRY(bind(t, (void *)&a, sizeof a));
    TRY(listen(s, 1));
    TRY(listen(t, 1));
    ready("listening", s);
    TRY(recv(s, b, 1, 0));
    close(t);
    close(s);
    /* A connection, and what each end is called. */
    int l = listener(&port);
    names("listener", l);
    s = pair(l, port, &c);
    names("client", c);
    names("server", s);
    ready("client", c);
    a = v4("127.0.0.1", port);
    TRY(connect(c, (void *)&a, sizeof a));
    TRY(connect(l, (void *)&a, sizeof a));
    VAL(send(c, "hello", 5, 0));
    ready("server with data", s);
    int n;
    ioctl(s, FIONREAD, &n);
    VAL(n);
    VAL(recv(s, b, 3, MSG_PEEK));
    VAL(recv(s, b, 2, MSG_TRUNC));
    VAL(recv(s, b, 10, 0));
    TRY(recv(s, b, 10, MSG_DONTWAIT));
    VAL(send(c, "", 0, 0));
    VAL(send(c, "abc", 3, MSG_OOB));
    ready("urgent", s);
    VAL(recv(s, b, 1, MSG_OOB));
    printf("urgent byte %c\n", b[0]);
    TRY(recv(s, b, 1, MSG_OOB));
    VAL(recv(s, b, 10, 0));
    late_fd = s;
    pthread_t th = start(late_reader, NULL);
    send(c, "12", 2, 0);
    sleep_ms(20);
    send(c, "345678", 6, 0);
    pthread_join(th, NULL);
    puts(late_text);
    /* Half-close. */
    TRY(shutdown(c, SHUT_WR));
    ready("after shutdown, client", c);
    ready("after shutdown, server", s);
    TRY(send(c, b, 1, 0));
    VAL(recv(s, b, 10, 0));
    VAL(send(s, "back", 4, 0));
    VAL(recv(c, b, 10, 0));
    TRY(shutdown(s, SHUT_WR));
    sleep_ms(20);
    ready("both shut, client", c);
    ready("both shut, server", s);
    VAL(recv(c, b, 10, 0));
    TRY(shutdown(s, SHUT_RDWR));
    names("both shut, server", s);
    close(s);
    close(c);
    urgent_edges(l, port);
    /* The peer closes with and without unread data. */
    s = pair(l, port, &c);
    close(s);
    sleep_ms(20);
    ready("peer closed", c);
    VAL(send(c, "x", 1, 0));
    sleep_ms(20);
    ready("after the reset", c);
    TRY(send(c, "x", 1, 0));
    VAL(recv(c, b, 1, 0));
    VAL(error_of(c));
    close(c);
    s = pair(l, port, &c);
    send(c, "unread", 6, 0);
    sleep_ms(20);
    close(s);
    sleep_ms(20);
    ready("reset", c);
    TRY(recv(c, b, 1, 0));
    VAL(recv(c, b, 1, 0));
    TRY(send(c, b, 1, 0));
    names("reset", c);
    close(c);
    s = pair(l, port, &c);
    struct linger hard = {1, 0};
    setsockopt(s, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    send(s, "last", 4, 0);
    sleep_ms(20);
    close(s);
    sleep_ms(20);
    TRY(send(c, b, 1, 0));
    ready("hard close", c);
    close(c);
    /* Closed before it was accepted. */
    a = v4("127.0.0.1", port);
    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, sizeof a);
    send(c, "early", 5, 0);
    close(c);
    s = accept(l, NULL, NULL);
    VAL(recv(s, b, 10, 0));
    VAL(recv(s, b, 10, 0));
    close(s);
    /* The listener closes. */
    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, sizeof a);
    ready("listener waits", l);
    TRY(shutdown(l, SHUT_RD));
    TRY(accept(l, NULL, NULL));
    sleep_ms(20);
    TRY(recv(c, b, 1, 0));
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    TRY(connect(c, (void *)&a, sizeof a));
    close(l);
    /* Without blocking. */
    l = listener(&port);
    a = v4("127.0.0.1", port);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    TRY(connect(c, (void *)&a, sizeof a));
    sleep_ms(20);
    ready("connected", c);
    VAL(error_of(c));
    TRY(connect(c, (void *)&a, sizeof a));
    TRY(connect(c, (void *)&a, sizeof a));
    fcntl(l, F_SETFL, O_NONBLOCK);
    s = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    TRY(accept(l, NULL, NULL));
    TRY(accept4(l, NULL, NULL, 1));
    TRY(read(s, b, 1));
    long sent = 0, r;
    while ((r = write(c, b, sizeof b)) > 0) sent += r;
    printf("full: %s\n", errno_name(errno));
    ready("full", c);
    long got = 0;
    while ((r = read(s, b, sizeof b)) > 0) got += r;
    IS(got > 100000);
    sleep_ms(20);
    while ((r = read(s, b, sizeof b)) > 0) got += r;
    IS(got == sent);
    sleep_ms(20);
    ready("emptied", c);
    close(c);
    close(s);
    a = v4("127.0.0.1", 1);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    TRY(connect(c, (void *)&a, sizeof a));
    sleep_ms(20);
    ready("refused later", c);
    VAL(error_of(c) == ECONNREFUSED);
    VAL(error_of(c));
    ready("refused and told", c);
    close(c);
    close(l);
    /* Both protocols on one socket. */
    l = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 a6 = v6("::", 0);
    TRY(bind(l, (void *)&a6, sizeof a6));
    TRY(listen(l, 5));
    names("dual", l);
    port = port_of(l);
    s = pair(l, port, &c);
    names("v4 client", c);
    names("its server", s);
    close(c);
    close(s);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    a6 = v6("::1", port);
    TRY(connect(c, (void *)&a6, sizeof a6));
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    s = accept(l, (void *)&from, &len);
    show("from", 0, &from, len);
    names("v6 client", c);
    close(c);
    close(s);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    a6 = v6("::ffff:127.0.0.1", port);
    TRY(connect(c, (void *)&a6, sizeof a6));
    names("mapped", c);
    s = accept(l, NULL, NULL);
    close(c);
    close(s);
    c = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(c, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    TRY(connect(c, (void *)&a6, sizeof a6));
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    TRY(connect(c, (void *)&a6, sizeof a6));
    a = v4("0.0.0.0", port);
    TRY(bind(c, (void *)&a, sizeof a));
    TRY(connect(c, (void *)&a, sizeof a));
    names("to any", c);
    close(c);
    close(l);
    puts("done");
    return 0;
}
