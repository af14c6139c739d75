/* Examples of the manual: goroutines. */
#include <gomax.h>

#include <assert.h>
#include <locale.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *log_file;

/* example: gmx_spawn */
static void write_line(void *line) {
  fputs(line, log_file);
  free(line);
}

static gmx_status log_line(const char *text) {
  char *line = strdup(text); // the goroutine may outlive this call and its frame
  if (!line) return GMX_ENOMEM;
  gmx_status status = gmx_spawn(write_line, line);
  if (status != GMX_OK) free(line); // no goroutine has it
  return status;
}
/* end */

static uint32_t served;
static atomic_int port_sum;

static void serve(const char *host, int port) {
  if (strcmp(host, "::1") == 0) atomic_fetch_add(&port_sum, port);
  gmx_sema_release(&served);
}

/* example: gmx_spawn_copy */
struct peer {
  char host[40];
  int port;
};

static void serve_peer(void *arg) {
  struct peer *peer = arg; // a copy on this goroutine's stack: nothing to free
  serve(peer->host, peer->port);
}

static gmx_status start_peers(const struct peer *peers, int n) {
  gmx_status status = GMX_OK;
  for (int i = 0; i < n && status == GMX_OK; i++)
    status = gmx_spawn_copy(serve_peer, &peers[i], sizeof peers[i]);
  return status;
}
/* end */

struct text {
  const char *at;
  int depth;
};

static void nested(struct text *text, int depth) {
  char frame[1000];
  frame[0] = *text->at++;
  if (depth > text->depth) text->depth = depth;
  if (frame[0] == '(') nested(text, depth + 1);
}

/* example: gmx_spawn_with gmx_join */
static void parse(void *text) { nested(text, 0); } // calls itself for each level

static gmx_status parse_deep(struct text *text) {
  gmx_spawn_opts opts = {
      .flags = GMX_SPAWN_JOINABLE,
      .stack_size = 16 << 20, // stacks do not grow
      .name = "parser",       // in reports and dumps
  };
  gmx_g parser;
  gmx_status status = gmx_spawn_with(&opts, parse, text, &parser);
  if (status == GMX_OK) status = gmx_join(parser, GMX_FOREVER); // text is done
  return status;
}
/* end */

static uint32_t answer_there;
static void warm_up(void *cache) {
  if (gmx_sema_acquire(&answer_there) == GMX_OK) *(int *)cache = 1;
}

/* example: gmx_detach */
static gmx_status warm_up_for(int64_t timeout, void *cache) {
  gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE};
  gmx_g warmer;
  gmx_status status = gmx_spawn_with(&opts, warm_up, cache, &warmer);
  if (status != GMX_OK) return status;
  status = gmx_join(warmer, timeout);
  if (status == GMX_ETIMEDOUT) gmx_detach(warmer); // it runs on; no caller joins it
  return status;
}
/* end */

static bool is_prime(int n) {
  for (int i = 2; i * i <= n; i++)
    if (n % i == 0) return false;
  return n > 1;
}

/* example: gmx_yield */
static int count_primes(int to) {
  int found = 0;
  for (int n = 0; n < to; n++) {
    found += is_prime(n);
    if (n % 1000 == 0) gmx_yield(); // the others need not wait for a slice
  }
  return found;
}
/* end */

static atomic_int requests, refusals;
static void count_down(void *arg) {
  (void)arg;
  atomic_fetch_sub(&requests, 1);
}

/* example: gmx_goexit */
// As exit for a process: from any depth, without a status on the way back.
static void refuse(const char *why) {
  (void)why;
  atomic_fetch_add(&refusals, 1);
  gmx_goexit(); // runs what gmx_cleanup_push registered; frames are not unwound
}

static void handle(void *line) {
  gmx_cleanup done;
  atomic_fetch_add(&requests, 1);
  gmx_cleanup_push(&done, count_down, NULL);
  if (strcmp(line, "GET /") != 0) refuse("unknown request"); // does not return
  gmx_cleanup_pop(&done, true);
}
/* end */

/* example: gmx_self */
struct account {
  gmx_g owner; // a handle is never used again, so it cannot mean another goroutine
  long balance;
};

static gmx_status account_add(struct account *account, long n) {
  if (gmx_self() != account->owner) return GMX_EPERM;
  account->balance += n;
  return GMX_OK;
}
/* end */

/* example: gmx_goid */
static int trace(char *to, size_t size, const char *what) {
  // 0 on a thread that is no goroutine
  return snprintf(to, size, "[g %llu] %s", (unsigned long long)gmx_goid(), what);
}
/* end */

/* example: gmx_stack_bounds */
// Whether an interpreter may call one more function of the script.
static bool room_on_stack(size_t needed) {
  void *lo, *hi;
  char here; // an address in this frame
  if (gmx_stack_bounds(&lo, &hi) != GMX_OK) return false;
  return (uintptr_t)&here - (uintptr_t)lo > needed;
}
/* end */

/* example: gmx_num_g */
// Beyond the limit the caller answers "busy" at once, and memory stays bounded.
static gmx_status admit(void (*handler)(void *), void *request, int64_t limit) {
  if (gmx_num_g() >= limit) return GMX_EAGAIN;
  return gmx_spawn(handler, request);
}
/* end */

/* example: gmx_park gmx_ready */
struct event { // happens once; one goroutine waits for it
  atomic_bool happened;
  _Atomic(gmx_g) waiter;
};

static bool announce(void *arg, gmx_g self) { // the waiter is off its stack here
  struct event *event = arg;
  atomic_store(&event->waiter, self);
  return !atomic_load(&event->happened); // false: it has happened, do not park
}

static gmx_status event_wait(struct event *event) {
  gmx_status status = GMX_OK;
  while (status == GMX_OK && !atomic_load(&event->happened))
    status = gmx_park(announce, event, "event");
  if (status != GMX_OK) atomic_store(&event->waiter, 0); // canceled: takes it back
  return status;
}

static void event_set(struct event *event) {
  atomic_store(&event->happened, true); // before the look at the waiter
  gmx_g waiter = atomic_exchange(&event->waiter, 0);
  if (waiter) gmx_ready(waiter); // GMX_EPERM: it has not parked
}
/* end */

/* example: gmx_park_timeout */
// struct event, announce: as for gmx_park. Several parks share one deadline.
static gmx_status event_wait_timeout(struct event *event, int64_t timeout) {
  int64_t end = gmx_deadline(timeout);
  gmx_status status = GMX_OK;
  while (status == GMX_OK && !atomic_load(&event->happened))
    status = gmx_park_timeout(announce, event, "event", gmx_time_left(end));
  if (status != GMX_OK) atomic_store(&event->waiter, 0); // no gmx_ready for later parks
  return status;
}
/* end */

/* example: gmx_lock_os_thread gmx_unlock_os_thread */
// The locale is the thread's, and a receive may continue on another thread.
static gmx_status print_all(gmx_chan *numbers, FILE *out, locale_t locale) {
  double number;
  gmx_status status = gmx_lock_os_thread();
  if (status != GMX_OK) return status;
  locale_t before = uselocale(locale);
  while ((status = gmx_chan_recv(numbers, &number)) == GMX_OK)
    fprintf(out, "%.2f\n", number);
  uselocale(before); // without this, do not unlock: the thread then ends with the G
  gmx_unlock_os_thread();
  return status == GMX_ECLOSED ? GMX_OK : status;
}
/* end */

/* example: gmx_key_create gmx_key_set gmx_key_get gmx_key_delete */
static gmx_key scratch; // where C code for threads has a thread-local variable

static gmx_status plugin_start(void) { return gmx_key_create(free, &scratch); }
static void plugin_stop(void) { gmx_key_delete(scratch); } // calls no destructor

static char *scratch_buffer(void) { // freed at the end of the goroutine
  char *buffer = gmx_key_get(scratch);
  if (buffer || !(buffer = malloc(4096))) return buffer;
  if (gmx_key_set(scratch, buffer) == GMX_OK) return buffer;
  free(buffer);
  return NULL;
}
/* end */

static struct event event, later;
static int waits_ended;
static void waits(void *arg) {
  (void)arg;
  waits_ended += event_wait(&event) == GMX_OK;
  waits_ended += event_wait_timeout(&later, GMX_FOREVER) == GMX_OK;
}

static void same_buffer(void *arg) {
  char *buffer = scratch_buffer();
  *(bool *)arg = buffer && scratch_buffer() == buffer;
}

static void sends(void *arg) {
  double number = 1.5;
  if (gmx_chan_send(arg, &number) != GMX_OK) abort();
  gmx_chan_close(arg);
}

static void all(void *cache_used) {
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  static int cache;
  char text[100];
  size_t size;

  assert(log_line("hello\n") == GMX_OK);
  struct peer peers[] = {{"::1", 1}, {"localhost", 2}, {"::1", 4}};
  assert(start_peers(peers, 3) == GMX_OK);
  memset(peers, 0, sizeof peers);
  for (int i = 0; i < 3; i++) assert(gmx_sema_acquire(&served) == GMX_OK);
  assert(atomic_load(&port_sum) == 5);

  char *brackets = malloc(10001);
  memset(brackets, '(', 10000);
  brackets[10000] = 0;
  struct text deep = {brackets, 0};
  assert(parse_deep(&deep) == GMX_OK && deep.depth == 10000);
  free(brackets);

  assert(warm_up_for(0, &cache) == GMX_ETIMEDOUT);
  gmx_sema_release(&answer_there);
  assert(count_primes(5000) == 669);

  static char get[] = "GET /", put[] = "PUT /";
  assert(gmx_waitgroup_go(&group, handle, get) == GMX_OK && gmx_waitgroup_go(&group, handle, put) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(atomic_load(&requests) == 0 && atomic_load(&refusals) == 1);

  struct account mine = {gmx_self(), 0}, not_mine = {0, 0};
  assert(account_add(&mine, 5) == GMX_OK && account_add(&not_mine, 5) == GMX_EPERM && mine.balance == 5);
  assert(trace(text, sizeof text, "here") > 0 && !strncmp(text, "[g ", 3) && !strstr(text, "[g 0]"));
  assert(room_on_stack(100000) && !room_on_stack(1 << 20));
  assert(admit(same_buffer, NULL, 1) == GMX_EAGAIN);

  assert(gmx_waitgroup_go(&group, waits, NULL) == GMX_OK);
  while (!atomic_load(&event.waiter)) gmx_yield();
  event_set(&event);
  assert(event_wait_timeout(&(struct event){0}, 0) == GMX_ETIMEDOUT);
  while (!atomic_load(&later.waiter)) gmx_yield();
  event_set(&later);
  gmx_waitgroup_wait(&group);
  assert(waits_ended == 2);

  gmx_chan *numbers;
  char *printed;
  FILE *out = open_memstream(&printed, &size);
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  assert(gmx_chan_new(sizeof(double), 0, &numbers) == GMX_OK);
  assert(gmx_waitgroup_go(&group, sends, numbers) == GMX_OK);
  assert(print_all(numbers, out, plain) == GMX_OK);
  gmx_waitgroup_wait(&group);
  fclose(out);
  assert(strcmp(printed, "1.50\n") == 0);
  free(printed);
  freelocale(plain);
  gmx_chan_free(numbers);

  bool same = false;
  assert(plugin_start() == GMX_OK);
  assert(gmx_waitgroup_go(&group, same_buffer, &same) == GMX_OK);
  gmx_waitgroup_wait(&group);
  plugin_stop();
  assert(same);
  assert(admit(waits, NULL, INT64_MAX) == GMX_OK); // both events have happened
  *(int **)cache_used = &cache;
}

int main(void) {
  int *cache;
  char *lines;
  size_t size;
  log_file = open_memstream(&lines, &size);
  assert(gmx_main(all, &cache) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
  fclose(log_file);
  assert(strcmp(lines, "hello\n") == 0 && *cache == 1 && waits_ended == 4);
  free(lines);
}
