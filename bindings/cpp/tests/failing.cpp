// Each move of a value may throw, and each allocation may fail: nothing leaks, nothing is destroyed twice, and what was not sent
// is where it was.
#include "tests.hpp"

#include <shared_mutex>

// Fails when it has been asked for so often on this thread; negative: never.
static thread_local long allocations_left = -1;

[[gnu::noinline]] void *operator new(std::size_t n) {
  void *p = allocations_left == 0 ? nullptr : std::malloc(n);
  if (p == nullptr) throw std::bad_alloc();
  if (allocations_left > 0) allocations_left--;
  return p;
}
[[gnu::noinline]] void operator delete(void *p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void *p, std::size_t) noexcept { std::free(p); }

struct broke {};

// Its moves throw, on the thread that is told so, when so many are done.
class fragile {
 public:
  explicit fragile(int v) : v_(v), at_(this) { alive++; }
  fragile(fragile &&other) : at_(this) {
    CHECK(other.at_ == &other);
    move();
    v_ = std::exchange(other.v_, -1);
    alive++;
  }
  fragile &operator=(fragile &&other) {
    CHECK(at_ == this && other.at_ == &other);
    move();
    v_ = std::exchange(other.v_, -1);
    return *this;
  }
  ~fragile() {
    CHECK(at_ == this);
    alive--;
  }
  int v() const { return v_; }
  inline static std::atomic<int> alive{0};

 private:
  void move() {
    if (moves_left == 0) throw broke{};
    if (moves_left > 0) moves_left--;
  }
  int v_;
  fragile *at_;

 public:
  inline static thread_local int moves_left = -1;
};

// f with the first move failing, then the second, until none does. Afterwards nothing more is alive than before.
template <class F>
static void each_move(F f) {
  for (int n = 0;; n++) {
    const int before = fragile::alive.load();
    bool threw = false;
    fragile::moves_left = n;
    try {
      f();
    } catch (const broke &) {
      threw = true;
    }
    fragile::moves_left = -1;
    spin_until(fragile::alive.load() == before);  // a goroutine may let go of its result last
    CHECK(n < 100);
    if (!threw) return;
  }
}

static void moves_throw() {
  each_move([] {
    gomax::channel<fragile> c(3);
    c.send(fragile(1));
    fragile v(2);
    CHECK(c.try_send(std::move(v)));
    CHECK_EQ(c.receive()->v(), 1);
    CHECK_EQ(c.try_receive()->v(), 2);
  });
  each_move([] {  // what comes back
    gomax::channel<fragile> full(1);
    full.send(fragile(1));
    fragile v(2);
    CHECK(!full.try_send(std::move(v)) && v.v() == 2);
    CHECK(!full.send_for(std::move(v), 1us) && v.v() == 2);
    CHECK(!full.send_until(std::move(v), gomax::clock::now()) && v.v() == 2);
    full.close();
    CHECK_THROWS_A(gomax::closed, GMX_ECLOSED, full.send(std::move(v)));
    CHECK_EQ(v.v(), 2);
  });
  each_move([] {  // several cases: those that are not chosen come back too
    gomax::channel<fragile> a(1), b(1), full(1);
    full.send(fragile(0));
    fragile v(1), w(2), x(3);
    std::size_t i = gomax::select(gomax::on_send(full, std::move(w)), gomax::on_send(a, std::move(v)), gomax::on_send(b, std::move(x)));
    CHECK(i == 1 || i == 2);
    CHECK_EQ(w.v(), 2);
    CHECK_EQ((i == 1 ? x : v).v(), i == 1 ? 3 : 1);
    int got = 0;
    gomax::select(gomax::on_receive(a, [&](gomax::result<fragile> r) { got = r->v(); }),
                  gomax::on_receive(b, [&](gomax::result<fragile> r) { got = r->v(); }), gomax::on_send(full, std::move(w)));
    CHECK_EQ(got, i == 1 ? 1 : 3);
    CHECK_EQ(w.v(), 2);
  });
  each_move([] { CHECK_EQ(gomax::go([] { return fragile(4); }).join().v(), 4); });
  each_move([] {
    auto f = gomax::async([] { return fragile(5); });
    CHECK_EQ(f.get().v(), 5);
  });
  each_move([] {
    gomax::promise<fragile> p;
    auto f = p.get_future();
    p.set_value(fragile(6));
    CHECK_EQ(f.get().v(), 6);
  });
  each_move([] {
    gomax::go([v = fragile(7)] { CHECK_EQ(v.v(), 7); }).join();
    auto f = gomax::async([v = fragile(8)] { CHECK_EQ(v.v(), 8); });
    f.get();
    gomax::scope s;
    s.go([v = fragile(9)] { CHECK_EQ(v.v(), 9); });
  });
  CHECK_EQ(fragile::alive.load(), 0);
}

// The values that are left in a channel are destroyed without a move.
static void drained_without_moves() {
  {
    gomax::channel<fragile> c(5);
    for (int i = 0; i < 5; i++) c.send(fragile(i));
    fragile::moves_left = 0;
  }
  fragile::moves_left = -1;
  CHECK_EQ(fragile::alive.load(), 0);
}

// f with the first allocation of this thread failing, then the second, until none does.
template <class F>
static void each_allocation(F f) {
  for (long n = 0;; n++) {
    bool failed = false;
    allocations_left = n;
    try {
      f();
    } catch (const std::bad_alloc &) {
      failed = true;
    }
    allocations_left = -1;
    spin_until(counted::alive.load() == 0);  // a goroutine that was started ends by itself
    CHECK(n < 100);
    if (!failed) return;
  }
}

static void allocations_fail() {
  each_allocation([] { CHECK_EQ(gomax::go([c = counted(1)] { return counted(c.v()); }).join().v(), 1); });
  each_allocation([] { CHECK_EQ(gomax::async([c = counted(1)] { return counted(c.v()); }).get().v(), 1); });
  each_allocation([] {
    gomax::promise<counted> p;
    auto f = p.get_future();
    p.set_value(2);
    CHECK_EQ(f.get().v(), 2);
  });
  each_allocation([] {
    gomax::channel<counted> c(2), d(1);
    counted v(3), w(4);
    try {
      c.send(std::move(v));
      gomax::select(gomax::on_send(d, std::move(w)), gomax::on_send(c, counted(5)));
    } catch (const std::bad_alloc &) {
      CHECK(w.v() == 4 && (v.v() == 3 || c.size() == 1));
      throw;
    }
    CHECK_EQ(c.receive()->v(), 3);
  });
  each_allocation([] { gomax::spawn([c = counted(6), more = std::array<char, 200>()] { CHECK_EQ(c.v() + more[0], 6); }); });
  each_allocation([] {
    gomax::scope s;
    s.go([c = counted(7)] { CHECK_EQ(c.v(), 7); });
    s.go([c = counted(7)] { CHECK_EQ(c.v(), 7); });
  });
  each_allocation([] {
    gomax::wait_group wg;
    wg.go([c = counted(8)] { CHECK_EQ(c.v(), 8); });
    wg.wait();
  });
  each_allocation([] {
    gomax::after(0ms, [c = counted(9)] { CHECK_EQ(c.v(), 9); });
    gomax::cancel_source s;
    gomax::on_cancel hook(s, [c = counted(10)] { CHECK_EQ(c.v(), 10); });
    s.cancel();
  });
  each_allocation([] {
    gomax::generator<counted> g([c = counted(11)](auto &yield) { yield(counted(c.v())); });
    CHECK_EQ(g.next()->v(), 11);
  });
  each_allocation([] {
    gomax::condition_variable_any c;
    gomax::rwmutex m;
    std::shared_lock<gomax::rwmutex> held(m);
    CHECK(c.wait_for(held, 1us) == std::cv_status::timeout);
  });
}

int main() {
  RUN(moves_throw);
  RUN(drained_without_moves);
  RUN(allocations_fail);
  RUN(ends_clean);
}
