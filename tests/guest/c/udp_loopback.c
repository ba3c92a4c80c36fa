/* UDP within the machine: names, truncation, peeking, refusals that come back, disconnecting, mapped
 * addresses, multicast, control messages, several messages a call. */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
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
static void name(const char *what, int fd) {
    struct sockaddr_in6 s;
    socklen_t n = sizeof s;
    char t[64];
    getsockname(fd, (void *)&s, &n);
    if (s.sin6_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&s)->sin_addr, t, sizeof t);
    else
        inet_ntop(AF_INET6, &s.sin6_addr, t, sizeof t);
    printf("%s: %s port %s\n", what, t, s.sin6_port ? "set" : "0");
}
static void ready(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    int r = poll(&p, 1, 0);
    printf("%s: %d %x\n", what, r, p.revents);
}
int main(void) {
    char b[70000] = "";
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    struct sockaddr_in a = v4("127.0.0.1", 0), from;
    socklen_t n = sizeof from;
    ready("new", c);
    name("new", c);
    TRY(send(c, "x", 1, 0));
    int x = socket(AF_INET, SOCK_DGRAM, 0);
    TRY(shutdown(x, SHUT_RDWR));
    TRY(listen(x, 1));
    TRY(accept(x, NULL, NULL));
    close(x);
    TRY(bind(s, (void *)&a, sizeof a));
    int port = port_of(s);
    a = v4("127.0.0.1", port);
    int t = socket(AF_INET, SOCK_DGRAM, 0);
    TRY(bind(t, (void *)&a, sizeof a));
    close(t);
    TRY(sendto(c, "x", 1, 0, (void *)&a, 3));
    struct sockaddr_in zero = v4("127.0.0.1", 0);
    TRY(sendto(c, "x", 1, 0, (void *)&zero, sizeof zero));
    TRY(sendto(c, b, 65508, 0, (void *)&a, sizeof a));
    VAL(sendto(c, b, 65507, 0, (void *)&a, sizeof a));
    VAL(recvfrom(s, b, sizeof b, 0, (void *)&from, &n));
    VAL(n);
    IS(ntohs(from.sin_port) == port_of(c));
    name("sender", c);
    VAL(sendto(c, "hello", 5, 0, (void *)&a, sizeof a));
    VAL(sendto(c, "", 0, 0, (void *)&a, sizeof a));
    int q;
    ioctl(s, FIONREAD, &q);
    VAL(q);
    VAL(recv(s, b, 2, MSG_PEEK));
    VAL(recv(s, b, 2, MSG_PEEK | MSG_TRUNC));
    struct iovec io = {b, 3};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    VAL(recvmsg(s, &m, 0));
    printf("flags %x\n", m.msg_flags);
    VAL(recv(s, b, 10, 0));
    TRY(recv(s, b, 10, MSG_DONTWAIT));
    /* Connected. */
    TRY(connect(c, (void *)&a, sizeof a));
    name("connected", c);
    VAL(send(c, "con", 3, 0));
    VAL(recv(s, b, 10, 0));
    t = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to_c = v4("127.0.0.1", port_of(c));
    VAL(sendto(t, "stranger", 8, 0, (void *)&to_c, sizeof to_c));
    TRY(recv(c, b, 10, MSG_DONTWAIT));
    VAL(sendto(s, "friend", 6, 0, (void *)&to_c, sizeof to_c));
    VAL(recv(c, b, 10, 0));
    struct sockaddr u = {.sa_family = AF_UNSPEC};
    TRY(connect(c, &u, sizeof u));
    name("disconnected", c);
    TRY(send(c, "x", 1, 0));
    /* Nobody there. */
    struct sockaddr_in nobody = v4("127.0.0.1", 1);
    VAL(sendto(c, "x", 1, 0, (void *)&nobody, sizeof nobody));
    TRY(recv(c, b, 1, MSG_DONTWAIT));
    TRY(connect(c, (void *)&nobody, sizeof nobody));
    VAL(send(c, "x", 1, 0));
    ready("refused", c);
    TRY(send(c, "x", 1, 0));
    VAL(send(c, "x", 1, 0));
    TRY(recv(c, b, 1, 0));
    TRY(shutdown(c, SHUT_RD));
    VAL(recv(c, b, 1, 0));
    ready("shut", c);
    TRY(shutdown(c, SHUT_WR));
    TRY(send(c, "x", 1, MSG_NOSIGNAL));
    ready("both shut", c);
    close(c);
    struct sockaddr_in all = v4("255.255.255.255", 9);
    TRY(sendto(t, "x", 1, 0, (void *)&all, sizeof all));
    TRY(send(t, "x", 1, MSG_OOB));
    close(t);
    close(s);
    /* IPv6, and IPv4 through it. */
    s = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 a6 = v6("::", 0), from6;
    TRY(bind(s, (void *)&a6, sizeof a6));
    port = port_of(s);
    c = socket(AF_INET, SOCK_DGRAM, 0);
    a = v4("127.0.0.1", port);
    VAL(sendto(c, "four", 4, 0, (void *)&a, sizeof a));
    n = sizeof from6;
    VAL(recvfrom(s, b, 10, 0, (void *)&from6, &n));
    char text[64];
    printf("%s %d\n", inet_ntop(AF_INET6, &from6.sin6_addr, text, sizeof text), (int)n);
    VAL(sendto(s, "back", 4, 0, (void *)&from6, sizeof from6));
    VAL(recv(c, b, 10, 0));
    close(c);
    c = socket(AF_INET6, SOCK_DGRAM, 0);
    a6 = v6("::1", port);
    VAL(sendto(c, "six", 3, 0, (void *)&a6, sizeof a6));
    n = sizeof from6;
    VAL(recvfrom(s, b, 10, 0, (void *)&from6, &n));
    puts(inet_ntop(AF_INET6, &from6.sin6_addr, text, sizeof text));
    a6 = v6("::ffff:127.0.0.1", port);
    TRY(connect(c, (void *)&a6, sizeof a6));
    name("mapped", c);
    VAL(send(c, "m", 1, 0));
    VAL(recv(s, b, 10, 0));
    close(c);
    close(s);
    /* Where a datagram came in. */
    s = socket(AF_INET, SOCK_DGRAM, 0);
    a = v4("0.0.0.0", 0);
    bind(s, (void *)&a, sizeof a);
    setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    setsockopt(s, IPPROTO_IP, IP_RECVTTL, &one, sizeof one);
    setsockopt(s, IPPROTO_IP, IP_RECVTOS, &one, sizeof one);
    a = v4("127.0.0.9", port_of(s));
    c = socket(AF_INET, SOCK_DGRAM, 0);
    int tos = 0x28;
    setsockopt(c, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    VAL(sendto(c, "where", 5, 0, (void *)&a, sizeof a));
    char control[256];
    io.iov_len = 100;
    m = (struct msghdr){
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    VAL(recvmsg(s, &m, 0));
    int infos = 0, ttl = 0, got_tos = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *i = (void *)CMSG_DATA(h);
            printf("interface %d to %s\n", i->ipi_ifindex,
                   inet_ntop(AF_INET, &i->ipi_addr, text, sizeof text));
            infos++;
        }
        if (h->cmsg_type == IP_TTL) ttl = *(int *)CMSG_DATA(h);
        if (h->cmsg_type == IP_TOS) got_tos = *CMSG_DATA(h);
    }
    printf("%d infos, ttl %d, tos %x\n", infos, ttl, got_tos);
    /* Several at once. */
    a = v4("127.0.0.1", port_of(s));
    struct mmsghdr mm[3];
    struct iovec v[3];
    memset(mm, 0, sizeof mm);
    for (int i = 0; i < 3; i++) {
        v[i] = (struct iovec){"abc", i + 1};
        mm[i].msg_hdr =
            (struct msghdr){.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v[i], .msg_iovlen = 1};
    }
    VAL(sendmmsg(c, mm, 3, 0));
    for (int i = 0; i < 3; i++) {
        v[i] = (struct iovec){b + i * 100, 100};
        mm[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    VAL(recvmmsg(s, mm, 3, MSG_WAITFORONE, NULL));
    printf("%u %u %u\n", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
    close(c);
    close(s);
    /* A group. */
    s = socket(AF_INET, SOCK_DGRAM, 0);
    a = v4("0.0.0.0", 0);
    bind(s, (void *)&a, sizeof a);
    port = port_of(s);
    struct ip_mreqn mr = {.imr_ifindex = 1};
    inet_pton(AF_INET, "230.0.0.1", &mr.imr_multiaddr);
    TRY(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof mr));
    TRY(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof mr));
    c = socket(AF_INET, SOCK_DGRAM, 0);
    TRY(setsockopt(c, IPPROTO_IP, IP_MULTICAST_IF, &mr, sizeof mr));
    a = v4("230.0.0.1", port);
    VAL(sendto(c, "group", 5, 0, (void *)&a, sizeof a));
    VAL(recv(s, b, 10, MSG_DONTWAIT));
    TRY(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mr, sizeof mr));
    TRY(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mr, sizeof mr));
    VAL(sendto(c, "group", 5, 0, (void *)&a, sizeof a));
    TRY(recv(s, b, 10, MSG_DONTWAIT));
    puts("done");
    return 0;
}
