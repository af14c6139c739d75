// Futures and promises: results and exceptions that come later, ends without a result, what is dropped, which callers
// wait.
#include "tests.hpp"

#include <stdexcept>
#include <thread>

static_assert(std::is_nothrow_move_constructible_v<gomax::future<counted>> && !std::is_copy_constructible_v<gomax::future<int>>);
static_assert(std::is_nothrow_move_assignable_v<gomax::promise<counted>> && !std::is_copy_constructible_v<gomax::promise<int>>);

static void values() {
  CHECK_EQ(gomax::async([] { return 7; }).get(), 7);
  CHECK_EQ(gomax::async([c = counted(8)] { return counted(c.v()); }).get().v(), 8);
  auto moved = gomax::async([p = std::make_unique<int>(9)]() mutable { return std::move(p); });
  CHECK_EQ(*moved.get(), 9);
  int place = 0;
  CHECK(&gomax::async([&]() -> int & { return place; }).get() == &place);
  gomax::spawn_options named;
  named.name = "a future";
  gomax::async(named, [&] { place = 1; }).get();
  CHECK_EQ(place, 1);
  spin_until(counted::alive.load() == 0);  // the goroutine may let go of what was moved out later than the future

  auto f = gomax::async([] { return 1; });
  f.wait();
  CHECK(f && f.valid() && f.is_ready() && f.wait_for(0s));
  CHECK_EQ(f.get(), 1);
  CHECK(!f && !f.is_ready());
  CHECK_THROWS(GMX_ESTALE, f.get());
  CHECK_THROWS(GMX_ESTALE, f.wait());

  gomax::promise<std::string> p;
  auto text = p.get_future();
  CHECK(!text.is_ready() && !text.wait_for(0s) && !text.wait_for(1ms) && !text.wait_until(gomax::clock::now() + 1ms));
  p.set_value(3u, 'x');
  CHECK_THROWS(GMX_EPERM, p.set_value("again"));
  CHECK_THROWS(GMX_EPERM, p.set_exception(std::make_exception_ptr(1)));
  CHECK_THROWS(GMX_EPERM, static_cast<void>(p.get_future()));
  CHECK(text.get() == "xxx");

  gomax::promise<void> done;
  auto nothing = done.get_future();
  done.set_value();
  nothing.get();
  gomax::promise<int &> at;
  at.set_value(place);  // before there is a future
  CHECK(&at.get_future().get() == &place);
}

static void exceptions() {
  auto f = gomax::async([]() -> counted { throw std::runtime_error("mine"); });
  try {
    f.get();
    FAIL("nothing came");
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "mine");
  }
  CHECK(!f);

  gomax::promise<int> p;
  auto g = p.get_future();
  CHECK_THROWS(GMX_EINVAL, p.set_exception(nullptr));
  p.set_exception(std::make_exception_ptr(3));
  try {
    g.get();
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 3);
  }

  // a value that cannot be made: nothing is given yet
  struct picky {
    explicit picky(int i) : c(i) {
      if (i < 0) throw i;
    }
    counted c;
  };
  {
    gomax::promise<picky> q;
    auto h = q.get_future();
    try {
      q.set_value(-1);
      FAIL("it was made");
    } catch (int i) {
      CHECK_EQ(i, -1);
    }
    CHECK(!h.is_ready());
    q.set_value(4);
    CHECK_EQ(h.get().c.v(), 4);
  }
  CHECK_EQ(counted::alive.load(), 0);
}

static void broken() {
  gomax::future<counted> f;
  {
    gomax::promise<counted> p;
    f = p.get_future();
  }
  CHECK(f.is_ready());
  try {
    f.get();
    FAIL("a value came");
  } catch (const gomax::broken_promise &e) {
    CHECK_EQ(e.status(), GMX_EPIPE);
    CHECK(std::string(e.what()).find("promise") != std::string::npos);
  }

  // another one in its place; and one without a future
  gomax::promise<int> p;
  auto g = p.get_future();
  p = gomax::promise<int>();
  CHECK_THROWS_A(gomax::broken_promise, GMX_EPIPE, g.get());
  g = p.get_future();
  gomax::promise<int> q(std::move(p));
  CHECK_THROWS(GMX_ESTALE, p.set_value(1));
  CHECK_THROWS(GMX_ESTALE, static_cast<void>(p.get_future()));
  q.set_value(2);
  CHECK_EQ(g.get(), 2);

  // the end of a promise wakes waiters, on a G and on a thread
  gomax::promise<int> late;
  auto waits = late.get_future();
  std::atomic<int> told{0};
  auto on_g = gomax::go([&] {
    CHECK(waits.wait_for(1000s));
    told++;
  });
  std::thread on_thread([&] {
    waits.wait();
    told++;
  });
  spin_until(waiting("address") == 1);
  late = gomax::promise<int>();
  on_g.join();
  on_thread.join();
  CHECK_EQ(told.load(), 2);
  CHECK_THROWS_A(gomax::broken_promise, GMX_EPIPE, waits.get());

  // a goroutine that leaves by gmx_goexit: its future has no result, and its function is gone
  auto left = gomax::async([c = counted(1)]() -> int {
    CHECK_OK(gmx_goexit());
    return c.v();
  });
  CHECK_THROWS_A(gomax::broken_promise, GMX_EPIPE, left.get());
  CHECK_EQ(counted::alive.load(), 0);
}

static void dropped() {
  // without a wait, before its end and after it, with a value and with an exception
  gomax::semaphore go_on;
  for (int i = 0; i < 200; i++) {
    auto f = gomax::async([&go_on, i, c = counted(i)]() -> counted {
      if (i % 2 == 0) go_on.acquire();
      if (i % 3 == 0) throw i;
      return counted(i);
    });
    if (i % 5 == 0) gomax::yield();
  }
  CHECK(counted::alive.load() >= 100);  // those that wait
  for (int i = 0; i < 100; i++) go_on.release();
  spin_until(counted::alive.load() == 0);

  // a result that was never asked for is destroyed with the future
  gomax::future<counted> f;
  {
    gomax::promise<counted> p;
    f = p.get_future();
    p.set_value(5);
  }
  CHECK_EQ(counted::alive.load(), 1);
  f = gomax::future<counted>();
  CHECK_EQ(counted::alive.load(), 0);
}

static void canceled_waits() {
  gomax::promise<int> p;
  auto f = p.get_future();
  gomax::cancel_source s;
  auto waits = gomax::go([&] {
    gomax::under u(s);
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, f.get());
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, f.wait_for(1000s));
  });
  spin_until(waiting("address") == 1);
  s.cancel();
  waits.join();
  p.set_value(6);
  CHECK_EQ(f.get(), 6);  // it is as it was
}

// The result and the end of both sides at once.
static void many_at_once() {
  std::atomic<int> got{0};
  {
    gomax::scope all;
    for (int g = 0; g < 4; g++) {
      all.go([&, g] {
        for (int i = 0; i < 1000; i++) {
          gomax::promise<counted> p;
          auto f = p.get_future();
          auto gives = gomax::go([p = std::move(p), i]() mutable {
            if (i % 7 != 0) p.set_value(i);
          });
          if (i % 5 == g) f = gomax::future<counted>();
          else if (i % 7 == 0) CHECK_THROWS_A(gomax::broken_promise, GMX_EPIPE, f.get());
          else CHECK_EQ(f.get().v(), i);
          gives.join();
          got++;
        }
      });
    }
  }
  CHECK_EQ(got.load(), 4000);
  CHECK_EQ(counted::alive.load(), 0);
}

static void several() {
  gomax::semaphore go_on;
  auto waits = [&](int n) {
    return gomax::async([&go_on, n] {
      go_on.acquire();
      return counted(n);
    });
  };
  auto both = gomax::when_all(waits(1), gomax::async([] { throw 2; }));
  CHECK(!both.wait_for(1ms));
  go_on.release();
  auto [one, two] = both.get();
  CHECK(one.is_ready() && two.is_ready() && one.get().v() == 1);
  try {
    two.get();
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 2);
  }

  std::vector<gomax::future<counted>> many;
  for (int i = 0; i < 10; i++) many.push_back(waits(i));
  go_on.release();
  auto first = gomax::when_any(std::move(many)).get();
  CHECK(first.futures.size() == 10 && first.index < 10 && first.futures[first.index].is_ready());
  int sum = first.futures[first.index].get().v();
  first.futures.erase(first.futures.begin() + std::ptrdiff_t(first.index));
  for (int i = 0; i < 9; i++) go_on.release();
  for (auto &f : gomax::when_all(std::move(first.futures)).get()) sum += f.get().v();
  CHECK_EQ(sum, 45);

  auto either = gomax::when_any(waits(1), gomax::async([] { return std::string("x"); })).get();
  CHECK(either.index == 1 && std::get<1>(either.futures).get() == "x" && !std::get<0>(either.futures).is_ready());
  go_on.release();
  CHECK_EQ(std::get<0>(either.futures).get().v(), 1);

  CHECK(gomax::when_all(std::vector<gomax::future<int>>()).get().empty());
  CHECK_EQ(gomax::when_any(std::vector<gomax::future<int>>()).get().index, SIZE_MAX);
  CHECK_THROWS(GMX_ESTALE, static_cast<void>(gomax::when_all(gomax::future<int>(), gomax::async([] {}))));
  CHECK_THROWS(GMX_ESTALE, static_cast<void>(gomax::when_any(std::vector<gomax::future<int>>(1))));
}

int main() {
  gomax::run([] {
    RUN(values);
    RUN(several);
    RUN(exceptions);
    RUN(broken);
    RUN(dropped);
    RUN(canceled_waits);
    RUN(many_at_once);
  });
  RUN(values);  // on a thread of the host
  RUN(exceptions);
  RUN(ends_clean);
}
