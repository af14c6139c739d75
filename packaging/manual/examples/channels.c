/* Examples of the manual: channels. */
#include <gomax.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* example: gmx_chan_new gmx_chan_send gmx_chan_recv gmx_chan_close gmx_chan_free */
static void produce(void *arg) {
  gmx_chan *squares = arg;
  for (long i = 1; i <= 10; i++) {
    long square = i * i;
    if (gmx_chan_send(squares, &square) != GMX_OK) break; // closed, or canceled
  }
  gmx_chan_close(squares); // the sender closes: no more will come
}

static gmx_status sum_of_squares(long *sum) {
  gmx_chan *squares;
  gmx_waitgroup all = GMX_WAITGROUP_INIT;
  gmx_status status = gmx_chan_new(sizeof(long), 4, &squares); // room for 4
  if (status != GMX_OK) return status;
  status = gmx_waitgroup_go(&all, produce, squares);
  long square;
  while (status == GMX_OK) {
    status = gmx_chan_recv(squares, &square);
    if (status == GMX_OK) *sum += square; // GMX_ECLOSED: the end
  }
  gmx_chan_close(squares); // after an error of ours: the sender gives up
  gmx_waitgroup_wait(&all); // it has the channel until its end
  gmx_chan_free(squares);
  return status == GMX_ECLOSED ? GMX_OK : status; // closed is how it ends
}
/* end */

static gmx_chan *requests;

/* example: gmx_chan_new_refs */
struct request {
  long question;
  gmx_chan *reply; // a reference, which belongs to the side that has the request
};

static gmx_status ask(long question, long *answer, int64_t timeout) {
  struct request r = {question, NULL};
  // room for the answer: the server never waits for a client that has given up
  gmx_status status = gmx_chan_new_refs(sizeof *answer, 1, 2, &r.reply);
  if (status != GMX_OK) return status;
  status = gmx_chan_send(requests, &r);
  if (status != GMX_OK) gmx_chan_free(r.reply); // the server's, which never got it
  else status = gmx_chan_recv_timeout(r.reply, answer, timeout);
  gmx_chan_free(r.reply); // this side's; the second of the two frees the channel
  return status;
}
/* end */

static void serve(void *arg) {
  (void)arg;
  for (struct request r; gmx_chan_recv(requests, &r) == GMX_OK;) {
    r.question++;
    assert(gmx_chan_send(r.reply, &r.question) == GMX_OK);
    gmx_chan_free(r.reply);
  }
}

static _Atomic long logged;

/* example: gmx_chan_ref */
static void logger(void *lines) {
  for (char *line; gmx_chan_recv(lines, &line) == GMX_OK; free(line)) logged += line[0];
  gmx_chan_free(lines);
}

static gmx_status start_logger(gmx_chan *lines) {
  gmx_status status = gmx_chan_ref(lines); // its own: the caller may free any time
  if (status != GMX_OK) return status;
  status = gmx_spawn(logger, lines);
  if (status != GMX_OK) gmx_chan_free(lines); // no goroutine will
  return status;
}
/* end */

enum { BUFFER = 64 };

/* example: gmx_chan_try_recv gmx_chan_try_send */
// Buffers to be used again: a channel is a list of them that needs no lock.
static char *buffer_get(gmx_chan *unused) {
  char *buffer;
  if (gmx_chan_try_recv(unused, &buffer) == GMX_OK) return buffer;
  return malloc(BUFFER); // GMX_EAGAIN: there is none
}

static void buffer_put(gmx_chan *unused, char *buffer) {
  if (gmx_chan_try_send(unused, &buffer) != GMX_OK) free(buffer); // enough are there
}
/* end */

/* example: gmx_chan_recv_timeout */
// Returns when the peer has been silent for too long, or has said goodbye.
static gmx_status watch(gmx_chan *heartbeats, int *beats, int64_t longest_pause) {
  gmx_status status;
  while ((status = gmx_chan_recv_timeout(heartbeats, NULL, longest_pause)) == GMX_OK)
    ++*beats;
  return status == GMX_ECLOSED ? GMX_OK : status; // GMX_ETIMEDOUT: it is lost
}
/* end */

static _Atomic long dropped;

/* example: gmx_chan_send_timeout */
// Drops a measurement rather than hold up the goroutine that measures.
static gmx_status publish(gmx_chan *out, double value) {
  gmx_status status = gmx_chan_send_timeout(out, &value, 1000000);
  if (status == GMX_ETIMEDOUT) dropped++; // nothing was sent
  return status == GMX_ETIMEDOUT ? GMX_OK : status;
}
/* end */

/* example: gmx_chan_close_drop */
static void drop_line(void *count, void *elem) {
  free(*(char **)elem); // the value is a pointer, which owns its text
  ++*(int *)count;
}

// Reads until a line has the word; the senders then get GMX_ECLOSED, and stop.
static bool find_line(gmx_chan *lines, const char *word, int *unread) {
  bool found = false;
  for (char *line; !found && gmx_chan_recv(lines, &line) == GMX_OK; free(line))
    found = strstr(line, word) != NULL;
  gmx_chan_close_drop(lines, drop_line, unread); // a plain close would leak what is left
  return found;
}
/* end */

/* example: gmx_chan_len gmx_chan_cap */
// For a metric: 1 means that the receivers are too slow. A glance, not a decision.
static double fill(gmx_chan *c) {
  size_t room = gmx_chan_cap(c); // GMX_UNBOUNDED: no limit
  return room == 0 ? 0 : (double)gmx_chan_len(c) / (double)room;
}
/* end */

static int rendered;
static long render(void) { return ++rendered; }

/* example: gmx_chan_is_closed */
static gmx_status send_frame(gmx_chan *frames) {
  if (gmx_chan_is_closed(frames)) return GMX_ECLOSED; // saves the work, and stays true
  long frame = render();
  return gmx_chan_send(frames, &frame); // it may have been closed meanwhile
}
/* end */

/* example: gmx_chan_waiters */
// A pool that grows: one more worker if a job is there and no worker waits for one.
static gmx_status submit(gmx_chan *jobs, long job, void (*worker)(void *)) {
  size_t idle;
  gmx_status status = gmx_chan_waiters(jobs, NULL, &idle);
  if (status == GMX_OK && idle == 0) status = gmx_spawn(worker, jobs);
  return status == GMX_OK ? gmx_chan_send(jobs, &job) : status;
}
/* end */

/* example: gmx_select */
// Passes values on, until there are no more, or stop is closed, or nothing has come.
static gmx_status forward(gmx_chan *in, gmx_chan *out, gmx_chan *stop, int64_t idle) {
  long value;
  for (;;) {
    gmx_select_case from[] = {GMX_RECV(in, &value), GMX_RECV(stop, NULL)};
    gmx_select_case to[] = {GMX_SEND(out, &value), GMX_RECV(stop, NULL)};
    size_t chosen;
    gmx_status status = gmx_select(from, 2, idle, &chosen);
    if (status == GMX_ECLOSED) return chosen == 0 ? gmx_chan_close(out) : GMX_OK;
    if (status != GMX_OK) return status; // GMX_ETIMEDOUT: idle for too long
    status = gmx_select(to, 2, GMX_FOREVER, &chosen); // out may be full
    if (status != GMX_OK || chosen == 1) return status;
  }
}
/* end */

static uint32_t worked;
static void works(void *jobs) {
  long job;
  if (gmx_chan_recv(jobs, &job) == GMX_OK) gmx_sema_release(&worked);
}

static gmx_chan *chan(size_t size, size_t room) {
  gmx_chan *c;
  assert(gmx_chan_new(size, room, &c) == GMX_OK);
  return c;
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  long sum = 0, answer = 0, value = 1;
  int beats = 0, unread = 0;
  assert(sum_of_squares(&sum) == GMX_OK && sum == 385);

  requests = chan(sizeof(struct request), 1);
  struct request late;
  assert(ask(1, &answer, 0) == GMX_ETIMEDOUT);
  assert(gmx_chan_recv(requests, &late) == GMX_OK && gmx_chan_free(late.reply) == GMX_OK);
  assert(gmx_waitgroup_go(&group, serve, NULL) == GMX_OK);
  assert(ask(41, &answer, GMX_FOREVER) == GMX_OK && answer == 42);
  gmx_chan_close(requests);
  gmx_waitgroup_wait(&group);
  assert(ask(1, &answer, 0) == GMX_ECLOSED && gmx_chan_free(requests) == GMX_OK);

  gmx_chan *lines = chan(sizeof(char *), 4);
  char *line = strdup("a");
  assert(start_logger(lines) == GMX_OK && gmx_chan_send(lines, &line) == GMX_OK);
  gmx_chan_close(lines);
  gmx_chan_free(lines);

  gmx_chan *unused = chan(sizeof(char *), 1);
  char *one = buffer_get(unused), *two = buffer_get(unused);
  buffer_put(unused, one);
  buffer_put(unused, two);
  assert(buffer_get(unused) == one && gmx_chan_len(unused) == 0);
  buffer_put(unused, one);
  one = buffer_get(unused);
  free(one);
  gmx_chan_free(unused);

  gmx_chan *heartbeats = chan(0, 2);
  for (int i = 0; i < 2; i++) assert(gmx_chan_send(heartbeats, NULL) == GMX_OK);
  assert(watch(heartbeats, &beats, 0) == GMX_ETIMEDOUT && beats == 2);
  gmx_chan_close(heartbeats);
  assert(watch(heartbeats, &beats, GMX_FOREVER) == GMX_OK);
  gmx_chan_free(heartbeats);

  gmx_chan *out = chan(sizeof(double), 1);
  assert(fill(out) == 0 && publish(out, 1) == GMX_OK && dropped == 0 && fill(out) == 1);
  assert(publish(out, 2) == GMX_OK && dropped == 1);
  gmx_chan_close(out);
  assert(publish(out, 3) == GMX_ECLOSED && gmx_chan_free(out) == GMX_OK);

  lines = chan(sizeof(char *), 4);
  for (int i = 0; i < 4; i++) {
    line = strdup(i == 1 ? "two" : "other");
    assert(gmx_chan_send(lines, &line) == GMX_OK);
  }
  assert(find_line(lines, "two", &unread) && unread == 2);
  gmx_chan_free(lines);

  gmx_chan *frames = chan(sizeof(long), 1);
  assert(send_frame(frames) == GMX_OK && rendered == 1);
  gmx_chan_close(frames);
  assert(send_frame(frames) == GMX_ECLOSED && rendered == 1);
  gmx_chan_free(frames);

  gmx_chan *jobs = chan(sizeof(long), 4);
  assert(submit(jobs, 1, works) == GMX_OK && gmx_sema_acquire(&worked) == GMX_OK);
  assert(gmx_waitgroup_go(&group, works, jobs) == GMX_OK);
  for (size_t n = 0; n == 0; gmx_yield()) assert(gmx_chan_waiters(jobs, NULL, &n) == GMX_OK);
  assert(submit(jobs, 2, NULL) == GMX_OK); // spawns none
  gmx_waitgroup_wait(&group);
  gmx_chan_free(jobs);

  gmx_chan *in = chan(sizeof(long), 2), *to = chan(sizeof(long), 2), *stop = chan(0, 0);
  assert(gmx_chan_send(in, &value) == GMX_OK && forward(in, to, stop, 0) == GMX_ETIMEDOUT);
  assert(gmx_chan_recv(to, &value) == GMX_OK && value == 1);
  gmx_chan_close(in);
  assert(forward(in, to, stop, GMX_FOREVER) == GMX_OK && gmx_chan_is_closed(to));
  gmx_chan_close(stop);
  assert(forward(NULL, to, stop, GMX_FOREVER) == GMX_OK);
  gmx_chan_free(in);
  gmx_chan_free(to);
  gmx_chan_free(stop);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
  assert(logged == 'a');
}
