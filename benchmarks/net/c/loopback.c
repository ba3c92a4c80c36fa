// Echo over the loopback between two threads: loopback. A line per case and round: net CASE instructions, for one hand-over
// (a send, and the wake-up of who receives; half a round trip).
//
// Under QEMU's -icount shift=0 with one vCPU the time-stamp counter is the number of executed instructions; neither thread
// ever waits for anything but the other, so no idle time is in it. Each case runs N round trips, then 2N; the difference
// counts.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 5
#define LARGEST 16384

static void die(const char *what) {
    printf("net: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

// A connection to ourselves: both ends.
static void connected(int ends[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (void *)&address, len) || listen(listener, 1)) die("listen");
    if (getsockname(listener, (void *)&address, &len)) die("getsockname");
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[0], (void *)&address, len)) die("connect");
    ends[1] = accept(listener, NULL, NULL);
    if (ends[1] < 0) die("accept");
    for (int i = 0; i < 2; i++) setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

static void send_all(int fd, const char *bytes, size_t count) {
    while (count) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0) die("write");
        bytes += done;
        count -= done;
    }
}

static void receive_all(int fd, char *bytes, size_t count) {
    while (count) {
        ssize_t done = read(fd, bytes, count);
        if (done <= 0) die("read");
        bytes += done;
        count -= done;
    }
}

struct job {
    int fd, by_epoll;
    long n;
    size_t size;
};

// The echoing end; its socket blocks, or it is told by epoll as a selector is.
static void *echo(void *argument) {
    struct job *job = argument;
    char bytes[LARGEST];
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (job->by_epoll) {
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, job->fd, &event)) die("epoll_ctl");
        if (fcntl(job->fd, F_SETFL, O_NONBLOCK)) die("fcntl");
    }
    for (long i = 0; i < job->n; i++) {
        size_t seen = 0;
        while (seen < job->size) {
            if (job->by_epoll && epoll_wait(epoll, &event, 1, -1) != 1) die("epoll_wait");
            ssize_t count = read(job->fd, bytes + seen, job->size - seen);
            if (count <= 0) die("read");
            seen += count;
        }
        send_all(job->fd, bytes, job->size);
    }
    close(epoll);
    return NULL;
}

static uint64_t round_trips(long n, size_t size, int by_epoll) {
    static char bytes[LARGEST];
    int ends[2];
    pthread_t thread;
    connected(ends);
    struct job job = {.fd = ends[1], .by_epoll = by_epoll, .n = n, .size = size};
    uint64_t start = now();
    if (pthread_create(&thread, NULL, echo, &job)) die("pthread_create");
    for (long i = 0; i < n; i++) {
        send_all(ends[0], bytes, size);
        receive_all(ends[0], bytes, size);
    }
    pthread_join(thread, NULL);
    uint64_t end = now();
    close(ends[0]);
    close(ends[1]);
    return end - start;
}

static const struct {
    const char *name;
    long n;
    size_t size;
    int by_epoll;
} CASES[] = {
    {"echo_1", 2000, 1, 0},
    {"echo_1_epoll", 2000, 1, 1},
    {"echo_16k", 500, LARGEST, 0},
};

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        long n = CASES[i].n;
        round_trips(n, CASES[i].size, CASES[i].by_epoll);
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t once = round_trips(n, CASES[i].size, CASES[i].by_epoll);
            uint64_t twice = round_trips(2 * n, CASES[i].size, CASES[i].by_epoll);
            printf("net %s %.2f\n", CASES[i].name, (double)(int64_t)(twice - once) / (2 * n));
        }
    }
    puts("net end");
    return 0;
}
