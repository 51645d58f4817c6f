/* uring: a plain server on io_uring, as one would write it who knows that interface.
 *
 *   gcc -O2 -Wall -o uring uring.c -luring
 *   uring PORT echo
 *
 * Completion, not readiness: the kernel is asked once to accept and once per connection to receive, for ever (multishot), and
 * says what it has done. It receives into whichever buffer of a shared pool is next, so that an idle connection holds none.
 * The sends of a turn go into the kernel with the same call that waits for the next turn: one system call per turn, no other.
 */
#include "packets.h"

#include <liburing.h>

enum {
    ENTRIES = 4096,                /* submissions that may be waiting; the completion queue has four times as many */
    BUFFERS = 4096,                /* a power of two */
    BUFFER_SIZE = 4096,
    GROUP = 0,
};

/* What a completion is about: the low bits of its connection's address. */
enum { RECEIVED, SENT, ACCEPTED };

struct session {
    struct connection c;
    struct output *leaving;        /* the kernel's until its completion; answers gather in c.output meanwhile */
    bool receiving;
};

static struct io_uring ring;
static struct io_uring_buf_ring *pool;
static unsigned char *buffers;
static unsigned char joined[LONGEST_PACKET + BUFFER_SIZE];

static struct io_uring_sqe *next_entry(void)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (!entry) { /* the queue is full: let the kernel take it */
        io_uring_submit(&ring);
        entry = checked(io_uring_get_sqe(&ring));
    }
    return entry;
}

static void start_accepting(SOCKET listener)
{
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(entry, ACCEPTED);
}

static void start_receiving(struct session *s)
{
    struct io_uring_sqe *entry = next_entry();
    io_uring_prep_recv_multishot(entry, s->c.fd, NULL, 0, 0);
    io_uring_sqe_set_data64(entry, (uintptr_t)s | RECEIVED);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = GROUP;
    s->receiving = true;
}

static void send_output(struct session *s)
{
    struct io_uring_sqe *entry = next_entry();
    s->leaving = s->c.output;
    s->c.output = NULL;
    io_uring_prep_send(entry, s->c.fd, s->leaving->bytes, s->leaving->length, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(entry, (uintptr_t)s | SENT);
}

/* Hang up; the memory goes when the kernel has given back what it has of this connection. */
static void end(struct session *s)
{
    if (!s->c.closed) {
        s->c.closed = true;
        shutdown(s->c.fd, SHUT_RDWR); /* ends the receive, which the kernel would hold on to after close() */
    }
    if (s->receiving || s->leaving)
        return;
    close(s->c.fd);
    drop(&s->c.output);
    free(s->c.partial);
    free(s);
}

static void accepted(int fd)
{
    struct session *s = checked(calloc(1, sizeof *s));
    no_delay(fd);
    s->c.fd = fd;
    start_receiving(s);
}

static bool process(struct session *s, const unsigned char *bytes, uint32_t length)
{
    uint32_t used;
    if (s->c.partial_length) {
        memcpy(joined, s->c.partial, s->c.partial_length);
        memcpy(joined + s->c.partial_length, bytes, length);
        bytes = joined;
        length += s->c.partial_length;
    }
    if (!cut_packets(&s->c, bytes, length, &used))
        return false;
    if (used < length || s->c.partial)
        keep_partial(&s->c, bytes + used, length - used);
    return true;
}

static void received(struct session *s, int result, unsigned flags)
{
    s->receiving = flags & IORING_CQE_F_MORE;
    bool good = result > 0 || result == -ENOBUFS;
    if (flags & IORING_CQE_F_BUFFER) {
        unsigned char *bytes = buffers + (size_t)(flags >> IORING_CQE_BUFFER_SHIFT) * BUFFER_SIZE;
        good = good && !s->c.closed && process(s, bytes, (uint32_t)result);
        io_uring_buf_ring_add(pool, bytes, BUFFER_SIZE, (unsigned short)(flags >> IORING_CQE_BUFFER_SHIFT), BUFFERS - 1, 0);
        io_uring_buf_ring_advance(pool, 1);
    }
    if (!good || s->c.closed) {
        end(s);
        return;
    }
    if (!s->receiving) /* no buffer was free, or the completion queue was full */
        start_receiving(s);
    if (s->c.output && !s->leaving)
        send_output(s);
}

static void sent(struct session *s, int result)
{
    bool all = result == (int)s->leaving->length;
    drop(&s->leaving);
    if (!all || s->c.closed)
        end(s);
    else if (s->c.output)
        send_output(s);
}

static void turn(SOCKET listener)
{
    struct io_uring_cqe *entry;
    unsigned head, count = 0;
    io_uring_submit_and_wait(&ring, 1);
    io_uring_for_each_cqe(&ring, head, entry) {
        int kind = (int)(entry->user_data & 3);
        struct session *s = (struct session *)(uintptr_t)(entry->user_data & ~(uint64_t)3);
        count++;
        if (kind == RECEIVED)
            received(s, entry->res, entry->flags);
        else if (kind == SENT)
            sent(s, entry->res);
        else {
            if (entry->res >= 0)
                accepted(entry->res);
            if (!(entry->flags & IORING_CQE_F_MORE))
                start_accepting(listener);
        }
    }
    io_uring_cq_advance(&ring, count);
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("uring", argc, argv, NULL);
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * ENTRIES,
    };
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = GROUP};
    int code = io_uring_queue_init_params(ENTRIES, &ring, &parameters);
    if (code == 0) {
        pool = checked(aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf)));
        buffers = checked(malloc((size_t)BUFFERS * BUFFER_SIZE));
        memset(pool, 0, BUFFERS * sizeof(struct io_uring_buf));
        registration.ring_addr = (uintptr_t)pool;
        code = io_uring_register_buf_ring(&ring, &registration, 0);
    }
    if (code != 0) {
        fprintf(stderr, "uring: %s\n", strerror(-code));
        return 1;
    }
    io_uring_buf_ring_init(pool);
    for (int i = 0; i < BUFFERS; i++)
        io_uring_buf_ring_add(pool, buffers + (size_t)i * BUFFER_SIZE, BUFFER_SIZE, (unsigned short)i, BUFFERS - 1, i);
    io_uring_buf_ring_advance(pool, BUFFERS);
    start_accepting(listener);
    for (;;)
        turn(listener);
}
