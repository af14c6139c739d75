// Beside the standard's own: co_await of tasks, futures and channels, and std::stop_token. Nothing is tested where the
// library of the compiler has neither.
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 as C++23 warns inside std::stop_source() of its own library.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "tests.hpp"

#include <stdexcept>

#if defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
// A coroutine that begins at once; its end, and its exception, come out of a promise.
struct begun {
  struct promise_type {
    gomax::promise<void> end;
    begun get_return_object() { return {end.get_future()}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() { end.set_value(); }
    void unhandled_exception() { end.set_exception(std::current_exception()); }
  };
  gomax::future<void> end;
};

static begun awaits(gomax::channel<std::string> words, gomax::semaphore &go_on) {
  int seven = co_await gomax::go([&] { return go_on.acquire(), 7; });
  CHECK_EQ(seven, 7);
  CHECK(gomax::self() != 0);  // in a goroutine from here on, and may wait
  gomax::sleep_for(1us);
  co_await gomax::go([] {});
  auto later = gomax::async([c = counted(8)] { return counted(c.v()); });  // (GCC 12 copies captures in a co_await by their bytes)
  counted moved = co_await std::move(later);
  CHECK_EQ(moved.v(), 8);
  auto ready = gomax::async([] { return 9; });
  ready.wait();
  CHECK_EQ(co_await std::move(ready), 9);
  std::string all;
  while (auto word = co_await words) all += *word;
  CHECK(all == "abc");
  CHECK((co_await words).is_closed());
  int place = 0;
  int &same = co_await gomax::go([&]() -> int & { return place; });
  CHECK(&same == &place);
  try {
    co_await gomax::go([] { throw std::runtime_error("mine"); });
    FAIL("nothing came");
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "mine");
  }
  throw 10;
}
static void coroutines() {
  gomax::channel<std::string> words;
  gomax::semaphore go_on;
  auto job = awaits(words, go_on);
  CHECK(!job.end.wait_for(1ms));
  go_on.release();
  for (const char *word : {"a", "b", "c"}) words.send(word);
  words.close();
  try {
    job.end.get();
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 10);
  }
  spin_until(counted::alive.load() == 0);
}

static begun receives(gomax::channel<int> c) { static_cast<void>(co_await c); }
static void coroutines_are_canceled() {
  gomax::channel<int> never;
  gomax::cancel_source source;
  auto job = [&] {
    gomax::under heeded(source);
    return receives(never);
  }();
  spin_until(never.waiters().receivers == 1);
  source.cancel();
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, job.end.get());
}
#else
static void coroutines() {}
static void coroutines_are_canceled() {}
#endif

#if defined(__cpp_lib_jthread)
#include <thread>

static void stops() {
  gomax::channel<int> never;
  {
    std::jthread waits([&](std::stop_token stop) {
      gomax::cancel_on_stop token(stop);
      gomax::under heeded(token);
      CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, never.receive().value());
    });
    spin_until(never.waiters().receivers == 1);
  }  // stops, and joins
  std::stop_source source;
  source.request_stop();
  gomax::cancel_on_stop stopped(source.get_token());
  CHECK(stopped.token().is_canceled());
  gomax::cancel_source parent;
  std::stop_source other;
  gomax::cancel_on_stop below(other.get_token(), parent);
  parent.cancel();
  CHECK(below.token().is_canceled() && !other.stop_requested());
  gomax::cancel_on_stop without(std::stop_token{});  // no stop will ever be requested
  CHECK(!without.token().is_canceled());
  {
    gomax::cancel_on_stop gone(other.get_token());
  }
  other.request_stop();

  gomax::semaphore asked;
  gomax::scope s;
  gomax::stop_on_cancel stop(s.token());
  std::stop_callback callback(stop.get_token(), [&] { asked.release(); });
  CHECK(!stop.get_token().stop_requested());
  s.cancel();
  gomax::shield from_it;
  asked.acquire();
  CHECK(stop.get_token().stop_requested());
}
#else
static void stops() {}
#endif

int main() {
  RUN(coroutines);
  RUN(coroutines_are_canceled);
  RUN(stops);
  RUN(ends_clean);
}
