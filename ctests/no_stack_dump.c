/* GMX_CONFIG_NO_STACK_DUMP: no stack of a goroutine, of whatever size, is in a core; without the flag each is. */
#include "gs.h"

/* The flags of the mapping at an address, as the kernel tells them: "rd wr mr mw me dd". */
static bool is_dumped(void *at) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[512];
  bool here = false;
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f)) {
    uintptr_t from, to;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) here = from <= (uintptr_t)at && (uintptr_t)at < to;
    if (here && strncmp(line, "VmFlags:", 8) == 0) {
      fclose(f);
      return strstr(line, " dd") == NULL;
    }
  }
  FAIL("no mapping holds %p", at);
}

static void has_a_stack(void *arg) {
  void *lo, *hi;
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  CHECK_EQ(is_dumped(lo), *(bool *)arg);
  CHECK_EQ(is_dumped((char *)hi - 1), *(bool *)arg);
}

/* More than the first arena of each size holds. */
static void stacks(bool dumped) {
  for (size_t size = 16 << 10; size <= (4 << 20); size *= 4) {
    gmx_g gs[40];
    for (int i = 0; i < 40; i++) {
      gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE, .stack_size = size};
      CHECK_OK(gmx_spawn_with(&opts, has_a_stack, &dumped, &gs[i]));
    }
    join_all(gs, 40);
  }
}

static void start(uint32_t flags) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.flags = flags;
  CHECK_OK(gmx_init(&config));
}

static void are_dumped(void) { stacks(true); }
static void are_not_dumped(void) { stacks(false); }

/* The stacks of an earlier runtime follow the flag of the next runtime. */
int main(void) {
  start(GMX_CONFIG_NO_STACK_DUMP);
  RUN_G(are_not_dumped);
  end_runtime();
  start(0);
  RUN_G(are_dumped);
  end_runtime();
  start(GMX_CONFIG_NO_STACK_DUMP);
  RUN_G(are_not_dumped);
  end_runtime();
  return 0;
}
