// go, join, spawn, run: values and exceptions that cross, handles that are dropped, memory that is asked for.
#include "tests.hpp"

#include "child.h"

#include <array>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <thread>

// Never inlined: gcc would see malloc here and a delete there, and take it for a mistake.
[[gnu::noinline]] void *operator new(std::size_t n) {
  allocations++;
  if (void *p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void *p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void *p, std::size_t) noexcept { std::free(p); }

static int free_function() { return 11; }

static void values() {
  CHECK_EQ(gomax::go([] { return 7; }).join(), 7);
  CHECK_EQ(gomax::go(free_function).join(), 11);
  CHECK_EQ(gomax::go(&free_function).join(), 11);
  std::function<int()> f = [] { return 12; };
  CHECK_EQ(gomax::go(f).join(), 12);

  bool ran = false;
  gomax::go([&] { ran = true; }).join();
  CHECK(ran);

  auto moved = std::make_unique<int>(8);
  std::unique_ptr<int> back = gomax::go([m = std::move(moved)]() mutable { return std::move(m); }).join();
  CHECK_EQ(*back, 8);

  int place = 0;
  int &same = gomax::go([&]() -> int & { return place; }).join();
  CHECK(&same == &place);
  CHECK(&gomax::go([&]() -> int & { return place; }).join_for(10s)->get() == &place);

  CHECK_EQ(gomax::go([] { return counted(5); }).join().v(), 5);
  CHECK_EQ(counted::alive.load(), 0);

  // arrays of work, and handles in a container
  std::vector<gomax::task<int>> tasks;
  for (int i = 0; i < 100; i++) tasks.push_back(gomax::go([i] { return i * i; }));
  int sum = 0;
  for (auto &t : tasks) sum += t.join();
  CHECK_EQ(sum, 328350);
  CHECK(!tasks[0].joinable());
}

// As std::thread passes them: copies of its own, moved into the call.
static void arguments() {
  CHECK_EQ(gomax::go([](int a, int b) { return a + b; }, 3, 4).join(), 7);
  CHECK_EQ(*gomax::go([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5)).join(), 5);
  std::string text = "abc";
  CHECK_EQ(gomax::go([](std::string s) { return s.size(); }, text).join(), 3);
  CHECK(text == "abc");
  gomax::go([](std::string &s) { s += "d"; }, std::ref(text)).join();
  CHECK(text == "abcd");
  CHECK(&gomax::go([](std::string &s) -> std::string & { return s; }, std::ref(text)).join() == &text);
  struct adder {
    int sum = 0;
    void add(int n) { sum += n; }
  } adder;
  gomax::go(&adder::add, &adder, 9).join();
  CHECK_EQ(adder.sum, 9);
  gomax::spawn_options named;
  named.name = "with arguments";
  CHECK_EQ(gomax::go(named, [](counted c) { return c.v(); }, counted(6)).join(), 6);
  CHECK_EQ(gomax::async([](counted c) { return c.v(); }, counted(7)).get(), 7);
  CHECK_EQ(gomax::async(named, [](int n) { return n; }, 8).get(), 8);
  gomax::wait_group all;
  std::atomic<int> sum{0};
  auto adds = [&](int a, long b) {
    sum += a + int(b);
    all.done();
  };
  all.add(2);
  gomax::spawn(adds, 1, 2l);
  gomax::spawn(named, adds, 3, 4l);
  all.go([&](counted c) { sum += c.v(); }, counted(10));
  all.wait();
  CHECK_EQ(sum.load(), 20);
  spin_until(counted::alive.load() == 0);
}

static void exceptions() {
  try {
    gomax::go([]() -> int { throw std::runtime_error("mine"); }).join();
    FAIL("nothing came");
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "mine");
  }
  auto t = gomax::go([] { throw 3; });
  try {
    while (!t.join_for(1ms)) {
    }
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 3);
  }
  CHECK(!t);
  CHECK_THROWS(GMX_ESTALE, t.join());
  // a callable whose copy throws leaves nothing
  struct thrower {
    thrower() = default;
    thrower(const thrower &) { throw 4; }
    void operator()() const {}
  } bad;
  try {
    gomax::go(bad);
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 4);
  }
}

static void late() {
  gomax::semaphore go_on;
  auto t = gomax::go([&] {
    go_on.acquire();
    return 1;
  });
  CHECK(!t.join_for(0s));
  CHECK(!t.join_for(1ms));
  CHECK(!t.join_until(gomax::clock::now() + 1ms));
  CHECK(t.joinable());
  go_on.release();
  CHECK_EQ(t.join_for(std::chrono::hours::max()).value(), 1);

  // no token ends the wait
  auto u = gomax::go([&] { go_on.acquire(); });
  {
    gomax::cancel_source s;
    s.cancel();
    gomax::under now(s.token());
    CHECK(!u.join_for(1ms));
  }
  CHECK(u.joinable());
  go_on.release();
  u.join();
}

static void dropped() {
  gomax::wait_group all;
  gomax::semaphore go_on;
  all.add(3);
  struct tells {
    gomax::wait_group *all;
    counted c{1};
    ~tells() {
      if (all) all->done();
    }
    explicit tells(gomax::wait_group *a) : all(a) {}
    tells(tells &&o) noexcept : all(std::exchange(o.all, nullptr)), c(std::move(o.c)) {}
  };
  // before it ends, and after it
  gomax::go([&, t = tells(&all)] { go_on.acquire(); });
  { auto moved_away = gomax::go([&, t = tells(&all)] { go_on.acquire(); }); moved_away.detach(); }
  auto ended = gomax::go([t = tells(&all)] { return counted(2); });
  go_on.release();
  go_on.release();
  all.wait();
  ended = {};
  spin_until(counted::alive.load() == 0);

  // a task that is dropped while an exception unwinds the stack: its own exception is not thrown
  try {
    auto quiet = gomax::go([] { throw 1; });
    auto later = gomax::go([] {
      gomax::yield();
      throw 2;
    });
    throw 3;
  } catch (int i) {
    CHECK_EQ(i, 3);
  }
}

// An exception of a task is dropped if the unwinding passes the task's handle, not whenever a stack is unwound.
static void an_exception_lost_while_another_flies(void *) {
  struct drops {
    ~drops() {
      gomax::wait_group ended;
      ended.add();
      auto t = gomax::go([&] {
        struct last {
          gomax::wait_group &wg;
          ~last() { wg.done(); }
        } last{ended};
        throw std::runtime_error("never asked for");
      });
      ended.wait();
      t.detach();
    }
  };
  try {
    drops d;
    throw 1;
  } catch (int) {
  }
  gomax::sleep_for(100s);
}
static void a_lost_exception(void *) {
  gomax::go([] { throw std::runtime_error("never asked for"); });
  gomax::sleep_for(100s);
}
static void an_exception_lost_afterwards(void *) {
  gomax::wait_group ended;
  ended.add();
  {
    auto t = gomax::go([&] {
      struct last {
        gomax::wait_group &wg;
        ~last() { wg.done(); }
      } last{ended};
      throw std::runtime_error("never asked for");
    });
    ended.wait();
    while (gmx_num_g() != 0) gomax::yield();
  }
}
static void an_exception_of_a_spawned(void *) {
  gomax::spawn([] { throw std::runtime_error("never asked for"); });
  gomax::sleep_for(100s);
}
static void lost_exceptions_end_the_program() {
  static child c;
  for (auto fn : {a_lost_exception, an_exception_lost_afterwards, an_exception_lost_while_another_flies, an_exception_of_a_spawned}) {
    child_run(&c, 50, fn, nullptr);
    CHECK(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT);
    CHILD_SAID(&c, "never asked for");
  }
}

/* A guard that runs at the end of its scope, by an exception, and where gmx_goexit unwinds nothing. */
static void at_the_exit() {
  std::string order;
  auto a_goroutine = [&](int how) {
    gomax::at_exit first([&] { order += '1'; });
    gomax::at_exit second([&] { order += '2'; });
    if (how == 1) throw 1;
    if (how == 2) gmx_goexit();
    order += '0';
  };
  gomax::go([&] { a_goroutine(0); }).join();
  CHECK(order == "021");
  order.clear();
  gomax::go([&] {
    try {
      a_goroutine(1);
    } catch (int) {
      order += '3';
    }
  }).join();
  CHECK(order == "213");
  order.clear();
  gomax::wait_group ends;
  ends.go([&] { a_goroutine(2); });
  ends.wait();
  CHECK(order == "21");
  order.clear();
  std::thread([&] { a_goroutine(0); }).join();
  CHECK(order == "021");
}

static std::atomic<int> spawned;
static void spawns() {
  gomax::wait_group wg;
  gomax::spawn_options small, parent, first_child;
  small.stack_size = 65536;
  parent.name = "parent";
  first_child.child_first = true;
  first_child.wipe = true;
  for (int i = 0; i < 10; i++) {
    wg.add(3);
    gomax::spawn([&wg] { wg.done(); });                           // in the pointer
    gomax::spawn([&wg, c = counted(1)] { wg.done(); });           // in memory
    gomax::spawn(small, [&wg] { wg.done(); });
    wg.go([] { spawned++; });
    wg.go([c = counted(2)] { spawned++; });
  }
  wg.wait();
  CHECK_EQ(spawned.load(), 20);
  spin_until(counted::alive.load() == 0);
  gomax::spawn([] { spawned = 1; });  // nothing at all
  spin_until(spawned.load() == 1);
  gomax::spawn_options last;
  last.last = true;
  const std::array<int, 8> numbers{1, 2, 3, 4, 5, 6, 7, 8};
  gomax::spawn([numbers] { spawned += std::accumulate(numbers.begin(), numbers.end(), 0); });  // copied to the stack
  gomax::spawn(last, [numbers] { spawned += numbers[7]; });
  spin_until(spawned.load() == 1 + 36 + 8);

  gomax::go(parent, [&] {
    int order = 0;
    auto first = gomax::go(first_child, [&] { order = order * 10 + 1; });
    order = order * 10 + 2;
    first.join();
    CHECK(order == 12 || order == 21);
  }).join();
}

static void memory() {
  gomax::go([] {
    gomax::pin here;  // so that the thread stays the same
    static gomax::wait_group wg;  // they run when this function has ended
    long before = allocations;
    gomax::spawn([wg = &wg] { wg->add(0); });
    CHECK_EQ(allocations - before, 0);
    before = allocations;
    auto t = gomax::go([big = std::array<char, 500>{}] { return big[0]; });
    CHECK_EQ(allocations - before, 1);
    before = allocations;
    gomax::spawn([big = std::array<char, 500>{}] { static_cast<void>(big); });
    CHECK_EQ(allocations - before, 1);
    before = allocations;
    gomax::channel<std::unique_ptr<int>> c(1);
    CHECK(c.try_send(nullptr) && c.try_receive());
    CHECK_EQ(allocations - before, 1);  // the channel's count; C's own memory is C's
    before = allocations;
    gomax::channel<std::string> boxed(1);
    CHECK(boxed.try_send(""));
    CHECK_EQ(allocations - before, 2);
    before = allocations;
    gomax::channel<int> plain(1);
    CHECK(plain.try_send(1));
    CHECK_EQ(allocations - before, 0);
    t.detach();
  }).join();
}

static void main_goroutine() {
  CHECK_EQ(gomax::run([] { return gomax::self() != 0 ? 1 : 0; }), 1);
  CHECK_EQ(*gomax::run([p = std::make_unique<int>(4)]() mutable { return std::move(p); }), 4);
  gomax::run([] {});
  try {
    gomax::run([] { throw std::string("out"); });
    FAIL("nothing came");
  } catch (const std::string &s) {
    CHECK_STR(s.c_str(), "out");
  }
  gomax::run([] {
    CHECK_THROWS(GMX_EPERM, gomax::run([c = counted(1)] {}));
    CHECK_EQ(counted::alive.load(), 0);
  });
  CHECK(gomax::procs() >= 1);
  int procs = gomax::set_procs(3);
  CHECK_EQ(gomax::procs(), 3);
  gomax::set_procs(procs);
}

static void deadlock(void *) {
  gomax::config c;
  c.procs = 2;
  c.report = [](void *, const char *, std::size_t) {};
  static gomax::channel<int> never(nullptr);
  CHECK_THROWS(GMX_EDEADLK, gomax::run(c, [] {
                 never = gomax::channel<int>();
                 never.receive().value();
               }));
  CHECK_THROWS(GMX_EBUSY, gomax::init());
  never.close();  // the function continues and throws; run() is over, so the exception is dropped
  gomax::shutdown();
}
static void a_deadlock_is_told() {
  static child c;
  child_run(&c, 50, deadlock, nullptr);
  CHILD_OK(&c);
}

int main() {
  RUN(lost_exceptions_end_the_program);
  RUN(a_deadlock_is_told);
  RUN(values);
  RUN(arguments);
  RUN(exceptions);
  RUN(late);
  RUN(dropped);
  RUN(spawns);
  RUN(memory);
  RUN(at_the_exit);
  RUN(main_goroutine);
  RUN(ends_clean);
}
