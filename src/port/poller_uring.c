/*
 * The poller over io_uring.
 *
 * Each lane has a ring of its own, used by its thread alone (SINGLE_ISSUER), which runs the kernel's deferred work only when it
 * asks for completions (DEFER_TASKRUN): no interrupt of a callback by the kernel's. One io_uring_enter per turn submits what
 * gathered and waits. Every socket has one multishot poll in the ring of its lane; a completion (CQE) of it says that
 * something changed, as an edge of epoll does, and goes on reporting as long as it carries IORING_CQE_F_MORE.
 *
 * The ring is made disabled, because the thread that enables it is the one SINGLE_ISSUER then insists on, and the port is
 * made before its workers run.
 *
 * A poll holds a reference to the socket's file. close() alone would neither end the connection nor free the endpoint: the
 * poll is removed first, and its last CQE, the one without F_MORE, frees the endpoint.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <stdio.h>
#include <string.h>

#ifdef PORT_HAVE_LIBURING

#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_io_uring_register
#define SYS_io_uring_register 427 /* on every processor; unknown to the C library of manylinux_2_28 */
#endif

enum {
    SUBMISSIONS = 256,  /* a turn's polls added and removed; when it is full it is submitted and goes on */
    COMPLETIONS = 8192, /* sockets that can change between two turns before the kernel has to keep a list of its own */
    AT_ONCE = 20,       /* deferred completions that one io_uring_enter runs, from Linux 6.13 on (IO_LOCAL_TW_DEFAULT_MAX) */
    ENOUGH = 256,       /* of a wait */
    PATIENCE = 250,     /* times 2 ms, for memory that the kernel is about to get back */
};

/* Tags in the low bits of user_data, which are free in a pointer. */
enum { TAG_POLL = 0, TAG_NOTHING = 1, TAG_WAKE = 2, TAGS = 3 };

struct ring_lane {
    struct io_uring ring;
    int enabled;
    int deaf; /* the poll of the eventfd has ended, and there was no room for another one yet */
    struct endpoint *dying; /* polls being removed, whose last CQE is to come */
};

/* Newest first; a kernel that does not know a flag answers EINVAL, and the next set is tried. */
static const unsigned setup_flags[] = {
    IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
};

static int make_ring(struct io_uring *ring, unsigned submissions, unsigned completions)
{
    int error = 0;
    for (size_t i = 0; i < sizeof setup_flags / sizeof *setup_flags; i++) {
        struct io_uring_params params;
        memset(&params, 0, sizeof params);
        params.flags = setup_flags[i];
        params.cq_entries = completions;
        error = -io_uring_queue_init_params(submissions, ring, &params);
        if (!error && !(params.features & IORING_FEAT_EXT_ARG)) { /* a wait with a time-out: Linux 5.11 */
            io_uring_queue_exit(ring);
            return ENOSYS;
        }
        if (error != EINVAL)
            return error;
    }
    return error;
}

/* For who is not root, rings count against the user's limit of locked memory on many kernels, and one that was closed goes on doing so
 * until the kernel has taken it down, in the background. */
static int make_ring_when_there_is_room(struct io_uring *ring, unsigned submissions, unsigned completions)
{
    int error = make_ring(ring, submissions, completions);
    for (int i = 0; error == ENOMEM && i < PATIENCE; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        error = make_ring(ring, submissions, completions);
    }
    return error;
}

static struct io_uring_sqe *next_sqe(struct ring_lane *poll)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&poll->ring);
    if (!sqe) {
        io_uring_submit(&poll->ring);
        sqe = io_uring_get_sqe(&poll->ring);
    }
    return sqe;
}

static int add_poll(struct ring_lane *poll, int fd, unsigned events, void *data, unsigned tag)
{
    struct io_uring_sqe *sqe = next_sqe(poll);
    if (!sqe)
        return EBUSY;
    io_uring_prep_poll_multishot(sqe, fd, events);
    io_uring_sqe_set_data64(sqe, (uintptr_t)data | tag);
    return 0;
}

static int ring_open(struct lane *lane)
{
    struct ring_lane *poll = calloc(1, sizeof *poll);
    int error;

    if (!poll)
        return ENOMEM;
    error = make_ring_when_there_is_room(&poll->ring, SUBMISSIONS, COMPLETIONS);
    if (error) {
        free(poll);
        return error;
    }
    lane->poll = poll;
    return 0;
}

static void ring_close(struct lane *lane)
{
    struct ring_lane *poll = lane->poll;
    io_uring_queue_exit(&poll->ring); /* the kernel lets go of everything: now the endpoints may be freed */
    while (poll->dying) {
        struct endpoint *e = poll->dying;
        poll->dying = e->mail;
        endpoint_free(e);
    }
    free(poll);
}

static int ring_claim(struct lane *lane)
{
    struct ring_lane *poll = lane->poll;
    /* io_uring_enable_rings(), by hand: liburing 2.3 declares it, but its shared library does not export it. */
    if (syscall(SYS_io_uring_register, poll->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
        return errno;
    poll->enabled = 1;
    return add_poll(poll, lane->wake, POLLIN, NULL, TAG_WAKE);
}

static int ring_watch(struct lane *lane, struct endpoint *e)
{
    int error = add_poll(lane->poll, e->fd, POLLIN | POLLOUT | POLLRDHUP, e, TAG_POLL);
    e->polled = !error;
    return error;
}

static void ring_forget(struct lane *lane, struct endpoint *e)
{
    struct ring_lane *poll = lane->poll;
    struct io_uring_sqe *sqe;

    if (!e->polled) { /* closed before it was watched, or after its poll had ended: no CQE will mention it */
        endpoint_close(e);
        endpoint_free(e);
        return;
    }
    sqe = next_sqe(poll);
    if (sqe) {
        /* Not IORING_OP_POLL_REMOVE: it fails with EALREADY while the kernel has an edge of this poll in hand, as it has in the
         * turn that added it, and then the poll keeps the connection open for ever. A cancel takes effect behind that edge. */
        io_uring_prep_cancel64(sqe, (uintptr_t)e | TAG_POLL, 0);
        io_uring_sqe_set_data64(sqe, TAG_NOTHING);
    } /* no room even after a submit: the ring's end takes it along, see ring_close */
    io_uring_submit_and_get_events(&poll->ring); /* now, so that the peer sees the end at the close, not a turn later */
    endpoint_close(e);
    e->mail = poll->dying;
    e->back = &poll->dying;
    if (e->mail)
        e->mail->back = &e->mail;
    poll->dying = e;
}

static void bury(struct endpoint *e)
{
    *e->back = e->mail;
    if (e->mail)
        e->mail->back = e->back;
    endpoint_free(e);
}

static void poll_completed(struct lane *lane, struct endpoint *e, int result, int more)
{
    int what = 0;

    if (e->back) { /* forgotten */
        if (!more)
            bury(e);
        return;
    }
    if (result < 0) {
        e->polled = 0;
        endpoint_fail(e);
        return;
    }
    if (result & (POLLIN | POLLRDHUP | POLLHUP | POLLERR))
        what |= ENDPOINT_READABLE;
    if (result & (POLLOUT | POLLHUP | POLLERR))
        what |= ENDPOINT_WRITABLE;
    if (result & (POLLRDHUP | POLLHUP | POLLERR))
        what |= ENDPOINT_ENDED;
    /* Without F_MORE the kernel ended it, on an overflow of the queue for instance. */
    if (!more && ring_watch(lane, e)) {
        endpoint_fail(e);
        return;
    }
    endpoint_ready(e, what);
}

/* Hand on what the kernel has completed; how much that was. */
static unsigned reap(struct lane *lane)
{
    struct ring_lane *poll = lane->poll;
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&poll->ring, head, cqe)
    {
        uint64_t data = cqe->user_data;
        int more = (cqe->flags & IORING_CQE_F_MORE) != 0;
        count++;
        if ((data & TAGS) == TAG_POLL)
            poll_completed(lane, (struct endpoint *)(uintptr_t)data, cqe->res, more);
        else if ((data & TAGS) == TAG_WAKE && !more)
            poll->deaf = 1;
    }
    io_uring_cq_advance(&poll->ring, count);
    return count;
}

static int ring_wait(struct lane *lane, int64_t nanoseconds)
{
    struct ring_lane *poll = lane->poll;
    struct io_uring_cqe *cqe;
    unsigned count, last;
    int result;

    /* Here, and not where it was found: while the completions are being read, the kernel may have no room for more. */
    if (poll->deaf && !add_poll(poll, lane->wake, POLLIN, NULL, TAG_WAKE))
        poll->deaf = 0;
    if (poll->deaf)
        nanoseconds = 0; /* nobody could wake us: the caller comes again at once */
    if (nanoseconds < 0)
        result = io_uring_submit_and_wait(&poll->ring, 1);
    else if (nanoseconds == 0) /* not a wait of no time, for which the kernel would set a timer and sleep */
        result = io_uring_submit_and_get_events(&poll->ring);
    else {
        struct __kernel_timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
        result = io_uring_submit_and_wait_timeout(&poll->ring, &cqe, 1, &limit, NULL);
    }
    count = last = reap(lane);
    /* A busy server would otherwise take the turn of a worker, with the interpreter lock and a look at the timers, for every 20
     * sockets: 400 x 400 with 14 in sight held a fifth fewer players on io_uring than on epoll. */
    while (last >= AT_ONCE && count < ENOUGH && io_uring_submit_and_get_events(&poll->ring) >= 0)
        count += last = reap(lane);
    if (count || result >= 0 || result == -ETIME || result == -EAGAIN || result == -EBUSY)
        return 0; /* EBUSY: the completion queue was full, which reap() has just mended */
    return -result;
}

const struct poller io_uring_poller = {
    .open = ring_open,
    .close = ring_close,
    .claim = ring_claim,
    .watch = ring_watch,
    .forget = ring_forget,
    .wait = ring_wait,
    .watches_from_any_thread = 0,
};

/* The likely cause, from what the kernel says of itself. */
static void explain_refusal(int error, char *reason)
{
    char disabled = '0';
    FILE *setting = fopen("/proc/sys/kernel/io_uring_disabled", "r");

    if (setting) {
        int c = fgetc(setting);
        if (c != EOF)
            disabled = (char)c;
        fclose(setting);
    }
    if (error == ENOSYS)
        snprintf(reason, PORT_REASON_SIZE, "this kernel has no io_uring, or one before Linux 5.11");
    else if (error == EPERM && disabled != '0')
        snprintf(reason, PORT_REASON_SIZE,
                 "denied: the sysctl kernel.io_uring_disabled is %c (0 allows it to all, 1 to a group, 2 to nobody)", disabled);
    else if (error == EPERM || error == EACCES)
        snprintf(reason, PORT_REASON_SIZE,
                 "denied: most likely a container's seccomp profile (the default ones of Docker and containerd forbid io_uring)");
    else if (error == ENOMEM)
        snprintf(reason, PORT_REASON_SIZE, "no memory for a ring: most likely the limit of locked memory (ulimit -l)");
    else if (error == EMFILE)
        snprintf(reason, PORT_REASON_SIZE, "no descriptor left for a ring (ulimit -n)");
    else
        snprintf(reason, PORT_REASON_SIZE, "io_uring_setup failed with error %d", error);
}

int io_uring_probe(char *reason)
{
    struct io_uring ring;
    struct io_uring_probe *known;
    int error = make_ring_when_there_is_room(&ring, 4, 8), works;

    if (error) {
        explain_refusal(error, reason);
        return 0;
    }
    known = io_uring_get_probe_ring(&ring);
    works = known && io_uring_opcode_supported(known, IORING_OP_POLL_ADD) &&
            io_uring_opcode_supported(known, IORING_OP_ASYNC_CANCEL);
    if (known)
        io_uring_free_probe(known);
    snprintf(reason, PORT_REASON_SIZE, "%s", works ? (ring.flags & IORING_SETUP_DEFER_TASKRUN
                    ? "one ring for each worker (single issuer, deferred task work)" : "one ring for each worker (an older kernel's flags)")
                    : "this kernel's io_uring cannot poll");
    io_uring_queue_exit(&ring);
    return works;
}

#else /* built without liburing */

int io_uring_probe(char *reason)
{
    snprintf(reason, PORT_REASON_SIZE,
             "this build has no liburing: install its development package (Debian: liburing-dev) and build again");
    return 0;
}

#endif
