// Threads of the system, one for each task. One worker: all on one CPU.
#include "bench.hpp"
#include <functional>
#include <pthread.h>
#include <sched.h>

struct Pthreads {
  inline static const Cases cases = {{"yield", 500000},    {"spawn_batches", 20000}, {"chan_pingpong", 50000}, {"mutex_contended", 0},
                                     {"parked", 20000}, {"syscall_blocking", 0}};
  struct Mutex {
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    void lock() { pthread_mutex_lock(&m); }
    void unlock() { pthread_mutex_unlock(&m); }
  };
  struct Cond {
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    void wait(Mutex &m) { pthread_cond_wait(&c, &m.m); }
    void notify_all() { pthread_cond_broadcast(&c); }
  };
  // A channel with room for one value stands in for one without a buffer.
  struct Chan {
    Mutex m;
    Cond changed;
    bool full = false;
    int64_t value = 0;
    void send(int64_t v) {
      m.lock();
      while (full) changed.wait(m);
      value = v;
      full = true;
      changed.notify_all();
      m.unlock();
    }
    int64_t recv() {
      m.lock();
      while (!full) changed.wait(m);
      full = false;
      int64_t v = value;
      changed.notify_all();
      m.unlock();
      return v;
    }
  };
  template <class F> static void run(int workers, F f) {
    if (workers == 1) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(0, &one);
      sched_setaffinity(0, sizeof one, &one);
    }
    f();
  }
  static void *body(void *p) {
    auto *f = static_cast<std::function<void()> *>(p);
    (*f)();
    delete f;
    return nullptr;
  }
  template <class F> static void go(F f) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t t;
    if (pthread_create(&t, &attr, body, new std::function<void()>(std::move(f)))) wrong("no more threads");
    pthread_attr_destroy(&attr);
  }
  static void yield() { sched_yield(); }
  static void sleep_ms(long ms) { usleep(useconds_t(ms) * 1000); }
};

int main(int argc, char **argv) { return Bench<Pthreads>::main(argc, argv); }
