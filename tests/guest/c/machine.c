/* Guest only: vCPUs, total and free memory in KiB, for the boot matrix. */
#include "t.h"
#include <sys/sysinfo.h>
int main(void) {
    struct sysinfo s;
    sysinfo(&s);
    printf("%ld %lu %lu\n", sysconf(_SC_NPROCESSORS_ONLN), s.totalram * s.mem_unit / 1024,
           s.freeram * s.mem_unit / 1024);
    return 0;
}
