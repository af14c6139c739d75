/* The program with which each package is tried. */
#include <gomax.h>
#include <stdio.h>

static gmx_chan *squares;

static void square(void *n) {
  int64_t value = (int64_t)(intptr_t)n * (int64_t)(intptr_t)n;
  if (gmx_chan_send(squares, &value) != GMX_OK) gmx_goexit();
}

static void sum(void *out) {
  int64_t value;
  for (intptr_t n = 1; n <= 10; n++)
    if (gmx_spawn(square, (void *)n) != GMX_OK) return;
  for (int n = 1; n <= 10; n++) {
    if (gmx_chan_recv(squares, &value) != GMX_OK) return;
    *(int64_t *)out += value;
  }
}

int main(void) {
  int64_t total = 0;
  if (gmx_chan_new(sizeof(int64_t), 4, &squares) != GMX_OK || gmx_spawn(sum, &total) != GMX_OK) return 1;
  if (gmx_shutdown(INT64_C(20000000000)) != GMX_OK) return 1;
  printf("%lld\n", (long long)total);
  return total == 385 ? 0 : 1;
}
