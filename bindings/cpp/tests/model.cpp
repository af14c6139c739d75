// Channels and select against a model: random calls, whose answers a queue foretells, with elements that throw at
// random. Then senders and receivers at once: each value arrives, comes back, is destroyed where it lies or broke, and
// does one of these once.
//
//     [GMX_SEED=seed] model [SECONDS]   the seed of each round is printed; it repeats the calls of the first part
#include "faults.hpp"

#include <deque>
#include <random>

// An element of each way to travel.
template <class T>
static int id(const T &v) {
  if constexpr (std::is_same_v<T, fragile>) return v.v();
  else if constexpr (std::is_same_v<T, handle>) return v.v ? *v.v : -1;
  else return v;
}

static std::mt19937_64 randomness;
static int draw(int n) { return int(randomness() % std::uint64_t(n)); }

template <class T>
class world {
 public:
  world() {
    for (std::size_t capacity : {std::size_t(0), std::size_t(1), std::size_t(3), gomax::unbounded}) places_.emplace_back(capacity);
  }
  void step() {
    place &p = places_[std::size_t(draw(int(places_.size())))];
    switch (draw(13)) {
      case 0:
      case 1:
        return send(p, [&](T &v) { return p.c.try_send(std::move(v)); });
      case 2:
        return send(p, [&](T &v) { return p.c.send_for(std::move(v), 0s); });
      case 3:
        if (p.model.size() >= p.capacity && !p.closed) return;  // it would wait
        return send(p, [&](T &v) { return p.c.send(std::move(v)), true; });
      case 4:
      case 5:
        return took(p, p.c.try_receive());
      case 6:
        return took(p, p.c.receive_for(0s));
      case 7:
        if (p.model.empty() && !p.closed) return;
        return took(p, p.c.receive());
      case 8:
        if (draw(20) == 0) {
          CHECK(p.c.close() == !p.closed);
          p.closed = true;
        }
        return;
      case 9:
        if (draw(40) == 0) {
          p.c.close_drop();
          p.closed = true;
          p.model.clear();
        }
        return;
      case 10:
        if (draw(20) == 0) p = place(p.capacity);
        return;
      default:
        return select(draw(2) == 0);
    }
  }
  void check() const {
    long in_channels = 0;
    for (const place &p : places_) {
      CHECK_EQ(p.c.size(), p.model.size());
      CHECK(p.c.is_closed() == p.closed);
      in_channels += long(p.model.size());
    }
    if constexpr (std::is_same_v<T, fragile>) CHECK_EQ(fragile::alive.load(), in_channels);
  }

 private:
  struct place {
    explicit place(std::size_t n) : capacity(n), c(n) {}
    std::size_t capacity;
    gomax::channel<T> c;
    std::deque<int> model{};
    bool closed = false;
    bool full() const { return model.size() >= capacity; }
  };
  static constexpr bool breaks = std::is_same_v<T, fragile>;

  // Some calls have a move that throws.
  template <class F>
  static bool broken(F f) {
    if constexpr (!breaks) return f(), false;
    if (draw(3) != 0) return f(), false;
    return faults::during(faults::ELEMENTS, draw(4), -1, f);
  }

  template <class F>
  void send(place &p, F by) {
    T v(++next_);
    bool sent = false, closed = false;
    const bool broke = broken([&] {
      try {
        sent = by(v);
      } catch (const gomax::closed &) {
        closed = true;
      }
    });
    if (sent) {
      CHECK(!p.closed && !p.full());
      p.model.push_back(next_);
    } else if (broke) {
      CHECK(id(v) == next_ || id(v) == -1);
    } else {
      CHECK(id(v) == next_ && closed == p.closed && (p.closed || p.full()));
    }
  }
  static void took(place &p, const gomax::result<T> &r) {
    CHECK(r.has_value() == !p.model.empty());
    if (r) {
      CHECK_EQ(id(*r), p.model.front());
      p.model.pop_front();
    } else {
      CHECK(r.is_closed() == p.closed);
    }
  }

  // Some receives, a value of its own, one that is lent, and a default: what is chosen must have been ready.
  void select(bool as_list) {
    place &a = places_[std::size_t(draw(4))], &b = places_[std::size_t(draw(4))], &to = places_[std::size_t(draw(4))], &lends = places_[std::size_t(draw(4))];
    T lent(++next_);
    const int lent_id = next_, own = ++next_;
    std::size_t chosen = 9;
    int ran = -1;
    bool closed = false;
    std::optional<gomax::result<T>> got;
    auto takes = [&](int n) {
      return [&, n](gomax::result<T> r) {
        ran = n;
        got.emplace(std::move(r));
      };
    };
    const bool broke = broken([&] {
      auto cases = [&](auto &&does) {
        return does(gomax::on_receive(a.c, takes(0)), gomax::on_receive(b.c, takes(1)), gomax::on_send(to.c, T(own), [&] { ran = 2; }),
                    gomax::on_send(lends.c, std::ref(lent), [&] { ran = 3; }), gomax::otherwise([&] { ran = 4; }));
      };
      try {
        chosen = !as_list ? cases([](auto &&...c) { return gomax::select(std::forward<decltype(c)>(c)...); })
                          : cases([](auto &&...c) {
                              gomax::select_list list;
                              (list.add(std::forward<decltype(c)>(c)), ...);
                              return list.select();
                            });
      } catch (const gomax::closed &) {
        closed = true;
      }
    });
    CHECK(broke || closed || int(chosen) == ran);
    CHECK(closed || ran != -1 || broke);
    const bool lent_sent = ran == 3;
    if (ran == 0) took(a, *got);
    if (ran == 1) took(b, *got);
    if (ran == 2) {
      CHECK(!to.closed && !to.full());
      to.model.push_back(own);
    }
    if (lent_sent) {
      CHECK(!lends.closed && !lends.full());
      lends.model.push_back(lent_id);
    }
    if (ran == 4) {
      for (place *p : {&a, &b}) CHECK(p->model.empty() && !p->closed);
      for (place *p : {&to, &lends}) CHECK(p->full() && !p->closed);
    }
    if (closed) CHECK(to.closed || lends.closed);
    if (!lent_sent) CHECK(id(lent) == lent_id || (broke && id(lent) == -1));
  }

  std::vector<place> places_;
  int next_ = 0;
};

template <class T>
static void against_the_model() {
  world<T> w;
  for (int i = 0; i < 20000; i++) {
    w.step();
    w.check();
  }
}

// One of these for each value.
enum fate : unsigned char { UNKNOWN, ARRIVED, CAME_BACK, BROKE };

static void all_at_once() {
  constexpr int SENDERS = 4, EACH = 400;
  std::vector<std::atomic<unsigned char>> fates(SENDERS * EACH + 1);
  auto has = [&](int n, fate f) { CHECK_EQ(fates[std::size_t(n)].exchange(f), UNKNOWN); };
  std::atomic<int> left{SENDERS};
  gomax::channel<fragile> a(draw(3)), b(gomax::unbounded);
  std::vector<gomax::task<void>> tasks;
  const std::uint64_t seed = randomness();
  faults::more = -1;
  faults::left = 100;
  faults::what = faults::ELEMENTS;
  for (int g = 0; g < SENDERS; g++) {
    tasks.push_back(gomax::go([&, g] {
      std::mt19937 mine{std::uint32_t(seed) + std::uint32_t(g)};
      for (int i = 1; i <= EACH; i++) {
        const int n = g * EACH + i;
        std::optional<fragile> v;
        while (!v) {
          try {
            v.emplace(n);
          } catch (const broke &) {
          }
        }
        bool sent = false;
        try {
          auto &to = mine() % 2 ? a : b;
          switch (mine() % 4) {
            case 0: sent = to.try_send(std::move(*v)); break;
            case 1: sent = to.send_for(std::move(*v), 10us); break;
            case 2: to.send(std::move(*v)), sent = true; break;
            default: gomax::select(gomax::on_send(to, std::ref(*v), [&] { sent = true; }), gomax::on_timeout(10us));
          }
        } catch (const broke &) {
          faults::left = int(mine() % 50);  // the next one
        }
        if (!sent) has(n, v->v() == n ? CAME_BACK : BROKE);
      }
      if (--left == 0) a.close(), b.close();
    }));
  }
  for (int g = 0; g < 3; g++) {
    tasks.push_back(gomax::go([&] {
      int open = 2;
      gomax::select_list both;
      for (auto *c : {&a, &b}) {
        both.add(gomax::on_receive(*c, [&](gomax::result<fragile> r) {
          if (r) has(r->v(), ARRIVED);
          else open--;
        }));
      }
      while (open > 0) {
        const int before = open;
        std::size_t which = both.select();
        if (open < before) both.set(which, gomax::on_receive(gomax::channel<fragile>(nullptr)));
      }
    }));
  }
  for (auto &t : tasks) t.join();
  faults::what = faults::NONE;
  for (int n = 1; n <= SENDERS * EACH; n++) CHECK_CMP(fates[std::size_t(n)].load(), !=, UNKNOWN);
  CHECK_EQ(fragile::alive.load(), 0);
}

int main(int, char **argv) {
  const char *given = std::getenv("GMX_SEED");
  std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::uint64_t(check_now());
  const auto end = gomax::clock::now() + std::chrono::seconds(argv[1] == nullptr ? 0 : std::atoi(argv[1]));
  do {
    alarm(120);
    check_say("GMX_SEED=%" PRIu64, seed);
    randomness.seed(seed++);
    RUN(against_the_model<int>);
    RUN(against_the_model<handle>);
    RUN(against_the_model<fragile>);
    RUN(all_at_once);
  } while (gomax::clock::now() < end);
  RUN(ends_clean);
}
