// Files, processes, signals and the loop of the host.
#include "tests.hpp"

#include <gomax_os.hpp>

#include "usage.h"

#include <filesystem>

static long open_fds() { return count_entries("/proc/self/fd"); }

// A directory that goes with its end.
struct directory {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("gomax-os-" + std::to_string(getpid()));
  directory() { gomax::mkdir(path, 0700); }
  ~directory() { std::filesystem::remove_all(path); }
};

static void files() {
  const long before = open_fds();
  {
    const directory here;
    const gomax::file a(here.path / "a", O_RDWR | O_CREAT, 0600);
    a.write("hello ");
    a.write("world");
    a.pwritev({"H", "E"}, 0);
    a.pwrite("!", 11);
    a.sync(), a.data_sync();
    char head[2], rest[16] = {};
    CHECK_EQ(a.preadv({head, rest}, 0), 12);
    CHECK(std::memcmp(head, "HE", 2) == 0);
    CHECK_STR(rest, "llo world!");
    CHECK_EQ(a.pread(rest, 12), 0);
    CHECK_EQ(a.size(), 12);
    CHECK_EQ(a.stat().stx_mode & 0777, 0600);
    a.truncate(4);
    CHECK_EQ(gomax::stat(here.path / "a").stx_size, 4);
    gomax::file moved = gomax::file(here.path / "b", O_RDWR | O_CREAT);
    std::uint64_t done = 0;
    gomax::copy(gomax::file(here.path / "a"), moved, gomax::all_bytes, &done);
    CHECK_EQ(done, 4);
    CHECK(gomax::copy_for(gomax::file(here.path / "a"), moved, 1h, 2));
    CHECK_EQ(moved.size(), 6);
    try {
      moved.allocate(0, 4096);
      CHECK_EQ(moved.size(), 4096);
    } catch (const gomax::error &e) {
      CHECK_EQ(e.status(), GMX_ENOTSUP);  // not on every file system
    }
    gomax::rename(here.path / "b", here.path / "c");
    gomax::unlink(here.path / "c");
    CHECK_THROWS(-ENOENT, gomax::stat(here.path / "c"));
    CHECK_THROWS(-ENOENT, gomax::file(here.path / "c"));
    CHECK_THROWS(-EEXIST, gomax::mkdir(here.path));
    CHECK_THROWS(GMX_EBADF, gomax::file(here.path / "a").write("read only"));
    gomax::mkdir(here.path / "d");
    gomax::unlink(here.path / "d", AT_REMOVEDIR);

    std::array<gmx_io_op, 3> ops{};
    for (auto &op : ops) op.p = a.native(), op.buf = rest, op.n = 1;
    ops[1].op = GMX_IO_FSYNC;
    ops[2].p = 0;
    gomax::io_batch(ops);
    CHECK(ops[0].status == GMX_OK && ops[0].done == 1 && ops[1].status == GMX_OK && ops[2].status == GMX_EBADF);
    CHECK(!gomax::io_batch_for(ops, 0s));
    CHECK_EQ(ops[1].status, GMX_ETIMEDOUT);

    int fd[2];
    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    const gomax::descriptor from(fd[0]), to(fd[1]);
    gomax::copy(gomax::file(here.path / "a"), to, 3);
    CHECK_EQ(from.read(rest), 3);
    done = 9;
    CHECK(!gomax::copy_for(from, a, 2ms, gomax::all_bytes, &done));
    CHECK_EQ(done, 0);
    const gomax::file late = std::move(moved);
    const gomax::file none;
    CHECK_THROWS(GMX_EBADF, none.sync());
    CHECK_THROWS(GMX_EBADF, static_cast<void>(none.size()));
    CHECK_EQ(late.size() & 3, 0);
  }
  CHECK_EQ(open_fds(), before);
}

static void many_at_a_time() {
  const directory here;
  {
    gomax::scope all;
    for (int i = 0; i < 64; i++) {
      all.go([&, i] {
        const gomax::file f(here.path / std::to_string(i), O_RDWR | O_CREAT);
        const std::string text(static_cast<std::size_t>(i + 1), 'x');
        f.pwrite(text, 0);
        std::string back(100, ' ');
        CHECK_EQ(f.pread(back, 0), text.size());
      });
    }
  }
  CHECK_EQ(std::distance(std::filesystem::directory_iterator(here.path), {}), 64);
}

static std::string all_of(const gomax::descriptor &from) {
  std::string all;
  char some[16];
  while (const std::size_t n = from.read(some)) all.append(some, n);
  return all;
}

static void processes() {
  const long before = open_fds();
  {
    gomax::process_options o;
    o.in = o.out = gomax::stdio::pipe();
    gomax::process sort({"sort", "-n"}, o);
    CHECK_CMP(sort.pid(), >, 1);
    sort.in().write("20\n3\n100\n");
    sort.in().close();
    CHECK(all_of(sort.out()) == "3\n20\n100\n");
    CHECK(sort.wait().ok());
    CHECK_EQ(sort.wait_for(0s).value().code().value(), 0);
    CHECK_THROWS(-ESRCH, sort.kill(SIGTERM));
    CHECK(!sort.err());
    CHECK_THROWS(GMX_EBADF, sort.err().write("no pipe"));

    o = gomax::process_options();
    o.out = gomax::stdio::pipe();
    o.err = gomax::stdio::output();
    o.in = gomax::stdio::null();
    o.cwd = "/";
    o.env = std::vector<std::string>{"WORD=said", "PATH=/bin:/usr/bin"};
    o.path = "/bin/sh";
    o.group = true;
    gomax::process says({"anything", "-c", "pwd; echo $WORD >&2; cat; exit 3"}, o);
    CHECK(all_of(says.out()) == "/\nsaid\n");
    CHECK_EQ(says.wait().code().value(), 3);
    CHECK(!says.wait().signal() && !says.wait().ok());

    gomax::process sleeps({"sleep", "1000"});
    CHECK(!sleeps.wait_for(1ms));
    CHECK(!sleeps.wait_until(gomax::clock::now()));
    gomax::process moved = std::move(sleeps);
    CHECK_THROWS(GMX_ESTALE, sleeps.wait());
    auto waits = gomax::go([&] { return moved.wait().signal().value(); });
    gomax::cancel_source source;
    source.cancel();
    {
      gomax::under heed(source);
      CHECK_THROWS_A(gomax::canceled, GMX_ECANCELED, moved.wait());
    }
    moved.kill(SIGKILL);
    CHECK_EQ(moved.wait().signal().value(), SIGKILL);
    CHECK_EQ(waits.join(), SIGKILL);
    const int number = gomax::process({"true"}).pid();  // dropped while it runs
    CHECK_CMP(number, >, 1);

    CHECK_THROWS(-ENOENT, gomax::process({"no such program"}));
    CHECK_THROWS(GMX_EINVAL, gomax::process(std::vector<std::string>()));
    o = gomax::process_options();
    o.out = gomax::stdio::to(moved.pidfd());  // anything that is open
    CHECK(gomax::process({"true"}, o).wait().ok());
    gomax::pin nothing_waits_here;
    moved = std::move(says);
  }
  spin_until(open_fds() == before);
}

static void told_by_signals() {
  gomax::signals usr({SIGUSR1, SIGUSR2});
  CHECK(kill(getpid(), SIGUSR1) == 0);
  CHECK_EQ(usr.wait().signo, SIGUSR1);
  auto sender = gomax::go([] { CHECK(kill(getpid(), SIGUSR2) == 0); });
  int got = 0;
  gomax::select(gomax::on_receive(usr, [&](gomax::result<gmx_siginfo> s) { got = s->signo; }), gomax::on_timeout(100s));
  CHECK_EQ(got, SIGUSR2);
  sender.join();
  gomax::channel<gmx_siginfo> narrow(1);
  {
    const gomax::signals also(narrow, {SIGUSR1});
    CHECK(kill(getpid(), SIGUSR1) == 0);
    for (auto &s : usr) {
      CHECK_EQ(s.pid, getpid());
      break;
    }
  }
  CHECK_EQ(narrow.receive().value().signo, SIGUSR1);
  CHECK_EQ(narrow.size(), 0);
  CHECK_THROWS(GMX_EINVAL, gomax::signals({SIGKILL}));
}

static void the_loop_of_the_host() {
  const int fd = gomax::host_fd();
  int sum = 0;  // only this thread uses it
  gomax::scope all;
  for (int i = 1; i <= 10; i++) {
    all.go([&, i] {
      auto number = std::make_unique<int>(i);
      gomax::post([&sum, number = std::move(number)] { sum += *number; });
    });
  }
  for (int n = 0; n < 10;) {
    CHECK(gomax::wait_fd(fd, GMX_POLL_IN) & GMX_POLL_IN);
    n += gomax::host_run(1);
  }
  CHECK_EQ(sum, 55);
  CHECK_EQ(gomax::host_run(), 0);
}

int main() {
  gomax::config c;
  c.procs = 2;
  gomax::init(c);
  gomax::run([] { gomax::wait_fd_for(0, GMX_POLL_IN, 0s); });
  RUN_G(the_loop_of_the_host);  // makes the descriptors that the library keeps
  RUN_G(told_by_signals);
  RUN_G(files);
  RUN(many_at_a_time);
  RUN_G(processes);
  RUN(ends_clean);
}
