/* sendfile(2) into sockets and a pipe: counts, positions, ends of files, blocking and not. */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define SIZE 300000

static unsigned char pattern(long at) { return at * 7 + at / 251; }

struct reading {
    int fd;
    long start, count, right;
};

/* Reads to the end and compares. */
static void *reader(void *argument)
{
    struct reading *reading = argument;
    unsigned char bytes[5000];
    ssize_t count;
    while ((count = read(reading->fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < count; i++)
            reading->right += bytes[i] == pattern(reading->start + reading->count++);
    return NULL;
}

static void tcp_pair(int pair[2])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&at, len);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&at, &len);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(pair[0], (struct sockaddr *)&at, len);
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void whole(const char *name, int file, int pair[2], off_t start, size_t want)
{
    struct reading reading = { .fd = pair[1], .start = start };
    pthread_t thread;
    pthread_create(&thread, NULL, reader, &reading);
    off_t offset = start;
    long sent = 0;
    ssize_t count = 1;
    while (want > 0 && (count = sendfile(pair[0], file, &offset, want)) > 0) {
        sent += count;
        want -= count;
    }
    close(pair[0]);
    pthread_join(thread, NULL);
    close(pair[1]);
    printf("%s: sent %ld, left %zu, offset %ld, last %zd, received %ld, right %ld, position %ld\n", name, sent, want,
           (long)offset, want > 0 ? count : 0, reading.count, reading.right, (long)lseek(file, 0, SEEK_CUR));
}

int main(void)
{
    char path[] = "/tmp/sendfileXXXXXX";
    int file = mkstemp(path), pair[2];
    static unsigned char bytes[SIZE];
    for (long i = 0; i < SIZE; i++)
        bytes[i] = pattern(i);
    printf("write: %d\n", write(file, bytes, SIZE) == SIZE);
    lseek(file, 10, SEEK_SET);

    tcp_pair(pair);
    whole("tcp, all", file, pair, 0, SIZE);
    tcp_pair(pair);
    whole("tcp, a part", file, pair, 4095, 100001);
    tcp_pair(pair);
    whole("tcp, more than there is", file, pair, SIZE - 100, 1000);
    tcp_pair(pair);
    whole("tcp, from behind the end", file, pair, SIZE + 5, 10);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    whole("unix", file, pair, 3, SIZE - 3);
    int ends[2];
    pipe(ends);
    whole("pipe", file, (int[]){ ends[1], ends[0] }, 1, 200000);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    printf("without offset: %zd", sendfile(pair[0], file, NULL, 1000));
    printf(", position %ld\n", (long)lseek(file, 0, SEEK_CUR));
    lseek(file, 0, SEEK_END);
    printf("at the end: %zd\n", sendfile(pair[0], file, NULL, 1000));

    /* A full socket that does not block. */
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    off_t offset = 0;
    ssize_t count = 0;
    for (int turn = 0; turn < 1000 && (count = sendfile(pair[0], file, &offset, SIZE)) > 0; turn++)
        offset = 0;
    printf("full: %zd, %s\n", count, strerror(errno));
    shutdown(pair[1], SHUT_RD);
    close(pair[1]);
    signal(SIGPIPE, SIG_IGN);
    count = sendfile(pair[0], file, &offset, 10);
    printf("nobody reads: %zd, %s\n", count, strerror(errno));
    unlink(path);
    return 0;
}
