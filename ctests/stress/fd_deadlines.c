/* ctests/fd_deadlines.c with more rounds of an end against a byte. */
/* timeout: 1200 */
#define RACE_ROUNDS 1000000
#include "../fd_deadlines.c"
