// Not a scheduler: the time of a shared library of a few lines (floor_lib.c) for the cases that are hardly more than a
// call.
#include "bench.hpp"
#include <thread>

extern "C" {
void floor_enter(void);
int floor_wait(uint64_t *), floor_lock(uint64_t *), floor_unlock(uint64_t *), floor_read_lock(uint64_t *),
    floor_read_unlock(uint64_t *), floor_pin(void), floor_unpin(void);
}

static thread_local uint64_t word;

template <class F> static void times(int workers, long n, F f) {
  std::vector<std::thread> threads;
  start();
  for (int w = 0; w < workers; w++)
    threads.emplace_back([=] {
      floor_enter();
      const long mine = n / workers;
      for (long i = 0; i < mine; i++)
        if (f(&word) != 0) wrong("it is not as it should be");
    });
  for (auto &t : threads) t.join();
  report_each(double(n));
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0)
    return list({{"mutex_uncontended", 0}, {"rlock_uncontended", 0}, {"waitgroup_wait", 0}, {"pin_unpin", 0}});
  if (argc < 4) wrong("usage: bare_calls CASE WORKERS N");
  std::string name = argv[1];
  int workers = atoi(argv[2]);
  long n = atol(argv[3]);
  if (name == "mutex_uncontended") times(workers, n, [](uint64_t *w) { return floor_lock(w) || floor_unlock(w); });
  else if (name == "rlock_uncontended") times(workers, n, [](uint64_t *w) { return floor_read_lock(w) || floor_read_unlock(w); });
  else if (name == "waitgroup_wait") times(workers, n, [](uint64_t *w) { return floor_wait(w); });
  else if (name == "pin_unpin") times(workers, n, [](uint64_t *) { return floor_pin() || floor_unpin(); });
  else wrong("no such case");
  finish();
}
