/* A program in C says that it has no C++: the library loads no C++ runtime. */
/* flags: -ldl */
#include "gs.h"

#include <dlfcn.h>

__attribute__((__visibility__("default"))) extern const char gmx_without_cxx;
const char gmx_without_cxx = 1;

static void no_cxx_is_loaded(void) {
  CHECK_OK(gmx_main(nothing, NULL));
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  CHECK(dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD) == NULL);
}

int main(void) {
  RUN(no_cxx_is_loaded);
  return 0;
}
