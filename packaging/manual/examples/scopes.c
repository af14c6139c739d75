/* Examples of the manual: scopes. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

static uint32_t never;
static atomic_int canceled;

struct page {
  const char *url;
  int size;
};

static gmx_status fetch_page(void *arg) {
  struct page *page = arg;
  if (strcmp(page->url, "bad") == 0) return GMX_EINVAL;
  if (strcmp(page->url, "slow") == 0) {
    gmx_status status = gmx_sema_acquire(&never);
    if (status == GMX_ECANCELED) atomic_fetch_add(&canceled, 1);
    return status;
  }
  page->size = (int)strlen(page->url);
  return GMX_OK;
}

/* example: gmx_scope_new gmx_scope_spawn gmx_scope_leave */
// Fetches all pages at the same time; after the first error the others give up.
static gmx_status fetch_all(struct page *pages, int n, int64_t timeout) {
  gmx_scope scope;
  gmx_status status = gmx_scope_new(timeout, &scope);
  if (status != GMX_OK) return status;
  for (int i = 0; i < n && status == GMX_OK; i++)
    status = gmx_scope_spawn(scope, fetch_page, &pages[i]);
  gmx_status first; // the first error of the goroutines, or GMX_OK
  gmx_status left = gmx_scope_leave(scope, GMX_FOREVER, &first); // pages are ours again
  if (left != GMX_OK) return left;
  return status != GMX_OK ? status : first;
}
/* end */

static gmx_chan *words;
static gmx_status send_words(void *text) {
  for (char *at = text; *at; at++) {
    gmx_status status = *at == '!' ? GMX_EINVAL : gmx_chan_send(words, at);
    if (status != GMX_OK) return status;
  }
  return gmx_chan_close(words);
}

/* example: gmx_scope_enter */
// The caller receives what a goroutine of the scope sends; if that one fails, no more
// will come, and the caller's own receive must end.
static gmx_status read_words(char *text, char *to) {
  gmx_scope scope;
  gmx_status status = gmx_scope_new(GMX_FOREVER, &scope), first;
  if (status != GMX_OK) return status;
  status = gmx_scope_enter(scope);
  if (status == GMX_OK) status = gmx_scope_spawn(scope, send_words, text);
  while (status == GMX_OK) // GMX_ECLOSED at the end, GMX_ECANCELED after a failure
    if ((status = gmx_chan_recv(words, to)) == GMX_OK) to++;
  gmx_status left = gmx_scope_leave(scope, GMX_FOREVER, &first);
  if (left != GMX_OK) return left;
  return first != GMX_OK ? first : status == GMX_ECLOSED ? GMX_OK : status;
}
/* end */

static struct page mirrors[] = {{"slow", 0}, {"quick", 0}, {"slow", 0}};

/* example: gmx_scope_cancel */
static _Atomic(struct page *) winner;

struct mirror {
  gmx_scope scope;
  struct page *page;
};

static gmx_status race(void *arg) { // one goroutine for each mirror
  struct mirror *m = arg;
  struct page *none = NULL;
  gmx_status status = fetch_page(m->page);
  if (status != GMX_OK) return GMX_OK; // another mirror may still answer
  if (atomic_compare_exchange_strong(&winner, &none, m->page))
    gmx_scope_cancel(m->scope); // one answer is enough
  return GMX_OK;
}
/* end */

/* example: gmx_scope_leave_why */
static const char *how_it_ended(gmx_scope scope) {
  gmx_scope_end end = {.struct_size = sizeof end};
  if (gmx_scope_leave_why(scope, GMX_FOREVER, &end) != GMX_OK) return "not left";
  switch (end.by) {
  case GMX_SCOPE_FAILURE: return gmx_strerror(end.status); // end.g is the one that failed
  case GMX_SCOPE_DEADLINE: return "too slow";
  case GMX_SCOPE_CANCEL: return "given up";
  default: return "complete";
  }
}
/* end */

/* example: gmx_scope_token */
// As gmx_scope_cancel, with a reason, which gmx_scope_leave_why tells.
static gmx_status scope_give_up(gmx_scope scope, gmx_status reason) {
  gmx_cancel token; // the scope's: not to be freed
  gmx_status status = gmx_scope_token(scope, &token);
  return status == GMX_OK ? gmx_cancel_now_because(token, reason) : status;
}
/* end */

static void all(void *arg) {
  (void)arg;
  struct page good[] = {{"one", 0}, {"three", 0}}, bad[] = {{"slow", 0}, {"bad", 0}, {"slow", 0}};
  assert(fetch_all(good, 2, GMX_FOREVER) == GMX_OK && good[0].size == 3 && good[1].size == 5);
  assert(fetch_all(bad, 3, GMX_FOREVER) == GMX_EINVAL && atomic_load(&canceled) == 2);
  assert(fetch_all(bad, 1, 0) == GMX_ECANCELED);

  static char whole[] = "abc", broken[] = "ab!c";
  char to[4] = "";
  assert(gmx_chan_new(1, 0, &words) == GMX_OK);
  assert(read_words(broken, to) == GMX_EINVAL && strcmp(to, "ab") == 0);
  assert(read_words(whole, to) == GMX_OK && strcmp(to, "abc") == 0);
  gmx_chan_free(words);

  gmx_scope scope;
  struct mirror m[3];
  assert(gmx_scope_new(GMX_FOREVER, &scope) == GMX_OK);
  for (int i = 0; i < 3; i++) {
    m[i] = (struct mirror){scope, &mirrors[i]};
    assert(gmx_scope_spawn(scope, race, &m[i]) == GMX_OK);
  }
  assert(strcmp(how_it_ended(scope), "given up") == 0 && atomic_load(&winner) == &mirrors[1]);

  assert(gmx_scope_new(GMX_FOREVER, &scope) == GMX_OK && strcmp(how_it_ended(scope), "complete") == 0);
  assert(strcmp(how_it_ended(scope), "not left") == 0);
  assert(gmx_scope_new(1000000, &scope) == GMX_OK && gmx_scope_spawn(scope, fetch_page, &bad[0]) == GMX_OK);
  assert(strcmp(how_it_ended(scope), "too slow") == 0);
  assert(gmx_scope_new(GMX_FOREVER, &scope) == GMX_OK && gmx_scope_spawn(scope, fetch_page, &bad[1]) == GMX_OK);
  assert(strcmp(how_it_ended(scope), "invalid argument") == 0);

  gmx_scope_end end = {.struct_size = sizeof end};
  assert(gmx_scope_new(GMX_FOREVER, &scope) == GMX_OK && scope_give_up(scope, GMX_EPIPE) == GMX_OK);
  assert(gmx_scope_leave_why(scope, GMX_FOREVER, &end) == GMX_OK);
  assert(end.by == GMX_SCOPE_CANCEL && end.status == GMX_EPIPE);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
