// Generators, parallel loops, waits at an address, recursive mutexes.
#include "tests.hpp"

#include <numeric>
#include <stdexcept>

static void generators() {
  gomax::generator<int> squares([](auto &yield) {
    for (int i = 0;; i++) yield(i * i);
  });
  int sum = 0;
  for (int n : squares) {
    if (n > 100) break;
    sum += n;
  }
  CHECK_EQ(sum, 385);
  CHECK_EQ(*squares.next(), 144);  // it continues where it was

  // values that only move, and an end
  gomax::generator<std::unique_ptr<int>> few([left = 3](auto &yield) mutable {
    while (left-- > 0) yield(std::make_unique<int>(left));
  });
  std::vector<std::unique_ptr<int>> kept;
  for (auto &p : few) kept.push_back(std::move(p));
  CHECK_EQ(kept.size(), 3);
  CHECK_EQ(*kept[0], 2);
  CHECK(few.next() == nullptr);

  // recursion, which other generators make hard
  struct walk {
    static void down(int n, gomax::generator<int>::yielder &yield) {
      if (n == 0) return;
      down(n - 1, yield);
      yield(n);
      down(n - 1, yield);
    }
  };
  gomax::generator<int> tree([](auto &yield) { walk::down(6, yield); });
  int nodes = 0;
  for (int n : tree) {
    CHECK(n >= 1 && n <= 6);
    nodes++;
  }
  CHECK_EQ(nodes, 63);
}

static void ends_of_generators() {
  {
    gomax::generator<int> begun([](auto &yield) {
      counted here(1);
      try {
        for (;;) yield(1);
      } catch (const std::exception &) {
        CHECK(false);  // it is none
      }
    });
    gomax::generator<int> never([](auto &yield) { yield(1); });
    CHECK_EQ(*begun.next(), 1);
    CHECK_EQ(counted::alive.load(), 1);
    begun = std::move(never);
    CHECK_EQ(counted::alive.load(), 0);
  }
  gomax::generator<int> throws([](auto &yield) {
    yield(1);
    throw std::runtime_error("no more");
  });
  CHECK_EQ(*throws.next(), 1);
  try {
    throws.next();
    CHECK(false);
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "no more");
  }
  CHECK(throws.next() == nullptr);
}

static void loops() {
  std::vector<int> v(10000);
  gomax::parallel_for(10000, [&](std::int64_t i) { v[static_cast<std::size_t>(i)] = static_cast<int>(i); });
  CHECK_EQ(std::accumulate(v.begin(), v.end(), std::int64_t{0}), 49995000);
  std::atomic<std::int64_t> n{0};
  gomax::parallel_for(1000, [&](std::int64_t begin, std::int64_t end) { n += end - begin; }, 7);
  CHECK_EQ(n.load(), 1000);

  auto sum = [&](std::int64_t begin, std::int64_t end) {
    return std::accumulate(v.begin() + begin, v.begin() + end, std::int64_t{0});
  };
  CHECK_EQ(gomax::parallel_reduce(10000, std::int64_t{0}, sum, std::plus<>{}), 49995000);
  CHECK_EQ(gomax::parallel_reduce(0, 7, [](std::int64_t, std::int64_t) { return 1; }, std::plus<>{}), 7);

  std::atomic<int> calls{0};
  try {
    gomax::parallel_for(1000000, [&](std::int64_t i) {
      calls++;
      if (i == 0) throw std::runtime_error("the first");
    });
    CHECK(false);
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "the first");
  }
  CHECK_THROWS(GMX_EINVAL, gomax::parallel_for(-1, [](std::int64_t) {}));
}

static void addresses() {
  std::atomic<int> word{0};
  auto t = gomax::go([&] {
    gomax::atomic_wait(word, 0);
    return word.load();
  });
  CHECK(!gomax::atomic_wait_for(word, 0, 1ms));
  word = 5;
  gomax::atomic_notify_all(word);
  CHECK_EQ(t.join(), 5);
  CHECK(gomax::atomic_wait_for(word, 0, 1ms));
  gomax::atomic_notify_one(word);
}

static void recursive() {
  gomax::recursive_mutex m;
  std::lock_guard<gomax::recursive_mutex> outer(m);
  std::unique_lock<gomax::recursive_mutex> inner(m, 1s);
  CHECK(inner && m.try_lock());
  m.unlock();
  gomax::go([&] { CHECK(!m.try_lock() && !m.try_lock_for(1ms)); }).join();
}

int main() {
  gomax::run([] {
    RUN(generators);
    RUN(ends_of_generators);
    RUN(loops);
    RUN(addresses);
    RUN(recursive);
  });
  RUN(generators);  // as a thread of the host
  RUN(loops);
  ends_clean();
}
