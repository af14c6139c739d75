/*
 * Goroutines beside a loop of libuv, both ways:
 *
 *   the loop has a thread of its own (main), and goroutines hand work to it. Handles of libuv may be used on the thread
 *   of their loop only; so a goroutine posts a function, and the loop calls it;
 *
 *   a goroutine drives a loop, and parks while the loop has nothing to do: no thread is kept for it.
 *
 *   cc libuv.c -lgomax -luv && ./a.out
 */
#include <gomax.h>
#include <uv.h>

#include <stdio.h>
#include <stdlib.h>

#define MUST(ok) ((ok) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #ok), exit(1)))

/* ---- goroutines hand work to the loop ---- */

enum { WORKERS = 100 };

struct host {
  uv_loop_t *loop;
  uv_poll_t posted;
  uv_timer_t tick;
  int done, sum;
};

struct result {
  struct host *host;
  int number, square;
};

/* On the thread of the loop, where no lock is needed for the host's data. */
static void takes(void *arg) {
  struct result *r = arg;
  struct host *host = r->host;
  host->sum += r->square;
  free(r);
  if (++host->done == WORKERS) { /* nothing more comes: the loop may end */
    uv_close((uv_handle_t *)&host->posted, NULL);
    uv_close((uv_handle_t *)&host->tick, NULL);
  }
}

static void works(void *arg) {
  struct result *r = arg;
  MUST(gmx_sleep(1000000 * (r->number % 7)) == GMX_OK);
  r->square = r->number * r->number;
  MUST(gmx_post(takes, r) == GMX_OK);
}

/* What is left after so many makes the descriptor readable again, so that the loop comes to its other handles. */
static void on_posted(uv_poll_t *handle, int status, int events) {
  (void)handle, (void)events;
  MUST(status == 0);
  MUST(gmx_host_run(16) >= 0);
}

static void on_tick(uv_timer_t *timer) { (void)timer; }

static int the_loop_has_a_thread(void) {
  struct host host = {.loop = uv_default_loop()};
  MUST(uv_poll_init(host.loop, &host.posted, gmx_host_fd()) == 0);
  MUST(uv_poll_start(&host.posted, UV_READABLE, on_posted) == 0);
  MUST(uv_timer_init(host.loop, &host.tick) == 0); /* the loop's own work continues beside it */
  MUST(uv_timer_start(&host.tick, on_tick, 1, 1) == 0);
  for (int i = 0; i < WORKERS; i++) {
    struct result *r = malloc(sizeof *r);
    MUST(r != NULL);
    *r = (struct result){&host, i, 0};
    MUST(gmx_spawn(works, r) == GMX_OK);
  }
  MUST(uv_run(host.loop, UV_RUN_DEFAULT) == 0);
  return host.sum;
}

/* ---- a goroutine drives a loop ---- */

struct driven {
  uv_loop_t loop;
  uv_timer_t timer;
  int fired;
};

static void on_timer(uv_timer_t *timer) {
  struct driven *d = timer->data;
  if (++d->fired == 5) uv_close((uv_handle_t *)timer, NULL);
}

/* uv_run without waiting does what there is, and tells the kernel which descriptors the loop watches. Only after that
 * do the loop's descriptor and its next time say when there is something to do. */
static void drives(void *arg) {
  struct driven *d = arg;
  MUST(gmx_lock_os_thread() == GMX_OK); /* libuv may keep values for the thread */
  while (uv_run(&d->loop, UV_RUN_NOWAIT)) {
    int ms = uv_backend_timeout(&d->loop); /* 0: at once; -1: nothing but descriptors */
    if (ms == 0) {
      gmx_yield();
      continue;
    }
    uint32_t ready;
    gmx_status s = gmx_wait_fd(uv_backend_fd(&d->loop), GMX_POLL_IN, ms < 0 ? GMX_FOREVER : ms * INT64_C(1000000), &ready);
    MUST(s == GMX_OK || s == GMX_ETIMEDOUT);
  }
  MUST(gmx_unlock_os_thread() == GMX_OK);
}

static int a_goroutine_drives(void) {
  struct driven d = {.fired = 0};
  MUST(uv_loop_init(&d.loop) == 0);
  MUST(uv_timer_init(&d.loop, &d.timer) == 0);
  d.timer.data = &d;
  MUST(uv_timer_start(&d.timer, on_timer, 2, 2) == 0);
  MUST(gmx_main(drives, &d) == GMX_OK);
  MUST(uv_loop_close(&d.loop) == 0);
  return d.fired;
}

int main(void) {
  int sum = the_loop_has_a_thread(), fired = a_goroutine_drives();
  printf("sum %d, %d timers\n", sum, fired);
  return sum == 328350 && fired == 5 ? 0 : 1;
}
