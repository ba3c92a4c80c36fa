/* What madvise said of huge pages is seen in smaps: JVMs look there. */
#include "t.h"

#define MIB (1UL << 20)

/* The flags of the area that starts at `start`. */
static void show(const char *what, char *start) {
    FILE *smaps = fopen("/proc/self/smaps", "r");
    if (!smaps) exit(1);
    char line[1024];
    int is_it = 0;
    while (fgets(line, sizeof line, smaps)) {
        unsigned long from;
        char dash;
        if (sscanf(line, "%lx%c", &from, &dash) == 2 && dash == '-') is_it = from == (unsigned long)start;
        if (!is_it || strncmp(line, "VmFlags:", 8) != 0) continue;
        printf("%s:", what);
        for (char *word = strtok(line + 8, " \n"); word; word = strtok(NULL, " \n"))
            if (!strcmp(word, "hg") || !strcmp(word, "nh") || !strcmp(word, "ht")) printf(" %s", word);
        puts("");
    }
    fclose(smaps);
}

int main(void) {
    char *region = mmap(NULL, 12 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) return 1;
    /* Its neighbours are other areas. */
    TRY(mprotect(region, 2 * MIB, PROT_NONE));
    TRY(mprotect(region + 10 * MIB, 2 * MIB, PROT_NONE));
    char *at = region + 2 * MIB;
    show("new", at);
    TRY(madvise(at, 8 * MIB, MADV_HUGEPAGE));
    show("huge", at);
    TRY(madvise(at + 4 * MIB, 4 * MIB, MADV_NOHUGEPAGE));
    show("first half", at);
    show("second half", at + 4 * MIB);
    return 0;
}
