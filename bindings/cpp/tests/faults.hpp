// Failures on order: each allocation, or each operation of an element, counts, and one of them fails. Include it in one
// file of a program, since it replaces operator new.
#ifndef GOMAX_FAULTS_HPP
#define GOMAX_FAULTS_HPP

#include "tests.hpp"

struct broke {};

namespace faults {

enum kind { NONE, ALLOCATIONS, ELEMENTS };

// Set while nothing else runs; all threads count down.
inline std::atomic<kind> what{NONE};
inline std::atomic<long> left{0};   // until the next failure; below 0: no more of them
inline std::atomic<long> more{-1};  // between that and a second one
inline std::atomic<int> hits{0};

inline bool now(kind k) {
  if (what.load(std::memory_order_relaxed) != k || left.fetch_sub(1) != 0) return false;
  hits++;
  long again = more.exchange(-1);
  if (again >= 0) left = again;
  return true;
}

// f with the n-th of this kind failing, and the m-th after that, if m is not below 0. Whether one failed.
template <class F>
bool during(kind k, long n, long m, F &&f) {
  more = m;
  hits = 0;
  left = n;
  what = k;
  try {
    f();
  } catch (const broke &) {
    what = NONE;
    CHECK(k == ELEMENTS && hits > 0);
  } catch (const std::bad_alloc &) {
    what = NONE;
    CHECK(k == ALLOCATIONS && hits > 0);
  }
  what = NONE;
  return hits > 0;
}

// Never inlined: gcc would see malloc here and a delete there, and take it for a mistake.
[[gnu::noinline]] inline void *allocate(std::size_t n, std::size_t alignment) {
  void *p = nullptr;
  if (!now(ALLOCATIONS)) p = alignment == 0 ? std::malloc(n) : std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace faults

[[gnu::noinline]] void *operator new(std::size_t n) { return faults::allocate(n, 0); }
[[gnu::noinline]] void *operator new(std::size_t n, std::align_val_t a) { return faults::allocate(n, std::size_t(a)); }
[[gnu::noinline]] void operator delete(void *p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void *p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void *p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void *p, std::size_t, std::align_val_t) noexcept { std::free(p); }

// Whatever is done to it may throw, and then nothing is done. It knows where it lies, and how many there are.
class fragile {
 public:
  explicit fragile(int v = 0) : v_(v), at_(this) { begin(); }
  fragile(const fragile &other) : v_(other.v()), at_(this) { begin(); }
  fragile(fragile &&other) : v_(other.v()), at_(this) {
    begin();
    other.v_ = -1;
  }
  fragile &operator=(const fragile &other) {
    may_break();
    v_ = other.v();
    return *this;
  }
  fragile &operator=(fragile &&other) {
    may_break();
    v_ = std::exchange(other.v_, -1);
    CHECK(at_ == this && other.at_ == &other);
    return *this;
  }
  ~fragile() {
    CHECK(at_ == this);
    alive--;
  }
  int v() const {
    CHECK(at_ == this);
    return v_;
  }
  inline static std::atomic<int> alive{0};

 private:
  static void may_break() {
    if (faults::now(faults::ELEMENTS)) throw broke{};
  }
  static void begin() {
    may_break();
    alive++;
  }
  int v_;
  fragile *at_;
};

#endif
