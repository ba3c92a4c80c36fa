/* Options of Internet sockets: what a new socket has, what can be set, what is refused. */
#include "t.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
static void get(const char *what, int fd, int level, int name) {
    int v[4] = {-77, -77, -77, -77};
    socklen_t n = sizeof v;
    if (getsockopt(fd, level, name, v, &n))
        printf("%s: %s\n", what, errno_name(errno));
    else if (n == 8)
        printf("%s: %d %d\n", what, v[0], v[1]);
    else
        printf("%s: %d (%d bytes)\n", what, v[0], (int)n);
}
static void set(const char *what, int fd, int level, int name, int value) {
    int r = setsockopt(fd, level, name, &value, sizeof value);
    printf("set %s %d: %s, then ", what, value, r ? errno_name(errno) : "ok");
    get("", fd, level, name);
}
#define GET(level, name) get(#name, fd, level, name)
#define SET(level, name, value) set(#name, fd, level, name, value)
static void all(const char *title, int fd, int v6) {
    puts(title);
    GET(SOL_SOCKET, SO_TYPE);
    GET(SOL_SOCKET, SO_DOMAIN);
    GET(SOL_SOCKET, SO_PROTOCOL);
    GET(SOL_SOCKET, SO_ERROR);
    GET(SOL_SOCKET, SO_REUSEADDR);
    GET(SOL_SOCKET, SO_REUSEPORT);
    GET(SOL_SOCKET, SO_KEEPALIVE);
    GET(SOL_SOCKET, SO_BROADCAST);
    GET(SOL_SOCKET, SO_OOBINLINE);
    GET(SOL_SOCKET, SO_LINGER);
    GET(SOL_SOCKET, SO_SNDBUF);
    GET(SOL_SOCKET, SO_RCVBUF);
    GET(SOL_SOCKET, SO_RCVLOWAT);
    GET(SOL_SOCKET, SO_PRIORITY);
    GET(SOL_SOCKET, SO_ACCEPTCONN);
    GET(IPPROTO_IP, IP_TOS);
    GET(IPPROTO_IP, IP_TTL);
    GET(IPPROTO_IP, IP_MULTICAST_TTL);
    GET(IPPROTO_IP, IP_MULTICAST_LOOP);
    GET(IPPROTO_IP, IP_MULTICAST_ALL);
    GET(IPPROTO_IP, IP_RECVERR);
    GET(IPPROTO_IPV6, IPV6_V6ONLY);
    GET(IPPROTO_IPV6, IPV6_UNICAST_HOPS);
    GET(IPPROTO_IPV6, IPV6_MULTICAST_HOPS);
    GET(IPPROTO_IPV6, IPV6_TCLASS);
    GET(IPPROTO_TCP, TCP_NODELAY);
    GET(IPPROTO_TCP, TCP_CORK);
    GET(IPPROTO_TCP, TCP_MAXSEG);
    GET(IPPROTO_TCP, TCP_KEEPIDLE);
    GET(IPPROTO_TCP, TCP_KEEPINTVL);
    GET(IPPROTO_TCP, TCP_KEEPCNT);
    GET(IPPROTO_TCP, TCP_SYNCNT);
    GET(IPPROTO_TCP, TCP_LINGER2);
    GET(IPPROTO_TCP, TCP_DEFER_ACCEPT);
    GET(IPPROTO_TCP, TCP_QUICKACK);
    GET(IPPROTO_TCP, TCP_USER_TIMEOUT);
    SET(SOL_SOCKET, SO_REUSEADDR, 5);
    SET(SOL_SOCKET, SO_KEEPALIVE, 1);
    SET(SOL_SOCKET, SO_SNDBUF, 32768);
    SET(SOL_SOCKET, SO_RCVBUF, 65536);
    SET(SOL_SOCKET, SO_RCVBUF, 1);
    SET(SOL_SOCKET, SO_RCVLOWAT, 7);
    SET(IPPROTO_IP, IP_TOS, 0x10);
    SET(IPPROTO_IP, IP_TOS, 0x13);
    SET(IPPROTO_IP, IP_TTL, 9);
    SET(IPPROTO_IP, IP_TTL, 0);
    SET(IPPROTO_IP, IP_TTL, 256);
    SET(IPPROTO_IP, IP_MULTICAST_TTL, 3);
    SET(IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    SET(IPPROTO_TCP, TCP_NODELAY, 7);
    SET(IPPROTO_TCP, TCP_KEEPIDLE, 10);
    SET(IPPROTO_TCP, TCP_KEEPIDLE, 0);
    SET(IPPROTO_TCP, TCP_KEEPINTVL, 40000);
    SET(IPPROTO_TCP, TCP_KEEPCNT, 127);
    SET(IPPROTO_TCP, TCP_KEEPCNT, 128);
    SET(IPPROTO_TCP, TCP_MAXSEG, 1000);
    SET(IPPROTO_TCP, TCP_MAXSEG, 3);
    SET(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    SET(IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
    if (v6) {
        SET(IPPROTO_IPV6, IPV6_V6ONLY, 1);
        SET(IPPROTO_IPV6, IPV6_TCLASS, 0x20);
        SET(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 77);
        SET(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
    }
    int short_value = 1;
    TRY(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &short_value, 1));
    TRY(setsockopt(fd, IPPROTO_IP, IP_TOS, &short_value, 1));
    TRY(setsockopt(fd, IPPROTO_TCP, 9999, &short_value, 4));
    TRY(setsockopt(fd, 9999, 1, &short_value, 4));
    TRY(setsockopt(fd, SOL_SOCKET, SO_TYPE, &short_value, 4));
    unsigned char byte = 0;
    socklen_t n = 1;
    VAL(getsockopt(fd, IPPROTO_IP, IP_TTL, &byte, &n));
    printf("a byte: %d %d\n", byte, (int)n);
    close(fd);
}
int main(void) {
    all("tcp4", socket(AF_INET, SOCK_STREAM, 0), 0);
    all("tcp6", socket(AF_INET6, SOCK_STREAM, 0), 1);
    all("udp4", socket(AF_INET, SOCK_DGRAM, 0), 0);
    all("udp6", socket(AF_INET6, SOCK_DGRAM, 0), 1);
    char name[16] = "";
    socklen_t n = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    TRY(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n);
    puts(name);
    TRY(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
    struct tcp_info info;
    n = sizeof info;
    TRY(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n));
    VAL(info.tcpi_state);
    return 0;
}
