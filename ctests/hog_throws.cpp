/* timeout: 120 */
/* C++ exceptions in flight while the thread is held and another G has its P: three Gs on one P throw thousands of them
 * through frames whose destructors compute, and each handler catches the value that its own G threw. */
#include "beside.h"

#include <exception>
#include <stdexcept>
#include <string>

namespace {

enum { HOGS = 3, DEPTH = 6, SWITCHES = 60, LEAST = 2000 };

long thrown[HOGS], unwound[HOGS];

/* Long enough, now and then, to be interrupted in. */
void computes(long n) {
  for (volatile long i = 0; i < (n % 16 ? 50 : 200000); i = i + 1) continue;
}

struct carries {
  int me;
  long n;
  std::string text;
};

/* Runs while the exception is in flight. */
struct frame {
  int me;
  long n;
  frame(int me, long n) : me(me), n(n) {}
  ~frame() {
    CHECK_EQ(std::uncaught_exceptions(), 1);
    computes(n);
    CHECK_EQ(std::uncaught_exceptions(), 1);
    unwound[me]++;
  }
};

__attribute__((__noinline__)) void throws_from(int depth, int me, long n) {
  frame here(me, n + depth);
  if (depth == 0) throw carries{me, n, std::to_string(me) + " throws " + std::to_string(n)};
  throws_from(depth - 1, me, n);
}

void is_of(const carries &e, int me, long n) {
  CHECK_EQ(e.me, me);
  CHECK_EQ(e.n, n);
  CHECK(e.text == std::to_string(me) + " throws " + std::to_string(n));
}

/* Caught, thrown again, and caught once more; another one is thrown and caught within the handler. */
void throws_and_catches(int me, long n) {
  try {
    try {
      throws_from(DEPTH, me, n);
      FAIL("nothing was thrown");
    } catch (const carries &e) {
      CHECK_EQ(std::uncaught_exceptions(), 0);
      computes(n + 8);
      try {
        throw std::out_of_range(e.text);
      } catch (const std::logic_error &inner) {
        computes(n + 12);
        CHECK(inner.what() == e.text);
      }
      is_of(e, me, n);
      throw;
    }
  } catch (...) {
    std::exception_ptr kept = std::current_exception();
    computes(n + 4);
    CHECK(kept == std::current_exception());
    try {
      std::rethrow_exception(kept);
    } catch (const carries &e) {
      is_of(e, me, n);
    }
  }
  CHECK(std::current_exception() == nullptr);
  CHECK_EQ(std::uncaught_exceptions(), 0);
}

void is_a_hog(void *arg) {
  int me = *static_cast<int *>(arg);
  swap_begin();
  for (long n = 0; swap_on() || n < LEAST; n++) {
    throws_and_catches(me, n);
    thrown[me]++;
  }
}

void each_handler_gets_its_own_exception() {
  int numbers[HOGS];
  gmx_g hogs[HOGS];
  swap_start(HOGS, SWITCHES, 0);
  for (int i = 0; i < HOGS; i++) {
    numbers[i] = i;
    hogs[i] = go_joinable(is_a_hog, &numbers[i]);
  }
  join_all(hogs, HOGS);
  swap_end();
  for (int i = 0; i < HOGS; i++) {
    CHECK_CMP(thrown[i], >=, LEAST);
    CHECK_EQ(unwound[i], thrown[i] * (DEPTH + 1));
    check_say("  hog %d threw %ld times", i, thrown[i]);
  }
  gmx_sched_stats stats = sched_stats();
  CHECK_CMP(stats.seized, >, 0);
}

} // namespace

int main() {
  start_runtime(1, MS);
  RUN(each_handler_gets_its_own_exception);
  ends_clean();
  return 0;
}
