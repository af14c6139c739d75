/* The order in which one P runs its Gs; and no G waits forever. */
#include "gs.h"

#include <stdatomic.h>

static int logged[1 << 16];
static int nlogged;

static void log_id(int id) { logged[nlogged++] = id; } /* one P: one at a time */

static void log_arg(void *arg) { log_id((int)(intptr_t)arg); }

static void let_others_run(int n) {
  for (int i = 0; i < n; i++) CHECK_OK(gmx_yield());
}

/* ---- order ---- */

static void last_spawned_runs_next(void) {
  nlogged = 0;
  for (int i = 0; i < 10; i++) go(log_arg, (void *)(intptr_t)i);
  CHECK_EQ(nlogged, 0);
  CHECK_OK(gmx_yield());
  CHECK_EQ(nlogged, 10);
  CHECK_EQ(logged[0], 9);
  for (int i = 1; i < 10; i++) CHECK_EQ(logged[i], i - 1);
}

/* Repeated over many fairness ticks, without an exception. (Go has none either while the global queue is empty.) */
static void last_spawned_runs_next_always(void) {
  enum { N = 20000 };
  int exceptions = 0;
  for (int i = 0; i < N; i++) {
    nlogged = 0;
    go(log_arg, (void *)1);
    go(log_arg, (void *)2);
    CHECK_OK(gmx_yield());
    CHECK_EQ(nlogged, 2);
    exceptions += logged[0] != 2;
  }
  check_say("  %d of %d did not run next", exceptions, N);
  CHECK_EQ(exceptions, 0);
}

/* These Gs run after all Gs that are queued already, and never come into runnext. */
static void spawned_last_runs_last(void) {
  nlogged = 0;
  for (int i = 0; i < 200; i++) go_with(NULL, GMX_SPAWN_LAST, log_arg, (void *)(intptr_t)i);
  go(log_arg, (void *)1000);
  go_with(NULL, GMX_SPAWN_LAST, log_arg, (void *)1001);
  CHECK_EQ(nlogged, 0);
  while (nlogged < 202) CHECK_OK(gmx_yield());
  CHECK_EQ(logged[0], 1000);
  for (int i = 1; i <= 200; i++) CHECK_EQ(logged[i], i - 1);
  CHECK_EQ(logged[201], 1001);
}

static int turns_of_the_last;
static void takes_the_turn(void *arg) {
  (void)arg;
  turns_of_the_last++;
}

/* As before, by a G that is one of many: the queue, the backlog behind it and the global queue are full of others, and
 * what the G spawned last still comes next when it parks. */
static gmx_waitgroup crowd;
static int in_the_crowd_exceptions, in_the_crowd;
static void spawns_and_parks(void *arg) {
  (void)arg;
  for (int i = 0; i < 100; i++) {
    int before = turns_of_the_last;
    gmx_g g = go_joinable(takes_the_turn, NULL);
    join(g); /* parks: the spawned G must be the next to run */
    in_the_crowd++;
    in_the_crowd_exceptions += turns_of_the_last != before + 1;
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&crowd));
}

static void *submits_to_the_crowd(void *arg) {
  for (int i = 0; i < 200; i++) go(spawns_and_parks, arg);
  return arg;
}

static void last_spawned_runs_next_in_a_crowd(void) {
  turns_of_the_last = in_the_crowd = in_the_crowd_exceptions = 0;
  CHECK_OK(gmx_waitgroup_add(&crowd, 800));
  for (int i = 0; i < 600; i++) go(spawns_and_parks, NULL);
  pthread_t t = thread_start(submits_to_the_crowd, NULL);
  CHECK_OK(gmx_waitgroup_wait(&crowd));
  thread_join(t);
  check_say("  %d of %d did not run next", in_the_crowd_exceptions, in_the_crowd);
  CHECK_EQ(in_the_crowd, 800 * 100);
  CHECK_EQ(in_the_crowd_exceptions, 0);
}

static void parks_and_logs(void *arg) {
  CHECK_OK(gmx_park(NULL, NULL, "order"));
  log_arg(arg);
}

static void readied_runs_next_and_displaces_the_spawned(void) {
  nlogged = 0;
  gmx_g a = go_with("a", GMX_SPAWN_JOINABLE, parks_and_logs, (void *)1);
  CHECK_OK(gmx_yield());
  CHECK_EQ(nlogged, 0);
  go(log_arg, (void *)2);
  go(log_arg, (void *)3);
  CHECK_OK(gmx_ready(a));
  CHECK_STATUS(gmx_ready(a), GMX_EPERM); /* runnable: not to be readied again */
  CHECK_OK(gmx_yield());
  CHECK_EQ(nlogged, 3);
  CHECK_EQ(logged[0], 1);
  CHECK_EQ(logged[1], 2);
  CHECK_EQ(logged[2], 3);
  join(a);
}

/* More Gs than a local queue holds: none is lost, and the Gs that do not fit keep their order. */
static void a_thousand_spawned_all_run_once(void) {
  static char seen[1000];
  nlogged = 0;
  memset(seen, 0, sizeof seen);
  for (int i = 0; i < 1000; i++) go(log_arg, (void *)(intptr_t)i);
  while (nlogged < 1000) CHECK_OK(gmx_yield());
  for (int i = 0; i < 1000; i++) {
    CHECK(!seen[logged[i]]);
    seen[logged[i]] = 1;
  }
}

/* ---- yield ---- */

#define TURNS 200
static int turns[1000];
static int least_at_first_end;
static gmx_waitgroup all;

static void takes_turns(void *arg) {
  int id = (int)(intptr_t)arg;
  for (int i = 0; i < TURNS; i++) {
    log_id(id);
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void yield_goes_round(void) {
  enum { N = 10 };
  nlogged = 0;
  CHECK_OK(gmx_waitgroup_add(&all, N));
  for (int i = 0; i < N; i++) go(takes_turns, (void *)(intptr_t)i);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(nlogged, N * TURNS);
  /* between two turns of one G each other has exactly one */
  for (int i = N; i < nlogged; i++) CHECK_EQ(logged[i], logged[i - N]);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < i; j++) CHECK(logged[i] != logged[j]);
}

static void takes_many_turns(void *arg) {
  int id = (int)(intptr_t)arg;
  for (int i = 0; i < TURNS; i++) {
    turns[id]++;
    CHECK_OK(gmx_yield());
  }
  if (least_at_first_end < 0) {
    least_at_first_end = TURNS;
    for (int i = 0; i < 1000; i++)
      if (turns[i] < least_at_first_end) least_at_first_end = turns[i];
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* The Gs that do not fit into the local queue must not run once while the others run a hundred times. */
static void yield_is_fair_among_more_than_a_queue_holds(void) {
  least_at_first_end = -1;
  CHECK_OK(gmx_waitgroup_add(&all, 1000));
  for (int i = 0; i < 1000; i++) go(takes_many_turns, (void *)(intptr_t)i);
  CHECK_OK(gmx_waitgroup_wait(&all));
  check_say("  when the first of 1000 had its %d turns, the last had %d", TURNS, least_at_first_end);
  CHECK_CMP(least_at_first_end, >=, TURNS / 4);
}

/* ---- the backlog of a queue ---- */

enum { OLD = 1000 };
static long links;
static int old_ran;

static void old_one(void *arg) {
  (void)arg;
  old_ran++;
}

static void next_in_the_chain(void *arg) { (void)arg; }

/* The G that a link spawns last displaces the next link from runnext. The next link thus goes to the end of the queue
 * and does not inherit the slice. */
static void spawns_the_next(void *arg) {
  if (old_ran < OLD && ++links < 1000000) {
    go(spawns_the_next, arg);
    go(next_in_the_chain, NULL);
  } else {
    CHECK_OK(gmx_waitgroup_done(&all));
  }
}

/* Chains whose next link always comes in before the last is gone keep the ring of the queue from ever being empty. */
static void those_behind_the_ring_get_their_turn(void) {
  enum { CHAINS = 10 };
  links = old_ran = 0;
  CHECK_OK(gmx_waitgroup_add(&all, CHAINS));
  for (int i = 0; i < OLD; i++) go(old_one, NULL);
  for (int i = 0; i < CHAINS; i++) go(spawns_the_next, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
  check_say("  %d had run after %ld links", old_ran, links);
  CHECK_EQ(old_ran, OLD);
  /* one slice in 122 begins with one from behind the ring */
  CHECK_CMP(links, <=, 122 * OLD + 10 * 256);
}

/* ---- the global queue ---- */

static atomic_long yields;
static atomic_int foreign_ran, quit;
static atomic_long ran_at[100];

static void yields_until_quit(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    atomic_fetch_add(&yields, 1);
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void notes_when(void *arg) {
  ran_at[(intptr_t)arg] = atomic_load(&yields);
  atomic_fetch_add(&foreign_ran, 1);
}

static void *submits_a_hundred(void *arg) {
  long *after = arg;
  for (int i = 0; i < 100; i++) {
    go(notes_when, (void *)(intptr_t)i);
    after[i] = atomic_load(&yields);
  }
  return NULL;
}

/* A foreign thread has no P, so its Gs go to the global queue, which a P looks at before its own every 61st time. */
static void one_in_61_is_from_the_global_queue(void) {
  static long after[100];
  enum { N = 2 };
  atomic_store(&yields, 0);
  atomic_store(&foreign_ran, 0);
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, N));
  for (int i = 0; i < N; i++) go(yields_until_quit, NULL);
  pthread_t t = thread_start(submits_a_hundred, after);
  spin_until(atomic_load(&foreign_ran) == 100);
  atomic_store(&quit, 1);
  thread_join(t);
  CHECK_OK(gmx_waitgroup_wait(&all));
  long worst = 0;
  for (int i = 0; i < 100; i++) {
    /* at worst all Gs before it are still in the queue; the main G yields too, and does not count itself */
    long waited = ran_at[i] - after[i];
    if (waited > worst) worst = waited;
    CHECK_CMP(waited, <=, 61 * (i + 2));
  }
  check_say("  waited at most %ld yields of others", worst);
}

static void *submits_a_hundred_late(void *arg) {
  spin_until(atomic_load(&yields) > 1000);
  return submits_a_hundred(arg);
}

/* The turns of the Gs in the backlog come in addition to those of the global queue, not instead (Go's figure is the
 * 61st). */
static void one_in_61_is_from_the_global_queue_whatever_waits_behind(void) {
  static long after[100];
  enum { N = 1000 };
  atomic_store(&yields, 0);
  atomic_store(&foreign_ran, 0);
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, N));
  for (int i = 0; i < N; i++) go(yields_until_quit, NULL);
  pthread_t t = thread_start(submits_a_hundred_late, after);
  spin_until(atomic_load(&foreign_ran) == 100);
  atomic_store(&quit, 1);
  thread_join(t);
  CHECK_OK(gmx_waitgroup_wait(&all));
  long worst = 0;
  for (int i = 0; i < 100; i++) {
    long waited = ran_at[i] - after[i];
    if (waited > worst) worst = waited;
    CHECK_CMP(waited, <=, 62 * (i + 2)); /* every 122nd turn beside is one of theirs */
  }
  check_say("  waited at most %ld yields of others", worst);
}

/* Two pairs, each with one slice at a time for both, whatever they do in it. Go's TestPingPongHog allows a factor of 20
 * between a pair that counts to a million at each turn and one that counts to a thousand. */
struct counters {
  gmx_chan *ball, *over;
  long limit;
  volatile long count;
};

static void plays(void *arg) {
  struct counters *c = arg;
  int v = 1;
  for (;;) {
    size_t i = 0;
    gmx_select_case in[2] = {{.chan = c->over, .op = GMX_CASE_RECV}, {.chan = c->ball, .elem = &v, .op = GMX_CASE_RECV}};
    gmx_status status = gmx_select(in, 2, GMX_FOREVER, &i);
    if (status == GMX_ECLOSED) break;
    CHECK_OK(status);
    for (long k = 0; k < c->limit; k++) {
      c->count++;
      gmx_safepoint();
    }
    in[1].op = GMX_CASE_SEND;
    status = gmx_select(in, 2, GMX_FOREVER, &i); /* the other may have gone */
    if (status == GMX_ECLOSED) break;
    CHECK_OK(status);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void pairs_share_by_slices(void) {
  static struct counters pair[2];
  gmx_chan *over;
  int v = 1;
  CHECK_OK(gmx_chan_new(0, 0, &over));
  CHECK_OK(gmx_waitgroup_add(&all, 4));
  for (int i = 0; i < 2; i++) {
    CHECK_OK(gmx_chan_new(sizeof v, 0, &pair[i].ball));
    pair[i].over = over;
    pair[i].limit = i == 0 ? 1000000 : 1000;
    pair[i].count = 0;
    go(plays, &pair[i]);
    go(plays, &pair[i]);
    CHECK_OK(gmx_chan_send(pair[i].ball, &v));
  }
  while (pair[0].count + pair[1].count < 100000000) CHECK_OK(gmx_sleep(20 * MS));
  CHECK_OK(gmx_chan_close(over));
  CHECK_OK(gmx_waitgroup_wait(&all));
  check_say("  %ld and %ld: %.1f", pair[0].count, pair[1].count, (double)pair[0].count / (double)pair[1].count);
  CHECK_CMP(pair[0].count, <=, 20 * pair[1].count);
  CHECK_CMP(pair[1].count, <=, 20 * pair[0].count);
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_chan_free(pair[i].ball));
  CHECK_OK(gmx_chan_free(over));
}

/* ---- slices ---- */

static uint32_t ping, pong;

static void pings(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_sema_release(&pong));
    CHECK_OK(gmx_sema_acquire(&ping));
  }
  CHECK_OK(gmx_sema_release(&pong));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void pongs(void *arg) {
  (void)arg;
  for (;;) {
    CHECK_OK(gmx_sema_acquire(&pong));
    if (atomic_load(&quit)) break;
    CHECK_OK(gmx_sema_release(&ping));
  }
  CHECK_OK(gmx_sema_release(&ping));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void third(void *arg) {
  (void)arg;
  let_others_run(5);
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* Each of a pair readies the other into runnext, so the pair would keep the P forever if the two did not share a
 * slice. */
static void a_pair_does_not_starve_a_third(void) {
  ping = pong = 0;
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 3));
  go(third, NULL);
  go(pongs, NULL);
  go(pings, NULL); /* in runnext */
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void polls_until_quit(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) gmx_safepoint();
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void a_loop_that_polls_gives_way(void) {
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 3));
  go(third, NULL);
  go(polls_until_quit, NULL);
  go(polls_until_quit, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static atomic_int polling;

static void says_that_it_polls(void *arg) {
  atomic_store(&polling, 1);
  polls_until_quit(arg);
}

static void *submits_the_third(void *arg) {
  spin_until(atomic_load(&polling));
  go(third, NULL);
  return arg;
}

/* No G of the P itself waits, only one in the global queue. */
static void a_polling_loop_gives_way_to_a_foreign_threads_g(void) {
  atomic_store(&quit, 0);
  atomic_store(&polling, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2));
  pthread_t t = thread_start(submits_the_third, NULL);
  go(says_that_it_polls, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
  thread_join(t);
}

#define QUICK 1000000 /* so many that the watchdog takes its time, as it finds another one at each look */
static atomic_int sat, sat_when_third_ran;

static void sits_until_quit(void *arg) {
  (void)arg;
  for (int i = 0; !atomic_load(&quit); i++) {
    CHECK_OK(gmx_enter_syscall());
    if (i >= QUICK) thread_nap(MS / 2);
    CHECK_OK(gmx_exit_syscall());
    atomic_fetch_add(&sat, 1);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void notes_how_long(void *arg) {
  atomic_store(&sat_when_third_ran, atomic_load(&sat));
  third(arg);
}

static void *submits_the_third_late(void *arg) {
  spin_until(atomic_load(&sat) >= QUICK + 10);
  go(notes_how_long, NULL);
  *(int *)arg = atomic_load(&sat);
  return NULL;
}

/* Each syscall is short, and finds its P again; but together they are longer than a slice. */
static void a_chain_of_syscalls_gives_way(void) {
  int before = 0;
  atomic_store(&quit, 0);
  atomic_store(&sat, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2));
  pthread_t t = thread_start(submits_the_third_late, &before);
  go(sits_until_quit, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
  thread_join(t);
  check_say("  waited for %d syscalls of the other", atomic_load(&sat_when_third_ran) - before);
  CHECK_CMP(atomic_load(&sat_when_third_ran) - before, <, 2000);
}

static void sleeps_then_quits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(MS));
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* The timer belongs to the one P, which never looks by itself. */
static void a_timer_interrupts_a_loop_that_polls(void) {
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2));
  go(sleeps_then_quits, NULL);
  CHECK_OK(gmx_yield()); /* it sleeps */
  go(polls_until_quit, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

/* ---- child first ---- */

static uint32_t go_on;

static void child(void *arg) {
  log_id(1);
  if (arg) {
    acquire(&go_on, 1);
    log_id(3);
  }
}

static void child_runs_before_its_parent_continues(void) {
  nlogged = 0;
  gmx_g g = go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, child, NULL);
  log_id(2);
  CHECK_EQ(nlogged, 2);
  CHECK_EQ(logged[0], 1);
  CHECK_EQ(logged[1], 2);
  join(g);

  /* a child that waits gives its parent the P */
  nlogged = 0;
  g = go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, child, (void *)1);
  log_id(2);
  release(&go_on, 1);
  join(g);
  CHECK_EQ(nlogged, 3);
  CHECK_EQ(logged[0], 1);
  CHECK_EQ(logged[1], 2);
  CHECK_EQ(logged[2], 3);
}

typedef struct fib_arg {
  int n;
  long result;
} fib_arg;

static long most_alive;

static void fib(void *arg) {
  fib_arg *f = arg;
  if (f->n < 2) {
    f->result = f->n;
    return;
  }
  fib_arg a = {f->n - 1, 0}, b = {f->n - 2, 0};
  gmx_g g = go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, fib, &a);
  long alive = (long)gmx_num_g();
  if (alive > most_alive) most_alive = alive;
  fib(&b);
  join(g);
  f->result = a.result + b.result;
}

static atomic_int came_from[2]; /* the queue of the P, the global queue */

static void comes_from(void *arg) { atomic_fetch_add(&came_from[(intptr_t)arg], 1); }

static void *submits_a_hundred_to_the_global_queue(void *arg) {
  for (int i = 0; i < 100; i++) go(comes_from, (void *)1);
  return arg;
}

static void comes_and_goes(void *arg) { (void)arg; }

/* The loop is one slice, as long as it lasts: each child inherits it, and so does the parent behind each. */
static void a_loop_of_children_lets_others_run(void) {
  enum { QUEUED = 1, GLOBAL = 2 };
  for (int where = QUEUED; where <= (QUEUED | GLOBAL); where++) {
    int want[2] = {where & QUEUED ? 100 : 0, where & GLOBAL ? 100 : 0};
    atomic_store(&came_from[0], 0);
    atomic_store(&came_from[1], 0);
    for (int i = 0; i < want[0]; i++) go(comes_from, (void *)0);
    if (want[1]) thread_join(thread_start(submits_a_hundred_to_the_global_queue, NULL));
    long children = 0, at[2] = {0, 0};
    for (;; children++) {
      for (int i = 0; i < 2; i++)
        if (!at[i] && atomic_load(&came_from[i]) == want[i]) at[i] = children;
      if (atomic_load(&came_from[0]) + atomic_load(&came_from[1]) == want[0] + want[1]) break;
      if (children > 100 * 1000) FAIL("%d, %d came", atomic_load(&came_from[0]), atomic_load(&came_from[1]));
      join(go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, comes_and_goes, NULL));
    }
    check_say("  all of the queue after %ld children, all of the global queue after %ld", at[0], at[1]);
    /* one of those that wait at each 61st switch, of which each child is two */
    CHECK_CMP(children, <=, (want[0] + want[1] + 2) * 61);
  }
}

static long slices_ended(void) { return (long)sched_stats().preempts; }

/* 10945 spawns. Depth first, some dozens are alive at a time; breadth first, thousands. Each end of a slice puts a
 * branch aside, as deep as it is by then. */
static void fib_20_stays_narrow(void) {
  fib_arg f = {20, 0};
  most_alive = 0;
  long before = slices_ended();
  fib(&f);
  CHECK_EQ(f.result, 6765);
  check_say("  %ld alive at most", most_alive);
  CHECK_CMP(most_alive, <, 1000 + 20 * (slices_ended() - before));
}

int main(void) {
  start_runtime(1, NO_SLICES);
  RUN_G(last_spawned_runs_next);
  RUN_G(last_spawned_runs_next_always);
  RUN_G(last_spawned_runs_next_in_a_crowd);
  RUN_G(spawned_last_runs_last);
  RUN_G(readied_runs_next_and_displaces_the_spawned);
  RUN_G(a_thousand_spawned_all_run_once);
  RUN_G(yield_goes_round);
  RUN_G(yield_is_fair_among_more_than_a_queue_holds);
  RUN_G(those_behind_the_ring_get_their_turn);
  RUN_G(one_in_61_is_from_the_global_queue);
  RUN_G(one_in_61_is_from_the_global_queue_whatever_waits_behind);
  RUN_G(child_runs_before_its_parent_continues);
  RUN_G(a_loop_of_children_lets_others_run);
  RUN_G(fib_20_stays_narrow);
  end_runtime();

  start_runtime(1, 0);
  RUN_G(pairs_share_by_slices);
  RUN_G(a_pair_does_not_starve_a_third);
  RUN_G(a_loop_that_polls_gives_way);
  RUN_G(a_polling_loop_gives_way_to_a_foreign_threads_g);
  RUN_G(a_chain_of_syscalls_gives_way);
  RUN_G(a_timer_interrupts_a_loop_that_polls);
  RUN_G(fib_20_stays_narrow);
  end_runtime();
  return 0;
}
