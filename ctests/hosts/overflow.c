/* Writes behind an array on the stack of a goroutine, after it has run on several threads, and beside others: for
 * ci/asan.sh, which reads what AddressSanitizer says of it. With an argument it ends without that write. */
#include <gomax.h>

#include <stdlib.h>

enum { GS = 10, YIELDS = 1000 };

static gmx_waitgroup done;

__attribute__((noinline)) static void put(volatile char *at, int i) { at[i] = 1; }

static void fill(void *last) {
  volatile char victim[16];
  for (int i = 0; i < YIELDS; i++) {
    put(victim, i % 16);
    if (gmx_yield() != GMX_OK) abort();
  }
  put(victim, last ? 16 : 15);
  if (gmx_waitgroup_done(&done) != GMX_OK) abort();
}

int main(int argc, char **argv) {
  (void)argv;
  if (gmx_waitgroup_add(&done, GS) != GMX_OK) abort();
  for (int i = 0; i < GS; i++)
    if (gmx_spawn(fill, argc == 1 && i == GS / 2 ? &done : NULL) != GMX_OK) abort();
  return gmx_waitgroup_wait(&done) != GMX_OK;
}
