// What must not compile, since what it makes would dangle or be lost: ci/cpp.sh builds this file once with each name
// below defined, and looks for the message behind it. With none defined it compiles.
#include <gomax.hpp>
#include <gomax_os.hpp>

using namespace std::chrono_literals;

void uses(gomax::channel<int> &c, gomax::generator<int> (*makes)()) {
#if defined(TIMES_OF_A_TEMPORARY)  // deleted
  for (auto t : gomax::every(10ms).times()) static_cast<void>(t);
#elif defined(ITERATOR_OF_A_TEMPORARY)  // deleted
  auto i = gomax::after(10ms).begin();
#elif defined(ITERATOR_OF_A_TEMPORARY_GENERATOR)  // deleted
  auto i = makes().begin();
#elif defined(ITERATOR_OF_A_TEMPORARY_TIMER)  // deleted
  auto i = gomax::every(10ms).begin();
#elif defined(SELECT_OF_A_KEPT_RECEIVE)  // a select uses its cases up
  auto receive = gomax::on_receive(c);
  gomax::select(receive);
#elif defined(SELECT_OF_A_KEPT_SEND)  // a select uses its cases up
  auto send = gomax::on_send(c, 1);
  gomax::select(send, gomax::otherwise());
#elif defined(LIST_OF_A_KEPT_CASE)  // a list takes its cases over
  auto receive = gomax::on_receive(c);
  gomax::select_list list;
  list.add(receive);
#elif defined(COPY_OF_A_CASE)  // deleted
  auto send = gomax::on_send(c, 1);
  auto twice = send;
#elif defined(REFERENCE_TO_WHAT_A_TEMPORARY_HELD)  // cannot bind|cannot be bound|bind to a temporary
  int &v = *c.receive();
#elif defined(VALUE_OF_A_TEMPORARY_PIN)  // deleted
  static gomax::p_local<int> counts;
  counts.of(gomax::pin())++;
#elif defined(TWO_TIMES)  // only one on_timeout or otherwise
  gomax::select(gomax::on_receive(c), gomax::on_timeout(1s), gomax::otherwise());
#elif defined(GO_WITH_THE_WRONG_ARGUMENTS)  // no matching function
  gomax::go([](int) {});
#elif defined(SCOPE_THAT_IS_COPIED)  // deleted
  gomax::scope a;
  gomax::scope b = a;
#elif defined(CONNECTION_THAT_IS_COPIED)  // deleted
  gomax::conn a;
  gomax::conn b = a;
#elif defined(ROOM_THAT_IS_WRITTEN_AS_TEXT)  // deleted
  char room[8];
  gomax::conn().write(room);
#elif defined(ITERATOR_OF_A_TEMPORARY_LISTENER)  // deleted
  auto i = gomax::listener::tcp(nullptr, "80").begin();
#elif defined(SIGNALS_OF_A_TEMPORARY)  // deleted
  gomax::select(gomax::on_receive(gomax::signals({2})));
#endif
  // beside these: what looks like it, and is good
  for (auto t : gomax::every(10ms)) static_cast<void>(t);
  for (int v : makes()) static_cast<void>(v);
  for (auto t : gomax::after(10ms)) static_cast<void>(t);
  auto kept = gomax::on_receive(gomax::after(10ms));
  gomax::select(std::move(kept), gomax::on_receive(gomax::every(1s)));
  const int &extended = *c.receive();
  static_cast<void>(extended);
  char room[8];
  gomax::conn().write({room, gomax::conn().read(room)});
  gomax::conn().writev({"a literal", std::string("a string"), {room, 2}});
}
