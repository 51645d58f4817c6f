/*
 * epoll_pwait2() for ThreadSanitizer.
 *
 * What one thread wrote before epoll_ctl() is seen by the thread whose epoll_wait() then reports the descriptor: the kernel
 * orders the two. ThreadSanitizer knows that of epoll_ctl, epoll_wait and epoll_pwait, which it watches, but the versions of
 * gcc 12 and clang 14 do not watch epoll_pwait2 and would report a race that is none. So in a build for it, and in no other,
 * the call goes through epoll_pwait, in whole milliseconds.
 */
#ifdef __SANITIZE_THREAD__ /* gcc */
#define THREAD_SANITIZER
#elif defined(__has_feature) /* clang */
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER
#endif
#endif

#if defined(THREAD_SANITIZER) && defined(__linux__)

#define _GNU_SOURCE
#include <sys/epoll.h>
#include <time.h>

int epoll_pwait2(int port, struct epoll_event *events, int room, const struct timespec *limit, const sigset_t *mask)
{
    int milliseconds = -1;
    if (limit != NULL)
        milliseconds = (int)(limit->tv_sec * 1000 + (limit->tv_nsec + 999999) / 1000000);
    return epoll_pwait(port, events, room, milliseconds, mask);
}

#else

/* A file of C must hold something. */
typedef int nothing_to_see_here;

#endif
