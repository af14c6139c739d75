/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Records of what happens: a file of them can be put in order by its numbers alone, and then each G, P and thread does
 * what it may. Files begin anywhere, beside load, and from any caller. */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* ---- the format: src/trace/raw.rs ---- */

enum {
  PROC_START = 1, PROC_STOP, PROC_STEAL, SEIZE, CREATE, CREATE_NO_P, CREATE_WAITING, START, DESTROY, STOP, BLOCK, UNBLOCK,
  SYS_BEGIN, SYS_END, SYS_BLOCKED, FOREIGN_IN, FOREIGN_OUT, THREAD, STW_BEGIN, STW_END, PROCS, TEXT, LOG, TASK_BEGIN, TASK_END,
  REGION_BEGIN, REGION_END, KINDS
};
enum { SECTION_M = 1, SECTION_GS, SECTION_PS, SECTION_STRINGS, SECTION_MAPS, SECTION_END };
enum { NO_P = 0xffffff };

struct record { uint64_t time, head, goid, aux; };
struct moment { uint64_t ticks, mono, real; };
struct header {
  char magic[8];
  uint32_t version, record_size, process, procs, flags, ring_bytes;
  struct moment began, ended;
  uint64_t spare[6];
};
struct section { uint32_t tag, spare; uint64_t bytes; };
struct thread_row { uint32_t id; int32_t tid; uint64_t written, held, lost_before, written_then, goid; uint32_t pid, flags; };

static int kind_of(const struct record *r) { return (int)(r->head & 255); }
static uint32_t pid_of(const struct record *r) { return (uint32_t)(r->head >> 8) & NO_P; }
static uint32_t seq_of(const struct record *r) { return (uint32_t)(r->head >> 32); }

/* ---- a file, and its records in order ---- */

enum { MOST_MS = 256, MOST_PS = 64, TABLE = 1 << 17 };
enum state { UNKNOWN, RUNNABLE, RUNNING, SYSCALL, WAITING, DEAD };
struct g { uint64_t goid; enum state state; uint32_t seq; bool known_seq; int m; };
enum p_state { P_UNKNOWN, P_IDLE, P_RUNNING, P_SYSCALL };
struct p { enum p_state state; uint32_t seq; bool known_seq; int m; };
struct m { const struct record *at, *end; struct g *g; int p; bool known_g, known_p; };

static struct file {
  char *bytes;
  size_t len;
  struct header head;
  struct m ms[MOST_MS];
  int nms;
  int m_of_id[4096];
  struct p ps[MOST_PS];
  struct g gs[TABLE];
  long count[KINDS + 8], total;
  const struct record *sorted[1 << 20]; /* in the order that was found */
  int by[1 << 20];
} f;

static struct g *g_of(uint64_t goid) {
  for (size_t i = goid * 0x9e3779b97f4a7c15u >> 47;; i++) {
    struct g *g = &f.gs[i % TABLE];
    if (g->goid == goid) return g;
    if (g->goid == 0) {
      g->goid = goid;
      g->m = -1;
      return g;
    }
  }
}

/* The first record of a G or P tells its state before. */
static bool g_is(struct g *g, int m, enum state state) {
  if (g->state == UNKNOWN) {
    g->state = state;
    if (state == RUNNING || state == SYSCALL) {
      if (f.ms[m].g != NULL) return false;
      f.ms[m].g = g;
      g->m = m;
    }
  }
  return g->state == state && ((state != RUNNING && state != SYSCALL) || f.ms[m].g == g);
}

static bool next_g(struct g *g, uint32_t seq) {
  if (g->known_seq && g->seq + 1 != seq) return false;
  g->known_seq = true;
  g->seq = seq;
  return true;
}

static bool p_is(uint32_t id, int m, enum p_state state) {
  CHECK(id < MOST_PS);
  struct p *p = &f.ps[id];
  if (p->state == P_UNKNOWN) {
    p->state = state;
    if (state != P_IDLE) {
      if (f.ms[m].p >= 0) return false;
      f.ms[m].p = (int)id;
      p->m = m;
    }
  }
  return p->state == state && (state == P_IDLE || f.ms[m].p == (int)id);
}

static bool next_p(uint32_t id, uint32_t seq, uint32_t by) {
  struct p *p = &f.ps[id];
  if (p->known_seq && p->seq + by != seq) return false;
  p->known_seq = true;
  p->seq = seq;
  return true;
}

static void lose_p(uint32_t id, int m) {
  f.ps[id].state = P_IDLE;
  f.ms[m].p = -1;
}

static bool owns(uint32_t id, int m) { return p_is(id, m, P_RUNNING); }

/* Whether this record may come now; then it has come. All conditions are looked at before anything changes, except that
 * what was unknown becomes known. */
static bool may_come(int m, const struct record *r) {
  struct m *mp = &f.ms[m];
  struct g *g = r->goid ? g_of(r->goid) : NULL;
  uint32_t pid = pid_of(r), seq = seq_of(r);
  int victim = r->aux < 4096 ? f.m_of_id[r->aux] : -1;
  switch (kind_of(r)) {
    case PROC_START:
      if (mp->p >= 0 || !p_is(pid, m, P_IDLE) || !next_p(pid, seq, 1)) return false;
      f.ps[pid].state = P_RUNNING;
      f.ps[pid].m = m;
      mp->p = (int)pid;
      return true;
    case PROC_STOP:
      if (mp->p >= 0 && mp->p == (int)pid && f.ps[pid].state == P_SYSCALL) return lose_p(pid, m), true;
      return owns(pid, m) && (lose_p(pid, m), true);
    case PROC_STEAL:
      return victim >= 0 && p_is(pid, victim, P_SYSCALL) && next_p(pid, seq, 1) && (lose_p(pid, victim), true);
    case SEIZE:
      if (victim < 0 || !g_is(g, victim, RUNNING) || !p_is(pid, victim, P_RUNNING) || !next_p(pid, seq, 2)) return false;
      lose_p(pid, victim);
      g->state = SYSCALL;
      return true;
    case CREATE:
    case CREATE_NO_P:
    case CREATE_WAITING:
      if (g->state != UNKNOWN || (kind_of(r) == CREATE && !owns(pid, m))) return false;
      g->state = kind_of(r) == CREATE_WAITING ? WAITING : RUNNABLE;
      if (g->known_seq && g->seq != 0) return false;
      g->known_seq = true;
      return true;
    case START:
      if (mp->g != NULL || !owns(pid, m) || !g_is(g, m, RUNNABLE) || !next_g(g, seq)) return false;
      g->state = RUNNING;
      g->m = m;
      mp->g = g;
      return true;
    case DESTROY:
    case STOP:
    case BLOCK:
      if (!owns(pid, m) || !g_is(g, m, RUNNING)) return false;
      g->state = kind_of(r) == DESTROY ? DEAD : kind_of(r) == STOP ? RUNNABLE : WAITING;
      mp->g = NULL;
      return true;
    case UNBLOCK:
      if (!g_is(g, m, WAITING) || !next_g(g, seq)) return false;
      g->state = RUNNABLE;
      return true;
    case SYS_BEGIN:
      if (!owns(pid, m) || !g_is(g, m, RUNNING) || !next_p(pid, seq, 1)) return false;
      g->state = SYSCALL;
      f.ps[pid].state = P_SYSCALL;
      return true;
    case SYS_END:
      if (!p_is(pid, m, P_SYSCALL) || !g_is(g, m, SYSCALL)) return false;
      g->state = RUNNING;
      f.ps[pid].state = P_RUNNING;
      return true;
    case SYS_BLOCKED:
      if (g->state == RUNNABLE) return true;
      if (!g_is(g, m, SYSCALL) || (mp->p >= 0 && f.ps[mp->p].state == P_SYSCALL)) return false;
      g->state = RUNNABLE;
      mp->g = NULL;
      return true;
    case FOREIGN_IN:
      if (g->state != UNKNOWN || mp->g != NULL) return false;
      g->state = SYSCALL;
      g->known_seq = true;
      mp->g = g;
      return true;
    case FOREIGN_OUT:
      if (!g_is(g, m, SYSCALL) || mp->p >= 0) return false;
      g->state = DEAD;
      mp->g = NULL;
      return true;
    default: return true;
  }
}

/* The first record of a G or P among all decides what it was before; so those with numbers go first where there is a
 * choice: the record with the least time that may come. */
static void put_in_order(void) {
  for (f.total = 0;;) {
    int best = -1;
    bool any = false;
    uint64_t tried = 0;
    for (;;) {
      best = -1;
      for (int i = 0; i < f.nms; i++) {
        struct m *mp = &f.ms[i];
        while (mp->at < mp->end && kind_of(mp->at) == TEXT) mp->at++;
        if (mp->at == mp->end) continue;
        any = true;
        if (mp->at->time >= tried && (best < 0 || mp->at->time < f.ms[best].at->time)) best = i;
      }
      if (best < 0) break;
      if (may_come(best, f.ms[best].at)) break;
      tried = f.ms[best].at->time + 1;
    }
    if (!any) return;
    if (best < 0) {
      for (int i = 0; i < f.nms; i++)
        if (f.ms[i].at < f.ms[i].end) {
          const struct record *r = f.ms[i].at;
          struct g *g = g_of(r->goid);
          /* What rests on a record that came after the rings were copied. */
          if (f.head.ended.ticks - r->time < 100000) return;
          check_say("M%d: kind %d P%u seq %u G%" PRIu64 " aux %" PRIu64 "; state %d seq %u; G%" PRIu64 " P%d", i, kind_of(r), pid_of(r), seq_of(r),
                    r->goid, r->aux, g->state, g->seq, f.ms[i].g ? f.ms[i].g->goid : 0, f.ms[i].p);
        }
      FAIL("%ld records came, and no other can", f.total);
    }
    CHECK_CMP(f.total, <, sizeof f.sorted / sizeof *f.sorted);
    f.by[f.total] = best;
    f.sorted[f.total++] = f.ms[best].at;
    f.count[kind_of(f.ms[best].at)]++;
    f.ms[best].at++;
  }
}

/* The least number of a G or P is its first one. */
static void first_numbers(const struct record *r) {
  int kind = kind_of(r);
  if (kind == START || kind == UNBLOCK) {
    struct g *g = g_of(r->goid);
    if (!g->known_seq || (int32_t)(seq_of(r) - 1 - g->seq) < 0) g->seq = seq_of(r) - 1;
    g->known_seq = true;
  }
  if (kind == PROC_START || kind == PROC_STEAL || kind == SYS_BEGIN || kind == SEIZE) {
    CHECK(pid_of(r) < MOST_PS);
    struct p *p = &f.ps[pid_of(r)];
    uint32_t before = seq_of(r) - (kind == SEIZE ? 2 : 1);
    if (!p->known_seq || (int32_t)(before - p->seq) < 0) p->seq = before;
    p->known_seq = true;
  }
}

static void read_file(int fd) {
  struct stat st;
  free(f.bytes);
  memset(&f, 0, sizeof f);
  CHECK(fstat(fd, &st) == 0);
  f.len = (size_t)st.st_size;
  f.bytes = malloc(f.len);
  CHECK(f.bytes != NULL && pread(fd, f.bytes, f.len, 0) == (ssize_t)f.len);
  CHECK_CMP(f.len, >=, sizeof f.head);
  memcpy(&f.head, f.bytes, sizeof f.head);
  CHECK(memcmp(f.head.magic, "gmxtrace", 8) == 0);
  CHECK_EQ(f.head.version, 1);
  CHECK_EQ(f.head.record_size, sizeof(struct record));
  CHECK_EQ(f.head.process, getpid());
  CHECK(f.head.began.ticks <= f.head.ended.ticks && f.head.began.mono <= f.head.ended.mono);
  memset(f.m_of_id, -1, sizeof f.m_of_id);
  uint64_t begin = f.head.began.ticks;
  uint32_t last = 0;
  size_t at = sizeof f.head;
  while (at < f.len) {
    struct section s;
    memcpy(&s, f.bytes + at, sizeof s);
    at += sizeof s;
    CHECK(s.bytes % 8 == 0 && s.bytes <= f.len - at);
    last = s.tag;
    if (s.tag == SECTION_M) {
      struct thread_row row;
      memcpy(&row, f.bytes + at, sizeof row);
      CHECK_EQ(s.bytes, sizeof row + row.held * sizeof(struct record));
      CHECK(f.nms < MOST_MS && row.id < 4096);
      f.m_of_id[row.id] = f.nms;
      struct m *m = &f.ms[f.nms++];
      m->at = (const struct record *)(void *)(f.bytes + at + sizeof row);
      m->end = m->at + row.held;
      m->p = -1;
      if (row.lost_before > begin) begin = row.lost_before;
    }
    at += s.bytes;
  }
  CHECK_EQ(last, SECTION_END);
  for (int i = 0; i < f.nms; i++) {
    struct m *m = &f.ms[i];
    uint64_t time = 0;
    for (const struct record *r = m->at; r < m->end; r++) {
      if (kind_of(r) == TEXT) continue;
      CHECK(r->time >= time && kind_of(r) > 0 && kind_of(r) < KINDS);
      time = r->time;
    }
    while (m->at < m->end && (kind_of(m->at) == TEXT || m->at->time < begin)) m->at++;
  }
  for (int i = 0; i < f.nms; i++)
    for (const struct record *r = f.ms[i].at; r < f.ms[i].end; r++) first_numbers(r);
  put_in_order();
}

static int new_file(void) {
  int fd = memfd_create("trace", MFD_CLOEXEC);
  CHECK(fd >= 0);
  return fd;
}

static void stop_and_read(void) {
  int fd = new_file();
  CHECK_OK(gmx_trace_stop(fd));
  read_file(fd);
  close(fd);
}

static void start(size_t ring_bytes) {
  gmx_trace_opts opts = GMX_TRACE_OPTS_INIT;
  opts.ring_bytes = ring_bytes;
  CHECK_OK(gmx_trace_start(&opts));
}

/* Whether the texts before a record of this kind, and of this G, are these words. */
static bool has_text(const struct record *r, const char *words) {
  char text[24 * 8 + 1] = "";
  uint32_t n = pid_of(r - 1), i;
  if (kind_of(r - 1) != TEXT || n > 8) return false;
  for (i = 0; i < n; i++) {
    const struct record *t = r - n + i;
    if (kind_of(t) != TEXT || seq_of(t) != i) return false;
    memcpy(text + 24 * i, &t->time, 8);
    memcpy(text + 24 * i + 8, &t->goid, 16);
  }
  return strcmp(text, words) == 0;
}

/* The name of the string with this number. */
static const char *string(uint32_t number) {
  static char text[256];
  size_t at = sizeof f.head;
  while (at < f.len) {
    struct section s;
    memcpy(&s, f.bytes + at, sizeof s);
    at += sizeof s;
    for (size_t i = at; s.tag == SECTION_STRINGS && i < at + s.bytes;) {
      uint32_t head[2];
      memcpy(head, f.bytes + i, 8);
      if (head[0] == number) {
        CHECK_CMP(head[1], <, sizeof text);
        memcpy(text, f.bytes + i + 8, head[1]);
        text[head[1]] = 0;
        return text;
      }
      i += 8 + (head[1] + 7) / 8 * 8;
    }
    at += s.bytes;
  }
  FAIL("no string %u", number);
}

/* ---- what is in it ---- */

static uint64_t g_named(const char *name) {
  for (long i = 0; i < f.total; i++)
    if (kind_of(f.sorted[i]) == CREATE && has_text(f.sorted[i], name)) return f.sorted[i]->goid;
  FAIL("no G %s", name);
}

static void naps(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(5 * MS));
}

static void everything_of_a_g_is_there(void) {
  static gmx_g where;
  where = 0;
  start(1 << 20);
  gmx_g a = go_with("alpha", GMX_SPAWN_JOINABLE, naps, NULL);
  join(a);
  gmx_g b = go_with("a name of thirty-one characters", GMX_SPAWN_JOINABLE, (void (*)(void *))(void *)park_at, &where);
  wake_at(&where);
  join(b);
  stop_and_read();
  uint64_t alpha = g_named("alpha"), beta = g_named("a name of thirty-one characters");
  int kinds[] = {CREATE, START, BLOCK, UNBLOCK, START, DESTROY};
  size_t na = 0, nb = 0;
  uint64_t blocked = 0, unblocked = 0;
  for (long i = 0; i < f.total; i++) {
    const struct record *r = f.sorted[i];
    if (r->goid == alpha) {
      CHECK(na < 6);
      CHECK_EQ(kind_of(r), kinds[na++]);
      if (kind_of(r) == BLOCK) CHECK_STR(string(seq_of(r)), "sleep");
      if (kind_of(r) == BLOCK) blocked = r->time;
      if (kind_of(r) == UNBLOCK) unblocked = r->time;
      if (kind_of(r) == CREATE || kind_of(r) == START) CHECK_EQ(r->aux, (uintptr_t)naps);
    }
    /* It may have yielded before. */
    if (r->goid == beta && kind_of(r) == BLOCK) CHECK(nb++ == 0 && has_text(r, "test"));
  }
  /* Its joiner may be back before its end is recorded. */
  CHECK(na == 5 || na == 6);
  CHECK_EQ(nb, 1);
  double ticks = (double)(f.head.ended.ticks - f.head.began.ticks), ns = (double)(f.head.ended.mono - f.head.began.mono);
  CHECK_CMP((double)(unblocked - blocked) * ns / ticks, >=, 4 * MS);
}

/* A stop has its reason. */
static void a_stop_of_the_world_has_its_reason(void) {
  start(1 << 20);
  CHECK_OK(gmx_stop_the_world("to look at everything at once"));
  CHECK_OK(gmx_start_the_world());
  stop_and_read();
  int step = 0;
  for (long i = 0; i < f.total; i++) {
    if (kind_of(f.sorted[i]) == STW_BEGIN) CHECK(step++ == 0 && has_text(f.sorted[i], "to look at everything at once"));
    if (kind_of(f.sorted[i]) == STW_END) CHECK(step++ == 1);
  }
  CHECK_EQ(step, 2);
}

static atomic_int done;
static void computes_until_done(void *arg) {
  (void)arg;
  while (!atomic_load(&done)) gmx_safepoint();
}

static uint64_t retakes(void) {
  gmx_sched_stats stats = {.struct_size = sizeof stats};
  CHECK_OK(gmx_read_sched_stats(&stats));
  return stats.retakes;
}

static void is_long_in_a_syscall(void *arg) {
  (void)arg;
  uint64_t before = retakes();
  CHECK_OK(gmx_enter_syscall());
  while (retakes() == before) thread_nap(MS);
  CHECK_OK(gmx_exit_syscall());
}

/* Its P is taken, and it gets another one. */
static void a_p_is_taken_from_a_syscall(void) {
  atomic_store(&done, 0);
  start(1 << 20);
  gmx_g others[6];
  for (int i = 0; i < 6; i++) others[i] = go_joinable(computes_until_done, NULL);
  /* Its P is not taken before the syscall. */
  gmx_g g = go_with("long", GMX_SPAWN_JOINABLE | GMX_SPAWN_NO_PREEMPT, is_long_in_a_syscall, NULL);
  join(g);
  atomic_store(&done, 1);
  join_all(others, 6);
  stop_and_read();
  uint64_t goid = g_named("long"), m = 0;
  uint32_t pid = 0;
  int step = 0;
  for (long i = 0; i < f.total; i++) {
    const struct record *r = f.sorted[i];
    if (step == 0 && r->goid == goid && kind_of(r) == SYS_BEGIN) {
      pid = pid_of(r);
      m = (uint64_t)f.by[i];
      step = 1;
    } else if (step == 1 && kind_of(r) == PROC_STEAL && pid_of(r) == pid) {
      CHECK_EQ(f.m_of_id[r->aux], m);
      step = 2;
    } else if (step == 2 && r->goid == goid && kind_of(r) == SYS_BLOCKED) {
      step = 3;
    } else if (step == 3 && r->goid == goid && kind_of(r) == START) {
      step = 4;
    }
  }
  CHECK_EQ(step, 4);
}

/* ---- what the program says ---- */

static uint64_t request;
static void works_for_the_request(void *arg) {
  (void)arg;
  CHECK_OK(gmx_trace_region_begin(request, "part"));
  gmx_yield();
  CHECK_OK(gmx_trace_log(request, "a line that is longer than one record has room for"));
  CHECK_OK(gmx_trace_region_end());
}

/* The record of this kind and G whose text is this. */
static const struct record *says(int kind, uint64_t goid, const char *text) {
  const struct record *found = NULL;
  for (long i = 0; i < f.total; i++) {
    const struct record *r = f.sorted[i];
    if (kind_of(r) != kind || r->goid != goid || (*text && !has_text(r, text))) continue;
    CHECK(found == NULL);
    found = r;
  }
  CHECK(found != NULL);
  return found;
}

static void the_program_says_what_it_is_about(void) {
  uint64_t before, part;
  CHECK(!gmx_trace_is_on());
  CHECK_OK(gmx_trace_task_begin("before", 0, &before));
  CHECK_OK(gmx_trace_region_begin(before, "before"));
  start(1 << 20);
  CHECK(gmx_trace_is_on());
  CHECK_OK(gmx_trace_region_end());
  CHECK_OK(gmx_trace_task_begin("request", 0, &request));
  CHECK_OK(gmx_trace_task_begin("part of it", request, &part));
  CHECK(before != 0 && request != before && part != request && part != before);
  gmx_g g = go_with("worker", GMX_SPAWN_JOINABLE, works_for_the_request, NULL);
  join(g);
  CHECK_OK(gmx_trace_task_end(part));
  CHECK(gmx_pin() >= 0);
  CHECK_OK(gmx_trace_log(0, "pinned"));
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_stop_the_world("says"));
  CHECK_OK(gmx_trace_log(0, "stopped"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_trace_task_end(request));
  CHECK_OK(gmx_trace_task_end(before));
  stop_and_read();
  CHECK(!gmx_trace_is_on());

  uint64_t me = gmx_goid(), worker = g_named("worker");
  CHECK_EQ(says(TASK_BEGIN, me, "request")->aux, request);
  const struct record *r = says(TASK_BEGIN, me, "part of it");
  CHECK(r->aux == part && seq_of(r) == (uint32_t)request);
  CHECK_EQ(says(REGION_BEGIN, worker, "part")->aux, request);
  CHECK_EQ(says(LOG, worker, "a line that is longer than one record has room for")->aux, request);
  says(REGION_END, worker, "");
  says(REGION_END, me, "");
  CHECK_EQ(says(LOG, me, "pinned")->aux, 0);
  says(LOG, me, "stopped");
  CHECK_EQ(f.count[TASK_END], 3);
  CHECK_EQ(f.count[TASK_BEGIN], 2);
}

static void says_without_a_g(void *arg) {
  uint64_t task = 7;
  (void)arg;
  CHECK(!gmx_trace_is_on());
  CHECK_STATUS(gmx_trace_task_begin("outside", 0, &task), GMX_ENOTG);
  CHECK_EQ(task, 7);
  CHECK_STATUS(gmx_trace_task_end(1), GMX_ENOTG);
  CHECK_STATUS(gmx_trace_region_begin(0, "outside"), GMX_ENOTG);
  CHECK_STATUS(gmx_trace_region_end(), GMX_ENOTG);
  CHECK_STATUS(gmx_trace_log(0, "outside"), GMX_ENOTG);
}
static void who_may_not_say_anything(void) {
  uint64_t task = 7;
  start(1 << 20);
  CHECK_STATUS(gmx_trace_task_begin(NULL, 0, &task), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_task_begin("task", 0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_task_end(0), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_region_begin(0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_log(0, NULL), GMX_EINVAL);
  CHECK_OK(gmx_enter_syscall());
  CHECK_STATUS(gmx_trace_log(0, "in a syscall"), GMX_EINSYSCALL);
  on_thread(says_without_a_g, NULL);
  CHECK_OK(gmx_exit_syscall());
  CHECK_EQ(task, 7);
  stop_and_read();
  for (int kind = LOG; kind < KINDS; kind++) CHECK_EQ(f.count[kind], 0);
}

/* ---- beside load ---- */

static atomic_int stop_it;
static gmx_chan *there, *back;

static void asks(void *arg) {
  (void)arg;
  for (int v = 0; !atomic_load(&stop_it);) {
    CHECK_OK(gmx_chan_send(there, &v));
    CHECK_OK(gmx_chan_recv(back, &v));
  }
  gmx_chan_close(there);
}
static void answers(void *arg) {
  (void)arg;
  int v;
  while (gmx_chan_recv(there, &v) == GMX_OK) CHECK_OK(gmx_chan_send(back, &v));
}
static void spawns(void *arg) {
  (void)arg;
  while (!atomic_load(&stop_it)) join(go_with(NULL, GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, nothing, NULL));
}
static void calls_the_system(void *arg) {
  (void)arg;
  while (!atomic_load(&stop_it)) {
    CHECK_OK(gmx_enter_syscall());
    sched_yield();
    CHECK_OK(gmx_exit_syscall());
    gmx_yield();
  }
}
static void talks(void *arg) {
  (void)arg;
  for (uint64_t task; !atomic_load(&stop_it); gmx_yield()) {
    CHECK_OK(gmx_trace_task_begin("some task", 0, &task));
    CHECK_OK(gmx_trace_region_begin(task, "outer"));
    CHECK_OK(gmx_trace_region_begin(task, "a name that takes more than one record"));
    gmx_yield();
    CHECK_OK(gmx_trace_region_end());
    CHECK_OK(gmx_trace_log(task, "said"));
    CHECK_OK(gmx_trace_region_end());
    CHECK_OK(gmx_trace_task_end(task));
  }
}
static void sleeps(void *arg) {
  (void)arg;
  while (!atomic_load(&stop_it)) CHECK_OK(gmx_sleep(100000));
}
static void stops_the_world(void *arg) {
  (void)arg;
  while (!atomic_load(&stop_it)) {
    CHECK_OK(gmx_stop_the_world("test"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_sleep(2 * MS));
  }
}
static void *comes_and_leaves(void *arg) {
  (void)arg;
  while (!atomic_load(&stop_it)) {
    CHECK_OK(gmx_attach_thread());
    gmx_yield();
    CHECK_OK(gmx_sleep(200000));
    CHECK_OK(gmx_detach_thread());
    CHECK_OK(gmx_spawn(nothing, NULL));
    thread_nap(MS);
  }
  return NULL;
}

/* Starts and stops recording again and again; each file is right. */
static void *records(void *arg) {
  int turns = *(int *)arg;
  for (int i = 0; i < turns; i++) {
    int fd = new_file();
    start(4096 << i % 3);
    CHECK_OK(gmx_sleep(i % 4 * MS));
    CHECK_OK(gmx_trace_snapshot(fd));
    read_file(fd);
    close(fd);
    stop_and_read();
  }
  return NULL;
}
static void records_here(void *turns) { records(turns); }
static void records_attached(void *turns) {
  CHECK_OK(gmx_attach_thread());
  records(turns);
  CHECK_OK(gmx_detach_thread());
}

static void beside_load(void) {
  static int turns = 10;
  gmx_g gs[9];
  atomic_store(&stop_it, 0);
  CHECK_OK(gmx_chan_new(sizeof(int), 0, &there));
  CHECK_OK(gmx_chan_new(sizeof(int), 0, &back));
  pthread_t visitor = thread_start(comes_and_leaves, NULL);
  void (*loads[])(void *) = {asks, answers, spawns, calls_the_system, calls_the_system, sleeps, stops_the_world, sleeps, talks};
  for (int i = 0; i < 9; i++) gs[i] = go_joinable(loads[i], NULL);
  records_here(&turns);
  CHECK_OK(gmx_enter_syscall());
  on_thread(records_here, &turns);
  on_thread(records_attached, &turns);
  CHECK_OK(gmx_exit_syscall());
  atomic_store(&stop_it, 1);
  CHECK_OK(gmx_enter_syscall());
  thread_join(visitor);
  CHECK_OK(gmx_exit_syscall());
  join_all(gs, 9);
  CHECK_OK(gmx_chan_free(there));
  CHECK_OK(gmx_chan_free(back));
}

/* In a child, where rings are small: they stay as they are. */
static void beside_load_in_a_child(void *unused) {
  (void)unused;
  as_main(beside_load);
  end_runtime();
}

/* ---- calls that are wrong, and files that cannot be written ---- */

static void wrong_calls_change_nothing(void) {
  CHECK_STATUS(gmx_trace_stop(-1), GMX_EPERM);
  CHECK_STATUS(gmx_trace_snapshot(1), GMX_EPERM);
  gmx_trace_opts opts = GMX_TRACE_OPTS_INIT;
  opts.ring_bytes = 1;
  CHECK_STATUS(gmx_trace_start(&opts), GMX_EINVAL);
  opts.ring_bytes = ((size_t)1 << 30) + 1;
  CHECK_STATUS(gmx_trace_start(&opts), GMX_EINVAL);
  opts.ring_bytes = 0;
  opts.reserved = 1;
  CHECK_STATUS(gmx_trace_start(&opts), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_stop(-1), GMX_EPERM);
  CHECK_OK(gmx_trace_start(NULL));
  CHECK_STATUS(gmx_trace_start(NULL), GMX_EBUSY);
  CHECK_STATUS(gmx_trace_snapshot(-1), GMX_EBADF);
  CHECK_STATUS(gmx_trace_stop(-2), GMX_EBADF);
  stop_and_read();
  CHECK_STATUS(gmx_trace_stop(-1), GMX_EPERM);
}

static void a_file_that_takes_nothing(void) {
  int pipes[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  CHECK(pipe(pipes) == 0 && close(pipes[0]) == 0);
  start(4096);
  CHECK_STATUS(gmx_trace_snapshot(pipes[1]), GMX_EPIPE);
  if (full >= 0) CHECK_STATUS(gmx_trace_snapshot(full), -ENOSPC);
  CHECK_STATUS(gmx_trace_stop(pipes[1]), GMX_EPIPE);
  CHECK_STATUS(gmx_trace_stop(-1), GMX_EPERM);
  close(pipes[1]);
  if (full >= 0) close(full);
}

/* ---- GMXDEBUG=trace ---- */

static char path[64];

static void runs_with(const char *debug) {
  setenv("GMXDEBUG", debug, 1);
  as_main((void (*)(void))(void *)nothing);
  /* A child has no file. */
  pid_t pid = fork();
  if (pid == 0) exit(0);
  int status;
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && access(path, F_OK) != 0);
  exit(0);
}
static void is_recorded(void *arg) {
  char debug[128];
  (void)arg;
  snprintf(debug, sizeof debug, "trace=%s,tracekb=64", path);
  runs_with(debug);
}
static void cannot_be_written(void *arg) {
  (void)arg;
  runs_with("trace=/proc/no/such/file");
}

static void a_whole_run_is_recorded(void) {
  child c;
  snprintf(path, sizeof path, "/tmp/gmx-trace-%d", (int)getpid());
  child_run(&c, 60, is_recorded, NULL);
  CHILD_OK(&c);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct header head;
  CHECK(fd >= 0 && read(fd, &head, sizeof head) == (ssize_t)sizeof head);
  CHECK_EQ(head.process, c.pid);
  CHECK_EQ(head.ring_bytes, 64 << 10);
  close(fd);
  unlink(path);
  child_run(&c, 60, cannot_be_written, NULL);
  CHILD_OK(&c);
  CHILD_SAID(&c, "libgomax: no trace in /proc/no/such/file: errno 2\n");
}

int main(void) {
  RUN(a_whole_run_is_recorded);
  RUN_CHILD(100, beside_load_in_a_child, NULL);
  RUN_G(everything_of_a_g_is_there);
  RUN_G(a_stop_of_the_world_has_its_reason);
  RUN_G(a_p_is_taken_from_a_syscall);
  RUN_G(the_program_says_what_it_is_about);
  RUN_G(who_may_not_say_anything);
  RUN_G(wrong_calls_change_nothing);
  RUN_G(a_file_that_takes_nothing);
  RUN(ends_clean);
  return 0;
}
