/*
 * Descriptors for C++17: connections, listeners, datagrams. It stands on gomax.hpp, by whose rules it is written: what
 * goes wrong is a gomax::error, what may just as well happen is a value, and a call has a form without a time, one with
 * a time (_for) and one with a moment (_until). Files, processes and signals are in gomax_os.hpp.
 *
 * - An object owns a handle (gmx_poll) with its descriptor, and closes it at its end. It can be moved, not copied.
 * - Any number of goroutines and threads may call the members of one object at the same time, so they are const. Not
 *   while it is moved or destroyed.
 * - close() ends what waits there with GMX_EBADF, and later calls too. A handle is never used again, so a call that
 *   comes late cannot reach the descriptor of another connection.
 * - A token ends what waits, with gomax::canceled.
 * - A call that moves many bytes has a last argument `done`, which says how many it moved, also if it throws.
 */
#ifndef GOMAX_NET_HPP
#define GOMAX_NET_HPP

#include <gomax.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cerrno>
#include <initializer_list>
#include <string>

namespace gomax {

// ---- bytes ----------------------------------------------------------------------------------------------------------

namespace detail {

/// What std::data(C) points to, if bytes of it may be copied.
template <class C>
using element_of = std::enable_if_t<
    std::is_trivially_copyable_v<std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>> &&
        std::is_convertible_v<decltype(std::size(std::declval<C &>())), std::size_t>,
    std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>>;
template <class C>
using writable_element = std::enable_if_t<!std::is_const_v<element_of<C>>, element_of<C>>;

/// A piece of memory, as the system wants it.
template <class Byte>
class piece {
 public:
  constexpr piece() noexcept : v_{nullptr, 0} {}
  Byte *data() const noexcept { return static_cast<Byte *>(v_.iov_base); }
  std::size_t size() const noexcept { return v_.iov_len; }
  bool empty() const noexcept { return size() == 0; }

 protected:
  piece(const void *at, std::size_t n) noexcept : v_{const_cast<void *>(at), n} {}

 private:
  iovec v_;
};

}  // namespace detail

/// Where bytes come to: a view, as std::span. Made of an array, a vector, a string, a span, or a place and a size.
class writable_bytes : public detail::piece<std::byte> {
 public:
  constexpr writable_bytes() noexcept = default;
  writable_bytes(void *at, std::size_t n) noexcept : piece(at, n) {}
  template <class C, class T = detail::writable_element<std::remove_reference_t<C>>>
  writable_bytes(C &&c) noexcept : piece(std::data(c), std::size(c) * sizeof(T)) {}
  writable_bytes first(std::size_t n) const noexcept { return {data(), n}; }
  /// What is behind the first n.
  writable_bytes behind(std::size_t n) const noexcept { return {data() + n, size() - n}; }
};

/// Where bytes come from. Of a literal they are its characters, without the 0 at its end.
class bytes : public detail::piece<const std::byte> {
 public:
  constexpr bytes() noexcept = default;
  bytes(const void *at, std::size_t n) noexcept : piece(at, n) {}
  bytes(const char *text) noexcept : piece(text, std::strlen(text)) {}
  template <std::size_t N>
  bytes(char (&)[N]) = delete;  // text, or N bytes? {buffer, n} says so
  template <class C, class T = detail::element_of<std::remove_reference_t<C>>>
  bytes(C &&c) noexcept : piece(std::data(c), std::size(c) * sizeof(T)) {}
  bytes first(std::size_t n) const noexcept { return {data(), n}; }
  /// What is behind the first n.
  bytes behind(std::size_t n) const noexcept { return {data() + n, size() - n}; }
};

namespace detail {

/// Several values one after the other: {a, b}, or what has data() and size().
template <class T>
class row {
 public:
  row(std::initializer_list<T> l) noexcept : n_(l.size()) { first_ = l.begin(); }  // to the end of the call
  template <class C, class = std::enable_if_t<std::is_convertible_v<decltype(std::data(std::declval<C &>())), const T *>>>
  row(const C &c) noexcept : first_(std::data(c)), n_(std::size(c)) {}
  const T *data() const noexcept { return first_; }
  std::size_t size() const noexcept { return n_; }
  const T *begin() const noexcept { return first_; }
  const T *end() const noexcept { return first_ + n_; }

 private:
  const T *first_;
  std::size_t n_;
};

/// Pieces for readv and its like, and how many.
template <class Piece>
const iovec *iovecs(const row<Piece> &pieces) noexcept {
  static_assert(sizeof(Piece) == sizeof(iovec) && std::is_standard_layout_v<Piece>, "a piece is an iovec");
  return reinterpret_cast<const iovec *>(pieces.data());
}
template <class T>
std::int32_t count(const row<T> &pieces) {
  if (pieces.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) fail(GMX_EINVAL);
  return static_cast<std::int32_t>(pieces.size());
}

inline std::size_t counted(gmx_status status) { return static_cast<std::size_t>(check(status)); }
inline std::optional<std::size_t> counted_in_time(gmx_status status) {
  if (status == GMX_ETIMEDOUT) return std::nullopt;
  return counted(status);
}

/// Text for C: a literal, a string, a path, or none (nullptr).
struct c_text {
  const char *it;
  c_text(const char *text) noexcept : it(text) {}
  c_text(const std::string &text) noexcept : it(text.c_str()) {}
  c_text(std::nullptr_t = nullptr) noexcept : it(nullptr) {}
  template <class Path, class = decltype(std::declval<const Path &>().native().c_str())>
  c_text(const Path &path) noexcept : it(path.native().c_str()) {}
};

}  // namespace detail

// ---- addresses ------------------------------------------------------------------------------------------------------

/// The address of a socket, of whatever family.
class address {
 public:
  address() noexcept { std::memset(&room_, 0, sizeof room_); }
  /// A copy. GMX_EINVAL if it is too long to be one.
  address(const sockaddr *from, std::size_t n) : address() {
    if (n > sizeof room_) detail::fail(GMX_EINVAL);
    std::memcpy(&room_, from, n);
    size_ = static_cast<std::uint32_t>(n);
  }
  /// "127.0.0.1" or "::1", and a port. GMX_EINVAL if it is no number; resolve() looks up names.
  static address ip(const std::string &number, std::uint16_t port) {
    address a;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET, number.c_str(), &v4.sin_addr) == 1) {
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      a.put(v4, sizeof v4);
    } else if (inet_pton(AF_INET6, number.c_str(), &v6.sin6_addr) == 1) {
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      a.put(v6, sizeof v6);
    } else {
      detail::fail(GMX_EINVAL);
    }
    return a;
  }
  /// A path; behind an at sign an abstract name. -ENAMETOOLONG if it is too long.
  static address unix_domain(const std::string &path) {
    address a;
    sockaddr_un un{};
    if (path.empty() || path.size() >= sizeof un.sun_path) detail::fail(-ENAMETOOLONG);
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path.data(), path.size());
    const bool abstract = path[0] == '@';
    if (abstract) un.sun_path[0] = 0;
    a.put(un, offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
    return a;
  }

  int family() const noexcept { return room_.ss_family; }
  /// 0 if there is none.
  std::uint16_t port() const noexcept {
    if (family() == AF_INET) return ntohs(get<sockaddr_in>().sin_port);
    return family() == AF_INET6 ? ntohs(get<sockaddr_in6>().sin6_port) : std::uint16_t{0};
  }
  /// The number, or the path.
  std::string host() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (family() == AF_INET) {
      const in_addr number = get<sockaddr_in>().sin_addr;
      return inet_ntop(AF_INET, &number, text, sizeof text);
    }
    if (family() == AF_INET6) {
      const in6_addr number = get<sockaddr_in6>().sin6_addr;
      return inet_ntop(AF_INET6, &number, text, sizeof text);
    }
    if (family() != AF_UNIX || size_ <= offsetof(sockaddr_un, sun_path)) return {};
    const sockaddr_un un = get<sockaddr_un>();
    std::string path(un.sun_path, size_ - offsetof(sockaddr_un, sun_path));
    if (path[0] == 0) path[0] = '@';
    else path.resize(std::strlen(path.c_str()));
    return path;
  }
  /// "127.0.0.1:80", "[::1]:80", the path of a Unix socket, or nothing.
  std::string to_string() const {
    if (family() == AF_INET) return host() + ":" + std::to_string(port());
    if (family() == AF_INET6) return "[" + host() + "]:" + std::to_string(port());
    return host();
  }

  /// For calls of the system. resize() says how much of its room one has filled.
  const sockaddr *native() const noexcept { return reinterpret_cast<const sockaddr *>(&room_); }
  sockaddr *native() noexcept { return reinterpret_cast<sockaddr *>(&room_); }
  std::uint32_t size() const noexcept { return size_; }
  static constexpr std::uint32_t capacity() noexcept { return sizeof(sockaddr_storage); }
  void resize(std::uint32_t n) noexcept { size_ = n < capacity() ? n : capacity(); }

  friend bool operator==(const address &a, const address &b) noexcept {
    return a.size_ == b.size_ && std::memcmp(&a.room_, &b.room_, a.size_) == 0;
  }
  friend bool operator!=(const address &a, const address &b) noexcept { return !(a == b); }

 private:
  template <class A>
  void put(const A &a, std::size_t n) noexcept {
    std::memcpy(&room_, &a, n);
    size_ = static_cast<std::uint32_t>(n);
  }
  template <class A>
  A get() const noexcept {
    A a;
    std::memcpy(&a, &room_, sizeof a);
    return a;
  }
  sockaddr_storage room_;
  std::uint32_t size_ = 0;
};

namespace detail {

/// The out-arguments of a call that tells an address, or none.
class told {
 public:
  explicit told(address *a) noexcept : a_(a) {}
  ~told() {
    if (a_ != nullptr) a_->resize(n_);
  }
  told(const told &) = delete;
  told &operator=(const told &) = delete;
  sockaddr *at() noexcept { return a_ == nullptr ? nullptr : a_->native(); }
  std::uint32_t *size() noexcept { return a_ == nullptr ? nullptr : &n_; }

 private:
  address *a_;
  std::uint32_t n_ = address::capacity();
};

/// By getsockname or getpeername. A function of its own: a compiler may keep the place of errno over a call after which
/// the thread is another.
[[gnu::noinline]] inline address told_by(int (*call)(int, sockaddr *, socklen_t *), int fd) {
  address a;
  socklen_t n = address::capacity();
  if (call(fd, a.native(), &n) != 0) fail(-errno);
  a.resize(n);
  return a;
}

inline std::optional<std::vector<address>> resolved(c_text host, c_text service, int type, std::int64_t ns) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = type;
  const gmx_status status = gmx_getaddrinfo(host.it, service.it, &hints, &list, ns);
  if (!in_time(status)) return std::nullopt;
  const std::unique_ptr<addrinfo, void (*)(addrinfo *)> kept(list, [](addrinfo *l) { freeaddrinfo(l); });
  std::vector<address> all;
  for (const addrinfo *i = list; i != nullptr; i = i->ai_next) all.emplace_back(i->ai_addr, i->ai_addrlen);
  return all;
}

}  // namespace detail

/// The addresses of a host and a service, by getaddrinfo on another thread. An error of the resolver is GMX_EAI_*.
inline std::vector<address> resolve(detail::c_text host, detail::c_text service, int type = SOCK_STREAM) {
  auto all = detail::resolved(host, service, type, GMX_FOREVER);
  if (!all) detail::fail(GMX_ETIMEDOUT);
  return *std::move(all);
}
/// Empty if the time was up: the answer that comes later is dropped.
template <class Rep, class Period>
std::optional<std::vector<address>> resolve_for(detail::c_text host, detail::c_text service,
                                                const std::chrono::duration<Rep, Period> &d, int type = SOCK_STREAM) {
  return detail::resolved(host, service, type, detail::ns(d));
}
template <class Clock, class Duration>
std::optional<std::vector<address>> resolve_until(detail::c_text host, detail::c_text service,
                                                  const std::chrono::time_point<Clock, Duration> &when, int type = SOCK_STREAM) {
  return detail::resolved(host, service, type, detail::ns_until(when));
}

// ---- descriptors ----------------------------------------------------------------------------------------------------

/// The directions of a descriptor, for deadlines.
enum class direction : std::uint32_t { read = GMX_POLL_IN, write = GMX_POLL_OUT, both = GMX_POLL_IN | GMX_POLL_OUT };

/// A descriptor that goroutines wait for: a socket, a pipe, a terminal, an eventfd, a file. One that was moved from or
/// made without an argument has none: its calls throw an error with GMX_EBADF.
class descriptor {
 public:
  constexpr descriptor() noexcept = default;
  /// fd belongs to the object from here on, except with GMX_POLL_BORROW; if this throws it is the caller's still.
  explicit descriptor(int fd, std::uint32_t flags = 0) { check(gmx_poll_open(fd, flags, &p_)); }
  /// Takes over a handle of C's.
  static descriptor adopt(gmx_poll p) noexcept { return descriptor(handle{p}); }
  descriptor(descriptor &&other) noexcept : p_(std::exchange(other.p_, 0)) {}
  descriptor &operator=(descriptor &&other) noexcept {
    descriptor gone(std::move(other));
    std::swap(p_, gone.p_);
    return *this;
  }
  ~descriptor() {
    if (p_ == 0) return;
    const gmx_status status = gmx_close(p_);  // GMX_EBADF: closed before
    if (status == GMX_ENOTG || status == GMX_EINSYSCALL) {
      // It may have to wait for a call that is on its way out, and that cannot be here.
      static_cast<void>(gmx_spawn_copy([](void *p) { gmx_close(*static_cast<gmx_poll *>(p)); }, &p_, sizeof p_));
    }
  }

  /// Whether it has a handle, which may be closed.
  explicit operator bool() const noexcept { return p_ != 0; }
  gmx_poll native() const noexcept { return p_; }
  /// The number, for calls of the system; good until close().
  int fd() const { return check(gmx_poll_fd(p_)); }
  /// Each call that waits there throws an error with GMX_EBADF, and so does each later one, this one too. Returns when
  /// the last of them has left.
  void close() const { check(gmx_close(p_)); }
  /// As close(), and gives the descriptor back, open.
  [[nodiscard]] int release() const {
    std::int32_t fd = -1;
    check(gmx_poll_release(p_, &fd));
    return fd;
  }

  /// Calls in a direction end at this moment with GMX_ETIMEDOUT (one with a time of its own as if that was up): those
  /// that wait now and later ones, also if there is something to read. For a conversation of many calls.
  template <class Clock, class Duration>
  void set_deadline(const std::chrono::time_point<Clock, Duration> &when, direction which = direction::both) const {
    deadline(gmx_deadline(detail::ns_until(when)), which);
  }
  /// So long from now.
  template <class Rep, class Period>
  void set_deadline(const std::chrono::duration<Rep, Period> &d, direction which = direction::both) const {
    deadline(gmx_deadline(detail::ns(d)), which);
  }
  void clear_deadline(direction which = direction::both) const { deadline(GMX_FOREVER, which); }

  /// Waits for GMX_POLL_IN, GMX_POLL_OUT or both, and tells what is there, in the bits of poll.
  std::uint32_t wait(std::uint32_t events) const { return ready(events, GMX_FOREVER).value(); }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<std::uint32_t> wait_for(std::uint32_t events, const std::chrono::duration<Rep, Period> &d) const {
    return ready(events, detail::ns(d), true);
  }
  template <class Clock, class Duration>
  std::optional<std::uint32_t> wait_until(std::uint32_t events, const std::chrono::time_point<Clock, Duration> &when) const {
    return ready(events, detail::ns_until(when), true);
  }

  /// What is there, at most to.size() bytes; waits while there is nothing. 0: the end.
  std::size_t read(writable_bytes to) const { return detail::counted(gmx_read(p_, to.data(), to.size(), GMX_FOREVER)); }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<std::size_t> read_for(writable_bytes to, const std::chrono::duration<Rep, Period> &d) const {
    return detail::counted_in_time(gmx_read(p_, to.data(), to.size(), detail::ns(d)));
  }
  template <class Clock, class Duration>
  std::optional<std::size_t> read_until(writable_bytes to, const std::chrono::time_point<Clock, Duration> &when) const {
    return detail::counted_in_time(gmx_read(p_, to.data(), to.size(), detail::ns_until(when)));
  }
  /// All of to; an error with GMX_EPIPE if the data ends before.
  void read_full(writable_bytes to, std::size_t *done = nullptr) const {
    check(gmx_read_full(p_, to.data(), to.size(), GMX_FOREVER, done));
  }
  /// False if the time was up.
  template <class Rep, class Period>
  bool read_full_for(writable_bytes to, const std::chrono::duration<Rep, Period> &d, std::size_t *done = nullptr) const {
    return detail::in_time(gmx_read_full(p_, to.data(), to.size(), detail::ns(d), done));
  }
  template <class Clock, class Duration>
  bool read_full_until(writable_bytes to, const std::chrono::time_point<Clock, Duration> &when,
                       std::size_t *done = nullptr) const {
    return detail::in_time(gmx_read_full(p_, to.data(), to.size(), detail::ns_until(when), done));
  }
  /// As read, into several places one after the other.
  std::size_t readv(const detail::row<writable_bytes> &to) const {
    return detail::counted(gmx_readv(p_, detail::iovecs(to), detail::count(to), GMX_FOREVER));
  }
  template <class Rep, class Period>
  std::optional<std::size_t> readv_for(const detail::row<writable_bytes> &to, const std::chrono::duration<Rep, Period> &d) const {
    return detail::counted_in_time(gmx_readv(p_, detail::iovecs(to), detail::count(to), detail::ns(d)));
  }
  template <class Clock, class Duration>
  std::optional<std::size_t> readv_until(const detail::row<writable_bytes> &to,
                                         const std::chrono::time_point<Clock, Duration> &when) const {
    return detail::counted_in_time(gmx_readv(p_, detail::iovecs(to), detail::count(to), detail::ns_until(when)));
  }

  /// All of it, not mixed with what others write there. An error with GMX_EPIPE if the other end is closed: no SIGPIPE.
  void write(bytes from, std::size_t *done = nullptr) const {
    check(gmx_write(p_, from.data(), from.size(), GMX_FOREVER, done));
  }
  /// False if the time was up.
  template <class Rep, class Period>
  bool write_for(bytes from, const std::chrono::duration<Rep, Period> &d, std::size_t *done = nullptr) const {
    return detail::in_time(gmx_write(p_, from.data(), from.size(), detail::ns(d), done));
  }
  template <class Clock, class Duration>
  bool write_until(bytes from, const std::chrono::time_point<Clock, Duration> &when, std::size_t *done = nullptr) const {
    return detail::in_time(gmx_write(p_, from.data(), from.size(), detail::ns_until(when), done));
  }
  /// As write, from several places one after the other.
  void writev(const detail::row<bytes> &from, std::size_t *done = nullptr) const {
    check(gmx_writev(p_, detail::iovecs(from), detail::count(from), GMX_FOREVER, done));
  }
  template <class Rep, class Period>
  bool writev_for(const detail::row<bytes> &from, const std::chrono::duration<Rep, Period> &d,
                  std::size_t *done = nullptr) const {
    return detail::in_time(gmx_writev(p_, detail::iovecs(from), detail::count(from), detail::ns(d), done));
  }
  template <class Clock, class Duration>
  bool writev_until(const detail::row<bytes> &from, const std::chrono::time_point<Clock, Duration> &when,
                    std::size_t *done = nullptr) const {
    return detail::in_time(gmx_writev(p_, detail::iovecs(from), detail::count(from), detail::ns_until(when), done));
  }

 protected:
  struct handle {
    gmx_poll p;
  };
  explicit descriptor(handle h) noexcept : p_(h.p) {}

 private:
  void deadline(std::int64_t when, direction which) const {
    check(gmx_poll_set_deadline(p_, static_cast<std::uint32_t>(which), when));
  }
  std::optional<std::uint32_t> ready(std::uint32_t events, std::int64_t ns, bool may_be_late = false) const {
    std::uint32_t is = 0;
    const gmx_status status = gmx_poll_wait(p_, events, ns, &is);
    if (may_be_late && status == GMX_ETIMEDOUT) return std::nullopt;
    check(status);
    return is;
  }
  gmx_poll p_ = 0;
};

// ---- connections ----------------------------------------------------------------------------------------------------

/// A connected socket: a stream, or one of messages. Comes from a listener, from dial(), or is a socket of the host's.
class conn : public descriptor {
 public:
  constexpr conn() noexcept = default;
  /// As descriptor(fd, flags).
  explicit conn(int fd, std::uint32_t flags = 0) : descriptor(fd, flags) {}
  static conn adopt(gmx_poll p) noexcept { return conn(handle{p}); }

  /// Connects a socket of the host's. After an error it is of no more use.
  void connect(const address &to) const { check(gmx_connect(native(), to.native(), to.size(), GMX_FOREVER)); }
  /// False if the time was up.
  template <class Rep, class Period>
  bool connect_for(const address &to, const std::chrono::duration<Rep, Period> &d) const {
    return detail::in_time(gmx_connect(native(), to.native(), to.size(), detail::ns(d)));
  }
  template <class Clock, class Duration>
  bool connect_until(const address &to, const std::chrono::time_point<Clock, Duration> &when) const {
    return detail::in_time(gmx_connect(native(), to.native(), to.size(), detail::ns_until(when)));
  }

  /// SHUT_RD, SHUT_WR or SHUT_RDWR: ends a direction for good, and the calls that wait there.
  void shutdown(int how) const { check(gmx_poll_shutdown(native(), how)); }
  /// A call of the system each.
  address peer() const { return detail::told_by(::getpeername, fd()); }
  address local() const { return detail::told_by(::getsockname, fd()); }

  /// One recv, by the flags of the system: what is there, or one message. 0: the end, or a message of no bytes.
  std::size_t recv(writable_bytes to, int flags = 0) const {
    return detail::counted(gmx_recv(native(), to.data(), to.size(), flags, GMX_FOREVER));
  }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<std::size_t> recv_for(writable_bytes to, const std::chrono::duration<Rep, Period> &d, int flags = 0) const {
    return detail::counted_in_time(gmx_recv(native(), to.data(), to.size(), flags, detail::ns(d)));
  }
  template <class Clock, class Duration>
  std::optional<std::size_t> recv_until(writable_bytes to, const std::chrono::time_point<Clock, Duration> &when,
                                        int flags = 0) const {
    return detail::counted_in_time(gmx_recv(native(), to.data(), to.size(), flags, detail::ns_until(when)));
  }
  /// One send: of a stream as much as there is room for, or one message.
  std::size_t send(bytes from, int flags = 0) const {
    return detail::counted(gmx_send(native(), from.data(), from.size(), flags, GMX_FOREVER));
  }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<std::size_t> send_for(bytes from, const std::chrono::duration<Rep, Period> &d, int flags = 0) const {
    return detail::counted_in_time(gmx_send(native(), from.data(), from.size(), flags, detail::ns(d)));
  }
  template <class Clock, class Duration>
  std::optional<std::size_t> send_until(bytes from, const std::chrono::time_point<Clock, Duration> &when, int flags = 0) const {
    return detail::counted_in_time(gmx_send(native(), from.data(), from.size(), flags, detail::ns_until(when)));
  }

  /// Sends descriptors, which stay the caller's, with at least one byte, by a socket of the Unix domain. Returns the
  /// number of bytes.
  std::size_t send_fds(const detail::row<int> &fds, bytes with) const {
    return detail::counted(gmx_send_fds(native(), fds.data(), fds.size(), with.data(), with.size(), GMX_FOREVER));
  }
  /// Receives bytes, and descriptors into fds, which has room for as many as its size is, and then has those that came.
  /// They are the caller's, and closed by exec. GMX_EMSGSIZE if there is no room for all: then they are closed.
  std::size_t recv_fds(std::vector<int> &fds, writable_bytes to) const {
    std::size_t n = fds.size();
    const gmx_status status = gmx_recv_fds(native(), fds.data(), &n, to.data(), to.size(), GMX_FOREVER);
    fds.resize(status < 0 ? 0 : n);
    return detail::counted(status);
  }

 private:
  explicit conn(handle h) noexcept : descriptor(h) {}
};

/// How names are dialed; zero is the default.
struct dial_options {
  std::chrono::nanoseconds delay{};  // after which an attempt without an answer is joined by the next; 0: 250 ms
};

namespace detail {

inline std::optional<conn> dialed(c_text network, c_text host, c_text service, const dial_options &o, std::int64_t ns,
                                  bool may_be_late) {
  gmx_dial_opts opts{};
  opts.struct_size = sizeof opts;
  opts.delay = o.delay.count();
  gmx_poll p = 0;
  const gmx_status status = gmx_dial(network.it, host.it, service.it, &opts, ns, &p);
  if (may_be_late && status == GMX_ETIMEDOUT) return std::nullopt;
  check(status);
  return conn::adopt(p);
}

}  // namespace detail

/// Looks a name up and connects to the first of its addresses that answers: dial("tcp", "example.org", "https"). The
/// networks are those of gmx_dial: "tcp", "udp", "tcp4" and so on, and "unix", with a path as host and no service.
inline conn dial(detail::c_text network, detail::c_text host, detail::c_text service = nullptr, const dial_options &o = {}) {
  return *detail::dialed(network, host, service, o, GMX_FOREVER, false);
}
/// Empty if the time was up.
template <class Rep, class Period>
std::optional<conn> dial_for(detail::c_text network, detail::c_text host, detail::c_text service,
                             const std::chrono::duration<Rep, Period> &d, const dial_options &o = {}) {
  return detail::dialed(network, host, service, o, detail::ns(d), true);
}
template <class Clock, class Duration>
std::optional<conn> dial_until(detail::c_text network, detail::c_text host, detail::c_text service,
                               const std::chrono::time_point<Clock, Duration> &when, const dial_options &o = {}) {
  return detail::dialed(network, host, service, o, detail::ns_until(when), true);
}

// ---- listeners ------------------------------------------------------------------------------------------------------

/// How a listener or a socket for datagrams is made; zero is the default.
struct listen_options {
  bool patient = false;     // GMX_ACCEPT_PATIENT: accept waits while there are no descriptors
  bool reuse_port = false;  // GMX_LISTEN_REUSEPORT
  bool v6_only = false;     // GMX_LISTEN_V6ONLY
  bool unlink = false;      // GMX_LISTEN_UNLINK: of the file of a Unix socket at which no process answers
  int backlog = 0;
  std::chrono::nanoseconds timeout{};  // of the look-up of a name; 0: none
};

namespace detail {

inline gmx_listen_opts raw(const listen_options &o) noexcept {
  gmx_listen_opts opts{};
  opts.struct_size = sizeof opts;
  if (o.patient) opts.flags |= GMX_ACCEPT_PATIENT;
  if (o.reuse_port) opts.flags |= GMX_LISTEN_REUSEPORT;
  if (o.v6_only) opts.flags |= GMX_LISTEN_V6ONLY;
  if (o.unlink) opts.flags |= GMX_LISTEN_UNLINK;
  opts.backlog = o.backlog;
  opts.timeout = o.timeout.count();
  return opts;
}

}  // namespace detail

/// A socket at which connections come in:
///
///     for (gomax::conn &c : listener) all.go(serve, std::move(c));
///
/// ends when the listener is closed.
class listener : private descriptor {
 public:
  class iterator;
  struct sentinel {};

  constexpr listener() noexcept = default;
  /// Of a socket that the host has made, bound and told to listen; flags: GMX_POLL_BORROW, GMX_ACCEPT_PATIENT.
  explicit listener(int fd, std::uint32_t flags = 0) : descriptor(fd, flags) {}
  static listener adopt(gmx_poll p) noexcept { return listener(handle{p}); }
  /// At a host's name or number (nullptr: all addresses) and a port ("0": any that is free, local() tells it).
  static listener tcp(detail::c_text host, detail::c_text service, const listen_options &o = {}) {
    const gmx_listen_opts opts = detail::raw(o);
    gmx_poll p = 0;
    check(gmx_listen_tcp(host.it, service.it, &opts, &p));
    return adopt(p);
  }
  /// At a path, or behind an at sign an abstract name. The file stays when the listener is closed.
  static listener unix_domain(detail::c_text path, const listen_options &o = {}) {
    const gmx_listen_opts opts = detail::raw(o);
    gmx_poll p = 0;
    check(gmx_listen_unix(path.it, &opts, &p));
    return adopt(p);
  }
  /// One of the sockets that systemd has started the process with.
  static listener inherit(std::size_t index = 0) {
    gmx_poll p = 0;
    check(gmx_listen_inherit(index, &p));
    return adopt(p);
  }

  using descriptor::operator bool;
  using descriptor::clear_deadline;
  using descriptor::close;
  using descriptor::fd;
  using descriptor::native;
  using descriptor::release;
  using descriptor::set_deadline;
  address local() const { return detail::told_by(::getsockname, fd()); }

  /// Waits for a connection; *peer gets the address of the other end.
  conn accept(address *peer = nullptr) const { return *accepted(GMX_FOREVER, peer, false); }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<conn> accept_for(const std::chrono::duration<Rep, Period> &d, address *peer = nullptr) const {
    return accepted(detail::ns(d), peer, true);
  }
  template <class Clock, class Duration>
  std::optional<conn> accept_until(const std::chrono::time_point<Clock, Duration> &when, address *peer = nullptr) const {
    return accepted(detail::ns_until(when), peer, true);
  }

  /// Accepts when it is looked at, not by ++. The end is a listener that is closed; all other errors are thrown.
  iterator begin() const &;
  iterator begin() const && = delete;  // it would outlive its listener
  sentinel end() const noexcept { return {}; }

 private:
  explicit listener(handle h) noexcept : descriptor(h) {}
  std::optional<conn> accepted(std::int64_t ns, address *peer, bool may_be_late) const {
    gmx_poll p = 0;
    detail::told from(peer);
    const gmx_status status = gmx_accept(native(), &p, from.at(), from.size(), ns);
    if (may_be_late && status == GMX_ETIMEDOUT) return std::nullopt;
    check(status);
    return conn::adopt(p);
  }
};

class listener::iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = conn;
  using difference_type = std::ptrdiff_t;
  using pointer = conn *;
  using reference = conn &;

  explicit iterator(const listener &l) noexcept : from_(&l) {}
  conn &operator*() const { return *got(); }
  conn *operator->() const { return std::addressof(*got()); }
  iterator &operator++() {
    got();  // of a connection that was not looked at as well
    looked_ = false;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const iterator &i, sentinel) { return !i.got(); }
  friend bool operator!=(const iterator &i, sentinel) { return i.got().has_value(); }
  friend bool operator==(sentinel s, const iterator &i) { return i == s; }
  friend bool operator!=(sentinel s, const iterator &i) { return i != s; }

 private:
  std::optional<conn> &got() const {
    if (looked_) return got_;
    got_.reset();
    gmx_poll p = 0;
    const gmx_status status = gmx_accept(from_->native(), &p, nullptr, nullptr, GMX_FOREVER);
    if (status != GMX_EBADF) {
      check(status);
      got_ = conn::adopt(p);
    }
    looked_ = true;
    return got_;
  }
  const listener *from_;
  mutable bool looked_ = false;
  mutable std::optional<conn> got_;
};

inline listener::iterator listener::begin() const & { return iterator(*this); }

// ---- datagrams ------------------------------------------------------------------------------------------------------

/// A socket for datagrams that has no other end: each message has an address. dial("udp", host, port) gives a conn,
/// whose messages go to one address and come from it.
class udp : private descriptor {
 public:
  constexpr udp() noexcept = default;
  /// Of a socket that the host has made; flags: GMX_POLL_BORROW.
  explicit udp(int fd, std::uint32_t flags = 0) : descriptor(fd, flags) {}
  /// At a host's name or number (nullptr: all addresses) and a port ("0": any that is free, local() tells it).
  udp(detail::c_text host, detail::c_text service, const listen_options &o = {}) : descriptor(opened(host, service, o)) {}
  static udp adopt(gmx_poll p) noexcept { return udp(handle{p}); }

  using descriptor::operator bool;
  using descriptor::clear_deadline;
  using descriptor::close;
  using descriptor::fd;
  using descriptor::native;
  using descriptor::release;
  using descriptor::set_deadline;
  using descriptor::wait;
  using descriptor::wait_for;
  using descriptor::wait_until;
  address local() const { return detail::told_by(::getsockname, fd()); }

  /// One message, which goes as a whole. How many bytes it has.
  std::size_t send_to(bytes from, const address &to, int flags = 0) const {
    return detail::counted(send_ns(from, to, flags, GMX_FOREVER));
  }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<std::size_t> send_to_for(bytes from, const address &to, const std::chrono::duration<Rep, Period> &d,
                                         int flags = 0) const {
    return detail::counted_in_time(send_ns(from, to, flags, detail::ns(d)));
  }
  template <class Clock, class Duration>
  std::optional<std::size_t> send_to_until(bytes from, const address &to, const std::chrono::time_point<Clock, Duration> &when,
                                           int flags = 0) const {
    return detail::counted_in_time(send_ns(from, to, flags, detail::ns_until(when)));
  }
  /// The next message, of which what has no room is lost; *from gets the address it came from. With MSG_TRUNC as flags
  /// the result is the length of the message, which may be more than there is room for.
  std::size_t recv_from(writable_bytes to, address *from = nullptr, int flags = 0) const {
    return detail::counted(recv_ns(to, from, flags, GMX_FOREVER));
  }
  /// Empty if the time was up.
  template <class Rep, class Period>
  std::optional<std::size_t> recv_from_for(writable_bytes to, const std::chrono::duration<Rep, Period> &d,
                                           address *from = nullptr, int flags = 0) const {
    return detail::counted_in_time(recv_ns(to, from, flags, detail::ns(d)));
  }
  template <class Clock, class Duration>
  std::optional<std::size_t> recv_from_until(writable_bytes to, const std::chrono::time_point<Clock, Duration> &when,
                                             address *from = nullptr, int flags = 0) const {
    return detail::counted_in_time(recv_ns(to, from, flags, detail::ns_until(when)));
  }

 private:
  explicit udp(handle h) noexcept : descriptor(h) {}
  static handle opened(detail::c_text host, detail::c_text service, const listen_options &o) {
    const gmx_listen_opts opts = detail::raw(o);
    handle h{};
    check(gmx_udp_open(host.it, service.it, &opts, &h.p));
    return h;
  }
  gmx_status send_ns(bytes from, const address &to, int flags, std::int64_t ns) const {
    return gmx_sendto(native(), from.data(), from.size(), flags, to.native(), to.size(), ns);
  }
  gmx_status recv_ns(writable_bytes to, address *from, int flags, std::int64_t ns) const {
    detail::told sender(from);
    return gmx_recvfrom(native(), to.data(), to.size(), flags, sender.at(), sender.size(), ns);
  }
};

// ---- descriptors without an object ----------------------------------------------------------------------------------

namespace detail {

inline std::optional<std::uint32_t> fd_ready(int fd, std::uint32_t events, std::int64_t ns) {
  std::uint32_t is = 0;
  if (!in_time(gmx_wait_fd(fd, events, ns, &is))) return std::nullopt;
  return is;
}

template <class C>
using polled = std::enable_if_t<std::is_convertible_v<decltype(std::data(std::declval<C &>())), pollfd *>>;
template <class C>
std::size_t poll_many(C &fds, std::int64_t ns) {
  return counted_in_time(gmx_poll_many(std::data(fds), std::size(fds), ns)).value_or(0);
}

}  // namespace detail

/// As descriptor::wait, for one wait at a descriptor that stays the caller's. It must not be closed meanwhile.
inline std::uint32_t wait_fd(int fd, std::uint32_t events) { return *detail::fd_ready(fd, events, GMX_FOREVER); }
/// Empty if the time was up.
template <class Rep, class Period>
std::optional<std::uint32_t> wait_fd_for(int fd, std::uint32_t events, const std::chrono::duration<Rep, Period> &d) {
  return detail::fd_ready(fd, events, detail::ns(d));
}
template <class Clock, class Duration>
std::optional<std::uint32_t> wait_fd_until(int fd, std::uint32_t events, const std::chrono::time_point<Clock, Duration> &when) {
  return detail::fd_ready(fd, events, detail::ns_until(when));
}
/// poll(2) for goroutines, of an array or a vector of pollfd: how many entries are ready.
template <class C, class = detail::polled<C>>
std::size_t poll_many(C &fds) {
  return detail::poll_many(fds, GMX_FOREVER);
}
/// 0 if the time was up.
template <class C, class Rep, class Period, class = detail::polled<C>>
std::size_t poll_many_for(C &fds, const std::chrono::duration<Rep, Period> &d) {
  return detail::poll_many(fds, detail::ns(d));
}
template <class C, class Clock, class Duration, class = detail::polled<C>>
std::size_t poll_many_until(C &fds, const std::chrono::time_point<Clock, Duration> &when) {
  return detail::poll_many(fds, detail::ns_until(when));
}

}  // namespace gomax

#endif  // GOMAX_NET_HPP
