/*
 * Files, processes, signals and the loop of the host for C++17, by the rules of gomax_net.hpp.
 */
#ifndef GOMAX_OS_HPP
#define GOMAX_OS_HPP

#include <gomax_net.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace gomax {

// ---- files ----------------------------------------------------------------------------------------------------------

/// A file. read and write go on from where it is; pread and pwrite leave that place alone. What the system has begun
/// with a file it ends: no time and no token ends a call here, and close() waits for it.
class file : public descriptor {
 public:
  constexpr file() noexcept = default;
  /// flags and mode: as for open(2).
  explicit file(detail::c_text path, int flags = O_RDONLY, mode_t mode = 0666) : descriptor(opened(path, flags, mode)) {}
  static file adopt(gmx_poll p) noexcept { return file(handle{p}); }

  /// Fewer than to.size() bytes come only at the end of the file; 0 behind it.
  std::size_t pread(writable_bytes to, std::int64_t offset) const {
    return detail::counted(gmx_pread(native(), to.data(), to.size(), offset));
  }
  std::size_t preadv(const detail::row<writable_bytes> &to, std::int64_t offset) const {
    return detail::counted(gmx_preadv(native(), detail::iovecs(to), detail::count(to), offset));
  }
  void pwrite(bytes from, std::int64_t offset, std::size_t *done = nullptr) const {
    check(gmx_pwrite(native(), from.data(), from.size(), offset, done));
  }
  void pwritev(const detail::row<bytes> &from, std::int64_t offset, std::size_t *done = nullptr) const {
    check(gmx_pwritev(native(), detail::iovecs(from), detail::count(from), offset, done));
  }
  /// Waits until all that was written is on the disk.
  void sync() const { check(gmx_fsync(native())); }
  /// Without what is not needed to read it again.
  void data_sync() const { check(gmx_fdatasync(native())); }
  void truncate(std::int64_t size) const { check(gmx_ftruncate(native(), size)); }
  /// Takes room on the disk; mode: as for fallocate(2).
  void allocate(std::int64_t offset, std::int64_t n, int mode = 0) const {
    check(gmx_fallocate(native(), mode, offset, n));
  }
  /// What it is, by the mask of statx(2).
  struct statx stat(std::uint32_t mask = STATX_BASIC_STATS) const {
    if (!*this) detail::fail(GMX_EBADF);
    struct statx is {};
    check(gmx_statx(native(), nullptr, 0, mask, &is));
    return is;
  }
  std::uint64_t size() const { return stat(STATX_SIZE).stx_size; }

 private:
  explicit file(handle h) noexcept : descriptor(h) {}
  static handle opened(detail::c_text path, int flags, mode_t mode) {
    handle h{};
    check(gmx_open(path.it, flags, mode, &h.p));
    return h;
  }
};

/// As file::stat, of a path; flags: as for statx(2).
inline struct statx stat(detail::c_text path, int flags = 0, std::uint32_t mask = STATX_BASIC_STATS) {
  struct statx is {};
  check(gmx_statx(0, path.it, flags, mask, &is));
  return is;
}
/// Replaces what has that name, unless flags is RENAME_NOREPLACE.
inline void rename(detail::c_text from, detail::c_text to, unsigned flags = 0) { check(gmx_rename(from.it, to.it, flags)); }
/// With AT_REMOVEDIR as flags an empty directory.
inline void unlink(detail::c_text path, int flags = 0) { check(gmx_unlink(path.it, flags)); }
inline void mkdir(detail::c_text path, mode_t mode = 0777) { check(gmx_mkdir(path.it, mode)); }

/// For copy: to the end of the data.
inline constexpr std::uint64_t all_bytes = std::numeric_limits<std::uint64_t>::max();

/// Copies n bytes, or all that there are, between any two descriptors, within the system where it can do that.
inline void copy(const descriptor &from, const descriptor &to, std::uint64_t n = all_bytes, std::uint64_t *done = nullptr) {
  check(gmx_copy(from.native(), to.native(), n, done, GMX_FOREVER));
}
/// False if the time was up: it counts where the copy waits for a connection or a pipe.
template <class Rep, class Period>
bool copy_for(const descriptor &from, const descriptor &to, const std::chrono::duration<Rep, Period> &d,
              std::uint64_t n = all_bytes, std::uint64_t *done = nullptr) {
  return detail::in_time(gmx_copy(from.native(), to.native(), n, done, detail::ns(d)));
}
template <class Clock, class Duration>
bool copy_until(const descriptor &from, const descriptor &to, const std::chrono::time_point<Clock, Duration> &when,
                std::uint64_t n = all_bytes, std::uint64_t *done = nullptr) {
  return detail::in_time(gmx_copy(from.native(), to.native(), n, done, detail::ns_until(when)));
}

/// Does operations on files at the same time; each entry of an array or a vector of gmx_io_op has a status of its own.
template <class C>
void io_batch(C &ops) {
  check(gmx_io_batch(std::data(ops), std::size(ops), GMX_FOREVER));
}
/// False if some were not begun when the time was up.
template <class C, class Rep, class Period>
bool io_batch_for(C &ops, const std::chrono::duration<Rep, Period> &d) {
  return detail::in_time(gmx_io_batch(std::data(ops), std::size(ops), detail::ns(d)));
}
template <class C, class Clock, class Duration>
bool io_batch_until(C &ops, const std::chrono::time_point<Clock, Duration> &when) {
  return detail::in_time(gmx_io_batch(std::data(ops), std::size(ops), detail::ns_until(when)));
}

// ---- processes ------------------------------------------------------------------------------------------------------

/// What descriptor 0, 1 or 2 of a process is.
class stdio {
 public:
  static stdio inherit() noexcept { return stdio(GMX_STDIO_INHERIT); }  // that of this process
  static stdio null() noexcept { return stdio(GMX_STDIO_NULL); }        // /dev/null
  static stdio pipe() noexcept { return stdio(GMX_STDIO_PIPE); }        // in(), out() or err() of the process
  static stdio to(int fd) noexcept { return stdio(GMX_STDIO_FD, fd); }  // a descriptor, which stays the caller's
  static stdio output() noexcept { return stdio(GMX_STDIO_OUTPUT); }    // of 2: where 1 goes

 private:
  friend class process;
  explicit stdio(std::uint32_t kind, int fd = -1) noexcept : kind_(kind), fd_(fd) {}
  std::uint32_t kind_;
  int fd_;
};

/// How a process is started.
struct process_options {
  stdio in = stdio::inherit();
  stdio out = stdio::inherit();
  stdio err = stdio::inherit();
  std::string path;                             // the file of the program; empty: the first argument
  std::optional<std::vector<std::string>> env;  // "NAME=value"; empty: that of this process
  std::string cwd;
  bool search = true;    // GMX_PROCESS_SEARCH: a name without a slash in the directories of PATH
  bool group = false;    // GMX_PROCESS_GROUP
  bool session = false;  // GMX_PROCESS_SESSION
};

/// How a process ended, as waitpid says it.
class exit_status {
 public:
  explicit exit_status(int raw) noexcept : raw_(raw) {}
  /// Whether it ended by itself, and with 0.
  bool ok() const noexcept { return raw_ == 0; }
  /// What it returned; empty if a signal ended it.
  std::optional<int> code() const noexcept {
    if (!WIFEXITED(raw_)) return std::nullopt;
    return WEXITSTATUS(raw_);
  }
  /// The signal that ended it; empty if none did.
  std::optional<int> signal() const noexcept {
    if (!WIFSIGNALED(raw_)) return std::nullopt;
    return WTERMSIG(raw_);
  }
  int raw() const noexcept { return raw_; }

 private:
  int raw_;
};

/// A child process. One whose object ends before it does runs on, and leaves no zombie.
class process {
 public:
  /// Starts a program: process({"sort", "-n"}). Throws if it cannot be executed, and nothing is left of it then.
  explicit process(const detail::row<std::string> &argv, const process_options &o = {}) {
    if (argv.size() == 0) detail::fail(GMX_EINVAL);
    const std::vector<char *> args = pointers(argv);
    std::vector<char *> env;
    if (o.env) env = pointers(*o.env);
    gmx_process_opts opts{};
    opts.struct_size = sizeof opts;
    opts.path = o.path.empty() ? args[0] : o.path.c_str();
    opts.argv = args.data();
    opts.envp = o.env ? env.data() : nullptr;
    opts.cwd = o.cwd.empty() ? nullptr : o.cwd.c_str();
    if (o.search) opts.flags |= GMX_PROCESS_SEARCH;
    if (o.group) opts.flags |= GMX_PROCESS_GROUP;
    if (o.session) opts.flags |= GMX_PROCESS_SESSION;
    const stdio *const ends[] = {&o.in, &o.out, &o.err};
    gmx_poll pipes[3] = {};
    for (std::size_t i = 0; i < 3; i++) opts.stdio[i] = {ends[i]->kind_, ends[i]->fd_, &pipes[i]};
    check(gmx_spawn_process(&opts, &p_));
    for (std::size_t i = 0; i < 3; i++) pipes_[i] = descriptor::adopt(pipes[i]);
  }
  process(process &&other) noexcept : p_(std::exchange(other.p_, 0)), pipes_(std::move(other.pipes_)) {}
  process &operator=(process &&other) noexcept {
    process gone(std::move(other));
    std::swap(p_, gone.p_);
    std::swap(pipes_, gone.pipes_);
    return *this;
  }
  ~process() {
    if (p_ == 0) return;
    const gmx_status status = gmx_process_release(p_);
    if (status == GMX_ENOTG || status == GMX_EINSYSCALL) {
      static_cast<void>(gmx_spawn_copy([](void *p) { gmx_process_release(*static_cast<gmx_process *>(p)); }, &p_, sizeof p_));
    }
  }

  /// The ends of its pipes: what is written to in() the process reads. None of what is no pipe.
  descriptor &in() noexcept { return pipes_[0]; }
  descriptor &out() noexcept { return pipes_[1]; }
  descriptor &err() noexcept { return pipes_[2]; }

  /// Waits for its end, which can be asked for again.
  exit_status wait() const { return *ended(GMX_FOREVER); }
  /// Empty if it still runs after so long.
  template <class Rep, class Period>
  std::optional<exit_status> wait_for(const std::chrono::duration<Rep, Period> &d) const {
    return ended(detail::ns(d));
  }
  template <class Clock, class Duration>
  std::optional<exit_status> wait_until(const std::chrono::time_point<Clock, Duration> &when) const {
    return ended(detail::ns_until(when));
  }
  /// Sends it a signal; an error with -ESRCH if a wait has told its end.
  void kill(int signal) const { check(gmx_process_kill(p_, signal)); }
  int pid() const { return check(gmx_process_pid(p_)); }
  /// A descriptor that is readable when it has ended; the library's.
  int pidfd() const { return check(gmx_process_pidfd(p_)); }
  gmx_process native() const noexcept { return p_; }

 private:
  template <class Strings>
  static std::vector<char *> pointers(const Strings &from) {
    std::vector<char *> all;
    for (const std::string &s : from) all.push_back(const_cast<char *>(s.c_str()));
    all.push_back(nullptr);
    return all;
  }
  std::optional<exit_status> ended(std::int64_t ns) const {
    std::int32_t raw = 0;
    if (!detail::in_time(gmx_process_wait(p_, &raw, ns))) return std::nullopt;
    return exit_status(raw);
  }
  gmx_process p_ = 0;
  std::array<descriptor, 3> pipes_;
};

// ---- signals --------------------------------------------------------------------------------------------------------

/// While it lives its channel gets these signals, which do not end the process then. A handler that the host had is
/// called as before.
///
///     gomax::signals stop({SIGINT, SIGTERM});
///     stop.wait();
class [[nodiscard]] signals {
 public:
  /// With a channel without a bound, so that none is missed.
  explicit signals(const detail::row<int> &which) : signals(channel<gmx_siginfo>(unbounded), which) {}
  /// A signal for which the channel has no room is missed.
  signals(channel<gmx_siginfo> to, const detail::row<int> &which) : to_(std::move(to)) {
    check(gmx_signal_notify(to_.native(), which.data(), which.size()));
  }
  signals(const signals &) = delete;
  signals &operator=(const signals &) = delete;
  ~signals() { static_cast<void>(gmx_signal_stop(to_.native())); }  // ours

  /// Its channel, to which nothing more is sent at the end of the object.
  const channel<gmx_siginfo> &arrivals() const & noexcept { return to_; }
  const channel<gmx_siginfo> &arrivals() const && = delete;  // it would outlive what fills it
  /// for (auto &s : signals), without an end.
  auto begin() const & { return to_.begin(); }
  auto begin() const && = delete;
  channel<gmx_siginfo>::sentinel end() const noexcept { return {}; }
  /// Waits for the next.
  gmx_siginfo wait() const { return to_.receive().value(); }

 private:
  channel<gmx_siginfo> to_;
};

/// on_receive of its channel.
template <class F = detail::nothing_to_do>
auto on_receive(const signals &s, F f = {}) {
  return on_receive(s.arrivals(), std::move(f));
}
template <class F = detail::nothing_to_do>
void on_receive(signals &&s, F f = {}) = delete;  // it would end before the select

// ---- the loop of the host -------------------------------------------------------------------------------------------

/// Has the loop of the host call f, on its thread: the next host_run() does. For what may be used on that thread only.
/// An exception out of f is std::terminate. Costs over C: an allocation, for a callable that is larger than a pointer.
template <class F>
void post(F &&f) {
  detail::packed(std::forward<F>(f), [](void (*fn)(void *), void *arg) { return gmx_post(fn, arg); });
}
/// A descriptor of the library's, for the loop to watch: readable while there is something to run.
inline int host_fd() { return check(gmx_host_fd()); }
/// Calls what was posted, on the calling thread: at most max functions; 0: all that are there now. How many it called.
inline int host_run(int max = 0) { return check(gmx_host_run(max)); }

}  // namespace gomax

#endif  // GOMAX_OS_HPP
