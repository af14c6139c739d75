// Locks with the standard's guards, conditions, wait groups, once, clocks and timers.
#include "tests.hpp"

#include <malloc.h>
#include <shared_mutex>
#include <system_error>
#include <thread>

// Memory that is gone is no lock that is free, and stays gone.
[[gnu::noinline]] void operator delete(void *p) noexcept {
  if (p != nullptr) std::memset(p, 0xa5, malloc_usable_size(p));
}
[[gnu::noinline]] void operator delete(void *p, std::size_t) noexcept { operator delete(p); }
[[gnu::noinline]] void *operator new(std::size_t n) {
  if (void *p = std::malloc(n)) return p;
  throw std::bad_alloc();
}

static_assert(std::is_nothrow_default_constructible_v<gomax::mutex> && sizeof(gomax::mutex) == sizeof(gmx_mutex));
static gomax::mutex constant_initialised;

// Gs and threads alike.
template <class F>
static void on_both(int n, F f) {
  std::vector<std::thread> threads;
  gomax::scope s;
  for (int i = 0; i < n; i++) {
    s.go(f);
    threads.emplace_back(f);
  }
  for (auto &t : threads) t.join();
}

static void mutexes() {
  gomax::mutex a, b;
  long sum = 0;
  on_both(4, [&] {
    for (int i = 0; i < 500; i++) {
      {
        std::lock_guard<gomax::mutex> held(a);
        sum++;
        if (i % 50 == 0) gomax::yield();
      }
      if (i % 2 == 0) {
        std::scoped_lock both(a, b);
        sum++;
      } else {
        std::scoped_lock both(b, a);
        sum++;
      }
    }
  });
  CHECK_EQ(sum, 8 * 1000);

  std::unique_lock<gomax::mutex> held(a);
  CHECK_THROWS(GMX_EDEADLK, a.lock());
  gomax::go([&] {
    CHECK(!a.try_lock());
    CHECK(!a.try_lock_for(1ms));
    CHECK(!a.try_lock_until(std::chrono::system_clock::now() + 1ms));
    CHECK_THROWS(GMX_EPERM, a.unlock());
    std::unique_lock<gomax::mutex> no(a, std::try_to_lock), late(a, 1ms);
    CHECK(!no && !late);
  }).join();
  auto waits = gomax::go([&] { std::lock_guard<gomax::mutex> mine(a); });
  while (a.waiters() == 0) gomax::yield();
  CHECK_EQ(b.waiters(), 0);
  held.unlock();
  waits.join();
  CHECK_THROWS(GMX_EPERM, a.unlock());
  CHECK(a.try_lock_for(-1s));
  a.unlock();
  std::lock_guard<gomax::mutex> also(constant_initialised);
}

static void rwmutexes() {
  gomax::rwmutex m;
  int writes = 0;
  std::atomic<int> readers{0}, together{0};
  on_both(3, [&] {
    for (int i = 0; i < 200; i++) {
      if (i % 5 == 0) {
        std::unique_lock<gomax::rwmutex> held(m);
        CHECK_EQ(readers.load(), 0);
        writes++;
      } else {
        std::shared_lock<gomax::rwmutex> held(m);
        if (++readers > 1) together++;
        if (i % 7 == 0) gomax::yield();
        --readers;
      }
    }
  });
  CHECK_EQ(writes, 6 * 40);
  {
    std::shared_lock<gomax::rwmutex> held(m);
    CHECK(m.try_lock_shared_for(1ms) && m.try_lock_shared());
    m.unlock_shared();
    m.unlock_shared();
    CHECK(!m.try_lock() && !m.try_lock_for(1ms) && !m.try_lock_until(gomax::clock::now()));
  }
  std::lock_guard<gomax::rwmutex> held(m);
  gomax::go([&] { CHECK(!m.try_lock_shared() && !m.try_lock_shared_until(gomax::clock::now() + 1ms)); }).join();
}

static void conditions() {
  gomax::mutex m;
  gomax::condition_variable not_empty;
  std::vector<int> queue;
  long sum = 0;
  {
    gomax::scope s;
    for (int i = 0; i < 4; i++) {
      s.go([&] {
        for (int j = 0; j < 100; j++) {
          std::unique_lock<gomax::mutex> held(m);
          not_empty.wait(held, [&] { return !queue.empty(); });
          sum += queue.back();
          queue.pop_back();
        }
      });
    }
    for (int i = 1; i <= 400; i++) {
      std::lock_guard<gomax::mutex> held(m);
      queue.push_back(i);
      not_empty.notify_one();
    }
  }
  CHECK_EQ(sum, 400 * 401 / 2);

  std::unique_lock<gomax::mutex> held(m);
  CHECK(not_empty.wait_for(held, 1ms) == std::cv_status::timeout);
  CHECK(not_empty.wait_until(held, std::chrono::system_clock::now() + 1ms) == std::cv_status::timeout);
  CHECK(!not_empty.wait_for(held, 1ms, [] { return false; }));
  CHECK(not_empty.wait_for(held, 0ms, [] { return true; }));
  auto signals = gomax::go([&] {
    std::lock_guard<gomax::mutex> also(m);
    queue.push_back(1);
    not_empty.notify_all();
  });
  CHECK(not_empty.wait_for(held, std::chrono::hours::max(), [&] { return !queue.empty(); }));
  signals.join();
  gomax::cancel_source now;
  now.cancel();
  gomax::under canceled(now);
  CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, not_empty.wait(held));
  CHECK(held.owns_lock());
  held.unlock();
  CHECK_THROWS(GMX_EPERM, not_empty.wait(held));
}

// For any lock: of this header, of the standard, of one's own.
struct own_lock {
  gomax::semaphore free{1};
  bool held = false;
  void lock() {
    free.acquire();
    held = true;
  }
  void unlock() {
    held = false;
    free.release();
  }
};

template <class Lock, class Mutex>
static void condition_with(Mutex &m) {
  gomax::condition_variable_any there;
  std::atomic<int> n{0}, woken{0};
  {
    gomax::scope s;
    for (int i = 0; i < 3; i++) {
      s.go([&] {
        Lock lock(m);
        there.wait(lock, [&] { return n.load() > 0; });
        woken++;
      });
    }
    spin_until(there.waiters() == 3);
    there.notify_one();  // in vain: it waits again
    spin_until(there.waiters() == 3);
    n = 1;
    there.notify_one();
    spin_until(woken.load() == 1);
    CHECK_EQ(there.waiters(), 2);
    there.notify_all();
  }
  CHECK_EQ(woken.load(), 3);

  // by turns: a notification that is missed is a deadlock
  n = 0;
  on_both(1, [&] {
    for (int i = 0, me = n.fetch_or(1 << 16) >> 16; i < 300; i++) {
      Lock lock(m);
      there.wait(lock, [&] { return (n.load() & 1) == me; });
      lock.unlock();
      {
        std::unique_lock<Mutex> mine(m);
        n++;
      }
      there.notify_one();
    }
  });
  CHECK_EQ(n.load(), (1 << 16) + 600);

  Lock lock(m);
  CHECK(there.wait_for(lock, 1ms) == std::cv_status::timeout);
  CHECK(there.wait_until(lock, std::chrono::system_clock::now() + 1ms) == std::cv_status::timeout);
  CHECK(!there.wait_for(lock, 1ms, [] { return false; }));
  CHECK(there.wait_until(lock, gomax::clock::now(), [] { return true; }));
}

static void conditions_for_any_lock() {
  gomax::mutex m;
  gomax::recursive_mutex twice;
  gomax::rwmutex many;
  own_lock own;
  condition_with<std::unique_lock<gomax::mutex>>(m);
  condition_with<std::unique_lock<gomax::recursive_mutex>>(twice);
  condition_with<std::unique_lock<gomax::rwmutex>>(many);
  condition_with<std::shared_lock<gomax::rwmutex>>(many);
  condition_with<std::unique_lock<own_lock>>(own);

  // the lock itself; held again whatever comes out
  gomax::condition_variable_any there;
  gomax::cancel_source now;
  now.cancel();
  own.lock();
  {
    gomax::under canceled(now);
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, there.wait(own));
  }
  CHECK(own.held && !own.free.try_acquire());
  own.unlock();

  // one that cannot be unlocked: nothing was waited for, and others can notify
  std::unique_lock<gomax::mutex> no(m, std::defer_lock);
  try {
    there.wait(no);
    FAIL("it has waited without its lock");
  } catch (const std::system_error &) {
  }
  there.notify_all();

  // gone as soon as all have been notified, while they come back; on threads too
  for (int i = 0; i < 200; i++) {
    std::optional<gomax::condition_variable_any> short_lived(std::in_place);
    std::atomic<int> back{0};
    bool told = false;
    auto waits = [&] {
      std::unique_lock<gomax::mutex> lock(m);
      short_lived->wait(lock, [&] { return told; });
      back++;
    };
    gomax::scope s;
    s.go(waits);
    std::thread t(waits);
    spin_until(short_lived->waiters() == 2);
    {
      std::lock_guard<gomax::mutex> lock(m);
      told = true;
      short_lived->notify_all();
      short_lived.reset();
    }
    t.join();
  }
}

// A moment in place of a time, on any clock.
static void until() {
  const auto past = gomax::clock::now();
  const auto later = std::chrono::system_clock::now() + std::chrono::hours(1);
  gomax::channel<counted> c(1);
  counted v(1);
  CHECK(c.send_until(std::move(v), past));
  counted w(2);
  CHECK(!c.send_until(std::move(w), past) && w.v() == 2);
  CHECK(c.receive_until(past)->v() == 1 && c.receive_until(past).is_late());
  CHECK(c.send_until(counted(3), later) && c.receive_until(later)->v() == 3);
  CHECK_EQ(gomax::select(gomax::on_receive(c), gomax::on_timeout(past)), 1);
  CHECK_EQ(gomax::select(gomax::on_send(c, counted(4)), gomax::on_timeout(later)), 0);

  gomax::wait_group wg;
  CHECK(wg.wait_until(past) && wg.wait_until(later));
  wg.add();
  CHECK(!wg.wait_until(past));
  gomax::semaphore s(1);
  CHECK(s.try_acquire_until(later) && !s.try_acquire_until(past));
  gomax::once once;
  CHECK(once.call_until(past, [] {}) && once.call_until(later, [] { FAIL("it is done"); }));
  std::atomic<int> word{0};
  CHECK(!gomax::atomic_wait_until(word, 0, past) && gomax::atomic_wait_until(word, 1, past));
  gomax::cancel_source late(past), not_yet(later);
  CHECK(late.is_late() && !not_yet.is_canceled());
  {
    gomax::scope all(later);
    all.go([&] { s.acquire(); });
    CHECK(!all.leave_until(past));
    s.release();
    CHECK(all.leave_until(later));
  }
  CHECK_THROWS(GMX_ETIMEDOUT, gomax::with_scope(past, [&](gomax::scope &) { s.acquire(); }));
}

static void counts_and_once() {
  gomax::wait_group wg;
  wg.wait();
  CHECK_THROWS(GMX_EINVAL, wg.done());
  wg.add(2);
  CHECK(!wg.wait_for(1ms));
  wg.done();
  gomax::spawn([&] { wg.done(); });
  CHECK(wg.wait_for(100s));

  gomax::semaphore s(1);
  CHECK(s.try_acquire() && !s.try_acquire() && !s.try_acquire_for(1ms));
  s.release();
  s.acquire();
  CHECK_EQ(s.waiters(), 0);
  auto waits = gomax::go([&] { s.acquire(); });
  while (s.waiters() == 0) gomax::yield();
  CHECK_EQ(s.waiters(), 1);
  s.release_handoff();
  CHECK(!s.try_acquire());
  waits.join();

  gomax::barrier four(4);
  static gomax::barrier constant(1);
  CHECK(constant.wait() && constant.wait_for(0s).value());
  std::atomic<int> arrived{0}, serial{0};
  on_both(2, [&] {
    for (int i = 1; i <= 100; i++) {
      ++arrived;
      serial += four.wait();
      CHECK(arrived.load() >= 4 * i);
    }
  });
  CHECK_EQ(serial.load(), 100);
  CHECK(!four.wait_for(1ms) && !four.wait_for(0s));
  CHECK_EQ(four.waiters(), 0);
  CHECK_THROWS(GMX_EINVAL, gomax::barrier(0).wait());

  on_both(2, [&] { four.arrive_and_wait(); });

  gomax::latch three(3);
  CHECK(!three.try_wait() && !three.wait_for(1ms));
  CHECK_THROWS(GMX_EINVAL, three.count_down(-1));
  CHECK_THROWS(GMX_EINVAL, three.count_down(4));
  three.count_down(2);
  auto last = gomax::go([&] { three.arrive_and_wait(); });
  three.wait();
  last.join();
  CHECK(three.try_wait() && gomax::latch(0).try_wait());
  CHECK_THROWS(GMX_EINVAL, three.count_down());

  gomax::once once;
  std::atomic<int> ran{0}, threw{0};
  on_both(5, [&] {
    try {
      once.call([&] {
        ran++;
        gomax::sleep_for(1ms);
        throw 1;
      });
      CHECK_EQ(ran.load(), 1);
    } catch (int) {
      threw++;
    }
  });
  CHECK(ran.load() == 1 && threw.load() == 1);
  once.call([] { FAIL("it is done"); });
  CHECK(once.call_for(0s, [] { FAIL("it is done"); }));

  gomax::once slow;
  gomax::semaphore begun, end;
  auto at_it = gomax::go([&] {
    return slow.call_for(0s, [&] {
      begun.release();
      end.acquire();
    });
  });
  begun.acquire();
  CHECK(!slow.call_for(1ms, [] { FAIL("another is at it"); }));
  end.release();
  CHECK(at_it.join());
}

static void times() {
  using gomax::detail::ns;
  CHECK_EQ(ns(-1s), 0);
  CHECK_EQ(ns(1ns), 1);
  CHECK_EQ(ns(std::chrono::duration<double>(1e-10)), 1);
  CHECK_EQ(ns(std::chrono::duration<double>(1e30)), INT64_MAX);
  CHECK_EQ(ns(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())), 0);
  CHECK_EQ(ns(std::chrono::hours::max()), INT64_MAX);
  CHECK_EQ(ns(std::chrono::duration<int, std::ratio<3600>>(2)), INT64_C(7200000000000));
  CHECK_EQ(ns(std::chrono::duration<std::int64_t, std::pico>(1001)), 2);
  CHECK_EQ(ns(std::chrono::duration<int, std::ratio<1, 60>>(1)), 16666667);
  CHECK_EQ(ns(std::chrono::nanoseconds::max()), INT64_MAX);

  auto begin = gomax::clock::now();
  gomax::sleep_for(2ms);
  CHECK(gomax::clock::now() - begin >= 2ms);
  gomax::sleep_until(begin + 4ms);
  CHECK(gomax::clock::now() - begin >= 4ms);
  auto wall = std::chrono::system_clock::now();
  gomax::sleep_until(wall + 2ms);
  CHECK(std::chrono::system_clock::now() - wall >= 2ms);
}

// Clocks whose epoch lies elsewhere, for what is left until a moment.
template <int Now, class Rep = std::int64_t, class Period = std::ratio<1>>
struct fixed_clock {
  using duration = std::chrono::duration<Rep, Period>;
  using rep = Rep;
  using period = Period;
  using time_point = std::chrono::time_point<fixed_clock>;
  static constexpr bool is_steady = true;
  static time_point now() { return time_point(duration(Now)); }
};
template <int Now, class... Unit>
static std::int64_t left(std::int64_t when) {
  using clock = fixed_clock<Now, Unit...>;
  return gomax::detail::ns_until(typename clock::time_point(typename clock::duration(when)));
}
static void moments() {
  constexpr std::int64_t most = INT64_MAX, least = INT64_MIN, second = 1000000000;
  CHECK_EQ((left<5>(7)), 2 * second);
  CHECK_EQ((left<5>(5)), 0);
  CHECK_EQ((left<5>(-7)), 0);
  CHECK_EQ((left<5>(most)), most);
  CHECK_EQ((left<5>(least)), 0);
  CHECK_EQ((left<-5>(-3)), 2 * second);
  CHECK_EQ((left<-5>(-7)), 0);
  CHECK_EQ((left<-5>(0)), 5 * second);
  CHECK_EQ((left<-5>(3)), 8 * second);
  CHECK_EQ((left<-5>(most)), most);
  CHECK_EQ((left<-5>(least)), 0);
  CHECK_EQ((left<-5>(least + 1)), 0);
  CHECK_EQ((left<-5, std::int64_t, std::nano>(most)), most);
  CHECK_EQ((left<5, std::int64_t, std::nano>(most - 1)), most - 6);
  CHECK_EQ((left<0>(1)), second);
  CHECK_EQ((left<3, double>(4)), second);
  CHECK_EQ((left<3, unsigned>(2)), 0);
  CHECK_EQ((left<1, std::int64_t, std::ratio<86400>>(3)), 2 * 86400 * second);
}

// Every call with a moment: the first one of a clock has passed, the last one is not reached, and neither overflows
// (UBSan).
template <class Duration, class Clock>
static void ends_of_time() {
  using point = std::chrono::time_point<Clock, Duration>;
  const point first = point::min(), last = point::max();
  gomax::mutex m;
  gomax::rwmutex rw;
  gomax::recursive_mutex r;
  gomax::semaphore s, release;
  gomax::barrier b(2);
  gomax::latch l(1);
  gomax::condition_variable c;
  gomax::condition_variable_any any;
  gomax::channel<std::string> empty, full;
  gomax::blocking_class few(1);
  gomax::once once;
  gomax::wait_group wg;
  gomax::promise<int> p;
  auto f = p.get_future();
  std::atomic<int> word{0};
  m.lock(), rw.lock(), r.lock(), wg.add();
  auto t = gomax::go([&] { once.call([&] { release.acquire(); }); });
  while (release.waiters() == 0) gomax::yield();
  gomax::go([&] {
    std::string v = "v";
    CHECK(!m.try_lock_until(first) && !rw.try_lock_until(first) && !rw.try_lock_shared_until(first) && !r.try_lock_until(first));
    CHECK(!s.try_acquire_until(first) && !b.wait_until(first) && !l.wait_until(first) && !wg.wait_until(first));
    CHECK(empty.receive_until(first).is_late() && !full.send_until(std::move(v), first) && !full.send_until(v, first) && v == "v");
    CHECK(!f.wait_until(first) && !t.join_until(first) && !gomax::atomic_wait_until(word, 0, first));
    CHECK(!once.call_until(first, [] {}));
    CHECK_EQ(gomax::select(gomax::on_receive(empty), gomax::on_timeout(first)), 1);
    gomax::sleep_until(first);
    gomax::mutex mine;
    std::unique_lock<gomax::mutex> held(mine);
    CHECK(c.wait_until(held, first) == std::cv_status::timeout && !c.wait_until(held, first, [] { return false; }));
    CHECK(any.wait_until(held, first) == std::cv_status::timeout);
    CHECK(gomax::cancel_source(first).is_late());
    CHECK_THROWS(GMX_ETIMEDOUT, gomax::with_scope(first, [&](gomax::scope &) { s.acquire(); }));
    gomax::scope late(first);
    late.go([] {});
    CHECK(late.token().is_late());
  }).join();
  m.unlock(), rw.unlock(), r.unlock(), release.release();
  CHECK(m.try_lock_until(last) && rw.try_lock_until(last) && r.try_lock_until(last) && t.join_until(last));
  gomax::cancel_source never(last);
  gomax::under heeded(never);
  auto wakes = gomax::go([&] { s.release(), full.receive().value(), empty.send(""), l.count_down(), p.set_value(1); });
  CHECK(s.try_acquire_until(last) && full.send_until("", last) && empty.receive_until(last) && l.wait_until(last));
  CHECK(f.wait_until(last) && wakes.join_until(last));
  CHECK(few.run_until(last, [] { return 1; }) == 1);
  gomax::scope in_time(last);
  in_time.go([] {});
  CHECK(in_time.leave_until(last));
  CHECK(!never.is_canceled());
}
static void ends_of_times() {
  ends_of_time<std::chrono::steady_clock::duration, std::chrono::steady_clock>();
  ends_of_time<std::chrono::system_clock::duration, std::chrono::system_clock>();
  ends_of_time<gomax::clock::duration, gomax::clock>();
  ends_of_time<std::chrono::duration<int, std::ratio<86400>>, std::chrono::system_clock>();  // std::chrono::sys_days
  ends_of_time<std::chrono::duration<std::int64_t, std::ratio<86400>>, std::chrono::steady_clock>();
  ends_of_time<std::chrono::duration<double>, std::chrono::steady_clock>();
  for (auto longest : {std::chrono::hours::max(), std::chrono::hours(INT64_C(1) << 40)}) {
    gomax::semaphore one(1);
    gomax::cancel_source never(longest);
    CHECK(one.try_acquire_for(longest) && !never.is_canceled());
    gomax::timer later(longest, longest);
    CHECK(later.times().try_receive().is_empty());
  }
}

static void timers() {
  auto begin = gomax::clock::now();
  gomax::timer t(2ms);
  CHECK(t.wait() - begin >= 2ms);
  CHECK(!t.stop());
  CHECK(!t.reset(100s));
  CHECK(t.reset(1ms, 1ms));
  auto first = t.wait();
  CHECK(first < t.wait());
  t.stop();
  CHECK(t.times().receive_for(3ms).is_late());

  int ticks = 0;
  auto ticker = gomax::every(1ms);
  for (auto when : ticker.times()) {
    CHECK(when > begin);
    if (++ticks == 3) break;
  }
  bool late = false;
  gomax::select(gomax::on_receive(gomax::after(1ms), [&] { late = true; }), gomax::on_receive(gomax::timer(100s)));
  CHECK(late);
  gomax::channel<gomax::clock::time_point> moment = gomax::after(2ms), same = moment;
  gomax::after(100s);  // dropped before it came
  const gomax::clock::time_point came = moment.receive().value();
  CHECK(came <= gomax::clock::now());
  CHECK(same.try_receive().is_empty());
  CHECK(gomax::after(0s).size() == 1 && gomax::after(-1s).try_receive());
  ticker = gomax::timer(1ms);
  ticker.wait();
  ticks = 0;
  for (auto when : gomax::every(1ms)) {  // the loop keeps the timer
    CHECK(when > begin);
    if (++ticks == 3) break;
  }
  auto moved = std::move(ticker);
  CHECK_THROWS(GMX_ESTALE, ticker.wait());
  CHECK_THROWS(GMX_ESTALE, ticker.stop());
  CHECK_THROWS(GMX_ESTALE, ticker.reset(1ms));

  // a function, once; its handle may go before it and after it, or it may never run
  gomax::wait_group ran;
  ran.add(2);
  gomax::after(1ms, [&, c = counted(1)] { ran.done(); });
  auto kept = gomax::after(0ms, [&, c = counted(2)] { ran.done(); });
  ran.wait();
  spin_until(counted::alive.load() == 0);
  CHECK(!kept.stop());
  auto never = gomax::after(100s, [c = counted(3)] { FAIL("it was stopped"); });
  CHECK(never.stop() && !never.stop());
  CHECK_EQ(counted::alive.load(), 0);
  for (int i = 0; i < 300; i++) {  // all at the same moment
    auto at_once = gomax::after(std::chrono::microseconds(i % 3), [c = counted(4)] { gomax::yield(); });
    if (i % 2 == 0) at_once.stop();
  }
  spin_until(counted::alive.load() == 0);
}

int main() {
  RUN(mutexes);
  RUN(rwmutexes);
  RUN(conditions);
  RUN(conditions_for_any_lock);
  RUN(until);
  RUN(counts_and_once);
  RUN(times);
  RUN(moments);
  RUN(ends_of_times);
  RUN(timers);
  RUN(ends_clean);
}
