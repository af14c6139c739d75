/* ctests/fuzz.c for GMX_STRESS minutes, from GMX_SEED. */
/* timeout: 120 */
#include <stdlib.h>
#define FUZZ_SECONDS (60 * atof(getenv("GMX_STRESS") ? getenv("GMX_STRESS") : "1"))
#include "../fuzz.c"
