/* Guest only: writes lines until nobody reads them; says so on stderr and ends with status 5. */
#include "t.h"
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    for (long i = 0;; i++)
        if (printf("line %ld\n", i) < 0) {
            fprintf(stderr, "write: %s\n", errno_name(errno));
            return 5;
        }
}
