/*
 * Compiled and linked, never run: whether there is a liburing with what poller_uring.c asks of it. 2.1, in Debian 11 and Ubuntu
 * 22.04, lacks most of these; 2.3 has them all.
 */
#define _GNU_SOURCE
#include <liburing.h>

int main(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct __kernel_timespec limit = {.tv_sec = 0};
    struct io_uring ring;
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe;

    if (io_uring_queue_init_params(4, &ring, &params) || !io_uring_get_probe_ring(&ring))
        return 1;
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_poll_multishot(sqe, 0, 0);
    io_uring_prep_cancel64(sqe, 0, 0);
    io_uring_sqe_set_data64(sqe, 0);
    return io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &limit, 0) + io_uring_submit_and_get_events(&ring);
}
