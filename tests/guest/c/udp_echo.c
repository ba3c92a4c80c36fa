/* Sends back every datagram that reaches port 8080, until an empty one comes. */
#include "t.h"
#include <netinet/in.h>
#include <sys/socket.h>

int main(void)
{
    static char bytes[65536];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
    int size = 1 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t count = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);
        if (count <= 0)
            return count != 0;
        if (sendto(fd, bytes, count, 0, (struct sockaddr *)&from, len) != count)
            perror("sendto");
    }
}
