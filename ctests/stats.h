/* What the library tells about itself, as values: sched_stats and mem_stats. */
#ifndef GOMAX_STATS_H
#define GOMAX_STATS_H

#include "check.h"

/* All ones before: a field that the library does not write is no number that a test expects. */
CHECK_UNUSED static gmx_sched_stats sched_stats(void) {
  gmx_sched_stats stats;
  memset(&stats, 0xff, sizeof stats);
  stats.struct_size = sizeof stats;
  CHECK_OK(gmx_read_sched_stats(&stats));
  return stats;
}

CHECK_UNUSED static gmx_mem_stats mem_stats(void) {
  gmx_mem_stats stats;
  memset(&stats, 0xff, sizeof stats);
  stats.struct_size = sizeof stats;
  CHECK_OK(gmx_read_mem_stats(&stats));
  return stats;
}

#endif /* GOMAX_STATS_H */
