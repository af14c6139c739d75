/* A program that is linked with libgomax_posix behind the C library is told so: no call comes to the library. */
#include <gomax_posix.h>
#include <stdio.h>

int main(void) {
  gmx_status status = gmx_posix_enable(GMX_POSIX_ALL);
  if (status == GMX_ENOTSUP) return 0;
  fprintf(stderr, "gmx_posix_enable: %s\n", gmx_err_name(status));
  return 1;
}
