/* GMXDEBUG and GMX_MAXPROCS: the library reports a part that it does not understand once per start, and ignores it. */
#include "child.h"
#include "gs.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char *self; /* this program */

/* ---- helpers ---- */

typedef struct start_case {
  const char *debug, *procs; /* NULL: unset */
  int32_t config;            /* maxprocs of gmx_init; 0: the first call starts the runtime */
} start_case;

static void starts(void *arg) {
  const start_case *s = arg;
  if (s->debug) setenv("GMXDEBUG", s->debug, 1);
  if (s->procs) setenv("GMX_MAXPROCS", s->procs, 1);
  if (s->config) start_runtime(s->config, 0);
  printf("it has procs=%d machine=%d\n", (int)gmx_gomaxprocs(0), (int)gmx_num_cpu());
  fflush(stdout);
  end_runtime();
}

/* Runs a start with these variables; *procs is what it came to. */
static void start(child *c, start_case s, int *procs, int *machine) {
  child_run(c, 60, starts, &s);
  CHILD_OK(c);
  const char *line = strstr(c->text, "it has procs=");
  if (!line || sscanf(line, "it has procs=%d machine=%d", procs, machine) != 2) CHILD_FAIL(c, "no number of Ps");
}

static int lines_of_ours(child *c) { return count_in(c->text, "libgomax: "); }

/* ---- GMXDEBUG ---- */

static void right_settings_say_nothing(void) {
  static const char *const right[] = {
      "", ",", " , ", "schedtrace=0", "schedtrace=0,scheddetail=1", " schedtrace=100000 , scheddetail=0 ", "membarrier=0",
      "membarrier=1,",
  };
  static child c;
  int procs, machine;
  for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
    start(&c, (start_case){right[i], NULL, 0}, &procs, &machine);
    if (lines_of_ours(&c) != 0) CHILD_FAIL(&c, "GMXDEBUG=%s", right[i]);
  }
}

static void wrong_settings_are_told_in_one_line(void) {
  static const char *const wrong[][2] = {/* and what is said to be meant */
      {"schedtrac=1000", "schedtrace=MS"}, {"schedtrace", "schedtrace=MS"}, {"schedtrace=", "schedtrace=MS"},
      {"schedtrace=1s", "schedtrace=MS"}, {"schedtrace=-5", "schedtrace=MS"},
      {"schedtrace=99999999999999999999", "schedtrace=MS"}, {"scheddetail", "scheddetail=0|1"},
      {"scheddetail=2", "scheddetail=0|1"}, {"scheddetail=yes", "scheddetail=0|1"}, {"membarrier=off", "membarrier=0|1"},
      {"membarrier", "membarrier=0|1"}, {"membarier=1", "membarrier=0|1"}, {"preemt=0", "preempt=0|nosignal|1"},
      {"strikt=1", "strict=0|1|2"}, {"help=1", "help"}, {"Help", "help"}, {"=", NULL}, {"=3", NULL}, {"1", NULL},
      {"gctrace=1", NULL}, {"setting_of_a_newer_version=1", NULL},
  };
  static child c;
  int procs, machine;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char text[256];
    snprintf(text, sizeof text, "membarrier=1,%s,schedtrace=100000", wrong[i][0]);
    start(&c, (start_case){text, NULL, 0}, &procs, &machine);
    int n = snprintf(text, sizeof text, "libgomax: GMXDEBUG: not understood: \"%s\"", wrong[i][0]);
    if (wrong[i][1]) n += snprintf(text + n, sizeof text - (size_t)n, " (perhaps %s)", wrong[i][1]);
    snprintf(text + n, sizeof text - (size_t)n, "; known: ");
    CHILD_SAID(&c, text);
    for (const char *const *name = (const char *const[]){" help", " schedtrace=MS", " scheddetail=0|1", NULL}; *name; name++)
      CHILD_SAID(&c, *name);
    CHECK_EQ(lines_of_ours(&c), 1);
  }
  start(&c, (start_case){"a=1,schedtrace=0,b,scheddetail=?", NULL, 0}, &procs, &machine);
  CHILD_SAID(&c, "libgomax: GMXDEBUG: not understood: \"a=1\", \"b\", \"scheddetail=?\" (perhaps scheddetail=0|1); known: ");
  CHECK_EQ(lines_of_ours(&c), 1);
}

/* The starter of a process cannot write lines of its own into the log of the process, nor long ones. */
static void what_is_told_forges_nothing(void) {
  static child c;
  int procs, machine;
  start(&c, (start_case){"x\nlibgomax: all is well\033[2J\x9b\"", "1\n2\033", 0}, &procs, &machine);
  CHILD_SAID(&c, "not understood: \"x\\nlibgomax: all is well\\u{1b}[2J\\x9b\\\"\"; known");
  CHILD_SAID(&c, "GMX_MAXPROCS: not understood: \"1\\n2\\u{1b}\"; known");
  CHECK(!strchr(c.text, '\033'));
  CHECK_EQ(count_in(c.text, "\nlibgomax: "), 1);
  char long_one[4000];
  memset(long_one, 'x', sizeof long_one);
  long_one[sizeof long_one - 1] = 0;
  start(&c, (start_case){long_one, long_one, 0}, &procs, &machine);
  CHILD_SAID(&c, "libgomax: GMXDEBUG: not read, since it has more than ");
  CHILD_SAID(&c, "libgomax: GMX_MAXPROCS: not understood: \"");
  CHECK_EQ(procs, machine);
  CHECK_CMP(strlen(c.text), <, 2000);
}

static void help_lists_the_settings(void) {
  static child c;
  int procs, machine;
  start(&c, (start_case){"help", NULL, 0}, &procs, &machine);
  for (const char *const *name = (const char *const[]){"\n  help ", "\n  schedtrace=MS ", "\n  scheddetail=0|1 ",
                                                       "\n  membarrier=0|1 ", NULL};
       *name; name++)
    CHILD_SAID(&c, *name);
  CHECK(!strstr(c.text, "not understood"));
}

/* ---- GMX_MAXPROCS ---- */

static void wrong_numbers_are_told(void) {
  static const char *const wrong[] = {"0", "-3", "many", "3x", "3.5", "+3", "0x10", "1 2"};
  static child c;
  int procs, machine;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    start(&c, (start_case){NULL, wrong[i], 0}, &procs, &machine);
    char text[256];
    snprintf(text, sizeof text, "libgomax: GMX_MAXPROCS: not understood: \"%s\"; known: ", wrong[i]);
    CHILD_SAID(&c, text);
    CHECK_EQ(lines_of_ours(&c), 1);
    CHECK_EQ(procs, machine);
    /* nothing was asked of the variable */
    start(&c, (start_case){NULL, wrong[i], 3}, &procs, &machine);
    CHECK_EQ(lines_of_ours(&c), 0);
    CHECK_EQ(procs, 3);
  }
  static const char *const right[] = {"", " ", "1", " 7 ", "007"};
  static const int want[] = {0, 0, 1, 7, 7};
  for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
    start(&c, (start_case){NULL, right[i], 0}, &procs, &machine);
    CHECK_EQ(lines_of_ours(&c), 0);
    CHECK_EQ(procs, want[i] ? want[i] : machine);
  }
}

/* The environment's number has a cap; the program's has none. */
static void large_numbers_are_lowered(void) {
  static child c;
  int procs, machine;
  start(&c, (start_case){NULL, NULL, 0}, &procs, &machine);
  char text[256], number[32];
  snprintf(number, sizeof number, "%d", 16 * machine);
  start(&c, (start_case){NULL, number, 0}, &procs, &machine);
  CHECK_EQ(procs, 16 * machine);
  CHECK_EQ(lines_of_ours(&c), 0);
  const char *large[] = {"1000000", "2000000000", "99999999999999", "18446744073709551615", NULL};
  snprintf(number, sizeof number, "%d", 16 * machine + 1);
  large[4] = number;
  for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
    start(&c, (start_case){NULL, large[i], 0}, &procs, &machine);
    CHECK_EQ(procs, 16 * machine);
    snprintf(text, sizeof text, "libgomax: GMX_MAXPROCS=%s: lowered to %d, 16 for each CPU", large[i], 16 * machine);
    CHILD_SAID(&c, text);
    CHECK_EQ(lines_of_ours(&c), 1);
  }
  start(&c, (start_case){NULL, "1000000", 16 * machine + 5}, &procs, &machine);
  CHECK_EQ(procs, 16 * machine + 5);
  CHECK_EQ(lines_of_ours(&c), 0);
}

/* ---- once, and to whom ---- */

static void starts_twice(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "nonsense", 1);
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 3; j++) CHECK_CMP(gmx_gomaxprocs(0), >=, 1);
    end_runtime();
  }
}

static void it_is_told_once_for_each_start(void) {
  static child c;
  child_run(&c, 60, starts_twice, NULL);
  CHILD_OK(&c);
  CHECK_EQ(lines_of_ours(&c), 2);
}

static int reports;

/* The runtime is up by then, and no lock is held: the host's function may call the library. */
static void reported(void *arg, const char *text, size_t len) {
  CHECK(arg == &reports && len > 0 && memchr(text, '\n', len) == text + len - 1);
  CHECK_EQ(gmx_gomaxprocs(0), 2);
  CHECK_STATUS(gmx_init(NULL), GMX_EBUSY);
  reports++;
}

static void starts_with_a_report(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "nonsense", 1);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 2;
  config.report = reported;
  config.report_arg = &reports;
  CHECK_OK(gmx_init(&config));
  CHECK_EQ(reports, 1);
  end_runtime();
}

static void it_goes_where_reports_go(void) {
  static child c;
  child_run(&c, 60, starts_with_a_report, NULL);
  CHILD_OK(&c);
  CHECK_EQ(lines_of_ours(&c), 0);
}

/* ---- more rights than the starter ---- */

static char other_group[64];

static void as_another_group(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "schedtrace=1,nonsense", 1);
  setenv("GMX_MAXPROCS", "15", 1);
  execl(other_group, other_group, "secure", (char *)NULL);
  _exit(77);
}

static uint32_t gate;

static void waits(void *arg) { CHECK_OK(gmx_sema_acquire(arg)); }

static gmx_status spawns_most(int most) {
  gmx_status s = GMX_OK;
  int n = 0;
  while (n < most && (s = gmx_spawn(waits, &gate)) == GMX_OK) n++;
  for (int i = 0; i < n; i++) CHECK_OK(gmx_sema_release(&gate));
  return s;
}

/* Guards are required here by default. They can run out only where each is a mapping, as in locked memory: 0 if they
 * cannot. */
static int more_than_there_are(void) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* for those mlockall does nothing */
  long mappings = mappings_allowed();
  if (mappings <= 500000 && mlockall(MCL_FUTURE | MCL_ONFAULT) == 0) return (int)(mappings / 8) + 1;
#endif
  check_say("left out: guards cannot run out here");
  return 0;
}

static void says_nothing(void *arg, const char *text, size_t len) { (void)arg, (void)text, (void)len; }

static void secure(void) {
  if (!getauxval(AT_SECURE)) _exit(77);
  int most = more_than_there_are();
  CHECK_EQ(gmx_gomaxprocs(0), gmx_num_cpu());
  CHECK_STATUS(gmx_sleep(20 * MS), GMX_OK);
  if (most) CHECK_STATUS(spawns_most(most), GMX_ENOMEM);
  end_runtime();
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.flags = GMX_CONFIG_GUARD_OPTIONAL;
  config.report = says_nothing; /* that some have no guard */
  CHECK_OK(gmx_init(&config));
  CHECK_OK(spawns_most(most));
  end_runtime();
  printf("it was secure\n");
}

/* A program that is set-group-ID to another group than its starter's does not heed the starter's environment. */
static void a_program_with_more_rights_heeds_nothing(void) {
  snprintf(other_group, sizeof other_group, "/tmp/gomax-environment-%d", (int)getpid());
  char command[4096];
  snprintf(command, sizeof command, "cp '%s' %s", self, other_group);
  if (system(command) != 0 || chown(other_group, (uid_t)-1, getegid() == 1 ? 2 : 1) != 0 || chmod(other_group, 02755) != 0) {
    check_say("left out: only root may set the group of a file");
  } else {
    static child c;
    child_run(&c, 60, as_another_group, NULL);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77) {
      check_say("left out: no program gets more rights from a file here");
    } else {
      CHILD_OK(&c);
      CHILD_SAID(&c, "it was secure");
      if (strstr(c.text, "SCHED") || lines_of_ours(&c) != 0) CHILD_FAIL(&c, "it heeded its starter's environment");
    }
  }
  unlink(other_group);
}

int main(int argc, char **argv) {
  self = argv[0];
  if (argc > 1) {
    secure();
    return 0;
  }
  unsetenv("GMXDEBUG");
  unsetenv("GMX_MAXPROCS");
  RUN(right_settings_say_nothing);
  RUN(wrong_settings_are_told_in_one_line);
  RUN(what_is_told_forges_nothing);
  RUN(help_lists_the_settings);
  RUN(wrong_numbers_are_told);
  RUN(large_numbers_are_lowered);
  RUN(it_is_told_once_for_each_start);
  RUN(it_goes_where_reports_go);
  RUN(a_program_with_more_rights_heeds_nothing);
  return 0;
}
