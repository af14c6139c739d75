/* timeout: 120 */
/* env: GMX_MAXPROCS=1 */
/*
 * Between enter and exit the thread of a G may block in the kernel, and its P goes to others.
 *
 * With one P, another G that runs while a thread blocks has the P that was handed off. Without the hand-off the program
 * would hang in the first test.
 */
#include "gs.h"

struct block {
  int pipe[2];
  int (*enter)(void);
  int in, out;
  char got;
};

static void block_make(struct block *b, int (*enter)(void)) {
  memset(b, 0, sizeof *b);
  CHECK(pipe(b->pipe) == 0);
  b->enter = enter;
}
static void block_end(struct block *b) {
  close(b->pipe[0]);
  close(b->pipe[1]);
}

static void reads(void *arg) {
  struct block *b = arg;
  store(&b->in, 1);
  CHECK(read(b->pipe[0], &b->got, 1) == 1);
}

static int enters(void) { return gmx_enter_syscall(); }
static int enters_blocking(void) { return gmx_enter_syscall_blocking(); }

static void reads_in_a_syscall(void *arg) {
  struct block *b = arg;
  if (b->enter) {
    CHECK_OK(b->enter());
    reads(b);
    CHECK_OK(gmx_exit_syscall());
  } else {
    CHECK_OK(gmx_blocking(reads, b));
  }
  CHECK_EQ(b->got, 'x');
  store(&b->out, 1);
}

static void writes(void *arg) {
  struct block *b = arg;
  spin_until(load(&b->in));
  CHECK_EQ(load(&b->out), 0);
  CHECK(write(b->pipe[1], "x", 1) == 1);
}

static int (*const ways[])(void) = {enters, enters_blocking, NULL};
enum { WAYS = 3 };

static void the_p_is_handed_on(void) {
  for (int round = 0; round < 60; round++) {
    struct block b;
    block_make(&b, ways[round % WAYS]);
    gmx_g reader = go_joinable(reads_in_a_syscall, &b), writer = go_joinable(writes, &b);
    join(reader);
    join(writer);
    block_end(&b);
  }
}

static void reads_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  pthread_t thread = pthread_self();
  reads_in_a_syscall(arg);
  CHECK(pthread_equal(thread, pthread_self()));
  CHECK_OK(gmx_detach_thread());
}
static void *attached_thread(void *arg) {
  reads_attached(arg);
  return NULL;
}

static void attached_threads_too(void) {
  for (int round = 0; round < 30; round++) {
    struct block b;
    block_make(&b, ways[round % WAYS]);
    pthread_t thread = thread_start(attached_thread, &b);
    on_g(writes, &b);
    thread_join(thread);
    block_end(&b);
  }
}

/* Many Gs at once have a thread in the kernel each, and the only P still runs others. */
static void many_block_at_once(void) {
  enum { GS = 60 };
  struct block b[GS];
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    block_make(&b[i], ways[i % WAYS]);
    gs[i] = go_joinable(reads_in_a_syscall, &b[i]);
  }
  for (int i = 0; i < GS; i++) spin_until(load(&b[i].in));
  for (int i = 0; i < GS; i++) CHECK_EQ(load(&b[i].out), 0);
  for (int i = 0; i < GS; i++) on_g(writes, &b[i]);
  join_all(gs, GS);
  for (int i = 0; i < GS; i++) block_end(&b[i]);
}

/* ---- what may be called inside ---- */

struct inside {
  uint32_t sema;
  int ran, have_p;
  gmx_g where, parked;
};

static void adds_one(void *arg) { bump(&((struct inside *)arg)->ran); }
static void parks(void *arg) { park_at((gmx_g *)arg); }
static void takes_the_p(void *arg) { store(&((struct inside *)arg)->have_p, 1); }

static void works_without_a_p(void *arg) {
  struct inside *i = arg;
  uint64_t goid = gmx_goid();
  gmx_g self = gmx_self(), child = 0;
  i->parked = go_joinable(parks, &i->where);
  while (!load(&i->where)) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_spawn(takes_the_p, i));
  CHECK_OK(gmx_enter_syscall_blocking());
  while (!load(&i->have_p)) sched_yield(); /* now the P is with others */
  CHECK_EQ(gmx_goid(), goid);
  CHECK_EQ(gmx_self(), self);
  for (int n = 0; n < 300; n++) CHECK_OK(gmx_spawn(adds_one, i));
  while (load(&i->ran) != 300) sched_yield(); /* whom we made runs while we are in the syscall */
  CHECK_OK(gmx_ready(i->parked));
  CHECK_STATUS(gmx_ready(self), GMX_EPERM);
  CHECK_OK(gmx_sema_release(&i->sema));
  CHECK_OK(gmx_sema_try_acquire(&i->sema));
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST};
  CHECK_OK(gmx_spawn_with(&opts, adds_one, i, &child));
  while (load(&i->ran) != 301) sched_yield();
  CHECK_STATUS(gmx_join(child, GMX_FOREVER), GMX_EINSYSCALL);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_join(child, GMX_FOREVER));
  CHECK_OK(gmx_join(i->parked, GMX_FOREVER));
  CHECK_EQ(gmx_self(), self);
}

static void what_needs_no_p_works(void) {
  for (int round = 0; round < 10; round++) {
    struct inside i = {0, 0, 0, 0, 0};
    on_g(works_without_a_p, &i);
  }
}

static void nests_not(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  for (int way = 0; way < 2; way++) {
    CHECK_OK(ways[way]());
    CHECK_STATUS(gmx_enter_syscall(), GMX_EINSYSCALL);
    CHECK_STATUS(gmx_enter_syscall_blocking(), GMX_EINSYSCALL);
    CHECK_STATUS(gmx_blocking(nests_not, NULL), GMX_EINSYSCALL);
    CHECK_OK(gmx_exit_syscall());
    CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  }
}
static void entries_do_not_nest(void) {
  on_g(nests_not, NULL);
  CHECK_STATUS(gmx_enter_syscall(), GMX_ENOTG);
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
}

/* ---- callbacks out of a syscall ---- */

struct deep {
  int level, levels, reached;
};

static void goes_deeper(void *arg) {
  struct deep *d = arg;
  pthread_t thread = pthread_self();
  uint64_t goid = gmx_goid();
  d->reached = ++d->level > d->reached ? d->level : d->reached;
  CHECK_OK(gmx_yield()); /* a G as any other, except for its thread */
  CHECK_OK(gmx_sleep(1000));
  CHECK(pthread_equal(thread, pthread_self()));
  if (d->level < d->levels) {
    CHECK_OK(d->level % 2 ? gmx_enter_syscall() : gmx_enter_syscall_blocking());
    CHECK_OK(gmx_callback(goes_deeper, d));
    CHECK_STATUS(gmx_yield(), GMX_EINSYSCALL); /* back in the very state of before */
    CHECK_OK(gmx_exit_syscall());
  }
  CHECK_OK(gmx_yield());
  CHECK_EQ(gmx_goid(), goid);
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  d->level--;
}

static void callbacks_nest(void) {
  for (int round = 0; round < 20; round++) {
    struct deep d = {0, 20, 0};
    on_g(goes_deeper, &d);
    CHECK_EQ(d.reached, 20);
    CHECK_EQ(d.level, 0);
  }
}
static void may_not_untie(void *arg) {
  pthread_t thread = pthread_self();
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_EPERM); /* what ties it is the callback, not a lock of the host's */
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_EPERM);
  for (int i = 0; i < 100; i++) {
    CHECK_OK(gmx_yield());
    CHECK(pthread_equal(thread, pthread_self()));
  }
  bump((int *)arg);
}
static void calls_back_tied(void *arg) {
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_callback(may_not_untie, arg));
  CHECK_OK(gmx_exit_syscall());
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_EPERM);
}
static void unlocks(void *arg) {
  CHECK_OK(gmx_unlock_os_thread());
  bump((int *)arg);
}
static void locks_out_of_a_callback(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_callback(unlocks, arg)); /* of the lock above, which holds for the callback all the same */
  CHECK_OK(gmx_exit_syscall());
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_EPERM);
}

static void a_callback_ties_the_g(void) {
  int ran = 0;
  for (int i = 0; i < 50; i++) on_g(calls_back_tied, &ran);
  on_g(locks_out_of_a_callback, &ran);
  CHECK_EQ(ran, 51);
}

static void calls_in(void *arg) { CHECK_OK(gmx_callback(goes_deeper, arg)); }
static void callbacks_nest_on_foreign_threads(void) {
  for (int round = 0; round < 20; round++) {
    struct deep d = {0, 20, 0};
    on_thread(calls_in, &d);
    CHECK_EQ(d.reached, 20);
  }
}

/* ---- storms ---- */

static uint64_t storms;

static void storm(void *arg) {
  (void)arg;
  for (int i = 0; i < 3000; i++) {
    CHECK_OK(ways[i % 8 == 0]());
    if (i % 64 == 0) sched_yield();
    CHECK_OK(gmx_exit_syscall());
    bump(&storms);
    if (i % 100 == 0) CHECK_OK(gmx_yield());
  }
}

static void many_short_ones(void) {
  enum { GS = 16 };
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(storm, NULL);
  join_all(gs, GS);
  CHECK_EQ(storms, GS * 3000);
}

/* ---- and the world ---- */

struct leaver {
  int in, leave, out;
};

static void leaves(void *arg) {
  struct leaver *l = arg;
  CHECK_OK(gmx_enter_syscall());
  store(&l->in, 1);
  while (!load(&l->leave)) sched_yield();
  CHECK_OK(gmx_exit_syscall());
  store(&l->out, 1);
}

/* A G in a syscall does not keep the world from stopping, and does not return from the syscall while it is stopped. */
static void no_exit_into_a_stopped_world(void) {
  for (int round = 0; round < 20; round++) {
    struct leaver l = {0, 0, 0};
    gmx_g g = go_joinable(leaves, &l);
    spin_until(load(&l.in));
    CHECK_OK(gmx_stop_the_world("syscalls"));
    store(&l.leave, 1);
    struct timespec nap = {0, 5000000}; /* time to do wrong */
    nanosleep(&nap, NULL);
    CHECK_EQ(load(&l.out), 0);
    CHECK_OK(gmx_start_the_world());
    join(g);
    CHECK_EQ(l.out, 1);
  }
}

int main(void) {
  RUN(the_p_is_handed_on);
  RUN(attached_threads_too);
  RUN(many_block_at_once);
  RUN(what_needs_no_p_works);
  RUN(entries_do_not_nest);
  RUN(callbacks_nest);
  RUN(a_callback_ties_the_g);
  RUN(callbacks_nest_on_foreign_threads);
  RUN(many_short_ones);
  RUN(no_exit_into_a_stopped_world);
  RUN(ends_clean);
  return 0;
}
