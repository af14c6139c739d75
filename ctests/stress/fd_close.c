/* ctests/fd_close.c with more rounds of numbers that are used again. */
/* timeout: 1200 */
#define REUSE_ROUNDS 100000
#include "../fd_close.c"
