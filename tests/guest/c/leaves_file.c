/* Guest only: leaves a file and a directory in /tmp, then aborts; for --get. */
#include "t.h"
int main(void) {
    mkdir("/tmp/left", 0755);
    FILE *f = fopen("/tmp/left/file", "w");
    for (int i = 0; i < 10000; i++) fprintf(f, "line %d\n", i);
    fclose(f);
    abort();
}
