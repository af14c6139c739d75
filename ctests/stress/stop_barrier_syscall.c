/* ctests/stop_barrier_syscall.c for GMX_STRESS minutes. `stop_barrier_syscall 0 2000000` by hand runs until it has done
 * as many rounds with each number of Ps, however long that takes. */
#include <stdlib.h>
#define RACE_SECONDS (60 * atof(getenv("GMX_STRESS") ? getenv("GMX_STRESS") : "1") / 5)
#include "../stop_barrier_syscall.c"
