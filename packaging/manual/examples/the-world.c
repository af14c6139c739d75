/* Examples of the manual: the world. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rules {
  int n;
};

/* example: gmx_stop_the_world gmx_start_the_world */
static struct rules *rules; // all read it without a lock, and keep it over no call

static gmx_status rules_replace(struct rules *fresh) {
  gmx_status status = gmx_stop_the_world("new rules");
  if (status != GMX_OK) return status;
  struct rules *old = rules; // the others are in calls of the library: none uses it
  rules = fresh;             // and nothing here may wait
  gmx_start_the_world();
  free(old);
  return GMX_OK;
}
/* end */

static long state[2] = {1, 2};

/* example: gmx_stop_the_world_timeout */
// Copies the state while all stand still; if they do not, the next checkpoint may.
static gmx_status checkpoint(long copy[2], int64_t timeout) {
  gmx_status status = gmx_stop_the_world_timeout("checkpoint", timeout);
  if (status == GMX_ETIMEDOUT) return status; // a report names the goroutines
  if (status != GMX_OK) return status;
  memcpy(copy, state, sizeof state);
  return gmx_start_the_world();
}
/* end */

/* example: gmx_stop_the_world_with */
static void count_held(void *n, const gmx_g_info *info) {
  if (info->status == GMX_G_HELD) ++*(int *)n;
}

// How many goroutines compute just now, in code that calls nothing of the library?
static gmx_status count_computing(int *n) {
  gmx_stop_opts opts = GMX_STOP_OPTS_INIT;
  opts.flags = GMX_STOP_ANYWHERE;
  opts.timeout = 10000000000;
  gmx_status status = gmx_stop_the_world_with(&opts);
  if (status != GMX_OK) return status; // GMX_ENOTSUP: this system holds no threads
  gmx_for_each_g(count_held, n); // no malloc, no printf: a held one may have their lock
  return gmx_start_the_world();
}
/* end */

/* example: gmx_for_each_g */
struct longest {
  int64_t since;
  char what[64];
};

static void compare(void *arg, const gmx_g_info *info) {
  struct longest *longest = arg;
  if (!info->wait_reason || info->since_ns >= longest->since) return;
  longest->since = info->since_ns;
  snprintf(longest->what, sizeof longest->what, "%s: %s", info->name, info->wait_reason);
}

static gmx_status find_longest_wait(struct longest *longest) {
  longest->since = INT64_MAX;
  gmx_status status = gmx_stop_the_world("longest wait");
  if (status != GMX_OK) return status;
  gmx_for_each_g(compare, longest); // it copies: info is good during the call only
  return gmx_start_the_world();
}
/* end */

struct settings {
  int limit;
};

/* example: gmx_for_each_p */
static struct settings *_Atomic settings; // as with RCU: readers take no lock

static int read_limit(void) {
  gmx_pin(); // a barrier waits for the unpin
  int limit = atomic_load(&settings)->limit;
  gmx_unpin();
  return limit;
}

static void nothing(void *arg) { (void)arg; }

static gmx_status settings_replace(struct settings *fresh) {
  struct settings *old = atomic_exchange(&settings, fresh);
  gmx_status status = gmx_for_each_p(nothing, NULL); // the world runs on meanwhile
  if (status == GMX_OK) free(old); // each P has been unpinned: no reader has it
  return status;
}
/* end */

/* example: gmx_safepoint */
static double sum_up(const double *v, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum += v[i];
    if (i % 1024 == 0) gmx_safepoint(); // otherwise a stop waits for the whole loop
  }
  return sum;
}
/* end */

/* example: gmx_preempt_word gmx_safepoint_slow */
enum { ADD, REPEAT, END };

static long interpret(const unsigned char *code, long times) {
  const volatile uint32_t *asked = gmx_preempt_word(); // also good on another thread
  long sum = 0;
  for (size_t at = 0;; at++) {
    switch (code[at]) {
    case ADD: sum += code[++at]; break;
    case REPEAT: // a jump back: the one place that a long loop comes by
      if (*asked) gmx_safepoint_slow();
      if (--times > 0) at = (size_t)-1;
      break;
    case END: return sum;
    }
  }
}
/* end */

/* example: gmx_poll_slow */
// In C, what the plugins of gomax-poll add to a loop: a load, and a rare call.
static long add_up(const long *v, size_t n) {
  long sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum += v[i];
    if (gmx_poll_word) gmx_poll_slow();
  }
  return sum;
}
/* end */

/* example: gmx_poll_slow_tied */
static _Thread_local long added;

static void add_here(const long *v, size_t n) {
  long *mine = &added; // of this thread: the goroutine must stay on it
  for (size_t i = 0; i < n; i++) {
    *mine += v[i];
    if (gmx_poll_word) gmx_poll_slow_tied();
  }
}
/* end */

static atomic_bool begun, over;
static const long numbers[3] = {1, 2, 3};
static const double reals[3] = {1, 2, 3};

static void sums_up(void) { assert(sum_up(reals, 3) == 6); }
static void interprets(void) { assert(interpret((const unsigned char[]){ADD, 2, REPEAT, END}, 3) == 6); }
static void adds_up(void) { assert(add_up(numbers, 3) == 6); }
static void adds_here(void) { add_here(numbers, 3); }
static void computes(void) {}

static void (*step)(void);
static void steps(void *arg) { // calls nothing of the library itself
  (void)arg;
  atomic_store(&begun, true);
  while (!atomic_load(&over)) step();
}

static void begin(gmx_waitgroup *group, void (*fn)(void)) {
  step = fn;
  atomic_store(&begun, false);
  atomic_store(&over, false);
  assert(gmx_waitgroup_go(group, steps, NULL) == GMX_OK);
  while (!atomic_load(&begun)) gmx_yield();
}

static uint32_t wake;
static void sleeps(void *arg) {
  (void)arg;
  assert(gmx_sema_acquire(&wake) == GMX_OK);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  gmx_status status;
  assert(rules_replace(calloc(1, sizeof *rules)) == GMX_OK && rules && rules->n == 0);
  free(rules);

  // each of these lets a stop happen
  void (*const polls[])(void) = {sums_up, interprets, adds_up, adds_here};
  for (int i = 0; i < 4; i++) {
    begin(&group, polls[i]);
    assert(gmx_stop_the_world("test") == GMX_OK);
    atomic_store(&over, true);
    gmx_start_the_world();
    gmx_waitgroup_wait(&group);
  }

  // and this one does not
  begin(&group, computes);
  long copy[2] = {0, 0};
  assert(checkpoint(copy, 1000000) == GMX_ETIMEDOUT);
  int computing = 0;
  status = count_computing(&computing);
  assert((status == GMX_OK && computing == 1) || status == GMX_ENOTSUP);
  atomic_store(&over, true);
  gmx_waitgroup_wait(&group);
  assert(checkpoint(copy, GMX_FOREVER) == GMX_OK && copy[0] == 1 && copy[1] == 2);

  struct settings *first = calloc(1, sizeof *first), *second = calloc(1, sizeof *second);
  second->limit = 7;
  atomic_store(&settings, first);
  assert(read_limit() == 0 && settings_replace(second) == GMX_OK && read_limit() == 7);
  free(second);

  gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE, .name = "sleeper"};
  struct longest longest;
  gmx_g sleeper;
  assert(gmx_spawn_with(&opts, sleeps, NULL, &sleeper) == GMX_OK);
  while (gmx_sema_waiters(&wake) == 0) gmx_yield();
  assert(find_longest_wait(&longest) == GMX_OK && strcmp(longest.what, "sleeper: semacquire") == 0);
  gmx_sema_release(&wake);
  assert(gmx_join(sleeper, GMX_FOREVER) == GMX_OK);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
