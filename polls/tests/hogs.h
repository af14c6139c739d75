/* Functions that call nothing of the library: hogs.c is built with polls, and once more without. */
#ifndef HOGS_H
#define HOGS_H

#include <stddef.h>
#include <stdint.h>

/* What a hog tells: it runs until `end`, and counts its turns. */
struct hog {
  volatile int end;
  volatile uint64_t turns;
};

/* Each of these returns when `end` is set. */
void hog_loop(struct hog *h);
void hog_nested(struct hog *h);
void hog_jumps(struct hog *h);       /* a circle of jumps that is no loop */
void hog_recursion(struct hog *h);   /* calls itself, and has no loop */
void hog_by_pointer(struct hog *h);  /* two functions that call each other by pointers */
void hog_not_polling(struct hog *h); /* gmx_no_poll */
void hog_tied(struct hog *h);        /* gmx_poll_tied */
void hog_thread_local(struct hog *h, int (*thread)(void), int *moved);
void hog_errno(struct hog *h, int value, int *wrong);
void hog_rounding(struct hog *h, int *wrong);

/* Calls nothing, and has variables in memory: below the stack pointer, if the compiler may put them there. */
void hog_leaf(struct hog *h, int *wrong);

/* Two that share a P: each has a turn when it finds that the other ran last, until both have had so many. */
struct turns {
  volatile int of[2], whose, wanted;
};
struct taker {
  struct turns *turns;
  int me;
};
void hog_takes_turns(void *taker);

/* Computes the same each time, in registers of all kinds; returns how many results were wrong. */
uint64_t hog_registers(struct hog *h);

/* Loops whose code ci/polls.sh looks at. */
uint64_t hot_sum(const uint32_t *p, size_t n);
void hot_scale(double *p, double by, size_t n);
uint64_t hot_hash(const uint8_t *p, size_t n);

#endif
