/* musl before 1.2.5 has no struct statx. */
#include_next <sys/stat.h>
#ifndef STATX_SIZE
#include <linux/stat.h>
#endif
