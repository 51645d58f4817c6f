/* Threads and gates over pthreads and Win32: see threads.h. */
#include "threads.h"

#include "port.h"

#include <stdio.h>
#include <stdlib.h>

struct start {
    void (*function)(void *);
    void *argument;
};

static struct start *start_new(void (*function)(void *), void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        fprintf(stderr, "no memory for a thread\n");
        exit(2);
    }
    start->function = function;
    start->argument = argument;
    return start;
}

static void start_run(void *given)
{
    struct start start = *(struct start *)given;
    free(given);
    start.function(start.argument);
}

void spin_for_microseconds(int microseconds)
{
    int64_t until = port_now() + (int64_t)microseconds * 1000;
    while (port_now() < until)
        continue;
}

#ifdef _WIN32

static DWORD WINAPI enter(LPVOID given)
{
    start_run(given);
    return 0;
}

thread_t thread_start(void (*function)(void *), void *argument)
{
    HANDLE thread = CreateThread(NULL, 0, enter, start_new(function, argument), 0, NULL);
    if (thread == NULL) {
        fprintf(stderr, "no thread: error %lu\n", GetLastError());
        exit(2);
    }
    return thread;
}

void thread_join(thread_t thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

void gate_make(struct gate *gate)
{
    InitializeSRWLock(&gate->lock);
    InitializeConditionVariable(&gate->changed);
    gate->count = 0;
}

void gate_unmake(struct gate *gate)
{
    (void)gate;
}

void gate_raise(struct gate *gate, int64_t by)
{
    AcquireSRWLockExclusive(&gate->lock);
    gate->count += by;
    WakeAllConditionVariable(&gate->changed);
    ReleaseSRWLockExclusive(&gate->lock);
}

int64_t gate_count(struct gate *gate)
{
    int64_t count;
    AcquireSRWLockExclusive(&gate->lock);
    count = gate->count;
    ReleaseSRWLockExclusive(&gate->lock);
    return count;
}

int gate_wait(struct gate *gate, int64_t at_least, int milliseconds)
{
    ULONGLONG deadline = GetTickCount64() + (ULONGLONG)milliseconds;
    int reached;
    AcquireSRWLockExclusive(&gate->lock);
    while (gate->count < at_least) {
        ULONGLONG now = GetTickCount64();
        if (now >= deadline)
            break;
        SleepConditionVariableSRW(&gate->changed, &gate->lock, (DWORD)(deadline - now), 0);
    }
    reached = gate->count >= at_least;
    ReleaseSRWLockExclusive(&gate->lock);
    return reached;
}

#else

#include <time.h>

static void *enter(void *given)
{
    start_run(given);
    return NULL;
}

thread_t thread_start(void (*function)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, enter, start_new(function, argument));
    if (error != 0) {
        fprintf(stderr, "no thread: error %d\n", error);
        exit(2);
    }
    return thread;
}

void thread_join(thread_t thread)
{
    pthread_join(thread, NULL);
}

void gate_make(struct gate *gate)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    gate->count = 0;
}

void gate_unmake(struct gate *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
}

void gate_raise(struct gate *gate, int64_t by)
{
    pthread_mutex_lock(&gate->lock);
    gate->count += by;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

int64_t gate_count(struct gate *gate)
{
    int64_t count;
    pthread_mutex_lock(&gate->lock);
    count = gate->count;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

int gate_wait(struct gate *gate, int64_t at_least, int milliseconds)
{
    struct timespec deadline;
    int reached;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += milliseconds / 1000;
    deadline.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&gate->lock);
    while (gate->count < at_least)
        if (pthread_cond_timedwait(&gate->changed, &gate->lock, &deadline) != 0)
            break;
    reached = gate->count >= at_least;
    pthread_mutex_unlock(&gate->lock);
    return reached;
}

#endif
