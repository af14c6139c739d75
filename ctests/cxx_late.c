/* A host in C gets its C++ later, in plugins that dlopen loads while the runtime is up. The state of an exception must
 * move with its G, not stay with the thread: the first exception may be in flight when its G parks. */
/* env: GMX_MAXPROCS=2 */
/* flags: -ldl */
#include "child.h"
#include "gs.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <unistd.h>

/* The C++ of this test, as a plugin would have it: throws, parks in the catch block, throws the caught exception
 * again, and counts how often it was another G's. */
static const char plugin[] =
    "#include <string>\n"
    "#include <stdexcept>\n"
    "extern \"C\" int rethrows(int id, void (*park)(void)) {\n"
    "  std::string mine = std::to_string(id);\n"
    "  try {\n"
    "    try {\n"
    "      throw std::runtime_error(mine);\n"
    "    } catch (...) {\n"
    "      park();\n"
    "      throw;\n"
    "    }\n"
    "  } catch (const std::exception &e) {\n"
    "    return e.what() != mine;\n"
    "  }\n"
    "  return 1;\n"
    "}\n"
    "int at_load = rethrows(-1, [] {});\n";

static char dir[] = "/tmp/gomax-cxx-XXXXXX";
static char file[64];

static bool make_plugin(const char *flags) {
  char command[256];
  snprintf(command, sizeof command, "${GMX_CXX:-c++} -shared -fPIC -O1 %s -o %s -x c++ -", flags, file);
  FILE *cxx = popen(command, "w");
  if (!cxx || fputs(plugin, cxx) < 0) FAIL("popen");
  return pclose(cxx) == 0;
}

static void remove_plugin(void) {
  unlink(file);
  rmdir(dir);
}

static int (*rethrows)(int id, void (*park)(void));
static atomic_int wrong;

static void parks(void) { CHECK_OK(gmx_yield()); }

static void throws(void *arg) {
  for (int i = 0; i < 20; i++) atomic_fetch_add(&wrong, rethrows((int)(intptr_t)arg, parks));
}

static void loads(void *arg) {
  (void)arg;
  CHECK(dlsym(RTLD_DEFAULT, "__cxa_throw") == NULL); /* otherwise nothing is shown */
  void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!lib) FAIL("%s", dlerror());
  *(void **)&rethrows = dlsym(lib, "rethrows");
  CHECK(rethrows != NULL);
  enum { GS = 20 };
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) gs[i] = go_with("throws", GMX_SPAWN_JOINABLE, throws, (void *)(intptr_t)i);
  throws((void *)(intptr_t)GS);
  join_all(gs, GS);
  CHECK_EQ(atomic_load(&wrong), 0);
}

static void spins(void *arg) {
  (void)arg;
  for (int i = 0; i < 1000; i++) CHECK_OK(gmx_yield());
}

static void loads_late(void *arg) {
  CHECK_OK(gmx_main(spins, NULL)); /* its threads have run Gs by then */
  CHECK_OK(gmx_main(loads, arg));
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

static child c;

static void exceptions_of_a_late_plugin_go_with_their_g(void) {
  for (int i = 0; i < 5; i++) {
    child_run(&c, 60, loads_late, NULL);
    CHILD_OK(&c);
    if (strstr(c.text, "C++ runtime")) CHILD_FAIL(&c, "this one was found");
  }
}

/* ---- without ---- */

static bool has_cxx(void) { return dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD) != NULL; }

static void starts_anew(void *arg) {
  char self[512] = ""; /* behind the link is valgrind, for those that are started under it */
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  setenv("GMXDEBUG", arg, 1);
  execl(self, "cxx_late", "only whether", NULL);
  FAIL("exec");
}

static void the_environment_may_say_no(void) {
  child_run(&c, 60, starts_anew, "cxx=1");
  CHILD_SAID(&c, "loaded: 1");
  child_run(&c, 60, starts_anew, "cxx=0");
  CHILD_SAID(&c, "loaded: 0");
  CHILD_OK(&c);
}

/* ---- one that cannot be found ---- */

static void starts_beside_it(void *arg) {
  (void)arg;
  if (!dlopen(file, RTLD_NOW | RTLD_LOCAL)) FAIL("%s", dlerror());
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_main(spins, NULL));
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
  }
}

static void a_hidden_runtime_is_told_once(void) {
  if (!make_plugin("-static-libstdc++ -Wl,--exclude-libs,ALL")) {
    check_say("no static C++ runtime here");
    return;
  }
  child_run(&c, 60, starts_beside_it, NULL);
  CHILD_OK(&c);
  const char *first = strstr(c.text, "plugin.so holds a C++ runtime");
  if (!first || strstr(first + 20, "holds a C++ runtime")) CHILD_FAIL(&c, "it should have been told once");
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) {
    CHECK_OK(gmx_main(spins, NULL));
    check_say("loaded: %d", has_cxx());
    return 0;
  }
  if (!mkdtemp(dir)) FAIL("mkdtemp");
  snprintf(file, sizeof file, "%s/plugin.so", dir);
  if (!make_plugin("")) {
    remove_plugin();
    check_say("no C++ compiler");
    return 77;
  }
  RUN(exceptions_of_a_late_plugin_go_with_their_g);
  RUN(the_environment_may_say_no);
  RUN(a_hidden_runtime_is_told_once);
  remove_plugin();
  return 0;
}
