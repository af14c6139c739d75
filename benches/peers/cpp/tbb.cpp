// oneTBB: its tasks run to completion and have no stack of their own, so it has only the cases that spawn and wait.
#include "bench.hpp"
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

static int64_t fib_node(long k) {
  if (k < 2) return k;
  int64_t left, right;
  tbb::task_group group;
  group.run([&] { left = fib_node(k - 1); });
  right = fib_node(k - 2);
  group.wait();
  return left + right;
}

static void skynet_node(std::atomic<int64_t> *out, int64_t first, int64_t size) {
  if (size == 1) {
    out->fetch_add(first, std::memory_order_relaxed);
    return;
  }
  tbb::task_group children;
  std::atomic<int64_t> sum{0};
  for (int64_t i = 0; i < 10; i++)
    children.run([&sum, first, size, i] { skynet_node(&sum, first + i * (size / 10), size / 10); });
  children.wait();
  out->fetch_add(sum, std::memory_order_relaxed);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--list"))
    return list({{"spawn_batches", 0}, {"skynet_child_first", 0}, {"fib_child_first", 0}});
  if (argc < 4) return 2;
  std::string name = argv[1];
  int workers = atoi(argv[2]);
  long n = atol(argv[3]), m = argc > 4 ? atol(argv[4]) : 1;
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism, size_t(workers));
  tbb::task_arena(workers).execute([&] {
    start();
    if (name == "spawn_batches") {
      for (long k = 0; k < n / m; k++) {
        tbb::task_group batch;
        std::atomic<long> count{0};
        for (long i = 0; i < m; i++) batch.run([&] { count.fetch_add(1, std::memory_order_relaxed); });
        batch.wait();
        if (count != m) wrong("not all ran");
      }
      report_each(double(n / m * m));
    } else if (name == "skynet_child_first") {
      std::atomic<int64_t> sum{0};
      skynet_node(&sum, 0, n);
      report_whole();
      if (sum != n * (n - 1) / 2) wrong("wrong sum");
    } else if (name == "fib_child_first") {
      int64_t result = fib_node(n);
      report_whole();
      if (result != fib_of(n)) wrong("wrong number");
    } else {
      wrong("no such case");
    }
    finish();
  });
}
