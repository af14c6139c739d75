/* timeout: 60 */
/* The example examples/request_reply: by its rule nothing leaks and nothing is freed too early. A sanitizer checks
 * that. */
#include "../examples/request_reply/request_reply.c"
