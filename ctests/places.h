/*
 * Where a test runs its code: on a G, on a thread of its own, and how a program ends with nothing left behind.
 */
#ifndef GOMAX_PLACES_H
#define GOMAX_PLACES_H

#include "check.h"

#include <dirent.h>
#include <errno.h>

/* ---- plain shared words, the same in C and in C++ ---- */

#define load(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define bump(p) __atomic_fetch_add(p, 1, __ATOMIC_ACQ_REL)

/* ---- Gs ---- */

/* A G that must be joined. */
CHECK_UNUSED static gmx_g g_start(void (*fn)(void *), void *arg) {
  gmx_spawn_opts opts;
  gmx_g g = 0;
  memset(&opts, 0, sizeof opts);
  opts.struct_size = sizeof opts;
  opts.flags = GMX_SPAWN_JOINABLE;
  CHECK_OK(gmx_spawn_with(&opts, fn, arg, &g));
  CHECK(g != 0);
  return g;
}

CHECK_UNUSED static void g_join(gmx_g g) { CHECK_OK(gmx_join(g, GMX_FOREVER)); }

/* Runs fn on a new G and waits for its end. */
CHECK_UNUSED static void on_g(void (*fn)(void *), void *arg) { g_join(g_start(fn, arg)); }

/* A commit for gmx_park that tells the handle of the parked G and so that it is parked. */
CHECK_UNUSED static bool tell_parked(void *arg, gmx_g g) {
  store((gmx_g *)arg, g);
  return true;
}

/* Writes the handle of the caller to *where, and parks until another thread readies it. */
CHECK_UNUSED static void park_at(gmx_g *where) { CHECK_OK(gmx_park(tell_parked, where, "test")); }

/* Readies the G that parks, or soon will, at *where. */
CHECK_UNUSED static void wake_at(gmx_g *where) {
  spin_until(load(where) != 0);
  CHECK_OK(gmx_ready(load(where)));
}

/* ---- which G waits for what ---- */

struct places_count {
  const char *reason;
  int n;
};

CHECK_UNUSED static void places_count_one(void *arg, const gmx_g_info *info) {
  struct places_count *count = (struct places_count *)arg;
  if (info->status == GMX_G_WAITING && info->wait_reason && strcmp(info->wait_reason, count->reason) == 0) count->n++;
}

/* How many Gs wait for this reason. */
CHECK_UNUSED static int waiting(const char *reason) {
  struct places_count count = {reason, 0};
  CHECK_OK(gmx_stop_the_world("count"));
  CHECK_OK(gmx_for_each_g(places_count_one, &count));
  CHECK_OK(gmx_start_the_world());
  return count.n;
}

/* The number of waiting Gs, each in its queue. It counts in a stopped world: at any other time a G that is on its way
 * into its queue counts too, and a later G may get there before it. */
CHECK_UNUSED static int64_t count_waiting(void) {
  gmx_sched_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  CHECK_OK(gmx_stop_the_world("count"));
  CHECK_OK(gmx_read_sched_stats(&stats));
  CHECK_OK(gmx_start_the_world());
  return stats.g_waiting;
}

/* ---- threads ---- */

struct places_call {
  void (*fn)(void *);
  void *arg;
};

CHECK_UNUSED static void *places_thread(void *arg) {
  struct places_call *call = (struct places_call *)arg;
  call->fn(call->arg);
  return NULL;
}

/* Runs fn on a new thread and waits for its end. */
CHECK_UNUSED static void on_thread(void (*fn)(void *), void *arg) {
  struct places_call call = {fn, arg};
  thread_join(thread_start(places_thread, &call));
}

/* The threads of this process as the kernel counts them, without the threads of the host that runs the test. */
CHECK_UNUSED static int host_threads(void) {
  const char *hosts = getenv("GMX_TEST_THREADS");
  return hosts ? atoi(hosts) : 0;
}
CHECK_UNUSED static int count_threads(void) {
  int n = -host_threads();
  DIR *dir = opendir("/proc/self/task");
  CHECK(dir != NULL);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) n += entry->d_name[0] != '.';
  closedir(dir);
  return n;
}

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

/* Whether the process has these threads of the host, and no others. A joined thread may be listed a little longer. */
CHECK_UNUSED static bool only_threads(int n) {
#ifdef __SANITIZE_THREAD__
  (void)n; /* it has threads of its own, and more of them in a child of fork */
  return count_workers() == 0;
#else
  return count_threads() == n;
#endif
}

/* The last test of a program: called by the only thread of the host that is left. */
CHECK_UNUSED static void ends_clean(void) {
  spin_until(gmx_num_g() == 0);
  CHECK_OK(gmx_shutdown(INT64_C(30000000000)));
  spin_until(only_threads(1));
}

#endif /* GOMAX_PLACES_H */
