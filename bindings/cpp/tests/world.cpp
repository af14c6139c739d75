// Brackets and barriers, threads of the host, values of a goroutine and of a P, parking, numbers, exceptions that wait
// while their goroutine moves.
#include "tests.hpp"

#include <map>
#include <stdexcept>
#include <sys/syscall.h>
#include <thread>

[[gnu::noinline]] static long tid() { return syscall(SYS_gettid); }

static void syscalls() {
  gomax::go([] {
    {
      gomax::syscall_bracket in;
      CHECK_THROWS(GMX_EINSYSCALL, gomax::yield());
      CHECK_THROWS(GMX_EINSYSCALL, gomax::syscall_bracket no);
    }
    {
      gomax::syscall_bracket in(true);
      usleep(1000);
    }
    CHECK_EQ(gomax::blocking([] { return 5; }), 5);
    int place = 0;
    CHECK(&gomax::blocking([&]() -> int & { return place; }) == &place);
    try {  // the bracket ends while the exception flies
      gomax::syscall_bracket in;
      usleep(1000);
      throw std::runtime_error("out of a syscall");
    } catch (const std::runtime_error &e) {
      gomax::yield();
      CHECK_STR(e.what(), "out of a syscall");
    }
    try {
      gomax::blocking([] { throw 6; });
      FAIL("nothing came");
    } catch (int i) {
      CHECK_EQ(i, 6);
    }
  }).join();
  CHECK_EQ(gomax::blocking([] { return gomax::self(); }), 0);  // a plain thread just calls it
  CHECK_THROWS(GMX_ENOTG, gomax::syscall_bracket no);
}

static void classes() {
  gomax::blocking_class one(1, "one at a time"), two(2);
  int place = 0;
  CHECK_EQ(one.run([] { return 5; }), 5);
  CHECK(&one.run([&]() -> int & { return place; }) == &place);
  one.run([&] { place = 1; });
  CHECK_EQ(two.run_for(1s, [] { return counted(6); })->v(), 6);
  CHECK(&two.run_until(gomax::clock::now(), [&]() -> int & { return place; })->get() == &place);
  CHECK(two.run_for(0s, [&] { place = 2; }));
  CHECK_EQ(place, 2);
  try {
    one.run_for(1s, [] { throw 7; });
    FAIL("nothing came");
  } catch (int i) {
    CHECK_EQ(i, 7);
  }

  // one that is full: the call does not come to its turn
  gomax::semaphore in, out;
  auto fills = gomax::go([&] {
    one.run([&] {
      gomax::callback([&] {
        in.release();
        out.acquire();
      });
    });
  });
  in.acquire();
  CHECK(!one.run_for(0s, [&] { FAIL("it is not its turn"); }));
  CHECK(!one.run_for(1ms, [] { return counted(8); }));
  CHECK(!one.run_until(gomax::clock::now() + 1ms, [] { return counted(8); }));
  gomax::cancel_source now;
  now.cancel();
  {
    gomax::under u(now);
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, one.run([] { FAIL("it is canceled"); }));
  }
  CHECK_STATUS(gmx_class_free(one.native()), GMX_EBUSY);
  out.release();
  fills.join();
  CHECK_EQ(counted::alive.load(), 0);
}

static void worlds() {
  gomax::go([] {
    {
      gomax::pin here;
      CHECK(here.p() >= 0 && here.p() < gomax::procs());
      CHECK_THROWS(GMX_ENOTG, gomax::yield());
    }
    gomax::yield();
    {
      gomax::os_thread_lock tied;
      long thread = tid();
      for (int i = 0; i < 20; i++) gomax::yield();
      CHECK_EQ(tid(), thread);
    }
    {
      gomax::stopped_world stopped("test");
      CHECK(stopped);
      int gs = 0, self = 0;
      stopped.for_each_g([&](const gmx_g_info &g) {
        gs++;
        self += g.g == gomax::self();
      });
      CHECK(gs >= 1 && self == 1);
      try {
        stopped.for_each_g([](const gmx_g_info &) { throw 1; });
        FAIL("nothing came");
      } catch (int) {
      }
      CHECK_THROWS(GMX_ENOTG, gomax::yield());
    }
    std::atomic<bool> spins{true}, there{false};
    int procs = gomax::set_procs(2);
    auto stubborn = gomax::go([&] {
      there = true;
      while (spins) {
      }
    });
    while (!there) gomax::yield();
    {
      gomax::stopped_world late(1ms, "test");
      CHECK(!late);
    }
    try {
      gmx_stop_opts anywhere{};
      anywhere.flags = GMX_STOP_ANYWHERE;
      gomax::stopped_world stopped(anywhere);
      CHECK(stopped);
      int held = 0;
      stopped.for_each_g([&](const gmx_g_info &g) { held += g.status == GMX_G_HELD && g.regs_lo < g.regs_hi; });
      CHECK_EQ(held, 1);
    } catch (const gomax::error &e) { // this system holds no thread
      CHECK_EQ(e.status(), GMX_ENOTSUP);
    }
    spins = false;
    stubborn.join();
    CHECK(gomax::stopped_world(10s));
    gomax::set_procs(procs);
  }).join();

  int procs = gomax::set_procs(4);
  std::array<std::atomic<int>, 4> seen{};
  gomax::for_each_p([&](int p) { seen[std::size_t(p)]++; });
  for (auto &n : seen) CHECK_EQ(n.load(), 1);
  std::atomic<int> calls{0};
  gomax::for_each_p([&] { calls++; });
  CHECK_EQ(calls.load(), 4);
  try {
    gomax::for_each_p([&](int p) {
      calls++;
      throw p;
    });
    FAIL("nothing came");
  } catch (int p) {
    CHECK(p >= 0 && p < 4);
  }
  CHECK_EQ(calls.load(), 8);
  gomax::set_default_procs();
  gomax::set_procs(procs);
  CHECK(gomax::num_cpu() >= 1);
}

static void threads() {
  std::thread([] {
    CHECK_EQ(gomax::goid(), 0);
    {
      gomax::attached_thread here;
      CHECK(gomax::goid() != 0);
      CHECK_THROWS(GMX_EPERM, gomax::attached_thread no);
      gomax::yield();
    }
    CHECK_EQ(gomax::goid(), 0);
    CHECK(gomax::callback([] {
      gomax::sleep_for(1us);
      return gomax::goid();
    }) != 0);
    try {
      gomax::callback([] {
        gomax::yield();
        throw std::string("back");
      });
      FAIL("nothing came");
    } catch (const std::string &s) {
      CHECK_STR(s.c_str(), "back");
    }
  }).join();
}

static gomax::g_local<std::map<int, counted>> mine;

static void g_locals() {
  {
    gomax::scope s;
    for (int i = 0; i < 20; i++) {
      s.go([i] {
        CHECK(mine->empty());
        mine->emplace(i, i);
        gomax::sleep_for(10us);
        CHECK(mine->size() == 1 && (*mine).at(i).v() == i);
      });
    }
  }
  spin_until(counted::alive.load() == 0);
  CHECK_THROWS(GMX_ENOTG, *mine);
}

struct tally {
  long n = 0;
  counted c{0};
};

static void p_locals() {
  int procs = gomax::set_procs(4);
  {
    gomax::p_local<tally> per_p;
    {
      gomax::scope s;
      for (int i = 0; i < 20; i++) {
        s.go([&] {
          for (int k = 0; k < 1000; k++) {
            {
              gomax::pin here;
              per_p.of(here).n++;  // only the pinned goroutine is on this P
            }
            if (k % 100 == 0) gomax::yield();
          }
        });
      }
    }
    long sum = 0;
    per_p.for_each([&](tally &t) { sum += t.n; });
    CHECK_EQ(sum, 20000);
    gomax::for_each_p([&] {
      gomax::pin here;
      per_p.of(here).n = 1;
    });
    gomax::set_procs(2);  // those of Ps that have gone stay
    sum = 0;
    per_p.for_each([&](tally &t) { sum += t.n; });
    CHECK_EQ(sum, 4);
    CHECK_EQ(counted::alive.load(), 4);
  }
  CHECK_EQ(counted::alive.load(), 0);
  gomax::p_local<int> other;  // perhaps in the same place: none has one
  gomax::go([&] {
    gomax::pin here;
    CHECK_EQ(other.of(here), 0);
  }).join();
  gomax::set_procs(procs);
}

static void parks() {
  for (int i = 0; i < 200; i++) {  // the waker may come before the park
    std::atomic<gmx_g> waits{0};
    auto waiter = gomax::go([&] {
      gomax::park([&](gmx_g g) noexcept {
        waits = g;
        return true;
      }, "the test");
      return 7;
    });
    spin_until(waits.load() != 0);
    CHECK_EQ(waits.load(), waiter.native());
    CHECK(gomax::ready(waits));
    CHECK_EQ(waiter.join(), 7);
    CHECK_THROWS(GMX_ESTALE, gomax::ready(waits));
  }
  gomax::go([] {
    const auto no = [](gmx_g g) noexcept { return g == 0; };
    gomax::park(no);  // nothing to wait for
    CHECK(gomax::park_for(1ms, no));
    auto yes = [](gmx_g) noexcept { return true; };
    CHECK(!gomax::park_for(1ms, yes) && !gomax::park_for(0s, yes));
    CHECK(!gomax::ready(gomax::self()));
  }).join();
}

static void numbers() {
  CHECK_EQ(gomax::version(), GMX_VERSION);
  gomax::go([] {
    CHECK(gomax::num_g() >= 1);
    gmx_sched_stats before = gomax::sched_stats();
    gomax::go([] {}).join();
    gmx_sched_stats after = gomax::sched_stats();
    CHECK(after.spawned > before.spawned && after.gomaxprocs == gomax::procs());
    CHECK(gomax::metric("gomax_goroutines_created_total") >= after.spawned && !gomax::metric("gomax_none"));
    std::string metrics = gomax::metrics_text();
    CHECK(metrics.find("\ngomax_procs " + std::to_string(gomax::procs()) + "\n") != std::string::npos);
    CHECK(metrics.size() > 6 && metrics.compare(metrics.size() - 6, 6, "# EOF\n") == 0);
    gmx_mem_stats memory = gomax::mem_stats();
    CHECK(memory.stacks_inuse >= 1 && memory.p_total >= 1);
    auto [lo, hi] = gomax::stack_bounds();
    CHECK(lo < static_cast<void *>(&memory) && static_cast<void *>(&memory) < hi);
    gomax::release_memory();
    std::FILE *f = std::tmpfile();
    CHECK(f != nullptr);
    gomax::write_heap_dump(fileno(f));
    std::rewind(f);
    std::string text(1 << 16, 0);
    text.resize(std::fread(text.data(), 1, text.size(), f));
    std::fclose(f);
    CHECK(text.find("goroutine " + std::to_string(gomax::goid())) != std::string::npos);
  }).join();
  CHECK_THROWS(-EBADF, gomax::write_heap_dump(-1));
  CHECK_STR(gomax::canceled().name(), "GMX_ECANCELED");
}

// Each goroutine is in the middle of exceptions of its own, waits in every place that C++ allows, and moves meanwhile.
static std::atomic<long> moves{0};

[[gnu::noinline]] static void waits(int way) {
  long thread = tid();
  switch (way % 5) {
    case 0: gomax::yield(); break;
    case 1: gomax::sleep_for(1us); break;
    case 2: {
      gomax::scope s;
      s.go([] { gomax::yield(); });
      break;
    }
    case 3: {
      gomax::channel<int> c;
      CHECK(c.receive_for(1ns).is_late());
      break;
    }
    default: {
      gomax::syscall_bracket in(true);
    }
  }
  if (tid() != thread) moves++;
}

struct waits_in_destructor {
  int way;
  ~waits_in_destructor() {
    CHECK_EQ(std::uncaught_exceptions(), 1);
    waits(way);
    CHECK_EQ(std::uncaught_exceptions(), 1);
  }
};

static void one_round(int id, int way) {
  try {
    try {
      waits_in_destructor d{way};
      throw std::runtime_error(std::to_string(id));
    } catch (const std::exception &) {
      waits(way + 1);
      try {
        gomax::go([&]() -> int {
          waits(way);
          throw std::logic_error(std::to_string(-id));
        }).join();
      } catch (const std::logic_error &inner) {
        waits(way + 2);
        CHECK_EQ(std::atoi(inner.what()), -id);
      }
      std::exception_ptr kept = std::current_exception();
      waits(way + 3);
      CHECK(kept == std::current_exception());
      throw;
    }
  } catch (const std::runtime_error &e) {
    waits(way + 4);
    CHECK_EQ(std::atoi(e.what()), id);
  }
  CHECK(std::current_exception() == nullptr && std::uncaught_exceptions() == 0);
}

static void exceptions_move_with_their_goroutine() {
  int procs = gomax::set_procs(4);
  std::atomic<bool> enough{false};
  gomax::scope s;
  for (int id = 1; id <= 20; id++) {
    s.go([&, id] {
      for (int i = 0; i < 100 || !enough; i++) one_round(id, i);
    });
  }
  spin_until(moves.load() > 100);  // otherwise nothing is shown
  enough = true;
  s.leave();
  gomax::set_procs(procs);
}

int main() {
  RUN(syscalls);
  RUN(classes);
  RUN(worlds);
  RUN(threads);
  RUN(g_locals);
  RUN(p_locals);
  RUN(parks);
  RUN(numbers);
  RUN(exceptions_move_with_their_goroutine);
  RUN(ends_clean);
}
