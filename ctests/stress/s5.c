/* ctests/s5.c for GMX_STRESS minutes: at least 2 million rounds in ten. */
#include <stdlib.h>
#define S5_SECONDS (60 * atof(getenv("GMX_STRESS") ? getenv("GMX_STRESS") : "1"))
#include "../s5.c"
