/* The wait itself: time-outs, posts, batches, signals; and what the port says about errors and the machine. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static int64_t milliseconds_since(int64_t start)
{
    return (port_now() - start) / 1000000;
}

void wait_of_no_time_returns_at_once(void)
{
    struct packet packet;
    int64_t start;
    open_port(1);
    start = port_now();
    CHECK_EQUAL(dequeue(&packet, 1, 0), 0);
    CHECK(milliseconds_since(start) < deadline_milliseconds() / 2);
    close_port();
}

void wait_of_some_time_returns_after_it(void)
{
    struct packet packet;
    int64_t start, took;
    open_port(1);
    start = port_now();
    CHECK_EQUAL(dequeue(&packet, 1, 80), 0);
    took = milliseconds_since(start);
    /* Windows counts in clock ticks of up to 16 ms and may be early by one. */
    CHECK(took >= 64);
    CHECK(took < deadline_milliseconds() / 2);
    close_port();
}

/* Windows may ignore the hint, so there it only must not do harm. */
void wait_may_be_told_to_end_sooner_and_only_once(void)
{
    struct packet packet;
    int64_t start, took;
    open_port(1);
    start = port_now();
    port_wait_until(start + 20500000);
    CHECK_EQUAL(dequeue(&packet, 1, 100), 0);
    took = milliseconds_since(start);
    CHECK(took >= 20);
#ifndef _WIN32
    CHECK(port_now() - start >= 20500000);
#endif
    start = port_now();
    CHECK_EQUAL(dequeue(&packet, 1, 80), 0);
    CHECK(milliseconds_since(start) >= 64);
    start = port_now();
    port_wait_until(start + INT64_C(3600000000000));
    CHECK_EQUAL(dequeue(&packet, 1, 20), 0);
    CHECK(milliseconds_since(start) < deadline_milliseconds() / 2);
    close_port();
}

static void post_once(void *unused)
{
    (void)unused;
    spin_for_microseconds(20000); /* so that the other side sleeps already, most of the time */
    post(99);
}

void endless_wait_is_woken_by_a_post(void)
{
    struct packet packet;
    int round;
    open_port(1);
    for (round = 0; round < 5; round++) {
        thread_t thread = thread_start(post_once, NULL);
        CHECK_EQUAL(dequeue(&packet, 1, INFINITE), 1);
        CHECK(packet.operation == NULL && packet.key == 99);
        thread_join(thread);
    }
    close_port();
}

void post_before_the_first_wait(void)
{
    struct packet packets[8];
    int got = 0, i;
    ULONG_PTR sum = 0;
    open_port(1);
    for (i = 1; i <= 5; i++)
        post((ULONG_PTR)i);
    while (got < 5) {
        int n = dequeue(packets, 8, (DWORD)deadline_milliseconds());
        CHECK(n > 0);
        for (i = 0; i < n; i++)
            sum += packets[i].key;
        got += n;
    }
    CHECK_EQUAL(got, 5);
    CHECK_EQUAL(sum, 15);
    expect_quiet();
    close_port();
}

/* Everything a post carries arrives as it was given, also a pointer that was never an operation of the port. */
void post_carries_what_it_was_given(void)
{
    OVERLAPPED_ENTRY entry;
    OVERLAPPED mine;
    ULONG count = 0;
    open_port(1);
    memset(&mine, 0, sizeof mine);
    CHECK(PostQueuedCompletionStatus(the_port, 123456, (ULONG_PTR)-2, &mine));
    while (!GetQueuedCompletionStatusEx(the_port, &entry, 1, &count, (DWORD)deadline_milliseconds(), FALSE))
        CHECK(WSAGetLastError() != WAIT_TIMEOUT);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(entry.dwNumberOfBytesTransferred, 123456);
    CHECK(entry.lpCompletionKey == (ULONG_PTR)-2);
    CHECK(entry.lpOverlapped == &mine);
    close_port();
}

void batch_is_never_larger_than_asked(void)
{
    enum { POSTS = 1000 };
    struct packet packets[64];
    char seen[POSTS];
    int got = 0, i;
    open_port(1);
    memset(seen, 0, sizeof seen);
    for (i = 0; i < POSTS; i++)
        post((ULONG_PTR)i);
    for (i = 1; got < POSTS; i = i % 64 + 1) {
        int n = dequeue(packets, i, (DWORD)deadline_milliseconds()), j; /* it checks n <= i */
        CHECK(n > 0);
        for (j = 0; j < n; j++) {
            CHECK(packets[j].key < POSTS && !seen[packets[j].key]);
            seen[packets[j].key] = 1;
        }
        got += n;
    }
    expect_quiet();
    close_port();
}

void completions_and_posts_take_turns(void)
{
    struct operation *receive;
    struct packet packet;
    SOCKET here;
    peer_t there;
    int64_t start = port_now();
    /* A post that posts itself again, for ever, must not keep a completion out, even when one packet at a time is taken. */
    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    post(1);
    peer_send(there, "x", 1);
    while (!is_complete(receive)) {
        CHECK_EQUAL(dequeue(&packet, 1, (DWORD)deadline_milliseconds()), 1);
        if (packet.operation == NULL)
            post(1);
        CHECK(milliseconds_since(start) < deadline_milliseconds());
    }
    CHECK_EQUAL(dequeue(&packet, 1, (DWORD)deadline_milliseconds()), 1);
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

#ifdef _WIN32

/* In a process group of its own (test_contract.py makes one), so that nobody else hears the Ctrl-Break. */
void console_event_is_posted_to_the_port(void)
{
    struct packet packet;
    if (getenv("CONTRACT_OWN_GROUP") == NULL)
        skip_test("it interrupts everything on this console; set CONTRACT_OWN_GROUP=1 in a process group of its own");
    open_port(1);
    port_route_console(the_port, 0xC0, 0);
    counter_add(&posts_in_flight, 1); /* the handler's */
    if (!GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, GetCurrentProcessId()))
        skip_test("no console on which this process group could be interrupted (error %lu)", GetLastError());
    CHECK_EQUAL(dequeue(&packet, 1, (DWORD)deadline_milliseconds()), 1);
    CHECK(packet.operation == NULL && packet.key == 0xC0);
    port_route_console(NULL, 0, 0);
    close_port();
}

void signal_ends_a_wait(void)
{
    skip_test("Windows has no signals; port_route_console posts to the port instead");
}

void only_signals_with_a_handler_are_posted(void)
{
    skip_test("Windows has no signals; its console's events are tested above");
}

#else

#include <pthread.h>
#include <signal.h>

void console_event_is_posted_to_the_port(void)
{
    skip_test("consoles are Windows' own; here signals end a wait");
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

struct nagger {
    pthread_t whom;
    struct gate woken;
};

/* Whether the other thread waits already cannot be known, so the signal comes again until it has woken. */
static void nagger(void *given)
{
    struct nagger *n = given;
    do
        pthread_kill(n->whom, SIGUSR1);
    while (!gate_wait(&n->woken, 1, 20));
}

void signal_ends_a_wait(void)
{
    static const DWORD waits[] = {INFINITE, 600000};
    struct sigaction action;
    size_t i;

    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal; /* without SA_RESTART, as Python installs its own */
    sigaction(SIGUSR1, &action, NULL);
    open_port(1);
    for (i = 0; i < 2; i++) {
        struct nagger job;
        thread_t thread;
        OVERLAPPED_ENTRY entry;
        ULONG count;
        job.whom = pthread_self();
        gate_make(&job.woken);
        thread = thread_start(nagger, &job);
        CHECK(!GetQueuedCompletionStatusEx(the_port, &entry, 1, &count, waits[i], FALSE));
        CHECK_EQUAL(WSAGetLastError(), EINTR);
        gate_raise(&job.woken, 1);
        thread_join(thread);
        gate_unmake(&job.woken);
    }
    CHECK(signals >= 2);
    close_port();
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    CHECK_EQUAL(sigaction(number, &action, NULL), 0);
}

static void check_handler(int number, void (*expected)(int))
{
    struct sigaction now;
    CHECK_EQUAL(sigaction(number, NULL, &now), 0);
    CHECK(now.sa_handler == expected);
}

void only_signals_with_a_handler_are_posted(void)
{
    struct packet packet;

    handle(SIGINT, count_signal);
    handle(SIGTERM, SIG_DFL);
    open_port(1);
    port_route_console(the_port, 0xC0, 1);
    check_handler(SIGTERM, SIG_DFL);
    counter_add(&posts_in_flight, 1); /* the handler's */
    CHECK_EQUAL(raise(SIGINT), 0);
    CHECK_EQUAL(dequeue(&packet, 1, (DWORD)deadline_milliseconds()), 1);
    CHECK(packet.operation == NULL && packet.key == 0xC0);
    CHECK_EQUAL(signals, 1);
    handle(SIGTERM, SIG_IGN); /* somebody else's, which is to stay */
    port_route_console(NULL, 0, 0);
    check_handler(SIGINT, count_signal);
    check_handler(SIGTERM, SIG_IGN);
    close_port();
}

#endif

/* ---- what the port says ---- */

static void check_text(const char *text, int length)
{
    int i, follow = 0;
    CHECK_EQUAL(length, strlen(text));
    for (i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        CHECK(c >= 0x20);
        if ((c & 0xC0) == 0x80) {
            CHECK(follow > 0);
            follow--;
            continue;
        }
        CHECK_EQUAL(follow, 0); /* a character cut in the middle */
        follow = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
    }
    CHECK_EQUAL(follow, 0);
    CHECK(length == 0 || text[length - 1] != ' ');
}

void error_text_is_utf8_without_a_line_end(void)
{
    static const int codes[] = {WSAECONNREFUSED, WSAECONNRESET, WSAEADDRINUSE, WSAEMFILE, WSAENOBUFS, 0x7ABCDEF};
    char text[300], small[40];
    size_t i;
    int size;
    for (i = 0; i < sizeof codes / sizeof *codes; i++) {
        int length = port_error_text(codes[i], text, (int)sizeof text);
        CHECK(length > 0);
        check_text(text, length);
        for (size = 1; size <= (int)sizeof small; size++) {
            int shorter;
            memset(small, '~', sizeof small);
            shorter = port_error_text(codes[i], small, size);
            CHECK(shorter < size);
            CHECK_EQUAL(memcmp(small, text, (size_t)shorter), 0);
            CHECK_EQUAL(small[shorter], 0);
            CHECK(size == (int)sizeof small || small[size] == '~');
        }
    }
}

/* How a connection is lost, by the peer or on the way to it. */
static const int losses[] = {
    WSAECONNRESET, WSAECONNABORTED, WSAENETRESET, WSAETIMEDOUT, WSAEHOSTUNREACH, WSAENETUNREACH, WSAENETDOWN,
#ifdef _WIN32
    ERROR_NETNAME_DELETED, ERROR_CONNECTION_ABORTED, ERROR_SEM_TIMEOUT, ERROR_HOST_UNREACHABLE, ERROR_NETWORK_UNREACHABLE,
#else
    EPIPE,
#endif
};

void errors_are_sorted_by_meaning(void)
{
    size_t i;
    for (i = 0; i < sizeof losses / sizeof *losses; i++) {
        if (!port_is_reset(losses[i]))
            FAIL("error %d is no loss of a connection", losses[i]);
        CHECK(!port_is_exhaustion(losses[i]) && !port_is_cancelled(losses[i]) && !port_is_would_block(losses[i]));
    }
    CHECK(!port_is_reset(WSAECONNREFUSED) && !port_is_reset(WSAENOBUFS) && !port_is_reset(ERROR_OPERATION_ABORTED) && !port_is_reset(0));
    CHECK(port_is_cancelled(ERROR_OPERATION_ABORTED) && !port_is_cancelled(WSAECONNRESET) && !port_is_cancelled(0));
    CHECK(port_is_exhaustion(WSAEMFILE) && port_is_exhaustion(WSAENOBUFS) && !port_is_exhaustion(WSAEWOULDBLOCK));
    CHECK(!port_is_exhaustion(0) && !port_is_exhaustion(WSAECONNRESET));
    CHECK(port_is_would_block(WSAEWOULDBLOCK) && !port_is_would_block(WSAECONNRESET) && !port_is_would_block(0));
}

void what_the_port_knows_of_the_machine(void)
{
    int64_t before = port_now(), after;
    spin_for_microseconds(2000);
    after = port_now();
    CHECK(after - before >= 2000000 && after - before < (int64_t)deadline_milliseconds() * 1000000);
    CHECK(port_cpu_count() >= 1);
    CHECK(port_raise_open_files() == -1 || port_raise_open_files() >= 64);
    port_name_thread("contract");
    port_name_thread("a name that is longer than any system's limit for the names of threads");
}

void backends_of_other_systems_say_so(void)
{
    static const int backends[] = {PORT_IOCP, PORT_IO_URING, PORT_EPOLL};
    char reason[PORT_REASON_SIZE];
    size_t i;
    for (i = 0; i < 3; i++) {
        HANDLE port;
        int works;
        reason[0] = '\0';
        works = port_probe(backends[i], reason);
        CHECK(strlen(reason) > 5 && strlen(reason) < PORT_REASON_SIZE);
        port = port_create(backends[i], 1);
        CHECK_EQUAL(port != NULL, works);
        if (port == NULL)
            CHECK(WSAGetLastError() != 0);
        else
            CHECK(CloseHandle(port));
    }
    CHECK(port_probe(the_backend, reason));
}
