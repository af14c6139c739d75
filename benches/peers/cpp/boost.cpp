// Boost.Fiber: round robin with one worker, work stealing with more.
#include "bench.hpp"
#include <boost/fiber/algo/work_stealing.hpp>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <mutex>
#include <thread>

namespace bf = boost::fibers;

struct Boost {
  // Its stacks are made one by one: more would take minutes, and gigabytes.
  inline static const Cases cases = {{"yield", 0},           {"spawn_batches", 100000}, {"skynet", 100000},      {"chan_pingpong", 0},
                                     {"mutex_contended", 0}, {"parked", 100000},        {"sleep_storm", 100000}};
  using Mutex = bf::mutex;
  struct Cond {
    bf::condition_variable_any cond;
    void wait(Mutex &m) { cond.wait(m); }
    void notify_all() { cond.notify_all(); }
  };
  struct Chan {
    bf::unbuffered_channel<int64_t> chan;
    void send(int64_t v) { chan.push(v); }
    int64_t recv() { return chan.value_pop(); }
  };
  template <class F> static void run(int workers, F f) {
    static std::mutex mutex;
    static bf::condition_variable_any never;
    for (int i = 1; i < workers; i++)
      std::thread([workers] {
        bf::use_scheduling_algorithm<bf::algo::work_stealing>(workers, true);
        std::unique_lock<std::mutex> lock(mutex);
        never.wait(lock, [] { return false; });
      }).detach();
    if (workers > 1) bf::use_scheduling_algorithm<bf::algo::work_stealing>(workers, true);
    f();
  }
  template <class F> static void go(F f) { bf::fiber(bf::launch::post, std::move(f)).detach(); }
  static void yield() { boost::this_fiber::yield(); }
  static void sleep_ms(long ms) { boost::this_fiber::sleep_for(std::chrono::milliseconds(ms)); }
};

int main(int argc, char **argv) { return Bench<Boost>::main(argc, argv); }
