/*
 * Zstandard on goroutines:  zstd [cost]
 *
 * A context belongs to one goroutine at a time. It locks nothing and waits for nothing, so a goroutine compresses as a
 * thread does: it may lose its P at the end of a slice, and stays on its thread then.
 *
 * A context with workers (ZSTD_c_nbWorkers) has threads of its own. ZSTD_compress2 waits for them on a condition of the
 * C library, so it runs in a bracket. The threads call nothing of libgomax.
 *
 *   cc zstd.c -lgomax -lzstd && ./a.out
 */
#include "each.h"

#include <zstd.h>

enum { GOROUTINES = 32, SIZE = 200000, LONG = 4 << 20, STACK = 32 << 10 };

static char *text(size_t size, unsigned seed) {
  static const char words[16][8] = {"the ", "and ", "of ", "park ", "ready ", "in ", "to ", "a ",
                                    "run ", "is ", "P ", "stack ", "so ", "queue ", "it ", "wake "};
  char *to = malloc(size + 8);
  MUST(to);
  for (size_t n = 0; n < size;) {
    const char *word = words[(seed = seed * 1103515245u + 12345u) >> 28];
    memcpy(to + n, word, 8);
    n += strlen(word);
  }
  return to;
}

struct job {
  ZSTD_CCtx *with;
  const char *from;
  size_t size, room, result;
  char *to;
};

static void compresses(void *arg) {
  struct job *j = arg;
  j->result = ZSTD_compress2(j->with, j->to, j->room, j->from, j->size);
}

static void there_and_back(size_t size, unsigned seed, int workers) {
  size_t room = ZSTD_compressBound(size);
  struct job j = {ZSTD_createCCtx(), text(size, seed), size, room, 0, malloc(room)};
  ZSTD_DCtx *back = ZSTD_createDCtx();
  char *again = malloc(size);
  MUST(j.with && j.to && back && again);
  /* fails in a library without threads, which then compresses without them */
  size_t threads = ZSTD_CCtx_setParameter(j.with, ZSTD_c_nbWorkers, workers);
  if (workers && !ZSTD_isError(threads)) MUST(gmx_blocking(compresses, &j) == GMX_OK);
  else compresses(&j);
  MUST(!ZSTD_isError(j.result) && j.result < size);
  MUST(ZSTD_decompressDCtx(back, again, size, j.to, j.result) == size && memcmp(again, j.from, size) == 0);
  ZSTD_freeCCtx(j.with); /* without a bracket: its threads are idle, and end at once */
  ZSTD_freeDCtx(back);
  free((char *)j.from), free(j.to), free(again);
}

static void without_workers(int i) { there_and_back(SIZE, (unsigned)i, 0); }
static void with_workers(int i) { there_and_back(LONG, (unsigned)i, 2); }

static void run(void *arg) {
  if (arg) {
    costs("goroutines", GOROUTINES, STACK, without_workers);
    stack_used("a text there and back", STACK, without_workers);
    return;
  }
  each(GOROUTINES, STACK, without_workers);
  each(3, STACK, with_workers);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  if (cost) costs("a thread", GOROUTINES, 0, without_workers);
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  if (!cost) printf("%d texts there and back\n", GOROUTINES + 3);
  return 0;
}
