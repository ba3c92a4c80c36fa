/* Standard streams, arguments and environment as the program sees them: echo of stdin to its end, isatty,
 * kinds of file. */
#include "t.h"
#include <sys/ioctl.h>
#include <termios.h>
extern char **environ;
static int cmp(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("argument %d: [%s]\n", i, argv[i]);
    int n = 0;
    while (environ[n]) n++;
    qsort(environ, (size_t)n, sizeof *environ, cmp);
    for (int i = 0; i < n; i++)
        if (strncmp(environ[i], "_=", 2) && strncmp(environ[i], "PWD=", 4) &&
            strncmp(environ[i], "OLDPWD=", 7) && strncmp(environ[i], "SHLVL=", 6))
            printf("environment: [%s]\n", environ[i]);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        int t = isatty(i);
        printf("isatty %d: %d %s\n", i, t, errno_name(errno));
    }
    struct winsize w;
    TRY(ioctl(1, TIOCGWINSZ, &w));
    struct termios t;
    TRY(tcgetattr(0, &t));
    char cwd[256];
    puts(getcwd(cwd, sizeof cwd));
    char b[4096];
    long r, total = 0;
    unsigned long sum = 0;
    while ((r = read(0, b, sizeof b)) > 0) {
        for (long i = 0; i < r; i++) sum = sum * 31 + (unsigned char)b[i];
        total += r;
    }
    printf("read %ld bytes, hash %lx, then %ld\n", total, sum, r);
    VAL(read(0, b, 1));
    TRY(write(2, "to stderr\n", 10));
    TRY(lseek(1, 0, SEEK_SET));
    return 0;
}
