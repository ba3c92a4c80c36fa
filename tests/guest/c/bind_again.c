/* bind(2) where connections are, or were a moment ago: TIME_WAIT is on the side that ended first, and only
   SO_REUSEADDR on both sockets shares its port. */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static struct sockaddr_in at(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

static int make(int reuse) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    return fd;
}

static int bound(int reuse, const char *ip, int port) {
    int fd = make(reuse);
    struct sockaddr_in a = at(ip, port);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

static int port_of(int fd) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &len);
    return ntohs(a.sin_port);
}

/* Who could bind now: without and with SO_REUSEADDR, to the same address, any, and another. */
static void show(const char *when, int port) {
    static const char *const ips[] = {"127.0.0.1", "0.0.0.0", "127.0.0.2"};
    printf("%s:", when);
    for (int reuse = 0; reuse < 2; reuse++)
        for (int n = 0; n < 3; n++) {
            int fd = bound(reuse, ips[n], port);
            printf(" %s%s %s", ips[n], reuse ? " reuse" : "", fd < 0 ? strerrorname_np(errno) : "yes");
            if (fd >= 0) close(fd);
        }
    puts("");
}

static void take_end(int fd) {
    char c;
    if (read(fd, &c, 1) != 0) puts("no end");
    close(fd);
}

enum first { SERVER, CLIENT, RESET, SHUT_SERVER, OPEN };

/* A connection between two bound sockets and its end; what can be bound at both ports afterwards. */
static void one(const char *name, enum first first, int reuse) {
    int listener = bound(reuse, "127.0.0.1", 0), client = bound(reuse, "127.0.0.1", 0);
    struct sockaddr_in to = at("127.0.0.1", port_of(listener));
    int server_port = port_of(listener), client_port = port_of(client);
    char text[100];
    listen(listener, 5);
    if (connect(client, (struct sockaddr *)&to, sizeof to) != 0) perror("connect");
    int server = accept(listener, NULL, NULL);
    close(listener);
    switch (first) {
    case SERVER:
        close(server);
        take_end(client);
        break;
    case CLIENT:
        close(client);
        take_end(server);
        break;
    case RESET: {
        struct linger linger = {1, 0};
        setsockopt(server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(server);
        close(client);
        break;
    }
    case SHUT_SERVER:
        shutdown(server, SHUT_WR);
        take_end(client);
        take_end(server);
        break;
    case OPEN:
        close(client);
        break;
    }
    snprintf(text, sizeof text, "%s%s, server's port", name, reuse ? " with reuse" : "");
    show(text, server_port);
    snprintf(text, sizeof text, "%s%s, client's port", name, reuse ? " with reuse" : "");
    show(text, client_port);
    if (first == OPEN) take_end(server);
}

int main(void) {
    for (int reuse = 0; reuse < 2; reuse++) {
        one("server first", SERVER, reuse);
        one("client first", CLIENT, reuse);
        one("reset", RESET, reuse);
        one("server's shutdown", SHUT_SERVER, reuse);
        one("half open", OPEN, reuse);
    }
    /* A listener comes back as a Java server does. */
    int listener = bound(1, "0.0.0.0", 0), port = port_of(listener);
    for (int round = 0; round < 3; round++) {
        struct sockaddr_in to = at("127.0.0.1", port);
        int client = make(0);
        listen(listener, 5);
        connect(client, (struct sockaddr *)&to, sizeof to);
        int server = accept(listener, NULL, NULL);
        close(listener);
        close(server);
        take_end(client);
        listener = bound(1, "0.0.0.0", port);
        printf("round %d: %s\n", round, listener < 0 ? strerrorname_np(errno) : "bound again");
    }
    return 0;
}
