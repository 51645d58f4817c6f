/*
 * The poller over epoll.
 *
 * Each lane has an epoll descriptor of its own and every socket is in exactly one of them, edge-triggered, for as long as it
 * lives: two epoll_ctl per connection. An edge says that something changed; endpoint.c remembers what, and clears it when a
 * receive comes back short (epoll(7), "Q9": for stream sockets less than asked means that nothing is left). EPOLLRDHUP must be
 * asked for, because a short receive would otherwise hide that the end of the stream came with the same edge.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__ /* gcc */
#define THREAD_SANITIZER
#elif defined(__has_feature) /* clang */
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER
#endif
#endif

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* on every processor */
#endif

enum { EVENTS = 256 }; /* completions of one turn; the core dequeues as many */

struct epoll_lane {
    int fd;
    struct epoll_event events[EVENTS];
};

static int watch_wake(struct epoll_lane *poll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    return epoll_ctl(poll->fd, EPOLL_CTL_ADD, fd, &event);
}

static int epoll_open(struct lane *lane)
{
    struct epoll_lane *poll = malloc(sizeof *poll);
    int error;

    if (!poll)
        return ENOMEM;
    poll->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll->fd < 0 || watch_wake(poll, lane->wake) < 0) {
        error = errno;
        if (poll->fd >= 0)
            close(poll->fd);
        free(poll);
        return error;
    }
    lane->poll = poll;
    return 0;
}

static void epoll_close(struct lane *lane)
{
    struct epoll_lane *poll = lane->poll;
    close(poll->fd);
    free(poll);
}

static int epoll_claim(struct lane *lane)
{
    (void)lane;
    return 0;
}

static int epoll_watch(struct lane *lane, struct endpoint *e)
{
    struct epoll_lane *poll = lane->poll;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e};
    return epoll_ctl(poll->fd, EPOLL_CTL_ADD, e->fd, &event) < 0 ? errno : 0;
}

/* On the owner's thread between two waits: no event of the last one is left to mention it. */
static void epoll_forget(struct lane *lane, struct endpoint *e)
{
    struct epoll_lane *poll = lane->poll;
    /* A close alone takes it out with the file's last descriptor, and a forked child may have another one. */
    epoll_ctl(poll->fd, EPOLL_CTL_DEL, e->fd, NULL);
    endpoint_close(e);
    endpoint_free(e);
}

/* Whole milliseconds, rounded up. */
static int wait_coarsely(struct epoll_lane *poll, int64_t nanoseconds)
{
    return epoll_wait(poll->fd, poll->events, EVENTS, nanoseconds < 0 ? -1 : (int)((nanoseconds + 999999) / 1000000));
}

#ifdef THREAD_SANITIZER
/*
 * What one thread wrote before epoll_ctl() is seen by the thread whose epoll_wait() then reports the descriptor: the kernel orders
 * the two. ThreadSanitizer knows that of the functions that it watches, and the finer wait is none of them: it would report races
 * that are none.
 */
#define wait_for_events wait_coarsely
#else
/* epoll_pwait2 by its number: glibc has the function from 2.35 on and musl has none, but wheels are built on older ones to run on
 * all. Two 64-bit numbers are the kernel's own time on every processor that pyiocp is built for, whatever the C library takes a timespec
 * for. */
static int wait_for_events(struct epoll_lane *poll, int64_t nanoseconds)
{
    const int64_t limit[2] = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    int count = (int)syscall(SYS_epoll_pwait2, poll->fd, poll->events, EVENTS, nanoseconds < 0 ? NULL : limit, NULL, (size_t)0);

    if (count < 0 && (errno == ENOSYS || errno == EPERM)) /* kernels before 5.11; containers that allow no calls they don't know */
        count = wait_coarsely(poll, nanoseconds);
    return count;
}
#endif

static int epoll_wait_lane(struct lane *lane, int64_t nanoseconds)
{
    struct epoll_lane *poll = lane->poll;
    int count = wait_for_events(poll, nanoseconds);

    if (count < 0)
        return errno;
    for (int i = 0; i < count; i++) {
        uint32_t events = poll->events[i].events;
        int what = 0;
        if (!poll->events[i].data.ptr)
            continue; /* the eventfd: it has done its work by ending the wait */
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            what |= ENDPOINT_READABLE;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            what |= ENDPOINT_WRITABLE;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            what |= ENDPOINT_ENDED;
        endpoint_ready(poll->events[i].data.ptr, what);
    }
    return 0;
}

const struct poller epoll_poller = {
    .open = epoll_open,
    .close = epoll_close,
    .claim = epoll_claim,
    .watch = epoll_watch,
    .forget = epoll_forget,
    .wait = epoll_wait_lane,
    .watches_from_any_thread = 1,
};

int epoll_probe(char *reason)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        snprintf(reason, PORT_REASON_SIZE, "epoll_create1 failed with error %d", errno);
        return 0;
    }
    close(fd);
    snprintf(reason, PORT_REASON_SIZE, "edge-triggered, one descriptor for each worker");
    return 1;
}
