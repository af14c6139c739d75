// Scopes and cancellation: which goroutines a scope waits for, whose exception comes out, what a canceled wait throws.
#include "tests.hpp"

#include "child.h"

#include <stdexcept>
#include <thread>

static void waits_for_all() {
  std::atomic<int> ran{0};
  {
    gomax::scope s;
    for (int i = 0; i < 100; i++) {
      s.go([&, c = counted(i)] {
        gomax::sleep_for(std::chrono::microseconds(c.v()));
        ran++;
      });
    }
  }
  CHECK_EQ(ran.load(), 100);
  CHECK_EQ(counted::alive.load(), 0);

  gomax::channel<int> end;
  gomax::scope s;
  s.go([&] { CHECK_EQ(*end.receive(), 1); });
  CHECK(!s.leave_for(1ms));  // its goroutine runs on
  end.send(1);
  CHECK(s.leave_for(10s));
  CHECK_THROWS(GMX_ESTALE, s.leave_for(0s));

  gomax::scope fails;
  fails.go([] { throw 7; });
  try {
    fails.leave_for(10s);
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 7);
  }
}

// A scope is left once. A wrong call says so, and changes nothing.
static void left_again() {
  gomax::scope s;
  s.leave();
  CHECK_THROWS(GMX_ESTALE, s.leave());
  CHECK_THROWS(GMX_ESTALE, s.leave_for(0s));
  CHECK_THROWS(GMX_ESTALE, s.leave_until(gomax::clock::now()));
  CHECK_THROWS(GMX_ESTALE, s.cancel());
  CHECK_THROWS(GMX_ESTALE, s.token());
  CHECK_THROWS(GMX_ESTALE, s.go([c = counted(1)] {}));
  CHECK_THROWS(GMX_ESTALE, static_cast<void>(s.async([c = counted(1)] { return 1; })));
  CHECK_EQ(counted::alive.load(), 0);

  gomax::scope in_time;
  CHECK(in_time.leave_for(10s));
  CHECK_THROWS(GMX_ESTALE, in_time.leave());

  gomax::scope fails;
  fails.go([] { throw 7; });
  try {
    fails.leave();
    FAIL("nothing came");
  } catch (int) {
  }
  CHECK_THROWS(GMX_ESTALE, fails.leave());  // the failure came out once

  gomax::with_scope([](gomax::scope &inner) {
    inner.leave();
    CHECK_THROWS(GMX_ESTALE, inner.leave());
  });
}

static void left_by_another() {
  gomax::scope s;
  gomax::semaphore go_on;
  s.go([&] {
    CHECK_THROWS(GMX_EDEADLK, s.leave());
    CHECK_THROWS(GMX_EDEADLK, s.leave_for(1ms));
    go_on.acquire();
  });
  std::thread([&] { CHECK_THROWS(GMX_EPERM, s.leave()); }).join();
  go_on.release();
  s.leave();

  gomax::go([] {
    bool ran = false;
    gomax::scope mine;
    mine.go([&] { ran = true; });
    {
      gomax::pin here;
      CHECK_THROWS(GMX_ENOTG, mine.leave());
    }
    mine.leave();
    CHECK(ran);
  }).join();
}

// What cannot go on ends the program, and says before what it was.
static void ends_pinned(void *) {
  gomax::run([] {
    gomax::semaphore never;
    std::optional<gomax::pin> pinned;
    gomax::scope s;
    s.go([&] { never.acquire(); });
    pinned.emplace();
  });
}
static void unwinds_pinned(void *) {
  gomax::run([] {
    gomax::semaphore never;
    std::optional<gomax::pin> pinned;
    gomax::scope s;
    s.go([&] { never.acquire(); });
    pinned.emplace();
    throw 1;
  });
}
static void destroys_itself(void *) {
  static std::optional<gomax::generator<int>> g;
  g.emplace([](auto &) { g.reset(); });
  g->next();
}
static void ends_with_a_word() {
  static child c;
  for (auto fn : {ends_pinned, unwinds_pinned}) {
    child_run(&c, 50, fn, nullptr);
    CHECK(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT);
    CHILD_SAID(&c, "a scope ends where it cannot wait for its goroutines");
  }
  child_run(&c, 50, destroys_itself, nullptr);
  CHECK(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT);
  CHILD_SAID(&c, "a generator cannot be destroyed here");
}

static void results() {
  std::string text = "text";
  int seen = 0;
  gomax::future<int> seven, fails, late;
  gomax::future<void> nothing;
  {
    gomax::scope s;
    seven = s.async([](int a, std::unique_ptr<int> b) { return a + *b; }, 3, std::make_unique<int>(4));
    nothing = s.async([&] { seen++; });
    auto same = s.async([&]() -> std::string & { return text; });
    CHECK(&same.get() == &text);
    s.go([](int &n, const std::string &t) { n += t == "abc"; }, std::ref(seen), "abc");
    static_cast<void>(s.async([c = counted(1)] { return counted(c.v()); }));  // dropped
    s.leave();
  }
  CHECK_EQ(seven.get(), 7);
  nothing.get();
  CHECK_EQ(seen, 2);
  CHECK_EQ(counted::alive.load(), 0);
  try {  // a failure comes out of both; the deadline ends a scope that has lost it
    gomax::scope s(30s);
    late = s.async([] { return gomax::sleep_for(1h), 1; });
    fails = s.async([]() -> int { throw 5; });
    s.leave();
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 5);
  }
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, late.get());
  try {
    fails.get();
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 5);
  }
}

static void the_first_exception_comes_out() {
  gomax::channel<int> never;
  std::atomic<int> ended{0};
  try {
    gomax::scope s;
    for (int i = 0; i < 10; i++) {
      s.go([&] {
        struct count {
          std::atomic<int> &n;
          ~count() { n++; }
        } count{ended};
        never.receive().value();
        FAIL("received without a sender");
      });
    }
    s.go([] { throw std::runtime_error("first"); });
    s.go([&] {
      try {
        never.receive().value();
      } catch (const gomax::canceled &) {
        throw std::logic_error("on its way out");
      }
    });
    gomax::yield();
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "first");
    CHECK_EQ(ended.load(), 10);
    ended = 100;
  }
  CHECK_EQ(ended.load(), 100);
}

// An exception of the caller in the scope has precedence over those of its goroutines, which are waited for all the
// same.
static void unwinding_waits_too() {
  gomax::channel<int> never;
  int ended = 0;
  try {
    gomax::scope s;
    s.go([&] {
      try {
        never.receive().value();
      } catch (const gomax::canceled &) {
        ended++;
      }
      throw 2;
    });
    while (gmx_num_g() == 0) gomax::yield();
    throw 1;
  } catch (int i) {
    CHECK_EQ(i, 1);
  }
  CHECK_EQ(ended, 1);

  // and in a scope that is left while an outer exception flies, all is as ever
  struct cleans_up {
    ~cleans_up() {
      try {
        gomax::scope s;
        s.go([] { throw 5; });
      } catch (int i) {
        CHECK_EQ(i, 5);
      }
    }
  };
  try {
    cleans_up c;
    throw 4;
  } catch (int i) {
    CHECK_EQ(i, 4);
  }
}

// What the body waits for ends with the rest.
static void the_body_is_inside() {
  gomax::channel<int> never;
  gomax::cancel_token before = gomax::current_token();
  auto waits = [&](auto &&make) {
    bool canceled = false;
    try {
      make();
    } catch (const gomax::canceled &) {
      canceled = true;
    }
    CHECK(gomax::current_token().native() == before.native());
    return canceled;
  };
  CHECK(waits([&] {  // by the deadline
    gomax::scope s(1ms);
    never.receive().value();
  }));
  CHECK(waits([&] {
    gomax::scope s(1ms);
    gomax::sleep_for(1h);
  }));
  CHECK(waits([&] {  // by the first exception
    gomax::scope s;
    s.go([] { throw 1; });
    never.receive().value();
  }));
  CHECK(waits([&] {  // in an inner scope
    gomax::scope s(1ms);
    gomax::scope inner;
    inner.go([&] { gomax::sleep_for(1h); });
    never.receive().value();
  }));
  CHECK(waits([&] {  // by hand
    gomax::scope s;
    s.go([&] { s.cancel(); });
    never.receive().value();
  }));

  // leaving waits for them all the same
  std::atomic<int> ended{0};
  {
    gomax::scope s;
    for (int i = 0; i < 10; i++) {
      s.go([&] {
        try {
          never.receive().value();
        } catch (const gomax::canceled &) {
          gomax::shield shielded;
          gomax::sleep_for(1ms);
          ended++;
        }
      });
    }
    s.cancel();
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, gomax::sleep_for(1h));
  }
  CHECK_EQ(ended.load(), 10);

  // in any order
  auto a = std::make_unique<gomax::scope>(), b = std::make_unique<gomax::scope>();
  a.reset();
  gomax::sleep_for(1us);
  b.reset();
  CHECK(gomax::current_token().native() == before.native());
}

static void with_scope_throws_the_first() {
  gomax::channel<int> never;
  auto thrown = [](auto &&f) {
    try {
      f();
    } catch (int i) {
      return i;
    }
    return 0;
  };
  int ran = 0;
  gomax::with_scope([&](gomax::scope &s) { s.go([&] { ran++; }); });
  CHECK_EQ(ran, 1);
  CHECK_EQ(thrown([&] { gomax::with_scope([&](gomax::scope &s) { s.go([] { throw 1; }), never.receive().value(); }); }), 1);
  CHECK_EQ(thrown([&] {
             gomax::with_scope([&](gomax::scope &s) {
               s.go([&] { never.receive().value(); });
               throw 2;
             });
           }),
           2);
  CHECK_EQ(thrown([&] {  // what the body throws on its way out is not the first
             gomax::with_scope(1h, [&](gomax::scope &s) {
               s.go([] { throw 3; });
               try {
                 never.receive().value();
               } catch (const gomax::canceled &) {
                 throw 4;
               }
             });
           }),
           3);
  CHECK_THROWS(GMX_ETIMEDOUT, gomax::with_scope(1ms, [&](gomax::scope &) { never.receive().value(); }));
  CHECK_THROWS(GMX_ETIMEDOUT, gomax::with_scope(1ms, [&](gomax::scope &s) { s.go([&] { never.receive().value(); }); }));
  gomax::with_scope([&](gomax::scope &s) { s.cancel(), never.receive().value(); });
  gomax::with_scope([&](gomax::scope &s) { s.leave(); });
  CHECK_EQ(thrown([&] { gomax::with_scope([&](gomax::scope &s) { s.go([] { throw 5; }), s.leave(); }); }), 5);
  gomax::cancel_source source;
  gomax::under outer(source.token());
  source.cancel();
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, gomax::with_scope([&](gomax::scope &) { never.receive().value(); }));
}

static void canceled_by() {
  gomax::channel<int> never;
  {  // hand: the way to end helpers
    gomax::scope s;
    s.go([&] { never.receive().value(); });
    s.cancel();
    s.leave();
    CHECK_THROWS(GMX_ESTALE, s.go([] {}));
  }
  {  // its deadline
    gomax::scope s(1ms);
    s.go([&] { never.receive().value(); });
    CHECK_THROWS(GMX_ETIMEDOUT, s.leave());
  }
  {  // its deadline, which came too late
    gomax::scope s(100s);
    s.go([] {});
    s.leave();
  }
  {  // the caller's own token
    gomax::cancel_source source;
    gomax::under now(source);
    gomax::scope s;
    s.go([&] { never.receive().value(); });
    source.cancel();
    CHECK(s.token().is_canceled());
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, s.leave());
  }
  {  // its deadline, and the caller's token before it is left
    gomax::cancel_source source;
    gomax::under now(source);
    gomax::scope s(1ms);
    s.go([&] { never.receive().value(); });
    while (!s.token().is_late()) gomax::yield();
    source.cancel();
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, s.leave());
  }
  {  // its deadline, then by hand
    gomax::scope s(1ms);
    s.go([&] { never.receive().value(); });
    while (!s.token().is_late()) gomax::yield();
    s.cancel();
    CHECK_THROWS(GMX_ETIMEDOUT, s.leave());
  }
  {  // the caller's token, which ended nothing
    gomax::cancel_source source;
    gomax::under now(source);
    gomax::scope s;
    s.go([] {});
    source.cancel();
    s.leave();
  }
  {  // a token of a goroutine's own: it has failed
    gomax::scope s;
    s.go([&] {
      gomax::cancel_source own(1ms);
      gomax::under now(own);
      never.receive().value();
    });
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, s.leave());
  }
}

static void nested() {
  std::atomic<int> leaves{0};
  struct tree {
    std::atomic<int> &leaves;
    void grow(int depth) {
      if (depth == 0) {
        leaves++;
        return;
      }
      gomax::scope s;
      for (int i = 0; i < 3; i++) s.go([copy = *this, depth]() mutable { copy.grow(depth - 1); });
    }
  };
  tree{leaves}.grow(6);
  CHECK_EQ(leaves.load(), 729);

  try {
    gomax::scope outer;
    outer.go([] {
      gomax::scope inner;
      inner.go([] { gomax::sleep_for(100s); });
      inner.go([] { throw std::string("deep"); });
    });
    outer.go([] { gomax::sleep_for(100s); });
    outer.leave();
    FAIL("nothing came");
  } catch (const std::string &s) {
    CHECK_STR(s.c_str(), "deep");
  }
}

static void no_token() {
  gomax::cancel_source late(0s);
  gomax::under now(late);
  gomax::cancel_token none;
  CHECK(!none.is_canceled() && !none.is_late() && none.reason() == GMX_OK && !none.deadline());
  CHECK_THROWS(GMX_ESTALE, none.done());
  CHECK_THROWS(GMX_ESTALE, none.cancel());
  CHECK_THROWS(GMX_ESTALE, gomax::on_cancel hook(none, [c = counted(1)] {}));
  CHECK_EQ(counted::alive.load(), 0);
}

static void tokens() {
  CHECK(gomax::current_token().native() == 0);
  CHECK(!gomax::current_token().is_canceled());
  gomax::throw_if_canceled();
  gomax::cancel_source parent;
  gomax::cancel_source below(parent.token()), timed(1ms, parent.token());
  {
    gomax::under now(timed);
    CHECK(gomax::current_token().native() == timed.token().native());
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, gomax::sleep_for(100s));
    CHECK(timed.is_canceled() && timed.is_late());
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, gomax::throw_if_canceled());
    gomax::mutex m;
    gomax::semaphore empty;
    gomax::wait_group wg;
    wg.add();
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, empty.acquire());
    CHECK(!wg.wait_for(1us));  // an end, which no token ends
    {
      gomax::shield outer;  // a clean-up that must wait
      {
        gomax::shield inner;
      }
      CHECK(gomax::current_token().is_canceled());
      gomax::sleep_for(1us);
      std::lock_guard<gomax::mutex> held(m);
    }
    CHECK(gomax::current_token().is_canceled());
  }
  gomax::sleep_for(1us);
  CHECK(!below.is_canceled());
  auto waits = gomax::go([token = below.token()] {
    gomax::under now(token);
    gomax::sleep_for(100s);
  });
  parent.cancel();
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, waits.join());
  CHECK(!waits.joinable());
  CHECK(below.is_canceled() && !below.is_late());
  auto moved = std::move(below);
  moved.cancel();
  CHECK_THROWS(GMX_ESTALE, gomax::cancel_source(gomax::cancel_token(12345)));
}

static void told() {
  gomax::cancel_source top(1h);
  gomax::cancel_source low(top.token()), other;
  CHECK(top.token().deadline().has_value() && low.token().deadline() == top.token().deadline());
  CHECK(!other.token().deadline());
  CHECK_STATUS(low.token().reason(), GMX_OK);
  auto done = low.token().done();
  CHECK(done == low.token().done());
  gomax::semaphore ran;
  gomax::on_cancel hook(low, [&, kept = counted(1)] { ran.release(); });
  gomax::on_cancel unused(low, [kept = counted(2)] { FAIL("it was stopped"); });
  CHECK(unused.stop() && !unused.stop());
  gomax::spawn_options inherits;
  inherits.inherit = true;
  auto sleeps = [&] {
    gomax::under now(low);
    return gomax::go(inherits, [] { gomax::sleep_for(1h); });
  }();
  top.token().cancel(-2001);
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, sleeps.join());
  int which = 0;
  gomax::select(gomax::on_receive(done, [&](auto) { which = 1; }), gomax::on_receive(other.token().done(), [&](auto) { which = 2; }));
  CHECK_EQ(which, 1);
  CHECK_STATUS(low.token().reason(), -2001);
  ran.acquire();
  CHECK(!hook.stop());
  CHECK_THROWS(GMX_EINVAL, other.token().cancel(0));
}

static void tasks_are_canceled() {
  gomax::spawn_options cancellable;
  cancellable.cancellable = true;
  gomax::semaphore never;
  auto waits = [&] { never.acquire(); };
  auto one = gomax::go(cancellable, waits), other = gomax::go(cancellable, waits), plain = gomax::go(waits);
  CHECK(one.cancel());
  one.cancel(); // whether it has ended by now is open
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, one.join());
  CHECK(!one.cancel());
  CHECK_THROWS(GMX_EINVAL, other.cancel(0));
  CHECK_THROWS(GMX_EPERM, plain.cancel());
  never.release(), never.release();
  other.join(), plain.join();
}

// What the body of an exception's way out does: it waits, and moves, while it is in flight.
static void scopes_in_catch_blocks() {
  gomax::go([] {
    for (int i = 0; i < 200; i++) {
      try {
        gomax::scope s;
        s.go([] { gomax::yield(); });
        throw i;
      } catch (int got) {
        CHECK_EQ(got, i);
        gomax::scope s;
        s.go([] { gomax::sleep_for(1us); });
        s.leave();
        try {
          throw;
        } catch (int again) {
          CHECK_EQ(again, i);
        }
      }
    }
  }).join();
}

int main() {
  RUN(ends_with_a_word);
  RUN(waits_for_all);
  RUN(left_again);
  RUN(left_by_another);
  RUN(results);
  RUN(the_first_exception_comes_out);
  RUN(unwinding_waits_too);
  RUN(the_body_is_inside);
  RUN(with_scope_throws_the_first);
  RUN(canceled_by);
  RUN(told);
  RUN(tasks_are_canceled);
  RUN(nested);
  RUN(tokens);
  RUN(no_token);
  RUN(scopes_in_catch_blocks);
  RUN(ends_clean);
}
