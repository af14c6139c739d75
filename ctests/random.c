/* A few seconds of ctests/stress/random.c. */
#define RANDOM_SECONDS 4.0
#include "stress/random.c"
