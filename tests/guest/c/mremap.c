/* mremap(2): in place, moving, shrinking, to a fixed address, and the refusals. */
#include "t.h"
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
static int same(const char *p, int n) {
    for (int i = 0; i < n; i++)
        if (p[i * PAGE] != i + 1) return 0;
    return 1;
}
static void fill(char *p, int n) {
    for (int i = 0; i < n; i++) p[i * PAGE] = (char)(i + 1);
}
int main(void) {
    char *room = pages(64, PROT_NONE), *p = room;
    munmap(room, 64 * PAGE);
    p = mmap(room, 4 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    fill(p, 4);
    IS(mremap(p, 4 * PAGE, 8 * PAGE, 0) == p);
    IS(same(p, 4) && p[4 * PAGE] == 0);
    IS(mremap(p, 8 * PAGE, 2 * PAGE, 0) == p);
    IS(same(p, 2));
    mmap(room + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    TRY(mremap(p, 2 * PAGE, 4 * PAGE, 0));
    char *q = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    IS(q != MAP_FAILED && q != p && same(q, 2) && q[3 * PAGE] == 0);
    IS(mmap(p, 2 * PAGE, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p);
    fill(q, 4);
    char *r = mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 32 * PAGE);
    IS(r == room + 32 * PAGE && same(r, 4));
    r = mremap(r + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 48 * PAGE);
    IS(r == room + 48 * PAGE && r[0] == 2 && r[PAGE] == 3);
    IS(room[32 * PAGE] == 1 && room[35 * PAGE] == 4);
    TRY(mremap(room + 32 * PAGE, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    TRY(mremap(r + 1, PAGE, PAGE, 0));
    TRY(mremap(r, PAGE, 0, 0));
    TRY(mremap(r, PAGE, PAGE, MREMAP_FIXED, room));
    TRY(mremap(r, PAGE, PAGE, 0x100));
    TRY(mremap(r, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r + PAGE));
    int fd = memfd_create("m", 0);
    ftruncate(fd, 4 * PAGE);
    char *s = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fill(s, 4);
    char *t = mremap(s, 0, 4 * PAGE, MREMAP_MAYMOVE); /* a second view of a shared mapping */
    IS(t != MAP_FAILED && t != s && same(t, 4));
    s[0] = 9;
    VAL(t[0]);
    /* A large block, as realloc moves it. */
    char *big = malloc(8 << 20);
    memset(big, 5, 8 << 20);
    big = realloc(big, 64 << 20);
    IS(big[(8 << 20) - 1] == 5 && big[40 << 20] == 0);
    return 0;
}
