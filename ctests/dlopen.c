/* A host may load the library late, unload it and load it again, whatever it has called in between. */
/* flags: -Wl,--as-needed */
#include "thread.h"

#include <dlfcn.h>
#include <sys/wait.h>

static void *lib;
static int (*spawn)(void (*)(void *), void *);
static int (*acquire)(uint32_t *);
static int (*release)(uint32_t *);
static int (*shut_down)(int64_t);
static int (*callback)(void (*)(void *), void *);
static int (*yield)(void);
static int (*num_procs)(int32_t);

static void *symbol(const char *name) {
  void *p = dlsym(lib, name);
  if (!p) FAIL("%s", dlerror());
  return p;
}

static void load(void) {
  lib = dlopen("libgomax.so", RTLD_NOW | RTLD_LOCAL);
  if (!lib) FAIL("%s", dlerror());
  *(void **)&spawn = symbol("gmx_spawn");
  *(void **)&acquire = symbol("gmx_sema_acquire");
  *(void **)&release = symbol("gmx_sema_release");
  *(void **)&shut_down = symbol("gmx_shutdown");
  *(void **)&callback = symbol("gmx_callback");
  *(void **)&yield = symbol("gmx_yield");
  *(void **)&num_procs = symbol("gmx_gomaxprocs");
}

static void unload(void) { CHECK_EQ(dlclose(lib), 0); }

static void releases(void *arg) {
  CHECK_EQ(yield(), 0);
  CHECK_EQ(release(arg), 0);
}

static void use(void) {
  uint32_t sema = 0;
  for (int i = 0; i < 100; i++) CHECK_EQ(spawn(releases, &sema), 0);
  for (int i = 0; i < 100; i++) CHECK_EQ(acquire(&sema), 0);
  CHECK_EQ(callback(releases, &sema), 0);
  CHECK_EQ(acquire(&sema), 0);
}

static void comes_and_goes(void) {
  for (int i = 0; i < 5; i++) {
    load();
    use();
    CHECK_EQ(shut_down(INT64_C(30000000000)), 0);
    unload();
  }
}

/* Its threads sleep in its code. */
static void goes_while_it_runs(void) {
  for (int i = 0; i < 5; i++) {
    load();
    CHECK(num_procs(4) >= 1);
    use();
    unload();
    /* they would fall now */
    for (int j = 0; j < 20; j++) sched_yield();
  }
  load();
  use();
}

static pthread_barrier_t met;

static void *was_called_back(void *arg) {
  use();
  pthread_barrier_wait(&met);
  pthread_barrier_wait(&met); /* meanwhile the library goes; what it left with this thread stays good */
  return arg;
}

static void goes_before_a_thread_that_it_knows(void) {
  load();
  pthread_barrier_init(&met, NULL, 2);
  pthread_t t = thread_start(was_called_back, NULL);
  pthread_barrier_wait(&met);
  CHECK_EQ(shut_down(INT64_C(30000000000)), 0);
  unload();
  pthread_barrier_wait(&met);
  thread_join(t);
  pthread_barrier_destroy(&met);
}

static void fork_and_faults_after_it_has_gone(void) {
  load();
  use();
  unload();
  pid_t pid = fork(); /* runs what was registered for forks */
  CHECK(pid >= 0);
  if (pid == 0) {
    int *volatile nowhere = (int *)8;
    *nowhere = 1; /* and the handler for faults */
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    load();
    use();
    CHECK_EQ(shut_down(INT64_C(30000000000)), 0);
    unload();
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}

int main(void) {
  CHECK(dlopen("libgomax.so", RTLD_NOW | RTLD_NOLOAD) == NULL); /* not linked: loaded by hand only */
  RUN(comes_and_goes);
  RUN(goes_while_it_runs);
  RUN(goes_before_a_thread_that_it_knows);
  RUN(fork_and_faults_after_it_has_gone);
  return 0;
}
