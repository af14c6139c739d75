/* Loops that show what a poll costs: kernels.c is built with polls and without, cost.c measures. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>
#include <stdint.h>

uint64_t kernel_random(uint64_t n);                               /* each turn waits for the last */
uint64_t kernel_hash(const uint8_t *p, size_t n);                 /* the same */
uint64_t kernel_sum(const uint32_t *p, size_t n);                 /* three instructions, or vectors */
void kernel_saxpy(float *y, const float *x, float a, size_t n);   /* vectors */
void kernel_matmul(double *c, const double *a, const double *b, int n); /* short loops */
uint64_t kernel_fib(unsigned n);                                  /* calls */
unsigned kernel_sieve(uint8_t *s, unsigned n);                    /* a store a turn */
void kernel_sort(int *a, long low, long high);                    /* turns that cannot be counted */

#endif
