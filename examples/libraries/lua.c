/*
 * Lua 5.4 on goroutines:  lua [cost]
 *
 * A state (luaL_newstate) belongs to one goroutine. Lua locks nothing and has no variables of a thread, so the
 * goroutine may wait in a C function that Lua calls, and return on another thread. An error of Lua is a longjmp within
 * the stack of the goroutine, which is allowed, also over a wait.
 *
 * A hook for every 1000 instructions calls gmx_safepoint, so a stop of the world does not wait for the end of a script.
 * It slows scripts down: a program that never stops the world does without.
 *
 * Lua recurses in C where a C function calls Lua, as string.gsub and pcall do: up to 200 times (LUAI_MAXCCALLS). That
 * takes most of 512 KiB of stack. Calls from Lua to Lua take none.
 *
 *   cc lua.c -lgomax $(pkg-config --cflags --libs lua5.4) && ./a.out
 */
#include "each.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum { STATES = 24, STACK = 512 << 10 };

static void polls(lua_State *L, lua_Debug *where) {
  (void)L, (void)where;
  gmx_safepoint();
}

/* sleep(ms): the state and its goroutine wait, others run. */
static int sleeps(lua_State *L) {
  if (gmx_sleep((int64_t)(luaL_checknumber(L, 1) * 1e6)) != GMX_OK) return luaL_error(L, "canceled");
  return 0;
}

static gmx_chan *results;

/* send(number): to the channel of the program. */
static int sends(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  if (gmx_chan_send(results, &n) != GMX_OK) return luaL_error(L, "cannot send");
  return 0;
}

static const char script[] =
    "local function deep(n) return (('x'):gsub('x', function() return deep(n + 1) end)) end\n"
    "local ok, why = pcall(deep, 1)\n" /* as deep as Lua lets it */
    "assert(not ok and why:find('stack overflow'), why)\n"
    "local sum = 0\n"
    "for i = 1, 20000 do sum = sum + i % me end\n"
    "sleep(1)\n"
    "ok, why = pcall(function() sleep(1) error('an error after a wait') end)\n"
    "assert(not ok and why:find('after a wait'), why)\n"
    "local thread = coroutine.wrap(function(n) sleep(1) coroutine.yield(n + 1) end)\n"
    "assert(thread(1) == 2)\n"
    "send(sum)\n";

static void runs(int i) {
  lua_State *L = luaL_newstate();
  MUST(L);
  luaL_openlibs(L);
  lua_sethook(L, polls, LUA_MASKCOUNT, 1000);
  lua_register(L, "sleep", sleeps);
  lua_register(L, "send", sends);
  lua_pushinteger(L, i + 2);
  lua_setglobal(L, "me");
  if (luaL_dostring(L, script)) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(1);
  }
  lua_close(L);
}

static void adds_up(void *arg) {
  (void)arg;
  each(STATES, STACK, runs);
  MUST(gmx_chan_close(results) == GMX_OK);
}

/* ---- what it costs ---- */

static void computes(bool hook) {
  lua_State *L = luaL_newstate();
  MUST(L);
  luaL_openlibs(L);
  if (hook) lua_sethook(L, polls, LUA_MASKCOUNT, 1000);
  MUST(luaL_dostring(L, "local t = {} for i = 1, 200000 do t[i % 100] = tostring(i):rep(2) end") == LUA_OK);
  lua_close(L);
}
static void without_hook(int i) { (void)i, computes(false); }
static void with_hook(int i) { (void)i, computes(true); }

/* ---- */

static void run(void *arg) {
  if (arg) {
    costs("goroutines", 8, STACK, without_hook);
    costs("goroutines, a hook that polls", 8, STACK, with_hook);
    MUST(gmx_chan_new(sizeof(lua_Integer), 1, &results) == GMX_OK);
    stack_used("as deep as Lua lets a script", 8 * STACK, runs);
    MUST(gmx_chan_free(results) == GMX_OK);
    return;
  }
  MUST(gmx_chan_new(sizeof(lua_Integer), 0, &results) == GMX_OK && gmx_spawn(adds_up, NULL) == GMX_OK);
  lua_Integer n, came = 0, wanted = 0;
  while (gmx_chan_recv(results, &n) == GMX_OK) came += n;
  for (int i = 0; i < STATES; i++)
    for (int k = 1; k <= 20000; k++) wanted += k % (i + 2);
  MUST(came == wanted);
  MUST(gmx_chan_free(results) == GMX_OK);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  if (cost) costs("a thread", 8, 0, without_hook);
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  if (!cost) printf("%d states have run\n", STATES);
  return 0;
}
