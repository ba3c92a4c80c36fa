/* Splitting and merging of areas, as /proc/self/maps shows it: the same counts after each step. */
#include "t.h"
static char *base;
enum { N = 64 };
static void show(const char *step) {
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], out[2048] = "";
    int n = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long a, b;
        char perm[5];
        if (sscanf(line, "%lx-%lx %4s", &a, &b, perm) != 3 || b <= (unsigned long)base ||
            a >= (unsigned long)base + N * PAGE)
            continue;
        n++;
        sprintf(out + strlen(out), " %ld+%ld:%s", (long)(a - (unsigned long)base) / PAGE,
                (long)(b - a) / PAGE, perm);
    }
    fclose(f);
    printf("%-22s %d%s\n", step, n, out);
}
static void map(int at, int len, int prot, int more) {
    if (mmap(base + at * PAGE, len * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | more, -1, 0) ==
        MAP_FAILED)
        printf("mmap: %s\n", errno_name(errno));
}
static void prot(int at, int len, int p) {
    if (mprotect(base + at * PAGE, len * PAGE, p)) printf("mprotect: %s\n", errno_name(errno));
}
int main(void) {
    /* Room on both sides, so that nothing outside merges with the window. */
    char *room = mmap(NULL, (N + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    base = room + PAGE;
    munmap(room, PAGE);
    munmap(base + N * PAGE, PAGE);
    show("reserve");
    map(8, 8, PROT_READ | PROT_WRITE, 0);
    show("commit 8..16");
    map(16, 8, PROT_READ | PROT_WRITE, 0);
    show("commit 16..24");
    map(12, 2, PROT_NONE, MAP_NORESERVE);
    show("uncommit 12..14");
    map(12, 2, PROT_READ | PROT_WRITE, 0);
    show("commit again");
    prot(10, 1, PROT_NONE);
    show("guard at 10");
    prot(10, 1, PROT_READ | PROT_WRITE);
    show("guard lifted");
    prot(8, 16, PROT_READ | PROT_WRITE | PROT_EXEC);
    show("rwx");
    prot(8, 16, PROT_NONE);
    show("none, accounted");
    map(8, 16, PROT_NONE, MAP_NORESERVE);
    show("none, noreserve");
    munmap(base + 20 * PAGE, 4 * PAGE);
    show("hole 20..24");
    munmap(base + 18 * PAGE, 8 * PAGE);
    show("hole widened");
    map(18, 8, PROT_NONE, MAP_NORESERVE);
    show("hole filled");
    for (int i = 0; i < N; i += 2) prot(i, 1, PROT_READ);
    show("stripes");
    prot(0, N, PROT_READ);
    show("one again");
    errno = 0;
    munmap(base + 4 * PAGE, PAGE);
    TRY(mprotect(base, N * PAGE, PROT_READ | PROT_WRITE));
    show("mprotect over a hole");
    TRY(mprotect(base + 1, PAGE, PROT_READ));
    TRY(mprotect(base, 0, PROT_READ));
    TRY(mprotect(base + 4 * PAGE, PAGE, PROT_READ));
    TRY(mprotect(base, PAGE, 0x80));
    return 0;
}
