/* timeout: 60 */
/* The example: by its rule nothing is leaked and nothing is freed too early, which a sanitizer says. */
#include "../examples/request_reply/request_reply.c"
