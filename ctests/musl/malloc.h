/* What the C tests use of glibc's malloc.h, for musl (ci/musl.sh). */
#include_next <malloc.h>

/* musl counts nothing. */
struct mallinfo2 {
  size_t uordblks, hblkhd;
};
static inline struct mallinfo2 mallinfo2(void) { return (struct mallinfo2){0, 0}; }

enum { M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX };
static inline int mallopt(int what, int value) { return (void)what, (void)value, 1; }
