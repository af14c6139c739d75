/* ctests/faults.c, with every call of the system failed once. */
/* timeout: 1200 */
/* flags: -ldl */
#define FAULTS_FIRST 1000000000
#include "../faults.c"
