/* Extended attributes of the user and trusted namespaces on /tmp. */
#include "t.h"
#include <sys/xattr.h>
int main(void) {
    fresh_dir();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    char b[64] = "";
    TRY(setxattr("f", "user.one", "value", 5, 0));
    TRY(setxattr("f", "user.one", "v2", 2, XATTR_CREATE));
    TRY(setxattr("f", "user.two", "x", 1, XATTR_REPLACE));
    TRY(fsetxattr(fd, "user.two", "", 0, 0));
    VAL(getxattr("f", "user.one", NULL, 0));
    VAL(getxattr("f", "user.one", b, 64));
    puts(b);
    TRY(getxattr("f", "user.one", b, 2));
    TRY(fgetxattr(fd, "user.none", b, 64));
    VAL(fgetxattr(fd, "user.two", b, 64));
    VAL(listxattr("f", NULL, 0));
    VAL(flistxattr(fd, b, 64));
    TRY(listxattr("f", b, 3));
    TRY(fremovexattr(fd, "user.one"));
    TRY(removexattr("f", "user.one"));
    VAL(listxattr("f", b, 64));
    puts(b);
    TRY(setxattr("f", "nonsense.x", "v", 1, 0));
    TRY(setxattr("f", "", "v", 1, 0));
    TRY(getxattr("missing", "user.x", b, 64));
    TRY(setxattr("f", "user.x", (void *)8, 4, 0));
    TRY(setxattr("f", "user.x", "v", 1, 9));
    unlink("f");
    remove_dir();
    return 0;
}
