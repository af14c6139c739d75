/* Hogs that were built with polls: stops, others' turns, threads, registers. `polls none`: they were built without. The
 * polls alone end a slice here: no P is taken from code of the host. */
#define RUNTIME_FLAGS GMX_CONFIG_PREEMPT_OFF
#include "../../ctests/gs.h"
#include "hogs.h"

#include <stdatomic.h>

/* ---- a hog as a G ---- */

struct run {
  struct hog hog;
  void (*f)(struct hog *);
  gmx_g g;
  int first, last; /* the thread, at the begin and at the end */
};

static int this_thread(void) { return thread_id(); }

static void runs(void *arg) {
  struct run *r = (struct run *)arg;
  r->first = this_thread();
  r->f(&r->hog);
  r->last = this_thread();
}

static void begin(struct run *r, void (*f)(struct hog *)) {
  memset(r, 0, sizeof *r);
  r->f = f;
  r->g = go_joinable(runs, r);
  uint64_t turns = 0;
  spin_until((turns = r->hog.turns) != 0);
}

static void end(struct run *r) {
  r->hog.end = 1;
  join(r->g);
}

static void no_turn_in(struct hog *h) {
  uint64_t turns = h->turns;
  thread_nap(2 * MS);
  CHECK_EQ(h->turns, turns);
}

/* ---- stops ---- */

static void (*const KINDS[])(struct hog *) = {hog_loop, hog_nested, hog_jumps, hog_recursion, hog_by_pointer, hog_tied};

static void every_hog_stops(void) {
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
    struct run r;
    begin(&r, KINDS[i]);
    for (int n = 0; n < 20; n++) {
      CHECK_OK(gmx_stop_the_world_timeout("polls", 20 * SECOND));
      if (n == 0) no_turn_in(&r.hog);
      uint64_t turns = r.hog.turns;
      CHECK_OK(gmx_start_the_world());
      spin_until(r.hog.turns != turns);
    }
    end(&r);
  }
}

static void does_not_stop(void (*f)(struct hog *)) {
  struct run r;
  begin(&r, f);
  CHECK_STATUS(gmx_stop_the_world_timeout("no polls", 100 * MS), GMX_ETIMEDOUT);
  end(&r);
}

static void one_without_polls_does_not_stop(void) { does_not_stop(hog_not_polling); }

static void none_stops(void) {
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) does_not_stop(KINDS[i]);
}

static void sets(void *arg) { atomic_store((atomic_int *)arg, 1); }

/* One P: the hog leaves it when its slice is over. */
static void others_have_their_turn(void) {
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
    struct run r;
    begin(&r, KINDS[i]);
    for (int n = 0; n < 3; n++) {
      atomic_int ran = 0;
      gmx_g g = go_joinable(sets, &ran);
      spin_until(atomic_load(&ran));
      join(g);
    }
    CHECK_EQ(r.hog.end, 0);
    end(&r);
  }
}

/* ---- threads ---- */

/* Runs three hogs on two Ps again and again, until one of them has ended on another thread than it began. */
static void a_hog_migrates(void) {
  for (bool moved = false; !moved;) {
    struct run r[3];
    for (int i = 0; i < 3; i++) begin(&r[i], hog_loop);
    for (int i = 0; i < 3; i++) {
      uint64_t turns = r[i].hog.turns;
      spin_until(r[i].hog.turns != turns);
    }
    for (int i = 0; i < 3; i++) end(&r[i]);
    for (int i = 0; i < 3; i++) moved |= r[i].first != r[i].last;
  }
}

static void a_tied_hog_does_not(void) {
  for (int n = 0; n < 2; n++) {
    struct run r[4];
    for (int i = 0; i < 4; i++) begin(&r[i], i < 2 ? hog_tied : hog_loop);
    for (int i = 0; i < 20; i++) {
      CHECK_OK(gmx_stop_the_world_timeout("polls", 20 * SECOND));
      CHECK_OK(gmx_start_the_world());
      uint64_t turns = r[i % 4].hog.turns;
      spin_until(r[i % 4].hog.turns != turns);
    }
    for (int i = 0; i < 4; i++) end(&r[i]);
    for (int i = 0; i < 2; i++) CHECK_EQ(r[i].first, r[i].last);
  }
}

struct with {
  struct hog hog;
  void (*f)(struct with *);
  int value, bad;
  uint64_t wrong;
  gmx_g g;
};

static void runs_with(void *arg) {
  struct with *w = (struct with *)arg;
  w->f(w);
}

static void with_thread_local(struct with *w) { hog_thread_local(&w->hog, this_thread, &w->bad); }
static void with_errno(struct with *w) { hog_errno(&w->hog, w->value, &w->bad); }
static void with_leaf(struct with *w) { hog_leaf(&w->hog, &w->bad); }
static void with_registers(struct with *w) { w->wrong = hog_registers(&w->hog); }
static void with_rounding(struct with *w) {
  w->bad = w->value == 1;
  hog_rounding(&w->hog, &w->bad);
}

/* Five of a kind on two Ps, and stops, until each has had some slices. */
static void five(void (*f)(struct with *)) {
  struct with w[5];
  memset(w, 0, sizeof w);
  for (int i = 0; i < 5; i++) {
    w[i].f = f;
    w[i].value = i + 1;
    w[i].g = go_joinable(runs_with, &w[i]);
  }
  for (int n = 0; n < 30; n++) {
    uint64_t turns = w[n % 5].hog.turns;
    spin_until(w[n % 5].hog.turns != turns);
    CHECK_OK(gmx_stop_the_world_timeout("polls", 20 * SECOND));
    CHECK_OK(gmx_start_the_world());
  }
  for (int i = 0; i < 5; i++) {
    w[i].hog.end = 1;
    join(w[i].g);
    CHECK_EQ(w[i].bad, 0);
    CHECK_EQ(w[i].wrong, 0);
  }
}

static void thread_locals_keep_their_thread(void) { five(with_thread_local); }
static void errno_goes_with_the_goroutine(void) { five(with_errno); }
static void a_leaf_keeps_its_variables(void) { five(with_leaf); }
static void results_stay_right(void) { five(with_registers); }
static void rounding_modes_do_not_mix(void) { five(with_rounding); }

/* ---- the registers of the thunk ---- */

#if defined(__x86_64__)
enum { VECTOR = 64 };

/* Calls gmx_poll_slow n times with patterns in all registers, from a stack that is aligned to 8 or 16 bytes in turn.
 * Returns how many times something was lost. wide: 1 AVX, 2 AVX-512. */
struct patterns {
  uint8_t v[32][VECTOR], got[32][VECTOR];
  uint64_t r[16], got_r[16], k[8], got_k[8];
  long double x[8], got_x[8];
};

#define EACH16(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH16_MORE(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define EACH7(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define TO(reg, n) "vmovups 64*" #n "(%%rbx), %%" reg #n "\n\t"
#define FROM(reg, n) "vmovups %%" reg #n ", 2048+64*" #n "(%%rbx)\n\t"
#define TO_Y(n) TO("ymm", n)
#define FROM_Y(n) FROM("ymm", n)
#define TO_Z(n) TO("zmm", n)
#define FROM_Z(n) FROM("zmm", n)
#define TO_X(n) "movups 64*" #n "(%%rbx), %%xmm" #n "\n\t"
#define FROM_X(n) "movups %%xmm" #n ", 2048+64*" #n "(%%rbx)\n\t"
#define TO_K(n) "kmovq 4352+8*" #n "(%%rbx), %%k" #n "\n\t"
#define FROM_K(n) "kmovq %%k" #n ", 4416+8*" #n "(%%rbx)\n\t"
#define TO_FP(n) "fldt 4480+16*" #n "(%%rbx)\n\t"
#define POLL(load, store)                                                                                         \
  "mov %%rsp, %%r12\n\t"                                                                                          \
  "lea -256(%%rsp), %%rsp\n\t"                                                                                    \
  "and $-16, %%rsp\n\t"                                                                                           \
  "sub %%rax, %%rsp\n\t" load TO_FP(0) EACH7(TO_FP)                                                               \
  "mov 4096(%%rbx), %%rax\n\tmov 4104(%%rbx), %%rcx\n\tmov 4112(%%rbx), %%rdx\n\tmov 4120(%%rbx), %%rsi\n\t"      \
  "mov 4128(%%rbx), %%rdi\n\tmov 4136(%%rbx), %%r8\n\tmov 4144(%%rbx), %%r9\n\tmov 4152(%%rbx), %%r10\n\t"        \
  "mov 4160(%%rbx), %%r11\n\tmov 4168(%%rbx), %%r13\n\tmov 4176(%%rbx), %%r14\n\tmov 4184(%%rbx), %%r15\n\t"      \
  "call *gmx_poll_slow@GOTPCREL(%%rip)\n\t"                                                                       \
  "mov %%rax, 4224(%%rbx)\n\tmov %%rcx, 4232(%%rbx)\n\tmov %%rdx, 4240(%%rbx)\n\tmov %%rsi, 4248(%%rbx)\n\t"      \
  "mov %%rdi, 4256(%%rbx)\n\tmov %%r8, 4264(%%rbx)\n\tmov %%r9, 4272(%%rbx)\n\tmov %%r10, 4280(%%rbx)\n\t"        \
  "mov %%r11, 4288(%%rbx)\n\tmov %%r13, 4296(%%rbx)\n\tmov %%r14, 4304(%%rbx)\n\tmov %%r15, 4312(%%rbx)\n\t" store \
  "fstpt 4720(%%rbx)\n\tfstpt 4704(%%rbx)\n\tfstpt 4688(%%rbx)\n\tfstpt 4672(%%rbx)\n\t"                          \
  "fstpt 4656(%%rbx)\n\tfstpt 4640(%%rbx)\n\tfstpt 4624(%%rbx)\n\tfstpt 4608(%%rbx)\n\t"                          \
  "mov %%r12, %%rsp\n\t"
#define CLOBBERS                                                                                                     \
  "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1",  \
      "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", \
      "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

static void poll_once(struct patterns *p, int wide, uint64_t odd) {
  _Static_assert(offsetof(struct patterns, got) == 2048 && offsetof(struct patterns, r) == 4096, "");
  _Static_assert(offsetof(struct patterns, got_r) == 4224 && offsetof(struct patterns, k) == 4352, "");
  _Static_assert(offsetof(struct patterns, got_k) == 4416 && offsetof(struct patterns, x) == 4480, "");
  _Static_assert(offsetof(struct patterns, got_x) == 4608, "");
  if (wide == 2) {
    __asm__ volatile(POLL(EACH16(TO_Z) EACH16_MORE(TO_Z) TO_K(0) EACH7(TO_K),
                          EACH16(FROM_Z) EACH16_MORE(FROM_Z) FROM_K(0) EACH7(FROM_K) "vzeroupper\n\t")
                     : "+a"(odd) : "b"(p) : CLOBBERS);
  } else if (wide == 1) {
    __asm__ volatile(POLL(EACH16(TO_Y), EACH16(FROM_Y) "vzeroupper\n\t") : "+a"(odd) : "b"(p) : CLOBBERS);
  } else {
    __asm__ volatile(POLL(EACH16(TO_X), EACH16(FROM_X)) : "+a"(odd) : "b"(p) : CLOBBERS);
  }
}

static void keeps_patterns(struct with *w) {
  struct patterns *p = NULL;
  CHECK_EQ(posix_memalign((void **)&p, 64, sizeof *p), 0);
  __builtin_cpu_init();
  int wide = __builtin_cpu_supports("avx512bw") ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
  size_t bytes = wide == 2 ? 64 : wide == 1 ? 32 : 16, vectors = wide == 2 ? 32 : 16;
  for (uint64_t turn = 0; !w->hog.end; turn++) {
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < sizeof p->v; i++) p->v[i / VECTOR][i % VECTOR] = (uint8_t)(i * 7 + turn * 3 + (uint64_t)w->value);
    for (uint64_t i = 0; i < 12; i++) p->r[i] = turn * 0x9e3779b97f4a7c15u + i * (uint64_t)w->value;
    for (uint64_t i = 0; i < 8; i++) {
      p->k[i] = turn * 0x7654321 + i;
      p->x[i] = (long double)turn + (long double)i / 3;
    }
    poll_once(p, wide, turn % 2 * 8);
    for (size_t i = 0; i < vectors; i++) w->wrong += memcmp(p->v[i], p->got[i], bytes) != 0;
    w->wrong += memcmp(p->r, p->got_r, sizeof p->r) != 0;
    w->wrong += wide == 2 && memcmp(p->k, p->got_k, sizeof p->k) != 0;
    for (int i = 0; i < 8; i++) w->wrong += p->x[i] != p->got_x[i];
    w->hog.turns++;
  }
  free(p);
}

static void every_register_is_kept(void) { five(keeps_patterns); }
#endif

/* ---- code that ci/polls.sh looks at computes too ---- */

static void hot_loops_compute(void) {
  enum { N = 10000 };
  static uint32_t w[N];
  static double d[N];
  static uint8_t b[N];
  uint64_t sum = 0, hash = 14695981039346656037u;
  for (uint32_t i = 0; i < N; i++) sum += w[i] = i * 2654435761u, b[i] = (uint8_t)(w[i] >> 8), d[i] = i;
  for (int i = 0; i < N; i++) hash = (hash ^ b[i]) * 1099511628211u;
  for (int n = 0; n <= 70; n++) {
    uint64_t part = 0;
    for (int i = 0; i < n; i++) part += w[i];
    CHECK(hot_sum(w, (size_t)n) == part);
  }
  CHECK(hot_sum(w, N) == sum && hot_hash(b, N) == hash && hot_hash(b, 0) == 14695981039346656037u);
  hot_scale(d, 0.5, N);
  for (int i = 0; i < N; i++) CHECK(d[i] == i * 0.5);
}

int main(int argc, char **argv) {
  bool none = argc > 1 && !strcmp(argv[1], "none");
  start_runtime(1, 0);
  RUN(hot_loops_compute);
  RUN(one_without_polls_does_not_stop);
  if (none) {
    RUN(none_stops);
  } else {
    RUN(every_hog_stops);
    RUN(others_have_their_turn);
    CHECK_EQ(gmx_gomaxprocs(2), 1);
    RUN(a_hog_migrates);
    RUN(a_tied_hog_does_not);
    RUN(thread_locals_keep_their_thread);
    RUN(errno_goes_with_the_goroutine);
    RUN(a_leaf_keeps_its_variables);
    RUN(results_stay_right);
    RUN(rounding_modes_do_not_mix);
#if defined(__x86_64__)
    RUN(every_register_is_kept);
#endif
  }
  ends_clean();
  return 0;
}
