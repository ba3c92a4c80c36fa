/* The address space: one region of pages in which everything happens. */
#include "fuzz.h"

static const struct name protections[] = {N(PROT_NONE),
                                          N(PROT_READ),
                                          N(PROT_READ | PROT_WRITE),
                                          N(PROT_READ | PROT_WRITE),
                                          N(PROT_READ | PROT_EXEC),
                                          N(PROT_WRITE),
                                          N(PROT_READ | PROT_WRITE | PROT_EXEC)};

static int locked;
static long pages(void) { return 1 + (once_in(3) ? below(REGION_PAGES) : below(4)); }
static long start(void) { return below(REGION_PAGES); }

/* A range, mostly inside the region. The wrong lengths wrap: madvise goes on behind a hole, through all that
 * is mapped. */
static void range(char **address, size_t *length) {
    long first = start(), count = pages();
    if (first + count > REGION_PAGES) count = REGION_PAGES - first;
    *address = REGION + first * PAGE;
    *length = count * PAGE;
    if (once_in(25)) *address += PICK(1, 2048, 4095);
    if (once_in(25)) *length = PICK(0, 1, 100, -1, -4096);
    /* Nothing but the region may be hit. */
    if ((uintptr_t)*address % PAGE == 0 && *length > (size_t)count * PAGE && *length < 1UL << 47)
        *length = PAGE;
    say("R+%#lx, %#lx", *address - REGION, *length);
}

static void do_mmap(void) {
    char *address;
    size_t length;
    say("mmap(");
    range(&address, &length);
    const char *protection_text;
    long protection = CHOOSE(protections, &protection_text);
    static const struct name kinds[] = {N(MAP_PRIVATE), N(MAP_PRIVATE),         N(MAP_PRIVATE),
                                        N(MAP_SHARED),  N(MAP_SHARED_VALIDATE), N(0)};
    static const struct name places[] = {N(MAP_FIXED), N(MAP_FIXED), N(MAP_FIXED), N(MAP_FIXED_NOREPLACE),
                                         N(0)};
    static const struct name more[] = {N(MAP_NORESERVE), N(MAP_POPULATE), N(MAP_STACK), N(MAP_NONBLOCK)};
    const char *kind_text, *place_text;
    char more_text[256];
    long kind = once_in(10) ? CHOOSE(kinds, &kind_text) : choose(kinds, 4, &kind_text);
    long place = CHOOSE(places, &place_text), rest = FLAGS(more, 8, more_text);
    int is_anonymous = !once_in(3), fd = is_anonymous ? -1 : descriptor();
    long offset = is_anonymous ? 0 : once_in(15) ? PICK(1, 2048, -4096, 1L << 62) : (long)below(6) * PAGE;
    /* A length that wraps or ends the address space must not replace what lies behind the region. */
    if (place == MAP_FIXED && length > REGION_PAGES * (size_t)PAGE && length < 1UL << 47) place = 0;
    say(", %s, %s|%s|%s%s, %d, %#lx)", protection_text, kind_text, place_text, more_text,
        is_anonymous ? "|MAP_ANONYMOUS" : "", fd, offset);
    /* Since 6.16 nameless objects refuse to be executed before they refuse to be mapped. */
    struct stat status;
    if (!is_anonymous && (fstat(fd, &status) || !S_ISREG(status.st_mode))) protection &= ~PROT_EXEC;
    long flag = kind | place | rest | (is_anonymous ? MAP_ANONYMOUS : 0);
    char *got = mmap(address, length, protection, flag, fd, offset);
    if (got == MAP_FAILED) {
        result(-1);
    } else if (got == address) {
        say(" = there");
    } else {
        say(" = elsewhere");
        munmap(got, length);
    }
}
static void do_munmap(void) {
    char *address;
    size_t length;
    say("munmap(");
    range(&address, &length);
    say(")");
    result(munmap(address, length));
}
static void do_mprotect(void) {
    char *address;
    size_t length;
    const char *text;
    say("mprotect(");
    range(&address, &length);
    long protection = once_in(30) ? 0x40 : CHOOSE(protections, &text);
    if (protection == 0x40) text = "0x40";
    say(", %s)", text);
    result(mprotect(address, length, protection));
}
static void do_mremap(void) {
    char *address;
    size_t length;
    say("mremap(");
    range(&address, &length);
    size_t new_length = pages() * PAGE;
    if (once_in(20)) new_length = PICK(0, 1, -1, 1L << 47);
    static const struct name how[] = {N(0),
                                      N(MREMAP_MAYMOVE),
                                      N(MREMAP_MAYMOVE | MREMAP_FIXED),
                                      N(MREMAP_MAYMOVE | MREMAP_FIXED),
                                      N(MREMAP_FIXED),
                                      N(MREMAP_DONTUNMAP),
                                      N(MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
                                      N(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)};
    const char *text;
    long flag = CHOOSE(how, &text);
    long first = start();
    if (new_length <= REGION_PAGES * (size_t)PAGE && first * PAGE + (long)new_length > REGION_PAGES * PAGE)
        first = 0;
    /* Since Linux 6.17 a move may span areas; the guest reports 6.1: EFAULT. A page is of one. */
    if (flag & (MREMAP_FIXED | MREMAP_DONTUNMAP) && (length + PAGE - 1) / PAGE * PAGE == new_length)
        length = new_length = PAGE;
    /* Which neighbours are one area depends on how they came to be, on Linux. */
    if (length < 1UL << 47 && length > PAGE && (flag & MREMAP_FIXED || new_length > length)) length = PAGE;
    /* Linux empties the target before it finds that such a length cannot be. */
    if (flag & MREMAP_FIXED && length >= 1UL << 47) length = PAGE;
    char *target = REGION + first * PAGE + (once_in(30) ? 100 : 0);
    /* Without MREMAP_FIXED it is a hint. */
    if (flag & MREMAP_DONTUNMAP && !(flag & MREMAP_FIXED)) target = NULL;
    say(" now %#lx, %#lx, %s, R+%#lx)", length, new_length, text, target ? target - REGION : 0);
    /* In place the region's end must hold; growth behind it is another's memory. */
    if (!(flag & MREMAP_FIXED) && new_length < 1UL << 47 &&
        address + new_length > REGION + REGION_PAGES * PAGE) {
        say(" left out");
        return;
    }
    char *got = mremap(address, length, new_length, flag, target);
    if (got == MAP_FAILED) {
        result(-1);
    } else if (got >= REGION && got < REGION + REGION_PAGES * PAGE) {
        say(" = R+%#lx", got - REGION);
    } else {
        say(" = elsewhere");
        munmap(got, new_length);
    }
}
static void do_madvise(void) {
    static const struct name advices[] = {
        N(MADV_NORMAL),         N(MADV_RANDOM),   N(MADV_SEQUENTIAL), N(MADV_WILLNEED),
        N(MADV_DONTNEED),       N(MADV_DONTNEED), N(MADV_DONTNEED),   N(MADV_REMOVE),
        N(MADV_DONTFORK),       N(MADV_DOFORK),   N(MADV_COLD),       N(MADV_POPULATE_READ),
        N(MADV_POPULATE_WRITE), N(MADV_DONTDUMP), N(MADV_DODUMP),     {1234, "1234"}};
    char *address;
    size_t length;
    const char *text;
    say("madvise(");
    range(&address, &length);
    long advice = CHOOSE(advices, &text);
    /* Linux refuses to discard what is locked; locks are not kept here. */
    if (locked && (advice == MADV_DONTNEED || advice == MADV_REMOVE || advice == MADV_COLD))
        advice = MADV_NORMAL, text = "MADV_NORMAL";
    say(", %s)", text);
    result(madvise(address, length, advice));
}
static void do_mincore(void) {
    /* A lock brings pages in, also by a later mprotect; locks are not kept here. What fallocate reserved is
     * not resident on Linux before somebody touches it. */
    if (locked || reserved) {
        say("mincore left out");
        return;
    }
    char *address;
    size_t length;
    unsigned char there[REGION_PAGES + 2];
    say("mincore(");
    range(&address, &length);
    say(")");
    if (length > REGION_PAGES * (size_t)PAGE && length < 1UL << 47) length = PAGE;
    memset(there, 9, sizeof there);
    if (result(mincore(address, length, there)) == 0) {
        say(" ");
        for (size_t i = 0; i < (length + PAGE - 1) / PAGE; i++) say("%d", there[i] & 1);
    }
}
static void do_msync(void) {
    char *address;
    size_t length;
    say("msync(");
    range(&address, &length);
    long flag = PICK(MS_ASYNC, MS_SYNC, MS_INVALIDATE, MS_SYNC | MS_ASYNC, MS_SYNC | MS_INVALIDATE, 0, 64);
    /* Linux refuses to invalidate what is locked; nothing is ever written out here, and locks are not kept.
     */
    if (locked) flag &= ~MS_INVALIDATE;
    say(", %ld)", flag);
    result(msync(address, length, flag));
}
static void do_mlock(void) {
    char *address;
    size_t length;
    int is_lock = once_in(2);
    locked |= is_lock;
    say("%s(", is_lock ? "mlock" : "munlock");
    range(&address, &length);
    say(")");
    result(is_lock ? mlock(address, length) : munlock(address, length));
}

/* Runs an access; tells the fault, if there is one. */
static int try_access(char *address, int is_write, uint8_t value, uint8_t *found) {
    if (sigsetjmp(on_fault, 1)) {
        faults_expected = 0;
        return 0;
    }
    faults_expected = 1;
    if (is_write)
        *(volatile uint8_t *)address = value;
    else
        *found = *(volatile uint8_t *)address;
    faults_expected = 0;
    return 1;
}
static void do_access(void) {
    int is_write = !once_in(3);
    uint8_t found = 0, value = stamp();
    char *address = REGION + start() * PAGE + PICK(0, 7, 2048, 4095);
    if (is_write)
        say("R[%#lx] = %d", address - REGION, value);
    else
        say("R[%#lx]", address - REGION);
    if (!try_access(address, is_write, value, &found))
        say(": signal %d code %d at R+%#lx", fault.si_signo, fault.si_code, (char *)fault.si_addr - REGION);
    else if (!is_write)
        say(" = %d", found);
}
/* Stores to every page of a range. */
static void do_fill(void) {
    long first = start(), count = pages(), done = 0;
    say("fill pages %ld to %ld", first, first + count - 1);
    for (long page = first; page < first + count && page < REGION_PAGES; page++)
        done += try_access(REGION + page * PAGE, 1, stamp(), NULL);
    say(" = %ld", done);
}
/* All pages: their first bytes, or what kind of fault. */
static void do_look(void) {
    say("look:");
    for (long page = 0; page < REGION_PAGES; page++) {
        uint8_t first = 0, middle = 0;
        if (!try_access(REGION + page * PAGE, 0, 0, &first) ||
            !try_access(REGION + page * PAGE + 2048, 0, 0, &middle))
            say(fault.si_signo == SIGBUS ? " bus" : fault.si_code == SEGV_ACCERR ? " acc" : " map");
        else
            say(" %x.%x", first, middle);
    }
}
/* /proc/self/maps of the region, neighbours joined where nothing tells them apart. */
static void do_maps(void) {
    static char text[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY);
    if (fd < 0) {
        result(-1);
        return;
    }
    long length = 0, got;
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(fd);
    text[length] = 0;
    say("maps:");
    unsigned long last_end = 0, last_offset = 0;
    char last_mode[8] = "";
    for (char *at = text, *next; (next = strchr(at, '\n')); at = next + 1) {
        unsigned long from, to, offset, inode;
        char mode[8];
        if (sscanf(at, "%lx-%lx %7s %lx %*s %lu", &from, &to, mode, &offset, &inode) != 5) continue;
        if (from < (unsigned long)REGION || to > (unsigned long)REGION + REGION_PAGES * PAGE) continue;
        int is_anonymous = mode[3] == 'p' && inode == 0;
        int joins = from == last_end && !strcmp(mode, last_mode) &&
                    (is_anonymous ? last_offset == 0 : offset == last_offset);
        if (!joins) say(" %lx%s", (from - (unsigned long)REGION) / PAGE, mode);
        last_end = to;
        last_offset = is_anonymous ? 0 : offset + (to - from);
        strcpy(last_mode, mode);
    }
}
/* Whether each page of a range inside the region can be read. */
static int is_readable(char *address, long count) {
    if (address < REGION || address >= REGION + REGION_PAGES * PAGE) return 0;
    uint8_t byte;
    for (char *at = address; at < address + count && at < REGION + REGION_PAGES * PAGE;
         at = (char *)(((uintptr_t)at / PAGE + 1) * PAGE))
        if (!try_access(at, 0, 0, &byte)) return 0;
    return 1;
}
/* A call of the kernel touches the region. */
static void do_copy(void) {
    int fd = descriptor(), kind = below(4);
    static const char *const names[] = {"pread", "pwrite", "read", "write"};
    long count = PICK(1, 8, 100, 4096, 5000, 12288, 40000), offset = small_offset();
    if (fd < 3) fd = 3;
    say("%s(%d, ", names[kind], fd);
    char *at = pointer();
    /* Since 6.9 a counter takes 8 bytes and no more; what cannot be written refuses before it looks at the
     * address. */
    if (is_nameless(fd)) fd = -1;
    /* Linux's tmpfs keeps the page for which a write was refused with EFAULT. */
    struct stat status;
    if (kind & 1 && !fstat(fd, &status) && S_ISREG(status.st_mode) && !is_readable(at, count)) fd = -1;
    say(", %ld, %ld)", count, offset);
    if (at >= REGION && at < REGION + REGION_PAGES * PAGE && at + count > REGION + REGION_PAGES * PAGE)
        count = REGION + REGION_PAGES * PAGE - at;
    result(kind == 0   ? pread(fd, at, count, offset)
           : kind == 1 ? pwrite(fd, at, count, offset)
           : kind == 2 ? read(fd, at, count)
                       : write(fd, at, count));
}
static void do_memfd(void) {
    long flag = PICK(0, MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_ALLOW_SEALING | MFD_CLOEXEC, 0x80),
         size = below(10) * PAGE;
    say("memfd_create(%#lx)", flag);
    int fd = result(memfd_create("fuzz", flag));
    if (fd > 15) close(fd);
    if (fd < 0 || fd > 15) return;
    say(" ftruncate(%ld)", size);
    result(ftruncate(fd, size));
    for (long page = 0; page < size / PAGE; page++) {
        uint8_t byte = stamp() + page;
        pwrite(fd, &byte, 1, page * PAGE);
    }
}

static void begin(void) {
    locked = 0;
    munlockall();
    munmap(REGION, REGION_PAGES * PAGE);
}
static const struct operation operations[] = {
    {14, do_mmap},   {5, do_munmap}, {8, do_mprotect}, {5, do_mremap},  {8, do_madvise},
    {3, do_mincore}, {2, do_msync},  {1, do_mlock},    {12, do_access}, {5, do_fill},
    {5, do_look},    {4, do_maps},   {8, do_copy},     {2, do_memfd}};
const struct family memory = {"memory", begin, begin, operations, COUNT(operations)};
