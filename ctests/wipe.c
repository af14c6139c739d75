/* env: GMX_MAXPROCS=1 */
#define _GNU_SOURCE 1
/*
 * GMX_SPAWN_WIPE: the next goroutine on a stack finds no data of the goroutine before it, at whatever depth and however
 * that goroutine ended. Without the flag it does, which shows that the search works.
 */
#include "child.h"
#include "gs.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The secret is the exclusive or of the two, so it is in memory only where `leave` writes it. */
static volatile uint64_t half = UINT64_C(0x5ec2e7a1b0c94d83), other_half = UINT64_C(0x1f0e2d3c4b5a6978);

/* The library's own frames overwrite some of the secret when the goroutine ends: more in a debug build. */
enum { SHALLOW = 20 << 10 };

enum ending { RETURNS, EXITS, LOCKED };

struct stay {
  size_t depth; /* of the frames that hold the secret */
  enum ending ending;
  char *lo; /* of the stack */
  long found;
};

static char *lo_of_stack(void) {
  void *lo, *hi;
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  return lo;
}

/* A page that is full of the secret, and more of them below it. */
__attribute__((__noinline__)) static void leave(long frames) {
  volatile uint64_t frame[512];
  for (int i = 0; i < 512; i++) frame[i] = half ^ other_half;
  if (frames > 1) leave(frames - 1);
  if (frame[0] != (half ^ other_half)) FAIL("the frame was overwritten");
}

static void leaves(void *arg) {
  struct stay *stay = arg;
  stay->lo = lo_of_stack();
  if (stay->ending == LOCKED) CHECK_OK(gmx_lock_os_thread());
  leave((long)(stay->depth / 4096) + 1);
  if (stay->ending == EXITS) CHECK_OK(gmx_goexit()); /* returns only if it may not */
}

/* Below its own frame nothing is alive. */
__attribute__((__noinline__)) static void looks(void *arg) {
  struct stay *stay = arg;
  stay->lo = lo_of_stack();
  stay->found = 0;
  for (char *at = stay->lo; at < (char *)__builtin_frame_address(0) - 1024; at += sizeof(uint64_t))
    stay->found += (*(volatile uint64_t *)at ^ half) == other_half;
}

static void run(void (*fn)(void *), struct stay *stay, uint32_t flags, size_t stack_size) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = flags | GMX_SPAWN_JOINABLE, .stack_size = stack_size};
  gmx_g g;
  CHECK_OK(gmx_spawn_with(&opts, fn, stay, &g));
  join(g);
}

/* How often the secret is on the stack when the next goroutine has it. */
static long left_behind(uint32_t flags, size_t stack_size, size_t depth, enum ending ending) {
  struct stay first = {.depth = depth, .ending = ending}, next = {0};
  run(leaves, &first, flags, stack_size);
  size_t same = stack_size == 0 && flags & GMX_SPAWN_WIPE ? 256 << 10 : stack_size;
  do run(looks, &next, 0, same); /* a thread that ends with its goroutine may be late */
  while (next.lo != first.lo);
  return next.found;
}

static void nothing_is_left(size_t stack_size, size_t depth, enum ending ending) {
  CHECK_CMP(left_behind(0, stack_size, depth, ending), >, 0);
  CHECK_EQ(left_behind(GMX_SPAWN_WIPE, stack_size, depth, ending), 0);
  CHECK_EQ(left_behind(GMX_SPAWN_WIPE | GMX_SPAWN_CHILD_FIRST, stack_size, depth, ending), 0);
}

static void a_shallow_stack(void) { nothing_is_left(64 << 10, SHALLOW, RETURNS); }

static void each_depth(void) {
  for (size_t depth = SHALLOW; depth <= (240 << 10); depth += 20 << 10) nothing_is_left(256 << 10, depth, RETURNS);
}

static void each_size(void) {
  for (size_t size = 64 << 10; size <= (4 << 20); size *= 4) nothing_is_left(size, size / 2, RETURNS);
}

static void the_default_size(void) { nothing_is_left(0, 100 << 10, RETURNS); }

static void each_ending(void) {
  nothing_is_left(64 << 10, 30 << 10, EXITS);
  nothing_is_left(64 << 10, 30 << 10, LOCKED);
}

static void locked_memory(void) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
    check_say("left out: no memory may be locked");
    return;
  }
  nothing_is_left(64 << 10, SHALLOW, RETURNS);
  nothing_is_left(64 << 10, 50 << 10, RETURNS);
  CHECK(munlockall() == 0);
}

/* ---- systems that help less ---- */

/* Lets two calls of the system fail from now on. */
static void forbid(long one, long other) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)one, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)other, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof f / sizeof *f, .filter = f};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) _exit(77);
}

static void some_depths(void) {
  nothing_is_left(64 << 10, SHALLOW, RETURNS);
  nothing_is_left(4 << 20, 2 << 20, RETURNS);
}

static void without(void *arg) {
  forbid(SYS_mincore, *(long *)arg);
  RUN_G(some_depths);
  end_runtime();
}

/* If the system does not tell which pages are in memory, the library drops all; if it cannot drop them, it overwrites
 * all. */
static void calls_that_fail(void) {
  static long others[] = {SYS_mincore, SYS_madvise};
  for (int i = 0; i < 2; i++) {
    static child c;
    child_run(&c, 60, without, &others[i]);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77) check_say("left out: no filters here");
    else CHILD_OK(&c);
  }
}

int main(void) {
  RUN(calls_that_fail);
  RUN_G(a_shallow_stack);
  RUN_G(each_depth);
  RUN_G(each_size);
  RUN_G(the_default_size);
  RUN_G(each_ending);
  RUN_G(locked_memory);
  end_runtime();
  return 0;
}
