/*
 * Locks and counters that threads share, for compilers that know C11's atomics and for MSVC, which does not by default.
 *
 * spin_t guards a few instructions of one session or one socket: four bytes, because there is one in each. mutex_t guards
 * whatever takes longer or is waited for. counter_t is a number many threads add to and any thread may read. flag_t is a small number
 * that is written under a lock and may be read without it.
 */
#ifndef IOCP_SYNC_H
#define IOCP_SYNC_H

#include <stdint.h>

#ifdef _WIN32

#include "win32.h"

typedef struct { volatile long held; } spin_t;

static inline int spin_try(spin_t *lock) { return InterlockedExchange(&lock->held, 1) == 0; }
static inline void spin_unlock(spin_t *lock) { InterlockedExchange(&lock->held, 0); }
static inline void spin_yield(void) { SwitchToThread(); }
static inline void spin_pause(void) { YieldProcessor(); }

typedef SRWLOCK mutex_t;

static inline void mutex_init(mutex_t *m) { InitializeSRWLock(m); }
static inline void mutex_lock(mutex_t *m) { AcquireSRWLockExclusive(m); }
static inline int mutex_try(mutex_t *m) { return TryAcquireSRWLockExclusive(m) != 0; }
static inline void mutex_unlock(mutex_t *m) { ReleaseSRWLockExclusive(m); }
static inline void mutex_destroy(mutex_t *m) { (void)m; }

typedef volatile unsigned char flag_t;

typedef volatile LONG64 counter_t;

static inline int64_t counter_add(counter_t *c, int64_t n) { return InterlockedExchangeAdd64(c, n) + n; }
static inline int64_t counter_get(counter_t *c) { return InterlockedCompareExchange64(c, 0, 0); }
static inline void counter_set(counter_t *c, int64_t n) { InterlockedExchange64(c, n); }
static inline int64_t counter_swap(counter_t *c, int64_t n) { return InterlockedExchange64(c, n); }
/* One writer only: no locked instruction, but a reader never sees half a number. */
static inline void counter_own(counter_t *c, int64_t n) { *c += n; }
static inline void counter_put(counter_t *c, int64_t n) { *c = n; }

#ifdef _MSC_VER
#define PORT_THREAD_LOCAL __declspec(thread)
#else
#define PORT_THREAD_LOCAL __thread
#endif

#else

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

typedef struct { atomic_int held; } spin_t;

static inline int spin_try(spin_t *lock) { return atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0; }
static inline void spin_unlock(spin_t *lock) { atomic_store_explicit(&lock->held, 0, memory_order_release); }
static inline void spin_yield(void) { sched_yield(); }
static inline void spin_pause(void) {}

typedef pthread_mutex_t mutex_t;

static inline void mutex_init(mutex_t *m) { pthread_mutex_init(m, NULL); }
static inline void mutex_lock(mutex_t *m) { pthread_mutex_lock(m); }
static inline int mutex_try(mutex_t *m) { return pthread_mutex_trylock(m) == 0; }
static inline void mutex_unlock(mutex_t *m) { pthread_mutex_unlock(m); }
static inline void mutex_destroy(mutex_t *m) { pthread_mutex_destroy(m); }

typedef _Atomic uint8_t flag_t;

typedef _Atomic int64_t counter_t;

static inline int64_t counter_add(counter_t *c, int64_t n) { return atomic_fetch_add_explicit(c, n, memory_order_seq_cst) + n; }
static inline int64_t counter_get(counter_t *c) { return atomic_load_explicit(c, memory_order_seq_cst); }
static inline void counter_set(counter_t *c, int64_t n) { atomic_store_explicit(c, n, memory_order_seq_cst); }
static inline int64_t counter_swap(counter_t *c, int64_t n) { return atomic_exchange_explicit(c, n, memory_order_seq_cst); }
/* One writer only: no locked instruction, but a reader never sees half a number. */
static inline void counter_own(counter_t *c, int64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void counter_put(counter_t *c, int64_t n) { atomic_store_explicit(c, n, memory_order_relaxed); }

#define PORT_THREAD_LOCAL __thread

#endif

/* Spin a little, then let the holder run: on few processors it may have lost its own to us. */
static inline void spin_lock(spin_t *lock)
{
    int turns = 0;
    while (!spin_try(lock)) {
        if (++turns < 64)
            spin_pause();
        else
            spin_yield();
    }
}

#endif
