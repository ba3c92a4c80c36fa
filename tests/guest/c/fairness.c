/* Guest only: N runnable threads (argument, default 2000) count for some seconds (second argument); prints
 * how evenly they ran: least and most, and Jain's index (1 is perfectly even). */
#include "t.h"
#include <sys/sysinfo.h>
static volatile int go;
/* All pass it at once: a mutex would be handed on by threads that wait for their turn to run. */
static pthread_barrier_t gate;
static struct {
    volatile unsigned long n;
    char pad[56];
} counts[10000];
static void *count(void *a) {
    long me = (long)a;
    pthread_barrier_wait(&gate);
    while (go != 2) {
        counts[me].n++;
    }
    return NULL;
}
int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 2000, seconds = argc > 2 ? atol(argv[2]) : 20;
    pthread_t *all = calloc((size_t)n, sizeof *all);
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 64 << 10);
    pthread_barrier_init(&gate, NULL, (unsigned)n + 1);
    for (long i = 0; i < n; i++) {
        int e = pthread_create(&all[i], &a, count, (void *)i);
        if (e) {
            printf("thread %ld: %s\n", i, errno_name(e));
            return 1;
        }
    }
    struct sysinfo s;
    sysinfo(&s);
    printf("%ld threads; %lu KiB free\n", n, s.freeram * s.mem_unit / 1024);
    pthread_barrier_wait(&gate);
    sleep_ms(seconds * 1000);
    go = 2;
    for (long i = 0; i < n; i++) {
        pthread_join(all[i], NULL);
    }
    double sum = 0, squares = 0, least = 1e30, most = 0;
    for (long i = 0; i < n; i++) {
        double c = (double)counts[i].n;
        sum += c;
        squares += c * c;
        if (c < least) least = c;
        if (c > most) most = c;
    }
    printf("least %.2f, most %.2f of the mean; Jain %.4f\n", least * (double)n / sum, most * (double)n / sum,
           sum * sum / ((double)n * squares));
    printf("every thread made progress: %s\n", least > 0 ? "yes" : "NO");
    return 0;
}
