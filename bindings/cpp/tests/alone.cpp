// A user's file that calls the headers, for the warnings that a compiler gives only once the header's code is inlined.
// ci/cpp.sh builds it at every optimization level, beside a second file that includes the header too.
#include <gomax_os.hpp>

#include <shared_mutex>
#include <string>

struct handle {
  std::unique_ptr<int> a, b;
  int c;
};
template <>
struct gomax::relocatable<handle> : std::true_type {};

template <class T>
static T one() {
  return T();
}

template <class T>
static int uses() {
  using namespace std::chrono_literals;
  gomax::channel<T> c(8);
  T v = one<T>();
  c.send(one<T>());
  c.send(T{});
  int n = c.try_send(std::move(v));
  n += c.send_for(std::move(v), 1s);
  gomax::select(gomax::on_send(c, one<T>()), gomax::on_send(c, std::move(v), [] {}),
                gomax::on_receive(c, [&](gomax::result<T> r) {
                  if (r) v = *std::move(r);
                }),
                gomax::otherwise());
  if (auto r = c.receive()) v = *std::move(r);
  if (auto r = c.try_receive()) v = std::move(r).value();
  v = c.receive_for(1s).value_or(one<T>());
  gomax::select(gomax::on_receive(c), gomax::on_timeout(0ms));
  c.close();
  for (T &x : c) v = std::move(x);
  v = gomax::go([w = std::move(v)]() mutable { return std::move(w); }).join();
  v = gomax::go([] { return one<T>(); }).join_for(100s).value();
  gomax::go([] { return one<T>(); });
  v = gomax::run([] { return one<T>(); });
  v = gomax::blocking([] { return one<T>(); });
  v = gomax::async([] { return one<T>(); }).get();
  gomax::promise<T> promised;
  auto later = promised.get_future();
  promised.set_value(one<T>());
  v = later.get();
  gomax::blocking_class few(1);
  v = few.run_for(100s, [] { return one<T>(); }).value();
  if (!gomax::channel<T>(1).send_until(one<T>(), gomax::clock::now())) n = 0;
  return n;
}

// Descriptors: what it says it has read.
static std::size_t echoes() {
  using namespace std::chrono_literals;
  const auto listener = gomax::listener::unix_domain("@gomax-alone-" + std::to_string(getpid()));
  auto served = gomax::go([&] {
    auto c = listener.accept();
    std::array<char, 16> some;
    std::vector<gomax::bytes> parts{gomax::bytes(some).first(c.read(some)), "!"};
    c.writev(parts);
  });
  gomax::conn c = gomax::dial("unix", listener.local().host());
  c.write("hello");
  std::string back(6, ' ');
  std::size_t n = 0;
  if (!c.read_full_for(back, 100s, &n)) n = 0;
  served.join();
  const gomax::file none("/dev/null", O_RDWR);
  if (gomax::copy_for(c, none, 100s) && none.pread(back, 0) == 0 && back == "hello!") n++;
  gomax::process_options quiet;
  quiet.out = gomax::stdio::pipe();
  gomax::process child({"echo"}, quiet);
  n += child.out().read(back);
  return child.wait().ok() ? n : 0;
}

int other();

int main() {
  int n = uses<int>() + uses<std::string>() + uses<std::unique_ptr<int>>() + uses<std::shared_ptr<int>>() +
          uses<std::vector<int>>() + uses<handle>();
  gomax::channel<std::unique_ptr<int>> c(1);
  c.send(nullptr);
  gomax::channel<std::vector<int>> d(1);
  d.send({1, 2});
  gomax::channel<std::string> e(1);
  e.send("");
  gomax::for_each_p([](int) {});
  gomax::condition_variable_any any;
  gomax::rwmutex many;
  std::shared_lock<gomax::rwmutex> held(many);
  any.wait_for(held, std::chrono::milliseconds(1), [] { return true; });
  any.notify_all();
  const std::size_t read = echoes();
  gomax::shutdown();
  return n == 12 && read == 8 && other() >= 1 ? 0 : 1;
}
