/* ctests/hog_many.c with a thousand hogs. */
/* timeout: 300 */
#define HOGS 1000
#define ROUNDS 1000
#include "../hog_many.c"
