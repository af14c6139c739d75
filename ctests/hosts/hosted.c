/* Linked into each C test that is built as a shared object, by C and by C++ compilers. If the host asks for it, the
 * whole test runs in the constructor of its library, and so under the lock of the loader. */
#ifdef __cplusplus
extern "C" {
#endif
extern int hosted(int argc, char **argv) __asm__("main"); /* the test's: the linker is told -Bsymbolic */
extern int (*host_constructor)(int (*fn)(int, char **));  /* the host's; NULL: the test runs after it was loaded */
#ifdef __cplusplus
}
#endif

/* The last of the library's constructors, for this file comes after the test. */
__attribute__((__constructor__)) static void run_test(void) {
  if (host_constructor) host_constructor(hosted);
}
