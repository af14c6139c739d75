/* The C library's malloc by the names that glibc has for it, for a C test with a malloc of its own on musl. */
#include <dlfcn.h>
#include <stdlib.h>

#define NEXT(name)                                                  \
  static __typeof__(&name) next;                                    \
  if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

void *__libc_malloc(size_t n) {
  NEXT(malloc);
  return next(n);
}

void *__libc_calloc(size_t n, size_t each) {
  NEXT(calloc);
  return next(n, each);
}

void *__libc_realloc(void *p, size_t n) {
  NEXT(realloc);
  return next(p, n);
}

void *__libc_memalign(size_t align, size_t n) {
  NEXT(aligned_alloc);
  return next(align, n);
}

void __libc_free(void *p) {
  NEXT(free);
  next(p);
}
