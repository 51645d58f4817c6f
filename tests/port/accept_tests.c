/* AcceptEx: a pool of accepts, the addresses, clients that are gone, and listeners that must outlive them. */
#include "harness.h"

#include <string.h>

enum { POOL = 4, CLIENTS = 12 };

void accept_pool_takes_every_client(void)
{
    struct operation *pool[POOL];
    struct packet packets[POOL];
    SOCKET listener;
    peer_t peers[CLIENTS];
    int seen[CLIENTS] = {0}, accepted = 0, i;

    open_port(1);
    listener = open_listener(AF_INET);
    for (i = 0; i < POOL; i++) {
        pool[i] = operation_new(ACCEPT, listener);
        start_accept(pool[i], AF_INET);
    }
    for (i = 0; i < CLIENTS; i++) {
        char number = (char)i;
        peers[i] = peer_open(PEER_IPV4, listener_port(listener));
        peer_send(peers[i], &number, 1);
    }
    while (accepted < CLIENTS) {
        int progress = 0;
        for (i = 0; i < POOL; i++) {
            char number;
            SOCKET s;
            if (!is_complete(pool[i]))
                continue;
            progress = 1;
            CHECK_EQUAL(pool[i]->error, 0);
            CHECK(!pool[i]->key || pool[i]->key == 1);
            s = pool[i]->accepted;
            CHECK_EQUAL(port_adopt(s, listener), 0);
            associate(s, 100);
            receive_all(s, &number, 1);
            CHECK(number >= 0 && number < CLIENTS && !seen[(int)number]);
            seen[(int)number] = 1;
            close_socket_now(s);
            accepted++;
            if (start_accept(pool[i], AF_INET) == REFUSED)
                FAIL("AcceptEx again: error %d", pool[i]->error);
        }
        if (!progress)
            CHECK(dequeue(packets, POOL, (DWORD)deadline_milliseconds()) > 0);
    }
    for (i = 0; i < CLIENTS; i++)
        peer_close(peers[i]);
    cancel(listener, NULL);
    wait_for_all();
    for (i = 0; i < POOL; i++) {
        CHECK(port_is_cancelled(pool[i]->error));
        close_socket_now(pool[i]->accepted);
        operation_free(pool[i]);
    }
    close_socket_now(listener);
    close_port();
}

void accept_of_a_client_already_in_the_queue(void)
{
    SOCKET listener, s;
    peer_t peer;
    char bytes[5];

    open_port(1);
    listener = open_listener(AF_INET);
    peer = peer_open(PEER_IPV4, listener_port(listener));
    peer_send(peer, "early", 5);
    s = accept_peer(listener, AF_INET, 5);
    receive_all(s, bytes, 5);
    CHECK(memcmp(bytes, "early", 5) == 0);
    close_socket_now(s);
    close_socket_now(listener);
    peer_close(peer);
    close_port();
}

/* Turned away at the door: the peer must see the end at once, whether or not the port has looked at the socket before. */
void client_closed_right_after_it_was_accepted(void)
{
    SOCKET listener;
    int round;

    open_port(1);
    listener = open_listener(AF_INET);
    for (round = 0; round < 20; round++) {
        peer_t peer = peer_open(PEER_IPV4, listener_port(listener));
        SOCKET s;
        char byte;
        if (round & 1)
            peer_send(peer, "x", 1);
        s = accept_peer(listener, AF_INET, 5);
        if (round & 2)
            expect_quiet();
        close_socket_now(s);
        CHECK(peer_receive(peer, &byte, 1) <= 0);
        peer_close(peer);
    }
    close_socket_now(listener);
    close_port();
}

/* Whether it was the good client, whose first byte is 'g', that this accept completed for. Ends both. */
static int is_good(struct operation *accept)
{
    char byte = 0;
    int good = 0, error = accept->error;
    /* Which error that is differs (Windows: 64, Wine: 10057); but it must not look like one of the port's own troubles. */
    if (port_is_cancelled(error) || port_is_exhaustion(error) || port_is_would_block(error))
        FAIL("AcceptEx failed with error %d, which no reset explains", error);
    if (error == 0 && port_adopt(accept->accepted, accept->socket) == 0) {
        associate(accept->accepted, 9);
        good = receive_some(accept->accepted, &byte, 1) == 1 && byte == 'g';
    }
    close_socket_now(accept->accepted);
    operation_free(accept);
    return good;
}

/* Accept until a client shows up whose first byte is 'g'; the others are dead and may show in any way a system likes: an
 * AcceptEx that fails, a socket that cannot be adopted, or one on which receiving fails. Returns how many there were. */
static int accept_the_good_one(SOCKET listener, int most)
{
    int dead = 0;
    for (;;) {
        struct operation *accept = operation_new(ACCEPT, listener);
        if (start_accept(accept, AF_INET) == STARTED)
            wait_for(accept);
        if (is_good(accept))
            return dead;
        CHECK(++dead <= most);
    }
}

void client_that_reset_while_in_the_queue(void)
{
    SOCKET listener;
    peer_t good;

    open_port(1);
    listener = open_listener(AF_INET);
    peer_reset(peer_open(PEER_IPV4, listener_port(listener)));
    good = peer_open(PEER_IPV4, listener_port(listener));
    peer_send(good, "g", 1);
    accept_the_good_one(listener, 1);
    peer_close(good);
    close_socket_now(listener);
    close_port();
}

void client_that_resets_while_accepts_wait(void)
{
    SOCKET listener;
    struct operation *accept;
    peer_t good;

    open_port(1);
    listener = open_listener(AF_INET);
    accept = operation_new(ACCEPT, listener);
    CHECK(start_accept(accept, AF_INET) == STARTED);
    peer_reset(peer_open(PEER_IPV4, listener_port(listener)));
#ifndef _WIN32
    wait_for(accept); /* elsewhere who has reset before the system came to it may never be seen */
#endif
    good = peer_open(PEER_IPV4, listener_port(listener));
    peer_send(good, "g", 1);
    wait_for(accept);
    if (!is_good(accept))
        CHECK_EQUAL(accept_the_good_one(listener, 0), 0);
    peer_close(good);
    close_socket_now(listener);
    close_port();
}

void listener_survives_many_dead_clients(void)
{
    SOCKET listener;
    int round, i;

    open_port(1);
    listener = open_listener(AF_INET);
    for (round = 0; round < 4; round++) {
        peer_t good;
        for (i = 0; i < 8; i++)
            peer_reset(peer_open(PEER_IPV4, listener_port(listener)));
        good = peer_open(PEER_IPV4, listener_port(listener));
        peer_send(good, "g", 1);
        accept_the_good_one(listener, 8);
        peer_close(good);
    }
    close_socket_now(listener);
    close_port();
}

void cancel_of_one_accept_leaves_the_others(void)
{
    struct operation *first, *second;
    SOCKET listener;
    peer_t peer;

    open_port(1);
    listener = open_listener(AF_INET);
    first = operation_new(ACCEPT, listener);
    second = operation_new(ACCEPT, listener);
    CHECK(start_accept(first, AF_INET) == STARTED);
    CHECK(start_accept(second, AF_INET) == STARTED);
    CHECK(cancel(listener, first));
    wait_for(first);
    CHECK(port_is_cancelled(first->error));
    CHECK(!is_complete(second));
    peer = peer_open(PEER_IPV4, listener_port(listener));
    wait_for(second);
    CHECK_EQUAL(second->error, 0);
    CHECK(!cancel(listener, second));
    close_socket_now(first->accepted);
    close_socket_now(second->accepted);
    operation_free(first);
    operation_free(second);
    close_socket_now(listener);
    peer_close(peer);
    close_port();
}

void listener_closed_while_accepts_wait(void)
{
    struct operation *pool[POOL];
    SOCKET listener;
    int i;

    open_port(1);
    listener = open_listener(AF_INET);
    for (i = 0; i < POOL; i++) {
        pool[i] = operation_new(ACCEPT, listener);
        CHECK(start_accept(pool[i], AF_INET) == STARTED);
    }
    close_socket_now(listener);
    wait_for_all();
    for (i = 0; i < POOL; i++) {
        CHECK(pool[i]->error != 0);
        close_socket_now(pool[i]->accepted);
        operation_free(pool[i]);
    }
    close_port();
}

/* A server that is started again must get its port back, whichever end came first: the listener's or the port's. */
void port_number_is_free_after_the_listener_closed(void)
{
    int round;
    for (round = 0; round < 10; round++) {
        struct address address;
        SOCKET listener, second;
        struct operation *accept;
        open_port(1);
        listener = open_listener(AF_INET);
        accept = operation_new(ACCEPT, listener);
        CHECK(start_accept(accept, AF_INET) == STARTED);
        expect_quiet(); /* so that the port has looked at the listener */
        address = loopback_address(AF_INET, listener_port(listener));
        close_socket_now(listener);
        wait_for(accept);
        close_socket_now(accept->accepted);
        operation_free(accept);
        if (round & 1)
            close_port();
        second = port_listen((struct sockaddr *)&address.storage, address.length, 16, 1);
        if (second == INVALID_SOCKET)
            FAIL("round %d: the port number is still taken: error %d", round, WSAGetLastError());
        close_socket_now(second);
        if (!(round & 1))
            close_port();
    }
}

void second_listener_on_a_port_in_use(void)
{
    struct address address;
    SOCKET listener, second;

    open_port(1);
    listener = open_listener(AF_INET);
    address = loopback_address(AF_INET, listener_port(listener));
    second = port_listen((struct sockaddr *)&address.storage, address.length, 128, 1);
    CHECK(second == INVALID_SOCKET);
#ifdef _WIN32
    /* Windows: "access forbidden" where one of the two asked for the address exclusively. */
    CHECK(WSAGetLastError() == WSAEADDRINUSE || WSAGetLastError() == WSAEACCES);
#else
    CHECK_EQUAL(WSAGetLastError(), WSAEADDRINUSE);
#endif
    close_socket_now(listener);
    close_port();
}

#ifdef _WIN32

void accept_out_of_descriptors(void)
{
    skip_test("Windows has no limit of descriptors that a test could lower");
}

void connect_out_of_descriptors(void)
{
    skip_test("Windows has no limit of descriptors that a test could lower");
}

#else

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static struct rlimit limit_before;

/* No descriptor can be opened any more. */
static void allow_no_more_descriptors(void)
{
    struct rlimit limit;
    int next = open("/dev/null", O_RDONLY);
    CHECK(next >= 0);
    close(next);
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
    limit = limit_before;
    limit.rlim_cur = (rlim_t)next; /* the lowest free number: all below are in use */
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void allow_descriptors_again(void)
{
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit_before), 0);
}

void accept_out_of_descriptors(void)
{
    struct operation *accept, *waiting;
    SOCKET listener;
    peer_t queued, late;
    int round;

    open_port(1);
    listener = open_listener(AF_INET);
    queued = peer_open(PEER_IPV4, listener_port(listener));
    late = peer_socket(PEER_IPV4, 0);
    accept = operation_new(ACCEPT, listener);
    waiting = operation_new(ACCEPT, listener);

    /* A client is in the queue when AcceptEx is called. */
    allow_no_more_descriptors();
    for (round = 0; round < 3; round++) {
        if (start_accept(accept, AF_INET) == STARTED)
            wait_for(accept);
        CHECK(port_is_exhaustion(accept->error));
        close_socket_now(accept->accepted);
        expect_quiet(); /* nothing spins while the client still waits */
    }
    allow_descriptors_again();
    CHECK(start_accept(accept, AF_INET) != REFUSED);
    wait_for(accept);
    CHECK_EQUAL(accept->error, 0);
    close_socket_now(accept->accepted);
    peer_close(queued);

    /* AcceptEx waits when the client comes. */
    CHECK(start_accept(waiting, AF_INET) == STARTED);
    expect_quiet();
    allow_no_more_descriptors();
    CHECK(peer_connect(late, PEER_IPV4, listener_port(listener)));
    wait_for(waiting);
    CHECK(port_is_exhaustion(waiting->error));
    close_socket_now(waiting->accepted);
    expect_quiet();
    allow_descriptors_again();
    CHECK(start_accept(waiting, AF_INET) != REFUSED);
    wait_for(waiting);
    CHECK_EQUAL(waiting->error, 0);
    close_socket_now(waiting->accepted);
    peer_close(late);

    operation_free(accept);
    operation_free(waiting);
    close_socket_now(listener);
    close_port();
}

void connect_out_of_descriptors(void)
{
    struct address address;
    SOCKET s;
    peer_t listener;

    open_port(1);
    listener = peer_listen(PEER_IPV4, 4);
    address = loopback_address(AF_INET, peer_port(listener));
    allow_no_more_descriptors();
    s = port_socket(AF_INET);
    if (s == INVALID_SOCKET) {
        CHECK(port_is_exhaustion(WSAGetLastError()));
    } else {
        /* The descriptor may be made here or by ConnectEx; one of them says what is missing. */
        if (port_bind(s, NULL, 0) != 0) {
            CHECK(port_is_exhaustion(WSAGetLastError()));
        } else {
            struct operation *connect = operation_new(CONNECT, s);
            associate(s, 2);
            if (start_connect(connect, (struct sockaddr *)&address.storage, address.length) == STARTED)
                wait_for(connect);
            CHECK(port_is_exhaustion(connect->error));
            operation_free(connect);
        }
        close_socket_now(s);
    }
    allow_descriptors_again();
    peer_close(listener);
    close_port();
}

#endif
