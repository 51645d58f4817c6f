/*
 * The little of threads that the contract suite needs, the same over pthreads and Win32.
 *
 * A gate is a number that one side raises and the other side waits for, with a deadline: no test sleeps and hopes.
 */
#ifndef CONTRACT_THREADS_H
#define CONTRACT_THREADS_H

#include <stdint.h>

#ifdef _WIN32
#include "port.h"
typedef HANDLE thread_t;
#else
#include <pthread.h>
typedef pthread_t thread_t;
#endif

struct gate {
#ifdef _WIN32
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
#else
    pthread_mutex_t lock;
    pthread_cond_t changed;
#endif
    int64_t count;
};

/* Ends the process when the system cannot start a thread: no test makes sense then. */
thread_t thread_start(void (*function)(void *), void *argument);
void thread_join(thread_t thread);

void gate_make(struct gate *gate);
void gate_unmake(struct gate *gate);
void gate_raise(struct gate *gate, int64_t by);
int64_t gate_count(struct gate *gate);
/* Whether the count reached `at_least` within `milliseconds`. */
int gate_wait(struct gate *gate, int64_t at_least, int milliseconds);

/* Keep the processor busy, to shift the moment at which two threads meet. */
void spin_for_microseconds(int microseconds);

#endif
