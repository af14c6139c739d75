/* ctests/hog_many.c with a thousand hogs. */
/* timeout: 300 */
/* alone: whatever runs beside a thousand threads that compute does not get a CPU for many seconds */
#define HOGS 1000
#define ROUNDS 1000
#include "../hog_many.c"
