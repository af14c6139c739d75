/* timeout: 120 */
/* A G computes and does not poll. The Gs in all queues of its P, and its timers, reach the other Ps, however busy these
 * are. Each test computes until that has happened. */
#include "gs.h"
#include "objects.h"

#include <stdatomic.h>

/* ---- what keeps the other P busy ---- */

static atomic_int quit, busy;
static uint32_t ball[2];

static void is_there(void) { atomic_fetch_add(&busy, 1); }

static void polls(void *arg) {
  (void)arg;
  is_there();
  while (!atomic_load(&quit)) gmx_safepoint();
}

static void yields(void *arg) {
  (void)arg;
  is_there();
  while (!atomic_load(&quit)) CHECK_OK(gmx_yield());
}

static void burn(int64_t ns) {
  for (int64_t end = gmx_now() + ns; gmx_now() < end;) continue;
}

static void yields_seldom(void *arg) {
  (void)arg;
  is_there();
  while (!atomic_load(&quit)) {
    burn(2 * MS);
    CHECK_OK(gmx_yield());
  }
}

static void plays(void *arg) {
  int me = (int)(intptr_t)arg;
  is_there();
  while (!atomic_load(&quit)) {
    release(&ball[!me], 1);
    acquire(&ball[me], 1);
  }
  release(&ball[!me], 1);
}

static void spawned(void *arg) { (void)arg; }

static void spawns(void *arg) {
  (void)arg;
  is_there();
  while (!atomic_load(&quit)) join(go_joinable(spawned, NULL));
}

static void spawns_child_first(void *arg) {
  (void)arg;
  is_there();
  while (!atomic_load(&quit)) join(go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, spawned, NULL));
}

/* Each kind, and how many Gs of it there are. */
static const struct kind {
  const char *name;
  void (*fn)(void *);
  int n;
} kinds[] = {
    {"one that polls", polls, 1},       {"two that poll", polls, 2},
    {"one that yields", yields, 1},     {"a thousand that yield", yields, 1000},
    {"some that yield seldom", yields_seldom, 3}, {"two that talk", plays, 2},
    {"one that spawns", spawns, 1},     {"one that spawns child first", spawns_child_first, 1},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* ---- what waits ---- */

static atomic_int came, wanted;

static void comes(void *arg) {
  (void)arg;
  atomic_fetch_add(&came, 1);
}

static bool pinned; /* so that the P cannot be taken */

/* Computes, and makes no call of the library. */
static void is_deaf_until_they_came(void) {
  int64_t end = check_now() + 20 * SECOND;
  if (pinned) CHECK_CMP(gmx_pin(), >=, 0);
  while (atomic_load(&came) < atomic_load(&wanted))
    if (check_now() > end) FAIL("%d of %d came", atomic_load(&came), atomic_load(&wanted));
  if (pinned) CHECK_OK(gmx_unpin());
}

static void next_waits(void) {
  atomic_store(&wanted, 1);
  go(comes, NULL);
  is_deaf_until_they_came();
}

static void a_queue_waits(void) {
  atomic_store(&wanted, 100);
  for (int i = 0; i < 100; i++) go(comes, NULL);
  is_deaf_until_they_came();
}

static void a_backlog_waits(void) {
  atomic_store(&wanted, 3000);
  for (int i = 0; i < 3000; i++) go(comes, NULL);
  is_deaf_until_they_came();
}

/* The other way round: the child computes, and its parents wait. */
static void parents_wait_from(void *arg) {
  intptr_t depth = (intptr_t)arg;
  if (depth == 0) {
    is_deaf_until_they_came();
    return;
  }
  gmx_g g = go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, parents_wait_from, (void *)(depth - 1));
  comes(NULL);
  join(g);
}

static void parents_wait(void) {
  atomic_store(&wanted, 5);
  parents_wait_from((void *)5);
}

static void timers_wait(void) {
  atomic_store(&wanted, 200);
  for (int i = 0; i < 200; i++) CHECK_OK(gmx_after_func((i % 20) * MS, comes, NULL, NULL));
  is_deaf_until_they_came();
}

static void sleeps(void *arg) {
  CHECK_OK(gmx_sleep(5 * MS));
  comes(arg);
}

static void sleepers_wait(void) {
  atomic_store(&wanted, 50);
  for (int i = 0; i < 50; i++) go(sleeps, NULL);
  CHECK_OK(gmx_yield()); /* some sleep on this P */
  is_deaf_until_they_came();
}

static void *receives_ticks(void *arg) {
  int64_t at;
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_chan_recv(arg, &at));
    comes(NULL);
  }
  return NULL;
}

/* A foreign thread needs no P, but its timer is in the heap of this P. */
static void a_thread_waits(void) {
  gmx_timer t;
  gmx_chan *c;
  atomic_store(&wanted, 3);
  CHECK_OK(gmx_ticker_new(3 * MS, &t, &c));
  pthread_t thread = thread_start(receives_ticks, c);
  is_deaf_until_they_came();
  thread_join(thread);
  CHECK_CMP(timer_free(t), >=, 0);
  CHECK_OK(gmx_chan_free(c));
}

static void beside_each_kind(void (*waits)(void)) {
  for (size_t k = 0; k < KINDS; k++) {
    gmx_g g[1000];
    atomic_store(&quit, 0);
    atomic_store(&busy, 0);
    atomic_store(&came, 0);
    ball[0] = ball[1] = 0;
    for (int i = 0; i < kinds[k].n; i++) g[i] = go_joinable(kinds[k].fn, (void *)(intptr_t)i);
    spin_until(atomic_load(&busy) == kinds[k].n);
    int64_t begin = check_now();
    waits();
    check_say("  beside %s: %" PRId64 " ms", kinds[k].name, (check_now() - begin) / MS);
    atomic_store(&quit, 1);
    join_all(g, kinds[k].n);
  }
}

static void what_is_next(void) { beside_each_kind(next_waits); }
static void what_is_queued(void) { beside_each_kind(a_queue_waits); }
static void what_is_in_the_backlog(void) { beside_each_kind(a_backlog_waits); }
static void suspended_parents(void) { beside_each_kind(parents_wait); }
static void timers_that_are_due(void) { beside_each_kind(timers_wait); }
static void sleepers_that_are_due(void) { beside_each_kind(sleepers_wait); }
static void timers_of_a_thread(void) { beside_each_kind(a_thread_waits); }

static void all_of_them_behind_a_pinned_g(void) {
  pinned = true;
  what_is_next();
  what_is_queued();
  what_is_in_the_backlog();
  suspended_parents();
  timers_that_are_due();
  sleepers_that_are_due();
  timers_of_a_thread();
  pinned = false;
}

/* With one P no other thread can run Gs, but a foreign thread that waits for a timer needs no P. */
static void timers_of_a_thread_beside_one_p(void) {
  atomic_store(&came, 0);
  a_thread_waits();
}

/* ---- the global queue ---- */

static atomic_int turns, at_turn;

static void takes_long_turns(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    atomic_fetch_add(&turns, 1);
    burn(4 * MS);
    CHECK_OK(gmx_yield());
  }
}

static void says_at_which_turn(void *arg) {
  (void)arg;
  atomic_store(&at_turn, atomic_load(&turns));
  atomic_fetch_add(&came, 1);
}

static void *submits_one_after_the_other(void *arg) {
  int *waited = arg;
  for (int i = 0; i <= 10; i++) {
    int begin = atomic_load(&turns);
    go(says_at_which_turn, NULL);
    spin_until(atomic_load(&came) == i + 1);
    if (i > 0) *waited += atomic_load(&at_turn) - begin;
  }
  atomic_store(&quit, 1);
  return NULL;
}

/* Each comes just after the last look at the global queue, and the next one is 61 turns of 4 ms away. */
static void the_global_queue_does_not_wait_for_61_long_turns(void) {
  int waited = 0;
  atomic_store(&quit, 0);
  atomic_store(&came, 0);
  atomic_store(&turns, 0);
  gmx_g g[3];
  for (int i = 0; i < 3; i++) g[i] = go_joinable(takes_long_turns, NULL);
  pthread_t t = thread_start(submits_one_after_the_other, &waited);
  join_all(g, 3);
  thread_join(t);
  check_say("  ten waited for %d turns", waited);
  CHECK_CMP(waited, <, 10 * 61 / 2);
}

/* ---- what a P that does not answer costs those that poll ---- */

static atomic_long looks, up;

static void computes_until_quit(void *arg) {
  (void)arg;
  is_there();
  while (!atomic_load(&quit)) continue;
}

/* A poll is a look at one word of all Ps. A request that is never answered would keep it up for as long as the G
 * computes. */
static void polls_beside_it(void *arg) {
  (void)arg;
  is_there();
  for (int64_t end = gmx_now() + 300 * MS; gmx_now() < end;) gmx_safepoint();
  atomic_store(&looks, 0);
  atomic_store(&up, 0);
  for (int64_t end = gmx_now() + 400 * MS; gmx_now() < end;) {
    atomic_fetch_add(&looks, 1);
    if (__atomic_load_n(&gmx_poll_word, __ATOMIC_RELAXED) != 0) atomic_fetch_add(&up, 1);
    gmx_safepoint();
  }
  atomic_store(&quit, 1);
}

static void a_poll_stays_cheap(void) {
  atomic_store(&quit, 0);
  atomic_store(&busy, 0);
  gmx_g deaf = go_with("deaf", GMX_SPAWN_JOINABLE, computes_until_quit, NULL);
  join(go_with("polls", GMX_SPAWN_JOINABLE, polls_beside_it, NULL));
  join(deaf);
  check_say("  the word was up at %ld of %ld looks", atomic_load(&up), atomic_load(&looks));
  CHECK_CMP(atomic_load(&up), <, atomic_load(&looks) / 2);
}

int main(void) {
  start_runtime(2, MS);
  RUN_G(a_poll_stays_cheap);
  end_runtime();

  start_runtime(2, 0);
  RUN_G(what_is_next);
  RUN_G(what_is_queued);
  RUN_G(what_is_in_the_backlog);
  RUN_G(suspended_parents);
  RUN_G(timers_that_are_due);
  RUN_G(sleepers_that_are_due);
  RUN_G(timers_of_a_thread);
  RUN_G(all_of_them_behind_a_pinned_g);
  end_runtime();

  start_runtime(1, 0);
  RUN_G(timers_of_a_thread_beside_one_p);
  RUN_G(the_global_queue_does_not_wait_for_61_long_turns);
  end_runtime();
  return 0;
}
