/* env: GMX_MAXPROCS=2 */
/* The library's own statistics: counters that count, and a dump that shows which goroutine waits for what. */
#include "gs.h"

#include <fcntl.h>
#include <sys/mman.h>

static void calls(void *arg) { (*(void (**)(void))arg)(); }

/* ---- the struct's size ---- */

#define SIZES(type, read)                                                                    \
  do {                                                                                       \
    union {                                                                                  \
      type stats;                                                                            \
      unsigned char bytes[sizeof(type) + 64];                                                \
    } u;                                                                                     \
    CHECK_STATUS(read(NULL), GMX_EINVAL);                                                    \
    for (size_t size = 0; size < sizeof u.bytes; size++) {                                   \
      memset(&u, 0, sizeof u);                                                               \
      for (size_t i = size > sizeof(type) ? size : sizeof(type); i < sizeof u.bytes; i++)    \
        u.bytes[i] = 0xa5;                                                                   \
      for (size_t i = size; i < sizeof(type); i++)                                           \
        if (i >= sizeof(size_t)) u.bytes[i] = 0xa5;                                          \
      u.stats.struct_size = size;                                                            \
      CHECK_STATUS(read(&u.stats), size && size < sizeof(size_t) ? GMX_EINVAL : GMX_OK);     \
      CHECK_EQ(u.stats.struct_size, size);                                                   \
      for (size_t i = size == 0 ? sizeof(type) : size > sizeof(size_t) ? size : sizeof(size_t); i < sizeof u.bytes; i++) \
        CHECK_EQ(u.bytes[i], 0xa5);                                                          \
    }                                                                                        \
  } while (0)

/* The library does not write beyond the smaller struct of an older caller. */
static void no_byte_beyond_the_size(void) {
  SIZES(gmx_sched_stats, gmx_read_sched_stats);
  SIZES(gmx_mem_stats, gmx_read_mem_stats);
}

/* ---- counters ---- */

static void gs_are_counted(void) {
  enum { GS = 500 };
  gmx_sched_stats before = sched_stats();
  for (int i = 0; i < GS; i++) join(go_joinable(nothing, NULL));
  spin_until(gmx_num_g() == 0);
  gmx_sched_stats after = sched_stats();
  CHECK_EQ(after.spawned - before.spawned, GS);
  spin_until(sched_stats().ended - before.ended == GS);
  CHECK_CMP(after.switches - before.switches, >=, GS);
  CHECK_EQ(after.g_live, 0);
  CHECK_EQ(after.gomaxprocs, 2);
  CHECK_CMP(after.uptime_ns, >, before.uptime_ns);
  CHECK(after.threads >= 1 && after.idlethreads >= 0 && after.idlethreads <= after.threads);
  CHECK(after.idleprocs >= 0 && after.idleprocs <= 2);
}

static gmx_g wheres[64];
static uint32_t sema, in_syscall, leave;

static void parks(void *arg) { park_at((gmx_g *)arg); }
static void acquires(void *arg) {
  bump((uint32_t *)arg);
  CHECK_OK(gmx_sema_acquire(&sema));
}
static void is_in_a_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
  bump(&in_syscall);
  while (!load(&leave)) usleep(100);
  CHECK_OK(gmx_exit_syscall());
}

static void states_are_counted(void) {
  enum { PARKED = 30, WAITING = 20, SYSCALL = 4, ALL = PARKED + WAITING + SYSCALL };
  gmx_g gs[ALL];
  uint32_t waiting = 0;
  gmx_sched_stats before = sched_stats();
  store(&in_syscall, 0);
  store(&leave, 0);
  for (int i = 0; i < PARKED; i++) gs[i] = go_joinable(parks, &wheres[i]);
  for (int i = PARKED; i < PARKED + WAITING; i++) gs[i] = go_joinable(acquires, &waiting);
  for (int i = PARKED + WAITING; i < ALL; i++) gs[i] = go_joinable(is_in_a_syscall, NULL);
  spin_until(load(&in_syscall) == SYSCALL && load(&waiting) == WAITING);
  spin_until(sched_stats().g_waiting == PARKED + WAITING);
  spin_until(sched_stats().g_syscall == SYSCALL);
  spin_until(sched_stats().g_running == 0 && sched_stats().g_runnable == 0 && sched_stats().runqueue == 0);
  spin_until(sched_stats().idleprocs == 2);
  gmx_sched_stats stats = sched_stats();
  CHECK_EQ(stats.g_live, ALL);
  CHECK_EQ(gmx_num_g(), ALL);
  CHECK_EQ(mem_stats().g_live, ALL);
  CHECK_CMP(stats.parks - before.parks, >=, PARKED + WAITING);
  CHECK_CMP(stats.threads, >=, SYSCALL);
  store(&leave, 1);
  for (int i = 0; i < PARKED; i++) wake_at(&wheres[i]);
  for (int i = 0; i < WAITING; i++) CHECK_OK(gmx_sema_release(&sema));
  join_all(gs, ALL);
  memset(wheres, 0, sizeof wheres);
  spin_until(sched_stats().g_waiting == 0 && sched_stats().g_syscall == 0 && sched_stats().g_live == 0);
}

static void the_world_is_counted(void) {
  gmx_sched_stats before = sched_stats();
  for (int i = 0; i < 7; i++) {
    CHECK_OK(gmx_stop_the_world("count"));
    CHECK_OK(gmx_start_the_world());
  }
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_for_each_p(nothing, NULL));
  gmx_sched_stats after = sched_stats();
  CHECK_EQ(after.stops - before.stops, 7);
  CHECK_EQ(after.barriers - before.barriers, 5);
  CHECK_CMP(after.stop_ns_total, >, before.stop_ns_total);
  CHECK_CMP(after.stop_ns_max, <=, after.stop_ns_total);
  mem_stats();
  CHECK_EQ(sched_stats().stops - after.stops, 1); /* stops the world, as the dump does */
}

static void memory_is_counted(void) {
  gmx_mem_stats before = mem_stats();
  gmx_g gs[64];
  for (int i = 0; i < 64; i++) gs[i] = go_joinable(parks, &wheres[i]);
  for (int i = 0; i < 64; i++) spin_until(load(&wheres[i]) != 0);
  gmx_mem_stats during = mem_stats();
  CHECK_EQ(during.g_live, 64);
  CHECK_CMP(during.stacks_inuse, >=, 64);
  CHECK_CMP(during.stacks_inuse_bytes, >=, 64 * 4096);
  CHECK_CMP(during.stacks_reserved_bytes, >=, during.stacks_inuse_bytes);
  CHECK_CMP(during.g_descriptors, >=, 64);
  CHECK_CMP(during.descriptor_bytes, >=, during.g_descriptors);
  CHECK_CMP(during.p_total, >=, 2);
  CHECK_CMP(during.m_total, >=, 1);
  CHECK(during.guard_kind <= 2);
  for (int i = 0; i < 64; i++) wake_at(&wheres[i]);
  join_all(gs, 64);
  memset(wheres, 0, sizeof wheres);
  spin_until(gmx_num_g() == 0);
  gmx_mem_stats after = mem_stats();
  CHECK_EQ(after.g_live, 0);
  CHECK_EQ(after.stacks_inuse, before.stacks_inuse);
  CHECK_EQ(after.stacks_inuse_bytes, before.stacks_inuse_bytes);
}
static void memory_is_counted_on_a_g(void) {
  /* the same questions from a G: all but its own figures agree */
  gmx_mem_stats stats = mem_stats();
  CHECK_EQ(stats.g_live, 1);
  CHECK_CMP(stats.stacks_inuse, >=, 1);
}
static void on_a_g_too(void) {
  void (*fn)(void) = memory_is_counted_on_a_g;
  on_g(calls, &fn);
}

/* ---- the dump ---- */

static char text[1 << 20];

static size_t dump(void) {
  int fd = memfd_create("dump", 0);
  CHECK(fd >= 0);
  CHECK_OK(gmx_write_heap_dump(fd));
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  size_t n = 0;
  for (ssize_t got; (got = read(fd, text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
  text[n] = 0;
  close(fd);
  return n;
}

static void dumps(void) { CHECK(dump() > 0); }

/* The line that holds both words. */
static bool line_with(const char *a, const char *b) {
  char *copy = strdup(text);
  bool found = false;
  for (char *rest, *line = strtok_r(copy, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest))
    found = strstr(line, a) && strstr(line, b);
  free(copy);
  return found;
}

static void parks_for_a_reason(void *arg) { CHECK_OK(gmx_park(tell_parked, arg, "tea is not ready")); }

static void a_dump_shows_every_g(void) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE};
  gmx_g where = 0, parked, waiting;
  uint32_t waits = 0;
  opts.name = "the-parked-one";
  CHECK_OK(gmx_spawn_with(&opts, parks_for_a_reason, &where, &parked));
  char name[200]; /* copied, and not all of it */
  memset(name, 'w', sizeof name);
  memcpy(name, "the-waiting-one", 15);
  name[sizeof name - 1] = 0;
  opts.name = name;
  CHECK_OK(gmx_spawn_with(&opts, acquires, &waits, &waiting));
  spin_until(load(&where) != 0);
  spin_until(sched_stats().g_waiting == 2);
  memset(name, 'v', sizeof name - 1);
  CHECK(dump() > 0);
  CHECK(strstr(text, "the-waiting-onewwwwwwwwwwwwwwww") != NULL); /* 31 bytes */
  CHECK(strstr(text, "the-waiting-onewwwwwwwwwwwwwwwww") == NULL);
  if (!line_with("the-parked-one", "tea is not ready")) FAIL("the dump:\n%.400s", text);
  if (!line_with("the-waiting-one", "sema")) FAIL("the dump:\n%.400s", text);
  void (*fn)(void) = dumps;
  on_g(calls, &fn);
  CHECK_OK(gmx_ready(parked));
  CHECK_OK(gmx_sema_release(&sema));
  join(parked);
  join(waiting);
  dump();
  CHECK(strstr(text, "the-parked-one") == NULL);
}

static void a_dump_that_cannot_be_written(void) {
  int full = open("/dev/full", O_WRONLY), closed[2];
  CHECK_STATUS(gmx_write_heap_dump(-1), -EBADF);
  CHECK(full >= 0);
  CHECK(gmx_write_heap_dump(full) < 0);
  close(full);
  CHECK_STATUS(gmx_write_heap_dump(1000), -EBADF);
  signal(SIGPIPE, SIG_IGN);
  CHECK(pipe(closed) == 0);
  close(closed[0]);
  CHECK_STATUS(gmx_write_heap_dump(closed[1]), GMX_EPIPE);
  close(closed[1]);
  on_g(nothing, NULL); /* the world runs */
}

struct pump {
  int fd;
  size_t got;
};

static void pumps(void *arg) {
  struct pump *p = arg;
  char some[512];
  for (ssize_t n; (n = read(p->fd, some, sizeof some)) > 0;) p->got += (size_t)n;
}
static void *pumps_as_thread(void *arg) {
  pumps(arg);
  return NULL;
}

/* More than a pipe holds, read slowly: the writer waits for its reader. */
static void a_dump_larger_than_the_pipe(void) {
  enum { GS = 3000 };
  static gmx_g where[GS], gs[GS];
  int fds[2];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(parks, &where[i]);
  for (int i = 0; i < GS; i++) spin_until(load(&where[i]) != 0);
  CHECK(pipe(fds) == 0);
  struct pump p = {fds[0], 0};
  pthread_t thread = thread_start(pumps_as_thread, &p);
  CHECK_OK(gmx_write_heap_dump(fds[1]));
  close(fds[1]);
  thread_join(thread);
  close(fds[0]);
  CHECK_CMP(p.got, >, 65536);
  for (int i = 0; i < GS; i++) wake_at(&where[i]);
  join_all(gs, GS);
}

int main(void) {
  CHECK_OK(gmx_init(NULL));
  RUN(no_byte_beyond_the_size);
  RUN(gs_are_counted);
  RUN(states_are_counted);
  RUN(the_world_is_counted);
  RUN(memory_is_counted);
  RUN(on_a_g_too);
  RUN(a_dump_shows_every_g);
  RUN(a_dump_that_cannot_be_written);
  RUN(a_dump_larger_than_the_pipe);
  RUN(ends_clean);
  return 0;
}
