/* timeout: 120 */
/* env: GMX_MAXPROCS=2 */
/*
 * Metrics: each moves when it should, counters never fall, and a look stops nothing. The text is read here by its
 * lines; bindings/python/tests/test_metrics.py reads it by the rules of OpenMetrics.
 */
#include "gs.h"

static uint64_t value(const char *name) {
  gmx_metric m = {.name = name, .reserved = 0};
  CHECK_OK(gmx_metrics_read(&m, 1));
  CHECK(m.kind != GMX_METRIC_NONE);
  return m.value;
}

/* Of a histogram: the durations above a bound, which is one of a bucket. */
static uint64_t above(const char *name, uint64_t bound) {
  uint64_t buckets[GMX_METRIC_BUCKETS], all = 0, n = 0;
  gmx_metric m = {.name = name, .buckets = buckets};
  CHECK_OK(gmx_metrics_read(&m, 1));
  CHECK_EQ(m.kind, GMX_METRIC_HISTOGRAM);
  for (size_t i = 0; i < GMX_METRIC_BUCKETS; i++) {
    all += buckets[i];
    if (i > 0 && gmx_metric_bounds()[i - 1] >= bound) n += buckets[i];
  }
  CHECK_EQ(all, m.value);
  return n;
}

static uint64_t sum(const char *name) {
  gmx_metric m = {.name = name, .reserved = 0};
  CHECK_OK(gmx_metrics_read(&m, 1));
  CHECK_EQ(m.kind, GMX_METRIC_HISTOGRAM);
  return m.sum;
}

static size_t count_metrics(void) {
  size_t n = 0;
  while (gmx_metric_info(n)) n++;
  return n;
}

/* ---- the text ---- */

struct text {
  char *bytes;
  size_t n;
  int calls;
};

static gmx_status keep(void *arg, const char *bytes, size_t n) {
  struct text *text = arg;
  text->calls++;
  text->bytes = malloc(n + 1);
  text->n = n;
  memcpy(text->bytes, bytes, n);
  text->bytes[n] = 0;
  return GMX_OK;
}

static struct text read_text(void) {
  struct text text = {NULL, 0, 0};
  CHECK_OK(gmx_metrics_text(keep, &text));
  CHECK_EQ(text.calls, 1);
  return text;
}

/* What stands behind a name at the beginning of a line; NULL if there is no such line. */
static const char *behind(const struct text *text, const char *name) {
  for (const char *line = text->bytes; line && *line; line = strchr(line, '\n'), line += line != NULL)
    if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ') return line + strlen(name) + 1;
  return NULL;
}

/* ---- without a runtime ---- */

static void a_look_starts_nothing(void) {
  CHECK_EQ(value("gomax_procs"), 0);
  CHECK_EQ(value("gomax_goroutines_created_total"), 0);
  CHECK(gmx_metric_bounds() != NULL);
  struct text text = read_text();
  CHECK_EQ(strtoull(behind(&text, "gomax_procs"), NULL, 10), 0);
  free(text.bytes);
  await_threads(1);
}

/* ---- the table ---- */

static void each_metric_of_the_table_can_be_read(void) {
  size_t n = count_metrics();
  struct text text = read_text();
  CHECK_CMP(n, >, 40);
  CHECK(gmx_metric_info(SIZE_MAX) == NULL);
  for (size_t i = 0; i < n; i++) {
    const gmx_metric_desc *d = gmx_metric_info(i);
    CHECK(d == gmx_metric_info(i) && d->reserved == 0 && *d->help);
    CHECK(strncmp(d->name, "gomax_", 6) == 0);
    gmx_metric m = {.name = d->name, .value = 77, .sum = 77};
    CHECK_OK(gmx_metrics_read(&m, 1));
    CHECK_EQ(m.kind, d->kind);
    CHECK(m.kind >= GMX_METRIC_COUNTER && m.kind <= GMX_METRIC_HISTOGRAM);
    CHECK(m.kind == GMX_METRIC_HISTOGRAM || m.sum == 0);
    if (m.kind != GMX_METRIC_HISTOGRAM) CHECK(behind(&text, d->name) != NULL);
  }
  free(text.bytes);
}

static void a_name_that_is_not_known_is_no_error(void) {
  uint64_t buckets[GMX_METRIC_BUCKETS] = {5};
  gmx_metric m[] = {
    {.name = "gomax_none", .buckets = buckets, .kind = 3, .value = 1, .sum = 1},
    {.name = "gomax_procs", .kind = 3, .sum = 1},
    {.name = "", .value = 1},
  };
  CHECK_OK(gmx_metrics_read(m, 3));
  CHECK(m[0].kind == GMX_METRIC_NONE && m[0].value == 0 && m[0].sum == 0 && buckets[0] == 5);
  CHECK(m[1].kind == GMX_METRIC_GAUGE && m[1].value == 2 && m[1].sum == 0);
  CHECK_EQ(m[2].kind, GMX_METRIC_NONE);
}

static gmx_status refuses(void *arg, const char *text, size_t n) {
  (void)arg, (void)text, (void)n;
  return -EIO;
}

static void wrong_calls_are_refused(void) {
  gmx_metric m[] = {{.name = "gomax_procs", .value = 7}, {.name = NULL}};
  CHECK_OK(gmx_metrics_read(NULL, 0));
  CHECK_STATUS(gmx_metrics_read(NULL, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_metrics_read(m, 2), GMX_EINVAL);
  m[1].name = "gomax_procs";
  m[1].reserved = 1;
  CHECK_STATUS(gmx_metrics_read(m, 2), GMX_EINVAL);
  CHECK_EQ(m[0].value, 7);
  CHECK_STATUS(gmx_metrics_text(NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_metrics_text(refuses, NULL), -EIO);
}

static void bounds_rise(void) {
  const uint64_t *bounds = gmx_metric_bounds();
  CHECK_EQ(bounds[0], 128);
  CHECK_EQ(bounds[GMX_METRIC_BUCKETS - 2], INT64_C(1) << 36);
  CHECK(bounds[GMX_METRIC_BUCKETS - 1] == UINT64_MAX);
  for (size_t i = 1; i < GMX_METRIC_BUCKETS; i++) CHECK(bounds[i] > bounds[i - 1]);
}

/* ---- each moves ---- */

static void stops_and_barriers_are_counted(void) {
  const char *stopping = "gomax_stw_seconds{phase=\"stopping\"}", *total = "gomax_stw_seconds{phase=\"total\"}";
  uint64_t stops = value("gomax_stops_total"), barriers = value("gomax_barriers_total");
  uint64_t stoppings = value(stopping), totals = value(total), long_ones = above(total, 1 << 20);
  uint64_t took = sum(total), took_stopping = sum(stopping), in_barriers = value("gomax_barrier_seconds");
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_stop_the_world("count"));
    thread_nap(3 * MS);
    CHECK_OK(gmx_start_the_world());
  }
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_for_each_p(nothing, NULL));
  CHECK_EQ(value("gomax_stops_total") - stops, 3);
  CHECK_EQ(value(stopping) - stoppings, 3);
  CHECK_EQ(value(total) - totals, 3);
  CHECK_EQ(above(total, 1 << 20) - long_ones, 3);
  CHECK_CMP(sum(total) - took, >=, 9 * MS);
  CHECK_CMP(sum(stopping) - took_stopping, <=, sum(total) - took);
  CHECK_EQ(sum(stopping), sched_stats().stop_ns_total);
  CHECK_EQ(value("gomax_barriers_total") - barriers, 5);
  CHECK_EQ(value("gomax_barrier_seconds") - in_barriers, 5);
}

/* Computes for so long on a P that is not taken from it. */
static void hogs_for(int64_t ns) {
  for (int64_t end = check_now() + ns; check_now() < end;) continue;
}

static uint32_t fired;

static void hogs_beside_a_timer(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  CHECK_OK(gmx_after_func(MS, add_one, &fired, NULL));
  hogs_for(100 * MS);
  CHECK_OK(gmx_unpin());
}

/* No other thread runs the timers of this P before the hog's slice of 10 ms is over. */
static void a_late_timer_is_late(void) {
  const char *late = "gomax_timer_lateness_seconds";
  int32_t procs = gmx_gomaxprocs(1);
  uint64_t before = above(late, 1 << 22), all = value(late);
  store(&fired, 0);
  on_g(hogs_beside_a_timer, NULL);
  spin_until(load(&fired) == 1);
  CHECK_CMP(above(late, 1 << 22) - before, >=, 1);
  CHECK_CMP(value(late) - all, >=, 1);
  CHECK_EQ(gmx_gomaxprocs(procs), 1);
}

static void sleeps(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(MS));
}

static void timers_are_counted_each_once(void) {
  enum { GS = 50 };
  gmx_g gs[GS];
  uint64_t before = value("gomax_timer_lateness_seconds");
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(sleeps, NULL);
  join_all(gs, GS);
  CHECK_EQ(value("gomax_timer_lateness_seconds") - before, GS);
}

static void hogs(void *arg) {
  CHECK_CMP(gmx_pin(), >=, 0);
  hogs_for(*(int64_t *)arg);
  CHECK_OK(gmx_unpin());
}

/* The end of the slice is seen although its P is idle then. (A watchdog that gets no CPU meanwhile sees no slice.) */
static void a_hog_has_a_long_slice(void) {
  const char *slices = "gomax_slice_seconds";
  int64_t ns = 80 * MS;
  uint64_t before = above(slices, 1 << 25), took = sum(slices);
  do {
    on_g(hogs, &ns);
    thread_nap(20 * MS);
  } while (above(slices, 1 << 25) == before);
  CHECK_CMP(sum(slices) - took, >=, 1 << 25);
}

static void yields(void *arg) {
  while (!load((uint32_t *)arg)) CHECK_OK(gmx_yield());
}

static void parks(void *arg) { park_at((gmx_g *)arg); }

static void waits_in_a_syscall(void *arg) {
  CHECK_OK(gmx_enter_syscall_blocking());
  bump((uint32_t *)arg);
  while (load((uint32_t *)arg) < 100) thread_nap(MS / 10);
  CHECK_OK(gmx_exit_syscall());
}

static void states_agree(void) {
  static const char *const states[] = {"running", "runnable", "waiting", "syscall"};
  uint64_t n[4], all = 0;
  char name[64];
  CHECK_OK(gmx_stop_the_world("count"));
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "gomax_goroutines{state=\"%s\"}", states[i]);
    all += n[i] = value(name);
  }
  CHECK_EQ(all, gmx_num_g());
  CHECK_EQ(all, value("gomax_goroutines_created_total") - value("gomax_goroutines_ended_total"));
  CHECK_CMP(n[2], >=, 30);
  CHECK_CMP(n[3], >=, 2);
  CHECK_OK(gmx_start_the_world());
}
static void states_agree_on_a_g(void *arg) {
  (void)arg;
  states_agree();
}

/* created - ended is the number of goroutines, which is the sum over the states. */
static void goroutines_are_counted_by_state(void) {
  enum { PARKED = 30, SYSCALL = 2, YIELD = 4, ALL = PARKED + SYSCALL + YIELD };
  static gmx_g wheres[PARKED];
  gmx_g gs[ALL];
  uint32_t in = 0, stop = 0;
  uint64_t created = value("gomax_goroutines_created_total"), ended = value("gomax_goroutines_ended_total");
  for (int i = 0; i < PARKED; i++) gs[i] = go_joinable(parks, &wheres[i]);
  for (int i = 0; i < SYSCALL; i++) gs[PARKED + i] = go_joinable(waits_in_a_syscall, &in);
  spin_until(load(&in) == SYSCALL);
  for (int i = 0; i < PARKED; i++) spin_until(load(&wheres[i]) != 0);
  for (int i = 0; i < YIELD; i++) gs[PARKED + SYSCALL + i] = go_joinable(yields, &stop);
  for (int i = 0; i < 50; i++) states_agree();
  on_g(states_agree_on_a_g, NULL);
  CHECK_OK(gmx_attach_thread());
  states_agree();
  CHECK_OK(gmx_detach_thread());
  store(&stop, 1);
  store(&in, 100);
  for (int i = 0; i < PARKED; i++) wake_at(&wheres[i]);
  join_all(gs, ALL);
  spin_until(value("gomax_goroutines_ended_total") - ended == value("gomax_goroutines_created_total") - created);
  CHECK_CMP(value("gomax_goroutines_created_total") - created, >=, ALL + 1);
}

static void stacks_are_counted(void) {
  static gmx_g wheres[64];
  gmx_g gs[64];
  for (int i = 0; i < 64; i++) gs[i] = go_joinable(parks, &wheres[i]);
  for (int i = 0; i < 64; i++) spin_until(load(&wheres[i]) != 0);
  CHECK_CMP(value("gomax_stacks{state=\"inuse\"}"), >=, 64);
  CHECK_CMP(value("gomax_stack_bytes{state=\"inuse\"}"), >=, 64 * 4096);
  CHECK_CMP(value("gomax_stack_reserved_bytes"), >=, value("gomax_stack_bytes{state=\"inuse\"}"));
  for (int i = 0; i < 64; i++) wake_at(&wheres[i]);
  join_all(gs, 64);
}

/* ---- from ready to run ---- */

enum { CROWD = 256 * 40 };

/* With one P none of the crowd starts before this one ends. Pinned, it keeps the P. */
static void spawns_a_crowd(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  for (int i = 0; i < CROWD; i++) go(nothing, NULL);
  for (int64_t until = check_now() + 5 * MS; check_now() < until;) {}
  CHECK_OK(gmx_unpin());
}

/* One in 256 of those that a thread readies is timed, and the first of a thread. */
static void what_is_ready_waits_for_its_turn(void) {
  const char *latency = "gomax_sched_latency_seconds";
  int32_t procs = gmx_gomaxprocs(1);
  uint64_t before = value(latency), long_before = above(latency, 1 << 22), took = sum(latency);
  int64_t begin = check_now();
  on_g(spawns_a_crowd, NULL);
  spin_until(gmx_num_g() == 0);
  uint64_t n = value(latency) - before, ns = (uint64_t)(check_now() - begin);
  CHECK_CMP(n, >=, CROWD / 256);
  CHECK_CMP(n, <=, CROWD / 256 + 16);
  CHECK_CMP(above(latency, 1 << 22) - long_before, >=, CROWD / 256);
  CHECK_CMP(sum(latency) - took, >=, CROWD / 256 * 5 * MS);
  CHECK_CMP(sum(latency) - took, <=, n * ns);
  CHECK_EQ(gmx_gomaxprocs(procs), 1);
}

/* ---- where it may be called ---- */

static gmx_status sleeps_then_keeps(void *arg, const char *bytes, size_t n) {
  CHECK_OK(gmx_sleep(MS));
  return keep(arg, bytes, n);
}

static void looks(void *arg) {
  (void)arg;
  struct text text = read_text();
  CHECK(behind(&text, "gomax_procs") != NULL);
  free(text.bytes);
}

static void looks_everywhere(void *arg) {
  looks(arg);
  struct text text = {NULL, 0, 0};
  CHECK_OK(gmx_metrics_text(sleeps_then_keeps, &text)); /* what the caller may do, write may do */
  free(text.bytes);
  CHECK_OK(gmx_enter_syscall());
  looks(arg);
  CHECK_OK(gmx_exit_syscall());
  CHECK_CMP(gmx_pin(), >=, 0);
  looks(arg);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_for_each_p(looks, NULL));
  CHECK_OK(gmx_stop_the_world("look"));
  looks(arg);
  CHECK_OK(gmx_start_the_world());
}

static void any_context_may_look(void) {
  on_g(looks_everywhere, NULL);
  on_thread(looks, NULL);
  CHECK_OK(gmx_attach_thread());
  looks_everywhere(NULL);
  CHECK_OK(gmx_detach_thread());
}

/* ---- beside load ---- */

static void spawns(void *arg) {
  while (!load((uint32_t *)arg)) {
    join(go_joinable(nothing, NULL));
    CHECK_OK(gmx_sleep(10000));
  }
}

static void counters_never_fall_and_nothing_stops(void) {
  enum { GS = 8, LOOKS = 1000 };
  gmx_g gs[2 * GS];
  uint32_t stop = 0;
  size_t n = count_metrics();
  gmx_metric *now = calloc(n, sizeof *now), *then = calloc(n, sizeof *then);
  uint64_t(*buckets)[GMX_METRIC_BUCKETS] = calloc(2 * n, sizeof *buckets);
  CHECK(now && then && buckets);
  for (size_t i = 0; i < n; i++) {
    now[i].name = then[i].name = gmx_metric_info(i)->name;
    now[i].buckets = buckets[2 * i];
    then[i].buckets = buckets[2 * i + 1];
  }
  for (int i = 0; i < GS; i++) {
    gs[2 * i] = go_joinable(yields, &stop);
    gs[2 * i + 1] = go_joinable(spawns, &stop);
  }
  uint64_t stops = value("gomax_stops_total"), started = value("gomax_goroutines_created_total");
  for (int look = 0; look < LOOKS; look++) {
    CHECK_OK(gmx_metrics_read(now, n));
    for (size_t i = 0; i < n; i++) {
      if (now[i].kind == GMX_METRIC_GAUGE) continue;
      if (now[i].value < then[i].value || now[i].sum < then[i].sum) FAIL("%s has fallen", now[i].name);
      for (size_t b = 0; now[i].kind == GMX_METRIC_HISTOGRAM && b < GMX_METRIC_BUCKETS; b++)
        CHECK(now[i].buckets[b] >= then[i].buckets[b]);
    }
    gmx_metric *other = now;
    now = then;
    then = other;
    if (look % 100 == 0) looks(NULL);
  }
  CHECK_EQ(value("gomax_stops_total"), stops);
  CHECK_CMP(value("gomax_goroutines_created_total"), >, started);
  store(&stop, 1);
  join_all(gs, 2 * GS);
  free(now);
  free(then);
  free(buckets);
}

/* ---- the text, line by line ---- */

/* Each number of the text lies between those before and after it. */
static void the_text_is_complete(void) {
  uint64_t *before = calloc(count_metrics(), sizeof *before);
  CHECK(before != NULL);
  for (size_t i = 0; i < count_metrics(); i++) before[i] = value(gmx_metric_info(i)->name);
  struct text text = read_text();
  for (size_t i = 0; i < count_metrics(); i++) {
    const gmx_metric_desc *d = gmx_metric_info(i);
    const char *labels = strchr(d->name, '{');
    int family = (int)(labels ? labels - d->name : (ptrdiff_t)strlen(d->name));
    char name[128];
    const char *count = d->kind == GMX_METRIC_HISTOGRAM ? "_count" : "";
    snprintf(name, sizeof name, "%.*s%s%s", family, d->name, count, labels ? labels : "");
    const char *said = behind(&text, name);
    CHECK(said != NULL);
    if (d->kind == GMX_METRIC_GAUGE) continue;
    uint64_t number = strtoull(said, NULL, 10);
    CHECK(before[i] <= number && number <= value(d->name));
  }
  free(before);
  CHECK(text.n > 6 && strcmp(text.bytes + text.n - 6, "# EOF\n") == 0);
  CHECK_EQ(strlen(text.bytes), text.n);
  free(text.bytes);
}

static void a_look_after_the_end_starts_nothing(void) {
  uint64_t created = value("gomax_goroutines_created_total");
  CHECK_CMP(created, >, 0);
  looks(NULL);
  await_threads(1);
}

int main(void) {
  RUN(a_look_starts_nothing);
  start_runtime(2, 0);
  RUN(each_metric_of_the_table_can_be_read);
  RUN(a_name_that_is_not_known_is_no_error);
  RUN(wrong_calls_are_refused);
  RUN(bounds_rise);
  RUN(stops_and_barriers_are_counted);
  RUN(timers_are_counted_each_once);
  RUN(a_late_timer_is_late);
  RUN(a_hog_has_a_long_slice);
  RUN(what_is_ready_waits_for_its_turn);
  RUN(goroutines_are_counted_by_state);
  RUN(stacks_are_counted);
  RUN(any_context_may_look);
  RUN(counters_never_fall_and_nothing_stops);
  RUN(the_text_is_complete);
  RUN(ends_clean);
  RUN(a_look_after_the_end_starts_nothing);
}
