// The scenarios of docs/meaning.md in C++: without an argument their names, with a name the outcome of that one.
// ci/meaning.py compares.
#include <gomax.hpp>

#include <functional>
#include <iostream>
#include <string>

using namespace std::chrono_literals;
using std::string;

static const gomax::channel<int> never;  // nothing is ever sent there

// What comes out of f, in the words of the table.
template <class F>
static string outcome(F &&f) {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F &>>) {
      f();
      return "ok";
    } else {
      return f();
    }
  } catch (int failure) {
    return "failed " + std::to_string(failure);
  } catch (const gomax::canceled &) {
    return "canceled";
  } catch (const gomax::closed &) {
    return "closed";
  } catch (const gomax::error &e) {
    return e.status() == GMX_ETIMEDOUT ? "timeout" : "misuse";
  }
}
static string of(const gomax::result<int> &r) {
  if (r) return std::to_string(*r);
  return r.is_closed() ? "closed" : r.is_late() ? "timeout" : "not now";
}

static void wait() { never.receive().value(); }
static void wait_and_fail(int failure) {
  try {
    wait();
  } catch (const gomax::canceled &) {
    throw failure;
  }
}
// Until something waits at the channel, so that what comes next meets it there.
static void until_waiting(const gomax::channel<int> &c = never, std::size_t n = 1) {
  while (c.waiters().receivers < n) gomax::yield();
}
// Computes until the token of the caller is canceled: no wait that it could end.
static void compute() {
  while (!gomax::current_token().is_canceled()) gomax::safepoint();
}
// f while a helper cancels its token as soon as it waits.
template <class Waits, class F>
static auto canceled_meanwhile(Waits waits, F f) {
  gomax::cancel_source source;
  auto helper = gomax::async([&] {
    while (!waits()) gomax::yield();
    source.cancel();
  });
  struct ended {
    gomax::future<void> &helper;
    ~ended() { helper.wait(); }
  } then{helper};
  gomax::under heeded(source);
  return f();
}
template <class F>
static auto canceled_while_receiving(F f) {
  return canceled_meanwhile([] { return never.waiters().receivers > 0; }, f);
}

struct scenario {
  const char *name;
  std::function<string()> run;
};

// The body of a scope as the outcome of the whole.
template <class F>
static std::function<string()> scoped(F body) {
  return [body] { return outcome([&] { gomax::with_scope(body); }); };
}
template <class F>
static std::function<string()> until_deadline(F body) {
  return [body] { return outcome([&] { gomax::with_scope(10ms, body); }); };
}
// An inner scope in an outer one: the outcome of both.
template <class Outer>
static string inner_and_outer(Outer outer, void (*body)(gomax::scope &)) {
  string inner = "ok";
  string out = outcome([&] {
    outer([&] {
      try {
        gomax::with_scope(body);
      } catch (const gomax::error &e) {
        inner = e.status() == GMX_ECANCELED ? "canceled" : "timeout";
        throw;
      }
    });
  });
  return inner + ", " + out;
}
template <class F>
static void in_canceled_scope(F body) {
  gomax::with_scope([&](gomax::scope &outer) {
    outer.go([&] { until_waiting(), outer.cancel(); });
    body();
  });
}
template <class F>
static void in_late_scope(F body) {
  gomax::with_scope(10ms, [&](gomax::scope &) { body(); });
}

static const scenario scenarios[] = {
    {"scope-all-end", scoped([](gomax::scope &s) {
       for (int i = 0; i < 3; i++) s.go([] { gomax::yield(); });
     })},
    {"scope-child-fails", scoped([](gomax::scope &s) {
       s.go(wait);
       s.go([] { until_waiting(), throw 1; });
     })},
    {"scope-child-fails-body-waits", scoped([](gomax::scope &s) {
       s.go([] { until_waiting(), throw 1; });
       wait();
     })},
    {"scope-body-fails", scoped([](gomax::scope &s) {
       s.go(wait);
       until_waiting();
       throw 1;
     })},
    {"scope-first-failure", scoped([](gomax::scope &s) {
       s.go(wait_and_fail, 2);
       s.go([] { until_waiting(), throw 1; });
     })},
    {"scope-cancel-child", scoped([](gomax::scope &s) {
       s.go(wait);
       until_waiting();
       s.cancel();
     })},
    {"scope-cancel-body", scoped([](gomax::scope &s) {
       s.go([&] { until_waiting(), s.cancel(); });
       wait();
     })},
    {"scope-cancel-then-failure", scoped([](gomax::scope &s) {
       s.go(wait_and_fail, 1);
       until_waiting();
       s.cancel();
     })},
    {"scope-deadline-child", until_deadline([](gomax::scope &s) { s.go(wait); })},
    {"scope-deadline-body", until_deadline([](gomax::scope &) { wait(); })},
    {"scope-deadline-unneeded", until_deadline([](gomax::scope &s) { s.go(compute); })},
    {"scope-deadline-handled", until_deadline([](gomax::scope &s) {
       s.go([] {
         try {
           wait();
         } catch (const gomax::canceled &) {
         }
       });
     })},
    {"scope-deadline-and-failure", until_deadline([](gomax::scope &s) { s.go(wait_and_fail, 1); })},
    {"scope-deadline-meets-failure", until_deadline([](gomax::scope &s) {
       s.go(wait);
       s.go(wait_and_fail, 1);
       wait();
     })},
    {"scope-outer-canceled",
     [] { return inner_and_outer([](auto inner) { in_canceled_scope(inner); }, [](gomax::scope &) { wait(); }); }},
    {"scope-outer-deadline",
     [] { return inner_and_outer([](auto inner) { in_late_scope(inner); }, [](gomax::scope &) { wait(); }); }},
    {"scope-outer-deadline-child",
     [] { return inner_and_outer([](auto inner) { in_late_scope(inner); }, [](gomax::scope &s) { s.go(wait); }); }},
    {"scope-foreign-cancel", scoped([](gomax::scope &s) { s.go([] { canceled_while_receiving(wait); }); })},
    {"scope-go-after-leave",
     [] {
       gomax::scope s;
       s.leave();
       return outcome([&] { s.go([] {}); });
     }},
    {"scope-leave-pinned",
     [] {
       gomax::run([] {
         std::optional<gomax::pin> pinned;
         gomax::scope s;
         s.go(wait);
         pinned.emplace();
       });
       return string("ok");
     }},
    {"scope-result",
     [] {
       gomax::future<int> seven;
       gomax::with_scope([&](gomax::scope &s) { seven = s.async([] { return 7; }); });
       return std::to_string(seven.get());
     }},
    {"join-value", [] { return std::to_string(gomax::go([] { return 7; }).join()); }},
    {"join-failed", [] { return outcome([] { gomax::go([] { throw 1; }).join(); }); }},
    {"join-canceled",
     [] {
       gomax::spawn_options cancellable;
       cancellable.cancellable = true;
       auto waits = gomax::go(cancellable, wait);
       until_waiting();
       waits.cancel();
       return outcome([&] { waits.join(); });
     }},
    {"join-timeout",
     [] {
       gomax::semaphore release;
       auto waits = gomax::go([&] { return release.acquire(), 7; });
       string first = waits.join_for(1ms) ? "ok" : "timeout";
       release.release();
       return first + ", " + std::to_string(waits.join());
     }},
    {"recv-zero-timeout",
     [] {
       gomax::channel<int> c(1);
       string empty = of(c.receive_for(0s));
       c.send(7);
       return empty + ", " + of(c.receive_for(0s));
     }},
    {"recv-timeout", [] { return of(never.receive_for(1ms)); }},
    {"recv-past-moment", [] { return of(never.receive_until(std::chrono::system_clock::time_point::min())); }},
    {"recv-canceled", [] { return outcome([] { canceled_while_receiving(wait); }); }},
    {"recv-canceled-first",
     [] {
       gomax::cancel_source source;
       source.cancel();
       gomax::under heeded(source);
       return outcome(wait);
     }},
    {"recv-token-deadline",
     [] {
       gomax::cancel_source deadline(1ms);
       gomax::under heeded(deadline);
       string waited = outcome(wait);
       return waited + ", " + (deadline.is_late() ? "timeout" : "canceled");
     }},
    {"recv-closed",
     [] {
       gomax::channel<int> c;
       c.close();
       return of(c.receive());
     }},
    {"recv-left",
     [] {
       gomax::channel<int> c(1);
       c.send(7), c.close();
       string first = of(c.receive());
       return first + ", " + of(c.receive());
     }},
    {"recv-iterate",
     [] {
       gomax::channel<int> c(2);
       c.send(3), c.send(4), c.close();
       int sum = 0;
       for (int v : c) sum += v;
       return std::to_string(sum);
     }},
    {"send-closed",
     [] {
       gomax::channel<int> c(1);
       c.close();
       return outcome([&] { c.send(1); });
     }},
    {"send-timeout", [] { return gomax::channel<int>().send_for(1, 1ms) ? "ok" : "timeout"; }},
    {"close-twice",
     [] {
       gomax::channel<int> c;
       c.close();
       return c.close() ? "ok" : "closed";
     }},
    {"try-recv", [] { return of(never.try_receive()); }},
    {"try-send", [] { return never.try_send(1) ? "ok" : "not now"; }},
    {"select-default",
     [] {
       string got;
       gomax::select(gomax::on_receive(never), gomax::on_send(never, 1), gomax::otherwise([&] { got = "not now"; }));
       return got;
     }},
    {"select-timeout",
     [] {
       string got;
       gomax::select(gomax::on_receive(never), gomax::on_timeout(1ms, [&] { got = "timeout"; }));
       return got;
     }},
    {"select-closed",
     [] {
       gomax::channel<int> c;
       c.close();
       string got;
       gomax::select(gomax::on_receive(never), gomax::on_receive(c, [&](gomax::result<int> r) { got = of(r); }));
       return got;
     }},
    {"select-canceled",
     [] {
       return outcome([] { canceled_while_receiving([] { gomax::select(gomax::on_receive(never), gomax::on_send(gomax::channel<int>(), 1)); }); });
     }},
    {"select-even",
     [] {
       gomax::channel<int> a(2000), b(2000), other;
       for (int i = 0; i < 2000; i++) a.send(1), b.send(1);
       int of_a = 0, of_b = 0;
       gomax::select_list ten;
       for (int i = 0; i < 10; i++) {
         if (i == 2) ten.add(gomax::on_receive(a, [&] { of_a++; }));
         else if (i == 5) ten.add(gomax::on_receive(b, [&] { of_b++; }));
         else ten.add(gomax::on_receive(other));
       }
       for (int i = 0; i < 2000; i++) ten.select();
       auto fair = [](int n) { return 800 <= n && n <= 1200; };
       return fair(of_a) && fair(of_b) ? string("even") : std::to_string(of_a) + " : " + std::to_string(of_b);
     }},
    {"lock-canceled",
     [] {
       gomax::mutex m;
       gomax::cancel_source source;
       source.cancel();
       gomax::under heeded(source);
       bool taken;
       {
         std::lock_guard<gomax::mutex> held(m);
         taken = !m.try_lock();
       }
       return taken && m.try_lock() ? "ok" : "not taken, or not free";
     }},
    {"lock-body-fails",
     [] {
       gomax::mutex m;
       string failure = outcome([&] {
         std::lock_guard<gomax::mutex> held(m);
         throw 1;
       });
       return failure + ", " + (m.try_lock() ? "ok" : "not now");
     }},
    {"unlock-free", [] { return outcome([] { gomax::mutex().unlock(); }); }},
    {"unlock-foreign",
     [] {
       gomax::mutex m;
       m.lock();
       return gomax::go([&] { return outcome([&] { m.unlock(); }); }).join();
     }},
    {"waitgroup-below-zero", [] { return outcome([] { gomax::wait_group().done(); }); }},
    {"semaphore-canceled",
     [] {
       gomax::semaphore empty;
       return outcome([&] { canceled_meanwhile([&] { return empty.waiters() > 0; }, [&] { empty.acquire(); }); });
     }},
    {"shield",
     [] {
       gomax::cancel_source source;
       source.cancel();
       gomax::under heeded(source);
       string within;
       {
         gomax::shield clean_up;
         within = of(never.receive_for(1ms));
       }
       return within + ", " + outcome(wait);
     }},
    {"world-body-fails",
     [] {
       string failure = outcome([] {
         gomax::stopped_world nothing_runs;
         throw 1;
       });
       return failure + ", " + outcome([] { gomax::go([] {}).join(); });
     }},
    {"hook-fails",
     [] {
       gomax::cancel_source source;
       gomax::semaphore second;
       gomax::on_cancel fails(source, [] { throw 1; });
       source.cancel();
       while (gomax::num_g() > 0) gomax::yield();
       gomax::on_cancel runs(source, [&] { second.release(); });
       second.acquire();
       return "ok";
     }},
    {"once-fails",
     [] {
       gomax::once once;
       string first = outcome([&] { once.call([] { throw 1; }); });
       return first + ", " + outcome([&] { once.call([] { throw 2; }); });
     }},
};

int main(int, char **argv) {
  for (const scenario &s : scenarios) {
    if (argv[1] == nullptr) {
      std::cout << s.name << '\n';
    } else if (string(argv[1]) == s.name) {
      std::cout << s.run() << '\n';
    }
  }
}
