/* The threads of the library end in gmx_shutdown, and run the destructors that the host left there, of C++ thread_local
 * objects and of POSIX keys. These call the library, and wait for other threads that do. No call hangs, and calls that
 * need no runtime work. */
#include <atomic> /* first: shared.h has a word load */

#include "child.h"
#include "gs.h"
#include "objects.h"
#undef load
#undef store
#undef bump

static const int64_t SECONDS = INT64_C(1000000000);

/* ---- the calls of a destructor ---- */

struct things {
  gmx_chan *chan = nullptr;
  gmx_timer timer = 0;
  gmx_cancel token = 0;
  gmx_mutex mutex = {};
  uint32_t sema = 0;
  gmx_waitgroup group = {};
};

static void makes(things &t) {
  CHECK_OK(gmx_chan_new(8, 1, &t.chan));
  CHECK_OK(gmx_after_func(3600 * SECONDS, nothing, nullptr, &t.timer));
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &t.token));
  CHECK_OK(gmx_waitgroup_add(&t.group, 1));
}

/* These calls need no runtime. */
static void ends_things(things &t) {
  uint64_t v = 7;
  CHECK_OK(gmx_chan_try_send(t.chan, &v));
  CHECK_STATUS(gmx_chan_try_send(t.chan, &v), GMX_EAGAIN);
  v = 0;
  CHECK_OK(gmx_chan_try_recv(t.chan, &v));
  CHECK_EQ(v, 7);
  CHECK_OK(gmx_chan_close(t.chan));
  CHECK_OK(gmx_chan_free(t.chan));
  CHECK(timer_stop(t.timer) >= 0);
  CHECK_OK(timer_free(t.timer));
  CHECK_OK(gmx_cancel_now(t.token));
  CHECK_OK(gmx_cancel_free(t.token));
  CHECK_OK(gmx_mutex_try_lock(&t.mutex));
  CHECK_OK(gmx_mutex_unlock(&t.mutex));
  CHECK_OK(gmx_sema_release(&t.sema));
  CHECK_OK(gmx_sema_try_acquire(&t.sema));
  CHECK_OK(gmx_waitgroup_done(&t.group));
}

static void is_refused() {
  gmx_chan *c = nullptr;
  gmx_timer timer = 0;
  uint32_t sema = 0;
  CHECK_STATUS(gmx_spawn(nothing, nullptr), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_main(nothing, nullptr), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_callback(nothing, nullptr), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_attach_thread(), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_init(nullptr), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_chan_new(8, 1, &c), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_after_func(SECONDS, nothing, nullptr, &timer), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_sema_acquire(&sema), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_gomaxprocs(3), GMX_ESHUTDOWN);
  CHECK_STATUS(gmx_stop_the_world("test"), GMX_ESHUTDOWN);
}

static void *another_thread(void *) {
  is_refused();
  return nullptr;
}

static std::atomic<int> destroyed{0}, keyed{0};

static void calls_the_library(things &t) {
  ends_things(t);
  is_refused();
  CHECK_STATUS(gmx_shutdown(GMX_FOREVER), GMX_ESHUTDOWN); /* it would wait for itself */
  CHECK_STATUS(gmx_shutdown(0), GMX_ESHUTDOWN);
  thread_join(thread_start(another_thread, nullptr));
}

struct cache {
  things *t = nullptr;
  ~cache() {
    if (!t) return;
    calls_the_library(*t);
    delete t;
    destroyed++;
  }
};
static thread_local cache mine;

static pthread_key_t key;
static void key_destructor(void *p) {
  things *t = static_cast<things *>(p);
  calls_the_library(*t);
  delete t;
  keyed++;
}

/* ---- Gs that leave things on several workers ---- */

static std::atomic<int> there{0};

/* Never inlined: the compiler would keep the address of the thread_local over a switch, and so use another thread's. */
__attribute__((__noinline__)) static void leaves_things() {
  if (mine.t) return;
  mine.t = new things;
  makes(*mine.t);
  things *t = new things;
  makes(*t);
  CHECK(pthread_setspecific(key, t) == 0);
}

static void on_a_worker(void *) {
  leaves_things();
  /* Each keeps its thread until all have one. */
  CHECK_OK(gmx_enter_syscall_blocking());
  there++;
  while (there.load() % 4 != 0) usleep(100);
  CHECK_OK(gmx_exit_syscall());
}

static void on_four_workers(void *) {
  gmx_g all[4];
  for (auto &g : all) g = go_joinable(on_a_worker, nullptr);
  for (auto g : all) join(g);
}

static void destructors_call_the_library(void *) {
  for (int round = 1; round <= 5; round++) {
    destroyed = keyed = 0;
    CHECK_OK(gmx_main(on_four_workers, nullptr));
    CHECK_OK(gmx_shutdown(30 * SECONDS));
    CHECK_CMP(destroyed.load(), >=, 4);
    CHECK_EQ(keyed.load(), destroyed.load());
    await_threads(1);
  }
}

/* ---- a slow destructor ---- */

static std::atomic<bool> may_end{false}, began{false};

struct slow {
  bool used = false;
  ~slow() {
    if (!used) return;
    began = true;
    while (!may_end) usleep(100);
  }
};
static thread_local slow late;
__attribute__((__noinline__)) static void uses_slow(void *) { late.used = true; }

/* On a busy machine it may take more than one call until there is no G any more. */
static void ends_without_its_threads() {
  do CHECK_STATUS(gmx_shutdown(10000000), GMX_ETIMEDOUT);
  while (!began);
}

static void an_end_that_takes_long(void *) {
  /* Ended by another call of gmx_shutdown. */
  CHECK_OK(gmx_main(uses_slow, nullptr));
  ends_without_its_threads();
  is_refused();
  CHECK_STATUS(gmx_shutdown(0), GMX_ETIMEDOUT);
  may_end = true;
  CHECK_OK(gmx_shutdown(30 * SECONDS));
  await_threads(1);
  CHECK_OK(gmx_shutdown(0));
  /* Or by the next call that needs a runtime. */
  may_end = began = false;
  CHECK_OK(gmx_main(uses_slow, nullptr));
  ends_without_its_threads();
  CHECK_STATUS(gmx_spawn(nothing, nullptr), GMX_ESHUTDOWN);
  may_end = true;
  spin_until(gmx_spawn(nothing, nullptr) == GMX_OK);
  CHECK_OK(gmx_shutdown(30 * SECONDS));
  await_threads(1);
}

static void *shuts_down(void *status) {
  *static_cast<gmx_status *>(status) = gmx_shutdown(30 * SECONDS);
  return nullptr;
}

/* Several calls of gmx_shutdown, any of which may join the threads: all return, and no thread is left when the first
 * returns. */
static void several_end_it(void *) {
  for (int round = 0; round < 50; round++) {
    may_end = round % 2;
    CHECK_OK(gmx_main(uses_slow, nullptr));
    gmx_status status[4] = {1, 1, 1, 1};
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = thread_start(shuts_down, &status[i]);
    if (!may_end) {
      spin_until(began.load());
      may_end = true;
    }
    for (int i = 0; i < 4; i++) {
      thread_join(t[i]);
      CHECK_OK(status[i]);
    }
    began = false;
    await_threads(1);
  }
}

/* ---- calls that need no runtime start none ---- */

static void ends_known(things &t) {
  ends_things(t);
  await_threads(1);
}

static void no_runtime_is_started(void *) {
  uint32_t sema = 0;
  gmx_mutex mutex = {};
  gmx_rwmutex rw = {};
  gmx_waitgroup group = {};
  gmx_cond cond = {};
  CHECK_OK(gmx_sema_release(&sema));
  CHECK_OK(gmx_sema_try_acquire(&sema));
  CHECK_OK(gmx_mutex_try_lock(&mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_OK(gmx_rwmutex_try_lock(&rw));
  CHECK_OK(gmx_rwmutex_unlock(&rw));
  CHECK_OK(gmx_waitgroup_add(&group, 1));
  CHECK_OK(gmx_waitgroup_done(&group));
  CHECK_OK(gmx_cond_signal(&cond));
  CHECK_OK(gmx_cond_broadcast(&cond));
  await_threads(1);
  gmx_config config; /* and it can still be configured */
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 3;
  CHECK_OK(gmx_init(&config));
  CHECK_EQ(gmx_gomaxprocs(0), 3);
  things t;
  makes(t);
  CHECK_OK(gmx_shutdown(30 * SECONDS));
  ends_known(t);
}

static void calls() { RUN_CHILD(60, destructors_call_the_library, nullptr); }
static void takes_long() { RUN_CHILD(60, an_end_that_takes_long, nullptr); }
static void several() { RUN_CHILD(60, several_end_it, nullptr); }
static void without() { RUN_CHILD(60, no_runtime_is_started, nullptr); }

int main() {
  CHECK(pthread_key_create(&key, key_destructor) == 0);
  RUN(without);
  RUN(calls);
  RUN(takes_long);
  RUN(several);
  return 0;
}
