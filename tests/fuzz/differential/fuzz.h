/* The differential fuzzer: seeded sequences of calls with arguments of the right types, one printed line a
 * call. The same program runs on Linux and in the guest; the first line that differs is a difference of the
 * kernels.
 *
 * Every call draws from a generator of its own, seeded by (seed, round, index of the call), and names what it
 * works on by slots (descriptor numbers 3 to 15, pages of one region, a few paths). So a sequence stays
 * meaningful when calls are left out, which is how the harness shrinks it. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A number below `n`, from the current call's generator. */
uint32_t below(uint32_t n);
/* One call in `n`. */
int once_in(uint32_t n);
/* One of the values. */
#define PICK(...)                                                                                            \
    ({                                                                                                       \
        static const long picks[] = {__VA_ARGS__};                                                           \
        picks[below(COUNT(picks))];                                                                          \
    })

/* A constant and its name, or several as flags. */
struct name {
    long value;
    const char *text;
};
#define N(constant)                                                                                          \
    { constant, #constant }
/* Draws a constant; its text is in `text`. */
long choose(const struct name *names, unsigned count, const char **text);
/* Draws a few flags (each one in `odds`); their text is in `text`. */
long flags(const struct name *names, unsigned count, unsigned odds, char text[256]);
#define CHOOSE(names, text) choose(names, COUNT(names), text)
#define FLAGS(names, odds, text) flags(names, COUNT(names), odds, text)

/* Adds to the current call's line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Adds " = value", or the error's name; gives the value. */
long result(long value);
/* The same, but of success only that it is one: the value differs from run to run. */
long success(long value);

/* An operation and how often it is drawn. */
struct operation {
    unsigned weight;
    void (*run)(void);
};
/* A family: what it needs at a round's start and end, and its operations. */
struct family {
    const char *name;
    void (*begin)(void);
    void (*end)(void);
    const struct operation *operations;
    unsigned count;
};
extern const struct family memory, files, descriptors, signals, futexes, timing;

/* A descriptor: mostly of 3 to 15. */
int descriptor(void);
/* Whether it is one of Linux's nameless objects: "eventpoll", "eventfd". */
int descriptor_is(int fd, const char *what);
/* Whether it is one of those at all. */
int is_nameless(int fd);
/* Whether it is a SOCK_SEQPACKET socket. */
int is_sequenced(int fd);
/* Whether something was reserved by fallocate. */
extern int reserved;
/* A byte that names the call. */
uint8_t stamp(void);
/* A file offset or length: mostly small, sometimes odd. */
long small_offset(void);
/* A buffer of 64 KiB. */
extern uint8_t buffer[1 << 16];
/* Adds a checksum of `count` bytes of `buffer`. */
void say_bytes(long count);

/* The region that the memory family works on; other families may pass pointers into it. */
#define REGION ((char *)0x200100000)
#define REGION_PAGES 32
/* A pointer into the region, told as its offset, or now and then a bad one. */
char *pointer(void);
/* Where a fault of the fuzzer's own access goes on; `fault` says what it was. */
extern sigjmp_buf on_fault;
extern volatile sig_atomic_t faults_expected;
extern siginfo_t fault;
