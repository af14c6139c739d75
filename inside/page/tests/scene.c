/*
 * A program to look at: scene ADDRESS [HOGS [nopreempt]] serves the live page, says where it is, and runs until its
 * standard input ends. A line of input makes it do something: see `obey`.
 */
#include <gomax.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static gmx_chan *never;
static volatile bool stop_hogs;
static char url[1024];

static void need(bool right, const char *what) {
  if (!right) fprintf(stderr, "scene: %s\n", what), exit(1);
}

static void waits(void *unused) {
  (void)unused;
  long v;
  if (gmx_chan_recv(never, &v) != GMX_ECLOSED) abort();
}

/* calls nothing of the library: volatile alone ends it */
static void hog(void *unused) {
  (void)unused;
  for (unsigned long n = 0; !stop_hogs; n++) __asm__ volatile("" ::"r"(n));
}

static void spawn(void (*f)(void *), const char *name, uint32_t flags) {
  gmx_spawn_opts opts = {.name = name, .flags = flags};
  need(gmx_spawn_with(&opts, f, NULL, NULL) == GMX_OK, "no goroutine");
}

static gmx_status serve(const char *address, uint32_t flags, size_t room) {
  gmx_debug_opts opts = {.struct_size = sizeof opts, .flags = flags, .url = url, .url_size = room};
  return gmx_debug_serve(address, &opts);
}

static int sockets(void) { /* that this process has open */
  int n = 0;
  for (int fd = 3; fd < 1024; fd++) {
    char at[64], to[256];
    snprintf(at, sizeof at, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(at, to, sizeof to - 1);
    if (len > 0 && (to[len] = 0, strncmp(to, "socket:", 7) == 0)) n++;
  }
  return n;
}

static void in_child(const char *address) {
  fflush(stdout);
  pid_t pid = fork();
  need(pid >= 0, "no fork");
  if (pid == 0) {
    bool right = sockets() == 0 && gmx_debug_stop() == GMX_EPERM && serve(address, 0, sizeof url) == GMX_OK &&
                 sockets() == 1 && gmx_debug_stop() == GMX_OK && sockets() == 0;
    _exit(!right);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  printf("child %d\n", status);
}

static void obey(char *line) {
  char *word = strtok(line, " \n"), *rest = strtok(NULL, "\n");
  if (word == NULL) return;
  if (strcmp(word, "serve") == 0) {
    gmx_status status = serve(rest, 0, sizeof url);
    printf("%s %s\n", gmx_err_name(status), status == GMX_OK ? url : "-");
  } else if (strcmp(word, "anywhere") == 0) {
    gmx_status status = serve(rest, GMX_DEBUG_ANYWHERE, sizeof url);
    printf("%s %s\n", gmx_err_name(status), status == GMX_OK ? url : "-");
  } else if (strcmp(word, "narrow") == 0) {
    printf("%s -\n", gmx_err_name(serve(rest, 0, 10)));
  } else if (strcmp(word, "stop") == 0) {
    printf("%s -\n", gmx_err_name(gmx_debug_stop()));
  } else if (strcmp(word, "sockets") == 0) {
    printf("sockets %d\n", sockets());
  } else if (strcmp(word, "fork") == 0) {
    in_child(rest);
  } else if (strcmp(word, "abort") == 0) {
    kill(getpid(), SIGKILL);
  } else if (strcmp(word, "down") == 0) {
    gmx_chan_close(never);
    printf("%s -\n", gmx_err_name(gmx_shutdown(GMX_FOREVER)));
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  int hogs = argc > 2 ? atoi(argv[2]) : 0;
  bool stubborn = argc > 3;
  need(argc > 1, "which address?");
  need(gmx_chan_new(sizeof(long), 0, &never) == GMX_OK, "no channel");
  spawn(waits, "alpha", 0);
  for (int i = 0; i < 20; i++) spawn(waits, "", 0);
  spawn(waits, "<script>beta</script>", 0);
  if (strcmp(argv[1], "-") != 0) {
    gmx_status status = serve(argv[1], 0, sizeof url);
    printf("%s %s\n", gmx_err_name(status), status == GMX_OK ? url : "-");
  }
  for (int i = 0; i < hogs; i++) spawn(hog, "hog", stubborn ? GMX_SPAWN_NO_PREEMPT : 0);
  puts("ready");
  fflush(stdout);
  char line[512];
  while (fgets(line, sizeof line, stdin) != NULL) obey(line);
  stop_hogs = true;
  return 0;
}
