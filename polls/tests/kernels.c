#include "kernels.h"

#include <string.h>

uint64_t kernel_random(uint64_t n) {
  uint64_t x = 1;
  for (uint64_t i = 0; i < n; i++) x = x * 6364136223846793005u + (x >> 33);
  return x;
}

uint64_t kernel_hash(const uint8_t *p, size_t n) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 1099511628211u;
  return h;
}

uint64_t kernel_sum(const uint32_t *p, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += p[i];
  return sum;
}

void kernel_saxpy(float *y, const float *x, float a, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

void kernel_matmul(double *c, const double *a, const double *b, int n) {
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < n; k++) {
      double by = a[i * n + k];
      for (int j = 0; j < n; j++) c[i * n + j] += by * b[k * n + j];
    }
  }
}

uint64_t kernel_fib(unsigned n) { return n < 2 ? n : kernel_fib(n - 1) + kernel_fib(n - 2); }

unsigned kernel_sieve(uint8_t *s, unsigned n) {
  unsigned found = 0;
  memset(s, 1, n);
  for (unsigned i = 2; i < n; i++) {
    if (!s[i]) continue;
    found++;
    for (unsigned j = i * 2; j < n; j += i) s[j] = 0;
  }
  return found;
}

void kernel_sort(int *a, long low, long high) {
  while (low < high) {
    int pivot = a[(low + high) / 2];
    long i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i > j) continue;
      int t = a[i];
      a[i++] = a[j];
      a[j--] = t;
    }
    if (j - low < high - i) {
      kernel_sort(a, low, j);
      low = i;
    } else {
      kernel_sort(a, i, high);
      high = j;
    }
  }
}
