/* timeout: 120 */
/* The ends of waits by time and by tokens: timeouts of a call, deadlines of a handle, cancellation. What came meanwhile
 * is not lost. */
#include "fds.h"
#include "seed.h"

/* ---- timeouts of a call ---- */

static void a_timeout_does_not_end_early(void) {
  for (int place = 0; place < PLACES; place++)
    for (int i = 0; i < FD_CALLS; i += place + 1) {
      const struct fd_call *call = &fd_calls[i];
      struct fd_state s;
      struct fd_waiter w;
      state_open(&s, call);
      int64_t begin = gmx_now();
      wait_start(&w, place, call, &s, 5 * MS, 0);
      if (wait_end(&w) != GMX_ETIMEDOUT) FAIL("%s %s: %s", call->name, place_names[place], gmx_err_name(w.status));
      CHECK_CMP(gmx_now() - begin, >=, 5 * MS);
      call->event(&s);
      wait_start(&w, place, call, &s, GMX_FOREVER, 0); /* what came later is there */
      CHECK_STATUS(wait_end(&w), call->wants);
      state_close(&s);
    }
}

/* ---- deadlines of a handle ---- */

static void a_deadline_that_is_set_ends_a_wait(void) {
  for (int place = 0; place < PLACES; place++)
    for (int i = 0; i < FD_CALLS; i++) {
      const struct fd_call *call = &fd_calls[i];
      struct fd_state s;
      struct fd_waiter w;
      check_running = call->name;
      state_open(&s, call);
      wait_start(&w, place, call, &s, i % 2 ? GMX_FOREVER : HOUR, 0);
      CHECK_OK(gmx_poll_set_deadline(s.p, call->direction, gmx_now() + (i % 3 ? MS : -MS)));
      if (wait_end(&w) != GMX_ETIMEDOUT) FAIL("%s %s: %s", call->name, place_names[place], gmx_err_name(w.status));
      call->event(&s); /* later calls fail too, also with the event there */
      if (call->direction == GMX_POLL_OUT) spin_until(is_ready(gmx_poll_fd(s.p), POLLOUT));
      CHECK_STATUS(call->call(&s, GMX_FOREVER), GMX_ETIMEDOUT);
      CHECK_STATUS(call->call(&s, 0), GMX_ETIMEDOUT);
      CHECK_OK(gmx_poll_set_deadline(s.p, call->direction, i % 2 ? GMX_FOREVER : gmx_now() + HOUR));
      CHECK_STATUS(call->call(&s, GMX_FOREVER), call->wants);
      state_close(&s);
    }
  check_running = __func__;
}

static void a_deadline_is_for_its_direction(void) {
  struct pair pair = pair_of(UNIX);
  char byte = 0;
  CHECK_OK(gmx_poll_set_deadline(pair.p[0], GMX_POLL_IN, gmx_now() - 1));
  CHECK_STATUS(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), GMX_ETIMEDOUT);
  CHECK_OK(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL));
  CHECK_OK(gmx_poll_set_deadline(pair.p[0], GMX_POLL_OUT, gmx_now() - 1));
  CHECK_STATUS(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL), GMX_ETIMEDOUT);
  CHECK_OK(gmx_poll_set_deadline(pair.p[0], GMX_POLL_IN, GMX_FOREVER));
  feed(pair.fd[1], "y", 1);
  CHECK_EQ(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), 1);
  CHECK_STATUS(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL), GMX_ETIMEDOUT);
  CHECK_OK(gmx_poll_set_deadline(pair.p[0], FD_BOTH, GMX_FOREVER));
  CHECK_OK(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL));
  CHECK_STATUS(gmx_poll_set_deadline(pair.p[0], 0, GMX_FOREVER), GMX_EINVAL);
  CHECK_STATUS(gmx_poll_set_deadline(pair.p[0], 0x4000, GMX_FOREVER), GMX_EINVAL);

  /* Both at once, for a reader and a writer that wait. */
  for (int place = 0; place < PLACES; place++) {
    struct fd_state s;
    struct fd_waiter in, out;
    open_full(&s);
    wait_start(&in, place, &fd_calls[0], &s, GMX_FOREVER, 0);
    wait_start(&out, place, &fd_calls[9], &s, GMX_FOREVER, 0);
    CHECK_OK(gmx_poll_set_deadline(s.p, FD_BOTH, gmx_now() + MS));
    CHECK_STATUS(wait_end(&in), GMX_ETIMEDOUT);
    CHECK_STATUS(wait_end(&out), GMX_ETIMEDOUT);
    CHECK(close(s.far) == 0);
    close_fd(s.p);
  }
  pair_close(&pair);
}

/* It has expired, and is moved on before the reader runs, for the world is stopped: the reader waits for the new one.
 * An end by the old deadline would be GMX_ETIMEDOUT while the deadline is an hour away. */
static void a_deadline_that_is_moved_in_time_does_not_end_the_wait(void) {
  struct fd_state s;
  state_open(&s, &fd_calls[0]);
  for (int round = 0; round < 500; round++) {
    struct fd_waiter w;
    wait_start(&w, round % 10 ? ON_G : ON_ATTACHED, &fd_calls[0], &s, GMX_FOREVER, 0);
    spin_until(count_waiting() == 1);
    CHECK_OK(gmx_stop_the_world("deadline"));
    CHECK_OK(gmx_poll_set_deadline(s.p, GMX_POLL_IN, gmx_now() - round % 2));
    CHECK_OK(gmx_poll_set_deadline(s.p, GMX_POLL_IN, round % 3 ? GMX_FOREVER : gmx_now() + HOUR));
    CHECK_OK(gmx_start_the_world());
    if (round % 4 == 0) CHECK_OK(gmx_yield());
    comes(&s);
    CHECK_STATUS(wait_end(&w), 1);
    CHECK_STATUS(calls_read(&s, 0), GMX_ETIMEDOUT); /* nothing is left, and nothing is late */
  }
  state_close(&s);
}

/* The same against readers that may run: the byte is read, by the first call or by the next. */
static void a_deadline_that_comes_and_goes_loses_nothing(void) {
  struct fd_state s;
  state_open(&s, &fd_calls[0]);
  for (int round = 0; round < 500; round++) {
    struct fd_waiter w;
    wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
    CHECK_OK(gmx_poll_set_deadline(s.p, GMX_POLL_IN, gmx_now() + (round % 2 ? 20000 : 0)));
    if (round % 4 > 1) CHECK_OK(gmx_yield());
    CHECK_OK(gmx_poll_set_deadline(s.p, GMX_POLL_IN, round % 3 ? GMX_FOREVER : gmx_now() + HOUR));
    comes(&s);
    gmx_status status = wait_end(&w);
    if (status == GMX_ETIMEDOUT) CHECK_STATUS(calls_read(&s, GMX_FOREVER), 1);
    else CHECK_STATUS(status, 1);
    CHECK_STATUS(calls_read(&s, 0), GMX_ETIMEDOUT);
  }
  state_close(&s);
}

struct mover {
  struct fd_waiter *waiter;
  int64_t when;
  bool waited, spun, in_time;
};

static void moves_at_the_last_moment(void *arg) {
  struct mover *m = (struct mover *)arg;
  /* A reader that came too late to wait may let others run before it returns, as every call that is in vain. */
  m->waited = g_waits(m->waiter->placed.g);
  uint64_t before = sched_stats().switches;
  CHECK_OK(gmx_sleep(m->when + 1000 - gmx_now()));
  /* Since then the one that spins was entered, and this G: so the reader was not. */
  m->in_time = m->spun && sched_stats().switches - before == 2;
  if (m->in_time) CHECK_OK(gmx_poll_set_deadline(m->waiter->state->p, GMX_POLL_IN, GMX_FOREVER));
}

/* On one P without slices. The timers of the deadline and of the mover fire in one go, and what was readied last runs
 * first: so the deadline has ended the wait of the reader, and is moved before the reader runs. It waits on. */
static void a_deadline_that_is_moved_before_the_woken_runs_has_not_come(void) {
  int in_time = 0;
  for (int round = 0; round < 200; round++) {
    struct fd_state s;
    struct fd_waiter w;
    state_open(&s, &fd_calls[0]);
    struct mover m = {&w, gmx_now() + MS, false, false, false};
    CHECK_OK(gmx_poll_set_deadline(s.p, GMX_POLL_IN, m.when));
    wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
    gmx_g mover = go_joinable(moves_at_the_last_moment, &m);
    CHECK_OK(gmx_yield());
    m.spun = true;
    while (gmx_now() < m.when + 5000) continue;
    join(mover);
    comes(&s);
    gmx_status status = wait_end(&w);
    if (m.waited || !m.in_time) CHECK_STATUS(status, m.in_time ? 1 : GMX_ETIMEDOUT);
    in_time += m.waited && m.in_time;
    state_close(&s);
  }
  check_say("  moved in time %d times", in_time);
}

/* An old timer that fires late ends the wait for the new deadline, if it is not told apart. */
static void an_old_deadline_does_nothing(void) {
  uint64_t seed = 7;
  for (int round = 0; round < 300; round++) {
    struct fd_state s;
    struct fd_waiter w;
    state_open(&s, &fd_calls[0]);
    for (int i = 0; i < 5; i++)
      CHECK_OK(gmx_poll_set_deadline(s.p, FD_BOTH, gmx_now() + 500000 + (int64_t)random_below(&seed, 500000)));
    CHECK_OK(gmx_poll_set_deadline(s.p, FD_BOTH, GMX_FOREVER));
    wait_start(&w, round % 10 ? ON_G : ON_THREAD, &fd_calls[0], &s, GMX_FOREVER, 0);
    if (round % 10 == 0) CHECK_OK(gmx_sleep(2 * MS));
    CHECK(!load(&w.done));
    comes(&s);
    CHECK_STATUS(wait_end(&w), 1);
    if (round % 2) CHECK_OK(gmx_poll_set_deadline(s.p, FD_BOTH, gmx_now() + MS));
    state_close(&s); /* also with a deadline that has not come yet */
  }
}

/* ---- tokens ---- */

static void a_token_ends_each_call(void) {
  for (int place = 0; place < PLACES; place++) {
    if (place == ON_THREAD) continue; /* has no token */
    for (int i = 0; i < FD_CALLS; i++)
      for (int way = 0; way < 3; way++) { /* canceled while it waits, before, by a deadline */
        const struct fd_call *call = &fd_calls[i];
        struct fd_state s;
        struct fd_waiter w;
        check_running = call->name;
        gmx_cancel token = new_token(0, way == 2 ? MS : GMX_FOREVER);
        state_open(&s, call);
        if (way == 1) CHECK_OK(gmx_cancel_now(token));
        wait_start(&w, place, call, &s, i % 2 ? GMX_FOREVER : HOUR, token);
        if (way == 0) CHECK_OK(gmx_cancel_now(token));
        if (wait_end(&w) != GMX_ECANCELED) FAIL("%s %s: %s", call->name, place_names[place], gmx_err_name(w.status));
        call->event(&s);
        CHECK_STATUS(call->call(&s, GMX_FOREVER), call->wants); /* for the next caller nothing is lost */
        state_close(&s);
        CHECK_OK(gmx_cancel_free(token));
      }
  }
  check_running = __func__;
}

static gmx_poll scope_p[2];
static gmx_status fails(void *arg) {
  (void)arg;
  while (count_waiting() < 2) CHECK_OK(gmx_yield());
  return -77;
}
static gmx_status reads_in_scope(void *arg) {
  char byte;
  return gmx_read(*(gmx_poll *)arg, &byte, 1, GMX_FOREVER);
}

static void a_scope_that_fails_ends_its_readers(void) {
  struct pair pair = pair_of(TCP);
  for (int i = 0; i < 20; i++) {
    gmx_scope scope;
    gmx_status result = GMX_OK;
    scope_p[0] = pair.p[0];
    scope_p[1] = pair.p[1];
    CHECK_OK(gmx_scope_new(GMX_FOREVER, &scope));
    for (int k = 0; k < 2; k++) CHECK_OK(gmx_scope_spawn(scope, reads_in_scope, &scope_p[k]));
    CHECK_OK(gmx_scope_spawn(scope, fails, NULL));
    CHECK_OK(gmx_scope_leave(scope, GMX_FOREVER, &result));
    CHECK_STATUS(result, -77);
  }
  CHECK_OK(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL));
  char byte = 0;
  CHECK_EQ(gmx_read(pair.p[1], &byte, 1, GMX_FOREVER), 1);
  pair_close(&pair);
}

/* ---- an end against the event ---- */

#ifndef RACE_ROUNDS
#define RACE_ROUNDS 3000
#endif

/* The byte and the end of the wait come at the same time. The reader has the byte, or the next call has it: a byte that
 * neither gets was lost, and two are none that was written. */
struct racer {
  struct fd_state s;
  gmx_cancel token;
  gmx_status status;
  int go, done, how;
};

static void races_to_read(void *arg) {
  struct racer *r = arg;
  if (r->how == 0) CHECK_OK(gmx_cancel_use(r->token, NULL));
  gmx_status status = calls_read(&r->s, r->how == 1 ? 30000 : GMX_FOREVER);
  store(&r->status, status);
  store(&r->done, 1);
}

static void *races_to_feed(void *arg) {
  struct racer *r = arg;
  for (int round = 1; round <= RACE_ROUNDS; round++) {
    while (load(&r->go) < round) sched_yield();
    comes(&r->s);
    while (load(&r->go) == round && round < RACE_ROUNDS) sched_yield();
  }
  return NULL;
}

static void each_byte_has_one_reader(void) {
  struct racer r;
  uint64_t seed = (uint64_t)check_now();
  int ends[4] = {0, 0, 0, 0};
  memset(&r, 0, sizeof r);
  state_open(&r.s, &fd_calls[0]);
  pthread_t thread = thread_start(races_to_feed, &r);
  for (int round = 1; round <= RACE_ROUNDS; round++) {
    r.how = (int)random_below(&seed, 3);
    r.token = new_token(0, GMX_FOREVER);
    store(&r.done, 0);
    gmx_g g = go_joinable(races_to_read, &r);
    CHECK_OK(gmx_yield());
    store(&r.go, round);
    for (uint64_t i = random_below(&seed, 300); i > 0; i--) __asm__ volatile("" ::: "memory");
    if (r.how == 0) CHECK_OK(gmx_cancel_now(r.token));
    if (r.how == 2) CHECK_OK(gmx_poll_set_deadline(r.s.p, GMX_POLL_IN, gmx_now()));
    join(g);
    if (r.how == 2) CHECK_OK(gmx_poll_set_deadline(r.s.p, GMX_POLL_IN, GMX_FOREVER));
    if (r.status != 1) {
      CHECK_STATUS(r.status, r.how == 0 ? GMX_ECANCELED : GMX_ETIMEDOUT);
      CHECK_STATUS(calls_read(&r.s, GMX_FOREVER), 1);
      ends[r.how]++;
    } else ends[3]++;
    CHECK_STATUS(calls_read(&r.s, 0), GMX_ETIMEDOUT);
    CHECK_OK(gmx_cancel_free(r.token));
  }
  store(&r.go, RACE_ROUNDS + 1);
  thread_join(thread);
  check_say("  canceled %d, timed out %d, by deadline %d, read %d", ends[0], ends[1], ends[2], ends[3]);
  state_close(&r.s);
}

int main(void) {
  start_runtime(1, NO_SLICES);
  RUN_G(a_deadline_that_is_moved_before_the_woken_runs_has_not_come);
  end_runtime();
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(a_timeout_does_not_end_early);
    RUN_G(a_deadline_that_is_set_ends_a_wait);
    RUN_G(a_deadline_is_for_its_direction);
    RUN_G(a_deadline_that_is_moved_in_time_does_not_end_the_wait);
    RUN_G(a_deadline_that_comes_and_goes_loses_nothing);
    RUN_G(an_old_deadline_does_nothing);
    RUN_G(a_token_ends_each_call);
    RUN_G(a_scope_that_fails_ends_its_readers);
    RUN_G(each_byte_has_one_reader);
  }
  ends_clean();
  return 0;
}
