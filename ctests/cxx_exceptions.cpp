/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/*
 * C++ keeps the exceptions that are being handled per thread. In the library they move with the G: a G may park in a
 * catch block, move to another thread, and throw its own caught exception again, not the exception of another G.
 */
#include "gs.h"

#include <exception>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>

namespace {

uint32_t never;
long moves, stop;

__attribute__((__noinline__)) long tid() { return syscall(SYS_gettid); }

struct counted : std::runtime_error {
  static int alive;
  int id;
  explicit counted(int id) : std::runtime_error("counted " + std::to_string(id)), id(id) { bump(&alive); }
  counted(const counted &other) : std::runtime_error(other), id(other.id) { bump(&alive); }
  ~counted() override { __atomic_fetch_sub(&alive, 1, __ATOMIC_ACQ_REL); }
};
int counted::alive;

__attribute__((__noinline__)) void parks(int i) {
  long thread = tid();
  switch (i % 4) {
    case 0:
      CHECK_OK(gmx_yield());
      break;
    case 1:
      CHECK_OK(gmx_sleep(1000));
      break;
    case 2:
      CHECK_STATUS(gmx_sema_acquire_timeout(&never, 1), GMX_ETIMEDOUT);
      break;
    default:
      CHECK_OK(gmx_enter_syscall_blocking());
      CHECK_OK(gmx_exit_syscall());
  }
  if (tid() != thread) __atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED);
}

__attribute__((__noinline__)) void is_handling(int id) {
  try {
    std::rethrow_exception(std::current_exception());
  } catch (const counted &e) {
    CHECK_EQ(e.id, id);
  }
}

/* Parks in its catch block, in one within it, and while an exception flies past. */
struct parks_in_destructor {
  int i;
  ~parks_in_destructor() {
    CHECK_EQ(std::uncaught_exceptions(), 1);
    parks(i);
    CHECK_EQ(std::uncaught_exceptions(), 1);
  }
};

void one_round(int id, int i) {
  CHECK_EQ(std::uncaught_exceptions(), 0);
  CHECK(!std::current_exception());
  try {
    try {
      try {
        parks_in_destructor guard{i};
        throw counted(id);
      } catch (const counted &outer) {
        CHECK_EQ(outer.id, id);
        parks(i + 1);
        is_handling(id);
        try {
          throw counted(id + 1000000);
        } catch (const counted &inner) {
          parks(i + 2);
          CHECK_EQ(inner.id, id + 1000000);
          is_handling(id + 1000000);
        }
        parks(i + 3);
        is_handling(id);
        throw;
      }
    } catch (const std::runtime_error &e) {
      parks(i);
      std::string what = "counted " + std::to_string(id);
      CHECK_STR(e.what(), what.c_str());
      throw;
    }
  } catch (const counted &e) {
    parks(i + 1);
    CHECK_EQ(e.id, id);
  }
  CHECK(!std::current_exception());
}

void throws_and_parks(void *arg) {
  int id = *static_cast<int *>(arg);
  for (int i = 0; i < 100 || !load(&stop); i++) one_round(id, i);
}

void many_gs_throw_at_once() {
  enum { GS = 30 };
  int ids[GS];
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    ids[i] = i;
    gs[i] = go_joinable(throws_and_parks, &ids[i]);
  }
  spin_until(__atomic_load_n(&moves, __ATOMIC_RELAXED) > 100); /* otherwise the test shows nothing */
  store(&stop, 1);
  join_all(gs, GS);
  CHECK_EQ(load(&counted::alive), 0);
}

void attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  throws_and_parks(arg);
  CHECK_OK(gmx_detach_thread());
}
void in_callback(void *arg) { CHECK_OK(gmx_callback(throws_and_parks, arg)); }

/* A foreign thread calls in from a catch block: its G does not see that exception, and the thread has it again
 * after. */
void in_a_catch_block(void *arg) {
  try {
    throw counted(-1);
  } catch (const counted &e) {
    CHECK_OK(gmx_sleep(1000));
    CHECK_EQ(e.id, -1);
    is_handling(-1);
    CHECK_OK(gmx_callback([](void *) { CHECK_OK(gmx_yield()); }, arg));
    is_handling(-1);
  }
}

void threads_too() {
  int id = 4711;
  on_thread(attached, &id);
  on_thread(in_callback, &id);
  on_thread(in_a_catch_block, &id);
  CHECK_EQ(load(&counted::alive), 0);
}

void exits_in_a_catch_block(void *arg) {
  try {
    throw counted(1);
  } catch (...) {
    std::exception_ptr kept = std::current_exception();
    *static_cast<std::exception_ptr *>(arg) = kept;
    parks(0);
  }
}

/* One G hands its exception to another. */
void an_exception_changes_hands() {
  std::exception_ptr e;
  on_g(exits_in_a_catch_block, &e);
  CHECK(e != nullptr);
  on_g([](void *arg) {
    try {
      std::rethrow_exception(*static_cast<std::exception_ptr *>(arg));
    } catch (const counted &got) {
      CHECK_EQ(got.id, 1);
    }
  }, &e);
  e = nullptr;
  CHECK_EQ(load(&counted::alive), 0);
}

/* A G may end in the middle of a catch block. Its exception is lost; a later G on the same stack or with the same
 * descriptor has none. */
void an_end_in_a_catch_block_is_forgotten() {
  on_g([](void *) {
    static int left;
    for (int round = 0; round < 200; round++) {
      store(&left, 20);
      for (int i = 0; i < 20; i++) {
        CHECK_OK(gmx_spawn([](void *arg) {
          CHECK(!std::current_exception());
          CHECK_EQ(std::uncaught_exceptions(), 0);
          if (gmx_goid() % 3 == 0) CHECK_OK(gmx_yield());
          CHECK(!std::current_exception());
          __atomic_fetch_sub(static_cast<int *>(arg), 1, __ATOMIC_ACQ_REL);
          if (gmx_goid() % 2 == 0) return;
          try {
            throw 1;
          } catch (int) {
            gmx_goexit();
          }
        }, &left));
      }
      while (load(&left)) CHECK_OK(gmx_yield());
    }
  }, nullptr);
}

}  // namespace

int main() {
  RUN(many_gs_throw_at_once);
  RUN(threads_too);
  RUN(an_exception_changes_hands);
  RUN(an_end_in_a_catch_block_is_forgotten);
  RUN(ends_clean);
  return 0;
}
