// gomax.hpp against the C calls beneath it, on one P. Each round runs every case in C and in C++; the result is the
// medians of both.
//
//     g++ -std=c++17 -O2 -Iinclude bindings/cpp/bench.cpp -o bench -pthread -lgomax && ./bench [ROUNDS]
#include <gomax.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace c {

static void must(gmx_status s) {
  if (s != GMX_OK) std::abort();
}

static void add(void *arg) { ++*static_cast<long *>(arg); }
static void spawn_join(long n) {
  long sum = 0;
  for (long i = 0; i < n; i++) {
    gmx_spawn_opts o{};
    o.struct_size = sizeof o;
    o.flags = GMX_SPAWN_JOINABLE;
    gmx_g g;
    must(gmx_spawn_with(&o, add, &sum, &g));
    must(gmx_join(g, GMX_FOREVER));
  }
}

static void done(void *arg) { gmx_waitgroup_done(static_cast<gmx_waitgroup *>(arg)); }
static void spawn(long n) {
  gmx_waitgroup wg{};
  for (long i = 0; i < n; i++) {
    gmx_waitgroup_add(&wg, 1);
    must(gmx_spawn(done, &wg));
    if (i % 32 == 31) gmx_waitgroup_wait(&wg);
  }
  gmx_waitgroup_wait(&wg);
}

struct pair {
  gmx_chan *there, *back;
  long n;
};
static void pong(void *arg) {
  pair &p = *static_cast<pair *>(arg);
  for (long i = 0, v; i < p.n; i++) {
    must(gmx_chan_recv(p.there, &v));
    must(gmx_chan_send(p.back, &v));
  }
}
static void ping_pong(long n) {
  pair p{nullptr, nullptr, n};
  must(gmx_chan_new(sizeof(long), 0, &p.there));
  must(gmx_chan_new(sizeof(long), 0, &p.back));
  gmx_spawn_opts o{};
  o.struct_size = sizeof o;
  o.flags = GMX_SPAWN_JOINABLE;
  gmx_g g;
  must(gmx_spawn_with(&o, pong, &p, &g));
  for (long i = 0, v; i < n; i++) {
    must(gmx_chan_send(p.there, &i));
    must(gmx_chan_recv(p.back, &v));
  }
  must(gmx_join(g, GMX_FOREVER));
  gmx_chan_free(p.there);
  gmx_chan_free(p.back);
}

static void buffered(long n) {
  gmx_chan *ch;
  must(gmx_chan_new(sizeof(long), 1, &ch));
  for (long i = 0, v; i < n; i++) {
    must(gmx_chan_send(ch, &i));
    must(gmx_chan_recv(ch, &v));
  }
  gmx_chan_free(ch);
}

static void pointers(long n) {
  gmx_chan *ch;
  must(gmx_chan_new(sizeof(long *), 1, &ch));
  for (long i = 0; i < n; i++) {
    long *p = new long(i);
    must(gmx_chan_send(ch, &p));
    must(gmx_chan_recv(ch, &p));
    delete p;
  }
  gmx_chan_free(ch);
}

static void mutex(long n) {
  gmx_mutex m{};
  for (long i = 0; i < n; i++) {
    gmx_mutex_lock(&m);
    gmx_mutex_unlock(&m);
  }
}

static void select(long n) {
  gmx_chan *a, *b;
  must(gmx_chan_new(sizeof(long), 1, &a));
  must(gmx_chan_new(sizeof(long), 1, &b));
  for (long i = 0, v; i < n; i++) {
    gmx_select_case cases[2] = {};
    cases[0].chan = a;
    cases[0].elem = &i;
    cases[0].op = GMX_CASE_SEND;
    cases[1].chan = b;
    cases[1].elem = &v;
    std::size_t chosen;
    must(gmx_select(cases, 2, GMX_FOREVER, &chosen));
    must(gmx_chan_recv(a, &v));
  }
  gmx_chan_free(a);
  gmx_chan_free(b);
}

static gmx_status child(void *arg) {
  ++*static_cast<long *>(arg);
  return GMX_OK;
}
static void scope(long n) {
  long sum = 0;
  for (long i = 0; i < n; i += 10) {
    gmx_scope s;
    must(gmx_scope_new(GMX_FOREVER, &s));
    for (int j = 0; j < 10; j++) must(gmx_scope_spawn(s, child, &sum));
    must(gmx_scope_leave(s, GMX_FOREVER, nullptr));
  }
}

static void bracket(long n) {
  for (long i = 0; i < n; i++) {
    gmx_enter_syscall();
    gmx_exit_syscall();
  }
}

}  // namespace c

namespace cpp {

static void spawn_join(long n) {
  long sum = 0;
  for (long i = 0; i < n; i++) gomax::go([&sum] { ++sum; }).join();
}
static void spawn(long n) {
  gomax::wait_group wg;
  for (long i = 0; i < n; i++) {
    wg.add();
    gomax::spawn([&wg] { wg.done(); });
    if (i % 32 == 31) wg.wait();
  }
  wg.wait();
}
static void ping_pong(long n) {
  gomax::channel<long> there, back;
  auto pong = gomax::go([&] {
    for (long i = 0; i < n; i++) back.send(*there.receive());
  });
  for (long i = 0; i < n; i++) {
    there.send(i);
    static_cast<void>(*back.receive());
  }
  pong.join();
}
static void buffered(long n) {
  gomax::channel<long> ch(1);
  for (long i = 0; i < n; i++) {
    ch.send(i);
    static_cast<void>(*ch.receive());
  }
}
static void pointers(long n) {
  gomax::channel<std::unique_ptr<long>> ch(1);
  for (long i = 0; i < n; i++) {
    ch.send(std::make_unique<long>(i));
    static_cast<void>(*ch.receive());
  }
}
static void mutex(long n) {
  gomax::mutex m;
  for (long i = 0; i < n; i++) std::lock_guard<gomax::mutex> held(m);
}
static void select(long n) {
  gomax::channel<long> a(1), b(1);
  for (long i = 0; i < n; i++) {
    gomax::select(gomax::on_send(a, i), gomax::on_receive(b));
    static_cast<void>(*a.receive());
  }
}
static void scope(long n) {
  long sum = 0;
  for (long i = 0; i < n; i += 10) {
    gomax::scope s;
    for (int j = 0; j < 10; j++) s.go([&sum] { ++sum; });
  }
}
static void bracket(long n) {
  for (long i = 0; i < n; i++) gomax::syscall_bracket in;
}

}  // namespace cpp

// CPU time of the process, so that the time of other processes does not count. It fits one P only: all of the process's
// work is then the case itself.
static double cpu_ns() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}
static double ns_each(void (*f)(long), long n) {
  double begin = cpu_ns();
  f(n);
  return (cpu_ns() - begin) / double(n);
}
static double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

int main(int argc, char **argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 101;
  struct {
    const char *name;
    void (*c)(long), (*cpp)(long);
    long n;
  } cases[] = {{"spawn + join", c::spawn_join, cpp::spawn_join, 4000},
               {"spawn, 32 at a time", c::spawn, cpp::spawn, 4000},
               {"channel ping-pong, there and back", c::ping_pong, cpp::ping_pong, 4000},
               {"buffered send + receive", c::buffered, cpp::buffered, 10000},
               {"the same with owned pointers", c::pointers, cpp::pointers, 10000},
               {"mutex lock + unlock", c::mutex, cpp::mutex, 20000},
               {"select of two + receive", c::select, cpp::select, 4000},
               {"scope of ten, each", c::scope, cpp::scope, 4000},
               {"syscall bracket", c::bracket, cpp::bracket, 10000}};
  gomax::config one;
  one.procs = 1;
  gomax::run(one, [&] {
    std::printf("%-36s %8s %8s\n", "ns", "C", "C++");
    for (auto &k : cases) {
      std::vector<double> in_c, in_cpp;
      for (int r = 0; r <= rounds; r++) {
        double a = ns_each(k.c, k.n), b = ns_each(k.cpp, k.n);
        if (r == 0) continue;  // cold
        in_c.push_back(a);
        in_cpp.push_back(b);
      }
      std::printf("%-36s %8.1f %8.1f\n", k.name, median(in_c), median(in_cpp));
    }
  });
}
