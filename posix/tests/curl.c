/*
 * libcurl as it is, on goroutines:  curl URL SIZE
 *
 * URL is a file of SIZE bytes on a server. 100 Gs get it at the same time, each by an easy handle of its own; a server
 * that never answers ends a transfer by curl's own timeout; a server of the test sees all requests before it answers
 * one.
 */
#include "shim.h"

#include <curl/curl.h>

enum { GS = 100 };
static const char *url;
static size_t size;

static size_t counts(char *bytes, size_t one, size_t n, void *sum) {
  (void)bytes;
  *(size_t *)sum += one * n;
  return one * n;
}
static CURL *gets(const char *from, size_t *sum) {
  CURL *curl = curl_easy_init();
  CHECK(curl != NULL);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_URL, from), CURLE_OK);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L), CURLE_OK);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, counts), CURLE_OK);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_WRITEDATA, sum), CURLE_OK);
  /* The certificate is the test's own. */
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L), CURLE_OK);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L), CURLE_OK);
  return curl;
}
static void succeeds(CURL *curl) {
  CURLcode e = curl_easy_perform(curl);
  if (e != CURLE_OK) FAIL("%s", curl_easy_strerror(e));
}

/* Twice on the same connection. */
static void transfers(void *unused) {
  size_t sum = 0;
  long status = 0, connections = 0;
  (void)unused;
  CURL *curl = gets(url, &sum);
  succeeds(curl);
  succeeds(curl);
  CHECK_EQ(curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status), CURLE_OK);
  CHECK_EQ(curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connections), CURLE_OK);
  CHECK_EQ(status, 200);
  CHECK_EQ(connections, 0);
  CHECK_EQ(sum, 2 * size);
  curl_easy_cleanup(curl);
}
static void a_hundred_transfer(void) {
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(transfers, NULL);
  join_all(gs, GS);
}

/* ---- a server that answers when all have asked ---- */

static struct sockaddr_in at;
static int done;

static void own_url(char text[64]) { snprintf(text, 64, "http://127.0.0.1:%d/", ntohs(at.sin_port)); }
static void asks(void *unused) {
  size_t sum = 0;
  char text[64];
  (void)unused;
  own_url(text);
  CURL *curl = gets(text, &sum);
  succeeds(curl);
  CHECK_EQ(sum, 2);
  curl_easy_cleanup(curl);
  bump(&done);
}
static void all_wait_at_the_same_time(void) {
  static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
  gmx_g gs[GS];
  int conns[GS], l = listener(&at, GS), threads = count_threads();
  char request[1024];
  store(&done, 0);
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(asks, NULL);
  for (int i = 0; i < GS; i++) {
    CHECK_CMP(conns[i] = accept(l, NULL, NULL), >=, 0);
    CHECK_CMP(recv(conns[i], request, sizeof request, 0), >, 0);
  }
  CHECK_EQ(load(&done), 0);
  check_few_threads(threads);
  for (int i = 0; i < GS; i++) {
    CHECK_EQ(send(conns[i], answer, sizeof answer - 1, 0), sizeof answer - 1);
    close(conns[i]);
  }
  join_all(gs, GS);
  CHECK_EQ(load(&done), GS);
  close(l);
}

/* ---- curl's own timeout ---- */

static void times_out(void *unused) {
  size_t sum = 0;
  char text[64];
  (void)unused;
  own_url(text);
  CURL *curl = gets(text, &sum);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 50L), CURLE_OK);
  int64_t begin = check_now();
  CHECK_EQ(curl_easy_perform(curl), CURLE_OPERATION_TIMEDOUT);
  CHECK_CMP(check_now() - begin, >=, 50 * MS);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 60000L), CURLE_OK);
  CHECK_EQ(curl_easy_setopt(curl, CURLOPT_URL, "http://127.0.0.1:1/"), CURLE_OK);
  CHECK_EQ(curl_easy_perform(curl), CURLE_COULDNT_CONNECT);
  curl_easy_cleanup(curl);
}
static void timeouts_of_curl_are_kept(void) {
  gmx_g gs[GS];
  int l = listener(&at, GS);
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(times_out, NULL);
  join_all(gs, GS);
  close(l);
}

int main(int argc, char **argv) {
  if (argc != 3) SKIP("usage: curl URL SIZE");
  url = argv[1];
  size = (size_t)atol(argv[2]);
  CHECK_EQ(curl_global_init(CURL_GLOBAL_ALL), CURLE_OK);
  begin_parked();
  CHECK_OK(gmx_posix_enable(GMX_POSIX_POLL | GMX_POSIX_NAMES));
  RUN_G(a_hundred_transfer);
  RUN_G(timeouts_of_curl_are_kept);
  CHECK_OK(gmx_posix_enable(GMX_POSIX_ALL));
  RUN_G(all_wait_at_the_same_time);
  RUN_G(a_hundred_transfer);
  RUN_G(timeouts_of_curl_are_kept);
  CHECK_OK(gmx_shutdown(30 * SECOND));
  begin_shared(4);
  RUN_G(a_hundred_transfer);
  RUN_G(all_wait_at_the_same_time);
  RUN_G(timeouts_of_curl_are_kept);
  CHECK_OK(gmx_shutdown(30 * SECOND));
  return 0;
}
