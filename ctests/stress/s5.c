/* ctests/s5.c for GMX_STRESS minutes. `s5 0 2000000` by hand goes on until there were as many rounds with each number of
 * Ps, however long that takes. */
#include <stdlib.h>
#define S5_SECONDS (60 * atof(getenv("GMX_STRESS") ? getenv("GMX_STRESS") : "1") / 5)
#include "../s5.c"
