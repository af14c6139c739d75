// What the C++ tests share: the checks of ctests, values that count themselves, and the memory that was asked for.
#ifndef GOMAX_TESTS_HPP
#define GOMAX_TESTS_HPP

#include <gomax.hpp>

#include "gs.h"
#undef load  // std::atomic has members of these names
#undef store

#include <cstdlib>
#include <string>

using namespace std::chrono_literals;

// A C function of the caller's stack: F is called once, and what it throws must be an E with this status.
template <class E = gomax::error, class F>
void check_throws(gmx_status status, F &&f, const char *file, int line) {
  try {
    f();
  } catch (const E &e) {
    if (e.status() == status) return;
    check_say("%s:%d: it threw %s, not %s", file, line, gmx_err_name(e.status()), gmx_err_name(status));
    _exit(1);
  }
  check_say("%s:%d: it threw nothing", file, line);
  _exit(1);
}
#define CHECK_THROWS(status, ...) check_throws(status, [&] { __VA_ARGS__; }, __FILE__, __LINE__)
#define CHECK_THROWS_A(type, status, ...) check_throws<type>(status, [&] { __VA_ARGS__; }, __FILE__, __LINE__)

// Moves, never copies, has no default, knows how many there are and where it lies: a move by bytes shows.
class counted {
 public:
  explicit counted(int v) : v_(v), at_(this) { alive.fetch_add(1); }
  counted(counted &&other) noexcept : v_(other.v_), at_(this) {
    CHECK(other.at_ == &other);
    other.v_ = -1;
    alive.fetch_add(1);
  }
  counted &operator=(counted &&other) noexcept {
    CHECK(at_ == this && other.at_ == &other);
    v_ = other.v_;
    other.v_ = -1;
    return *this;
  }
  ~counted() {
    CHECK(at_ == this);
    alive.fetch_sub(1);
  }
  int v() const {
    CHECK(at_ == this);
    return v_;
  }
  inline static std::atomic<int> alive{0};

 private:
  int v_;
  counted *at_;
};

// A value that bytes may move.
struct handle {
  explicit handle(int n) : v(std::make_unique<int>(n)), token(1) {}
  handle(handle &&) noexcept = default;
  handle &operator=(handle &&) noexcept = default;
  std::unique_ptr<int> v;
  std::unique_ptr<int> unused;
  int token;
};
template <>
struct gomax::relocatable<handle> : std::true_type {};

inline thread_local long allocations;  // of this thread; read with no wait in between

#endif
