/* timeout: 120 */
/* Descriptors and the scheduler: what is ready comes back beside Gs that never stop, in a stopped world, with more and
 * fewer Ps; and a G that waits for the outside is no deadlock. No time is asserted: turns are counted instead. */
#include "beside.h"
#include "fds.h"

#include <sys/wait.h>

/* ---- an echo ---- */

struct echo {
  struct pair pair;
  long wanted, rounds; /* of the client */
  int quit;
  gmx_g server, client;
};

static void echo_serves(void *arg) {
  struct echo *e = arg;
  char text[64];
  gmx_status n;
  while ((n = gmx_read(e->pair.p[1], text, sizeof text, GMX_FOREVER)) > 0)
    CHECK_OK(gmx_write(e->pair.p[1], text, (size_t)n, GMX_FOREVER, NULL));
  CHECK_EQ(n, 0);
}

static void echo_asks(void *arg) {
  struct echo *e = arg;
  for (long i = 0; i < e->wanted || (e->wanted < 0 && !load(&e->quit)); i++) {
    long n = -1;
    CHECK_OK(gmx_write(e->pair.p[0], &i, sizeof i, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_read(e->pair.p[0], &n, sizeof n, GMX_FOREVER), sizeof n);
    CHECK_EQ(n, i);
    bump(&e->rounds);
  }
  CHECK_OK(fd_shutdown(e->pair.p[0], SHUT_WR));
}

/* Below 0: until echo_end. */
static void echo_start(struct echo *e, enum pair_kind kind, long wanted) {
  memset(e, 0, sizeof *e);
  e->pair = pair_of(kind);
  e->wanted = wanted;
  e->server = go_joinable(echo_serves, e);
  e->client = go_joinable(echo_asks, e);
}

/* The client has had all its answers. */
static void echo_asked(struct echo *e) {
  join(e->client);
  e->client = 0;
}

static void echo_end(struct echo *e) {
  store(&e->quit, 1);
  if (e->client) join(e->client);
  join(e->server);
  pair_close(&e->pair);
}

/* ---- beside Gs that never stop ---- */

enum { YIELDERS = 100 };
static int over;
static int64_t turns;

static void yields_forever(void *arg) {
  (void)arg;
  while (!load(&over)) {
    bump(&turns);
    CHECK_OK(gmx_yield());
  }
}

/* One P always has a G to run. A scheduler that asks the system only when it has none never delivers the echo, and one
 * whose watchdog alone asks, every 10 ms, lets many thousands of turns pass for each. Here it is a few rounds. */
static void an_echo_beside(int yielders) {
  struct echo e;
  gmx_g g[YIELDERS];
  store(&over, 0);
  store(&turns, 0);
  for (int i = 0; i < yielders; i++) g[i] = go_joinable(yields_forever, NULL);
  spin_until(load(&turns) > yielders);
  int64_t before = load(&turns);
  echo_start(&e, TCP, 200);
  echo_asked(&e);
  int64_t spent = load(&turns) - before;
  store(&over, 1);
  join_all(g, yielders);
  echo_end(&e);
  check_say("  %" PRId64 " turns for each echo", spent / 200);
  CHECK_CMP(spent / 200, <, 20 * YIELDERS);
}

static void an_echo_goes_on_beside_gs_that_yield(void) { an_echo_beside(YIELDERS); }
/* It has no other to yield to. */
static void an_echo_goes_on_beside_one_that_yields(void) { an_echo_beside(1); }

/* The same for a byte from outside. */
static void *feeds_rounds(void *arg) {
  int *fd = arg;
  for (int i = 0; i < 100; i++) {
    char byte = 0;
    feed(fd[1], "x", 1);
    spin_until(is_ready(fd[1], POLLIN));
    take(fd[1], &byte, 1);
  }
  CHECK(shutdown(fd[1], SHUT_WR) == 0);
  return arg;
}

static void an_echo_to_a_thread_goes_on_beside_gs_that_yield(void) {
  struct echo e;
  gmx_g g[YIELDERS];
  memset(&e, 0, sizeof e);
  store(&over, 0);
  for (int i = 0; i < YIELDERS; i++) g[i] = go_joinable(yields_forever, NULL);
  fds_of(e.pair.fd, UNIX);
  int mine = e.pair.fd[1], fd[2] = {-1, e.pair.fd[0]};
  e.pair.p[1] = own_fd(mine);
  pthread_t thread = thread_start(feeds_rounds, fd);
  gmx_g server = go_joinable(echo_serves, &e);
  join(server);
  thread_join(thread);
  store(&over, 1);
  join_all(g, YIELDERS);
  pair_close(&e.pair);
}

/* Hogs that call nothing, as many as there are Ps, and one more. */
static void computes(void *arg) {
  long *mine = arg;
  while (!load(&over)) store(mine, *mine + 1);
}

static void an_echo_goes_on_beside_hogs(void) {
  for (int n = 1; n <= 3; n++) {
    struct echo e;
    long steps[3] = {0, 0, 0};
    gmx_g g[3];
    store(&over, 0);
    for (int i = 0; i < n; i++) g[i] = go_with("hog", GMX_SPAWN_JOINABLE, computes, &steps[i]);
    echo_start(&e, n == 2 ? UNIX : TCP, 20);
    echo_asked(&e);
    for (int i = 0; i < n; i++) spin_until(load(&steps[i]) > 0);
    store(&over, 1);
    join_all(g, n);
    echo_end(&e);
  }
}

/* A peer that always has data: its reader never waits, and still others move. The reader is not stopped by force. */
static void reads_without_end(void *arg) {
  char text[256];
  while (!load(&over)) CHECK_EQ(gmx_read(*(gmx_poll *)arg, text, sizeof text, GMX_FOREVER), sizeof text);
}

static void writes_without_end(void *arg) {
  static const char text[1 << 16];
  while (!load(&over)) CHECK_OK(gmx_write(*(gmx_poll *)arg, text, sizeof text, GMX_FOREVER, NULL));
}

static void a_reader_that_never_waits_lets_others_move(void) {
  gmx_poll zero = own_fd(open("/dev/zero", O_RDONLY | O_CLOEXEC)), null = own_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
  store(&over, 0);
  beside_start();
  gmx_g r = go_with("reader", GMX_SPAWN_JOINABLE | GMX_SPAWN_NO_PREEMPT, reads_without_end, &zero);
  gmx_g w = go_with("writer", GMX_SPAWN_JOINABLE | GMX_SPAWN_NO_PREEMPT, writes_without_end, &null);
  spin_until(moved());
  store(&over, 1);
  join(r);
  join(w);
  beside_end();
  close_fd(zero);
  close_fd(null);
}

/* ---- a batch ---- */

enum { BATCH = 128 };
static int batch_fd[BATCH][2], batch_ran, batch_on[64], batch_ps;

static void runs_of_a_batch(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  char byte;
  CHECK_EQ(gmx_read(p, &byte, 1, GMX_FOREVER), 1);
  int pp = gmx_pin();
  CHECK_CMP(pp, >=, 0);
  if (__atomic_exchange_n(&batch_on[pp % 64], 1, __ATOMIC_SEQ_CST) == 0) bump(&batch_ps);
  /* Pinned, so this P runs no other G of the batch: another P has to take one. */
  if (gmx_gomaxprocs(0) > 1) spin_until(load(&batch_ps) > 1);
  CHECK_OK(gmx_unpin());
  bump(&batch_ran);
  while (load(&batch_ran) < BATCH) CHECK_OK(gmx_yield()); /* so the others have to be run, here or on other Ps */
}

/* All become ready in a stopped world, so they come as one batch. None runs before the start, and all run after, on
 * more than one P. */
static void a_batch_runs_after_the_start_of_the_world(void) {
  gmx_poll p[BATCH];
  gmx_g g[BATCH];
  for (int round = 0; round < 5; round++) {
    memset(batch_on, 0, sizeof batch_on);
    store(&batch_ran, 0);
    store(&batch_ps, 0);
    for (int i = 0; i < BATCH; i++) {
      fds_of(batch_fd[i], UNIX);
      p[i] = own_fd(batch_fd[i][0]);
      g[i] = go_joinable(runs_of_a_batch, &p[i]);
    }
    spin_until(count_waiting() >= BATCH);
    CHECK_OK(gmx_stop_the_world("batch"));
    for (int i = 0; i < BATCH; i++) feed(batch_fd[i][1], "x", 1);
    thread_nap(2 * MS); /* a chance for what must not happen */
    CHECK_EQ(load(&batch_ran), 0);
    CHECK_OK(gmx_start_the_world());
    join_all(g, BATCH);
    for (int i = 0; i < BATCH; i++) {
      close_fd(p[i]);
      CHECK(close(batch_fd[i][1]) == 0);
    }
  }
}

/* ---- many that wait, and what stops them all ---- */

enum { CROWD = 400 };
static void waits_for_its_end(void *arg) {
  char byte;
  CHECK_STATUS(gmx_read(*(gmx_poll *)arg, &byte, 1, GMX_FOREVER), GMX_EBADF);
}

static void counts_p(void *count) { bump((int *)count); }

static void a_crowd_of_readers_hinders_no_stop(void) {
  static gmx_poll p[CROWD];
  static int far[CROWD];
  gmx_g g[CROWD];
  for (int i = 0; i < CROWD; i++) {
    int fd[2];
    fds_of(fd, PIPE);
    p[i] = own_fd(fd[0]);
    far[i] = fd[1];
    g[i] = go_joinable(waits_for_its_end, &p[i]);
  }
  spin_until(count_waiting() >= CROWD);
  for (int i = 0; i < 100; i++) {
    int ps = 0;
    CHECK_OK(gmx_stop_the_world("crowd"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_for_each_p(counts_p, &ps));
    CHECK_EQ(load(&ps), gmx_gomaxprocs(0));
  }
  for (int i = 0; i < CROWD; i++) close_fd(p[i]);
  join_all(g, CROWD);
  for (int i = 0; i < CROWD; i++) CHECK(close(far[i]) == 0);
}

/* ---- more Ps and fewer ---- */

static void no_echo_is_lost_while_ps_come_and_go(void) {
  enum { ECHOES = 8 };
  static const int counts[] = {2, 64, 1, 2, 3, 1, 16};
  struct echo e[ECHOES];
  for (int i = 0; i < ECHOES; i++) echo_start(&e[i], i % 2 ? TCP : UNIX, -1);
  for (int i = 0; i < 35; i++) {
    CHECK_CMP(gmx_gomaxprocs(counts[i % 7]), >, 0);
    for (int k = 0; k < ECHOES; k++) {
      long before = load(&e[k].rounds);
      spin_until(load(&e[k].rounds) > before);
    }
  }
  for (int i = 0; i < ECHOES; i++) echo_end(&e[i]);
  CHECK_CMP(gmx_gomaxprocs(1), >, 0);
}

/* ---- with timers ---- */

/* The thread that sleeps in the system's poll sleeps until a late timer; an earlier one is set meanwhile. */
static void an_earlier_timer_is_not_missed(void) {
  struct fd_state s;
  struct fd_waiter w;
  state_open(&s, &fd_calls[0]);
  wait_start(&w, ON_G, &fd_calls[0], &s, HOUR, 0);
  for (int i = 0; i < 50; i++) {
    int fired = 0;
    gmx_timer timer;
    CHECK_OK(gmx_after_func((i % 5) * 100000, add_one, &fired, &timer));
    if (i % 2) CHECK_OK(gmx_sleep(MS));
    while (!load(&fired)) thread_nap(MS / 10); /* this G gives up nothing: another thread has to wake */
    CHECK_EQ(timer_free(timer), 0);
  }
  comes(&s);
  CHECK_STATUS(wait_end(&w), 1);
  state_close(&s);
}

/* ---- Gs of other kinds ---- */

static void waits_on_its_thread(void *arg) {
  struct pair *pair = arg;
  CHECK_OK(gmx_lock_os_thread());
  int tid = thread_id();
  for (int i = 0; i < 50; i++) {
    char byte = 0;
    CHECK_EQ(gmx_read(pair->p[0], &byte, 1, GMX_FOREVER), 1);
    CHECK_EQ(byte, 'a');
    CHECK_EQ(thread_id(), tid);
    CHECK_OK(gmx_write(pair->p[0], "b", 1, GMX_FOREVER, NULL));
  }
  CHECK_OK(gmx_unlock_os_thread());
}

static void a_g_that_is_locked_to_its_thread_waits(void) {
  struct pair pair = pair_of(UNIX);
  gmx_g g = go_joinable(waits_on_its_thread, &pair);
  for (int i = 0; i < 50; i++) {
    char byte = 0;
    CHECK_OK(gmx_write(pair.p[1], "a", 1, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_read(pair.p[1], &byte, 1, GMX_FOREVER), 1);
    CHECK_EQ(byte, 'b');
  }
  join(g);
  pair_close(&pair);
}

static void child_reads(void *arg) {
  char byte = 0;
  CHECK_EQ(gmx_read(((struct pair *)arg)->p[0], &byte, 1, GMX_FOREVER), 1);
}
static void a_g_that_runs_its_child_first_waits(void) {
  struct pair pair = pair_of(UNIX);
  gmx_g g = go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, child_reads, &pair);
  CHECK_OK(gmx_write(pair.p[1], "a", 1, GMX_FOREVER, NULL));
  join(g);
  pair_close(&pair);
}

/* ---- deadlock ---- */

static gmx_poll lonely;
static int lonely_far;

static void waits_for_the_outside(void) {
  char byte = 0;
  CHECK_EQ(gmx_read(lonely, &byte, 1, GMX_FOREVER), 1);
}

static void *comes_late(void *arg) {
  spin_until(count_waiting() == 1);
  thread_nap(30 * MS); /* a chance for a report */
  feed(lonely_far, "x", 1);
  return arg;
}

static void one_that_waits_for_the_outside_is_no_deadlock(void) {
  int fd[2];
  fds_of(fd, PIPE);
  lonely = own_fd(fd[0]);
  lonely_far = fd[1];
  pthread_t thread = thread_start(comes_late, NULL);
  as_main(waits_for_the_outside); /* it returns GMX_OK and not GMX_EDEADLK */
  thread_join(thread);
  close_fd(lonely);
  CHECK(close(lonely_far) == 0);
}

static char report[1 << 14];
static void keep_report(void *arg, const char *text, size_t len) {
  (void)arg;
  size_t have = strlen(report), room = sizeof report - 1 - have;
  strncat(report, text, len < room ? len : room);
}

static void waits_for_nothing(void *arg) {
  (void)arg;
  char byte = 0;
  uint32_t sema = 0;
  CHECK_EQ(gmx_read(lonely, &byte, 1, GMX_FOREVER), 0); /* the end comes, and then nothing can */
  CHECK_STATUS(gmx_sema_acquire(&sema), GMX_EDEADLK);
}

static void *ends_it(void *arg) {
  spin_until(count_waiting() == 1);
  CHECK(close(lonely_far) == 0);
  return arg;
}

/* In a child of its own, since the G stays. */
CHECK_UNUSED static void is_a_deadlock_afterwards(void) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    gmx_config config = GMX_CONFIG_INIT;
    int fd[2];
    alarm(60);
    config.maxprocs = 2;
    config.report = keep_report;
    CHECK_OK(gmx_init(&config));
    fds_of(fd, PIPE);
    lonely = own_fd(fd[0]);
    lonely_far = fd[1];
    thread_start(ends_it, NULL);
    CHECK_STATUS(gmx_main(waits_for_nothing, NULL), GMX_EDEADLK);
    CHECK(strstr(report, "deadlock") != NULL);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

/* ---- fork, exec ---- */

/* The child's use of the interface changes nothing in the parent, whose epoll it would share if it kept it. */
static void a_child_of_fork_leaves_the_parents_waits_alone(void) {
  struct pair pair = pair_of(TCP);
  struct fd_state s = {.p = pair.p[0], .far = pair.fd[1]};
  struct fd_waiter w;
  wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm(60);
    char byte = 0;
    CHECK_STATUS(gmx_read(pair.p[0], &byte, 1, 0), GMX_EBADF); /* the parent's handle */
    CHECK(close(pair.fd[0]) == 0); /* the descriptor is the child's to close */
    struct echo e;
    echo_start(&e, UNIX, 20);
    echo_end(&e);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  comes(&s);
  CHECK_STATUS(wait_end(&w), 1);
  pair_close(&pair);
}

static void all_descriptors_are_closed_by_exec(void) {
  int fd[MOST_THREADS], n = 0;
  struct pair pair = pair_of(UNIX);
  char byte;
  CHECK_STATUS(gmx_read(pair.p[0], &byte, 1, MS), GMX_ETIMEDOUT);
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir != NULL);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    int number = atoi(entry->d_name);
    if (number > 2 && number != dirfd(dir)) fd[n++] = number;
  }
  closedir(dir);
  for (int i = 0; i < n; i++) {
    char path[64], is[128] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd[i]);
    if (readlink(path, is, sizeof is - 1) < 0) continue;
    if (strstr(is, "anon_inode:")) CHECK(fcntl(fd[i], F_GETFD) & FD_CLOEXEC); /* epoll and eventfd of the library */
  }
  pair_close(&pair);
}

/* ---- rest ---- */

/* No G moves: neither do threads that look for events again and again. */
static void idle_readers_take_no_turns(void) {
  static gmx_poll p[CROWD];
  static int far[CROWD];
  gmx_g g[CROWD];
  for (int i = 0; i < CROWD; i++) {
    int fd[2];
    fds_of(fd, PIPE);
    p[i] = own_fd(fd[0]);
    far[i] = fd[1];
    g[i] = go_joinable(waits_for_its_end, &p[i]);
  }
  spin_until(count_waiting() >= CROWD);
  thread_nap(50 * MS); /* what was on its way has come to rest */
  struct rusage before = usage_now();
  thread_nap(300 * MS);
  struct rusage after = usage_now();
  long switches = after.ru_nvcsw - before.ru_nvcsw;
  check_say("  %ld waits of threads in 300 ms", switches);
  CHECK_CMP(switches, <, 100); /* a look each millisecond would be 300 */
  for (int i = 0; i < CROWD; i++) close_fd(p[i]);
  join_all(g, CROWD);
  for (int i = 0; i < CROWD; i++) CHECK(close(far[i]) == 0);
}

int main(void) {
  CHECK(more_fds(2 * CROWD + 100));
#ifndef __SANITIZE_THREAD__ /* it has a thread of its own, which might call in: so there is no deadlock */
  is_a_deadlock_afterwards(); /* before the library has threads */
#endif
  start_runtime(1, MS);
  RUN_G(an_echo_goes_on_beside_gs_that_yield);
  RUN_G(an_echo_goes_on_beside_one_that_yields);
  WITH_SOME_PS {
    RUN_G(an_echo_to_a_thread_goes_on_beside_gs_that_yield);
    RUN_G(an_echo_goes_on_beside_hogs);
    RUN_G(a_reader_that_never_waits_lets_others_move);
    RUN_G(a_batch_runs_after_the_start_of_the_world);
    RUN_G(a_crowd_of_readers_hinders_no_stop);
    RUN_G(a_g_that_is_locked_to_its_thread_waits);
    RUN_G(a_g_that_runs_its_child_first_waits);
    RUN(one_that_waits_for_the_outside_is_no_deadlock);
    RUN_G(all_descriptors_are_closed_by_exec);
    RUN(idle_readers_take_no_turns);
  }
  CHECK_CMP(gmx_gomaxprocs(2), >, 0);
  RUN_G(an_earlier_timer_is_not_missed);
  RUN_G(no_echo_is_lost_while_ps_come_and_go);
  RUN(a_child_of_fork_leaves_the_parents_waits_alone);
  ends_clean();
  return 0;
}
