/* Shared by the files of gmxbench: N and M, how a case reports, and the table of cases. */
#ifndef GMXBENCH_H
#define GMXBENCH_H

#include <gomax.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern long n, m;
extern int procs;

struct bench {
  const char *name;
  void (*body)(void);
  bool on_thread; /* on a foreign thread, not on a G */
  const char *parameters;
};
extern const struct bench go_suite[], io_suite[]; /* each ends with a nameless one */

#define must(call) must_be_fine(call, #call)
int32_t wrong(int32_t status, const char *call); /* does not return */
static inline int32_t must_be_fine(int32_t status, const char *call) { return status >= 0 ? status : wrong(status, call); }

void *array(size_t count, size_t size);
void start(void);
void report_each(double operations);

extern gmx_waitgroup group;
void done(void *wg);
void nothing(void *unused);
gmx_chan *chan_of(size_t size, size_t capacity);

#endif
