/* TCP_DEFER_ACCEPT (tcp(7)): a connection is accepted when it has something to say, when it ends, or after
 * the time. */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int listener;
static struct sockaddr_in at;

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    TRY(connect(fd, (struct sockaddr *)&at, sizeof at));
    return fd;
}

/* Whether somebody can be accepted within this time. */
static int comes(int ms) {
    struct pollfd p = {.fd = listener, .events = POLLIN};
    return poll(&p, 1, ms);
}

int main(void) {
    static const int values[] = {0, 1, 2, 3, 4, 7, 8, 60, 1000, -5, 1};
    char byte = 'x';
    int value, waiting;
    socklen_t len = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    for (unsigned n = 0; n < sizeof values / sizeof *values; n++) {
        socklen_t size = sizeof value;
        TRY(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &values[n], sizeof value));
        getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &size);
        printf("%d seconds: %d\n", values[n], value);
    }
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    TRY(bind(listener, (struct sockaddr *)&at, sizeof at));
    getsockname(listener, (struct sockaddr *)&at, &len);
    TRY(listen(listener, 8));

    int client = dial();
    printf("silent: %d\n", comes(200));
    TRY(write(client, &byte, 1));
    printf("says something: %d\n", comes(10000));
    int server = TRY(accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0 ? -1 : 0;
    printf("accepted: %d\n", server);
    close(client);

    client = dial();
    printf("silent: %d\n", comes(200));
    close(client);
    printf("ends: %d\n", comes(10000));
    server = accept(listener, NULL, NULL);
    printf("its end: %ld\n", (long)read(server, &byte, 1));
    close(server);

    client = dial();
    printf("silent: %d\n", comes(200));
    printf("after its time: %d\n", comes(20000));
    server = accept(listener, NULL, NULL);
    ioctl(server, FIONREAD, &waiting);
    printf("waiting bytes: %d\n", waiting);
    TRY(write(server, "hello", 5));
    char text[6] = {0};
    TRY(read(client, text, 5));
    puts(text);
    close(server);
    close(client);

    /* A reset takes it away; with the option off nobody waits. */
    client = dial();
    struct linger linger = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(client);
    printf("reset: %d\n", comes(200));
    value = 0;
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, sizeof value);
    client = dial();
    printf("off: %d\n", comes(10000));
    return 0;
}
