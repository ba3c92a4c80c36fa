/* Copy on write: private file pages, the zero page, private views of a shared memory file. */
#include "t.h"
int main(void) {
    fresh_dir();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    char buf[PAGE * 3];
    memset(buf, 'a', sizeof buf);
    VAL(write(fd, buf, sizeof buf));
    char *a = mmap(NULL, sizeof buf, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *b = mmap(NULL, sizeof buf, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *s = mmap(NULL, sizeof buf, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    IS(a[0] == 'a' && b[0] == 'a' && s[0] == 'a');
    a[10] = 'x';
    printf("private write: %c %c %c\n", a[10], b[10], s[10]);
    s[11] = 'y';
    printf("shared write: copied page %c, uncopied page %c\n", a[11], b[11]);
    pwrite(fd, "z", 1, PAGE + 5);
    printf("file write: %c %c %c\n", a[PAGE + 5], b[PAGE + 5], s[PAGE + 5]);
    b[PAGE] = 'q';
    pread(fd, buf, 1, PAGE);
    printf("file after private write: %c\n", buf[0]);
    mprotect(b, 3 * PAGE, PROT_READ);
    mprotect(b, 3 * PAGE, PROT_READ | PROT_WRITE);
    printf("kept over mprotect: %c %c\n", b[PAGE], b[10]);
    /* The kernel writes into an uncopied private page (read into it): also a copy. */
    lseek(fd, 0, SEEK_SET);
    VAL(read(fd, b + 2 * PAGE, 4));
    b[2 * PAGE] = 'k';
    printf("after kernel write: %c %c\n", b[2 * PAGE], s[2 * PAGE]);
    char *z = pages(4, PROT_READ | PROT_WRITE);
    long sum = 0;
    for (int i = 0; i < 4 * PAGE; i++) sum += z[i];
    VAL(sum);
    z[0] = 1;
    z[PAGE] = 2;
    printf("zero page kept: %d %d %d\n", z[0], z[PAGE], z[2 * PAGE]);
    char *big = pages(1024, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 1024; i += 3) big[i * PAGE] = (char)i;
    sum = 0;
    for (int i = 0; i < 1024; i++) sum += (unsigned char)big[i * PAGE];
    VAL(sum);
    unlink("f");
    remove_dir();
    return 0;
}
