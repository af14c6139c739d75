/*
 * libgomax for C++17: gomax.h with ownership, types and exceptions. Header only; docs/cpp.md is the way in.
 *
 * - What goes wrong is a gomax::error with the status of the C call: misuse, want of memory, and a token that was
 *   canceled (gomax::canceled). What may just as well happen is a value: an empty result, false, std::cv_status.
 * - An exception never leaves through a C frame. That of a goroutine comes out of join(), of its scope, of run().
 * - Times are std::chrono; below zero is zero. Calls without a time wait forever.
 * - All is inline and adds no call to the one beneath it. What it does add is said where it does: memory for a
 *   callable, for a value that cannot be moved by its bytes.
 * - What the C header says of a call (Blocks, Call from, Safepoint, Migrates) holds for the member that makes it.
 */
#ifndef GOMAX_HPP
#define GOMAX_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "gomax.hpp is C++17; gomax.h is for all others"
#endif
#if !defined(__cpp_exceptions)
#error "gomax.hpp reports errors by exceptions: without them (-fno-exceptions) use gomax.h"
#endif

#include <gomax.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
#include <coroutine>
#endif
#if defined(__cpp_lib_expected)
#include <expected>
#endif
#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

namespace gomax {

// ---- errors ---------------------------------------------------------------------------------------------------------

/// A status below zero, thrown.
class GMX_API error : public std::exception {
 public:
  explicit error(gmx_status status) noexcept : status_(status) {}
  gmx_status status() const noexcept { return status_; }
  /// "GMX_EINVAL"
  const char *name() const noexcept { return gmx_err_name(status_); }
  const char *what() const noexcept override { return gmx_strerror(status_); }

 private:
  gmx_status status_;
};

/// The token under which the caller waited, or was about to wait, is canceled.
class GMX_API canceled : public error {
 public:
  canceled() noexcept : error(GMX_ECANCELED) {}
};

/// A value for a channel that is closed.
class GMX_API closed : public error {
 public:
  closed() noexcept : error(GMX_ECLOSED) {}
};

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void fail(gmx_status status) {
  if (status == GMX_ECANCELED) throw canceled();
  if (status == GMX_ECLOSED) throw closed();
  throw error(status);
}

/// Calls f where no caller can have its exception: that is told on stderr.
template <class F>
void reported(const char *what, F &f) noexcept {
  try {
    std::invoke(f);
  } catch (const std::exception &e) {
    std::fprintf(stderr, "gomax: %s threw: %s\n", what, e.what());
  } catch (...) {
    std::fprintf(stderr, "gomax: %s threw an exception that is no std::exception\n", what);
  }
}

/// For a mistake that leaves no way on: says on stderr what it was, then std::terminate.
[[noreturn, gnu::cold, gnu::noinline]] inline void die(const char *what, gmx_status status) noexcept {
  std::fprintf(stderr, "gomax: %s: %s (%s)\n", what, gmx_strerror(status), gmx_err_name(status));
  std::terminate();
}

}  // namespace detail

/// What a C call returned, if it is no error; else throws it.
inline gmx_status check(gmx_status status) {
  if (__builtin_expect(status < 0, 0)) detail::fail(status);
  return status;
}

// ---- time -----------------------------------------------------------------------------------------------------------

/// The clock of timers and sleeps: gmx_now.
struct clock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<clock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept { return time_point(duration(gmx_now())); }
};

namespace detail {

/// Nanoseconds, rounded up, from 0 (what is less has passed as well) to the largest that there are.
template <class Rep, class Period>
constexpr std::int64_t ns(const std::chrono::duration<Rep, Period> &d) {
  using in_ns = std::ratio_divide<Period, std::nano>;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  if (!(d > d.zero())) return 0;
  if constexpr (!std::is_floating_point_v<Rep> && in_ns::den == 1) {
    const std::uint64_t n = static_cast<std::uint64_t>(d.count()), each = static_cast<std::uint64_t>(in_ns::num);
    return n > static_cast<std::uint64_t>(most) / each ? most : static_cast<std::int64_t>(n * each);
  } else if constexpr (!std::is_floating_point_v<Rep> && in_ns::num == 1) {
    return std::chrono::ceil<std::chrono::duration<std::int64_t, std::nano>>(d).count();
  } else {
    const double n = std::chrono::duration<double, std::nano>(d).count();
    if (n >= 9.2e18) return most;
    const std::int64_t whole = static_cast<std::int64_t>(n);
    return static_cast<double>(whole) < n ? whole + 1 : whole;
  }
}

/// From now until then, without an overflow however far that is: 0 if it has passed, also for time_point::min(). Both
/// sides are counted from the epoch of the clock; no clock has a now that does not fit.
template <class Clock, class Duration>
std::int64_t ns_until(const std::chrono::time_point<Clock, Duration> &when) {
  const auto end = when.time_since_epoch();
  const auto now = Clock::now().time_since_epoch();
  const bool past = now < now.zero();  // the file_clock of libstdc++ has its epoch in 2174
  const std::int64_t begin = past ? ns(-now) : ns(now);
  if (end > end.zero()) {
    const std::int64_t left = ns(end);
    if (left == std::numeric_limits<std::int64_t>::max()) return left;
    if (!past) return left > begin ? left - begin : 0;
    return left > std::numeric_limits<std::int64_t>::max() - begin ? std::numeric_limits<std::int64_t>::max() : left + begin;
  }
  if (!past || end <= -end.max()) return 0;  // (min() has no other side)
  const std::int64_t before = ns(-end);
  return before < begin ? begin - before : 0;
}

/// Of a call with a time: false if the time was up.
inline bool in_time(gmx_status status) { return status != GMX_ETIMEDOUT && check(status) == GMX_OK; }

/// An R, or nothing if the time was up; of a void, whether it was not.
template <class R>
using timely = std::conditional_t<
    std::is_void_v<R>, bool,
    std::optional<std::conditional_t<std::is_reference_v<R>, std::reference_wrapper<std::remove_reference_t<R>>, R>>>;

template <class R, class Take>
timely<R> in_time(gmx_status status, Take &&take) {
  if (!in_time(status)) return timely<R>();
  if constexpr (std::is_void_v<R>) {
    take();
    return true;
  } else {
    return timely<R>(take());
  }
}

}  // namespace detail

template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period> &d) {
  check(gmx_sleep(detail::ns(d)));
}

template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration> &when) {
  while (const std::int64_t left = detail::ns_until(when)) check(gmx_sleep(left));  // a clock that is set may need more
}

// ---- what is kept, and calls through C ------------------------------------------------------------------------------

namespace detail {

/// Room for a value that comes later, or not at all. Its user knows whether it is there.
template <class T>
union room {
  T value;
  room() noexcept {}
  ~room() {}
};

/// What a callable left: a value, nothing, or an exception.
template <class R>
class outcome {
 public:
  ~outcome() {
    if constexpr (!std::is_void_v<R>) {
      if (there_) room_.value.~kept();
    }
  }
  outcome() = default;
  outcome(const outcome &) = delete;
  outcome &operator=(const outcome &) = delete;

  template <class F>
  void run(F &&f) noexcept {
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(std::forward<F>(f));
      } else if constexpr (std::is_reference_v<R>) {
        R &&it = std::invoke(std::forward<F>(f));
        ::new (static_cast<void *>(&room_.value)) kept(std::addressof(it));
      } else {
        ::new (static_cast<void *>(std::addressof(room_.value))) kept(std::invoke(std::forward<F>(f)));
      }
      there_ = true;
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  /// For what is not made by a callable. If an R cannot be made, nothing is there.
  template <class... Args>
  void emplace(Args &&...args) {
    if constexpr (std::is_reference_v<R>) {
      static_assert(sizeof...(Args) == 1, "a reference is to one object");
      R &&it = (std::forward<Args>(args), ...);
      ::new (static_cast<void *>(std::addressof(room_.value))) kept(std::addressof(it));
    } else {
      ::new (static_cast<void *>(std::addressof(room_.value))) kept(std::forward<Args>(args)...);
    }
    there_ = true;
  }
  void fail_with(std::exception_ptr e) noexcept { failure_ = std::move(e); }

  bool failed() const noexcept { return failure_ != nullptr; }
  bool empty() const noexcept { return !there_ && failure_ == nullptr; }

  [[noreturn]] void terminate() noexcept { std::rethrow_exception(failure_); }

  /// Once. GMX_ESTALE if the callable did not end: its goroutine left by gmx_goexit.
  R take() {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    if (!there_) fail(GMX_ESTALE);
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(*room_.value);
    } else if constexpr (!std::is_void_v<R>) {
      return std::move(room_.value);
    }
  }

 private:
  struct nothing {};
  using kept = std::conditional_t<std::is_void_v<R>, nothing,
                                  std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R> *, std::remove_cv_t<R>>>;
  std::exception_ptr failure_;
  bool there_ = false;
  room<kept> room_;
};

/// What a C call runs that returns when f has: what f leaves lies on the caller's stack.
template <class F>
struct frame_of {
  using R = std::invoke_result_t<F &>;
  F &f;
  outcome<R> left;

  explicit frame_of(F &fn) noexcept : f(fn) {}
  template <class Call>
  gmx_status run(Call &&call) {
    return call([](void *arg) noexcept { static_cast<frame_of *>(arg)->left.run(static_cast<frame_of *>(arg)->f); },
                static_cast<void *>(this));
  }
};

/// Runs f by such a call.
template <class F, class Call>
auto through(F &&f, Call &&call) -> std::invoke_result_t<F &> {
  frame_of<std::remove_reference_t<F>> here(f);
  check(here.run(call));
  return here.left.take();
}

}  // namespace detail

// ---- goroutines -----------------------------------------------------------------------------------------------------

/// How a goroutine is made; zero is the default.
struct spawn_options {
  std::size_t stack_size = 0;
  const char *name = nullptr;  // copied
  bool child_first = false;    // GMX_SPAWN_CHILD_FIRST
  bool last = false;           // GMX_SPAWN_LAST
  bool wipe = false;           // GMX_SPAWN_WIPE
  bool inherit = false;        // GMX_SPAWN_INHERIT: under the caller's token
  bool cancellable = false;    // GMX_SPAWN_CANCELLABLE: for task::cancel
};

namespace detail {

inline gmx_status start(const spawn_options *o, std::uint32_t flags, void (*fn)(void *), void *arg, gmx_g *g) {
  gmx_spawn_opts c{};
  c.struct_size = sizeof c;
  c.flags = flags;
  if (o != nullptr) {
    if (o->child_first) c.flags |= GMX_SPAWN_CHILD_FIRST;
    if (o->last) c.flags |= GMX_SPAWN_LAST;
    if (o->wipe) c.flags |= GMX_SPAWN_WIPE;
    if (o->inherit) c.flags |= GMX_SPAWN_INHERIT;
    if (o->cancellable) c.flags |= GMX_SPAWN_CANCELLABLE;
    c.stack_size = o->stack_size;
    c.name = o->name;
  }
  return gmx_spawn_with(&c, fn, arg, g);
}

/// A callable that goes through a `void *` as it is.
template <class F>
inline constexpr bool fits_pointer =
    sizeof(F) <= sizeof(void *) && std::is_trivially_copyable_v<F> && std::is_trivially_destructible_v<F>;

/// A callable that gmx_spawn_copy can copy.
template <class F>
inline constexpr bool fits_copy = sizeof(F) <= GMX_SPAWN_COPY_MAX && alignof(F) <= 16 && std::is_trivially_copyable_v<F> &&
                                  std::is_trivially_destructible_v<F>;

/// f(args...) with copies of its own, as std::thread calls it.
template <class F, class... Args>
struct call_of {
  F f;
  std::tuple<Args...> args;
  decltype(auto) operator()() {
    return std::apply([this](Args &...a) -> decltype(auto) { return std::invoke(std::move(f), std::move(a)...); }, args);
  }
};
/// What a goroutine is to call: f as it is, or f(args...).
template <class F>
F &&bound(F &&f) noexcept {
  return std::forward<F>(f);
}
template <class F, class A, class... Args>
call_of<std::decay_t<F>, std::decay_t<A>, std::decay_t<Args>...> bound(F &&f, A &&a, Args &&...args) {
  return {std::forward<F>(f), {std::forward<A>(a), std::forward<Args>(args)...}};
}
template <class F, class... Args>
struct invoked : std::invoke_result<std::decay_t<F>, std::decay_t<Args>...> {};
template <class F>
struct invoked<F> : std::invoke_result<std::decay_t<F> &> {};
template <class F, class... Args>
using result_of = typename invoked<F, Args...>::type;

/// Calls start(fn, arg), which begins a goroutine of the library, so that it runs f.
template <class F, class Start>
void packed(F &&f, Start &&start) {
  using D = std::decay_t<F>;
  void (*fn)(void *);
  void *arg = nullptr;
  std::unique_ptr<D> kept;
  if constexpr (fits_pointer<D>) {
    if constexpr (!std::is_empty_v<D>) {
      const D copy(std::forward<F>(f));
      std::memcpy(&arg, std::addressof(copy), sizeof copy);
    }
    fn = [](void *p) noexcept {
      alignas(D) unsigned char bytes[sizeof(void *)];
      std::memcpy(bytes, &p, sizeof p);
      std::invoke(*std::launder(reinterpret_cast<D *>(bytes)));
    };
  } else {
    kept = std::make_unique<D>(std::forward<F>(f));
    arg = kept.get();
    fn = [](void *p) noexcept { std::invoke(*std::unique_ptr<D>(static_cast<D *>(p))); };
  }
  check(start(fn, arg));
  kept.release();
}

template <class F>
void spawn(const spawn_options *o, F &&f) {
  using D = std::decay_t<F>;
  if constexpr (fits_copy<D> && !fits_pointer<D>) {
    if (o == nullptr) {
      const D copy(std::forward<F>(f));
      check(gmx_spawn_copy([](void *p) noexcept { std::invoke(*static_cast<D *>(p)); }, std::addressof(copy), sizeof copy));
      return;
    }
  }
  packed(std::forward<F>(f), [o](void (*fn)(void *), void *arg) {
    return o == nullptr ? gmx_spawn(fn, arg) : start(o, 0, fn, arg, nullptr);
  });
}

/// What a goroutine and the owner of its handle share. The second of them to let go frees it.
template <class R>
class task_state {
 public:
  outcome<R> left;

  explicit task_state(void (*destroy)(task_state *)) noexcept : destroy_(destroy) {}

  /// The goroutine has ended. An exception that no caller will ask for ends the program, as it would at the bottom of a
  /// thread.
  void ended() noexcept {
    if (word_.exchange(ENDED, std::memory_order_acq_rel) != BOTH) {
      if (left.failed() && !quiet_) left.terminate();
      destroy_(this);
    }
  }

  /// No caller will ask for what it leaves. quiet: nor for its exception.
  void dropped(bool quiet) noexcept {
    quiet_ = quiet;
    if (word_.exchange(DROPPED, std::memory_order_acq_rel) != BOTH) {
      if (left.failed() && !quiet) left.terminate();
      destroy_(this);
    }
  }

  /// Its goroutine is no more.
  void free() noexcept { destroy_(this); }

 private:
  enum : unsigned char { BOTH, ENDED, DROPPED };
  std::atomic<unsigned char> word_{BOTH};
  bool quiet_ = false;
  void (*destroy_)(task_state *);
};

template <class R, class F>
class task_of : public task_state<R> {
 public:
  template <class G>
  explicit task_of(G &&f) : task_state<R>(destroy) {
    ::new (static_cast<void *>(std::addressof(room_.value))) F(std::forward<G>(f));
  }

  static void run(void *arg) noexcept {
    task_of *self = static_cast<task_of *>(static_cast<task_state<R> *>(arg));
    self->left.run(self->room_.value);
    self->room_.value.~F();  // here, since it may hold what belongs to the goroutine
    self->ended();
  }

  /// For one that never ran.
  static void unstarted(task_of *self) noexcept {
    self->room_.value.~F();
    delete self;
  }

 private:
  static void destroy(task_state<R> *self) noexcept { delete static_cast<task_of *>(self); }
  room<F> room_;
};

}  // namespace detail

/// The handle of a goroutine: join() gives what it returned, or throws what it threw.
///
/// A handle that is dropped lets its goroutine run on, as `go` does in Go. No caller can ask for its exception then, so
/// one ends the program: std::terminate. Only while the stack is unwound past a handle is it passed over in silence,
/// since another exception is on its way already. To wait for goroutines whatever happens, use a scope.
///
/// Costs over C: one allocation, which holds the callable and the result, and one exchange at the end.
template <class R>
class task {
 public:
  task() noexcept = default;
  task(task &&other) noexcept : state_(std::exchange(other.state_, nullptr)), g_(std::exchange(other.g_, 0)) {}
  task &operator=(task &&other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::exchange(other.state_, nullptr);
      g_ = std::exchange(other.g_, 0);
    }
    return *this;
  }
  ~task() { drop(); }

  /// Whether there is something to join.
  bool joinable() const noexcept { return state_ != nullptr; }
  explicit operator bool() const noexcept { return joinable(); }
  gmx_g native() const noexcept { return g_; }

  /// Waits for its end, which no token ends early: a gomax::canceled that it throws is the task's.
  R join() {
    check(gmx_join(g_, GMX_FOREVER));
    return take();
  }

  /// As join(), for so long: empty, or false for a task of void, if it has not ended by then.
  template <class Rep, class Period>
  auto join_for(const std::chrono::duration<Rep, Period> &d) {
    return join_ns(detail::ns(d));
  }
  template <class Clock, class Duration>
  auto join_until(const std::chrono::time_point<Clock, Duration> &when) {
    return join_ns(detail::ns_until(when));
  }

  /// Ends its waits for events by gomax::canceled; spawn_options::cancellable says that this may be. False: it has
  /// ended.
  bool cancel(gmx_status reason = GMX_ECANCELED) {
    gmx_status status = gmx_cancel_g(g_, reason);
    if (status != GMX_ESTALE) check(status);
    return status == GMX_OK;
  }

  void detach() noexcept { drop(); }

 private:
  template <class F, class... Args>
  friend task<detail::result_of<F, Args...>> go(F &&f, Args &&...args);
  template <class F, class... Args>
  friend task<detail::result_of<F, Args...>> go(const spawn_options &o, F &&f, Args &&...args);

  template <class F>
  static task start(const spawn_options *o, F &&f) {
    using whole = detail::task_of<R, std::decay_t<F>>;
    whole *w = new whole(std::forward<F>(f));
    task t;
    t.state_ = w;
    gmx_status status = detail::start(o, GMX_SPAWN_JOINABLE, whole::run, t.state_, &t.g_);
    if (__builtin_expect(status != GMX_OK, 0)) {
      t.state_ = nullptr;
      whole::unstarted(w);
      detail::fail(status);
    }
    return t;
  }

  auto join_ns(std::int64_t ns) {
    return detail::in_time<R>(gmx_join(g_, ns), [this]() -> R { return take(); });
  }

  R take() {
    struct freed {
      detail::task_state<R> *state;
      ~freed() { state->free(); }
    } gone{std::exchange(state_, nullptr)};
    g_ = 0;
    return gone.state->left.take();
  }

  void drop() noexcept {
    if (state_ == nullptr) return;
    static_cast<void>(gmx_detach(g_));  // it is ours to detach
    std::exchange(state_, nullptr)->dropped(std::uncaught_exceptions() > unwinding_);
    g_ = 0;
  }

  detail::task_state<R> *state_ = nullptr;
  gmx_g g_ = 0;
  int unwinding_ = std::uncaught_exceptions();  // where this handle was made: more of them unwind past it
};

/// Starts a goroutine that calls f, or f(args...) as std::thread does: with copies of its own; std::ref passes a
/// reference. What f refers to must outlive it: join it, or use a scope.
template <class F, class... Args>
task<detail::result_of<F, Args...>> go(F &&f, Args &&...args) {
  return task<detail::result_of<F, Args...>>::start(nullptr, detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
}
template <class F, class... Args>
task<detail::result_of<F, Args...>> go(const spawn_options &o, F &&f, Args &&...args) {
  return task<detail::result_of<F, Args...>>::start(&o, detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
}

/// As go, without a handle: an exception out of f is std::terminate, where it was thrown. Costs over C: one allocation,
/// or none if f is no larger than a pointer and trivial (a lambda that holds one reference or one pointer).
template <class F, class... Args, class = detail::result_of<F, Args...>>
void spawn(F &&f, Args &&...args) {
  detail::spawn(nullptr, detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
}
template <class F, class... Args, class = detail::result_of<F, Args...>>
void spawn(const spawn_options &o, F &&f, Args &&...args) {
  detail::spawn(&o, detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
}

inline void yield() { check(gmx_yield()); }
/// For loops that call nothing else of this library.
inline void safepoint() noexcept { gmx_safepoint(); }
/// The handle of the goroutine that this is; 0 elsewhere.
inline gmx_g self() noexcept { return gmx_self(); }
/// Its number, for people.
inline std::uint64_t goid() noexcept { return gmx_goid(); }
/// How many goroutines are alive.
inline std::int64_t num_g() noexcept { return gmx_num_g(); }

/// To build what waits: parks the goroutine until ready(). As soon as it is off its stack commit(g) is called on the
/// scheduler's: it makes g known to the waker, which may ready it at once, or says false if there is nothing to wait
/// for. It must be short and must not wait. reason: for dumps; must outlive the wait.
template <class F>
void park(F &&commit, const char *reason = nullptr) {
  static_assert(std::is_nothrow_invocable_r_v<bool, F &, gmx_g>, "commit is [](gmx_g) noexcept -> bool");
  struct frame {
    std::remove_reference_t<F> &commit;
  } here{commit};
  check(gmx_park([](void *arg, gmx_g g) noexcept -> bool { return std::invoke(static_cast<frame *>(arg)->commit, g); },
                 static_cast<void *>(std::addressof(here)), reason));
}
/// As park; false if the time was up before ready() came.
template <class Rep, class Period, class F>
bool park_for(const std::chrono::duration<Rep, Period> &d, F &&commit, const char *reason = nullptr) {
  static_assert(std::is_nothrow_invocable_r_v<bool, F &, gmx_g>, "commit is [](gmx_g) noexcept -> bool");
  struct frame {
    std::remove_reference_t<F> &commit;
  } here{commit};
  gmx_status status = gmx_park_timeout(
      [](void *arg, gmx_g g) noexcept -> bool { return std::invoke(static_cast<frame *>(arg)->commit, g); },
      static_cast<void *>(std::addressof(here)), reason, detail::ns(d));
  return status != GMX_ETIMEDOUT && check(status) == GMX_OK;
}
/// False if it is not parked by park(): not yet, not any more, or it waits for something else.
inline bool ready(gmx_g g) {
  gmx_status status = gmx_ready(g);
  return status != GMX_EPERM && check(status) == GMX_OK;
}

// ---- generators -----------------------------------------------------------------------------------------------------

namespace detail {

/// Thrown by a yield whose generator is destroyed, so that the stack of the coroutine unwinds.
struct generator_ends {};

}  // namespace detail

/// A function that gives value after value, each when it is asked for:
///
///     gomax::generator<int> squares([](auto &yield) {
///       for (int i = 0;; i++) yield(i * i);
///     });
///     for (int n : squares) if (n > 100) break;
///
/// The function runs on a stack of its own, only while a caller waits for its next value, and may wait for what a
/// goroutine waits for. Its exception comes out of next(), and out of a loop. The end of a generator ends its function:
/// the yield where it stands throws, and what lies on its stack is destroyed. Costs over C: one allocation.
template <class T>
class generator {
 public:
  class yielder;

 private:
  struct state {
    gmx_coro co = 0;
    T *value = nullptr;
    std::exception_ptr failure;
    virtual void run(yielder &) = 0;
    virtual ~state() = default;
  };

 public:
  /// What the function calls with each value.
  class yielder {
   public:
    explicit yielder(state &s) noexcept : s_(&s) {}
    yielder(const yielder &) = delete;
    yielder &operator=(const yielder &) = delete;
    /// The value lies on the function's stack until the next one is asked for.
    void operator()(T v) {
      s_->value = std::addressof(v);
      gmx_status status = gmx_coro_switch(s_->co);
      s_->value = nullptr;
      if (status == GMX_ECANCELED) throw detail::generator_ends{};
      check(status);
    }

   private:
    state *s_;
  };

  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, generator>>>
  explicit generator(F &&f, const spawn_options &o = {}) : s_(std::make_unique<state_of<std::decay_t<F>>>(std::forward<F>(f))) {
    gmx_spawn_opts opts{};
    opts.struct_size = sizeof opts;
    opts.name = o.name;
    opts.stack_size = o.stack_size;
    check(gmx_coro_new(
        [](void *arg) noexcept {
          auto *s = static_cast<state *>(arg);
          try {
            yielder yield(*s);
            s->run(yield);
          } catch (const detail::generator_ends &) {
          } catch (...) {
            s->failure = std::current_exception();
          }
        },
        static_cast<void *>(s_.get()), &opts, &s_->co));
  }
  generator(generator &&) noexcept = default;
  generator &operator=(generator &&other) noexcept {
    if (this != &other) {
      stop();
      s_ = std::move(other.s_);
    }
    return *this;
  }
  ~generator() { stop(); }

  /// The next value, which is there until the next call; nullptr: there is none, and will be none.
  T *next() {
    if (!s_ || s_->co == 0) return nullptr;
    gmx_status status = gmx_coro_switch(s_->co);
    if (status == GMX_ECLOSED) {
      s_->co = 0;
      if (s_->failure) std::rethrow_exception(std::exchange(s_->failure, nullptr));
      return nullptr;
    }
    check(status);
    return s_->value;
  }

  struct sentinel {};
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T *;
    using reference = T &;
    explicit iterator(generator &g) noexcept : of_(&g) {}
    T &operator*() const { return *at(); }
    T *operator->() const { return at(); }
    iterator &operator++() {
      at();  // of a value that was not looked at as well
      asked_ = false;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator &i, sentinel) { return i.at() == nullptr; }
    friend bool operator!=(const iterator &i, sentinel) { return i.at() != nullptr; }
    friend bool operator==(sentinel s, const iterator &i) { return i == s; }
    friend bool operator!=(sentinel s, const iterator &i) { return i != s; }

   private:
    T *at() const {
      if (!asked_) at_ = of_->next();
      asked_ = true;
      return at_;
    }
    generator *of_;
    mutable T *at_ = nullptr;
    mutable bool asked_ = false;
  };
  /// for (T &v : generator): until it has no more. A value is asked for when it is looked at, not by ++: views::take(g,
  /// 3) runs the function to its third yield.
  iterator begin() & { return iterator(*this); }
  iterator begin() && = delete;  // it would outlive its generator
  sentinel end() const noexcept { return {}; }

 private:
  template <class F>
  struct state_of final : state {
    template <class U>
    explicit state_of(U &&u) : f(std::forward<U>(u)) {}
    void run(yielder &yield) override { std::invoke(f, yield); }
    F f;
  };
  void stop() noexcept {
    if (!s_ || s_->co == 0) return;
    // A generator that cannot be ended here (it runs, or the caller may not wait) would use memory that is gone.
    gmx_status status = gmx_coro_free(std::exchange(s_->co, 0));
    if (status != GMX_OK) detail::die("a generator cannot be destroyed here", status);
  }
  std::unique_ptr<state> s_;
};

// ---- parallel loops -------------------------------------------------------------------------------------------------

namespace detail {

/// What the calls of a parallel loop share: the first exception, after which nothing more is called.
template <class F>
struct loop {
  explicit loop(F &fn) noexcept : f(fn) {}
  F &f;
  std::atomic<bool> failed{false};
  std::exception_ptr failure;

  void range(std::int64_t begin, std::int64_t end) noexcept {
    if (failed.load(std::memory_order_relaxed)) return;
    try {
      if constexpr (std::is_invocable_v<F &, std::int64_t, std::int64_t>) {
        std::invoke(f, begin, end);
      } else {
        for (; begin < end; begin++) std::invoke(f, begin);
      }
    } catch (...) {
      // Read when all calls have returned.
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  }
};

}  // namespace detail

/// Calls f(i) for each i from 0 to n - 1, or f(begin, end) for ranges of them, on as many goroutines as Ps have nothing
/// else to do; returns when all calls have. The first exception comes out of it, and then the rest is left out. grain:
/// see gmx_parallel_for. Throws gomax::canceled if the caller's token was canceled before all were called.
template <class F>
void parallel_for(std::int64_t n, F &&f, std::int64_t grain = 0) {
  using loop = detail::loop<std::remove_reference_t<F>>;
  loop all(f);
  gmx_status status = gmx_parallel_for(
      n, grain,
      [](void *arg, std::int64_t begin, std::int64_t end) noexcept { static_cast<loop *>(arg)->range(begin, end); },
      static_cast<void *>(std::addressof(all)));
  if (all.failure) std::rethrow_exception(all.failure);
  check(status);
}

/// What is left of the numbers from 0 to n - 1: each range gives map(begin, end), and combine(a, b) makes one of two,
/// in any order and grouping, beginning with identity. combine is called by one goroutine at a time.
template <class T, class Map, class Combine>
T parallel_reduce(std::int64_t n, T identity, Map &&map, Combine &&combine, std::int64_t grain = 0) {
  gmx_mutex lock{};
  T all = std::move(identity);
  parallel_for(
      n,
      [&](std::int64_t begin, std::int64_t end) {
        T part = std::invoke(map, begin, end);
        check(gmx_mutex_lock(&lock));
        struct unlock {
          gmx_mutex *m;
          ~unlock() { static_cast<void>(gmx_mutex_unlock(m)); }
        } then{&lock};
        all = std::invoke(combine, std::move(all), std::move(part));
      },
      grain);
  return all;
}

// ---- the runtime ----------------------------------------------------------------------------------------------------

/// How the runtime is started; zero is the default.
struct config {
  int procs = 0;
  std::size_t stack_size = 0;
  std::size_t g0_stack_size = 0;
  std::chrono::nanoseconds slice{};
  int max_threads = 0;
  void (*report)(void *arg, const char *text, std::size_t len) = nullptr;
  void *report_arg = nullptr;
  /// GMX_CONFIG_*
  std::uint32_t flags = 0;
  std::size_t max_goroutines = 0;
  void (*on_preempt)(void *arg, gmx_g g) = nullptr;
  void (*on_thread_start)(void *arg) = nullptr;
  void (*on_thread_end)(void *arg) = nullptr;
  void *on_arg = nullptr;
  int preempt_signal = 0;
};

/// Starts the runtime, which otherwise starts with the first call and the defaults.
inline void init(const config &c = {}) {
  gmx_config raw{};
  raw.struct_size = sizeof raw;
  raw.maxprocs = c.procs;
  raw.stack_size = c.stack_size;
  raw.g0_stack_size = c.g0_stack_size;
  raw.slice_ns = c.slice.count();
  raw.max_threads = c.max_threads;
  raw.report = c.report;
  raw.report_arg = c.report_arg;
  raw.flags = c.flags;
  raw.max_goroutines = c.max_goroutines;
  raw.on_preempt = c.on_preempt;
  raw.on_thread_start = c.on_thread_start;
  raw.on_thread_end = c.on_thread_end;
  raw.on_arg = c.on_arg;
  raw.preempt_signal = c.preempt_signal;
  check(gmx_init(&raw));
}

/// The word of the calling goroutine that is not zero while it is asked to give way: then call gmx_safepoint_slow().
inline const volatile std::uint32_t *preempt_word() noexcept { return gmx_preempt_word(); }

/// Calls f as the main goroutine and returns what it returns. If nothing can ever run again it throws an error with
/// GMX_EDEADLK; f then waits on, and must not refer to what the caller has on its stack.
template <class F>
auto run(F &&f) -> std::invoke_result_t<std::decay_t<F> &> {
  using R = std::invoke_result_t<std::decay_t<F> &>;
  using whole = detail::task_of<R, std::decay_t<F>>;
  whole *w = new whole(std::forward<F>(f));
  detail::task_state<R> *state = w;
  gmx_status status = gmx_main(whole::run, state);
  if (status == GMX_EDEADLK) {
    state->dropped(true);
    detail::fail(status);
  }
  if (status != GMX_OK) {
    whole::unstarted(w);
    detail::fail(status);
  }
  struct freed {
    detail::task_state<R> *state;
    ~freed() { state->free(); }
  } gone{state};
  return state->left.take();
}
template <class F>
auto run(const config &c, F &&f) -> std::invoke_result_t<std::decay_t<F> &> {
  init(c);
  return run(std::forward<F>(f));
}

/// Waits until no goroutine is alive and ends the threads of the library. The next call starts it again.
inline void shutdown() { check(gmx_shutdown(GMX_FOREVER)); }
/// As shutdown(), for at most d. False: goroutines are still alive, and the runtime stays up.
template <class Rep, class Period>
bool shutdown_for(const std::chrono::duration<Rep, Period> &d) {
  return detail::in_time(gmx_shutdown(detail::ns(d)));
}

/// How many goroutines run at the same time.
inline int procs() noexcept { return gmx_gomaxprocs(0); }
/// Sets that, and gives what it was.
inline int set_procs(int n) { return check(gmx_gomaxprocs(n)); }
/// Lets it follow the machine again.
inline void set_default_procs() { check(gmx_set_default_gomaxprocs()); }
inline int num_cpu() noexcept { return gmx_num_cpu(); }
/// Of the library, as GMX_VERSION is of the header.
inline std::uint32_t version() noexcept { return gmx_version(); }

/// The scheduler in numbers; nothing stops for it.
inline gmx_sched_stats sched_stats() {
  gmx_sched_stats stats{};
  stats.struct_size = sizeof stats;
  check(gmx_read_sched_stats(&stats));
  return stats;
}
/// The library's memory, read in a world that is stopped for the moment.
inline gmx_mem_stats mem_stats() {
  gmx_mem_stats stats{};
  stats.struct_size = sizeof stats;
  check(gmx_read_mem_stats(&stats));
  return stats;
}
/// All metrics as OpenMetrics text, for a scraper. Nothing stops for it.
inline std::string metrics_text() {
  std::string text;
  check(gmx_metrics_text(
      [](void *to, const char *bytes, std::size_t n) noexcept -> gmx_status {
        try {
          static_cast<std::string *>(to)->assign(bytes, n);
          return GMX_OK;
        } catch (...) {
          return GMX_ENOMEM;
        }
      },
      &text));
  return text;
}
/// A metric by its name: the value of a counter or a gauge, the number of durations of a histogram. Empty if there is
/// none of this name.
inline std::optional<std::uint64_t> metric(const char *name) {
  gmx_metric found{};
  found.name = name;
  check(gmx_metrics_read(&found, 1));
  if (found.kind == GMX_METRIC_NONE) return std::nullopt;
  return found.value;
}
/// Gives the memory of all stacks that are kept for the next goroutines to the system at once.
inline void release_memory() { check(gmx_release_memory()); }
/// The bounds of the stack that the caller runs on, lowest byte and one past the highest: its goroutine's, or its
/// thread's.
inline std::pair<void *, void *> stack_bounds() {
  void *lo = nullptr, *hi = nullptr;
  check(gmx_stack_bounds(&lo, &hi));
  return {lo, hi};
}
/// Writes what every P, thread and goroutine does to a file, as text.
inline void write_heap_dump(int fd) { check(gmx_write_heap_dump(fd)); }

// ---- what may come without a value ----------------------------------------------------------------------------------

/// Whether a T can be moved by copying its bytes and forgetting the original. A channel moves such values as they are;
/// all others it moves into memory of their own, one allocation for each. True may be said of a type of one's own.
template <class T>
struct relocatable : std::is_trivially_copyable<T> {};
template <class T>
struct relocatable<std::unique_ptr<T>> : std::true_type {};
template <class T>
struct relocatable<std::shared_ptr<T>> : std::true_type {};
#if !defined(_GLIBCXX_DEBUG) && !defined(_LIBCPP_ENABLE_DEBUG_MODE)  // whose iterators know where their vector lies
template <class T>
struct relocatable<std::vector<T>> : std::true_type {};
#endif

namespace detail {

/// How values of T travel: as they are, by their bytes, or in a box.
template <class T>
struct wire {
  static constexpr bool plain = std::is_trivially_copyable_v<T>;
  static constexpr bool by_bytes = relocatable<T>::value;
  static constexpr std::size_t size = plain && std::is_empty_v<T> ? 0 : by_bytes ? sizeof(T) : sizeof(T *);
  static_assert(std::is_move_constructible_v<T> && !std::is_reference_v<T> && !std::is_const_v<T>,
                "a channel carries objects that can be moved");
  static_assert(!by_bytes || plain || std::is_nothrow_move_constructible_v<T>, "relocatable, but its move may throw");
};

/// Room for a value as it travels. The owner of the place knows whether a value is there. A value in a box is made once
/// and never moved again, so that what can throw is over before C has it.
template <class T>
class place {
 public:
  template <class... Args>
  void emplace(Args &&...args) {
    if constexpr (wire<T>::by_bytes) {
      ::new (bytes()) T(std::forward<Args>(args)...);
    } else {
      room_ = new T(std::forward<Args>(args)...);
    }
  }
  /// The value of the other place, which has none then.
  void take(place &other) noexcept {
    if constexpr (wire<T>::by_bytes) {
      ::new (bytes()) T(std::move(other.value()));
      other.destroy();
    } else {
      room_ = other.room_;
    }
  }
  void destroy() noexcept {
    if constexpr (wire<T>::by_bytes) {
      room_.value.~T();
    } else {
      delete room_;
    }
  }
  T &value() noexcept {
    if constexpr (wire<T>::by_bytes) {
      return room_.value;
    } else {
      return *room_;
    }
  }
  const T &value() const noexcept { return const_cast<place *>(this)->value(); }
  /// What C copies: the value's own bytes, or the address of its box.
  void *bytes() noexcept {
    if constexpr (wire<T>::by_bytes) {
      return std::addressof(room_.value);
    } else {
      return std::addressof(room_);
    }
  }
  /// Destroys the value whose bytes lie there, at any address.
  static void destroy_at(void *elem) noexcept {
    place from;
    std::memcpy(from.bytes(), elem, wire<T>::by_bytes ? sizeof(T) : sizeof(T *));
    from.destroy();
  }

 private:
  std::conditional_t<wire<T>::by_bytes, room<T>, T *> room_{};
};

}  // namespace detail

/// What was received: a value, or why there is none. To move a result throws nothing. A reference out of a temporary is
/// to nothing soon, so a temporary gives its value instead.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;

  template <class... Args>
  explicit result(std::in_place_t, Args &&...args) : status_(GMX_ESTALE) {
    place_.emplace(std::forward<Args>(args)...);
    status_ = GMX_OK;
  }
  result(result &&other) noexcept : status_(GMX_ESTALE) { take(other); }
  result &operator=(result &&other) noexcept {
    if (this != &other) {
      clear();
      take(other);
    }
    return *this;
  }
  ~result() { clear(); }

  explicit operator bool() const noexcept { return status_ == GMX_OK; }
  bool has_value() const noexcept { return status_ == GMX_OK; }
  /// GMX_OK; GMX_ECLOSED; GMX_EAGAIN of a try_; GMX_ETIMEDOUT; GMX_ESTALE of a result that was moved from.
  gmx_status status() const noexcept { return status_; }
  /// As status(), by the name that std::expected has.
  gmx_status error() const noexcept { return status_; }
  bool is_closed() const noexcept { return status_ == GMX_ECLOSED; }
  bool is_late() const noexcept { return status_ == GMX_ETIMEDOUT; }
  bool is_empty() const noexcept { return status_ == GMX_EAGAIN; }  // of a try_

  /// Only if it has a value.
  T &operator*() & noexcept { return place_.value(); }
  const T &operator*() const & noexcept { return place_.value(); }
  T operator*() && { return std::move(place_.value()); }
  T *operator->() noexcept { return std::addressof(place_.value()); }
  const T *operator->() const noexcept { return std::addressof(place_.value()); }
  /// The value, or the status as an exception.
  T &value() & { return check(status_), place_.value(); }
  const T &value() const & { return check(status_), place_.value(); }
  T value() && { return check(status_), std::move(place_.value()); }
  template <class U>
  T value_or(U &&other) && {
    return has_value() ? std::move(place_.value()) : static_cast<T>(std::forward<U>(other));
  }
  template <class U>
  T value_or(U &&other) const & {
    return has_value() ? place_.value() : static_cast<T>(std::forward<U>(other));
  }
#if defined(__cpp_lib_expected)
  /// For and_then, transform, or_else.
  std::expected<T, gmx_status> expected() && {
    if (has_value()) return std::move(place_.value());
    return std::unexpected(status_);
  }
#endif

 private:
  template <class>
  friend class channel;
  template <class, class, class>
  friend class receive_case;

  struct later {};
  explicit result(later) noexcept : status_(GMX_EAGAIN) {}
  void clear() noexcept {
    if (std::exchange(status_, GMX_ESTALE) == GMX_OK) place_.destroy();
  }
  /// By one that has no value.
  void take(result &other) noexcept {
    if (other) place_.take(other.place_);
    status_ = std::exchange(other.status_, GMX_ESTALE);
  }

  gmx_status status_;
  detail::place<T> place_;
};

// ---- channels -------------------------------------------------------------------------------------------------------

namespace detail {

/// A value on its way out of v, until settle() says whether it was sent: otherwise it goes back to v. If that throws,
/// or there is no settle(), the value is destroyed.
template <class T>
class outgoing {
  static_assert(wire<T>::plain || std::is_move_assignable_v<T> || std::is_nothrow_move_constructible_v<T>,
                "a value that cannot be assigned must not throw when it goes back");

 public:
  explicit outgoing(T &v) : v_(v) {
    if constexpr (!wire<T>::plain) place_.emplace(std::move(v));
  }
  outgoing(const outgoing &) = delete;
  outgoing &operator=(const outgoing &) = delete;
  ~outgoing() {
    if constexpr (!wire<T>::plain) {
      if (ours_) place_.destroy();
    }
  }

  void *bytes() noexcept {
    if constexpr (wire<T>::plain) {
      return std::addressof(v_);
    } else {
      return place_.bytes();
    }
  }

  /// Exactly once.
  void settle(bool sent) {
    if (sent) {
      ours_ = false;
    } else if constexpr (wire<T>::plain) {
    } else if constexpr (std::is_move_assignable_v<T>) {
      v_ = std::move(place_.value());
    } else {
      v_.~T();
      ::new (static_cast<void *>(std::addressof(v_))) T(std::move(place_.value()));
    }
  }

 private:
  T &v_;
  bool ours_ = true;
  place<T> place_;
};

}  // namespace detail

/// For a channel whose senders never wait for room; std::bad_alloc if there is no memory for a value.
inline constexpr std::size_t unbounded = GMX_UNBOUNDED;

/// A channel: values of one type, first in first out. A handle: copies are the same channel, which goes when the last
/// of them does, with the values in it. A caller that waits at a channel has a handle that outlives the wait.
///
/// A send gives v up only if it was sent: after a timeout, a try_send that did not go, or an exception, v is as it was,
/// if its move does not throw; a value whose way back throws is destroyed, and that exception comes out. A receive
/// moves nothing that can throw, so what it takes arrives. A handle that was moved from is none (nullptr): calls wait
/// forever there. What a member returns empty or false for is a time that is up, or a channel that is closed; all else
/// is thrown.
template <class T>
class channel {
  using wire = detail::wire<T>;
  static constexpr bool needs_drain = !wire::plain;  // values in it must be destroyed, which C knows nothing of

 public:
  using value_type = T;
  class iterator;
  struct sentinel {};

  /// With room for so many values; 0: sender and receiver meet; gomax::unbounded.
  explicit channel(std::size_t capacity = 0) {
    if constexpr (needs_drain) users_ = new std::atomic<std::size_t>(1);
    gmx_status status = gmx_chan_new(wire::size, capacity, &chan_);
    if (status != GMX_OK) {
      delete std::exchange(users_, nullptr);
      detail::fail(status);
    }
  }
  /// None: a send or a receive waits forever there. What `nil` is in Go, for a case of a select that is switched off.
  channel(std::nullptr_t) noexcept {}
  /// Takes over a reference to a channel of C's whose values are Ts.
  static channel adopt(gmx_chan *c) noexcept {
    static_assert(!needs_drain, "values of this type do not come out of C");
    channel taken(nullptr);
    taken.chan_ = c;
    return taken;
  }
  channel(const channel &other) : chan_(other.chan_), users_(other.users_) {
    if (chan_ == nullptr) return;
    if constexpr (needs_drain) {
      users_->fetch_add(1, std::memory_order_relaxed);
    } else {
      check(gmx_chan_ref(chan_));
    }
  }
  channel(channel &&other) noexcept
      : chan_(std::exchange(other.chan_, nullptr)), users_(std::exchange(other.users_, nullptr)) {}
  channel &operator=(channel other) noexcept {
    std::swap(chan_, other.chan_);
    std::swap(users_, other.users_);
    return *this;
  }
  ~channel() {
    if (chan_ == nullptr) return;
    if constexpr (needs_drain) {
      if (users_->fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      drain();
      delete users_;
    }
    static_cast<void>(gmx_chan_free(chan_));  // GMX_EBUSY: a caller waits there without a handle; it stays for that
  }

  /// Throws gomax::closed if it is closed, or was while it waited.
  void send(T &&v) const {
    detail::outgoing<T> out(v);
    gmx_status status = gmx_chan_send(chan_, out.bytes());
    out.settle(status == GMX_OK);
    check(status);
  }
  void send(const T &v) const {
    if constexpr (wire::plain) {
      check(gmx_chan_send(chan_, std::addressof(v)));
    } else {
      send(T(v));
    }
  }
  /// False if it would have to wait.
  bool try_send(T &&v) const {
    detail::outgoing<T> out(v);
    return sent(out, gmx_chan_try_send(chan_, out.bytes()));
  }
  bool try_send(const T &v) const { return try_send(T(v)); }
  /// False if the time was up.
  template <class Rep, class Period>
  bool send_for(T &&v, const std::chrono::duration<Rep, Period> &d) const {
    detail::outgoing<T> out(v);
    return sent(out, gmx_chan_send_timeout(chan_, out.bytes(), detail::ns(d)));
  }
  template <class Rep, class Period>
  bool send_for(const T &v, const std::chrono::duration<Rep, Period> &d) const {
    return send_for(T(v), d);
  }
  template <class Clock, class Duration>
  bool send_until(T &&v, const std::chrono::time_point<Clock, Duration> &when) const {
    return send_for(std::move(v), std::chrono::nanoseconds(detail::ns_until(when)));
  }
  template <class Clock, class Duration>
  bool send_until(const T &v, const std::chrono::time_point<Clock, Duration> &when) const {
    return send_for(v, std::chrono::nanoseconds(detail::ns_until(when)));
  }

  /// Empty when it is closed and nothing is left in it.
  result<T> receive() const {
    return take([this](void *to) { return gmx_chan_recv(chan_, to); });
  }
  /// Empty also if it would have to wait.
  result<T> try_receive() const {
    return take([this](void *to) { return gmx_chan_try_recv(chan_, to); });
  }
  /// Empty also if the time was up.
  template <class Rep, class Period>
  result<T> receive_for(const std::chrono::duration<Rep, Period> &d) const {
    return take([this, &d](void *to) { return gmx_chan_recv_timeout(chan_, to, detail::ns(d)); });
  }
  template <class Clock, class Duration>
  result<T> receive_until(const std::chrono::time_point<Clock, Duration> &when) const {
    return receive_for(std::chrono::nanoseconds(detail::ns_until(when)));
  }

  /// False if it was closed already.
  bool close() const {
    gmx_status status = gmx_chan_close(chan_);
    return status != GMX_ECLOSED && check(status) == GMX_OK;
  }
  /// Closes it from the receivers' side: what is left in it is destroyed, and receivers are told at once. So it is with
  /// one that is closed already.
  void close_drop() const {
    if constexpr (needs_drain) {
      check(gmx_chan_close_drop(chan_, [](void *, void *elem) { detail::place<T>::destroy_at(elem); }, nullptr));
    } else {
      check(gmx_chan_close_drop(chan_, nullptr, nullptr));
    }
  }
  std::size_t size() const noexcept { return gmx_chan_len(chan_); }
  std::size_t capacity() const noexcept { return gmx_chan_cap(chan_); }
  /// Values that are left in a closed channel can still be received.
  bool is_closed() const noexcept { return gmx_chan_is_closed(chan_); }
  struct counts {
    std::size_t senders, receivers;
  };
  /// How many goroutines and threads wait there: for tests and metrics. A select counts once for each of its cases.
  counts waiters() const {
    counts n{};
    check(gmx_chan_waiters(chan_, &n.senders, &n.receivers));
    return n;
  }
  gmx_chan *native() const noexcept { return chan_; }
  explicit operator bool() const noexcept { return chan_ != nullptr; }
  friend bool operator==(const channel &a, const channel &b) noexcept { return a.chan_ == b.chan_; }
  friend bool operator!=(const channel &a, const channel &b) noexcept { return a.chan_ != b.chan_; }

  /// for (T &v : channel): until it is closed and nothing is left in it. A value is received when it is looked at, not
  /// by ++: views::take(c, 3) receives three.
  iterator begin() const & { return iterator(*this); }
  iterator begin() const && = delete;  // it would outlive its channel
  sentinel end() const noexcept { return {}; }

 private:
  /// The last handle destroys what is left in it.
  void drain() noexcept {
    detail::place<T> left;
    while (gmx_chan_try_recv(chan_, left.bytes()) == GMX_OK) left.destroy();
  }

  static bool sent(detail::outgoing<T> &out, gmx_status status) {
    out.settle(status == GMX_OK);
    if (status == GMX_EAGAIN || status == GMX_ETIMEDOUT) return false;
    return check(status) == GMX_OK;
  }

  /// Receives by a C call, straight to where the caller wants it.
  template <class Call>
  static result<T> take(Call call) {
    result<T> r{typename result<T>::later{}};
    r.status_ = call(r.place_.bytes());
    if (r.status_ != GMX_ECLOSED && r.status_ != GMX_EAGAIN && r.status_ != GMX_ETIMEDOUT) check(r.status_);
    return r;
  }

  gmx_chan *chan_ = nullptr;
  std::atomic<std::size_t> *users_ = nullptr;
};

template <class T>
class channel<T>::iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = T *;
  using reference = T &;

  explicit iterator(const channel &c) noexcept : from_(&c) {}
  T &operator*() const { return *got(); }
  T *operator->() const { return std::addressof(*got()); }
  iterator &operator++() {
    got();  // of a value that was not looked at as well
    received_ = false;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const iterator &i, sentinel) { return !i.got(); }
  friend bool operator!=(const iterator &i, sentinel) { return static_cast<bool>(i.got()); }
  friend bool operator==(sentinel s, const iterator &i) { return i == s; }
  friend bool operator!=(sentinel s, const iterator &i) { return i != s; }

 private:
  result<T> &got() const {
    if (!received_) got_ = from_->receive();
    received_ = true;
    return got_;
  }
  const channel *from_;
  mutable bool received_ = false;
  mutable result<T> got_{typename result<T>::later{}};
};

// ---- select ---------------------------------------------------------------------------------------------------------

namespace detail {

struct nothing_to_do {
  void operator()() const noexcept {}
};

/// The channel of a case: that of a handle which outlives the case,
struct borrowed {
  gmx_chan *chan;
  gmx_chan *native() const noexcept { return chan; }
};

/// what a case sends: a value of its own, once,
template <class T>
class owned {
 public:
  template <class U>
  explicit owned(U &&v) {
    place_.emplace(std::forward<U>(v));
    there_ = true;
  }
  owned(owned &&other) noexcept : there_(std::exchange(other.there_, false)) {
    if (there_) place_.take(other.place_);
  }
  owned &operator=(owned &&) = delete;
  ~owned() {
    if (there_) place_.destroy();
  }
  void *bytes() {
    if (!there_) fail(GMX_ESTALE);
    return place_.bytes();
  }
  void settle(bool sent) noexcept { there_ = there_ && !sent; }

 private:
  bool there_ = false;
  place<T> place_;
};

/// or a variable of the caller's, which gives its value up only if it is sent.
template <class T>
class lent {
 public:
  explicit lent(T &v) noexcept : v_(&v) {}
  lent(lent &&other) noexcept : v_(other.v_) {}
  lent &operator=(lent &&) = delete;
  void *bytes() { return out_.emplace(*v_).bytes(); }
  void settle(bool sent) {
    if (!out_) return;  // another case threw before
    struct gone {
      std::optional<outgoing<T>> &out;
      ~gone() { out.reset(); }
    } then{out_};
    out_->settle(sent);
  }

 private:
  T *v_;
  std::optional<outgoing<T>> out_;
};

}  // namespace detail

/// A case of select; on_receive makes it.
template <class T, class F, class From>
class receive_case {
 public:
  static constexpr bool waits = true;
  receive_case(From from, F f) : from_(std::move(from)), f_(std::move(f)) {}

  void arm(gmx_select_case &to, std::int64_t &) noexcept {
    got_ = result<T>(typename result<T>::later{});
    to.chan = from_.native();
    to.op = GMX_CASE_RECV;
    to.elem = got_.place_.bytes();
  }
  void settle(bool chosen, gmx_status status) noexcept {
    if (chosen) got_.status_ = status;
  }
  static constexpr bool is_timeout() noexcept { return false; }
  void run() {
    result<T> got = std::move(got_);
    if constexpr (std::is_invocable_v<F &, result<T>>) {
      f_(std::move(got));
    } else {
      f_();
    }
  }

 private:
  From from_;
  F f_;
  result<T> got_{typename result<T>::later{}};
};

/// A case of select; on_send makes it.
template <class Value, class F, class To>
class send_case {
 public:
  static constexpr bool waits = true;
  template <class V>
  send_case(To to, V &&v, F f) : to_(std::move(to)), v_(std::forward<V>(v)), f_(std::move(f)) {}

  void arm(gmx_select_case &to, std::int64_t &) {
    to.chan = to_.native();
    to.op = GMX_CASE_SEND;
    to.elem = v_.bytes();
  }
  void settle(bool chosen, gmx_status status) {
    status_ = chosen ? status : GMX_OK;
    v_.settle(chosen && status == GMX_OK);
  }
  static constexpr bool is_timeout() noexcept { return false; }
  void run() {
    check(status_);
    f_();
  }

 private:
  To to_;
  Value v_;
  F f_;
  gmx_status status_ = GMX_OK;
};

/// A case of select; on_receive_ready and on_send_ready make it.
template <class F, class At>
class ready_case {
 public:
  static constexpr bool waits = true;
  ready_case(At at, std::uint32_t op, F f) : at_(std::move(at)), op_(op), f_(std::move(f)) {}

  void arm(gmx_select_case &to, std::int64_t &) noexcept {
    to.chan = at_.native();
    to.op = op_;
  }
  void settle(bool, gmx_status) noexcept {}
  static constexpr bool is_timeout() noexcept { return false; }
  void run() { f_(); }

 private:
  At at_;
  std::uint32_t op_;
  F f_;
};

/// What select does when no other case was ready in time; on_timeout and otherwise make it.
template <class F>
class timeout_case {
 public:
  static constexpr bool waits = false;
  timeout_case(std::int64_t ns, bool from_now, F f)
      : end_(from_now ? gmx_deadline(ns) : ns), from_now_(from_now), f_(std::move(f)) {}

  void arm(gmx_select_case &, std::int64_t &timeout) noexcept { timeout = from_now_ ? gmx_time_left(end_) : end_; }
  void settle(bool, gmx_status) noexcept {}
  static constexpr bool is_timeout() noexcept { return true; }
  void run() { f_(); }

 private:
  std::int64_t end_;  // a moment, or the length of each wait
  bool from_now_;
  F f_;
};

/// f(result<T>) or f(): the result is empty if the channel is closed. A case refers to the channel whose handle it was
/// given, and keeps a handle that is a temporary.
template <class T, class F = detail::nothing_to_do>
receive_case<T, F, detail::borrowed> on_receive(const channel<T> &c, F f = {}) {
  return {detail::borrowed{c.native()}, std::move(f)};
}
template <class T, class F = detail::nothing_to_do>
receive_case<T, F, channel<T>> on_receive(channel<T> &&c, F f = {}) {
  return {std::move(c), std::move(f)};
}

namespace detail {

template <class T, class To, class U, class F>
auto sends(To to, U &&v, F f) {
  using value = std::conditional_t<std::is_same_v<std::decay_t<U>, std::reference_wrapper<T>>, lent<T>, owned<T>>;
  return send_case<value, F, To>(std::move(to), std::forward<U>(v), std::move(f));
}

}  // namespace detail

/// The case has a v of its own, copied or moved, which is sent if the case is chosen, and otherwise goes with the case.
/// Of std::ref(v) the value is moved out of v if the case is chosen, and otherwise v is as it was. Throws gomax::closed
/// if it is chosen because the channel is closed; GMX_ESTALE if its value was sent before.
template <class T, class U, class F = detail::nothing_to_do>
auto on_send(const channel<T> &c, U &&v, F f = {}) {
  return detail::sends<T>(detail::borrowed{c.native()}, std::forward<U>(v), std::move(f));
}
template <class T, class U, class F = detail::nothing_to_do>
auto on_send(channel<T> &&c, U &&v, F f = {}) {
  return detail::sends<T>(std::move(c), std::forward<U>(v), std::move(f));
}
/// Receives nothing: chosen when a receive would not wait, which is so of a closed channel too. Another may be faster
/// until the caller comes to it: try_receive, and select again if it has to wait.
template <class T, class F = detail::nothing_to_do>
ready_case<F, detail::borrowed> on_receive_ready(const channel<T> &c, F f = {}) {
  return {detail::borrowed{c.native()}, GMX_CASE_RECV_READY, std::move(f)};
}
template <class T, class F = detail::nothing_to_do>
ready_case<F, channel<T>> on_receive_ready(channel<T> &&c, F f = {}) {
  return {std::move(c), GMX_CASE_RECV_READY, std::move(f)};
}
/// Sends nothing: chosen when a send would not wait. So a value can be made when there is a place for it; then
/// try_send.
template <class T, class F = detail::nothing_to_do>
ready_case<F, detail::borrowed> on_send_ready(const channel<T> &c, F f = {}) {
  return {detail::borrowed{c.native()}, GMX_CASE_SEND_READY, std::move(f)};
}
template <class T, class F = detail::nothing_to_do>
ready_case<F, channel<T>> on_send_ready(channel<T> &&c, F f = {}) {
  return {std::move(c), GMX_CASE_SEND_READY, std::move(f)};
}
/// When a select has waited so long: each select in which the case stands.
template <class Rep, class Period, class F = detail::nothing_to_do>
timeout_case<F> on_timeout(const std::chrono::duration<Rep, Period> &d, F f = {}) {
  return {detail::ns(d), false, std::move(f)};
}
/// At this moment, for all selects in which the case stands.
template <class Clock, class Duration, class F = detail::nothing_to_do>
timeout_case<F> on_timeout(const std::chrono::time_point<Clock, Duration> &when, F f = {}) {
  return {detail::ns_until(when), true, std::move(f)};
}
/// What `default` is in Go.
template <class F = detail::nothing_to_do>
timeout_case<F> otherwise(F f = {}) {
  return {0, false, std::move(f)};
}

namespace detail {

/// A select of the cases for which each(visit) calls visit(case), always in the same order; n of them wait.
template <class Each>
std::size_t select_of(gmx_select_case *raw, std::size_t n, Each each) {
  std::int64_t timeout = GMX_FOREVER;
  std::size_t at = 0, chosen = n;
  gmx_status status = GMX_OK;
  std::exception_ptr failure;
  auto settle = [&] {  // all of them, also when the way back of one value throws
    at = 0;
    each([&](auto &c) {
      try {
        c.settle(at == chosen, status);
      } catch (...) {
        if (!failure) failure = std::current_exception();
      }
      at += c.waits;
    });
  };
  try {
    each([&](auto &c) {
      gmx_select_case none{};
      c.arm(c.waits ? raw[at] = none : none, timeout);
      at += c.waits;
    });
  } catch (...) {  // no memory for a box, or a move
    settle();
    throw;
  }
  status = gmx_select(raw, n, timeout, &chosen);
  const bool late = status == GMX_ETIMEDOUT;
  settle();  // before the first function: a value that was not sent is where it was
  if (!late && status != GMX_ECLOSED && status < 0) {
    if (failure) std::rethrow_exception(failure);
    fail(status);
  }
  std::size_t argument = 0, ran = n + 1;
  at = 0;
  each([&](auto &c) {
    if (late ? c.is_timeout() : c.waits && at == chosen) {
      ran = argument;
      c.run();
    }
    at += c.waits;
    ++argument;
  });
  if (failure) std::rethrow_exception(failure);  // what was received is with its function
  return ran;
}

}  // namespace detail

/// Waits until one of the cases can be done, does it, and calls its function; of several that are ready it takes one at
/// random. At most one on_timeout or otherwise. Gives the number of the argument that it was.
///
/// A case is used up: make it in the call, or std::move it there. If the way back of a std::ref that was not chosen
/// throws, the chosen function is called, and then that exception comes out.
template <class... Cases>
std::size_t select(Cases &&...cases) {
  static_assert((!std::is_lvalue_reference_v<Cases> && ...), "a select uses its cases up: make them in the call, or std::move them");
  constexpr std::size_t waiting = (std::size_t{std::decay_t<Cases>::waits} + ... + 0);
  static_assert(sizeof...(Cases) - waiting <= 1, "only one on_timeout or otherwise");
  std::array<gmx_select_case, waiting == 0 ? 1 : waiting> raw;
  return detail::select_of(raw.data(), waiting, [&](auto visit) { (visit(cases), ...); });
}

/// Cases whose number is known at run time, for one select after another:
///
///     gomax::select_list all;
///     for (auto &in : inputs) all.add(gomax::on_receive(in, [&](gomax::result<job> r) { ... }));
///     while (open > 0) all.select();
///
/// Each case is one allocation. A case that has sent its value must be replaced before the next select (GMX_ESTALE);
/// one that is to be passed over is set to a receive from channel<T>(nullptr).
class select_list {
 public:
  /// Its number, from 0. GMX_EINVAL for a second on_timeout or otherwise.
  template <class Case>
  std::size_t add(Case &&c) {
    auto fresh = make(std::forward<Case>(c));
    if (fresh->is_timeout()) one_timeout(cases_.size());
    cases_.push_back(std::move(fresh));
    return cases_.size() - 1;
  }
  /// Puts a case in the place of another. GMX_EINVAL if there is none of this number.
  template <class Case>
  void set(std::size_t number, Case &&c) {
    if (number >= cases_.size()) detail::fail(GMX_EINVAL);
    auto fresh = make(std::forward<Case>(c));
    if (fresh->is_timeout()) one_timeout(number);
    cases_[number] = std::move(fresh);
  }
  void clear() noexcept { cases_.clear(); }
  std::size_t size() const noexcept { return cases_.size(); }
  /// As gomax::select of its cases; gives the number of the case. The case's function must not change the list.
  std::size_t select() {
    raw_.resize(cases_.size());
    return detail::select_of(raw_.data(), raw_.size(), [this](auto visit) {
      for (auto &c : cases_) visit(*c);
    });
  }

 private:
  struct any {
    static constexpr bool waits = true;  // a timeout stands among the others as a case without a channel
    any() = default;
    any(const any &) = delete;
    any &operator=(const any &) = delete;
    virtual ~any() = default;
    virtual void arm(gmx_select_case &to, std::int64_t &timeout) = 0;
    virtual void settle(bool chosen, gmx_status status) = 0;
    virtual bool is_timeout() const noexcept = 0;
    virtual void run() = 0;
  };
  template <class Case>
  struct one final : any {
    explicit one(Case &&c) : of(std::move(c)) {}
    void arm(gmx_select_case &to, std::int64_t &timeout) override { of.arm(to, timeout); }
    void settle(bool chosen, gmx_status status) override { of.settle(chosen, status); }
    bool is_timeout() const noexcept override { return Case::is_timeout(); }
    void run() override { of.run(); }
    Case of;
  };
  template <class Case>
  static std::unique_ptr<any> make(Case &&c) {
    static_assert(!std::is_lvalue_reference_v<Case>, "a list takes its cases over: make them in the call, or std::move them");
    return std::make_unique<one<Case>>(std::move(c));
  }
  void one_timeout(std::size_t number) const {
    for (std::size_t i = 0; i < cases_.size(); i++) {
      if (i != number && cases_[i]->is_timeout()) detail::fail(GMX_EINVAL);
    }
  }
  std::vector<std::unique_ptr<any>> cases_;
  std::vector<gmx_select_case> raw_;
};

// ---- locks ----------------------------------------------------------------------------------------------------------

/// For std::lock_guard, unique_lock, scoped_lock. Hold it over waits as you like: it is the goroutine's, not the
/// thread's.
class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex &) = delete;
  mutex &operator=(const mutex &) = delete;

  void lock() { check(gmx_mutex_lock(&m_)); }
  bool try_lock() noexcept { return gmx_mutex_try_lock(&m_) == GMX_OK; }
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period> &d) {
    return detail::in_time(gmx_mutex_lock_timeout(&m_, detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration> &when) {
    return detail::in_time(gmx_mutex_lock_timeout(&m_, detail::ns_until(when)));
  }
  void unlock() { check(gmx_mutex_unlock(&m_)); }
  /// How many wait for it.
  std::uint32_t waiters() const noexcept { return gmx_mutex_waiters(&m_); }
  gmx_mutex *native() noexcept { return &m_; }

 private:
  gmx_mutex m_{};
};

/// Many readers or one writer; for std::shared_lock as well.
class rwmutex {
 public:
  constexpr rwmutex() noexcept = default;
  rwmutex(const rwmutex &) = delete;
  rwmutex &operator=(const rwmutex &) = delete;

  void lock() { check(gmx_rwmutex_lock(&m_)); }
  bool try_lock() noexcept { return gmx_rwmutex_try_lock(&m_) == GMX_OK; }
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period> &d) {
    return detail::in_time(gmx_rwmutex_lock_timeout(&m_, detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration> &when) {
    return detail::in_time(gmx_rwmutex_lock_timeout(&m_, detail::ns_until(when)));
  }
  void unlock() { check(gmx_rwmutex_unlock(&m_)); }

  void lock_shared() { check(gmx_rwmutex_rlock(&m_)); }
  bool try_lock_shared() noexcept { return gmx_rwmutex_try_rlock(&m_) == GMX_OK; }
  template <class Rep, class Period>
  bool try_lock_shared_for(const std::chrono::duration<Rep, Period> &d) {
    return detail::in_time(gmx_rwmutex_rlock_timeout(&m_, detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration> &when) {
    return detail::in_time(gmx_rwmutex_rlock_timeout(&m_, detail::ns_until(when)));
  }
  void unlock_shared() { check(gmx_rwmutex_runlock(&m_)); }
  /// How many wait for it, to read or to write.
  std::uint32_t waiters() const noexcept { return gmx_rwmutex_waiters(&m_); }
  gmx_rwmutex *native() noexcept { return &m_; }

 private:
  gmx_rwmutex m_{};
};

/// As std::condition_variable, for gomax::mutex. The lock is held again whatever comes out of a wait, exceptions
/// included.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable &) = delete;
  condition_variable &operator=(const condition_variable &) = delete;

  void notify_one() { check(gmx_cond_signal(&c_)); }
  void notify_all() { check(gmx_cond_broadcast(&c_)); }

  void wait(std::unique_lock<mutex> &lock) { check(gmx_cond_wait(&c_, of(lock))); }
  template <class Predicate>
  void wait(std::unique_lock<mutex> &lock, Predicate there) {
    while (!there()) wait(lock);
  }
  template <class Rep, class Period>
  std::cv_status wait_for(std::unique_lock<mutex> &lock, const std::chrono::duration<Rep, Period> &d) {
    return ended(gmx_cond_wait_timeout(&c_, of(lock), detail::ns(d)));
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(std::unique_lock<mutex> &lock, const std::chrono::duration<Rep, Period> &d, Predicate there) {
    return wait_until(lock, clock::time_point(clock::duration(gmx_deadline(detail::ns(d)))), std::move(there));
  }
  template <class Clock, class Duration>
  std::cv_status wait_until(std::unique_lock<mutex> &lock, const std::chrono::time_point<Clock, Duration> &when) {
    return ended(gmx_cond_wait_timeout(&c_, of(lock), detail::ns_until(when)));
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(std::unique_lock<mutex> &lock, const std::chrono::time_point<Clock, Duration> &when, Predicate there) {
    while (!there()) {
      if (wait_until(lock, when) == std::cv_status::timeout) return there();
    }
    return true;
  }
  /// How many wait for a notification; with the mutex locked none is missed.
  std::uint32_t waiters() const noexcept { return gmx_cond_waiters(&c_); }
  gmx_cond *native() noexcept { return &c_; }

 private:
  static gmx_mutex *of(std::unique_lock<mutex> &lock) {
    if (!lock.owns_lock()) detail::fail(GMX_EPERM);
    return lock.mutex()->native();
  }
  static std::cv_status ended(gmx_status status) {
    return detail::in_time(status) ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  gmx_cond c_{};
};

/// As std::condition_variable_any: for every lock with lock() and unlock(), such as std::shared_lock<gomax::rwmutex>.
/// The lock is held again whatever comes out of a wait; if it cannot be locked again, std::terminate. A notification
/// locks a mutex inside, so it comes from where a lock may be waited for. When all that wait have been notified it may
/// be destroyed. Costs over condition_variable: one allocation, and that mutex.
class condition_variable_any {
 public:
  condition_variable_any() : in_(std::make_shared<inside>()) {}
  condition_variable_any(const condition_variable_any &) = delete;
  condition_variable_any &operator=(const condition_variable_any &) = delete;

  void notify_one() {
    std::lock_guard<mutex> held(in_->m);
    in_->c.notify_one();
  }
  void notify_all() {
    std::lock_guard<mutex> held(in_->m);
    in_->c.notify_all();
  }

  template <class Lock>
  void wait(Lock &lock) {
    without(lock, [](condition_variable &c, std::unique_lock<mutex> &held) { c.wait(held); });
  }
  template <class Lock, class Predicate>
  void wait(Lock &lock, Predicate there) {
    while (!there()) wait(lock);
  }
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock &lock, const std::chrono::duration<Rep, Period> &d) {
    return without(lock, [&d](condition_variable &c, std::unique_lock<mutex> &held) { return c.wait_for(held, d); });
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock &lock, const std::chrono::duration<Rep, Period> &d, Predicate there) {
    return wait_until(lock, clock::time_point(clock::duration(gmx_deadline(detail::ns(d)))), std::move(there));
  }
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock &lock, const std::chrono::time_point<Clock, Duration> &when) {
    return without(lock, [&when](condition_variable &c, std::unique_lock<mutex> &held) { return c.wait_until(held, when); });
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock &lock, const std::chrono::time_point<Clock, Duration> &when, Predicate there) {
    while (!there()) {
      if (wait_until(lock, when) == std::cv_status::timeout) return there();
    }
    return true;
  }
  /// How many wait for a notification; with the lock held none is missed.
  std::uint32_t waiters() const noexcept { return in_->c.waiters(); }

 private:
  struct inside {
    mutex m;
    condition_variable c;
  };

  template <class Lock, class Wait>
  auto without(Lock &lock, Wait wait) {
    const std::shared_ptr<inside> in = in_;  // lasts until the wait is over, also if this does not
    std::unique_lock<mutex> held(in->m);     // from here on no notification is missed
    lock.unlock();
    struct again {
      Lock &lock;
      std::unique_lock<mutex> &held;
      ~again() {
        held.unlock();
        lock.lock();
      }
    } then{lock, held};
    return wait(in->c, held);
  }

  std::shared_ptr<inside> in_;
};

/// As mutex, for an owner that may lock it again, and then unlocks it as often.
class recursive_mutex {
 public:
  constexpr recursive_mutex() noexcept = default;
  recursive_mutex(const recursive_mutex &) = delete;
  recursive_mutex &operator=(const recursive_mutex &) = delete;

  void lock() { check(gmx_rmutex_lock(&m_, GMX_FOREVER)); }
  bool try_lock() noexcept { return gmx_rmutex_try_lock(&m_) == GMX_OK; }
  template <class Rep, class Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period> &d) {
    return detail::in_time(gmx_rmutex_lock(&m_, detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration> &when) {
    return detail::in_time(gmx_rmutex_lock(&m_, detail::ns_until(when)));
  }
  void unlock() { check(gmx_rmutex_unlock(&m_)); }
  /// How many wait for it.
  std::uint32_t waiters() const noexcept { return gmx_rmutex_waiters(&m_); }
  gmx_rmutex *native() noexcept { return &m_; }

 private:
  gmx_rmutex m_{};
};

namespace detail {

/// Until the value is not `old` any more, bit by bit; false if the moment `end` came before.
template <class T>
bool wait_while(const std::atomic<T> &a, const T &old, std::int64_t end) {
  static_assert(std::atomic<T>::is_always_lock_free && sizeof(std::atomic<T>) == sizeof(T), "the library looks at it as well");
  for (T now = a.load(); std::memcmp(&now, &old, sizeof(T)) == 0; now = a.load()) {
    gmx_status status = gmx_wait_on_address(&a, &old, sizeof(T), gmx_time_left(end));
    if (status != GMX_EAGAIN && !in_time(status)) return false;
  }
  return true;
}

}  // namespace detail

/// What std::atomic::wait is for threads: returns when the value is not `old` any more, bit by bit, and the writer said
/// so by atomic_notify_one or atomic_notify_all.
template <class T>
void atomic_wait(const std::atomic<T> &a, T old) {
  detail::wait_while(a, old, GMX_FOREVER);
}
/// False if the time was up.
template <class T, class Rep, class Period>
bool atomic_wait_for(const std::atomic<T> &a, T old, const std::chrono::duration<Rep, Period> &d) {
  return detail::wait_while(a, old, gmx_deadline(detail::ns(d)));
}
template <class T, class Clock, class Duration>
bool atomic_wait_until(const std::atomic<T> &a, T old, const std::chrono::time_point<Clock, Duration> &when) {
  return detail::wait_while(a, old, gmx_deadline(detail::ns_until(when)));
}
template <class T>
void atomic_notify_one(const std::atomic<T> &a) {
  check(gmx_wake_address(&a, 1));
}
template <class T>
void atomic_notify_all(const std::atomic<T> &a) {
  check(gmx_wake_address(&a, GMX_WAKE_ALL));
}

// ---- cleanup --------------------------------------------------------------------------------------------------------

/// Runs f at the end of its own scope, or before if the goroutine ends by gmx_goexit, which unwinds nothing: for code
/// of C++ that calls code which may end the goroutine.
///
///     gomax::at_exit closes([&] { close(fd); });
template <class F>
class at_exit {
 public:
  explicit at_exit(F f) : f_(std::move(f)) {
    gmx_status status = gmx_cleanup_push(&node_, [](void *p) noexcept { static_cast<at_exit *>(p)->f_(); }, this);
    pushed_ = status == GMX_OK;
    if (status != GMX_ENOTG) check(status);  // where no goroutine is, none ends
  }
  at_exit(const at_exit &) = delete;
  at_exit &operator=(const at_exit &) = delete;
  ~at_exit() {
    if (!pushed_ || gmx_cleanup_pop(&node_, false) == GMX_OK) f_();
  }

 private:
  F f_;
  gmx_cleanup node_{};
  bool pushed_ = false;
};

// ---- futures --------------------------------------------------------------------------------------------------------

/// What get() throws if no result will ever come: the promise was dropped, or the goroutine of async left by
/// gmx_goexit.
class GMX_API broken_promise : public error {
 public:
  broken_promise() noexcept : error(GMX_EPIPE) {}
  const char *what() const noexcept override { return "the promise was dropped without a result"; }
};

template <class R>
class future;

namespace detail {

/// What a future and its promise share. The one that is second to let go frees it.
template <class R>
class future_state {
 public:
  outcome<R> left;  // the promise's until ready(), then the future's

  future_state(void (*destroy)(future_state *) noexcept, int users) noexcept : users_(users), destroy_(destroy) {}

  bool is_ready() const noexcept { return word_.load(std::memory_order_acquire) == READY; }
  /// Until ready() was called; false if the moment `end` came before.
  bool wait(std::int64_t end) {
    std::uint32_t was = OPEN;
    word_.compare_exchange_strong(was, AWAITED, std::memory_order_acquire);
    return was == READY || wait_while<std::uint32_t>(word_, AWAITED, end);
  }
  void ready() noexcept {
    if (word_.exchange(READY, std::memory_order_acq_rel) != AWAITED) return;
    // Fails only on a thread that the library does not know while there is no memory to know it: the waiter is woken
    // later.
    while (gmx_wake_address(&word_, GMX_WAKE_ALL) < 0) gmx_yield();
  }
  void let_go() noexcept {
    if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_(this);
  }
  /// By the only user.
  void share() noexcept { users_.store(2, std::memory_order_relaxed); }

 private:
  enum : std::uint32_t { OPEN, AWAITED, READY };
  std::atomic<std::uint32_t> word_{OPEN};
  std::atomic<int> users_;
  void (*destroy_)(future_state *) noexcept;
};

template <class R, class F>
class async_state : public future_state<R> {
 public:
  template <class G>
  explicit async_state(G &&f) : future_state<R>(destroy, 2) {
    ::new (static_cast<void *>(std::addressof(room_.value))) F(std::forward<G>(f));
  }

  static void run(void *arg) noexcept {
    async_state *self = static_cast<async_state *>(static_cast<future_state<R> *>(arg));
    auto ends = [self]() noexcept {
      self->room_.value.~F();  // here, since it may hold what belongs to the goroutine
      self->ready();
      self->let_go();
    };
    at_exit<decltype(ends)> then(ends);  // also if f ends the goroutine: without a result
    self->left.run(self->room_.value);
  }

  /// For one that never ran.
  static void unstarted(async_state *self) noexcept {
    self->room_.value.~F();
    delete self;
  }

 private:
  static void destroy(future_state<R> *self) noexcept { delete static_cast<async_state *>(self); }
  room<F> room_;
};

template <class R, class F>
future<R> start_async(const spawn_options *o, F &&f);

}  // namespace detail

/// A result that is there later: what a promise was given, or what the function of async returned or threw.
///
/// Waiting for it is waiting for an event: it ends with gomax::canceled if the caller's token is canceled, and the
/// future is as it was. A future that is dropped waits for nothing; the result, or the exception, is dropped too.
template <class R>
class [[nodiscard]] future {
 public:
  future() noexcept = default;
  future(future &&other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  future &operator=(future &&other) noexcept {
    future gone(std::move(other));
    std::swap(state_, gone.state_);
    return *this;
  }
  ~future() {
    if (state_ != nullptr) state_->let_go();
  }

  /// Whether there is something to get().
  bool valid() const noexcept { return state_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }
  /// Whether get() would not wait.
  bool is_ready() const noexcept { return state_ != nullptr && state_->is_ready(); }

  void wait() const { there()->wait(GMX_FOREVER); }
  /// False if the time was up.
  template <class Rep, class Period>
  bool wait_for(const std::chrono::duration<Rep, Period> &d) const {
    return there()->wait(gmx_deadline(detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool wait_until(const std::chrono::time_point<Clock, Duration> &when) const {
    return there()->wait(gmx_deadline(detail::ns_until(when)));
  }

  /// Once. Throws what the function threw or the promise was given, or gomax::broken_promise.
  R get() {
    wait();
    const future gone(std::move(*this));
    if (gone.state_->left.empty()) throw broken_promise();
    return gone.state_->left.take();
  }

 private:
  template <class>
  friend class promise;
  template <class T, class F>
  friend future<T> detail::start_async(const spawn_options *o, F &&f);

  explicit future(detail::future_state<R> *state) noexcept : state_(state) {}
  detail::future_state<R> *there() const {
    if (state_ == nullptr) detail::fail(GMX_ESTALE);
    return state_;
  }
  detail::future_state<R> *state_ = nullptr;
};

/// The side that gives the result: once, from wherever it likes. If it is dropped before, get() throws
/// gomax::broken_promise. Costs one allocation.
template <class R>
class promise {
 public:
  promise() : state_(new state) {}
  promise(promise &&other) noexcept
      : state_(std::exchange(other.state_, nullptr)), given_(other.given_), promised_(other.promised_) {}
  promise &operator=(promise &&other) noexcept {
    promise gone(std::move(other));
    std::swap(state_, gone.state_);
    std::swap(given_, gone.given_);
    std::swap(promised_, gone.promised_);
    return *this;
  }
  ~promise() {
    if (state_ == nullptr) return;
    if (!given_) state_->ready();
    state_->let_go();
  }

  /// Once.
  future<R> get_future() {
    may(promised_);
    state_->share();
    promised_ = true;
    return future<R>(state_);
  }
  /// An R made of these. If that throws, nothing is given yet.
  template <class... Args>
  void set_value(Args &&...args) {
    may(given_);
    state_->left.emplace(std::forward<Args>(args)...);
    give();
  }
  void set_exception(std::exception_ptr e) {
    may(given_);
    if (!e) detail::fail(GMX_EINVAL);
    state_->left.fail_with(std::move(e));
    give();
  }

 private:
  struct state : detail::future_state<R> {
    state() noexcept : detail::future_state<R>([](detail::future_state<R> *s) noexcept { delete static_cast<state *>(s); }, 1) {}
  };
  void may(bool done) const {
    if (state_ == nullptr) detail::fail(GMX_ESTALE);
    if (done) detail::fail(GMX_EPERM);
  }
  void give() noexcept {
    given_ = true;
    state_->ready();
  }
  detail::future_state<R> *state_;
  bool given_ = false, promised_ = false;
};

namespace detail {

template <class R, class F>
future<R> start_async(const spawn_options *o, F &&f) {
  using whole = async_state<R, std::decay_t<F>>;
  whole *w = new whole(std::forward<F>(f));
  future_state<R> *state = w;
  gmx_status status = o == nullptr ? gmx_spawn(whole::run, state) : start(o, 0, whole::run, state, nullptr);
  if (__builtin_expect(status != GMX_OK, 0)) {
    whole::unstarted(w);
    fail(status);
  }
  return future<R>(state);
}

}  // namespace detail

/// Starts a goroutine that calls f, or f(args...) as std::thread does, for a future of its result. Unlike a task it may
/// be dropped whatever f throws, and a token ends the wait for it. Costs over C: one allocation, and a cleanup for an f
/// that calls gmx_goexit.
template <class F, class... Args>
future<detail::result_of<F, Args...>> async(F &&f, Args &&...args) {
  return detail::start_async<detail::result_of<F, Args...>>(nullptr, detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
}
template <class F, class... Args>
future<detail::result_of<F, Args...>> async(const spawn_options &o, F &&f, Args &&...args) {
  return detail::start_async<detail::result_of<F, Args...>>(&o, detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
}

// ---- counting, once -------------------------------------------------------------------------------------------------

/// Counts what is under way; wait() returns when nothing is.
class wait_group {
 public:
  constexpr wait_group() noexcept = default;
  wait_group(const wait_group &) = delete;
  wait_group &operator=(const wait_group &) = delete;

  void add(std::int32_t n = 1) { check(gmx_waitgroup_add(&wg_, n)); }
  void done() { check(gmx_waitgroup_done(&wg_)); }
  void wait() { check(gmx_waitgroup_wait(&wg_)); }
  /// False if the time was up.
  template <class Rep, class Period>
  bool wait_for(const std::chrono::duration<Rep, Period> &d) {
    return detail::in_time(gmx_waitgroup_wait_timeout(&wg_, detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool wait_until(const std::chrono::time_point<Clock, Duration> &when) {
    return detail::in_time(gmx_waitgroup_wait_timeout(&wg_, detail::ns_until(when)));
  }
  /// spawn(f, args...), counted until the goroutine has ended and f is gone.
  template <class F, class... Args, class = detail::result_of<F, Args...>>
  void go(F &&f, Args &&...args) {
    detail::packed(detail::bound(std::forward<F>(f), std::forward<Args>(args)...),
                   [this](void (*fn)(void *), void *arg) { return gmx_waitgroup_go(&wg_, fn, arg); });
  }
  gmx_waitgroup *native() noexcept { return &wg_; }

 private:
  gmx_waitgroup wg_{};
};

/// As std::latch: counts down once, and waits return at zero. Like the wait for a wait_group they are ended by no
/// token.
class latch {
 public:
  explicit latch(std::int32_t n) { check(gmx_waitgroup_add(&wg_, n)); }
  latch(const latch &) = delete;
  latch &operator=(const latch &) = delete;

  /// GMX_EINVAL if that is more than is left, or below 0; the count is as it was.
  void count_down(std::int32_t n = 1) {
    if (n < 0) detail::fail(GMX_EINVAL);
    check(gmx_waitgroup_add(&wg_, -n));
  }
  bool try_wait() const { return wait_ns(0); }
  void wait() const { check(gmx_waitgroup_wait(&wg_)); }
  void arrive_and_wait(std::int32_t n = 1) {
    count_down(n);
    wait();
  }
  /// False if the time was up.
  template <class Rep, class Period>
  bool wait_for(const std::chrono::duration<Rep, Period> &d) const {
    return wait_ns(detail::ns(d));
  }
  template <class Clock, class Duration>
  bool wait_until(const std::chrono::time_point<Clock, Duration> &when) const {
    return wait_ns(detail::ns_until(when));
  }

 private:
  bool wait_ns(std::int64_t ns) const { return detail::in_time(gmx_waitgroup_wait_timeout(&wg_, ns)); }
  mutable gmx_waitgroup wg_{};
};

/// A count that waits at zero.
class semaphore {
 public:
  constexpr explicit semaphore(std::uint32_t n = 0) noexcept : n_(n) {}
  semaphore(const semaphore &) = delete;
  semaphore &operator=(const semaphore &) = delete;

  void acquire() { check(gmx_sema_acquire(&n_)); }
  bool try_acquire() noexcept { return gmx_sema_try_acquire(&n_) == GMX_OK; }
  template <class Rep, class Period>
  bool try_acquire_for(const std::chrono::duration<Rep, Period> &d) {
    return detail::in_time(gmx_sema_acquire_timeout(&n_, detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool try_acquire_until(const std::chrono::time_point<Clock, Duration> &when) {
    return detail::in_time(gmx_sema_acquire_timeout(&n_, detail::ns_until(when)));
  }
  void release() { check(gmx_sema_release(&n_)); }
  /// As release; the first waiter has the permit then, and runs at once in the caller's place.
  void release_handoff() { check(gmx_sema_release_handoff(&n_)); }
  /// How many wait for it.
  std::uint32_t waiters() const noexcept { return gmx_sema_waiters(&n_); }
  std::uint32_t *native() noexcept { return &n_; }

 private:
  std::uint32_t n_;
};

/// Where n goroutines and threads meet, again and again. A wait that throws, or whose time is up, is no arrival.
class barrier {
 public:
  constexpr explicit barrier(std::uint32_t n) noexcept : b_ GMX_BARRIER_INIT(n) {}
  barrier(const barrier &) = delete;
  barrier &operator=(const barrier &) = delete;

  /// Waits until n have arrived. True for one of them in each round.
  bool wait() {
    bool serial = false;
    check(gmx_barrier_wait(&b_, &serial));
    return serial;
  }
  /// As wait, by the name that std::barrier has.
  void arrive_and_wait() { wait(); }
  /// As wait; empty if the time was up.
  template <class Rep, class Period>
  std::optional<bool> wait_for(const std::chrono::duration<Rep, Period> &d) {
    return wait_ns(detail::ns(d));
  }
  template <class Clock, class Duration>
  std::optional<bool> wait_until(const std::chrono::time_point<Clock, Duration> &when) {
    return wait_ns(detail::ns_until(when));
  }
  /// How many have arrived in this round.
  std::uint32_t waiters() const noexcept { return gmx_barrier_waiters(&b_); }
  gmx_barrier *native() noexcept { return &b_; }

 private:
  std::optional<bool> wait_ns(std::int64_t ns) {
    bool serial = false;
    if (!detail::in_time(gmx_barrier_wait_timeout(&b_, ns, &serial))) return std::nullopt;
    return serial;
  }
  gmx_barrier b_;
};

/// Something to be done once. As in Go, and unlike std::call_once, it is done also if it throws: the exception goes to
/// the caller whose function it was, the others find it done.
class once {
 public:
  constexpr once() noexcept = default;
  once(const once &) = delete;
  once &operator=(const once &) = delete;

  template <class F>
  void call(F &&f) {
    call_ns(f, GMX_FOREVER);
  }
  /// False if another was still at it when the time was up.
  template <class Rep, class Period, class F>
  bool call_for(const std::chrono::duration<Rep, Period> &d, F &&f) {
    return call_ns(f, detail::ns(d));
  }
  template <class Clock, class Duration, class F>
  bool call_until(const std::chrono::time_point<Clock, Duration> &when, F &&f) {
    return call_ns(f, detail::ns_until(when));
  }
  gmx_once *native() noexcept { return &once_; }

 private:
  template <class F>
  bool call_ns(F &f, std::int64_t ns) {
    struct frame {
      F &f;
      std::exception_ptr failure;
    } here{f, nullptr};
    void (*const calls)(void *) = [](void *arg) noexcept {
      frame &h = *static_cast<frame *>(arg);
      try {
        std::invoke(h.f);
      } catch (...) {
        h.failure = std::current_exception();
      }
    };
    void *const arg = static_cast<void *>(std::addressof(here));
    // The first has its look inline.
    gmx_status status = ns == GMX_FOREVER ? gmx_once_do(&once_, calls, arg) : gmx_once_do_timeout(&once_, calls, arg, ns);
    if (here.failure) std::rethrow_exception(here.failure);
    return detail::in_time(status);
  }

  gmx_once once_{};
};

// ---- cancellation ---------------------------------------------------------------------------------------------------

/// A token of cancellation, seen: its holder may ask, cancel, wait under it. It belongs to a cancel_source or a scope.
class cancel_token {
 public:
  constexpr cancel_token() noexcept = default;
  constexpr explicit cancel_token(gmx_cancel raw) noexcept : token_(raw) {}

  bool is_canceled() const { return token_ != 0 && gmx_cancel_is_canceled(token_); }
  /// Whether it was its deadline, or that of one above it.
  bool is_late() const { return token_ != 0 && reason() == GMX_ETIMEDOUT; }
  /// GMX_OK: it is not canceled; GMX_ECANCELED; GMX_ETIMEDOUT by its deadline; or what cancel() was given. Those of one
  /// above it if that is canceled.
  gmx_status reason() const {
    gmx_status why = GMX_OK;
    if (token_ != 0) check(gmx_cancel_reason(token_, &why));
    return why;
  }
  /// The earliest of its deadline and those above it; empty if there is none.
  std::optional<clock::time_point> deadline() const {
    std::int64_t when = GMX_FOREVER;
    if (token_ != 0) check(gmx_cancel_deadline(token_, &when));
    if (when == GMX_FOREVER) return {};
    return clock::time_point(clock::duration(when));
  }
  /// Is closed when the token is canceled, and nothing is ever sent there: a case of a select, or several, as in
  /// `select(on_receive(jobs), on_receive(t.done()))`.
  struct never {};
  channel<never> done() const {
    gmx_chan *c = nullptr;
    check(token_ == 0 ? GMX_ESTALE : gmx_cancel_chan(token_, &c));
    return channel<never>::adopt(c);
  }
  void cancel() const { check(gmx_cancel_now(token_)); }
  /// With a reason of one's own, a status below 0.
  void cancel(gmx_status reason) const { check(gmx_cancel_now_because(token_, reason)); }
  gmx_cancel native() const noexcept { return token_; }

 private:
  gmx_cancel token_ = 0;
};

/// The token that the caller's waits heed; none to begin with.
inline cancel_token current_token() noexcept { return cancel_token(gmx_cancel_current()); }

/// For long computations: throws if the current token is canceled.
inline void throw_if_canceled() {
  if (gmx_cancel_is_canceled(0)) throw canceled();
}

/// Makes a token and owns it. Its end cancels nothing.
class cancel_source {
 public:
  explicit cancel_source(cancel_token parent = {}) { check(gmx_cancel_new(parent.native(), GMX_FOREVER, &token_)); }
  /// Cancels itself after so long.
  template <class Rep, class Period>
  explicit cancel_source(const std::chrono::duration<Rep, Period> &d, cancel_token parent = {}) {
    check(gmx_cancel_new(parent.native(), detail::ns(d), &token_));
  }
  template <class Clock, class Duration>
  explicit cancel_source(const std::chrono::time_point<Clock, Duration> &when, cancel_token parent = {})
      : cancel_source(std::chrono::nanoseconds(detail::ns_until(when)), parent) {}
  cancel_source(cancel_source &&other) noexcept : token_(std::exchange(other.token_, 0)) {}
  cancel_source &operator=(cancel_source &&other) noexcept {
    std::swap(token_, other.token_);
    return *this;
  }
  ~cancel_source() {
    if (token_ == 0) return;
    static_cast<void>(gmx_cancel_free(token_));  // ours to free
  }

  cancel_token token() const noexcept { return cancel_token(token_); }
  operator cancel_token() const noexcept { return token(); }
  void cancel() const { token().cancel(); }
  bool is_canceled() const { return token().is_canceled(); }
  bool is_late() const { return token().is_late(); }

 private:
  gmx_cancel token_ = 0;
};

/// While it lives, what the caller waits for ends with gomax::canceled when the token is canceled.
class [[nodiscard]] under {
 public:
  explicit under(cancel_token token) { check(gmx_cancel_use(token.native(), &previous_)); }
  under(const under &) = delete;
  under &operator=(const under &) = delete;
  ~under() {
    static_cast<void>(gmx_cancel_use(previous_, nullptr));
  }

 private:
  gmx_cancel previous_ = 0;
};

/// While it lives no token ends what the caller waits for: for clean-ups that have to wait in a scope that was
/// canceled. Shields nest. Ends where it began: it is no member of anything.
class [[nodiscard]] shield {
 public:
  shield() { check(gmx_cancel_shield()); }
  shield(const shield &) = delete;
  shield &operator=(const shield &) = delete;
  ~shield() {
    static_cast<void>(gmx_cancel_unshield());  // ours to end
  }
};

/// Calls f on a goroutine of its own when a token is canceled, at once if it is; not any more once this has ended, or
/// was stopped. It is not waited for. An exception out of f is reported on stderr, since no caller can have it. Costs
/// over C: one allocation.
class [[nodiscard]] on_cancel {
 public:
  template <class F>
  on_cancel(cancel_token token, F &&f) {
    using box = std::decay_t<F>;
    if (token.native() == 0) detail::fail(GMX_ESTALE);
    auto kept = std::make_unique<box>(std::forward<F>(f));
    check(gmx_cancel_after(
        token.native(),
        [](void *arg) noexcept {
          std::unique_ptr<box> mine(static_cast<box *>(arg));
          detail::reported("a function of on_cancel", *mine);
        },
        kept.get(), &hook_));
    drop_ = [](void *arg) noexcept { delete static_cast<box *>(arg); };
    box_ = kept.release();
  }
  on_cancel(const on_cancel &) = delete;
  on_cancel &operator=(const on_cancel &) = delete;
  ~on_cancel() { stop(); }

  /// Whether that kept f from being started.
  bool stop() noexcept {
    bool stopped = false;
    if (hook_ != 0) static_cast<void>(gmx_cancel_hook_stop(std::exchange(hook_, 0), &stopped));  // ours to stop
    if (stopped) drop_(box_);
    return stopped;
  }

 private:
  gmx_cancel_hook hook_ = 0;
  void *box_ = nullptr;
  void (*drop_)(void *) noexcept = nullptr;
};

#if defined(__cpp_lib_jthread)
/// A token that is canceled when a stop is requested, for code that is told by a std::stop_token:
///
///     void work(std::stop_token stop) {
///       gomax::cancel_on_stop token(stop);
///       gomax::under heed(token);
///
/// It ends where it began; its end cancels nothing.
class cancel_on_stop {
 public:
  explicit cancel_on_stop(std::stop_token stop, cancel_token parent = {})
      : source_(parent), callback_(std::move(stop), cancels{source_.token()}) {}
  cancel_on_stop(const cancel_on_stop &) = delete;
  cancel_on_stop &operator=(const cancel_on_stop &) = delete;
  cancel_token token() const noexcept { return source_.token(); }
  operator cancel_token() const noexcept { return token(); }

 private:
  struct cancels {
    cancel_token token;
    void operator()() const noexcept { static_cast<void>(gmx_cancel_now(token.native())); }  // the source outlives it
  };
  cancel_source source_;
  std::stop_callback<cancels> callback_;
};

/// A std::stop_token that is stopped when a token is canceled, for code that knows only the standard's: `stop_on_cancel
/// stop(scope.token()); old_code(stop.get_token());`. The stop is requested on a goroutine of its own, soon after.
class stop_on_cancel {
 public:
  explicit stop_on_cancel(cancel_token token) : hook_(token, [stop = stop_]() mutable { stop.request_stop(); }) {}
  std::stop_token get_token() const noexcept { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  on_cancel hook_;
};
#endif

// ---- scopes ---------------------------------------------------------------------------------------------------------

/// Goroutines that belong together: the scope is left when all have ended, so they may refer to what lies around it.
///
/// What comes out where the scope is left:
///
/// 1. the first failure: an exception of a goroutine, or of the body of with_scope; it cancels what the others wait
///    for. A gomax::canceled is no failure if the token of the scope is canceled; if another token caused it, it is;
/// 2. else, if a cancellation ended a wait (a gomax::canceled came out of a goroutine or the body) and the token
///    around the scope is canceled: gomax::canceled;
/// 3. else, if a cancellation ended a wait and the scope's deadline caused it: an error with GMX_ETIMEDOUT;
/// 4. else nothing: no wait was ended, or by cancel().
///
/// From the constructor until the scope is left, its token ends what its maker waits for as well. A gomax::canceled
/// that leaves the block of a scope is what comes out of it, as is every exception on its way: the scope cancels its
/// goroutines, waits for them, and drops what they throw. with_scope() makes no such difference between its body and
/// the goroutines.
///
/// The goroutine or thread that makes a scope leaves it. Where that cannot wait (pinned, in a syscall) leave() throws
/// and the scope is as it was; the destructor, which cannot go on, says so on stderr and ends the program.
class scope {
 public:
  scope() { begin(GMX_FOREVER); }
  /// Is canceled after so long.
  template <class Rep, class Period>
  explicit scope(const std::chrono::duration<Rep, Period> &d) {
    begin(detail::ns(d));
  }
  template <class Clock, class Duration>
  explicit scope(const std::chrono::time_point<Clock, Duration> &when) {
    begin(detail::ns_until(when));
  }
  scope(const scope &) = delete;
  scope &operator=(const scope &) = delete;
  ~scope() noexcept(false) {
    if (left_) return;
    const bool unwinds = std::uncaught_exceptions() > unwinding_;
    if (unwinds) static_cast<void>(gmx_scope_cancel(scope_));  // ours, and not left yet
    leave_or_die();
    if (!unwinds) rethrow();
  }

  /// Starts a goroutine of this scope that calls f, or f(args...) as std::thread does. GMX_ESTALE if the scope was
  /// left. Costs over C: one allocation.
  template <class F, class... Args, class = detail::result_of<F, Args...>>
  void go(F &&f, Args &&...args) {
    start(detail::bound(std::forward<F>(f), std::forward<Args>(args)...));
  }
  /// As go, for a future of the result; a failure comes out of the future and of the scope. Costs one allocation more.
  ///
  ///     gomax::scope all;
  ///     auto a = all.async(load, "a"), b = all.async(load, "b");
  ///     all.leave();
  ///     use(a.get(), b.get());
  template <class F, class... Args>
  future<detail::result_of<F, Args...>> async(F &&f, Args &&...args) {
    using R = detail::result_of<F, Args...>;
    promise<R> to;
    auto result = to.get_future();
    start([to = std::move(to), call = detail::bound(std::forward<F>(f), std::forward<Args>(args)...)]() mutable {
      try {
        if constexpr (std::is_void_v<R>) {
          std::invoke(call);
          to.set_value();
        } else {
          to.set_value(std::invoke(call));
        }
      } catch (...) {
        to.set_exception(std::current_exception());
        throw;
      }
    });
    return result;
  }

  /// Ends what its goroutines and its maker wait for. GMX_ESTALE if the scope was left.
  void cancel() { check(gmx_scope_cancel(scope_)); }
  cancel_token token() const {
    gmx_cancel token;
    check(gmx_scope_token(scope_, &token));
    return cancel_token(token);
  }
  gmx_scope native() const noexcept { return scope_; }
  /// Waits for all, and throws what there is to throw: for an end that does not throw from a destructor. GMX_ESTALE if
  /// the scope was left; GMX_EPERM, GMX_EDEADLK for a caller that did not make it; where the caller cannot wait
  /// GMX_ENOTG, GMX_EINSYSCALL. The scope is not left then.
  void leave() { static_cast<void>(leave_ns(GMX_FOREVER)); }
  /// As leave(), for so long: false if there are some still, which go on.
  template <class Rep, class Period>
  bool leave_for(const std::chrono::duration<Rep, Period> &d) {
    return leave_ns(detail::ns(d));
  }
  template <class Clock, class Duration>
  bool leave_until(const std::chrono::time_point<Clock, Duration> &when) {
    return leave_ns(detail::ns_until(when));
  }

 private:
  void begin(std::int64_t ns) {
    check(gmx_scope_new(ns, &scope_));
    gmx_status status = gmx_scope_enter(scope_);
    if (status == GMX_OK) return;
    leave_or_die();  // nothing is in it
    detail::fail(status);
  }
  template <class F>
  void start(F &&f) {
    struct child {
      scope *in;
      std::decay_t<F> f;
    };
    std::unique_ptr<child> kept(new child{this, std::forward<F>(f)});
    check(gmx_scope_spawn(
        scope_,
        [](void *arg) noexcept {
          std::unique_ptr<child> self(static_cast<child *>(arg));
          scope *in = self->in;
          gmx_status status = in->call(self->f);
          self.reset();  // before the scope hears of the end
          return status;
        },
        kept.get()));
    kept.release();
  }
  template <class F>
  void run(F &body) {
    try {
      std::invoke(body, *this);
    } catch (...) {
      if (left_) throw;
      auto again = [] { throw; };  // as if a goroutine had thrown it
      if (call(again) != GMX_OK) static_cast<void>(gmx_scope_cancel(scope_));
    }
    if (!left_) leave();
  }
  template <class F>
  friend void with_scope(F &&body);
  template <class Rep, class Period, class F>
  friend void with_scope(const std::chrono::duration<Rep, Period> &d, F &&body);

  /// What gmx_scope_spawn wants of a goroutine: an error cancels the scope.
  template <class F>
  gmx_status call(F &f) noexcept {
    try {
      std::invoke(f);
      return GMX_OK;
    } catch (const canceled &) {
      gmx_cancel mine = 0;
      if (gmx_scope_token(scope_, &mine) != GMX_OK || !gmx_cancel_is_canceled(mine)) return failed();
      cut_.store(true, std::memory_order_relaxed);
      return GMX_OK;
    } catch (...) {
      return failed();
    }
  }
  /// In a catch block.
  gmx_status failed() noexcept {
    if (!first_.exchange(true, std::memory_order_relaxed)) failure_ = std::current_exception();
    return GMX_ECANCELED;
  }

  bool leave_ns(std::int64_t ns) {
    if (!detail::in_time(end(ns))) return false;
    rethrow();
    return true;
  }
  /// GMX_OK orders what the goroutines have left before what comes.
  gmx_status end(std::int64_t ns) noexcept {
    gmx_scope_end why{};
    why.struct_size = sizeof why;
    gmx_status status = gmx_scope_leave_why(scope_, ns, &why);
    if (status != GMX_OK) return status;
    left_ = true;
    late_ = why.by == GMX_SCOPE_DEADLINE;
    return GMX_OK;
  }
  void leave_or_die() noexcept {
    gmx_status status = end(GMX_FOREVER);
    // Its goroutines refer to it, so it must not go.
    if (status != GMX_OK) detail::die("a scope ends where it cannot wait for its goroutines", status);
  }
  /// Behind the end of the scope: the caller is under the token around it.
  void rethrow() {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    if (!cut_.load(std::memory_order_relaxed)) return;
    if (gmx_cancel_is_canceled(0)) throw canceled();
    if (late_) detail::fail(GMX_ETIMEDOUT);
  }

  gmx_scope scope_ = 0;
  int unwinding_ = std::uncaught_exceptions();
  bool left_ = false, late_ = false;
  std::atomic<bool> first_{false}, cut_{false};
  std::exception_ptr failure_;
};

/// Runs body(scope) as one of the goroutines of a new scope, but on the caller's, and leaves the scope. So the first
/// exception comes out, whether the body throws it or a goroutine; a wait of the body that is canceled for it has not
/// failed.
template <class F>
void with_scope(F &&body) {
  scope s;
  s.run(body);
}
/// The same in a scope that is canceled after so long: throws an error with GMX_ETIMEDOUT if that ended something.
template <class Rep, class Period, class F>
void with_scope(const std::chrono::duration<Rep, Period> &d, F &&body) {
  scope s(d);
  s.run(body);
}
template <class Clock, class Duration, class F>
void with_scope(const std::chrono::time_point<Clock, Duration> &when, F &&body) {
  with_scope(std::chrono::nanoseconds(detail::ns_until(when)), body);
}

// ---- several futures ------------------------------------------------------------------------------------------------

namespace detail {

/// The number of the wait that is over first.
inline std::size_t first_of(const std::vector<std::function<void()>> &waits) {
  std::size_t which = static_cast<std::size_t>(-1);
  if (waits.empty()) return which;
  channel<std::size_t> ready(waits.size());
  with_scope([&](scope &all) {
    for (std::size_t i = 0; i < waits.size(); i++) {
      all.go([&, i] {
        waits[i]();
        ready.send(i);
      });
    }
    which = ready.receive().value();
    all.cancel();  // the other waits
  });
  return which;
}

}  // namespace detail

/// A future of the same futures, when all of them are ready. GMX_ESTALE if one is not valid.
template <class... R>
future<std::tuple<future<R>...>> when_all(future<R>... futures) {
  if (!(futures.valid() && ...)) detail::fail(GMX_ESTALE);
  return async([all = std::make_tuple(std::move(futures)...)]() mutable {
    std::apply([](auto &...f) { (f.wait(), ...); }, all);
    return std::move(all);
  });
}
template <class R>
future<std::vector<future<R>>> when_all(std::vector<future<R>> futures) {
  for (auto &f : futures) {
    if (!f.valid()) detail::fail(GMX_ESTALE);
  }
  return async([all = std::move(futures)]() mutable {
    for (auto &f : all) f.wait();
    return std::move(all);
  });
}

/// What when_any gives: the futures, and which of them was ready first; of none the largest number.
template <class Futures>
struct when_any_result {
  std::size_t index;
  Futures futures;
};
/// A future of the same futures, when one of them is ready. GMX_ESTALE if one is not valid.
template <class... R>
future<when_any_result<std::tuple<future<R>...>>> when_any(future<R>... futures) {
  if (!(futures.valid() && ...)) detail::fail(GMX_ESTALE);
  return async([all = std::make_tuple(std::move(futures)...)]() mutable {
    std::size_t which = std::apply(
        [](auto &...f) { return detail::first_of({[&f] { f.wait(); }...}); }, all);
    return when_any_result<std::tuple<future<R>...>>{which, std::move(all)};
  });
}
template <class R>
future<when_any_result<std::vector<future<R>>>> when_any(std::vector<future<R>> futures) {
  for (auto &f : futures) {
    if (!f.valid()) detail::fail(GMX_ESTALE);
  }
  return async([all = std::move(futures)]() mutable {
    std::vector<std::function<void()>> waits;
    for (auto &f : all) waits.push_back([&f] { f.wait(); });
    std::size_t which = detail::first_of(waits);
    return when_any_result<std::vector<future<R>>>{which, std::move(all)};
  });
}

// ---- coroutines -----------------------------------------------------------------------------------------------------

#if defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
namespace detail {

/// Calls Source on a goroutine, which then resumes the coroutine; Source::ready() says whether the call would wait.
template <class R, class Source>
class awaiter {
 public:
  explicit awaiter(Source source) : source_(std::move(source)) {}
  awaiter(const awaiter &) = delete;
  awaiter &operator=(const awaiter &) = delete;
  bool await_ready() {
    if (!source_.ready()) return false;
    left_.run(source_);
    return true;
  }
  void await_suspend(std::coroutine_handle<> coroutine) {
    spawn_options o;
    o.inherit = true;
    // From here on this is the goroutine's: the coroutine that it resumes destroys it.
    gomax::spawn(o, [this, coroutine] {
      left_.run(source_);
      coroutine.resume();
    });
  }
  R await_resume() { return left_.take(); }

 private:
  Source source_;
  outcome<R> left_;
};

template <class R>
struct joins {
  task<R> of;
  bool ready() const noexcept { return false; }
  R operator()() { return of.join(); }
};
template <class R>
struct gets {
  future<R> of;
  bool ready() const noexcept { return of.is_ready(); }
  R operator()() { return of.get(); }
};
template <class T>
struct receives {
  channel<T> of;
  std::optional<result<T>> got{};
  bool ready() { return !got.emplace(of.try_receive()).is_empty(); }
  result<T> operator()() { return got->is_empty() ? of.receive() : std::move(*got); }
};

}  // namespace detail

/// co_await go(f): what f returned or threw, in a coroutine of any kind. If it has to wait, the coroutine continues in
/// a goroutine under the token that the caller had; there it may wait as goroutines do. co_await go([&] { ... }) makes
/// a co_await of every call of this library. The coroutine must not be destroyed while it waits. Costs: a goroutine
/// that waits.
template <class R>
auto operator co_await(task<R> &&t) {
  return detail::awaiter<R, detail::joins<R>>({std::move(t)});
}
/// co_await async(f), co_await std::move(future): what get() gives.
template <class R>
auto operator co_await(future<R> &&f) {
  return detail::awaiter<R, detail::gets<R>>({std::move(f)});
}
/// co_await channel: what receive() gives.
template <class T>
auto operator co_await(const channel<T> &c) {
  return detail::awaiter<result<T>, detail::receives<T>>({c});
}
#endif

// ---- timers ---------------------------------------------------------------------------------------------------------

/// Sends the time to its channel: once, or every period. Its end stops it. A slow receiver loses some.
class timer {
 public:
  template <class Rep, class Period>
  explicit timer(const std::chrono::duration<Rep, Period> &d) : timer(detail::ns(d), 0) {}
  template <class Rep, class Period, class Rep2, class Period2>
  timer(const std::chrono::duration<Rep, Period> &d, const std::chrono::duration<Rep2, Period2> &period)
      : timer(detail::ns(d), detail::ns(period)) {}
  timer(timer &&other) noexcept : timer_(std::exchange(other.timer_, 0)), times_(std::move(other.times_)) {}
  timer &operator=(timer &&other) noexcept {
    std::swap(timer_, other.timer_);
    std::swap(times_, other.times_);
    return *this;
  }
  ~timer() {
    if (timer_ != 0) static_cast<void>(gmx_timer_free(timer_, nullptr));
  }

  /// Its channel, which gets nothing more once the timer has ended.
  const channel<clock::time_point> &times() const & noexcept { return times_; }
  const channel<clock::time_point> &times() const && = delete;  // it would outlive its timer
  /// for (auto t : gomax::every(10ms)), without an end.
  auto begin() const & { return times().begin(); }
  auto begin() const && = delete;
  channel<clock::time_point>::sentinel end() const noexcept { return {}; }
  gmx_timer native() const noexcept { return timer_; }
  /// Waits for the next time. GMX_ESTALE if it was moved from.
  clock::time_point wait() const {
    if (timer_ == 0) detail::fail(GMX_ESTALE);
    return times_.receive().value();
  }
  /// Whether that prevented something. No time of before comes any more.
  bool stop() {
    bool stopped = false;
    check(gmx_timer_stop(timer_, &stopped));
    return stopped;
  }
  template <class Rep, class Period>
  bool reset(const std::chrono::duration<Rep, Period> &d) {
    return reset_ns(detail::ns(d), 0);
  }
  template <class Rep, class Period, class Rep2, class Period2>
  bool reset(const std::chrono::duration<Rep, Period> &d, const std::chrono::duration<Rep2, Period2> &period) {
    return reset_ns(detail::ns(d), detail::ns(period));
  }

 private:
  timer(std::int64_t ns, std::int64_t period) : times_(nullptr) {
    gmx_chan *c;
    check(gmx_timer_new(ns, period, &timer_, &c));
    times_ = channel<clock::time_point>::adopt(c);
  }
  bool reset_ns(std::int64_t ns, std::int64_t period) {
    bool stopped = false;
    check(gmx_timer_reset(timer_, ns, period, &stopped));
    return stopped;
  }

  gmx_timer timer_ = 0;
  channel<clock::time_point> times_;
};

namespace detail {
struct own_timer {
  timer t;
  gmx_chan *native() const noexcept { return t.times().native(); }
};
}  // namespace detail

/// on_receive of its channel. The case keeps a timer that is a temporary.
template <class F = detail::nothing_to_do>
auto on_receive(const timer &t, F f = {}) {
  return on_receive(t.times(), std::move(f));
}
template <class F = detail::nothing_to_do>
receive_case<clock::time_point, F, detail::own_timer> on_receive(timer &&t, F f = {}) {
  return {detail::own_timer{std::move(t)}, std::move(f)};
}

/// A channel that gets the time once, after so long. Its timer goes with it.
template <class Rep, class Period>
channel<clock::time_point> after(const std::chrono::duration<Rep, Period> &d) {
  gmx_chan *c = nullptr;
  check(gmx_after(detail::ns(d), &c));
  return channel<clock::time_point>::adopt(c);
}

/// What after(d, f) gives, to stop it. To drop it stops nothing.
class delayed {
 public:
  delayed(delayed &&other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  delayed &operator=(delayed &&other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~delayed() {
    if (state_ != nullptr && state_->word.exchange(DROPPED, std::memory_order_acq_rel) == ENDED) state_->destroy(state_);
  }

  /// Whether the function does not run any more, and did not.
  bool stop() {
    if (state_ == nullptr) return false;
    bool stopped = false;
    check(gmx_timer_stop(state_->timer, &stopped));
    if (!stopped) return false;
    std::exchange(state_, nullptr)->unbegun();
    return true;
  }

 private:
  template <class Rep, class Period, class F>
  friend delayed after(const std::chrono::duration<Rep, Period> &d, F &&f);

  enum : unsigned char { BOTH, ENDED, DROPPED };
  struct state {
    std::atomic<unsigned char> word{BOTH};
    gmx_timer timer = 0;
    void (*destroy)(state *) = nullptr;
    void (*drop_f)(state *) = nullptr;
    void unbegun() noexcept {
      drop_f(this);
      destroy(this);
    }
  };
  template <class F>
  struct whole : state {
    detail::room<F> room;
    template <class G>
    explicit whole(G &&f) {
      ::new (static_cast<void *>(std::addressof(room.value))) F(std::forward<G>(f));
      this->drop_f = [](state *s) { static_cast<whole *>(s)->room.value.~F(); };
      this->destroy = [](state *s) {
        if (s->timer != 0) static_cast<void>(gmx_timer_free(s->timer, nullptr));
        delete static_cast<whole *>(s);
      };
    }
    static void run(void *arg) noexcept {
      whole *self = static_cast<whole *>(static_cast<state *>(arg));
      std::invoke(self->room.value);
      self->drop_f(self);
      if (self->word.exchange(ENDED, std::memory_order_acq_rel) == DROPPED) self->destroy(self);
    }
  };

  explicit delayed(state *s) noexcept : state_(s) {}
  state *state_;
};

/// Calls f on a goroutine of its own after so long. An exception out of f is std::terminate. Costs over C: one
/// allocation.
template <class Rep, class Period, class F>
delayed after(const std::chrono::duration<Rep, Period> &d, F &&f) {
  using whole = delayed::whole<std::decay_t<F>>;
  whole *w = new whole(std::forward<F>(f));
  delayed::state *s = w;
  gmx_timer t = 0;
  gmx_status status = gmx_after_func(detail::ns(d), whole::run, s, &t);
  if (status != GMX_OK) {
    s->unbegun();
    detail::fail(status);
  }
  s->timer = t;  // f may have run by now; it looks at this only after the handle was dropped
  return delayed(s);
}
/// One that sends it every period.
template <class Rep, class Period>
timer every(const std::chrono::duration<Rep, Period> &period) {
  return timer(period, period);
}

// ---- threads, processors, the world ---------------------------------------------------------------------------------

/// Around what may block the thread: its P goes to others when it lasts, or at once if it is sure to block. Between the
/// two only what never blocks may be called, locks and channels not.
class [[nodiscard]] syscall_bracket {
 public:
  explicit syscall_bracket(bool sure_to_block = false) {
    check(sure_to_block ? gmx_enter_syscall_blocking() : gmx_enter_syscall());
  }
  syscall_bracket(const syscall_bracket &) = delete;
  syscall_bracket &operator=(const syscall_bracket &) = delete;
  ~syscall_bracket() { static_cast<void>(gmx_exit_syscall()); }
};

/// Calls f, which is sure to block its thread, as in a syscall_bracket; also on a thread of the host, where it just
/// calls it.
template <class F>
auto blocking(F &&f) -> std::invoke_result_t<F &> {
  return detail::through(f, [](void (*fn)(void *), void *arg) { return gmx_blocking(fn, arg); });
}

/// Blocking calls of which no more than so many run at a time.
class blocking_class {
  struct turn {
    gmx_class in;
    std::int64_t ns;
    gmx_status operator()(void (*fn)(void *), void *arg) const { return gmx_blocking_in(in, fn, arg, ns); }
  };

 public:
  explicit blocking_class(std::uint32_t limit, const char *name = nullptr) { check(gmx_class_new(limit, name, &class_)); }
  blocking_class(const blocking_class &) = delete;
  blocking_class &operator=(const blocking_class &) = delete;
  /// No call may be in it, nor wait.
  ~blocking_class() { static_cast<void>(gmx_class_free(class_)); }
  /// As blocking(f), when it is the caller's turn.
  template <class F>
  auto run(F &&f) -> std::invoke_result_t<F &> {
    return detail::through(f, turn{class_, GMX_FOREVER});
  }
  /// Waits for its turn so long: empty, or false for a function of void, if f was not called.
  template <class Rep, class Period, class F>
  auto run_for(const std::chrono::duration<Rep, Period> &d, F &&f) {
    return run_ns(detail::ns(d), f);
  }
  template <class Clock, class Duration, class F>
  auto run_until(const std::chrono::time_point<Clock, Duration> &when, F &&f) {
    return run_ns(detail::ns_until(when), f);
  }
  gmx_class native() const noexcept { return class_; }

 private:
  template <class F>
  auto run_ns(std::int64_t ns, F &f) {
    using R = std::invoke_result_t<F &>;
    detail::frame_of<F> here(f);
    return detail::in_time<R>(here.run(turn{class_, ns}), [&here]() -> R { return here.left.take(); });
  }
  gmx_class class_ = 0;
};

/// Calls f as a goroutine on this very thread, whatever the thread is.
template <class F>
auto callback(F &&f) -> std::invoke_result_t<F &> {
  return detail::through(f, [](void (*fn)(void *), void *arg) { return gmx_callback(fn, arg); });
}

/// While it lives this thread of the host is a goroutine.
class [[nodiscard]] attached_thread {
 public:
  attached_thread() { check(gmx_attach_thread()); }
  attached_thread(const attached_thread &) = delete;
  attached_thread &operator=(const attached_thread &) = delete;
  ~attached_thread() { static_cast<void>(gmx_detach_thread()); }
};

/// While it lives the goroutine stays on its thread, and nothing else runs there.
class [[nodiscard]] os_thread_lock {
 public:
  os_thread_lock() { check(gmx_lock_os_thread()); }
  os_thread_lock(const os_thread_lock &) = delete;
  os_thread_lock &operator=(const os_thread_lock &) = delete;
  ~os_thread_lock() { static_cast<void>(gmx_unlock_os_thread()); }
};

/// While it lives the goroutine stays on its P, which no other uses. For short stretches that wait for nothing.
class [[nodiscard]] pin {
 public:
  pin() : p_(check(gmx_pin())) {}
  pin(const pin &) = delete;
  pin &operator=(const pin &) = delete;
  ~pin() { static_cast<void>(gmx_unpin()); }
  /// The number of the P.
  int p() const noexcept { return p_; }

 private:
  int p_;
};

/// While it lives no goroutine runs but the caller, which must not wait meanwhile.
class [[nodiscard]] stopped_world {
 public:
  /// reason: for reports; must outlive it.
  explicit stopped_world(const char *reason = nullptr) : stopped_(check(gmx_stop_the_world(reason)) == GMX_OK) {}
  /// Gives up after so long: look whether it is stopped.
  template <class Rep, class Period>
  explicit stopped_world(const std::chrono::duration<Rep, Period> &d, const char *reason = nullptr) {
    stopped_ = detail::in_time(gmx_stop_the_world_timeout(reason, detail::ns(d)));
  }
  /// As opts say: look whether it is stopped. With GMX_STOP_ANYWHERE nothing may lock or allocate while it lives, so
  /// nothing may throw either.
  explicit stopped_world(const gmx_stop_opts &opts) : stopped_(detail::in_time(gmx_stop_the_world_with(&opts))) {}
  stopped_world(const stopped_world &) = delete;
  stopped_world &operator=(const stopped_world &) = delete;
  ~stopped_world() {
    if (stopped_) static_cast<void>(gmx_start_the_world());
  }
  explicit operator bool() const noexcept { return stopped_; }

  /// f(const gmx_g_info &) for every goroutine; the first exception ends it.
  template <class F>
  void for_each_g(F &&f) const {
    struct frame {
      std::remove_reference_t<F> &f;
      std::exception_ptr failure;
    } here{f, nullptr};
    check(gmx_for_each_g(
        [](void *arg, const gmx_g_info *info) noexcept {
          frame &h = *static_cast<frame *>(arg);
          if (h.failure) return;
          try {
            std::invoke(h.f, *info);
          } catch (...) {
            h.failure = std::current_exception();
          }
        },
        static_cast<void *>(std::addressof(here))));
    if (here.failure) std::rethrow_exception(here.failure);
  }

 private:
  bool stopped_ = false;
};

/// f(int p) or f() once for every P, on it at a safe point or for it while it has nothing to do: several threads at the
/// same time. f must be short and must not wait. The first exception is thrown when every P has passed.
template <class F>
void for_each_p(F &&f) {
  struct frame {
    std::remove_reference_t<F> &f;
    std::atomic<bool> failed{false};
    std::exception_ptr failure;
    explicit frame(std::remove_reference_t<F> &g) noexcept : f(g) {}
  } here{f};
  check(gmx_for_each_p(
      [](void *arg) noexcept {
        frame &h = *static_cast<frame *>(arg);
        try {
          if constexpr (std::is_invocable_v<F &, int>) {
            pin here_;
            std::invoke(h.f, here_.p());
          } else {
            std::invoke(h.f);
          }
        } catch (...) {
          if (!h.failed.exchange(true, std::memory_order_relaxed)) h.failure = std::current_exception();
        }
      },
      static_cast<void *>(std::addressof(here))));
  if (here.failure) std::rethrow_exception(here.failure);
}

/// A T for each P, made when it is first asked for: counters, free lists, caches that need no lock. The owner of a pin
/// has the T of its P to itself; in the function of for_each_p that is the P for which it runs. There may be 64 at a
/// time.
template <class T>
class p_local {
 public:
  p_local() { check(gmx_p_key_create(&key_)); }
  p_local(const p_local &) = delete;
  p_local &operator=(const p_local &) = delete;
  ~p_local() {
    static_cast<void>(gmx_p_key_delete(key_));
    for (node *n = first_.load(std::memory_order_acquire); n != nullptr;) delete std::exchange(n, n->next);
  }

  /// Good as long as the pin.
  T &of(const pin &) const {
    void *there = gmx_p_get(key_);
    if (there != nullptr) return static_cast<node *>(there)->value;
    auto fresh = std::make_unique<node>();
    check(gmx_p_set(key_, fresh.get()));
    fresh->next = first_.load(std::memory_order_relaxed);
    while (!first_.compare_exchange_weak(fresh->next, fresh.get(), std::memory_order_release, std::memory_order_relaxed)) {
    }
    return fresh.release()->value;
  }
  T &of(const pin &&) const = delete;  // it would outlive its pin
  /// f(T &) for every one that there is, also of Ps that have gone. Others use theirs meanwhile, unless the world is
  /// stopped.
  template <class F>
  void for_each(F &&f) const {
    for (node *n = first_.load(std::memory_order_acquire); n != nullptr; n = n->next) std::invoke(f, n->value);
  }

 private:
  struct alignas(64) node {  // a line of its own
    T value{};
    node *next = nullptr;
  };
  gmx_p_key key_ = 0;
  mutable std::atomic<node *> first_{nullptr};
};

/// A T for each goroutine, made when it is first asked for and destroyed at the goroutine's end: what thread_local is
/// for threads. The end of the g_local itself destroys none of them, so it is best static. There may be 64 at a time.
template <class T>
class g_local {
 public:
  g_local() {
    check(gmx_key_create([](void *value) noexcept { delete static_cast<T *>(value); }, &key_));
  }
  g_local(const g_local &) = delete;
  g_local &operator=(const g_local &) = delete;
  ~g_local() { static_cast<void>(gmx_key_delete(key_)); }

  T &operator*() const {
    void *there = gmx_key_get(key_);
    if (there != nullptr) return *static_cast<T *>(there);
    auto fresh = std::make_unique<T>();
    check(gmx_key_set(key_, fresh.get()));
    return *fresh.release();
  }
  T *operator->() const { return std::addressof(**this); }

 private:
  gmx_key key_ = 0;
};

}  // namespace gomax

#endif  // GOMAX_HPP
