/*
 * wordcount: counts the words of all text files below a directory. The example to read first.
 *
 *     make demo DIR=/usr/share/doc        or by hand: see --help
 *
 * The parts of libgomax that it shows (the code cites the letters):
 *
 *   A  every file is a G: a function on a stack of its own, started for less than a microsecond (count_file)
 *   B  reads block the thread, so they are bracketed: meanwhile another thread runs the other Gs (read_some)
 *   C  each P, the right to run Gs, has its own counts: one G at a time runs on it, so it needs no lock (tally_pin)
 *   D  a thread that the library never made walks the directory and starts the Gs (walker)
 *   E  a semaphore holds that thread back and a wait group knows when all is done (walker, run)
 *   F  the number of Ps is changed while everything runs (walker)
 *   G  a barrier collects from every P what it counted since last time (show_progress)
 *   H  the world is stopped for a moment, to take what all Ps have (take_all)
 *
 * A word is a run of the letters A-Z and a-z, in any case. Symbolic links, files with a NUL byte in their first 8 KiB
 * and whatever is called .git or target are passed over.
 *
 * Two rules for code on a G, both because a G may continue on another thread after a call that waits: read errno before
 * such a call, not after it, and hold no OS lock over it.
 */
#include <gomax.h>

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  FILES_AT_ONCE = 64,   /* Gs that may be under way: bounds memory, file descriptors and threads that sit in reads */
  GROW_AFTER = 32,      /* files, then the number of Ps is doubled */
  TEXT_HEAD = 8 * 1024, /* a NUL byte in here makes a file binary */
  MAX_BUFFER = 1 << 20, /* the bytes counted in one pinned stretch, so it also bounds how long others wait for that P */
};

static struct {
  const char *dir, *table_file;
  size_t buffer, top;
  int32_t procs;
  bool progress;
} options = {.dir = ".", .buffer = 64 * 1024, .top = 10};

static gmx_p_key tally_key;                 /* names the slot of each P that holds its tally */
static uint32_t free_slots = FILES_AT_ONCE; /* a semaphore is a plain uint32_t, its value */
static gmx_waitgroup all_done;              /* zero is ready to use, here and everywhere */
static atomic_uint_fast64_t troubles;       /* files that could not be read */

#define die(...) (warnx(__VA_ARGS__), _exit(1)) /* and not exit(): other threads are still running */

/* For calls that fail only if the program is wrong or the machine is full. Each function of libgomax returns its error
 * as a negative number; any other result is success, and sometimes a count. */
#define must(call) must_be_fine(call, #call)
static int32_t must_be_fine(int32_t status, const char *call) {
  if (status < 0) die("%s: %s (%s)", call, gmx_strerror(status), gmx_err_name(status));
  return status;
}

static void *must_have(void *memory) {
  if (!memory) die("out of memory");
  return memory;
}

static void trouble(const char *path, int error) {
  warnx("%s: %s", path, strerror(error));
  atomic_fetch_add(&troubles, 1);
}

/* ---- a table of words: open addressing, at most half full ---- */

struct entry {
  char *word; /* NULL: free */
  size_t length;
  uint64_t count;
  uint32_t hash;
};

struct table {
  struct entry *entries;
  size_t size, used; /* size is 0 or a power of two */
};

/* A word while it is read. It may come in any number of pieces and be longer than any buffer. */
struct word {
  char *text;
  size_t length, capacity;
};

static void word_add(struct word *w, char letter) {
  if (w->length == w->capacity) {
    w->capacity = w->capacity ? 2 * w->capacity : 64;
    w->text = must_have(realloc(w->text, w->capacity));
  }
  w->text[w->length++] = letter;
}

static struct entry *table_find(const struct table *t, const char *word, size_t length, uint32_t hash) {
  for (size_t i = hash;; i++) {
    struct entry *e = &t->entries[i & (t->size - 1)];
    if (!e->word || (e->hash == hash && e->length == length && memcmp(e->word, word, length) == 0)) return e;
  }
}

static void table_grow(struct table *t) {
  struct table bigger = {.size = t->size ? 2 * t->size : 1024, .used = t->used};
  bigger.entries = must_have(calloc(bigger.size, sizeof *bigger.entries));
  for (struct entry *e = t->entries; e < t->entries + t->size; e++)
    if (e->word) *table_find(&bigger, e->word, e->length, e->hash) = *e;
  free(t->entries);
  *t = bigger;
}

static void table_add(struct table *t, const char *word, size_t length, uint64_t count) {
  if (2 * t->used >= t->size) table_grow(t);
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)word[i]) * 16777619u;
  struct entry *e = table_find(t, word, length, hash);
  if (!e->word) {
    char *copy = must_have(malloc(length + 1));
    memcpy(copy, word, length);
    copy[length] = '\0';
    *e = (struct entry){.word = copy, .length = length, .hash = hash};
    t->used++;
  }
  e->count += count;
}

static void table_free(struct table *t) {
  for (struct entry *e = t->entries; e < t->entries + t->size; e++) free(e->word);
  free(t->entries);
}

/* ---- C: the counts of one P ---- */

enum { FILES, BINARY, WORDS, BYTES, KINDS };

struct tally {
  struct table table;
  uint64_t counts[KINDS]; /* since the last barrier */
  struct tally *next;     /* of take_all */
};

/* Until gmx_unpin() the caller stays on its P and runs there alone: no other G, no barrier, no stopped world. So the
 * tally is the caller's own, without a lock and without atomics. The caller must make no call that waits in between,
 * and should be quick: others may be waiting for this P. */
static struct tally *tally_pin(void) {
  must(gmx_pin());
  struct tally *t = gmx_p_get(tally_key);
  if (!t) {
    t = must_have(calloc(1, sizeof *t));
    must(gmx_p_set(tally_key, t));
  }
  return t;
}

/* ---- A, B: counting a file, on a G ---- */

/* The kernel only knows the thread of a G. So the G announces that it may block for long; if it does, its P goes to
 * another thread. The G may return on another P or another thread, hence the first rule: errno becomes the function's
 * result while the thread is still the same. Compilers may keep errno's address within a function; none of these
 * functions has two such calls in it, and noinline keeps it so. */
__attribute__((noinline)) static ssize_t read_some(int fd, char *buffer, size_t size) {
  must(gmx_enter_syscall());
  ssize_t n = read(fd, buffer, size);
  if (n < 0) n = -errno;
  must(gmx_exit_syscall());
  return n;
}

__attribute__((noinline)) static int open_file(const char *path) {
  must(gmx_enter_syscall());
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) fd = -errno;
  must(gmx_exit_syscall());
  return fd;
}

static ssize_t read_full(int fd, char *buffer, size_t size) {
  size_t have = 0;
  for (ssize_t n; have < size; have += (size_t)n)
    if ((n = read_some(fd, buffer + have, size - have)) <= 0) return n < 0 ? n : (ssize_t)have;
  return (ssize_t)have;
}

static void end_word(struct tally *t, struct word *w) {
  if (w->length == 0) return;
  table_add(&t->table, w->text, w->length, 1);
  t->counts[WORDS]++;
  w->length = 0;
}

static void count_text(struct word *w, const char *text, size_t size) {
  struct tally *t = tally_pin();
  for (size_t i = 0; i < size; i++) {
    char letter = text[i] | 0x20; /* folds A-Z to a-z, and makes no letter of anything else */
    if (letter >= 'a' && letter <= 'z') word_add(w, letter);
    else end_word(t, w);
  }
  t->counts[BYTES] += size;
  must(gmx_unpin());
}

static void count_open_file(const char *path, int fd) {
  struct word w = {0};
  size_t size = options.buffer > TEXT_HEAD ? options.buffer : TEXT_HEAD;
  char *buffer = must_have(malloc(size)); /* not on the stack: a G has 256 KiB, unless it is given more */
  ssize_t n = read_full(fd, buffer, TEXT_HEAD);
  bool binary = n > 0 && memchr(buffer, '\0', (size_t)n);
  if (!binary) {
    while (n > 0) {
      /* the head too goes in pieces of --buffer, so that small ones cut every word somewhere */
      for (size_t done = 0; done < (size_t)n; done += options.buffer)
        count_text(&w, buffer + done, (size_t)n - done < options.buffer ? (size_t)n - done : options.buffer);
      n = read_full(fd, buffer, options.buffer);
    }
    if (n < 0) trouble(path, (int)-n);
  }
  struct tally *t = tally_pin();
  end_word(t, &w);
  t->counts[FILES] += n == 0;
  t->counts[BINARY] += binary;
  must(gmx_unpin());
  free(w.text);
  free(buffer);
}

static void count_file(void *arg) {
  char *path = arg;
  int fd = open_file(path);
  if (fd < 0) trouble(path, -fd);
  else {
    count_open_file(path, fd);
    close(fd);
  }
  free(path);
  must(gmx_sema_release(&free_slots));
  must(gmx_waitgroup_done(&all_done));
}

/* ---- D, E, F: a foreign thread feeds the Gs ---- */

static void walk(const char *dir) {
  static size_t fed; /* files, by all levels together */
  DIR *d = opendir(dir);
  if (!d) {
    trouble(dir, errno);
    return;
  }
  struct dirent *e;
  while (errno = 0, (e = readdir(d))) {
    const char *n = e->d_name;
    if (!strcmp(n, ".") || !strcmp(n, "..") || !strcmp(n, ".git") || !strcmp(n, "target")) continue;
    char *path;
    struct stat st;
    if (asprintf(&path, "%s/%s", dir, n) < 0) die("out of memory");
    if (fstatat(dirfd(d), n, &st, AT_SYMLINK_NOFOLLOW) != 0) trouble(path, errno);
    else if (S_ISDIR(st.st_mode)) walk(path);
    else if (S_ISREG(st.st_mode)) {
      /* This is a thread and not a G: it blocks as threads do, and occupies no P. */
      must(gmx_sema_acquire(&free_slots));
      must(gmx_waitgroup_add(&all_done, 1));
      must(gmx_spawn(count_file, path)); /* path is the G's from here on */
      if (++fed == GROW_AFTER) must(gmx_gomaxprocs(2 * options.procs));
      continue;
    }
    free(path);
  }
  if (errno) trouble(dir, errno);
  closedir(d);
}

static void *walker(void *unused) {
  (void)unused;
  walk(options.dir);
  /* The last files are still under way. The Gs that wait on the removed Ps move to the remaining Ps; the counts of the
   * removed Ps stay in their slots. */
  must(gmx_gomaxprocs(options.procs));
  must(gmx_waitgroup_done(&all_done));
  return NULL;
}

/* ---- G: progress ---- */

static void add_counts(atomic_uint_fast64_t *totals, struct tally *t) {
  for (int i = 0; i < KINDS; i++) atomic_fetch_add(&totals[i], t->counts[i]);
  memset(t->counts, 0, sizeof t->counts);
}

/* Runs once for every P, at a moment when no G is pinned there: it may empty the tally as if it were its own.
 * Several Ps may be here at once, so the totals are atomic. */
static void collect(void *arg) {
  struct tally *t = gmx_p_get(tally_key);
  if (t) add_counts(arg, t);
}

static void show_progress(atomic_uint_fast64_t *totals, bool terminal) {
  fprintf(stderr, "%s%ju files, %ju words, %.1f MB, %d Ps%s", terminal ? "\r\033[K" : "", (uintmax_t)totals[FILES],
          (uintmax_t)totals[WORDS], (double)totals[BYTES] / 1e6, gmx_gomaxprocs(0), terminal ? "" : "\n");
}

/* ---- H: the end ---- */

struct result {
  atomic_uint_fast64_t totals[KINDS];
  struct table table;
  gmx_sched_stats stats;
  int64_t elapsed_ns;
};

/* All Gs are done here, but the same works while they still run. While the world is stopped the function does as little
 * as it can: it takes the tallies away from their Ps, also from Ps that were removed since. gmx_p_count() counts every
 * P that there ever was. */
static struct tally *take_all(void) {
  struct tally *all = NULL;
  must(gmx_stop_the_world("taking the tallies"));
  for (int32_t p = 0; p < gmx_p_count(); p++) {
    struct tally *t = gmx_p_get_of(tally_key, p);
    if (t) t->next = all, all = t;
  }
  must(gmx_p_key_delete(tally_key)); /* this also deletes the slots: no thread can find the tallies now */
  must(gmx_start_the_world());
  return all;
}

static void merge(struct result *result, struct tally *all) {
  while (all) {
    struct tally *t = all;
    all = t->next;
    add_counts(result->totals, t);
    for (struct entry *e = t->table.entries; e < t->table.entries + t->table.size; e++)
      if (e->word) table_add(&result->table, e->word, e->length, e->count);
    table_free(&t->table);
    free(t);
  }
}

/* The main G. When it returns, gmx_main() returns in main(). */
static void run(void *arg) {
  struct result *result = arg;
  int64_t begin = gmx_now();
  if (options.procs) must(gmx_gomaxprocs(options.procs));
  else options.procs = must(gmx_gomaxprocs(0));
  must(gmx_p_key_create(&tally_key));

  pthread_t thread;
  must(gmx_waitgroup_add(&all_done, 1)); /* the walker; it adds one for each file */
  int error = pthread_create(&thread, NULL, walker, NULL);
  if (error) die("pthread_create: %s", strerror(error));
  bool terminal = isatty(STDERR_FILENO), shown = options.progress || terminal;
  int32_t status;
  int64_t pause = 5000000; /* nanoseconds, as everywhere */
  while ((status = gmx_waitgroup_wait_timeout(&all_done, pause)) == GMX_ETIMEDOUT) {
    if (pause < 160000000) pause *= 2;
    if (!shown) continue;
    must(gmx_for_each_p(collect, result->totals)); /* no P stands still for longer than its own part takes */
    show_progress(result->totals, terminal);
  }
  must(status);
  pthread_join(thread, NULL); /* blocks this thread, but the walker has nothing left to do */

  merge(result, take_all());
  if (shown) show_progress(result->totals, terminal);
  if (terminal) fputc('\n', stderr);
  result->elapsed_ns = gmx_now() - begin;
  result->stats.struct_size = sizeof result->stats;
  must(gmx_read_sched_stats(&result->stats));
}

/* ---- main: plain C again ---- */

static int by_count_then_word(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return x->count ? strcmp(x->word, y->word) : 0; /* free entries, the last */
}

static void print_words(FILE *out, const struct table *t, size_t limit) {
  for (size_t i = 0; i < t->used && i < limit; i++)
    fprintf(out, "%ju\t%s\n", (uintmax_t)t->entries[i].count, t->entries[i].word);
}

static void print_result(struct result *r) {
  struct table *t = &r->table;
  if (t->used) qsort(t->entries, t->size, sizeof *t->entries, by_count_then_word); /* no hash table from here on */
  if (options.table_file) {
    FILE *file = fopen(options.table_file, "w");
    if (!file) die("%s: %s", options.table_file, strerror(errno));
    print_words(file, t, SIZE_MAX);
    if (ferror(file) | fclose(file)) die("%s: cannot be written", options.table_file);
  }
  if (options.top) printf("the %zu most frequent words in the text files below %s:\n", options.top, options.dir);
  print_words(stdout, t, options.top);
  const gmx_sched_stats *s = &r->stats;
  double seconds = (double)r->elapsed_ns / 1e9, megabytes = (double)r->totals[BYTES] / 1e6;
  printf("files %ju, bytes %ju, words %ju, distinct %zu, binary %ju, unreadable %ju\n", (uintmax_t)r->totals[FILES],
         (uintmax_t)r->totals[BYTES], (uintmax_t)r->totals[WORDS], t->used, (uintmax_t)r->totals[BINARY],
         (uintmax_t)troubles);
  printf("%.3f s, %.1f MB/s on %d Ps (%d made)\n", seconds, megabytes / seconds, s->gomaxprocs, gmx_p_count());
  printf("scheduler: %ju Gs, %ju switches, %ju steals, %ju hand-offs, %d threads, %ju stops, %ju barriers\n",
         (uintmax_t)s->spawned, (uintmax_t)s->switches, (uintmax_t)s->steals, (uintmax_t)s->handoffs, s->threads,
         (uintmax_t)s->stops, (uintmax_t)s->barriers);
  if (fflush(stdout) || ferror(stdout)) die("standard output cannot be written");
}

static const char usage[] =
    "usage: wordcount [options] [directory]\n"
    "  --procs N     Ps to run on (default: GMX_MAXPROCS, or as many as there are CPUs); twice as many for a while\n"
    "  --buffer N    bytes read and counted at a time, 1 to 1048576 (default 65536)\n"
    "  --top N       words to show (default 10)\n"
    "  --table FILE  writes all words with their counts to FILE\n"
    "  --progress    shows progress on stderr even if that is no terminal\n"
    "Exit status: 0, 1 when something could not be read, 2 when the options are wrong.\n";

static long number(const char *name, const char *text, long min, long max) {
  char *end;
  long n = strtol(text, &end, 10); /* what is too big for a long becomes LONG_MAX, which is above max */
  if (end != text && !*end && n >= min && n <= max) return n;
  errx(2, "--%s: %s is not a number from %ld to %ld", name, text, min, max);
}

int main(int argc, char **argv) {
  static const struct option known[] = {{"procs", 1, NULL, 'p'}, {"buffer", 1, NULL, 'b'},   {"top", 1, NULL, 'n'},
                                        {"table", 1, NULL, 't'}, {"progress", 0, NULL, 'v'}, {"help", 0, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (o) {
      case 'p': options.procs = (int32_t)number("procs", optarg, 1, 100000); break;
      case 'b': options.buffer = (size_t)number("buffer", optarg, 1, MAX_BUFFER); break;
      case 'n': options.top = (size_t)number("top", optarg, 0, INT32_MAX); break;
      case 't': options.table_file = optarg; break;
      case 'v': options.progress = true; break;
      case 'h': fputs(usage, stdout); return 0;
      default: fputs(usage, stderr); return 2;
    }
  if (optind < argc) options.dir = argv[optind++];
  if (optind < argc) return fputs(usage, stderr), 2;

  static struct result result;
  must(gmx_main(run, &result)); /* the first call starts the runtime */
  print_result(&result);
  table_free(&result.table);
  must(gmx_shutdown(GMX_FOREVER)); /* ends every thread; a program that exits anyway may leave it out */
  return troubles ? 1 : 0;
}
