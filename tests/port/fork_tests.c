/* What a fork leaves to both processes: the child has the sockets too, and keeps their files open when they are closed here. */
#include "harness.h"

#ifdef _WIN32

void close_is_heard_though_a_child_has_the_socket(void)
{
    skip_test("on Windows no process is a copy of another one");
}

void closed_socket_that_a_child_has_is_forgotten(void)
{
    skip_test("on Windows no process is a copy of another one");
}

#else

#include <sys/wait.h>
#include <unistd.h>

static pid_t child;
static int leash; /* the child lives until this end of a pipe is closed */

static void fork_child(void)
{
    int ends[2];
    char byte;

    CHECK_EQUAL(pipe(ends), 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ends[0]);
    leash = ends[1];
}

static void end_child(void)
{
    int status;
    close(leash);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

void close_is_heard_though_a_child_has_the_socket(void)
{
    SOCKET closed, reset;
    peer_t of_closed, of_reset;
    char byte;

    open_port(1);
    open_pair(&closed, &of_closed, 7, 0);
    open_pair(&reset, &of_reset, 8, 0);
    port_before_fork();
    fork_child();
    close_socket_now(closed);
    port_reset_on_close(reset);
    close_socket_now(reset);
    CHECK_EQUAL(peer_receive(of_closed, &byte, 1), 0);
    CHECK_EQUAL(peer_receive(of_reset, &byte, 1), -1);
    expect_quiet();
    peer_close(of_closed);
    peer_close(of_reset);
    end_child();
    close_port();
}

/* Also of a fork that nobody told the port of, such as that between fork and exec of a program that is started. */
void closed_socket_that_a_child_has_is_forgotten(void)
{
    SOCKET here;
    peer_t there;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    fork_child();
    close_socket_now(here);
    peer_send(there, "x", 1);
    expect_quiet(); /* a sanitizer sees what the poller would still have to say of it */
    peer_close(there);
    expect_quiet();
    end_child();
    close_port();
}

#endif
