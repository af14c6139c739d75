/* Examples of the manual: threads of the host. */
#include <gomax.h>

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

static long sum;
static void handle(long job) {
  assert(gmx_self() != 0);
  sum += job;
}

/* example: gmx_attach_thread gmx_detach_thread */
// A thread that another library has made, and that serves for long.
static void *serve(void *jobs) {
  if (gmx_attach_thread() != GMX_OK) return NULL;
  for (long job; gmx_chan_recv(jobs, &job) == GMX_OK;)
    handle(job); // code for goroutines: it may pin, park, and have values under keys
  gmx_detach_thread(); // the P goes to others, as it did in each wait
  return NULL;
}
/* end */

static atomic_int lost;
static _Atomic uint64_t goid_of_block;
static int blocks;

/* example: gmx_callback */
struct block {
  const float *samples;
  size_t n;
};

static void deliver(void *arg) { // a goroutine, on the thread of the audio library
  struct block *block = arg;
  atomic_store(&goid_of_block, gmx_goid());
  blocks += block->n > 0;
}

static void on_samples(const float *samples, size_t n) { // called by that library
  struct block block = {samples, n};
  if (gmx_callback(deliver, &block) != GMX_OK) atomic_fetch_add(&lost, 1);
}
/* end */

static void *audio(void *unused) {
  on_samples((float[]){0, 1}, 2);
  on_samples((float[]){1}, 1);
  return unused;
}

int main(void) {
  pthread_t thread;
  gmx_chan *jobs;
  assert(gmx_chan_new(sizeof(long), 3, &jobs) == GMX_OK);
  for (long i = 1; i <= 3; i++) assert(gmx_chan_send(jobs, &i) == GMX_OK);
  gmx_chan_close(jobs);
  assert(pthread_create(&thread, NULL, serve, jobs) == 0 && pthread_join(thread, NULL) == 0 && sum == 6);
  gmx_chan_free(jobs);

  assert(pthread_create(&thread, NULL, audio, NULL) == 0 && pthread_join(thread, NULL) == 0);
  assert(atomic_load(&lost) == 0 && blocks == 2 && atomic_load(&goid_of_block) != 0);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
