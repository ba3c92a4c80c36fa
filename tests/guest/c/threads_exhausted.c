/* Guest only: makes threads until there are no more, twice; an error, never a hang, and the second time as
 * many. */
#include "t.h"
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static void *parked(void *a) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return a;
}
static pthread_t all[40000];
static long fill(int *error) {
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 64 << 10);
    pthread_mutex_lock(&gate);
    long n = 0;
    for (*error = 0; n < 40000 && !(*error = pthread_create(&all[n], &a, parked, NULL)); n++) {
    }
    pthread_mutex_unlock(&gate);
    for (long i = 0; i < n; i++) {
        pthread_join(all[i], NULL);
    }
    return n;
}
int main(void) {
    int first_error, second_error;
    long first = fill(&first_error), second = fill(&second_error);
    printf("%s %s\n", errno_name(first_error), errno_name(second_error));
    IS(first > 1000);
    IS(labs(first - second) < first / 20);
    fprintf(stderr, "%ld threads, then %ld\n", first, second);
    return 0;
}
