/* timeout: 120 */
/* The end of a handle: each call that waits returns, no descriptor is closed under a call, and an old handle never
 * reaches the descriptor that has the number next. */
#include "fds.h"
#include "seed.h"

#include <sys/eventfd.h>

/* ---- close ends each wait ---- */

static void close_ends_each_wait(void) {
  for (int place = 0; place < PLACES; place++)
    for (int i = 0; i < FD_CALLS; i++) {
      const struct fd_call *call = &fd_calls[i];
      struct fd_state s;
      struct fd_waiter w;
      check_running = call->name;
      state_open(&s, call);
      int fd = gmx_poll_fd(s.p);
      wait_start(&w, place, call, &s, GMX_FOREVER, 0);
      CHECK_OK(gmx_close(s.p));
      CHECK(!is_open(fd));
      CHECK_STATUS(gmx_close(s.p), GMX_EBADF);
      CHECK_STATUS(gmx_poll_fd(s.p), GMX_EBADF);
      if (wait_end(&w) != GMX_EBADF) FAIL("%s %s: %s", call->name, place_names[place], gmx_err_name(w.status));
      CHECK_STATUS(call->call(&s, GMX_FOREVER), GMX_EBADF);
      CHECK_STATUS(call->call(&s, 0), GMX_EBADF);
      s.p = 0;
      state_close(&s);
    }
}

/* Of many, at the same handle, in both directions, everywhere. */
static void close_ends_all_waits(void) {
  enum { WAITS = 24 };
  for (int round = 0; round < 10; round++) {
    struct fd_state s;
    struct fd_waiter w[WAITS];
    state_open(&s, &fd_calls[FD_CALLS - 1]); /* it is full and it is empty */
    int fd = gmx_poll_fd(s.p);
    for (int i = 0; i < WAITS; i++) {
      const struct fd_call *call = &fd_calls[(i * 7 + round) % FD_CALLS];
      if (call->call == calls_accept) call = &fd_calls[0]; /* of another kind of socket */
      wait_start(&w[i], (i + round) % PLACES, call, &s, i % 5 ? GMX_FOREVER : HOUR, 0);
    }
    CHECK_OK(gmx_close(s.p));
    CHECK(!is_open(fd));
    for (int i = 0; i < WAITS; i++) CHECK_STATUS(wait_end(&w[i]), GMX_EBADF);
    s.p = 0;
    state_close(&s);
  }
}

/* ---- close, twice at once ---- */

struct closer {
  gmx_poll p;
  int *start, ok, stale;
};
static void closes(void *arg) {
  struct closer *c = arg;
  bump(c->start);
  for (int i = 0; i < 200 && load(c->start) < 3; i++) check_pause();
  gmx_status status = gmx_close(c->p);
  c->ok = status == GMX_OK;
  c->stale = status == GMX_EBADF;
}

static void one_of_several_closes_succeeds(void) {
  for (int round = 0; round < 200; round++) {
    struct fd_state s;
    struct fd_waiter w;
    struct closer c[3];
    struct placed at[3];
    int start = 0, ok = 0, stale = 0;
    state_open(&s, &fd_calls[0]);
    if (round % 2) wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
    for (int i = 0; i < 3; i++) {
      c[i] = (struct closer){s.p, &start, 0, 0};
      place_start(&at[i], i == 0 ? ON_THREAD : ON_G, closes, &c[i]);
    }
    for (int i = 0; i < 3; i++) {
      place_join(&at[i]);
      ok += c[i].ok;
      stale += c[i].stale;
    }
    CHECK_EQ(ok, 1);
    CHECK_EQ(stale, 2);
    if (round % 2) CHECK_STATUS(wait_end(&w), GMX_EBADF);
    s.p = 0;
    state_close(&s);
  }
}

/* ---- owned, borrowed, released ---- */

static void a_borrowed_descriptor_stays_as_it_was(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (int nonblock = 0; nonblock < 2; nonblock++) {
      int fd[2];
      fds_of(fd, kind);
      int flags = fcntl(fd[0], F_GETFL) | (nonblock ? O_NONBLOCK : 0);
      CHECK(fcntl(fd[0], F_SETFL, flags) == 0);
      for (int i = 0; i < 3; i++) {
        struct fd_state s = {.p = borrow_fd(fd[0]), .far = fd[1]};
        struct fd_waiter w;
        CHECK_STATUS(calls_read(&s, 0), GMX_ETIMEDOUT);
        wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
        CHECK_EQ(fcntl(fd[0], F_GETFL), flags);
        comes(&s);
        CHECK_STATUS(wait_end(&w), 1);
        wait_start(&w, i % PLACES, &fd_calls[0], &s, GMX_FOREVER, 0);
        CHECK_OK(gmx_close(s.p));
        CHECK_STATUS(wait_end(&w), GMX_EBADF);
        CHECK_EQ(fcntl(fd[0], F_GETFL), flags);
        CHECK_STATUS(gmx_close(s.p), GMX_EBADF);
      }
      feed(fd[1], "y", 1);
      char byte = 0;
      take(fd[0], &byte, 1);
      CHECK_EQ(byte, 'y');
      CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
    }
}

static void standard_streams_stay_as_they_were(void) {
  for (int fd = 0; fd < 3; fd++) {
    uint32_t ready = 0;
    if (!is_open(fd)) continue;
    int flags = fcntl(fd, F_GETFL);
    gmx_poll p = borrow_fd(fd);
    gmx_status status = gmx_poll_wait(p, fd ? GMX_POLL_OUT : GMX_POLL_IN, 0, &ready);
    CHECK(status == GMX_OK || status == GMX_ETIMEDOUT);
    if (fd == 1) CHECK_OK(gmx_write(p, "a line\n", 7, GMX_FOREVER, NULL));
    CHECK_OK(gmx_close(p));
    CHECK_EQ(fcntl(fd, F_GETFL), flags);
  }
}

/* The handle ends and the descriptor stays: registered nowhere, and usable by another handle at once. */
static void a_released_descriptor_is_the_callers(void) {
  for (int i = 0; i < 30; i++) {
    struct fd_state s;
    struct fd_waiter w;
    state_open(&s, &fd_calls[0]);
    int number = gmx_poll_fd(s.p), fd = -1;
    gmx_poll old = s.p;
    wait_start(&w, i % PLACES, &fd_calls[0], &s, GMX_FOREVER, 0);
    CHECK_OK(gmx_poll_release(s.p, &fd));
    CHECK_EQ(fd, number);
    CHECK(is_open(fd));
    CHECK_STATUS(wait_end(&w), GMX_EBADF);
    CHECK_STATUS(gmx_poll_release(old, &fd), GMX_EBADF);
    CHECK_STATUS(gmx_close(old), GMX_EBADF);
    s.p = own_fd(fd);
    CHECK(s.p != old);
    wait_start(&w, i % PLACES, &fd_calls[0], &s, GMX_FOREVER, 0);
    CHECK_STATUS(calls_read(&(struct fd_state){.p = old}, GMX_FOREVER), GMX_EBADF);
    comes(&s);
    CHECK_STATUS(wait_end(&w), 1);
    state_close(&s);
    CHECK(!is_open(fd));
  }
}

/* ---- a number that is used again ---- */

/* A reader of the handle, which is closed while its number goes to a new pair at once: the bytes of the new one are the
 * new handle's. An old event, or a call on the old number, would take one of them, or wake a reader in vain. */
#ifndef REUSE_ROUNDS
#define REUSE_ROUNDS 3000
#endif
#ifndef REUSE_THREADS
#define REUSE_THREADS 4
#endif

struct reuse {
  uint64_t seed;
  gmx_poll p; /* the handle of now; its reader may see it late */
  int quit;
  int64_t stale_reads;
};

static void reads_too_late(void *arg) {
  struct reuse *r = arg;
  while (!load(&r->quit)) {
    char byte = 0;
    gmx_poll p = load(&r->p);
    gmx_status n = gmx_read(p, &byte, 1, p % 3 ? GMX_FOREVER : 0);
    if (n == GMX_EBADF || n == GMX_ETIMEDOUT || n == 0) {
      r->stale_reads++;
      CHECK_OK(gmx_yield());
    } else if (n == 1) CHECK_EQ(byte, 'l'); /* the last one of a pair: "l" is fed for this reader */
    else FAIL("%s", gmx_err_name(n));
  }
}

static void reuses(void *arg) {
  struct reuse *r = arg;
  gmx_g late = go_joinable(reads_too_late, r);
  for (int i = 0; i < REUSE_ROUNDS; i++) {
    int fd[2];
    char text[8];
    fds_of(fd, i % 8 ? (int)random_below(&r->seed, 2) : TCP);
    gmx_poll p = own_fd(fd[0]);
    /* Before the late reader knows it, all bytes are the owner's. */
    feed(fd[1], "mine", 4);
    for (size_t got = 0; got < 4;) {
      gmx_status n = gmx_read(p, text + got, 4 - got, GMX_FOREVER);
      if (n <= 0) FAIL("round %d: %s", i, gmx_err_name(n));
      got += (size_t)n;
    }
    CHECK(memcmp(text, "mine", 4) == 0);
    CHECK_STATUS(gmx_read(p, text, 1, 0), GMX_ETIMEDOUT);
    store(&r->p, p);
    if (random_below(&r->seed, 2)) feed(fd[1], "l", 1);
    for (uint64_t k = random_below(&r->seed, 4); k > 0; k--) CHECK_OK(gmx_yield());
    if (random_below(&r->seed, 2)) {
      CHECK_OK(gmx_close(p));
      CHECK(close(fd[1]) == 0);
    } else { /* the event comes at the same time */
      CHECK(close(fd[1]) == 0);
      CHECK_OK(gmx_close(p));
    }
  }
  store(&r->quit, 1);
  join(late);
}

static void an_old_handle_never_reaches_the_next_descriptor(void) {
  static struct reuse r[REUSE_THREADS];
  struct placed at[REUSE_THREADS];
  for (int i = 0; i < REUSE_THREADS; i++) {
    memset(&r[i], 0, sizeof r[i]);
    r[i].seed = (uint64_t)check_now() + (uint64_t)i;
    place_start(&at[i], i % 2 ? ON_THREAD : ON_G, reuses, &r[i]);
  }
  for (int i = 0; i < REUSE_THREADS; i++) place_join(&at[i]);
}

/* A copy keeps the file open, and with it events of the old registration, unless that ends before the close. */
static void events_of_the_last_user_do_not_reach_the_next(void) {
  for (int round = 0; round < 300; round++) {
    int fd[2];
    struct fd_waiter w;
    fds_of(fd, UNIX);
    struct fd_state old = {.p = own_fd(fd[0]), .far = fd[1]}, new_;
    wait_start(&w, ON_G, &fd_calls[0], &old, GMX_FOREVER, 0); /* now it is registered */
    int copy = fcntl(fd[0], F_DUPFD_CLOEXEC, 100);
    CHECK_OK(gmx_close(old.p));
    CHECK_STATUS(wait_end(&w), GMX_EBADF);
    state_open(&new_, &fd_calls[7]); /* waits for IN: a false event would be told */
    wait_start(&w, round % 2 ? ON_G : ON_THREAD, &fd_calls[7], &new_, round % 3 ? GMX_FOREVER : 2 * MS, 0);
    feed(fd[1], "y", 1);
    char byte;
    take(copy, &byte, 1);
    CHECK(close(fd[1]) == 0 && close(copy) == 0);
    for (int i = 0; i < 3; i++) check_pause();
    if (round % 3 == 0) CHECK_STATUS(wait_end(&w), GMX_ETIMEDOUT);
    else {
      CHECK(!load(&w.done));
      comes(&new_);
      CHECK_STATUS(wait_end(&w), GMX_OK);
    }
    state_close(&new_);
  }
}

/* The host closes the number without telling the library: a status, no data of another descriptor, and no abort. */
static void a_number_that_the_host_closed_is_a_status(void) {
  for (int round = 0; round < 50; round++) {
    int fd[2], other[2];
    char byte;
    fds_of(fd, UNIX);
    gmx_poll p = own_fd(fd[0]);
    CHECK_STATUS(gmx_read(p, &byte, 1, round % 2 ? MS : 0), GMX_ETIMEDOUT); /* registered, or not */
    CHECK(close(fd[0]) == 0);
    CHECK_STATUS(gmx_read(p, &byte, 1, 0), GMX_EBADF);
    CHECK_STATUS(gmx_write(p, "x", 1, 0, NULL), GMX_EBADF);
    gmx_status status = gmx_close(p);
    if (status != GMX_OK && status != GMX_EBADF) FAIL("%s", gmx_err_name(status));
    fds_of(other, UNIX); /* has the number */
    struct fd_state s = {.p = own_fd(other[0]), .far = other[1]};
    struct fd_waiter w;
    wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
    comes(&s);
    CHECK_STATUS(wait_end(&w), 1);
    state_close(&s);
    CHECK(close(fd[1]) == 0);
  }
}

/* ---- shutdown of a direction ---- */

static void shutdown_ends_the_wait_of_its_direction(void) {
  for (int kind = UNIX; kind <= TCP; kind++)
    for (int place = 0; place < PLACES; place++) {
      struct pair pair = pair_of(kind);
      struct fd_state s = {.p = pair.p[0], .far = pair.fd[1]};
      struct fd_waiter w;
      wait_start(&w, place, &fd_calls[0], &s, GMX_FOREVER, 0);
      CHECK_OK(fd_shutdown(pair.p[0], SHUT_RD));
      CHECK_STATUS(wait_end(&w), 0);
      CHECK_OK(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL));
      char byte = 0;
      CHECK_EQ(gmx_read(pair.p[1], &byte, 1, GMX_FOREVER), 1);
      wait_start(&w, place, &fd_calls[0], &(struct fd_state){.p = pair.p[1]}, GMX_FOREVER, 0);
      CHECK_OK(fd_shutdown(pair.p[0], SHUT_WR));
      CHECK_STATUS(wait_end(&w), 0);
      CHECK_STATUS(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL), GMX_EPIPE);
      pair_close(&pair);
    }
}

/* ---- the end of the runtime ---- */

static void a_shutdown_waits_for_readers_and_handles_outlive_it(void) {
  struct fd_state s;
  struct fd_waiter w;
  state_open(&s, &fd_calls[0]);
  wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
  CHECK_STATUS(gmx_shutdown(20 * MS), GMX_ETIMEDOUT);
  CHECK(!load(&w.done));
  comes(&s);
  CHECK_STATUS(wait_end(&w), 1);
  wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
  CHECK_OK(gmx_close(s.p));
  CHECK_STATUS(wait_end(&w), GMX_EBADF);
  s.p = 0;
  state_close(&s);
  struct pair pair = pair_of(UNIX);
  long before = open_fds();
  for (int i = 0; i < 3; i++) {
    spin_until(gmx_num_g() == 0);
    end_runtime();
    await_threads(1);
    start_runtime(2, 0);
    s = (struct fd_state){.p = pair.p[0], .far = pair.fd[1]};
    gmx_status fd = gmx_poll_fd(s.p);
    if (fd != GMX_EBADF) { /* it may be stale; if it is not, it works */
      wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
      comes(&s);
      CHECK_STATUS(wait_end(&w), 1);
    }
    CHECK_CMP(open_fds(), <=, before + 2);
  }
  for (int i = 0; i < 2; i++)
    if (gmx_close(pair.p[i]) != GMX_OK) CHECK(close(pair.fd[i]) == 0);
}

int main(void) {
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(close_ends_each_wait);
    RUN_G(close_ends_all_waits);
    RUN_G(one_of_several_closes_succeeds);
    RUN_G(a_borrowed_descriptor_stays_as_it_was);
    RUN_G(a_released_descriptor_is_the_callers);
    RUN_G(events_of_the_last_user_do_not_reach_the_next);
    RUN_G(shutdown_ends_the_wait_of_its_direction);
  }
  RUN_G(an_old_handle_never_reaches_the_next_descriptor);
  RUN_G(a_number_that_the_host_closed_is_a_status);
  RUN_G(standard_streams_stay_as_they_were);
  RUN(close_ends_each_wait); /* by a thread that is no G */
  RUN(close_ends_all_waits);
  RUN(standard_streams_stay_as_they_were);
  RUN(a_shutdown_waits_for_readers_and_handles_outlive_it);
  ends_clean();
  return 0;
}
