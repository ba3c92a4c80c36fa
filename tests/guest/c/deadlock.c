/* Guest only: every thread in an untimed futex wait. The run ends as a deadlock (status 122) and says so. */
#include "t.h"
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;
static void *other(void *p) {
    pthread_mutex_lock(&b);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&a);
    return p;
}
int main(void) {
    pthread_barrier_init(&both, NULL, 2);
    start(other, NULL);
    pthread_mutex_lock(&a);
    pthread_barrier_wait(&both);
    printf("about to deadlock\n");
    pthread_mutex_lock(&b);
    return 0;
}
