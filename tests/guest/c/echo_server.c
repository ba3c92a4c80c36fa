/* Sends back what each connection to port 8080 says, until its end, a thread for each. One that begins with
 * 'Q' ends it all. */
#include "t.h"
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

static _Atomic long bytes_sent;
static _Atomic int connections;

static void *serve(void *arg) {
    int fd = (int)(long)arg;
    char bytes[16384];
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
        if (bytes[0] == 'Q') {
            printf("%d connections, %ld bytes\n", connections, bytes_sent);
            exit(0);
        }
        for (ssize_t at = 0; at < got;) {
            ssize_t put = write(fd, bytes + at, got - at);
            if (put <= 0) {
                perror("write");
                exit(1);
            }
            at += put;
        }
        bytes_sent += got;
    }
    if (got < 0) {
        perror("read");
        exit(1);
    }
    connections++;
    close(fd);
    return NULL;
}

int main(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8080)};
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0) return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        int one = accept(fd, NULL, NULL);
        pthread_t thread;
        if (one < 0 || pthread_create(&thread, NULL, serve, (void *)(long)one) != 0) {
            perror("accept");
            return 1;
        }
        pthread_detach(thread);
    }
}
