/* Examples of the manual: coroutines. */
#include <gomax.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* example: gmx_coro_new gmx_coro_switch gmx_coro_free */
struct words { // what both sides know
  const char *text;
  char word[32];
};

// Straight code, although each call of gmx_coro_switch hands a word out and stops here.
static void split(void *arg) {
  struct words *w = arg;
  for (const char *at = w->text; *at; at += *at == ' ') {
    size_t n = strcspn(at, " ");
    snprintf(w->word, sizeof w->word, "%.*s", (int)n, at);
    at += n;
    if (gmx_coro_switch(gmx_self()) != GMX_OK) return; // gmx_coro_free ends it
  }
}

static bool has_word(const char *text, const char *wanted) {
  struct words w = {.text = text};
  gmx_coro words;
  bool found = false;
  if (gmx_coro_new(split, &w, NULL, &words) != GMX_OK) return false;
  while (!found && gmx_coro_switch(words) == GMX_OK) found = strcmp(w.word, wanted) == 0;
  if (found) gmx_coro_free(words); // it has not ended by itself
  return found;
}
/* end */

static void all(void *arg) {
  (void)arg;
  assert(has_word("to be or not to be", "or"));
  assert(!has_word("to be or not to be", "ort"));
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK); // no coroutine is left
}
