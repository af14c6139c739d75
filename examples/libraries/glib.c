/*
 * GLib and goroutines
 *
 * A GMainContext belongs to the thread that runs it, and a thread has a stack of contexts (its thread-default one on
 * top). GMutex, GRecMutex and GPrivate belong to threads, too. So a loop stays on one thread:
 *
 *   1. The loop of main watches gmx_host_fd. Goroutines hand functions to it by gmx_post. (They may also attach sources
 *      to a context: g_source_attach is safe from every thread.)
 *   2. A goroutine runs a loop of its own. It is locked to its thread, and the context polls by gmx_poll_many: so it
 *      parks where GLib waits, and its P is free at once. Sources may wait as goroutines do; their loop waits then.
 *   3. A thread of a GThreadPool calls libgomax as any thread of the host may.
 *
 *   cc glib.c -lgomax $(pkg-config --cflags --libs glib-2.0) && ./a.out
 */
#include "each.h"

#include <glib-unix.h>
#include <poll.h>

enum { WORKERS = 50, LOOPS = 8, TICKS = 5, STACK = 128 << 10 };

/* ---- the loop of main ---- */

static GMainLoop *main_loop;
static int taken; /* of main */

static gboolean on_posted(gint fd, GIOCondition condition, gpointer data) {
  (void)fd, (void)condition, (void)data;
  MUST(gmx_host_run(16) >= 0);
  return G_SOURCE_CONTINUE;
}

static void takes(void *arg) {
  (void)arg;
  taken++;
}

static void posts(int i) {
  MUST(gmx_sleep(i % 3 * 1000000) == GMX_OK);
  MUST(gmx_post(takes, NULL) == GMX_OK);
}

static void ends(void *arg) {
  (void)arg;
  g_main_loop_quit(main_loop);
}

/* ---- a loop on a goroutine ---- */

_Static_assert(sizeof(GPollFD) == sizeof(struct pollfd), "GLib says so");

static gint polls(GPollFD *fds, guint n, gint ms) {
  gmx_status ready = gmx_poll_many((struct pollfd *)fds, n, ms < 0 ? GMX_FOREVER : ms * INT64_C(1000000));
  MUST(ready >= 0 || ready == GMX_ETIMEDOUT); /* a token may end it, too; there is none here */
  return ready > 0 ? ready : 0;
}

struct ticker {
  GMainLoop *loop;
  GThread *thread;
  int left;
};

static gboolean ticks(gpointer data) {
  struct ticker *t = data;
  MUST(g_thread_self() == t->thread);
  MUST(gmx_sleep(100000) == GMX_OK); /* a source may wait */
  MUST(g_thread_self() == t->thread);
  if (--t->left) return G_SOURCE_CONTINUE;
  g_main_loop_quit(t->loop);
  return G_SOURCE_REMOVE;
}

static void loops(int i) {
  (void)i;
  MUST(gmx_lock_os_thread() == GMX_OK);
  GMainContext *context = g_main_context_new();
  g_main_context_set_poll_func(context, polls);
  g_main_context_push_thread_default(context);
  struct ticker t = {g_main_loop_new(context, FALSE), g_thread_self(), TICKS};
  GSource *timer = g_timeout_source_new(1);
  g_source_set_callback(timer, ticks, &t, NULL);
  g_source_attach(timer, context);
  g_source_unref(timer);
  g_main_loop_run(t.loop);
  g_main_loop_unref(t.loop);
  g_main_context_pop_thread_default(context);
  g_main_context_unref(context);
  MUST(t.left == 0 && gmx_unlock_os_thread() == GMX_OK);
}

/* ---- a pool of threads ---- */

static gmx_chan *squares;

static void computes(gpointer number, gpointer data) {
  (void)data;
  int n = GPOINTER_TO_INT(number), square = n * n;
  MUST(gmx_chan_send(squares, &square) == GMX_OK); /* the thread waits for the goroutine */
}

static void asks_the_pool(void) {
  GThreadPool *pool = g_thread_pool_new(computes, NULL, 2, FALSE, NULL);
  MUST(gmx_chan_new(sizeof(int), 0, &squares) == GMX_OK);
  int sum = 0, square;
  for (int n = 1; n <= 20; n++) MUST(g_thread_pool_push(pool, GINT_TO_POINTER(n), NULL));
  for (int n = 1; n <= 20; n++) {
    MUST(gmx_chan_recv(squares, &square) == GMX_OK);
    sum += square;
  }
  g_thread_pool_free(pool, FALSE, TRUE); /* waits for threads that are done */
  MUST(sum == 2870 && gmx_chan_free(squares) == GMX_OK);
}

/* ---- */

static void run(void *arg) {
  (void)arg;
  each(WORKERS, STACK, posts);
  each(LOOPS, STACK, loops);
  asks_the_pool();
  MUST(gmx_post(ends, NULL) == GMX_OK);
}

int main(void) {
  main_loop = g_main_loop_new(NULL, FALSE);
  guint watch = g_unix_fd_add(gmx_host_fd(), G_IO_IN, on_posted, NULL);
  MUST(watch && gmx_spawn(run, NULL) == GMX_OK);
  g_main_loop_run(main_loop);
  g_source_remove(watch);
  g_main_loop_unref(main_loop);
  MUST(taken == WORKERS && gmx_shutdown(GMX_FOREVER) == GMX_OK);
  printf("%d posted, %d loops\n", taken, LOOPS);
  return 0;
}
