/* Examples of the manual: parallel loops. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>

/* example: gmx_parallel_for */
struct histogram {
  const unsigned char *pixels;
  _Atomic uint32_t count[256];
};

static void count_range(void *arg, int64_t begin, int64_t end) {
  struct histogram *h = arg;
  uint32_t count[256] = {0}; // of this range: calls run at the same time
  for (int64_t i = begin; i < end; i++) count[h->pixels[i]]++;
  for (int i = 0; i < 256; i++)
    if (count[i]) atomic_fetch_add(&h->count[i], count[i]);
}

static gmx_status histogram(struct histogram *h, int64_t n) {
  // 4096: a range is worth its 256 counters; 0 where a call costs next to nothing
  return gmx_parallel_for(n, 4096, count_range, h); // GMX_ECANCELED: not all of it
}
/* end */

int main(void) {
  static unsigned char pixels[100000];
  static struct histogram h = {.pixels = pixels};
  for (int i = 0; i < 100000; i++) pixels[i] = (unsigned char)(i % 3);
  assert(histogram(&h, 100000) == GMX_OK);
  assert(h.count[0] == 33334 && h.count[1] == 33333 && h.count[2] == 33333 && h.count[3] == 0);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
