/*
 * What this process uses, as the system tells it: resident, address_space, usage_now (page faults, waits), cpu_now,
 * count_entries (of a directory), number_from (a file of /proc); and leave_only, which limits the address space.
 */
#ifndef GOMAX_USAGE_H
#define GOMAX_USAGE_H

#include "check.h"

#include <dirent.h>
#include <sys/resource.h>

/* ---- files of /proc ---- */

/* The number in the first line of a file that has the form, such as "VmRSS: %ld"; -1 if there is none. */
CHECK_UNUSED static long number_from(const char *path, const char *form) {
  FILE *f = fopen(path, "re");
  char line[256];
  long n = -1;
  if (!f) return -1;
  while (n < 0 && fgets(line, sizeof line, f))
    if (sscanf(line, form, &n) != 1) n = -1;
  fclose(f);
  return n;
}

/* How many mappings of memory a process may have. */
CHECK_UNUSED static long mappings_allowed(void) {
  long n = number_from("/proc/sys/vm/max_map_count", "%ld");
  CHECK_CMP(n, >, 0);
  return n;
}

CHECK_UNUSED static long count_entries(const char *directory) {
  long n = 0;
  DIR *dir = opendir(directory);
  CHECK(dir != NULL);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) n += entry->d_name[0] != '.';
  closedir(dir);
  return n;
}

/* ---- memory, in bytes ---- */

CHECK_UNUSED static int64_t resident(void) {
  long pages = number_from("/proc/self/statm", "%*d %ld");
  CHECK_CMP(pages, >, 0);
  return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

CHECK_UNUSED static int64_t address_space(void) {
  long pages = number_from("/proc/self/statm", "%ld");
  CHECK_CMP(pages, >, 0);
  return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

CHECK_UNUSED static void limit_address_space(rlim_t bytes) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* From now on the process gets so many bytes more than it has. */
CHECK_UNUSED static void leave_only(int64_t bytes) { limit_address_space((rlim_t)(address_space() + bytes)); }

CHECK_UNUSED static void leave_all(void) { limit_address_space(RLIM_INFINITY); }

/* ---- time and events ---- */

/* CPU time of all threads, in nanoseconds. */
CHECK_UNUSED static int64_t cpu_now(void) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

CHECK_UNUSED static struct rusage usage_now(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage;
}

#endif /* GOMAX_USAGE_H */
