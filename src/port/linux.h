/*
 * What the Linux files of the port share: endpoints, lanes, and the poller they stand on.
 *
 * Readers of the kernel come in two shapes: it tells that something *is done* (io_uring's own receive) or that something
 * *can be done* (epoll, io_uring's multishot poll). Measured with an echo of 16-byte packets, server on one processor, in
 * packets per CPU-second, the shapes differ by less than the noise of 3 %:
 *
 *                                       100 connections x 16   100 x 1    1000 x 4
 *   epoll, edge-triggered + recv, send            3.49 M        220 k       815 k
 *   io_uring, multishot poll + recv, send         3.54 M        224 k       798 k
 *   io_uring, multishot receive into a buffer
 *     ring + send                                 3.54 M        222 k       819 k
 *   io_uring, multishot receive + send in the
 *     ring                                        3.52 M        220 k       796 k
 *   io_uring, one receive at a time + send        3.47 M        218 k       778 k
 *
 * The rows of io_uring were measured when a wait still gave 20 completions at most (see ring_wait), which the game's thousands
 * of slow connections paid for, and the echo hardly.
 *
 * So the port keeps the shape that both kernels' facilities share. It pins no buffer for a connection that is idle, stops
 * reading by doing nothing, and leaves one file with everything that can go wrong with an operation (endpoint.c) over two
 * pollers, each in a file of its own.
 */
#ifndef IOCP_LINUX_H
#define IOCP_LINUX_H

#define PORT_INSIDE
#include "port.h"
#include "sync.h"

#include <sys/uio.h>

struct port;
struct lane;

/* A WSASend the kernel did not take whole, with what is left of it. */
struct unsent {
    OVERLAPPED *overlapped;
    size_t sent;         /* bytes taken so far, over all buffers */
    unsigned first;      /* the first buffer with bytes left */
    unsigned count;
    struct iovec left[]; /* a copy: Win32 lets the WSABUF array die when WSASend returns */
};

/* An AcceptEx that waits. */
struct waiting_accept {
    struct waiting_accept *next;
    OVERLAPPED *overlapped;
    struct endpoint *accepted;
    void *addresses;
    DWORD local_length, remote_length;
};

/* What a SOCKET points to. `lock` guards everything below it; `fd` and `family` are set before others see the endpoint. */
struct endpoint {
    int fd; /* -1: a socket for AcceptEx or ConnectEx that has none yet */
    sa_family_t family;
    unsigned char skip; /* FILE_SKIP_COMPLETION_PORT_ON_SUCCESS */
    unsigned char connected; /* accepted: worth watching from its association on */
    unsigned char watched;   /* the poller knows it, or will when its lane has read its mail */
    unsigned char polled;    /* io_uring: a poll is in the ring; only its lane's thread looks */
    unsigned char resets;    /* port_reset_on_close() was called */
    unsigned char mailed;    /* in watch_mail; guarded by the lane's lock ... */
    unsigned char gone;      /* ... as is this: closesocket() was called */
    struct lane *lane;
    ULONG_PTR key;

    spin_t lock;
    unsigned char readable;  /* the poller said so and nothing has shown otherwise since */
    unsigned char ended;     /* end of stream or an error lies behind what can still be read */
    unsigned char listening;
    unsigned char closed;
    OVERLAPPED *receive;
    char *receive_buffer;
    ULONG receive_size;
    OVERLAPPED *connect;
    struct unsent *send;
    struct waiting_accept *accepts, **accepts_end;
    struct endpoint *mail;  /* next in its lane's mailbox, or among those the poller is about to free ... */
    struct endpoint **back; /* ... and what points to it there */
};

enum { LANE_RUNNING, LANE_ASLEEP, LANE_WOKEN };

/* What one thread waits on. Only that thread touches the poller's side of it. */
struct lane {
    struct port *port;
    atomic_int state;
    atomic_uint_fast64_t owner; /* the thread's number, 0 as long as it has none */
    uint64_t id;                /* unlike the address never used again */
    int wake;   /* an eventfd */
    unsigned turn; /* whose a batch of one is: the posted packets' or the sockets' */
    void *poll; /* the poller's own */

    mutex_t lock;
    OVERLAPPED *ready, **ready_end; /* complete, not dequeued */
    struct endpoint *watch_mail;    /* to be watched by the owner's poller */
    struct endpoint *close_mail;    /* closed; to be forgotten by the owner */
};

/* The poller: who may touch what is ready. Everything on the lane's own thread but `open` and `close`. */
struct poller {
    int (*open)(struct lane *lane);                          /* 0 or an error code */
    void (*close)(struct lane *lane);                        /* after all threads have left */
    int (*claim)(struct lane *lane);                         /* the owner is known now: 0 or an error code */
    int (*watch)(struct lane *lane, struct endpoint *e);     /* tell edges of e from now on: 0 or an error code */
    void (*forget)(struct lane *lane, struct endpoint *e);   /* endpoint_close(), and free e when nothing can mention it any more */
    int (*wait)(struct lane *lane, int64_t nanoseconds);     /* calls endpoint_ready; < 0 = forever. 0 or an error code */
    int watches_from_any_thread;
};

struct port {
    int backend;
    const struct poller *poller;
    DWORD lane_count;
    atomic_uint next_lane;
    mutex_t lock;
    OVERLAPPED_ENTRY *posted; /* a ring of posted_size, a power of two */
    size_t posted_first, posted_size;
    atomic_size_t posted_count;
    atomic_int signalled; /* SIGINT or SIGTERM came, to be dequeued as a packet with routed_key */
    ULONG_PTR routed_key;
    struct lane lanes[];
};

extern const struct poller epoll_poller;
extern const struct poller io_uring_poller;
int epoll_probe(char *reason);
int io_uring_probe(char *reason);

enum { ENDPOINT_READABLE = 1, ENDPOINT_WRITABLE = 2, ENDPOINT_ENDED = 4 };

/* endpoint.c: the poller says that e is ready. */
void endpoint_ready(struct endpoint *e, int what);
/* endpoint.c: the poller cannot watch e. */
void endpoint_fail(struct endpoint *e);
/* A new endpoint for `fd` (or -1), NULL: no memory. */
struct endpoint *endpoint_new(int fd, int family);
/* Cancel whatever is pending, queueing the completions. */
void endpoint_cancel_all(struct endpoint *e);
/* Close its descriptor, if it has one, so that the peer hears of it. */
void endpoint_close(struct endpoint *e);
void endpoint_free(struct endpoint *e);

/* acceptor.c: give waiting AcceptEx what has come, and cancel those that `overlapped` names (NULL: all). With e's lock held. */
void acceptor_accept(struct endpoint *e);
int acceptor_cancel(struct endpoint *e, OVERLAPPED *overlapped);

/* posted.c: 0 or an error code; up to `room` of the packets posted; whether there are any. */
int posted_init(struct port *port);
ULONG posted_take(struct port *port, LPOVERLAPPED_ENTRY entries, ULONG room);
int posted_any(const struct port *port);
/* Only what a signal handler may do: have some thread dequeue a packet with port->routed_key. */
void port_signal(struct port *port);

/* port_linux.c: queue the completion of an operation and wake the lane's thread if it sleeps. */
void lane_complete(struct lane *lane, OVERLAPPED *overlapped, ULONG_PTR key, int error, size_t bytes);
void lane_wake(struct lane *lane);
/* Have the poller watch e from now on, on whichever thread this is. 0 or an error code. */
int lane_watch(struct endpoint *e);

static inline struct endpoint *endpoint_of(SOCKET s) { return (struct endpoint *)s; }

#endif
