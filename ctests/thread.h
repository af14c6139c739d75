/*
 * Threads of the host: thread_start, thread_join and join_threads; on_thread runs a function on a new one; thread_nap
 * blocks the calling one, thread_raise sends it a signal, and thread_id is its number. thread_ids, thread_state,
 * count_threads and await_threads tell of all threads of the process.
 */
#ifndef GOMAX_THREAD_H
#define GOMAX_THREAD_H

#include "usage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

/* ---- start and end ---- */

CHECK_UNUSED static pthread_t thread_start(void *(*fn)(void *), void *arg) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, fn, arg);
  if (error) FAIL("pthread_create: %s", strerror(error));
  return thread;
}

CHECK_UNUSED static void *thread_join(pthread_t thread) {
  void *result = NULL;
  int error = pthread_join(thread, &result);
  if (error) FAIL("pthread_join: %s", strerror(error));
  return result;
}

CHECK_UNUSED static void join_threads(const pthread_t *threads, long n) {
  for (long i = 0; i < n; i++) thread_join(threads[i]);
}

struct thread_call {
  void (*fn)(void *);
  void *arg;
};

CHECK_UNUSED static void *thread_calls(void *arg) {
  struct thread_call *call = (struct thread_call *)arg;
  call->fn(call->arg);
  return NULL;
}

/* Runs fn on a new thread and waits for its end. */
CHECK_UNUSED static void on_thread(void (*fn)(void *), void *arg) {
  struct thread_call call = {fn, arg};
  thread_join(thread_start(thread_calls, &call));
}

/* ---- the calling thread ---- */

CHECK_UNUSED static int thread_id(void) { return (int)syscall(SYS_gettid); }

/* As raise, also if the thread blocks the signal: it is handled before the return. */
CHECK_UNUSED static void thread_raise(int sig) {
  sigset_t one, before;
  sigemptyset(&one);
  sigaddset(&one, sig);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &one, &before) == 0);
  CHECK(raise(sig) == 0);
  CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

/* Blocks the thread, as code does that knows nothing of Gs. */
CHECK_UNUSED static void thread_nap(int64_t ns) {
  struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR) {
  }
}

/* ---- the threads of the process ---- */

/* The numbers of all threads, those of the host too. */
enum { MOST_THREADS = 4096 };
CHECK_UNUSED static int thread_ids(int ids[MOST_THREADS]) {
  int n = 0;
  DIR *dir = opendir("/proc/self/task");
  CHECK(dir != NULL);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    int id = atoi(entry->d_name);
    if (id <= 0) continue;
    CHECK_CMP(n, <, MOST_THREADS);
    ids[n++] = id;
  }
  closedir(dir);
  return n;
}

/* The state of a thread as the kernel tells it, such as 'R' or 'S'; 0 if it has ended. */
CHECK_UNUSED static char thread_state(int id) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  const char *name_ends = strrchr(text, ')');
  CHECK(name_ends != NULL && name_ends[1] == ' ');
  return name_ends[2];
}

/* The threads of this process as the kernel counts them, without the threads of the host that runs the test. */
CHECK_UNUSED static int host_threads(void) {
  const char *hosts = getenv("GMX_TEST_THREADS");
  return hosts ? atoi(hosts) : 0;
}
CHECK_UNUSED static int count_threads(void) { return (int)count_entries("/proc/self/task") - host_threads(); }

#ifdef __SANITIZE_THREAD__
/* Threads of the library, by their names. */
CHECK_UNUSED static int count_workers(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/task");
  CHECK(dir != NULL);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    char path[300], name[16] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE *file = fopen(path, "r");
    if (!file) continue;
    if (fgets(name, sizeof name, file)) n += strncmp(name, "gomax", 5) == 0;
    fclose(file);
  }
  closedir(dir);
  return n;
}
#endif

/*
 * Waits until the process has these threads of the host, and no others. A test may not look once instead: a thread that
 * was joined is listed a little longer.
 */
CHECK_UNUSED static void await_threads(int n) {
#ifdef __SANITIZE_THREAD__
  (void)n; /* it has threads of its own, and more of them in a child of fork */
  spin_until(count_workers() == 0);
#else
  spin_until(count_threads() == n);
#endif
}

#endif /* GOMAX_THREAD_H */
