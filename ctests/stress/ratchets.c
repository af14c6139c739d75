/* ctests/ratchets.c with larger numbers, and a quiet minute, after which the memory of the load has gone back. */
/* timeout: 1200 */
#define CYCLES 300
#define QUIET_SECONDS 60
#include "../ratchets.c"
