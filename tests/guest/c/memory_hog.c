/* Guest only: touches memory until there is none. It ends with status 137 and one line that says why, never
 * with a hang. */
#include "t.h"
int main(void) {
    printf("taking all memory\n");
    for (long n = 0;; n++) {
        char *p =
            mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) {
            printf("mmap refused: %s\n", errno_name(errno));
            return 3;
        }
        for (long i = 0; i < 16 << 20; i += PAGE) p[i] = (char)n;
    }
}
