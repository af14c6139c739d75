/* Examples of the manual: doing something once. */
#include <gomax.h>

#include <assert.h>
#include <stdint.h>

static int filled;

/* example: gmx_once_do */
static uint32_t crc_table[256];
static gmx_once crc_once; // zero is ready

static void crc_fill(void *table) { // may wait, unlike a function of pthread_once
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    ((uint32_t *)table)[i] = crc;
  }
  filled++;
}

static uint32_t crc(const unsigned char *text, size_t n) {
  uint32_t crc = UINT32_MAX;
  gmx_once_do(&crc_once, crc_fill, crc_table); // one load, when it is done
  for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ crc_table[(crc ^ text[i]) & 255];
  return ~crc;
}
/* end */

static uint32_t answered;
static int server;

/* example: gmx_once_do_timeout */
static gmx_once connected;

static void connect_to_server(void *arg) { // takes as long as the server thinks
  if (gmx_sema_acquire(&answered) == GMX_OK) *(int *)arg = 1;
}

static gmx_status need_server(int64_t timeout) {
  // limits the wait for another caller's connect_to_server, not its own run
  gmx_status status = gmx_once_do_timeout(&connected, connect_to_server, &server, timeout);
  if (status == GMX_OK && server == 0) status = GMX_ECANCELED; // done, and in vain
  return status;
}
/* end */

static void needs_server(void *arg) {
  (void)arg;
  assert(need_server(GMX_FOREVER) == GMX_OK);
}

static void sums(void *arg) {
  (void)arg;
  assert(crc((const unsigned char *)"123456789", 9) == 0xcbf43926);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  for (int i = 0; i < 10; i++) assert(gmx_waitgroup_go(&group, sums, NULL) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(filled == 1);

  assert(gmx_waitgroup_go(&group, needs_server, NULL) == GMX_OK);
  while (gmx_sema_waiters(&answered) == 0) gmx_yield();
  assert(need_server(0) == GMX_ETIMEDOUT);
  gmx_sema_release(&answered);
  assert(need_server(GMX_FOREVER) == GMX_OK);
  gmx_waitgroup_wait(&group);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
