/* The C library's malloc by the names that glibc has for it, for a C test with a malloc of its own on musl. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define NEXT(name)                                                  \
  static __typeof__(&name) next;                                    \
  if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

void *__libc_malloc(size_t n) {
  NEXT(malloc);
  return next(n);
}

/* musl's calloc calls malloc, the program's. */
void *__libc_calloc(size_t n, size_t each) {
  size_t size;
  void *p = __builtin_mul_overflow(n, each, &size) ? NULL : __libc_malloc(size);
  return p == NULL ? NULL : memset(p, 0, size);
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
