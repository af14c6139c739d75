/* ctests/faults.c at every place. */
/* timeout: 1200 */
/* flags: -ldl */
#define FAULTS_FIRST 1000000000
#include "../faults.c"
