/*
 * A lock that excludes no goroutine:  recursive
 *
 * A pthread mutex belongs to a thread. A goroutine that waits with it leaves the thread to the next goroutine, and for
 * the mutex the next one is the same owner. A recursive mutex lets it in. So ten goroutines on one P are inside at the
 * same time, no call fails, and what the mutex guards is unguarded.
 *
 *   PTHREAD_MUTEX_RECURSIVE    lets all of them in
 *   PTHREAD_MUTEX_ERRORCHECK   tells: EDEADLK. Use it to find such a place
 *   PTHREAD_MUTEX_NORMAL       would hang here: without preemption the thread waits for itself
 *   gmx_rmutex                 belongs to a goroutine, and excludes the others
 *
 * std::recursive_mutex, GRecMutex, flockfile and the mutexes of SQLite are of the first kind.
 *
 *   cc recursive.c -lgomax -pthread && ./a.out
 */
#include "each.h"

#include <errno.h>
#include <pthread.h>

enum { GOROUTINES = 10, STACK = 64 << 10 };

static pthread_mutex_t of_thread;
static gmx_rmutex of_goroutine;
static int inside, most, refused; /* plain: there is one P, and nothing is preempted */

static void waits_inside(void) {
  if (++inside > most) most = inside;
  gmx_yield(); /* any wait: gmx_sleep, a channel, a socket */
  inside--;
}

static void with_pthread_mutex(int i) {
  (void)i;
  int error = pthread_mutex_lock(&of_thread);
  if (error) {
    MUST(error == EDEADLK);
    refused++;
    return;
  }
  waits_inside();
  MUST(pthread_mutex_unlock(&of_thread) == 0);
}

static void with_rmutex(int i) {
  (void)i;
  MUST(gmx_rmutex_lock(&of_goroutine, GMX_FOREVER) == GMX_OK);
  waits_inside();
  MUST(gmx_rmutex_unlock(&of_goroutine) == GMX_OK);
}

static void tries(const char *kind, void (*work)(int i), int expected) {
  most = refused = 0;
  each(GOROUTINES, STACK, work);
  printf("%-26s %2d of %d inside at once, %d refused\n", kind, most, GOROUTINES, refused);
  MUST(most == expected);
}

static void with_kind(const char *name, int kind, int expected) {
  pthread_mutexattr_t a;
  MUST(pthread_mutexattr_init(&a) == 0 && pthread_mutexattr_settype(&a, kind) == 0);
  MUST(pthread_mutex_init(&of_thread, &a) == 0 && pthread_mutexattr_destroy(&a) == 0);
  tries(name, with_pthread_mutex, expected);
  MUST(pthread_mutex_destroy(&of_thread) == 0);
}

static void run(void *arg) {
  (void)arg;
  with_kind("PTHREAD_MUTEX_RECURSIVE", PTHREAD_MUTEX_RECURSIVE, GOROUTINES);
  MUST(refused == 0);
  with_kind("PTHREAD_MUTEX_ERRORCHECK", PTHREAD_MUTEX_ERRORCHECK, 1);
  MUST(refused == GOROUTINES - 1);
  tries("gmx_rmutex", with_rmutex, 1);
}

int main(void) {
  gmx_config one = GMX_CONFIG_INIT; /* so that each run shows the same */
  one.maxprocs = 1;
  one.flags = GMX_CONFIG_PREEMPT_OFF;
  MUST(gmx_init(&one) == GMX_OK && gmx_main(run, NULL) == GMX_OK);
  return 0;
}
