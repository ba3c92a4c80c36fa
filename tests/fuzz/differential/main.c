/* SEED FIRST_ROUND ROUNDS CALLS [FAMILIES [ROUND:INDEX,INDEX...]]
 * FAMILIES: names with commas, or "all". The last argument keeps only these calls of a round (shrinking). */
#include "fuzz.h"
#include <dirent.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>

uint8_t buffer[1 << 16];
sigjmp_buf on_fault;
volatile sig_atomic_t faults_expected;
siginfo_t fault;

static uint64_t generator;
static unsigned call_index;
static char line[16384];
static size_t line_length;

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}
uint32_t below(uint32_t n) {
    generator = mix(generator);
    return (generator >> 33) % n;
}
int once_in(uint32_t n) { return below(n) == 0; }
long choose(const struct name *names, unsigned count, const char **text) {
    const struct name *name = names + below(count);
    *text = name->text;
    return name->value;
}
long flags(const struct name *names, unsigned count, unsigned odds, char text[256]) {
    long value = 0;
    *text = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!once_in(odds)) continue;
        value |= names[i].value;
        if (*text) strcat(text, "|");
        strcat(text, names[i].text);
    }
    if (!*text) strcpy(text, "0");
    return value;
}

void say(const char *format, ...) {
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof line - line_length;
    int length = vsnprintf(line + line_length, room, format, arguments);
    va_end(arguments);
    line_length += (size_t)length < room ? (size_t)length : room - 1;
    errno = saved;
}
static void say_error(void) {
    const char *name = strerrorname_np(errno);
    say(" = %s", name ? name : "?");
}
long result(long value) {
    if (value == -1)
        say_error();
    else
        say(" = %ld", value);
    return value;
}
long success(long value) {
    if (value == -1)
        say_error();
    else
        say(" = ok");
    return value;
}
void say_bytes(long count) {
    if (count <= 0) return;
    uint32_t sum = 2166136261;
    for (long i = 0; i < count && i < (long)sizeof buffer; i++) sum = (sum ^ buffer[i]) * 16777619;
    say(" bytes %08x", sum);
}
int descriptor(void) {
    if (once_in(40)) return (int)PICK(-1, 99, 1 << 20, -100);
    int fd = 3 + (int)below(13);
    if (once_in(6)) return fd;
    /* The next that is open: what the call does then depends on the calls before, on both systems alike. */
    for (int i = 0; i < 13; i++) {
        int next = 3 + (fd - 3 + i) % 13;
        if (fcntl(next, F_GETFD) >= 0) return next;
    }
    return fd;
}
int descriptor_is(int fd, const char *what) {
    char path[64], target[64] = "", wanted[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(wanted, sizeof wanted, "anon_inode:[%s]", what);
    return readlink(path, target, sizeof target - 1) > 0 && !strcmp(target, wanted);
}
int is_nameless(int fd) {
    struct stat status;
    return !fstat(fd, &status) && (status.st_mode & S_IFMT) == 0;
}
/* An empty packet that nobody took was a reset when its end closed; newer kernels than 6.1 take it for
 * read. */
int is_sequenced(int fd) {
    int type = 0;
    socklen_t length = sizeof type;
    return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_SEQPACKET;
}
uint8_t stamp(void) { return (uint8_t)('A' + call_index % 57); }
long small_offset(void) {
    if (once_in(20)) return PICK(-1, 1L << 31, 1L << 40, INT64_MAX, INT64_MIN, 70000, 65536);
    return once_in(2) ? (long)below(9) * 2048 : (long)below(20000);
}
char *pointer(void) {
    if (once_in(12)) {
        long bad = PICK(0, 16, 0x800000000000, -4096, -1);
        say("%#lx", bad);
        return (char *)bad;
    }
    long offset = below(REGION_PAGES) * PAGE + PICK(0, 0, 0, 1, 8, 2048, 4088, 4095);
    say("R+%#lx", offset);
    return REGION + offset;
}

static void on_bad_access(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (!faults_expected) {
        fprintf(stderr, "the fuzzer itself faults: signal %d at %p\n", signal, info->si_addr);
        _exit(99);
    }
    fault = *info;
    siglongjmp(on_fault, 1);
}

static const struct family *const families[] = {&memory, &files, &descriptors, &signals, &futexes, &timing};
#define FAMILIES COUNT(families)

static void seed_call(uint64_t seed, unsigned round, unsigned index) {
    generator = mix(mix(mix(seed) ^ round) ^ index);
    call_index = index;
}

static void remove_tree(const char *name) {
    chmod(name, 0700);
    DIR *directory = opendir(name);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        struct stat status;
        if (lstat(path, &status)) continue;
        if (S_ISDIR(status.st_mode))
            remove_tree(path);
        else
            unlink(path);
    }
    if (directory) closedir(directory);
    rmdir(name);
}

/* Which families a round mixes: now one, now two, now all of those that were asked for. */
static unsigned mixture(unsigned wanted) {
    unsigned kind = below(4);
    if (kind == 3) return wanted;
    unsigned set = 0;
    for (unsigned i = 0; i <= kind / 2; i++) set |= 1u << below(FAMILIES);
    return set & wanted ? set & wanted : wanted;
}

static void run_call(unsigned set) {
    unsigned total = 0;
    for (unsigned i = 0; i < FAMILIES; i++) total += set >> i & 1;
    unsigned which = below(total), family = 0;
    for (;; family++) {
        if (!(set >> family & 1)) continue;
        if (which-- == 0) break;
    }
    const struct family *chosen = families[family];
    unsigned weights = 0;
    for (unsigned i = 0; i < chosen->count; i++) weights += chosen->operations[i].weight;
    unsigned at = below(weights), operation = 0;
    while (at >= chosen->operations[operation].weight) at -= chosen->operations[operation++].weight;
    chosen->operations[operation].run();
}

static int is_kept(const char *keep, unsigned index) {
    if (!keep) return 1;
    for (const char *at = keep; *at; at++) {
        if (strtoul(at, NULL, 10) == index) return 1;
        at = strchr(at, ',');
        if (!at) return 0;
    }
    return 0;
}

static void run_round(uint64_t seed, unsigned round, unsigned calls, unsigned wanted, const char *keep) {
    close_range(3, ~0u, 0);
    umask(022);
    char name[64];
    snprintf(name, sizeof name, "/tmp/fuzz-%u", round);
    if (mkdir(name, 0755) || chdir(name)) {
        perror("directory");
        _exit(98);
    }
    seed_call(seed, round, ~0u);
    unsigned set = mixture(wanted);
    printf("round %u:", round);
    for (unsigned i = 0; i < FAMILIES; i++)
        if (set >> i & 1) printf(" %s", families[i]->name);
    printf("\n");
    for (unsigned i = 0; i < FAMILIES; i++) families[i]->begin();
    for (unsigned index = 0; index < calls; index++) {
        if (!is_kept(keep, index)) continue;
        seed_call(seed, round, index);
        line_length = 0;
        say("%u.%u ", round, index);
        run_call(set);
        line[line_length] = 0;
        puts(line);
    }
    for (unsigned i = 0; i < FAMILIES; i++) families[i]->end();
    close_range(3, ~0u, 0);
    if (chdir("/tmp")) _exit(97);
    remove_tree(name);
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count < 5) {
        fprintf(stderr, "usage: %s SEED FIRST_ROUND ROUNDS CALLS [FAMILIES [INDEX,...]]\n", arguments[0]);
        return 2;
    }
    uint64_t seed = strtoull(arguments[1], NULL, 10);
    unsigned first = atoi(arguments[2]), rounds = atoi(arguments[3]), calls = atoi(arguments[4]);
    unsigned wanted = 0;
    for (unsigned i = 0; i < FAMILIES; i++)
        if (count < 6 || !strcmp(arguments[5], "all") || strstr(arguments[5], families[i]->name))
            wanted |= 1u << i;
    if (!wanted) {
        fprintf(stderr, "no such family: %s\n", arguments[5]);
        return 2;
    }
    static char output[1 << 16];
    setvbuf(stdout, output, count > 6 ? _IOLBF : _IOFBF, sizeof output);
    struct sigaction action = {.sa_sigaction = on_bad_access, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    for (unsigned round = first; round < first + rounds; round++)
        run_round(seed, round, calls, wanted, count > 6 ? arguments[6] : NULL);
    return 0;
}
