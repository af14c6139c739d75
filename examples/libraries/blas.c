/*
 * OpenBLAS on goroutines:  blas [cost]
 *
 * A call of BLAS computes, and waits for nothing of the program. So there are two right ways:
 *
 *   1. openblas_set_num_threads(1): each goroutine computes alone, and there are as many at work as Ps. For many small
 *      multiplications.
 *   2. Threads of OpenBLAS, and one caller at a time: gmx_blocking_in with a class of 1. The caller gives its P away,
 *      since the threads of OpenBLAS take the CPUs. For few large multiplications.
 *
 * Without either each caller brings the threads of OpenBLAS beside the threads of the other Ps: OpenBLAS lets one
 * multiplication at a time use them, and the other callers wait for that as threads.
 *
 *   cc blas.c -lgomax -lopenblas && ./a.out
 */
#include "each.h"

#include <cblas.h>

enum { GOROUTINES = 16, N = 256, STACK = 64 << 10 };

static gmx_class one_at_a_time;

struct product {
  double a[N * N], b[N * N], c[N * N];
};

static void multiplies(void *arg) {
  struct product *p = arg;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, p->a, N, p->b, N, 0, p->c, N);
}

/* a is 1 beside the diagonal, times `factor`: the product is b, moved up by a row. Whole numbers, so it is exact. */
static struct product *product_of(int factor) {
  struct product *p = calloc(1, sizeof *p);
  MUST(p);
  for (int i = 0; i < N; i++) {
    p->a[i * N + (i + 1) % N] = factor;
    for (int k = 0; k < N; k++) p->b[i * N + k] = i * 3 + k;
  }
  return p;
}

static void check(struct product *p, int factor) {
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++) MUST(p->c[i * N + k] == factor * ((i + 1) % N * 3 + k));
  free(p);
}

static void as_it_is(int i) {
  struct product *p = product_of(i + 1);
  multiplies(p);
  check(p, i + 1);
}

static void in_turn(int i) {
  struct product *p = product_of(i + 1);
  MUST(gmx_blocking_in(one_at_a_time, multiplies, p, GMX_FOREVER) == GMX_OK);
  check(p, i + 1);
}

static void run(void *arg) {
  MUST(gmx_class_new(1, "blas", &one_at_a_time) == GMX_OK);
  int threads = openblas_get_num_threads();
  openblas_set_num_threads(1);
  if (arg) costs("goroutines, 1 thread of OpenBLAS", GOROUTINES, STACK, as_it_is);
  else each(GOROUTINES, STACK, as_it_is);
  openblas_set_num_threads(threads > 1 ? threads : 2);
  if (arg) {
    costs("goroutines, in turn, its threads", GOROUTINES, STACK, in_turn);
    costs("goroutines, all its threads", GOROUTINES, STACK, as_it_is);
    stack_used("a product", STACK, as_it_is);
  } else {
    each(GOROUTINES, STACK, in_turn);
  }
  MUST(gmx_class_free(one_at_a_time) == GMX_OK);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  if (cost) {
    costs("a thread, the threads of OpenBLAS", GOROUTINES, 0, as_it_is);
    int threads = openblas_get_num_threads();
    openblas_set_num_threads(1);
    costs("a thread, 1 thread of OpenBLAS", GOROUTINES, 0, as_it_is);
    openblas_set_num_threads(threads);
  }
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  if (!cost) printf("%d products\n", 2 * GOROUTINES);
  return 0;
}
