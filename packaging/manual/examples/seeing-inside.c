/* Examples of the manual: seeing inside. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* example: gmx_read_sched_stats */
// What a program shows to its monitoring. Nothing stops for it.
static gmx_status print_metrics(FILE *to) {
  gmx_sched_stats s = GMX_SCHED_STATS_INIT;
  gmx_status status = gmx_read_sched_stats(&s);
  if (status != GMX_OK) return status;
  fprintf(to, "goroutines %lld\n", (long long)s.g_live);
  fprintf(to, "runnable %lld\n", (long long)s.g_runnable); // more than Ps: overload
  fprintf(to, "waiting_io %lld\n", (long long)s.io_waiting);
  fprintf(to, "stolen_total %llu\n", (unsigned long long)s.steals);
  return GMX_OK;
}
/* end */

/* example: gmx_read_mem_stats gmx_release_memory */
// After a peak: gives the memory of stacks back now, and not some seconds later.
static gmx_status shrink(uint64_t *kept) {
  gmx_mem_stats m = GMX_MEM_STATS_INIT;
  gmx_release_memory(); // stacks without a goroutine
  gmx_status status = gmx_read_mem_stats(&m); // stops the world for a moment
  if (status != GMX_OK) return status;
  *kept = m.stacks_warm; // in caches of Ps that run goroutines: later
  if (m.stacks_unguarded > 0) fprintf(stderr, "raise vm.max_map_count\n");
  return GMX_OK;
}
/* end */

/* example: gmx_dump_goroutines */
static gmx_status put(void *to, const char *text, size_t n) {
  return fwrite(text, 1, n, to) == n ? GMX_OK : GMX_EPIPE;
}

// Where the goroutines are: as many lines as there are places, not as there are goroutines.
// Nothing stops for it.
static gmx_status print_stacks(FILE *to) {
  return gmx_dump_goroutines(put, to, GMX_DUMP_GROUPS);
}
/* end */

/* example: gmx_debug_serve gmx_debug_stop */
// A switch for the live page. With the address "unix" it is for `gomaxctl PID top`; with
// "127.0.0.1:0" for a browser, at the place that is written to stderr.
static gmx_status show_page(bool on, const char *address) {
  if (!on) return gmx_debug_stop();
  gmx_status status = gmx_debug_serve(address, NULL);
  if (status == GMX_ENOTSUP) fprintf(stderr, "libgomax-debug.so.0 is not installed\n");
  return status;
}
/* end */

/* example: gmx_write_heap_dump */
#include <signal.h>

// SIGUSR1 writes where each goroutine waits, and for how long: for one that hangs.
static void dump_on_signal(void *arg) {
  const int32_t usr1 = SIGUSR1;
  gmx_chan *signals = arg; // of gmx_siginfo
  if (gmx_signal_notify(signals, &usr1, 1) != GMX_OK) return;
  while (gmx_chan_recv(signals, NULL) == GMX_OK)
    if (gmx_write_heap_dump(STDERR_FILENO) != GMX_OK) break;
  gmx_signal_stop(signals);
}
/* end */

static uint32_t answered;
static void hangs(void *arg) {
  (void)arg;
  assert(gmx_sema_acquire(&answered) == GMX_OK);
}

static void dumps(void) {
  int fds[2], before = dup(STDERR_FILENO);
  char text[16384], *found = NULL;
  size_t n = 0;
  gmx_chan *signals;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  assert(pipe(fds) == 0 && dup2(fds[1], STDERR_FILENO) == STDERR_FILENO && close(fds[1]) == 0);
  assert(gmx_chan_new(sizeof(gmx_siginfo), GMX_UNBOUNDED, &signals) == GMX_OK);
  assert(gmx_waitgroup_go(&group, dump_on_signal, signals) == GMX_OK);
  for (size_t waiting = 0; waiting == 0; gmx_yield())
    assert(gmx_chan_waiters(signals, NULL, &waiting) == GMX_OK);
  assert(gmx_waitgroup_go(&group, hangs, NULL) == GMX_OK);
  while (gmx_sema_waiters(&answered) == 0) gmx_yield();
  kill(getpid(), SIGUSR1);
  while (!found && n < sizeof text - 1) {
    ssize_t got = read(fds[0], text + n, sizeof text - 1 - n);
    assert(got > 0);
    n += (size_t)got;
    text[n] = 0;
    found = strstr(text, "semacquire");
  }
  assert(found);
  gmx_sema_release(&answered);
  gmx_chan_close(signals);
  gmx_waitgroup_wait(&group);
  gmx_chan_free(signals);
  assert(dup2(before, STDERR_FILENO) == STDERR_FILENO && close(before) == 0 && close(fds[0]) == 0);
}

static void nothing(void *arg) { (void)arg; }

static void all(void *arg) {
  (void)arg;
  char *text;
  size_t size;
  uint64_t kept = 1000;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  FILE *to = open_memstream(&text, &size);
  assert(print_metrics(to) == GMX_OK && fclose(to) == 0);
  assert(strstr(text, "goroutines 1\nrunnable 0\nwaiting_io 0\n"));
  free(text);
  to = open_memstream(&text, &size);
  assert(print_stacks(to) == GMX_OK && fclose(to) == 0);
  assert(strncmp(text, "1 goroutine [running], one is goroutine ", 40) == 0);
  free(text);
  for (int i = 0; i < 100; i++) assert(gmx_waitgroup_go(&group, nothing, NULL) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(shrink(&kept) == GMX_OK && kept < 1000);
  dumps();
  gmx_status shown = show_page(true, "127.0.0.1:0");
  assert(shown == GMX_OK || shown == GMX_ENOTSUP);
  assert(show_page(false, NULL) == (shown == GMX_OK ? GMX_OK : GMX_EPERM));
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
