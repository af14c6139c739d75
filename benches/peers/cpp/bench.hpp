// The cases of ../../gmxbench.c for runtimes with a C++ interface, under the same names and with the same parameters.
//
//     PROGRAM CASE WORKERS N [M]     prints key=value pairs
//     PROGRAM --list                 prints its cases, each with the largest N that it can do (0: any)
//
// An adapter gives: run(workers, f), go(f), yield(), sleep_ms(ms), Mutex{lock, unlock}, Cond{wait(Mutex &),
// notify_all}, Chan{send, recv}, and `cases`.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

using Cases = std::vector<std::pair<const char *, long>>;

inline double now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * double(t.tv_sec) + double(t.tv_nsec);
}

inline double cpu_ns() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return 1e9 * double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e3 * double(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

inline long status_kb(const char *key) {
  char line[256];
  long value = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key) + 1);
  if (f) fclose(f);
  return value;
}

inline double begin_ns, begin_cpu;
inline void start() {
  begin_cpu = cpu_ns();
  begin_ns = now_ns();
}
inline void report_each(double operations) {
  double ns = (now_ns() - begin_ns) / operations, cpu = (cpu_ns() - begin_cpu) / operations;
  printf("ns=%.2f cpu_ns=%.2f rss_mb=%ld\n", ns, cpu, status_kb("VmHWM") / 1024);
}
inline void report_whole() {
  double ms = (now_ns() - begin_ns) / 1e6, cpu = (cpu_ns() - begin_cpu) / 1e6;
  printf("ms=%.3f cpu_ms=%.1f rss_mb=%ld threads=%ld\n", ms, cpu, status_kb("VmHWM") / 1024, status_kb("Threads"));
}

// The leftovers of a case need not be freed, and with some runtimes cannot be.
[[noreturn]] inline void finish(int status = 0) {
  fflush(stdout);
  _exit(status);
}
[[noreturn]] inline void wrong(const char *what) {
  fprintf(stderr, "%s\n", what);
  finish(1);
}

inline int64_t fib_of(long k) {
  int64_t a = 0, b = 1;
  for (; k > 0; k--) b += std::exchange(a, b);
  return a;
}

inline int list(const Cases &cases) {
  for (auto &[name, most] : cases) printf("%s %ld\n", name, most);
  return 0;
}

template <class RT> struct Bench {
  // From the runtime's own mutex and condition, where it has no wait group of its own. The count comes first: only the
  // last one takes the lock.
  class WaitGroup {
    std::atomic<long> left;
    typename RT::Mutex mutex;
    typename RT::Cond cond;
    bool over = false;

  public:
    explicit WaitGroup(long n) : left(n) {}
    void done() {
      if (left.fetch_sub(1) != 1) return;
      mutex.lock();
      over = true;
      cond.notify_all();
      mutex.unlock();
    }
    void wait() {
      mutex.lock();
      while (!over) cond.wait(mutex);
      mutex.unlock();
    }
  };

  static void skynet_node(WaitGroup *up, std::atomic<int64_t> *out, int64_t first, int64_t size) {
    if (size == 1) {
      out->fetch_add(first, std::memory_order_relaxed);
    } else {
      WaitGroup children(10);
      std::atomic<int64_t> sum{0};
      for (int64_t i = 0; i < 10; i++)
        RT::go([&children, &sum, first, size, i] { skynet_node(&children, &sum, first + i * (size / 10), size / 10); });
      children.wait();
      out->fetch_add(sum, std::memory_order_relaxed);
    }
    up->done();
  }

  static int64_t fib_node(long k) {
    if (k < 2) return k;
    WaitGroup left(1);
    int64_t of_left = 0;
    RT::go([&left, &of_left, k] {
      of_left = fib_node(k - 1);
      left.done();
    });
    int64_t of_right = fib_node(k - 2);
    left.wait();
    return of_left + of_right;
  }

  static void yield(long n, long m) {
    WaitGroup all(m);
    start();
    for (long i = 0; i < m; i++)
      RT::go([&all, each = n / m] {
        for (long k = each; k; k--) RT::yield();
        all.done();
      });
    all.wait();
    report_each(double(n / m * m));
  }

  static void spawn_batches(long n, long m) {
    start();
    for (long k = 0; k < n / m; k++) {
      WaitGroup batch(m);
      for (long i = 0; i < m; i++) RT::go([&batch] { batch.done(); });
      batch.wait();
    }
    report_each(double(n / m * m));
  }

  static void skynet(long n, long) {
    WaitGroup root(1);
    std::atomic<int64_t> sum{0};
    start();
    RT::go([&] { skynet_node(&root, &sum, 0, n); });
    root.wait();
    report_whole();
    if (sum != n * (n - 1) / 2) wrong("wrong sum");
  }

  static void fib(long n, long) {
    start();
    int64_t result = fib_node(n);
    report_whole();
    if (result != fib_of(n)) wrong("wrong number");
  }

  static void chan_pingpong(long n, long) {
    typename RT::Chan there, back;
    WaitGroup partner(1);
    RT::go([&] {
      for (long i = n; i; i--) back.send(there.recv());
      partner.done();
    });
    start();
    for (long i = n; i; i--) {
      there.send(i);
      if (back.recv() != i) wrong("another value came back");
    }
    report_each(double(n));
    partner.wait();
  }

  static void mutex_contended(long n, long m) {
    typename RT::Mutex mutex;
    long guarded = 0;
    WaitGroup all(n);
    start();
    for (long i = 0; i < n; i++)
      RT::go([&, m] {
        for (long k = m; k; k--) {
          mutex.lock();
          *static_cast<volatile long *>(&guarded) = guarded + 1;
          mutex.unlock();
        }
        all.done();
      });
    all.wait();
    report_each(double(n) * double(m));
    if (guarded != n * m) wrong("the mutex does not exclude");
  }

  static void parked(long n, long) {
    WaitGroup started(n), gate(1);
    long before = status_kb("VmRSS");
    start();
    for (long i = 0; i < n; i++)
      RT::go([&] {
        started.done();
        gate.wait();
      });
    started.wait();
    double ns = (now_ns() - begin_ns) / double(n), cpu = (cpu_ns() - begin_cpu) / double(n);
    printf("ns=%.1f cpu_ns=%.1f rss_b=%.0f\n", ns, cpu, 1024 * double(status_kb("VmRSS") - before) / double(n));
    finish();
  }

  static void sleep_storm(long n, long) {
    std::vector<double> late(static_cast<size_t>(n));
    WaitGroup all(n);
    start();
    for (long i = 0; i < n; i++)
      RT::go([&, i] {
        long ms = 1 + long((uint64_t(i) * 2654435761u) % 1000);
        double at = now_ns();
        RT::sleep_ms(ms);
        late[size_t(i)] = now_ns() - at - 1e6 * double(ms);
        all.done();
      });
    all.wait();
    double ms = (now_ns() - begin_ns) / 1e6, cpu = (cpu_ns() - begin_cpu) / 1e6;
    std::sort(late.begin(), late.end());
    printf("ms=%.1f cpu_ms=%.1f p50_us=%.1f p99_us=%.1f rss_mb=%ld\n", ms, cpu, late[size_t(n / 2)] / 1e3,
           late[size_t(n * 99 / 100)] / 1e3, status_kb("VmHWM") / 1024);
  }

  static void syscall_blocking(long n, long m) {
    WaitGroup all(n);
    start();
    for (long i = 0; i < n; i++)
      RT::go([&all, m] {
        for (long k = m; k; k--) {
          timespec t = {0, 10000000};
          nanosleep(&t, nullptr);
        }
        all.done();
      });
    all.wait();
    report_whole();
  }

  static int main(int argc, char **argv) {
    static const std::pair<const char *, void (*)(long, long)> bodies[] = {
        {"yield", yield}, {"spawn_batches", spawn_batches}, {"skynet", skynet}, {"fib", fib}, {"chan_pingpong", chan_pingpong},
        {"mutex_contended", mutex_contended}, {"parked", parked}, {"sleep_storm", sleep_storm}, {"syscall_blocking", syscall_blocking},
    };
    if (argc == 2 && !strcmp(argv[1], "--list")) return list(RT::cases);
    for (auto &[name, body] : bodies) {
      if (argc < 4 || strcmp(argv[1], name)) continue;
      long n = atol(argv[3]), m = argc > 4 ? atol(argv[4]) : 1;
      RT::run(atoi(argv[2]), [body = body, n, m] {
        body(n, m);
        finish();
      });
    }
    fprintf(stderr, "usage: %s CASE WORKERS N [M]; %s --list\n", argv[0], argv[0]);
    return 2;
  }
};
