/* ctests/hog_eintr.c for GMX_STRESS minutes. */
#include <stdlib.h>
#define EINTR_SECONDS (60 * atof(getenv("GMX_STRESS") ? getenv("GMX_STRESS") : "1"))
#include "../hog_eintr.c"
