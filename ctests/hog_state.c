/* timeout: 120 */
/* flags: -lm */
/* What a thread keeps while it is held in the middle of the host's code, and another G has its P: two Gs on one P,
 * whose states differ, compute until each was held many times. */
#include "beside.h"
#include "seed.h"

#include <errno.h>
#include <fenv.h>
#include <locale.h>
#include <setjmp.h>

/* Enough for each moment of a loop to be interrupted. */
#define SWITCHES 60

/* Long enough to be interrupted in, without a call. */
static void computes(void) {
  for (volatile int i = 0; i < 100000; i++) continue;
}

/* ---- what belongs to the thread ---- */

static void keeps_errno(int me) {
  while (swap_on()) {
    errno = 100 + me;
    computes();
    CHECK_EQ(errno, 100 + me);
  }
}

static __thread long local, *at;
static void keeps_thread_locals(int me) {
  at = &local;
  while (swap_on()) {
    local = 200 + me;
    computes();
    CHECK_EQ(local, 200 + me);
    CHECK(at == &local);
  }
}

static void stays_on_its_thread(int me) {
  (void)me;
  pthread_t self = pthread_self();
  int tid = thread_id();
  while (swap_on()) {
    computes();
    CHECK(pthread_equal(self, pthread_self()));
    CHECK_EQ(thread_id(), tid);
  }
}

static void keeps_its_locale(int me) {
  locale_t mine = newlocale(me ? LC_CTYPE_MASK : LC_ALL_MASK, "C", (locale_t)0);
  CHECK(mine != (locale_t)0);
  locale_t before = uselocale(mine);
  while (swap_on()) {
    computes();
    CHECK(uselocale((locale_t)0) == mine);
  }
  CHECK(uselocale(before) == mine);
  freelocale(mine);
}

static void keeps_its_signal_mask(int me) {
  sigset_t mine, before, now;
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
  mine = before;
  CHECK(sigaddset(&mine, me ? SIGUSR1 : SIGUSR2) == 0);
  CHECK(pthread_sigmask(SIG_SETMASK, &mine, NULL) == 0);
  while (swap_on()) {
    computes();
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0);
    for (int sig = 1; sig < 65; sig++) CHECK_EQ(sigismember(&now, sig), sigismember(&mine, sig));
  }
  CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

/* The host's own alternate stack: whatever runs there meanwhile leaves it as it was. */
static void keeps_its_alternate_stack(int me) {
  static char room[2][128 << 10];
  stack_t mine = {.ss_sp = room[me], .ss_size = sizeof room[me]}, before, now;
  CHECK(sigaltstack(&mine, &before) == 0);
  while (swap_on()) {
    computes();
    CHECK(sigaltstack(NULL, &now) == 0);
    CHECK(now.ss_sp == mine.ss_sp && now.ss_size == mine.ss_size && now.ss_flags == 0);
  }
  CHECK(sigaltstack(&before, NULL) == 0);
}

/* ---- the stack ---- */

static void keeps_its_jump_buffers(int me) {
  jmp_buf buf;
  volatile int jumps = 0;
  volatile long kept = 300 + me;
  int value = setjmp(buf);
  CHECK_EQ(value, jumps > 0 ? 1 + me : 0);
  CHECK_EQ(kept, 300 + me);
  if (swap_on()) {
    computes();
    jumps = 1;
    longjmp(buf, 1 + me);
  }
}

__attribute__((__noinline__)) static long sum_of_frames(int me, int depth) {
  volatile long frame[64];
  for (int i = 0; i < 64; i++) frame[i] = me + depth + i;
  long sum = depth > 0 ? sum_of_frames(me, depth - 1) : (computes(), 0);
  for (int i = 0; i < 64; i++) sum += frame[i];
  return sum;
}

static void keeps_its_frames(int me) {
  long sum = sum_of_frames(me, 100);
  while (swap_on()) CHECK_EQ(sum_of_frames(me, 100), sum);
}

#ifdef __x86_64__
/* What a leaf function has below its stack pointer: 128 bytes of 8 each. The asm moves away from those of its own
 * function first. */
__attribute__((__noinline__)) static uint64_t differences_below_the_stack(uint64_t value, long turns) {
  uint64_t differ = 0;
  __asm__ volatile(
      "sub $256, %%rsp\n"
      ".set below, 8\n"
      ".rept 16\n"
      "mov %[value], -below(%%rsp)\n"
      "add $1, %[value]\n"
      ".set below, below + 8\n"
      ".endr\n"
      "sub $16, %[value]\n"
      "1: dec %[turns]\n"
      "jnz 1b\n"
      ".set below, 8\n"
      ".rept 16\n"
      "mov -below(%%rsp), %%rax\n"
      "xor %[value], %%rax\n"
      "or %%rax, %[differ]\n"
      "add $1, %[value]\n"
      ".set below, below + 8\n"
      ".endr\n"
      "add $256, %%rsp\n"
      : [differ] "+r"(differ), [value] "+r"(value), [turns] "+r"(turns)
      :
      : "rax", "cc", "memory");
  return differ;
}

static void keeps_what_is_below_its_stack_pointer(int me) {
  while (swap_on()) CHECK_EQ(differences_below_the_stack(UINT64_C(0x123456789abc0000) << me, 100000), 0);
}
#endif

/* ---- registers ---- */

static void keeps_its_rounding_mode(int me) {
  int mode = me ? FE_UPWARD : FE_DOWNWARD, before = fegetround();
  volatile double one = 1, three = 3;
  CHECK(fesetround(mode) == 0);
  double third = one / three;
  while (swap_on()) {
    for (int i = 0; i < 1000; i++) CHECK(one / three == third);
    CHECK_EQ(fegetround(), mode);
  }
  CHECK(fesetround(before) == 0);
}

/* The other one of the two must have another value for that to mean anything. */
static void the_modes_differ(void) {
  volatile double one = 1, three = 3;
  CHECK(fesetround(FE_UPWARD) == 0);
  double up = one / three;
  CHECK(fesetround(FE_DOWNWARD) == 0);
  double down = one / three;
  CHECK(fesetround(FE_TONEAREST) == 0);
  CHECK(up > down);
}

#ifdef __x86_64__
static void keeps_its_control_words(int me) {
  uint32_t mxcsr, mxcsr_before;
  uint16_t control, control_before;
  __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr_before), "=m"(control_before));
  uint32_t my_mxcsr = (mxcsr_before & ~0x3fu) | (me ? 0x8000 : 0x0040); /* flush to zero; denormals are zero */
  uint16_t my_control = (uint16_t)((control_before & ~0x0f00u) | (me ? 0x0000 : 0x0a00)); /* precision, rounding */
  __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(my_mxcsr), "m"(my_control));
  while (swap_on()) {
    computes();
    __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(control));
    CHECK_EQ(mxcsr, my_mxcsr);
    CHECK_EQ(control, my_control);
  }
  __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(mxcsr_before), "m"(control_before));
}

/* Flags, and all registers but the stack pointer, the counter and the address of the pattern. */
static void keeps_its_integers(int me) {
  uint64_t in[13], out[13];
  unsigned char carry;
  for (int i = 0; i < 13; i++) in[i] = (UINT64_C(0x1111111111111111) * (uint64_t)i) ^ (uint64_t)me;
  while (swap_on()) {
    long turns = 100000;
    uint64_t *from = in, *to = out;
    memset(out, 0, sizeof out);
    __asm__ volatile(
        "push %%rbx\n push %%rbp\n push %[to]\n"
        "mov %[turns], %%rcx\n"
        "mov (%[from]), %%rax\n mov 8(%[from]), %%rbx\n mov 16(%[from]), %%rdx\n mov 24(%[from]), %%rsi\n"
        "mov 40(%[from]), %%rbp\n mov 48(%[from]), %%r8\n mov 56(%[from]), %%r9\n"
        "mov 64(%[from]), %%r10\n mov 72(%[from]), %%r11\n mov 80(%[from]), %%r12\n mov 88(%[from]), %%r13\n"
        "mov 96(%[from]), %%r14\n"
        "stc\n"
        "1: lea -1(%%rcx), %%rcx\n"
        "jrcxz 2f\n"
        "jmp 1b\n"
        "2: pop %%rdi\n"
        "setc %%cl\n"
        "mov %%rax, (%%rdi)\n mov %%rbx, 8(%%rdi)\n mov %%rdx, 16(%%rdi)\n mov %%rsi, 24(%%rdi)\n"
        "mov %%rbp, 40(%%rdi)\n mov %%r8, 48(%%rdi)\n mov %%r9, 56(%%rdi)\n"
        "mov %%r10, 64(%%rdi)\n mov %%r11, 72(%%rdi)\n mov %%r12, 80(%%rdi)\n mov %%r13, 88(%%rdi)\n"
        "mov %%r14, 96(%%rdi)\n"
        "pop %%rbp\n pop %%rbx\n"
        : "=&c"(carry), [from] "+D"(from)
        : [to] "r"(to), [turns] "r"(turns)
        : "rax", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "cc", "memory");
    out[4] = in[4]; /* the address was there */
    CHECK_EQ(carry, 1);
    CHECK(memcmp(in, out, sizeof in) == 0);
  }
}

/* A full stack of the x87. */
static void keeps_its_x87(int me) {
  double in[8], out[8];
  for (int i = 0; i < 8; i++) in[i] = 1.5 * (i + 1) + 100 * me;
  while (swap_on()) {
    long turns = 100000;
    __asm__ volatile(
        "fldl 56(%[in])\n fldl 48(%[in])\n fldl 40(%[in])\n fldl 32(%[in])\n"
        "fldl 24(%[in])\n fldl 16(%[in])\n fldl 8(%[in])\n fldl (%[in])\n"
        "1: dec %[turns]\n"
        "jnz 1b\n"
        "fstpl (%[out])\n fstpl 8(%[out])\n fstpl 16(%[out])\n fstpl 24(%[out])\n"
        "fstpl 32(%[out])\n fstpl 40(%[out])\n fstpl 48(%[out])\n fstpl 56(%[out])\n"
        : [turns] "+r"(turns)
        : [in] "r"(in), [out] "r"(out)
        : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory");
    CHECK(memcmp(in, out, sizeof in) == 0);
  }
}

#define EACH_OF_16(op) \
  op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define ALL_XMM                                                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"

static void fill(unsigned char *bytes, size_t n, int me) {
  uint64_t seed = 7 + (uint64_t)me;
  for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)(next_random(&seed) >> 56);
}

/* Loads registers of so many bytes each, computes, and stores them. */
#define KEEPS(name, attribute, bytes, count, load_one, store_one, each, ...)                  \
  attribute static void name(int me) {                                                        \
    _Alignas(64) unsigned char in[bytes * count], out[bytes * count];                         \
    fill(in, sizeof in, me);                                                                  \
    while (swap_on()) {                                                                       \
      long turns = 100000;                                                                    \
      memset(out, 0, sizeof out);                                                             \
      __asm__ volatile(each(load_one) "1: dec %[turns]\n jnz 1b\n" each(store_one)            \
                       : [turns] "+r"(turns)                                                  \
                       : [in] "r"(in), [out] "r"(out)                                         \
                       : __VA_ARGS__, "cc", "memory");                                        \
      CHECK(memcmp(in, out, sizeof in) == 0);                                                 \
    }                                                                                         \
  }

#define LOAD_XMM(i) "movups 16*" #i "(%[in]), %%xmm" #i "\n"
#define STORE_XMM(i) "movups %%xmm" #i ", 16*" #i "(%[out])\n"
KEEPS(keeps_its_xmm, , 16, 16, LOAD_XMM, STORE_XMM, EACH_OF_16, ALL_XMM)

#define LOAD_YMM(i) "vmovups 32*" #i "(%[in]), %%ymm" #i "\n"
#define STORE_YMM(i) "vmovups %%ymm" #i ", 32*" #i "(%[out])\n"
KEEPS(keeps_its_ymm, __attribute__((__target__("avx"))), 32, 16, LOAD_YMM, STORE_YMM, EACH_OF_16, ALL_XMM)

#define EACH_OF_32(op)                                                                                                \
  EACH_OF_16(op) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28) op(29) \
      op(30) op(31)
#define LOAD_ZMM(i) "vmovups 64*" #i "(%[in]), %%zmm" #i "\n"
#define STORE_ZMM(i) "vmovups %%zmm" #i ", 64*" #i "(%[out])\n"
KEEPS(keeps_its_zmm, __attribute__((__target__("avx512f"))), 64, 32, LOAD_ZMM, STORE_ZMM, EACH_OF_32, ALL_XMM, "xmm16",
      "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",
      "xmm29", "xmm30", "xmm31")
#endif

/* ---- two of a kind on one P ---- */

struct hog {
  void (*fn)(int);
  int me;
};

static void computes_as(void *arg) {
  struct hog *hog = arg;
  swap_begin();
  hog->fn(hog->me);
}

static void keeps(const char *what, void (*fn)(int)) {
  struct hog hogs[2] = {{fn, 0}, {fn, 1}};
  gmx_g g[2];
  check_running = what;
  int64_t begin = check_now();
  swap_start(2, SWITCHES, 0);
  for (int i = 0; i < 2; i++) g[i] = go_joinable(computes_as, &hogs[i]);
  join_all(g, 2);
  swap_end();
  check_say("  %s: %" PRId64 " ms", what, (check_now() - begin) / MS);
}

static void held_threads_keep_their_state(void) {
  keeps("errno", keeps_errno);
  keeps("thread-local variables", keeps_thread_locals);
  keeps("the thread", stays_on_its_thread);
  keeps("the locale", keeps_its_locale);
  keeps("the signal mask", keeps_its_signal_mask);
  keeps("the alternate stack", keeps_its_alternate_stack);
  keeps("jump buffers", keeps_its_jump_buffers);
  keeps("frames", keeps_its_frames);
  the_modes_differ();
  keeps("the rounding mode", keeps_its_rounding_mode);
#ifdef __x86_64__
  keeps("the red zone", keeps_what_is_below_its_stack_pointer);
  keeps("control words", keeps_its_control_words);
  keeps("integers", keeps_its_integers);
  keeps("x87", keeps_its_x87);
  keeps("xmm", keeps_its_xmm);
  if (__builtin_cpu_supports("avx")) keeps("ymm", keeps_its_ymm);
  if (__builtin_cpu_supports("avx512f")) keeps("zmm", keeps_its_zmm);
#endif
}

int main(void) {
  start_runtime(1, MS);
  RUN(held_threads_keep_their_state);
  gmx_sched_stats stats = sched_stats();
  check_say("threads were held %" PRIu64 " times, Ps were taken %" PRIu64 " times", stats.seized, stats.taken);
  ends_clean();
  return 0;
}
