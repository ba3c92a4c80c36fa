/* brk(2): growing, shrinking, zeroes after regrowth; the special areas of /proc/self/maps. */
#include "t.h"
static char maps[1 << 16];
static int lines_with(const char *what) {
    int n = 0;
    for (char *p = maps; (p = strstr(p, what)); p++) n++;
    return n;
}
int main(void) {
    printf("start\n"); /* stdio's buffer exists from here on: malloc leaves the break alone */
    char *b = (char *)syscall(SYS_brk, 0);
    IS((char *)syscall(SYS_brk, b + 40 * PAGE) == b + 40 * PAGE);
    memset(b, 3, 40 * PAGE);
    IS((char *)syscall(SYS_brk, b + 8 * PAGE) == b + 8 * PAGE);
    VAL(b[8 * PAGE - 1]);
    IS((char *)syscall(SYS_brk, b + 40 * PAGE) == b + 40 * PAGE);
    VAL(b[20 * PAGE]);
    IS((char *)syscall(SYS_brk, b + 40 * PAGE + 5) == b + 40 * PAGE + 5);
    IS((char *)syscall(SYS_brk, 1) == b + 40 * PAGE + 5);
    IS((char *)syscall(SYS_brk, b + (1L << 46)) == b + 40 * PAGE + 5);
    int fd = open("/proc/self/maps", O_RDONLY);
    long n, at = 0;
    while ((n = read(fd, maps + at, sizeof maps - 1 - (size_t)at)) > 0) at += n;
    VAL(lines_with("[heap]"));
    VAL(lines_with("[stack]"));
    VAL(lines_with("[vdso]"));
    IS((char *)syscall(SYS_brk, b) == b);
    return 0;
}
