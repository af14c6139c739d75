/*
 * Words that several Gs or threads of a test share: load, store and bump on plain integers and pointers, the same in C
 * and in C++. A store releases what the load of its value acquires; bump adds one and is the value before.
 */
#ifndef GOMAX_SHARED_H
#define GOMAX_SHARED_H

#define load(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define bump(p) __atomic_fetch_add(p, 1, __ATOMIC_ACQ_REL)

#endif /* GOMAX_SHARED_H */
