/* timeout: 120 */
/*
 * An exception that would leave a function of the host ends in std::terminate at the throw, whichever function of the
 * library has called it, and even if a handler stands further up on the same stack, behind the library's frames.
 * Otherwise the exception would leave the library in the middle of its work. Also other ways to leave a function
 * without a return (pthread_exit).
 *
 * tests/calls.rs checks that this program calls each function of gomax.h that takes a callback.
 */
#include "child.h"
#include "gs.h"

#include <exception>
#include <pthread.h>
#include <stdexcept>
#include <unwind.h>

namespace {

bool started;

__attribute__((__noinline__)) void throws(void *arg) {
  store(&started, true);
  if (arg == nullptr) throw std::runtime_error("the message");
  try {
    throw std::runtime_error("the message");
  } catch (const std::exception &) {
    throw; /* __cxa_rethrow has a way of its own into the unwinder */
  }
}

gmx_status throws_status(void *arg) { return throws(arg), GMX_OK; }
bool throws_commit(void *arg, gmx_g) { return throws(arg), true; }
void throws_info(void *arg, const gmx_g_info *) { throws(arg); }
void throws_report(void *, const char *, size_t) { throws(nullptr); }
void nothing(void *) {}

/* ---- the view of the handler of std::terminate ---- */

_Unwind_Reason_Code looks_for_thrower(_Unwind_Context *context, void *found) {
  void *ip = reinterpret_cast<void *>(_Unwind_GetIP(context) - 1);
  if (_Unwind_FindEnclosingFunction(ip) == reinterpret_cast<void *>(throws)) *static_cast<bool *>(found) = true;
  return _URC_NO_REASON;
}

[[noreturn]] void terminated() {
  bool thrower = false;
  _Unwind_Backtrace(looks_for_thrower, &thrower);
  const char *what = "none";
  std::exception_ptr current = std::current_exception();
  try {
    if (current) std::rethrow_exception(current);
  } catch (const std::runtime_error &e) {
    what = e.what();
  }
  check_say("terminated at the throw: %d, with: %s", thrower, what);
  _exit(42);
}

/* ---- the calls, each where its caller stands in a try block ---- */

template <typename F> void caught(F call) {
  try {
    call();
  } catch (...) {
    check_say("caught outside of the library");
    _exit(43);
  }
}

/* As the main G, in a child. */
void on_main(void (*fn)(void *), void *arg) { CHECK_OK(gmx_main(fn, arg)); }

void in_main(void *arg) { on_main(throws, arg); }

void in_spawn(void *arg) {
  CHECK_OK(gmx_spawn(throws, arg));
  CHECK_OK(gmx_sleep(INT64_C(10000000000)));
}

void in_spawn_child_first(void *arg) {
  on_main([](void *arg) {
    gmx_spawn_opts opts;
    memset(&opts, 0, sizeof opts);
    opts.struct_size = sizeof opts;
    opts.flags = GMX_SPAWN_CHILD_FIRST;
    CHECK_OK(gmx_spawn_with(&opts, throws, arg, nullptr));
    CHECK_OK(gmx_sleep(INT64_C(10000000000)));
  }, arg);
}

/* On the copy of its argument. */
void in_spawn_copy(void *arg) {
  CHECK_OK(gmx_spawn_copy([](void *copy) { throws(*static_cast<void **>(copy)); }, &arg, sizeof arg));
  CHECK_OK(gmx_sleep(INT64_C(10000000000)));
}

void calls_cleanup(void *arg) {
  gmx_cleanup c;
  CHECK_OK(gmx_cleanup_push(&c, throws, arg));
  caught([&] { gmx_cleanup_pop(&c, true); });
}
void in_cleanup(void *arg) { on_main(calls_cleanup, arg); }
void in_cleanup_at_the_end(void *arg) {
  on_main([](void *arg) {
    gmx_cleanup c;
    CHECK_OK(gmx_cleanup_push(&c, throws, arg));
    caught([] { gmx_goexit(); });
  }, arg);
}

void in_thread_start(void *arg) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.on_thread_start = throws;
  config.on_arg = arg;
  caught([&] { CHECK_OK(gmx_init(&config)); });
  on_main([](void *) {}, nullptr);
}
void in_on_preempt(void *arg) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.on_preempt = [](void *on_arg, gmx_g) { throws(on_arg); };
  config.on_arg = arg;
  CHECK_OK(gmx_init(&config));
  static int spins;
  CHECK_OK(gmx_spawn([](void *) {
    store(&spins, 1);
    for (;;) CHECK_OK(gmx_safepoint_slow());
  }, nullptr));
  while (!load(&spins)) sched_yield();
  for (;;) {
    caught([] { CHECK_OK(gmx_stop_the_world("test")); });
    CHECK_OK(gmx_start_the_world());
  }
}

void calls_blocking_in(void *arg) {
  gmx_class one;
  CHECK_OK(gmx_class_new(1, nullptr, &one));
  caught([=] { CHECK_OK(gmx_blocking_in(one, throws, arg, INT64_MAX)); });
}
void in_blocking_in(void *arg) { on_main(calls_blocking_in, arg); }

void in_waitgroup_go(void *arg) {
  static gmx_waitgroup wg;
  CHECK_OK(gmx_waitgroup_go(&wg, throws, arg));
  CHECK_OK(gmx_sleep(INT64_C(10000000000)));
}

void calls_blocking(void *arg) { caught([=] { gmx_blocking(throws, arg); }); }
void in_blocking(void *arg) { on_main(calls_blocking, arg); }
void calls_callback(void *arg) { caught([=] { CHECK_OK(gmx_callback(throws, arg)); }); }
void in_callback(void *arg) { on_main(calls_callback, arg); }

void in_callback_in_syscall(void *arg) {
  on_main([](void *arg) {
    CHECK_OK(gmx_enter_syscall());
    calls_callback(arg);
  }, arg);
}

void in_callback_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  calls_callback(arg);
}

gmx_once once;
void calls_once(void *arg) { caught([=] { gmx_once_do(&once, throws, arg); }); }
void in_once(void *arg) { on_main(calls_once, arg); }
void calls_once_timeout(void *arg) { caught([=] { CHECK_OK(gmx_once_do_timeout(&once, throws, arg, 1000000)); }); }
void in_once_timeout(void *arg) { on_main(calls_once_timeout, arg); }

void calls_host_run(void *arg) {
  CHECK_OK(gmx_post(throws, arg));
  caught([] { CHECK_EQ(gmx_host_run(0), 1); });
}
void in_host_run(void *arg) { on_main(calls_host_run, arg); }

void calls_for_each_p(void *arg) { caught([=] { CHECK_OK(gmx_for_each_p(throws, arg)); }); }
void in_for_each_p(void *arg) { on_main(calls_for_each_p, arg); }

/* A P that runs a G: there the function is called at the G's safe point. */
void in_for_each_p_at_a_safe_point(void *arg) {
  static int spins;
  on_main([](void *arg) {
    CHECK_OK(gmx_spawn([](void *) {
      store(&spins, 1);
      for (;;) caught([] { gmx_safepoint(); });
    }, nullptr));
    while (!load(&spins)) CHECK_OK(gmx_yield());
    CHECK_OK(gmx_for_each_p([](void *arg) {
      if (gmx_goid() == 0) throws(arg);
    }, arg));
  }, arg);
}

void calls_for_each_g(void *arg) {
  CHECK_OK(gmx_stop_the_world("test"));
  caught([=] { gmx_for_each_g(throws_info, arg); });
}
void in_for_each_g(void *arg) { on_main(calls_for_each_g, arg); }

gmx_status throws_text(void *arg, const char *, size_t) { return throws(arg), GMX_OK; }
void calls_metrics_text(void *arg) { caught([=] { CHECK_OK(gmx_metrics_text(throws_text, arg)); }); }
void in_metrics_text(void *arg) { on_main(calls_metrics_text, arg); }
void calls_dump(void *arg) { caught([=] { CHECK_OK(gmx_dump_goroutines(throws_text, arg, 0)); }); }
void in_dump(void *arg) { on_main(calls_dump, arg); }

/* A coroutine's function is the last frame of its stack, as that of any goroutine. */
void calls_coro(void *arg) {
  gmx_coro co;
  CHECK_OK(gmx_coro_new(throws, arg, nullptr, &co));
  caught([=] { CHECK_OK(gmx_coro_switch(co)); });
}
void in_coro(void *arg) { on_main(calls_coro, arg); }

void throws_range(void *arg, int64_t, int64_t) { throws(arg); }
void calls_parallel_for(void *arg) { caught([=] { CHECK_OK(gmx_parallel_for(100, 1, throws_range, arg)); }); }
void in_parallel_for(void *arg) { on_main(calls_parallel_for, arg); }

void throws_drop(void *arg, void *) { throws(arg); }
void calls_chan_close_drop(void *arg) {
  gmx_chan *c;
  CHECK_OK(gmx_chan_new(0, 1, &c));
  CHECK_OK(gmx_chan_try_send(c, nullptr));
  caught([=] { CHECK_OK(gmx_chan_close_drop(c, throws_drop, arg)); });
}
void in_chan_close_drop(void *arg) { on_main(calls_chan_close_drop, arg); }

void calls_park(void *arg) { caught([=] { CHECK_OK(gmx_park(throws_commit, arg, "test")); }); }
void calls_park_timeout(void *arg) { caught([=] { CHECK_OK(gmx_park_timeout(throws_commit, arg, "test", 1000000000)); }); }
void in_park_timeout(void *arg) { on_main(calls_park_timeout, arg); }
void in_park(void *arg) { on_main(calls_park, arg); }

void in_after_func(void *arg) {
  CHECK_OK(gmx_after_func(1000, throws, arg, nullptr));
  CHECK_OK(gmx_sleep(INT64_C(10000000000)));
}

void in_cancel_after(void *arg) {
  gmx_cancel token;
  CHECK_OK(gmx_cancel_new(0, 1000, &token));
  CHECK_OK(gmx_cancel_after(token, throws, arg, nullptr));
  CHECK_OK(gmx_sleep(INT64_C(10000000000)));
}

void in_key_destructor(void *) {
  on_main([](void *) {
    gmx_key key;
    CHECK_OK(gmx_key_create([](void *) { throws(nullptr); }, &key));
    CHECK_OK(gmx_key_set(key, &once));
  }, nullptr);
}

void in_key_destructor_of_a_thread(void *) {
  gmx_key key;
  CHECK_OK(gmx_key_create([](void *) { throws(nullptr); }, &key));
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_key_set(key, &once));
  caught([] { gmx_detach_thread(); });
}

void in_scope(void *arg) {
  on_main([](void *arg) {
    gmx_scope scope;
    CHECK_OK(gmx_scope_new(0, &scope));
    CHECK_OK(gmx_scope_spawn(scope, throws_status, arg));
    caught([=] { CHECK_OK(gmx_scope_leave(scope, GMX_FOREVER, nullptr)); });
  }, arg);
}

[[maybe_unused]] void in_report(void *) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = throws_report;
  CHECK_OK(gmx_init(&config));
  caught([] {
    CHECK_OK(gmx_main([](void *) {
      uint32_t never = 0;
      CHECK_OK(gmx_sema_acquire(&never));
    }, nullptr));
  });
}

/* Once on a plain foreign thread, if the call allows that. */
#define CALL(name) {#name, name}
struct place {
  const char *name;
  void (*fn)(void *);
} const places[] = {
    CALL(in_main), CALL(in_spawn), CALL(in_spawn_child_first), CALL(in_spawn_copy), CALL(in_waitgroup_go), CALL(in_cleanup),
    CALL(in_cleanup_at_the_end), CALL(in_thread_start), CALL(in_blocking_in), CALL(in_on_preempt), CALL(in_blocking), CALL(calls_blocking), CALL(in_callback),
    CALL(calls_callback), CALL(in_callback_in_syscall), CALL(in_callback_attached), CALL(in_once), CALL(calls_once),
    CALL(in_once_timeout), CALL(calls_once_timeout), CALL(in_host_run), CALL(calls_host_run), CALL(in_for_each_p), CALL(calls_for_each_p),
    CALL(in_for_each_p_at_a_safe_point), CALL(in_for_each_g), CALL(in_metrics_text), CALL(calls_metrics_text), CALL(in_coro), CALL(calls_coro), CALL(in_parallel_for), CALL(calls_parallel_for),
    CALL(in_dump), CALL(calls_dump),
    CALL(in_chan_close_drop), CALL(calls_chan_close_drop), CALL(in_park), CALL(calls_park), CALL(in_park_timeout), CALL(calls_park_timeout),
    CALL(in_after_func), CALL(in_cancel_after), CALL(in_key_destructor), CALL(in_key_destructor_of_a_thread), CALL(in_scope),
#ifndef __SANITIZE_THREAD__ /* ThreadSanitizer has a thread of its own, which might call in: no deadlock is reported */
    CALL(in_report),
#endif
};

struct run {
  const place *where;
  bool again;
};

void in_child(void *arg) {
  const run *r = static_cast<run *>(arg);
  std::set_terminate(terminated);
  r->where->fn(r->again ? arg : nullptr);
  check_say(load(&started) ? "the function threw, and all went on" : "the function was not called");
}

child c;

void no_exception_passes() {
  for (const place &p : places) {
    for (int again = 0; again < 2; again++) {
      run r{&p, again != 0};
      child_run(&c, 60, in_child, &r);
      if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 42 && strstr(c.text, "at the throw: 1, with: the message")) continue;
      CHILD_FAIL(&c, "%s%s: not ended by std::terminate at the throw", p.name, again ? ", thrown again" : "");
    }
  }
}

/* ---- exceptions that stay within ---- */

void throws_and_catches(void *arg) {
  try {
    throws(arg);
  } catch (const std::runtime_error &e) {
    CHECK_STR(e.what(), "the message");
  }
}

void what_is_caught_within_stays_within() {
  on_g([](void *arg) {
    gmx_once mine = {0, 0, 0};
    CHECK_OK(gmx_callback(throws_and_catches, arg));
    CHECK_OK(gmx_blocking(throws_and_catches, arg));
    CHECK_OK(gmx_once_do(&mine, throws_and_catches, arg));
    CHECK_OK(gmx_for_each_p(throws_and_catches, arg));
  }, nullptr);
  CHECK_OK(gmx_callback(throws_and_catches, &c));
}

/* ---- forced unwinds ---- */

struct on_unwind {
  int *seen;
  ~on_unwind() { bump(seen); }
};

void exits_thread(void *arg) {
  on_unwind here{static_cast<int *>(arg)};
  pthread_exit(arg);
}

/* A foreign thread ends in a callback: cleanups run, and the library closes the brackets that the thread left open. */
void a_thread_may_end_in_a_callback() {
  int seen = 0;
  for (int i = 0; i < 20; i++) {
    pthread_t t;
    CHECK_EQ(pthread_create(&t, nullptr, [](void *arg) -> void * {
      on_unwind outside{static_cast<int *>(arg)};
      gmx_status status = gmx_callback(exits_thread, arg);
      FAIL("came back with %s", gmx_err_name(status));
    }, &seen), 0);
    CHECK_EQ(pthread_join(t, nullptr), 0);
  }
  CHECK_EQ(load(&seen), 40);
  CHECK_OK(gmx_for_each_p(nothing, nullptr));
}

void a_g_may_not_end_its_thread() {
#ifdef __SANITIZE_THREAD__
  check_say("left out: ThreadSanitizer itself ends a process that calls pthread_exit on a stack that is not the thread's");
  return;
#endif
  int seen = 0;
  child_run(&c, 60, [](void *arg) { on_main(exits_thread, arg); }, &seen);
  if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != SIGABRT) CHILD_FAIL(&c, "it should have died by SIGABRT");
  CHILD_SAID(&c, "pthread_exit");
}

}  // namespace

int main() {
  RUN(no_exception_passes);
  RUN(a_g_may_not_end_its_thread);
  RUN(what_is_caught_within_stays_within);
  RUN(a_thread_may_end_in_a_callback);
  RUN(ends_clean);
  return 0;
}
