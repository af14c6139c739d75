/*
 * Duktape, JavaScript on goroutines:  duktape [cost]
 *
 * A heap (duk_create_heap) belongs to one goroutine. Duktape locks nothing and has no variables of a thread, so the
 * goroutine may wait in a C function that a script calls. An error is a longjmp within the stack of the goroutine.
 *
 * Calls from script to script take no C stack. Calls through C do (forEach, replace, JSON, getters), and the compiler
 * and regular expressions recurse too. Debian's build allows some hundred levels, which take up to 2 MiB.
 *
 * Duktape has no hook for loops unless it is built with one (DUK_USE_EXEC_TIMEOUT_CHECK), so a stop of the world waits
 * for a script that calls nothing. A function that scripts call is the place for gmx_safepoint.
 *
 *   cc duktape.c -lgomax -lduktape -lm && ./a.out
 */
#include "each.h"

#include <duktape.h>

enum { HEAPS = 6, STACK = 2 << 20 };

/* sleep(ms): the heap and its goroutine wait, others run. */
static duk_ret_t sleeps(duk_context *js) {
  if (gmx_sleep((int64_t)(duk_require_number(js, 0) * 1e6)) != GMX_OK) return duk_error(js, DUK_ERR_ERROR, "canceled");
  return 0;
}

static duk_ret_t polls(duk_context *js) {
  (void)js;
  gmx_safepoint();
  return 0;
}

static const char script[] =
    "function many(s) { return new Array(20000).join(s); }\n"
    "function limited(f) {\n" /* f goes as deep as Duktape lets it */
    "  try { f(); } catch (e) { if (e instanceof RangeError) return; throw e; }\n"
    "  throw new Error('no limit: ' + f);\n"
    "}\n"
    "function deep(n) { return [n].map(function (n) { return deep(n + 1); })[0]; }\n"
    "limited(function () { deep(1); });\n"
    "limited(function () { eval(many('[')); });\n"
    "limited(function () { JSON.parse(many('[')); });\n"
    "limited(function () { new RegExp(many('(')); });\n"
    "limited(function () { /^(?:x|y)*$/.test(many('x')); });\n"
    "var sum = 0, why = '';\n"
    "for (var i = 1; i <= 20000; i++) { sum += i % me; if (i % 1000 == 0) poll(); }\n"
    "try { sleep(1); throw new Error('after a wait'); } catch (e) { why = e.message; }\n"
    "if (why != 'after a wait') throw new Error(why);\n"
    "JSON.parse(JSON.stringify({sum: [sum]})).sum[0]\n";

static void runs(int i) {
  duk_context *js = duk_create_heap_default();
  MUST(js);
  duk_push_c_function(js, sleeps, 1);
  duk_put_global_string(js, "sleep");
  duk_push_c_function(js, polls, 0);
  duk_put_global_string(js, "poll");
  duk_push_int(js, i + 2);
  duk_put_global_string(js, "me");
  if (duk_peval_string(js, script) != 0) {
    fprintf(stderr, "%s\n", duk_safe_to_string(js, -1));
    exit(1);
  }
  double wanted = 0;
  for (int k = 1; k <= 20000; k++) wanted += k % (i + 2);
  MUST(duk_get_number(js, -1) == wanted);
  duk_destroy_heap(js);
}

static void computes(int i) {
  (void)i;
  duk_context *js = duk_create_heap_default();
  MUST(js && duk_peval_string(js, "var t = []; for (var i = 0; i < 100000; i++) t[i % 100] = String(i) + i;") == 0);
  duk_destroy_heap(js);
}

static void run(void *arg) {
  if (arg) {
    costs("goroutines", 8, STACK, computes);
    stack_used("as deep as Duktape lets a script", 8 * STACK, runs);
  } else {
    each(HEAPS, STACK, runs);
  }
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  if (cost) costs("a thread", 8, 0, computes);
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  if (!cost) printf("%d heaps have run\n", HEAPS);
  return 0;
}
