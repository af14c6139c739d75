/* What polls cost: the CPU time of each case, in ms, the best of `cost N`. Itself it has no polls. */
#include "kernels.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* The main function of SQLite's speedtest1.c. */
int speedtest1(int argc, char **argv);

enum { N = 1 << 20, PART = N / 4, SIDE = 200 };

static uint8_t text[N], out[2 * N], back[N], deflated[N], packed[2 * N];
static uint32_t words[PART];
static float x[PART], y[PART];
static double a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];
static int numbers[PART], sorted[PART];
static uLongf deflated_size = N;
static int packed_size;
static volatile uint64_t sink;

static void run_random(void) { sink = kernel_random(4000000); }
static void run_hash(void) { sink = kernel_hash(text, N); }
static void run_sum(void) { for (int i = 0; i < 16; i++) sink = kernel_sum(words, PART); }
static void run_saxpy(void) { for (int i = 0; i < 16; i++) kernel_saxpy(y, x, 1.0001f, PART); }
static void run_matmul(void) { kernel_matmul(c, a, b, SIDE); }
static void run_fib(void) { sink = kernel_fib(30); }
static void run_sieve(void) { sink = kernel_sieve(out, N); }
static void run_sort(void) { memcpy(sorted, numbers, sizeof sorted), kernel_sort(sorted, 0, PART - 1); }
static void run_deflate(void) {
  uLongf size = sizeof out;
  sink = (uint64_t)compress2(out, &size, text, PART, 6);
}
static void run_inflate(void) {
  for (int i = 0; i < 8; i++) {
    uLongf size = N;
    sink = (uint64_t)uncompress(back, &size, deflated, deflated_size);
  }
}
static void run_lz4(void) {
  for (int i = 0; i < 4; i++) sink = (uint64_t)LZ4_compress_default((char *)text, (char *)out, N, sizeof out);
}
static void run_unlz4(void) {
  for (int i = 0; i < 8; i++) sink = (uint64_t)LZ4_decompress_safe((char *)packed, (char *)back, packed_size, N);
}
static void run_sqlite(void) {
  char *argv[] = {"speedtest1", "--memdb", "--size", "5", NULL};
  sink = (uint64_t)speedtest1(4, argv);
}

static const struct { const char *name; void (*run)(void); } CASES[] = {
  {"random", run_random}, {"hash", run_hash}, {"sum", run_sum}, {"saxpy", run_saxpy}, {"matmul", run_matmul},
  {"fib", run_fib}, {"sieve", run_sieve}, {"sort", run_sort}, {"deflate", run_deflate}, {"inflate", run_inflate},
  {"lz4", run_lz4}, {"unlz4", run_unlz4}, {"sqlite", run_sqlite},
};

static double cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  static const char *const vocabulary[] = {"the ", "scheduler ", "runs ", "go ", "thread ", "signal ", "a ", "of ", "and ",
                                           "park ", "0x1f ", "\n"};
  uint32_t r = 1;
  for (size_t at = 0; at < N - 16;) {
    r = r * 1103515245 + 12345;
    const char *word = vocabulary[(r >> 16) % 12];
    size_t length = strlen(word);
    memcpy(text + at, word, length), at += length;
    if ((r >> 8 & 7) == 0) text[at++] = (uint8_t)('a' + (r >> 20) % 26);
  }
  for (int i = 0; i < PART; i++) {
    r = r * 1103515245 + 12345;
    words[i] = r, x[i] = (float)r * 1e-9f, numbers[i] = (int)(r >> 3);
  }
  for (int i = 0; i < SIDE * SIDE; i++) a[i] = i % 7, b[i] = i % 5;
  compress2(deflated, &deflated_size, text, N / 2, 6);
  packed_size = LZ4_compress_default((char *)text, (char *)packed, N, sizeof packed);
  int rounds = argc > 1 ? atoi(argv[1]) : 5;
  FILE *results = fdopen(dup(STDOUT_FILENO), "w"); /* speedtest1 prints too */
  if (!results || !freopen("/dev/null", "w", stdout)) return 1;
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    double best = 1e9;
    for (int n = 0; n < rounds; n++) {
      double begin = cpu_ms();
      CASES[i].run();
      double took = cpu_ms() - begin;
      if (took < best) best = took;
    }
    fprintf(results, "%s %.3f\n", CASES[i].name, best);
  }
  return fclose(results) != 0;
}
