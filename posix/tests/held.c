/* A G that holds a mutex, or is held, does not leave its thread in a call; and the P is free meanwhile. */
#include "shim.h"

#include <netdb.h>

static int fd[2], done;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

/* Whether a call parks: then it counts among the waits for descriptors, or for time. */
static void says(void *unused) {
  (void)unused;
  CHECK_EQ(gmx_sleep(20 * MS), GMX_OK);
  CHECK_EQ(load(&done), 0);
  CHECK_EQ(sched_stats().io_waiting, 0);
  CHECK_EQ(write(fd[1], "x", 1), 1);
}

/* A call that is made under a lock: on one P, without slices, the writer runs only if the P is given away. */
static void a_byte_comes(void) {
  char c = 0;
  int before = thread_id();
  store(&done, 0);
  gmx_g g = go_joinable(says, NULL);
  CHECK_EQ(recv(fd[0], &c, 1, 0), 1);
  store(&done, 1);
  CHECK_EQ(thread_id(), before);
  join(g);
}
static void a_byte_is_polled(void) {
  char c = 0;
  struct pollfd f = {fd[0], POLLIN, 0};
  int before = thread_id();
  store(&done, 0);
  gmx_g g = go_joinable(says, NULL);
  CHECK_EQ(poll(&f, 1, -1), 1);
  store(&done, 1);
  CHECK_EQ(recv(fd[0], &c, 1, 0), 1);
  CHECK_EQ(thread_id(), before);
  /* The join of the caller parks, and a lock is held: the G is tied to its thread by the test. */
  join(g);
}

#define UNDER(lock, unlock)               \
  do {                                    \
    CHECK_OK(gmx_lock_os_thread());       \
    CHECK_EQ(lock, 0);                    \
    a_byte_comes();                       \
    a_byte_is_polled();                   \
    CHECK_EQ(unlock, 0);                  \
    CHECK_OK(gmx_unlock_os_thread());     \
  } while (0)

static void no_call_parks_under_a_lock(void) {
  struct timespec hour = {0, 0};
  clock_gettime(CLOCK_REALTIME, &hour);
  hour.tv_sec += 3600;
  shim_pair(fd, UNIX);
  UNDER(pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex));
  UNDER(pthread_mutex_trylock(&mutex), pthread_mutex_unlock(&mutex));
  UNDER(pthread_mutex_timedlock(&mutex, &hour), pthread_mutex_unlock(&mutex));
  UNDER(pthread_mutex_clocklock(&mutex, CLOCK_REALTIME, &hour), pthread_mutex_unlock(&mutex));
  UNDER(pthread_rwlock_rdlock(&rwlock), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_tryrdlock(&rwlock), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_timedrdlock(&rwlock, &hour), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_clockrdlock(&rwlock, CLOCK_REALTIME, &hour), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_wrlock(&rwlock), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_trywrlock(&rwlock), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_timedwrlock(&rwlock, &hour), pthread_rwlock_unlock(&rwlock));
  UNDER(pthread_rwlock_clockwrlock(&rwlock, CLOCK_REALTIME, &hour), pthread_rwlock_unlock(&rwlock));
  UNDER(gmx_posix_hold(), gmx_posix_release());
  CHECK_OK(gmx_posix_hold());
  UNDER(gmx_posix_hold(), gmx_posix_release());
  CHECK_OK(gmx_posix_release());
  CHECK_STATUS(gmx_posix_release(), GMX_EPERM);
  /* A lock that is not taken does not count. */
  CHECK_EQ(pthread_mutex_lock(&mutex), 0);
  CHECK_EQ(pthread_mutex_trylock(&mutex), EBUSY);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
  close(fd[0]);
  close(fd[1]);
}

static void receives(void *unused) {
  char c;
  (void)unused;
  CHECK_EQ(recv(fd[0], &c, 1, 0), 1);
}
static void it_parks_again_after_the_lock(void) {
  shim_pair(fd, UNIX);
  gmx_g g = go_joinable(receives, NULL);
  when_waiting(1);
  CHECK_EQ(write(fd[1], "x", 1), 1);
  join(g);
  close(fd[0]);
  close(fd[1]);
}

static void the_other_calls_stay_too(void) {
  struct timespec ms = {0, 1000000};
  struct sockaddr_in at;
  struct addrinfo *list;
  int before = thread_id();
  CHECK_OK(gmx_posix_hold());
  CHECK_EQ(usleep(1000), 0);
  CHECK_EQ(nanosleep(&ms, NULL), 0);
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL), 0);
  CHECK_EQ(sleep(0), 0);
  int l = listener(&at, 4), c = connect_to(&at), a = accept(l, NULL, NULL);
  CHECK_CMP(a, >=, 0);
  CHECK_EQ(write(c, "abc", 3), 3);
  char got[4];
  CHECK_EQ(read(a, got, sizeof got), 3);
  close(l);
  close(c);
  close(a);
  CHECK_EQ(getaddrinfo("localhost", NULL, NULL, &list), 0);
  freeaddrinfo(list);
  CHECK_EQ(select(0, NULL, NULL, NULL, &(struct timeval){0, 1000}), 0);
  CHECK_OK(gmx_posix_release());
  CHECK_EQ(thread_id(), before);
}

/* ---- a library with a lock around its calls, used by many Gs ---- */

enum { GS = 16, ROUNDS = 300 };
static int pairs[GS][2], inside;

static void echoes(void *index) {
  int *pair = pairs[(intptr_t)index];
  char c;
  while (recv(pair[1], &c, 1, 0) == 1) CHECK_EQ(send(pair[1], &c, 1, 0), 1);
}
static void locks_and_asks(void *index) {
  int *pair = pairs[(intptr_t)index];
  for (int i = 0; i < ROUNDS; i++) {
    char c = (char)i;
    CHECK_EQ(pthread_mutex_lock(&mutex), 0);
    int thread = thread_id();
    CHECK_EQ(bump(&inside), 0);
    CHECK_EQ(send(pair[0], &c, 1, 0), 1);
    CHECK_EQ(recv(pair[0], &c, 1, 0), 1);
    CHECK_EQ(c, (char)i);
    CHECK_EQ(thread_id(), thread);
    store(&inside, 0);
    /* The kind of mutex that tells a wrong owner. */
    CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
  }
  shutdown(pair[0], SHUT_WR);
}
static void a_locked_library_works(void) {
  gmx_g gs[2 * GS];
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
  CHECK_EQ(pthread_mutex_init(&mutex, &attr), 0);
  for (intptr_t i = 0; i < GS; i++) {
    shim_pair(pairs[i], UNIX);
    gs[2 * i] = go_joinable(echoes, (void *)i);
    gs[2 * i + 1] = go_joinable(locks_and_asks, (void *)i);
  }
  join_all(gs, 2 * GS);
  for (int i = 0; i < GS; i++) {
    close(pairs[i][0]);
    close(pairs[i][1]);
  }
}

/* On one P, without slices: the owner can unlock only if the waiter has given the P away. */
static void unlocks_later(void *kind) {
  bool write = *(int *)kind == 2;
  if (*(int *)kind == 0) CHECK_EQ(pthread_mutex_lock(&mutex), 0);
  else CHECK_EQ(write ? pthread_rwlock_wrlock(&rwlock) : pthread_rwlock_rdlock(&rwlock), 0);
  store(&inside, 1);
  CHECK_OK(gmx_lock_os_thread());
  while (!load(&done)) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(5 * MS));
  store(&inside, 0);
  CHECK_EQ(*(int *)kind == 0 ? pthread_mutex_unlock(&mutex) : pthread_rwlock_unlock(&rwlock), 0);
  CHECK_OK(gmx_unlock_os_thread());
}
static void a_lock_is_waited_for_without_a_p(void) {
  for (int kind = 0; kind < 3; kind++) {
    store(&done, 0);
    gmx_g g = go_joinable(unlocks_later, &kind);
    spin_until(load(&inside));
    store(&done, 1);
    int thread = thread_id();
    if (kind == 0) CHECK_EQ(pthread_mutex_lock(&mutex), 0);
    else CHECK_EQ(kind == 2 ? pthread_rwlock_rdlock(&rwlock) : pthread_rwlock_wrlock(&rwlock), 0);
    CHECK_EQ(load(&inside), 0);
    CHECK_EQ(thread_id(), thread);
    CHECK_EQ(kind == 0 ? pthread_mutex_unlock(&mutex) : pthread_rwlock_unlock(&rwlock), 0);
    join(g);
  }
}

int main(void) {
  CHECK_STATUS(gmx_posix_hold(), GMX_ENOTG);
  begin_parked();
  RUN_G(no_call_parks_under_a_lock);
  RUN_G(it_parks_again_after_the_lock);
  RUN_G(the_other_calls_stay_too);
  RUN_G(it_parks_again_after_the_lock);
  end_all();
  begin_shared(4);
  RUN_G(no_call_parks_under_a_lock);
  RUN_G(it_parks_again_after_the_lock);
  RUN_G(a_locked_library_works);
  RUN_G(it_parks_again_after_the_lock);
  end_all();
  begin_parked();
  CHECK_OK(gmx_posix_enable(GMX_POSIX_ALL | GMX_POSIX_LOCKS));
  RUN_G(a_locked_library_works);
  RUN_G(no_call_parks_under_a_lock);
  RUN_G(a_lock_is_waited_for_without_a_p);
  end_all();
  return 0;
}
