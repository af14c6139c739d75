// Every operation of the header with the first allocation failing, then the second, until none does; then so with each
// copy, move and construction of its elements. Nothing leaks (alive, LeakSanitizer), nothing is destroyed twice, what
// was not sent is where it was, no goroutine stays behind.
//
//     failing [SECONDS]   for so long: with two failures, each distance between them
#include "faults.hpp"

#include <shared_mutex>
#include <string>
#include <vector>

#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

using gomax::on_receive;
using gomax::on_send;
using E = fragile;

// v, which was not sent, unless its way back broke.
static void not_sent(const E &v, int was) {
  if (faults::what != faults::ELEMENTS) CHECK_EQ(v.v(), was);
  else CHECK(v.v() == was || v.v() == -1);
}

static void channels() {
  gomax::channel<E> c(3), meet;
  c.send(E(1));
  E v(2);
  const E copied(3);
  try {
    CHECK(c.try_send(std::move(v)));
    c.send(copied);
  } catch (...) {
    CHECK(copied.v() == 3 && (c.size() > 1 || v.v() == 2 || v.v() == -1));
    throw;
  }
  CHECK_EQ(c.receive()->v(), 1);
  CHECK_EQ(c.try_receive()->v(), 2);
  auto other = gomax::async([c] { return c.receive_for(1h).value().v(); });
  CHECK_EQ(other.get(), 3);
  struct closed {
    const gomax::channel<E> &c;
    ~closed() { c.close(); }
  };
  auto sender = gomax::async([meet] {
    closed at_the_end{meet};
    meet.send(E(4));
    meet.send_for(E(5), 1h);
  });
  closed then{meet};
  int n = 4;
  for (auto &e : meet) CHECK_EQ(e.v(), n++);
  sender.get();
}

static void refused() {
  gomax::channel<E> full(1);
  full.send(E(1));
  E v(2);
  try {
    CHECK(!full.try_send(std::move(v)) && v.v() == 2);
    CHECK(!full.send_for(std::move(v), 1us) && v.v() == 2);
    CHECK(!full.send_until(std::move(v), gomax::clock::now()) && v.v() == 2);
    full.close();
    try {
      full.send(std::move(v));
      FAIL("it is closed");
    } catch (const gomax::closed &) {
    }
    CHECK_EQ(v.v(), 2);
  } catch (...) {
    not_sent(v, 2);
    throw;
  }
}

static void dropped() {
  gomax::channel<E> c(gomax::unbounded), closes(5);
  for (int i = 0; i < 5; i++) c.send(E(i)), closes.send(E(i));
  closes.close_drop();
  auto same = c, moved = std::move(same);
  gomax::channel<gomax::channel<E>> of_channels(1);
  of_channels.send(std::move(moved));
}

static void selects() {
  gomax::channel<E> a(1), b(1), full(1);
  full.send(E(0));
  E v(1), w(2), x(3);
  std::size_t i = 9;
  int sent = 0;
  try {
    i = gomax::select(on_send(full, std::ref(w)), on_send(a, std::ref(v), [&] { sent = 1; }), on_send(b, std::ref(x), [&] { sent = 2; }));
  } catch (...) {
    if (sent != 1) not_sent(v, 1);
    not_sent(w, 2);
    if (sent != 2) not_sent(x, 3);
    throw;
  }
  CHECK(i == 1 || i == 2);
  CHECK(int(i) == sent && w.v() == 2 && (i == 1 ? x : v).v() == (i == 1 ? 3 : 1));
  int got = 0;
  try {
    gomax::select(on_receive(a, [&](gomax::result<E> r) { got = r->v(); }), on_receive(b, [&](gomax::result<E> r) { got = r->v(); }),
                  on_send(full, std::ref(w)));
  } catch (...) {  // the way back of w: what was received is with its function all the same
    CHECK(got != 0 || a.size() + b.size() == 1);
    throw;
  }
  CHECK_EQ(got, i == 1 ? 1 : 3);
}

static void selects_with_values() {
  gomax::channel<E> c(1), full(1);
  full.send(E(0));
  const E copied(5);
  auto kept = on_send(c, E(4));
  CHECK_EQ(gomax::select(std::move(kept), on_send(full, copied), on_receive(gomax::channel<E>())), 0);
  auto receives = on_receive(c);
  CHECK_EQ(gomax::select(std::move(receives), on_send(full, E(6)), gomax::otherwise()), 0);
  CHECK_EQ(gomax::select(std::move(receives), on_send(full, E(7)), gomax::on_timeout(1us)), 2);
}

static void lists() {
  gomax::channel<E> in(2), out(1);
  in.send(E(1));
  in.send(E(2));
  E lent(3);
  gomax::select_list all;
  int got = 0;
  all.add(on_receive(in, [&, kept = E(9)](gomax::result<E> r) { got += r->v(); }));
  all.add(on_send(out, E(4)));
  all.add(on_send(gomax::channel<E>(), std::ref(lent)));
  all.add(gomax::otherwise());
  try {
    for (int i = 0; i < 3; i++) {
      if (all.select() == 1) all.set(1, on_receive(gomax::channel<E>(nullptr)));
    }
  } catch (...) {
    not_sent(lent, 3);
    throw;
  }
  CHECK(got == 3 && out.size() == 1 && lent.v() == 3);
}

static void results() {
  gomax::result<E> a(std::in_place, 1);
  gomax::result<E> b = std::move(a);
  a = std::move(b);
  CHECK_EQ(a->v(), 1);
  CHECK_EQ(E(a.value()).v(), 1);
  CHECK_EQ(std::move(a).value_or(E(2)).v(), 1);
}

static void tasks() {
  CHECK_EQ(gomax::go([c = E(1)] { return E(c.v()); }).join().v(), 1);
  CHECK_EQ(gomax::go([](E c, int n) { return c.v() + n; }, E(2), 3).join(), 5);
  CHECK_EQ(gomax::go([] { return E(4); }).join_for(1h)->v(), 4);
  gomax::spawn_options named;
  named.name = "named";
  gomax::go(named, [c = E(5)] { CHECK_EQ(c.v(), 5); });
  gomax::spawn([c = E(6), more = std::array<char, 200>()] { CHECK_EQ(c.v() + more[0], 6); });
  gomax::spawn(named, [](auto &&n) { CHECK_EQ(n, 7); }, 7);
}

static void futures() {
  CHECK_EQ(gomax::async([c = E(1)] { return E(c.v()); }).get().v(), 1);
  static_cast<void>(gomax::async([c = E(2)] { return E(c.v()); }));
  gomax::promise<E> p;
  auto f = p.get_future();
  try {
    p.set_value(3);
  } catch (...) {
    CHECK(!f.is_ready());
    throw;
  }
  CHECK_EQ(f.get().v(), 3);
  gomax::promise<E> q;
  q.set_exception(std::make_exception_ptr(4));
  auto one = gomax::async([] { return E(5); });
  auto both = gomax::when_all(std::move(one), gomax::async([c = E(6)] {})).get();
  CHECK_EQ(std::get<0>(both).get().v(), 5);
  std::vector<gomax::future<E>> many;
  for (int i = 0; i < 3; i++) many.push_back(gomax::async([i] { return E(i); }));
  auto first = gomax::when_any(std::move(many)).get();
  CHECK_EQ(first.futures[first.index].get().v(), int(first.index));
}

static void scopes() {
  gomax::channel<int> never;
  std::atomic<int> ended{0};
  struct all_end {
    std::atomic<int> &ended;
    int started = 0;
    ~all_end() { CHECK_EQ(ended.load(), started); }
  } check{ended};
  auto waits = [&, c = E(1)] {
    struct count {
      std::atomic<int> &n;
      ~count() { n++; }
    } count{ended};
    never.receive().value();
  };
  gomax::with_scope([&](gomax::scope &s) {
    s.go(waits), check.started++;
    s.go(std::ref(waits)), check.started++;
    auto result = s.async([](E c) { return c; }, E(2));
    CHECK_EQ(result.get().v(), 2);
    s.cancel();
  });
  gomax::scope plain;
  plain.go([c = E(3)] { E copied(c); });
  plain.leave();
}

static void counts() {
  gomax::wait_group wg;
  struct waited {
    gomax::wait_group &wg;
    ~waited() { wg.wait(); }
  } then{wg};
  wg.go([c = E(1)] { CHECK_EQ(c.v(), 1); });
  wg.go([](auto &&n) { CHECK_EQ(n, 2); }, 2);
  gomax::once once;
  once.call([] { E c(3); });
  once.call([] { FAIL("it was done"); });
}

static void timers() {
  gomax::after(0ms, [c = E(1)] { CHECK_EQ(c.v(), 1); });
  auto never = gomax::after(1h, [c = E(2)] { FAIL("it was stopped"); });
  CHECK(never.stop());
  gomax::timer t(1h), moved = std::move(t);
  auto c = gomax::after(0s);
  CHECK(c.receive());
  gomax::cancel_source s;
  gomax::on_cancel hook(s, [kept = E(3)] { CHECK_EQ(kept.v(), 3); });
  gomax::on_cancel stopped(s, [kept = E(4)] { FAIL("it was stopped"); });
  CHECK(stopped.stop());
  s.cancel();
  CHECK(!s.token().done().receive());
}

static void generators() {
  gomax::generator<E> g([c = E(1)](auto &yield) {
    for (int i = 0;; i++) yield(E(c.v() + i));
  });
  CHECK_EQ(g.next()->v(), 1);
  for (auto &e : g) {
    if (e.v() == 3) break;
  }
}

static void locals() {
  static gomax::g_local<E> of_g;
  gomax::p_local<E> of_p;
  gomax::go([&] {
    CHECK_EQ(of_g->v(), 0);
    *of_g = E(1);
    gomax::pin here;
    CHECK_EQ(of_p.of(here).v(), 0);
  }).join();
}

static void calls() {
  CHECK_EQ(gomax::run([c = E(1)] { return E(c.v()); }).v(), 1);
  CHECK_EQ(gomax::blocking([] { return E(2); }).v(), 2);
  gomax::blocking_class few(1);
  CHECK_EQ(few.run_for(1h, [] { return E(3); })->v(), 3);
  CHECK_EQ(gomax::callback([] { return E(4); }).v(), 4);
  gomax::for_each_p([] { E c(5); });
  {
    gomax::stopped_world nothing_runs;
    nothing_runs.for_each_g([](const gmx_g_info &) { E c(6); });
  }
  bool ended = false;
  {
    gomax::at_exit end([&, c = E(7)] { ended = c.v() == 7; });
  }
  CHECK(ended);
}

static void loops() {
  std::atomic<int> sum{0};
  gomax::parallel_for(8, [&](std::int64_t i) { sum += E(int(i)).v(); }, 1);
  CHECK_EQ(sum.load(), 28);
  E all = gomax::parallel_reduce(
      8, E(0), [](std::int64_t begin, std::int64_t) { return E(int(begin)); }, [](E a, E b) { return E(a.v() + b.v()); }, 1);
  CHECK_EQ(all.v(), 28);
}

static void conditions() {
  gomax::condition_variable_any c;
  gomax::rwmutex m;
  std::shared_lock<gomax::rwmutex> held(m);
  CHECK(!c.wait_for(held, 1us, [] { return E(1).v() == 2; }));
  c.notify_all();
  gomax::mutex plain;
  gomax::condition_variable one;
  std::unique_lock<gomax::mutex> lock(plain);
  CHECK(!one.wait_for(lock, 1us, [] { return E(1).v() == 2; }));
}

static void stops() {
#if defined(__cpp_lib_jthread)
  std::stop_source source;
  gomax::cancel_on_stop token(source.get_token());
  gomax::stop_on_cancel stop(token);
  source.request_stop();
  while (!stop.get_token().stop_requested()) gomax::yield();
#endif
}

#if defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
struct begun {
  struct promise_type {
    gomax::promise<E> end;
    begun get_return_object() { return {end.get_future()}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(E e) { end.set_value(std::move(e)); }
    void unhandled_exception() { end.set_exception(std::current_exception()); }
  };
  gomax::future<E> end;
};
static begun awaits(gomax::channel<E> c) {
  auto three = gomax::async([] { return E(3); });
  E sum = co_await std::move(three);
  while (auto e = co_await c) sum = E(sum.v() + e->v());
  co_return sum;
}
static void coroutines() {
  gomax::channel<E> c;
  auto job = awaits(c);
  try {
    while (!job.end.is_ready() && !c.send_for(E(4), 1ms)) {
    }
  } catch (...) {
    c.close();
    job.end.wait();
    throw;
  }
  c.close();
  CHECK_EQ(job.end.get().v(), 7);
}
#else
static void coroutines() {}
#endif

static const struct {
  const char *name;
  void (*run)();
} operations[] = {{"channels", channels}, {"refused", refused},     {"dropped", dropped},   {"selects", selects},
                  {"values", selects_with_values}, {"lists", lists}, {"results", results},   {"tasks", tasks},
                  {"futures", futures},   {"scopes", scopes},       {"counts", counts},     {"timers", timers},
                  {"generators", generators}, {"locals", locals},   {"calls", calls},       {"loops", loops},
                  {"conditions", conditions}, {"stops", stops},         {"coroutines", coroutines}};

static void all_end(int before) {
  // a goroutine that was started lets go by itself
  spin_until(fragile::alive.load() == before && gomax::num_g() == 0);
}

static void each_failure(faults::kind kind, long distance) {
  for (auto &op : operations) {
    check_running = op.name;
    op.run();  // what is made once is made now
    all_end(op.run == locals ? fragile::alive.load() : 0);
    const int before = fragile::alive.load();  // what stays with a thread or a P
    long n = 0;
    while (faults::during(kind, n, distance, op.run)) {
      all_end(before);
      CHECK(++n < 300);
    }
    all_end(before);
    if (distance < 0) check_say("  %s: %ld failed", op.name, n);
  }
}

static void allocations_fail() { each_failure(faults::ALLOCATIONS, -1); }
static void elements_throw() { each_failure(faults::ELEMENTS, -1); }

// The values that are left in a channel are destroyed without a move.
static void drained_without_moves() {
  gomax::channel<E> c(5);
  for (int i = 0; i < 5; i++) c.send(E(i));
  CHECK(!faults::during(faults::ELEMENTS, 0, -1, [&] { c = nullptr; }));
  CHECK_EQ(fragile::alive.load(), 0);
}
// What was received arrives without a move.
static void received_without_moves() {
  gomax::channel<E> c(5);
  for (int i = 0; i < 5; i++) c.send(E(i));
  CHECK(!faults::during(faults::ELEMENTS, 0, -1, [&] {
    auto r = c.receive(), moved = std::move(r);
    r = c.try_receive();
    for (auto &e : c) {
      if (e.v() == 2) break;
    }
    gomax::select(on_receive(c, [&](gomax::result<E> got) { r = std::move(got); }));
    CHECK(moved->v() == 0 && r->v() == 3);
  }));
}

int main(int, char **argv) {
  RUN(drained_without_moves);
  RUN(received_without_moves);
  RUN(allocations_fail);
  RUN(elements_throw);
  if (argv[1] != nullptr) {
    const auto end = gomax::clock::now() + std::chrono::seconds(std::atoi(argv[1]));
    for (long distance = 0; gomax::clock::now() < end; distance = (distance + 1) % 40) {
      alarm(120);
      each_failure(faults::ALLOCATIONS, distance);
      each_failure(faults::ELEMENTS, distance);
    }
  }
  check_running = "shutdown";
  gomax::shutdown();
}
