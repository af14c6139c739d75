// Connections, listeners, datagrams and descriptors, on one P.
#include "tests.hpp"

#include <gomax_net.hpp>

#include "usage.h"

#include <stdexcept>
#include <sys/resource.h>

static long open_fds() { return count_entries("/proc/self/fd"); }

struct two {
  gomax::conn a, b;
};
static two connected(int type = SOCK_STREAM) {
  int fd[2];
  CHECK(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) == 0);
  return {gomax::conn(fd[0]), gomax::conn(fd[1])};
}
static gomax::conn dial_to(const gomax::listener &l) { return gomax::dial("tcp", "127.0.0.1", std::to_string(l.local().port())); }

// Takes all the room there is.
static void fill(const gomax::conn &c) {
  static const std::array<char, 1 << 16> zeros{};
  while (c.write_for(zeros, 0s)) {
  }
}

static void until_io_waits(std::int64_t n) {
  spin_until(gomax::sched_stats().io_waiting == n);
}

static void views() {
  char room[8] = {};
  std::string text = "four";
  std::vector<std::uint32_t> words(3);
  const std::array<std::byte, 5> five{};
  CHECK_EQ(gomax::writable_bytes(room).size(), 8);
  CHECK_EQ(gomax::writable_bytes(text).size(), 4);
  CHECK_EQ(gomax::writable_bytes(words).size(), 12);
  CHECK_EQ(gomax::bytes("four").size(), 4);
  CHECK_EQ(gomax::bytes(five).size(), 5);
  CHECK_EQ(gomax::bytes(text).behind(1).size(), 3);
  CHECK(gomax::bytes(text).behind(1).data() == gomax::bytes(text).data() + 1);
  CHECK_EQ(gomax::bytes(gomax::writable_bytes(room).first(2)).size(), 2);
  CHECK(gomax::bytes().empty() && gomax::writable_bytes().data() == nullptr);
  static_assert(!std::is_constructible_v<gomax::writable_bytes, const std::string &>, "not writable");
  static_assert(!std::is_constructible_v<gomax::bytes, char (&)[8]>, "text or bytes?");
  static_assert(!std::is_constructible_v<gomax::bytes, std::vector<std::string> &>, "not bytes");
  static_assert(!std::is_copy_constructible_v<gomax::conn> && std::is_nothrow_move_constructible_v<gomax::conn>);
}

static void addresses() {
  const auto v4 = gomax::address::ip("127.0.0.1", 80), v6 = gomax::address::ip("::1", 443);
  CHECK(v4.to_string() == "127.0.0.1:80");
  CHECK(v6.to_string() == "[::1]:443");
  CHECK_EQ(v6.port(), 443);
  CHECK(v4 != v6 && v4 == gomax::address::ip("127.0.0.1", 80));
  CHECK(gomax::address::unix_domain("/tmp/x").to_string() == "/tmp/x");
  CHECK(gomax::address::unix_domain("@x").host() == "@x");
  CHECK(gomax::address().to_string() == "");
  CHECK_THROWS(GMX_EINVAL, gomax::address::ip("localhost", 1));
  CHECK_THROWS(-ENAMETOOLONG, gomax::address::unix_domain(std::string(200, 'x')));
  const auto all = gomax::resolve("127.0.0.1", "80");
  CHECK(all.size() == 1 && all[0] == v4);
  CHECK(gomax::resolve_for("127.0.0.1", nullptr, 10s).has_value());
  CHECK_THROWS(GMX_EAI_SERVICE, gomax::resolve("127.0.0.1", "no such service"));
}

// Each client writes its number and gets it back, when all are connected.
static void echoes() {
  constexpr int n = 1000;
  const long before = open_fds();
  {
    const auto listener = gomax::listener::tcp("127.0.0.1", "0");
    gomax::latch all_there(n);
    std::atomic<int> right{0};
    gomax::scope all;
    all.go([&] {
      gomax::scope served;
      for (gomax::conn &c : listener) {
        served.go([c = std::move(c)] {
          std::array<char, 64> some;
          while (const std::size_t got = c.read(some)) c.write(gomax::bytes(some).first(got));
        });
      }
    });
    gomax::with_scope([&](gomax::scope &clients) {
      for (int i = 0; i < n; i++) {
        clients.go([&, i] {
          const auto c = dial_to(listener);
          all_there.arrive_and_wait();
          int back = -1;
          c.write({&i, sizeof i});
          c.read_full({&back, sizeof back});
          if (back == i) right++;
        });
      }
    });
    CHECK_EQ(right.load(), n);
    listener.close();
  }
  CHECK_EQ(open_fds(), before);
}

static void close_ends_what_waits() {
  two ab = connected();
  auto &a = ab.a, &b = ab.b;
  auto full = connected();
  fill(full.a);
  const auto listener = gomax::listener::tcp("127.0.0.1", "0"), looped = gomax::listener::tcp("127.0.0.1", "0");
  gomax::wait_group all;
  all.go([&] { CHECK_THROWS(GMX_EBADF, char c[1]; a.read(c)); });
  all.go([&] { CHECK_THROWS(GMX_EBADF, full.a.write("x")); });
  all.go([&] { CHECK_THROWS(GMX_EBADF, listener.accept()); });
  all.go([&] {
    for (auto &c : looped) CHECK(!c);
  });
  all.go([&] { CHECK_THROWS(GMX_EBADF, b.wait(GMX_POLL_IN)); });
  until_io_waits(5);
  b.close(), a.close(), full.a.close(), listener.close(), looped.close();
  all.wait();
  CHECK_THROWS(GMX_EBADF, a.close());
  CHECK_THROWS(GMX_EBADF, static_cast<void>(a.fd()));
  CHECK_THROWS(GMX_EBADF, static_cast<void>(a.peer()));
  CHECK(static_cast<bool>(a));
  for (auto &c : listener) CHECK(!c);
}

static void times() {
  const two ab = connected();
  auto &a = ab.a, &b = ab.b;
  char some[4] = {};
  std::size_t done = 9;
  CHECK(!a.read_for(some, 0s));
  CHECK(!a.read_for(some, -1s));
  CHECK(!a.read_for(some, 2ms));
  CHECK(!a.read_until(some, gomax::clock::now() + 2ms));
  CHECK(!a.read_until(some, std::chrono::system_clock::now() - 1h));
  CHECK(!a.readv_for({some}, 0s));
  CHECK(!a.recv_for(some, 0s));
  CHECK(!a.wait_for(GMX_POLL_IN, 0s));
  CHECK(a.wait_until(GMX_POLL_OUT, gomax::clock::now()).value() & GMX_POLL_OUT);
  b.write("ab");
  CHECK(!a.read_full_for(some, 2ms, &done));
  CHECK_EQ(done, 2);
  CHECK(std::memcmp(some, "ab", 2) == 0);
  const auto listener = gomax::listener::unix_domain("@gomax-times-" + std::to_string(getpid()));
  CHECK(!listener.accept_for(0s));
  CHECK(!listener.accept_until(gomax::clock::now() + 1ms));
  fill(a);
  CHECK(!a.write_for("x", 1ms, &done));
  CHECK_EQ(done, 0);
  CHECK(!a.send_for("x", 0s));
  CHECK(!a.writev_for({"x", "y"}, 0s));

  const two cd = connected();
  auto &c = cd.a, &d = cd.b;
  d.write("x");
  c.set_deadline(gomax::clock::now() - 1ms, gomax::direction::read);
  CHECK_THROWS(GMX_ETIMEDOUT, c.read(some));
  CHECK(!c.read_for(some, 1h));
  c.write("y");
  c.set_deadline(1h);
  CHECK_EQ(c.read(some), 1);
  auto late = gomax::go([&] { CHECK_THROWS(GMX_ETIMEDOUT, c.read(some)); });
  until_io_waits(1);
  c.set_deadline(0s);
  late.join();
  c.clear_deadline();
  CHECK(!c.read_for(some, 0s));
}

static void tokens() {
  const two ab = connected();
  auto &a = ab.a, &b = ab.b;
  char some[4] = {};
  gomax::cancel_source source;
  auto reader = gomax::go([&] {
    gomax::under heed(source);
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, a.read(some));
    CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, a.read_for(some, 1h));
    gomax::shield not_now;
    a.write("y");
  });
  until_io_waits(1);
  source.cancel();
  reader.join();
  CHECK_EQ(b.read(some), 1);
  CHECK_EQ(some[0], 'y');
  // the first failure ends what the others wait for
  try {
    gomax::with_scope([&](gomax::scope &s) {
      s.go([&] {
        until_io_waits(1);
        throw std::runtime_error("enough");
      });
      a.read(some);
    });
    CHECK(false);
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "enough");
  }
  CHECK_THROWS(GMX_ETIMEDOUT, gomax::with_scope(2ms, [&](gomax::scope &) { a.read(some); }));
  b.write("z");
  CHECK_EQ(a.read(some), 1);
}

static void moves() {
  const long before = open_fds();
  {
    two ab = connected();
    auto &a = ab.a, &b = ab.b;
    char some[4];
    gomax::conn c = std::move(a);
    CHECK(!a && c);
    CHECK_THROWS(GMX_EBADF, a.read(some));
    CHECK_THROWS(GMX_EBADF, a.close());
    b.write("x");
    CHECK_EQ(c.read(some), 1);
    auto &self = c;
    c = std::move(self);
    CHECK(c && c.fd() >= 0);
    const int number = b.fd();
    b = std::move(c);  // what b had is closed
    CHECK_EQ(b.read(some), 0);
    CHECK(fcntl(number, F_GETFD) == -1);
    gomax::descriptor any = std::move(b);
    const int fd = any.release();
    CHECK_THROWS(GMX_EBADF, any.read(some));
    CHECK(fcntl(fd, F_GETFD) >= 0);
    gomax::conn borrowed(fd, GMX_POLL_BORROW);
    borrowed.close();
    CHECK(close(fd) == 0);
    std::vector<gomax::conn> many;
    for (int i = 0; i < 20; i++) {
      auto p = connected();
      many.push_back(std::move(p.a));
      many.insert(many.begin(), std::move(p.b));
    }
    many.erase(many.begin(), many.begin() + 5);
    gomax::channel<gomax::conn> handed(1);  // and by a channel
    handed.send(std::move(many.back()));
    CHECK(handed.receive().value().fd() >= 0);
    handed.send(connected().a);  // one that is never received
  }
  CHECK_EQ(open_fds(), before);
  CHECK_THROWS(GMX_EBADF, gomax::conn(-1));
}

// Reads in its destructor what is left, also while an exception flies.
struct drains {
  gomax::conn c;
  std::size_t &left;
  ~drains() {
    char some[16];
    left += c.read(some);
  }
};

static void exceptions() {
  const long before = open_fds();
  std::size_t left = 0;
  for (int i = 0; i < 100; i++) {
    try {
      two ab = connected();
      auto &a = ab.a, &b = ab.b;
      const auto listener = gomax::listener::tcp("127.0.0.1", "0");
      gomax::scope all;
      all.go([&] { listener.accept(); });
      all.go([&] {
        gomax::yield();
        a.write("left");
      });
      const drains d{std::move(b), left};
      if (i % 2 == 0) throw i;
      char some[4];
      gomax::conn(-1).read(some);
    } catch (int got) {
      CHECK_EQ(got, i);
    } catch (const gomax::error &e) {
      CHECK_EQ(e.status(), GMX_EBADF);
      CHECK(i % 2 == 1);
    }
  }
  CHECK_EQ(left, 400);
  CHECK_EQ(open_fds(), before);
}

static void dropped_where_nothing_waits() {
  const long before = open_fds();
  {
    gomax::pin here;
    connected();
  }
  {
    gomax::syscall_bracket here;
    connected();
  }
  {
    gomax::stopped_world here;
    connected();
  }
  spin_until(open_fds() == before);
}

static void streams() {
  const auto listener = gomax::listener::tcp("127.0.0.1", "0", [] {
    gomax::listen_options o;
    o.patient = true;
    o.backlog = 4;
    return o;
  }());
  const auto client = dial_to(listener);
  gomax::address from;
  const auto server = listener.accept(&from);
  CHECK(from == client.local() && server.peer() == from && client.peer() == listener.local());
  char head[2], body[8] = {};
  client.writev({"ab", "cdef"});
  CHECK(server.wait(GMX_POLL_IN) & GMX_POLL_IN);
  CHECK_EQ(server.readv({head, body}), 6);
  CHECK(std::memcmp(head, "ab", 2) == 0);
  CHECK_STR(body, "cdef");
  std::vector<gomax::bytes> parts(1500, "x");  // more than the system takes at a time
  client.writev(parts);
  std::string all(1500, ' ');
  server.read_full(all);
  CHECK(all == std::string(1500, 'x'));
  CHECK_EQ(server.send("hello"), 5);
  CHECK_EQ(client.recv(body, MSG_PEEK), 5);
  CHECK_EQ(client.recv_for(body, 1h).value(), 5);

  client.write("xyz");
  client.shutdown(SHUT_WR);
  std::size_t done = 0;
  CHECK_THROWS(GMX_EPIPE, server.read_full(body, &done));
  CHECK_EQ(done, 3);
  CHECK_EQ(server.read(body), 0);
  client.close();
  CHECK_THROWS(GMX_EPIPE, for (;;) server.write(all));  // and no SIGPIPE

  CHECK_THROWS(-ECONNREFUSED, {
    const auto port = std::to_string(listener.local().port());
    listener.close();
    gomax::dial("tcp", "127.0.0.1", port);
  });
  CHECK_THROWS(GMX_EINVAL, gomax::dial("carrier pigeon", "here"));
}

static void sockets_of_the_host() {
  const auto listener = gomax::listener::unix_domain("@gomax-host-" + std::to_string(getpid()));
  const gomax::conn mine(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  mine.connect(listener.local());
  const auto theirs = listener.accept_for(10s).value();
  CHECK(mine.peer() == listener.local());
  const auto dialed = gomax::dial_for("unix", listener.local().host(), nullptr, 10s).value();
  CHECK(listener.accept_until(gomax::clock::now() + 10s).has_value());
  // descriptors go through
  std::vector<int> fds(2);
  char some[8];
  CHECK_EQ(mine.send_fds({dialed.fd()}, "fd"), 2);
  CHECK_EQ(theirs.recv_fds(fds, some), 2);
  CHECK_EQ(fds.size(), 1);
  const gomax::conn copied(fds[0]);
  CHECK(copied.peer() == listener.local());
  fds.resize(1);
  CHECK_EQ(mine.send_fds({mine.fd(), dialed.fd()}, "x"), 1);
  CHECK_THROWS(GMX_EMSGSIZE, theirs.recv_fds(fds, some));
  CHECK_EQ(fds.size(), 0);
  CHECK_THROWS(-ENOENT, gomax::listener::inherit());
}

static void datagrams() {
  const gomax::udp a("127.0.0.1", "0"), b("127.0.0.1", "0");
  char some[4] = {};
  gomax::address from;
  CHECK(!b.recv_from_for(some, 0s));
  CHECK_EQ(a.send_to("one", b.local()), 3);
  CHECK_EQ(b.recv_from(some, &from), 3);
  CHECK(from == a.local());
  CHECK_EQ(b.send_to_for("longer", from, 1h).value(), 6);
  CHECK_EQ(a.recv_from_until(some, gomax::clock::now() + 1h, nullptr, MSG_TRUNC).value(), 6);
  CHECK_EQ(a.send_to({}, b.local()), 0);  // a message as well
  CHECK_EQ(b.recv_from_for(some, 1h).value(), 0);
  const auto c = gomax::dial("udp", "127.0.0.1", std::to_string(b.local().port()));
  c.send("hi");
  CHECK_EQ(b.recv_from(some, &from), 2);
  CHECK(from == c.local());
  auto reader = gomax::go([&] { CHECK_THROWS(GMX_EBADF, b.recv_from(some)); });
  until_io_waits(1);
  b.close();
  reader.join();
}

static void without_an_object() {
  int fd[2];
  CHECK(pipe2(fd, O_CLOEXEC) == 0);
  CHECK(!gomax::wait_fd_for(fd[0], GMX_POLL_IN, 1ms));
  pollfd fds[2] = {{fd[0], POLLIN, 0}, {fd[1], POLLOUT, 0}};
  CHECK_EQ(gomax::poll_many(fds), 1);
  CHECK(fds[1].revents == POLLOUT && fds[0].revents == 0);
  std::vector<pollfd> one{fds[0]};
  CHECK_EQ(gomax::poll_many_for(one, 1ms), 0);
  auto reader = gomax::go([&] { CHECK(gomax::wait_fd(fd[0], GMX_POLL_IN) & GMX_POLL_IN); });
  until_io_waits(1);
  CHECK_EQ(write(fd[1], "x", 1), 1);
  reader.join();
  CHECK_EQ(gomax::poll_many_until(one, gomax::clock::now()), 1);
  CHECK(gomax::wait_fd_until(fd[0], GMX_POLL_IN, gomax::clock::now()).has_value());
  CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
  CHECK_THROWS(GMX_EBADF, gomax::wait_fd(-1, GMX_POLL_IN));
}

// A thread of the host may call all of it too.
static void on_a_thread() {
  const two ab = connected();
  auto &a = ab.a, &b = ab.b;
  auto echo = gomax::go([&] {
    char some[8];
    b.write(gomax::bytes(some, b.read(some)));
  });
  char back[4];
  a.write("back");
  a.read_full(back);
  CHECK(std::memcmp(back, "back", 4) == 0);
  echo.join();
  CHECK(!a.read_for(back, 1ms));
}

int main() {
  rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK_CMP(limit.rlim_cur, >=, 4000);
  gomax::config c;
  c.procs = 1;
  gomax::init(c);
  RUN_G(views);
  RUN_G(addresses);  // (the library's own descriptors are there from here on)
  RUN_G(without_an_object);
  RUN_G(echoes);
  RUN_G(close_ends_what_waits);
  RUN_G(times);
  RUN_G(tokens);
  RUN_G(moves);
  RUN_G(exceptions);
  RUN_G(dropped_where_nothing_waits);
  RUN_G(streams);
  RUN_G(sockets_of_the_host);
  RUN_G(datagrams);
  RUN(on_a_thread);
  RUN(ends_clean);
}
