/* A million Gs parked at once, within the system's default number of mappings, and all woken again. */
/* release: with assertions it takes a minute, and asks about amounts */
/* timeout: 300 */
#include "gs.h"

#include <fcntl.h>
#include <stdatomic.h>

#define GS 1000000
static gmx_g *handles;
static atomic_int parked, woken;

static bool publish(void *arg, gmx_g g) {
  handles[(uintptr_t)arg] = g;
  atomic_fetch_add(&parked, 1);
  return true;
}

static void parks(void *arg) {
  CHECK_OK(gmx_park(publish, arg, "a million"));
  atomic_fetch_add(&woken, 1);
}

static void a_million_park_and_wake(void) {
  for (int round = 0; round < 2; round++) {
    atomic_store(&parked, 0);
    atomic_store(&woken, 0);
    int64_t before = resident();
    for (uintptr_t i = 0; i < GS; i++) {
      go(parks, (void *)i);
      if (i % 1000 == 999) CHECK_OK(gmx_yield());
    }
    spin_until(atomic_load(&parked) == GS);
    double each = (double)(resident() - before) / GS;
    if (round == 0) {
      check_say("  %.0f bytes each, %ld mappings allowed", each, mappings_allowed());
      CHECK_CMP(each, <, 12288);
    }
    CHECK_CMP(gmx_num_g(), >=, GS + 1);
    /* backwards, and as a thread wakes sleepers that were there first and last in turn */
    for (int i = 0; i < GS; i++) CHECK_OK(gmx_ready(handles[i % 2 ? GS - i : i]));
    spin_until(atomic_load(&woken) == GS);
    spin_until(gmx_num_g() == 1);
    CHECK_STATUS(gmx_ready(handles[round]), GMX_ESTALE);
  }
}

int main(void) {
  long total = number_from("/proc/meminfo", "MemTotal: %ld");
  if (total >= 0 && total < (8 << 20)) SKIP("needs 8 GiB of memory, has %ld MiB", total >> 10);
  /* should it not be enough after all, then others are spared */
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    CHECK_EQ(write(fd, "1000", 4), 4);
    close(fd);
  }
  handles = calloc(GS, sizeof *handles);
  CHECK(handles != NULL);
  start_runtime(0, 0);
  RUN_G(a_million_park_and_wake);
  end_runtime();
  free(handles);
  return 0;
}
