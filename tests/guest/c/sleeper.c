/* Guest only: says that it is up, then waits for a signal or for ever. With "hook", SIGINT and SIGTERM are
 * caught and end it with status 40 or 41. */
#include "t.h"
static void caught(int s) { _exit(s == SIGINT ? 40 : 41); }
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "hook")) {
        signal(SIGINT, caught);
        signal(SIGTERM, caught);
    }
    if (argc > 1 && !strcmp(argv[1], "stubborn")) {
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
    }
    printf("up\n");
    for (;;) sleep(3600);
}
