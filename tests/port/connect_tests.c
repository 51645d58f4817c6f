/* ConnectEx: success, refusal, cancel and close; and the addresses of both ends. */
#include "harness.h"

#include <string.h>

/* A bound socket on the port, ready for ConnectEx. */
static SOCKET connecting_socket(int family, ULONG_PTR key)
{
    SOCKET s = port_socket(family);
    if (s == INVALID_SOCKET)
        FAIL("port_socket failed with error %d", WSAGetLastError());
    if (port_bind(s, NULL, 0) != 0)
        FAIL("port_bind failed with error %d", WSAGetLastError());
    associate(s, key);
    return s;
}

static int same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family || port_number(a) != port_number(b))
        return 0;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
}

/* Both ends on one port, with the addresses compared from every side. */
static void both_ends(int family)
{
    struct operation *accept, *connect;
    struct address target, name;
    struct sockaddr *local, *remote;
    int local_size = 0, remote_size = 0;
    SOCKET listener = open_listener(family), s, t;
    char bytes[6];

    accept = operation_new(ACCEPT, listener);
    CHECK(start_accept(accept, family) == STARTED);
    t = connecting_socket(family, 22);
    connect = operation_new(CONNECT, t);
    target = loopback_address(family, listener_port(listener));
    if (start_connect(connect, (struct sockaddr *)&target.storage, target.length) == STARTED)
        wait_for(connect);
    CHECK_EQUAL(connect->error, 0);
    CHECK_EQUAL(connect->key, 22);
    CHECK_EQUAL(port_adopt(t, INVALID_SOCKET), 0);
    wait_for(accept);
    CHECK_EQUAL(accept->error, 0);
    s = accept->accepted;

    GetAcceptExSockaddrs(accept->addresses, 0, ADDRESS_ROOM, ADDRESS_ROOM, &local, &local_size, &remote, &remote_size);
    CHECK_EQUAL(local_size, target.length);
    CHECK_EQUAL(remote_size, target.length);
    CHECK(same_address(local, (struct sockaddr *)&target.storage));
    CHECK_EQUAL(port_adopt(s, listener), 0);
    associate(s, 21);
    name.length = (int)sizeof name.storage;
    CHECK_EQUAL(port_local_address(t, (struct sockaddr *)&name.storage, &name.length), 0);
    CHECK(same_address(remote, (struct sockaddr *)&name.storage));
    name.length = (int)sizeof name.storage;
    CHECK_EQUAL(port_peer_address(s, (struct sockaddr *)&name.storage, &name.length), 0);
    CHECK_EQUAL(name.length, target.length);
    CHECK(same_address(remote, (struct sockaddr *)&name.storage));
    name.length = (int)sizeof name.storage;
    CHECK_EQUAL(port_peer_address(t, (struct sockaddr *)&name.storage, &name.length), 0);
    CHECK(same_address((struct sockaddr *)&name.storage, (struct sockaddr *)&target.storage));

    send_all(t, "hello!", 6);
    receive_all(s, bytes, 6);
    CHECK(memcmp(bytes, "hello!", 6) == 0);
    send_all(s, "answer", 6);
    receive_all(t, bytes, 6);
    CHECK(memcmp(bytes, "answer", 6) == 0);

    close_socket_now(s);
    close_socket_now(t);
    close_socket_now(listener);
    operation_free(accept);
    operation_free(connect);
}

void both_ends_on_one_port(void)
{
    open_port(1);
    both_ends(AF_INET);
    close_port();
}

void both_ends_over_ipv6(void)
{
    struct address address = loopback_address(AF_INET6, 0);
    SOCKET probe = port_listen((struct sockaddr *)&address.storage, address.length, 1, 1);
    if (probe == INVALID_SOCKET)
        skip_test("this machine has no IPv6 (error %d)", WSAGetLastError());
    close_socket_now(probe);
    open_port(1);
    both_ends(AF_INET6);
    close_port();
}

void dual_stack_listener_takes_both_families(void)
{
    struct address any = loopback_address(AF_INET6, 0);
    SOCKET listener, s;
    peer_t peer;
    int turn;

    ((struct sockaddr_in6 *)&any.storage)->sin6_addr = in6addr_any;
    open_port(1);
    listener = port_listen((struct sockaddr *)&any.storage, any.length, 16, 0);
    if (listener == INVALID_SOCKET)
        skip_test("this machine has no IPv6 (error %d)", WSAGetLastError());
    associate(listener, 1);
    for (turn = 0; turn < 2; turn++) {
        struct address name;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&name.storage;
        peer = peer_open(turn == 0 ? PEER_IPV4 : PEER_IPV6, listener_port(listener));
        s = accept_peer(listener, AF_INET6, 3);
        name.length = (int)sizeof name.storage;
        CHECK_EQUAL(port_peer_address(s, (struct sockaddr *)&name.storage, &name.length), 0);
        CHECK_EQUAL(name.storage.ss_family, AF_INET6);
        CHECK_EQUAL(IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) != 0, turn == 0);
        close_socket_now(s);
        peer_close(peer);
    }
    close_socket_now(listener);
    close_port();
}

void ipv6_only_listener_refuses_ipv4(void)
{
    struct address any = loopback_address(AF_INET6, 0);
    SOCKET listener;
    peer_t peer;

    ((struct sockaddr_in6 *)&any.storage)->sin6_addr = in6addr_any;
    open_port(1);
    listener = port_listen((struct sockaddr *)&any.storage, any.length, 16, 1);
    if (listener == INVALID_SOCKET)
        skip_test("this machine has no IPv6 (error %d)", WSAGetLastError());
    peer = peer_socket(PEER_IPV4, 0);
    CHECK(!peer_connect(peer, PEER_IPV4, listener_port(listener)));
    peer_close(peer);
    close_socket_now(listener);
    close_port();
}

void connect_refused(void)
{
    struct operation *connect;
    struct address target;
    SOCKET s;
    peer_t taken = peer_bind(PEER_IPV4); /* nobody listens there, and nobody else can begin to */

    target = loopback_address(AF_INET, peer_port(taken));
    open_port(1);
    s = connecting_socket(AF_INET, 2);
    connect = operation_new(CONNECT, s);
    if (start_connect(connect, (struct sockaddr *)&target.storage, target.length) == STARTED)
        wait_for(connect);
    CHECK_EQUAL(connect->error, WSAECONNREFUSED);
    CHECK(!port_is_cancelled(connect->error) && !port_is_exhaustion(connect->error));
    close_socket_now(s);
    peer_close(taken);
    operation_free(connect);
    close_port();
}

void connect_from_a_chosen_source(void)
{
    struct operation *connect;
    struct address target, source = loopback_address(AF_INET, 0), name;
    peer_t listener = peer_listen(PEER_IPV4, 4), accepted;
    SOCKET s;

    open_port(1);
    target = loopback_address(AF_INET, peer_port(listener));
    s = port_socket(AF_INET);
    CHECK_EQUAL(port_bind(s, (struct sockaddr *)&source.storage, source.length), 0);
    associate(s, 2);
    connect = operation_new(CONNECT, s);
    if (start_connect(connect, (struct sockaddr *)&target.storage, target.length) == STARTED)
        wait_for(connect);
    CHECK_EQUAL(connect->error, 0);
    CHECK_EQUAL(port_adopt(s, INVALID_SOCKET), 0);
    accepted = peer_accept(listener);
    name.length = (int)sizeof name.storage;
    CHECK_EQUAL(port_local_address(s, (struct sockaddr *)&name.storage, &name.length), 0);
    CHECK(((struct sockaddr_in *)&name.storage)->sin_addr.s_addr == ((struct sockaddr_in *)&source.storage)->sin_addr.s_addr);
    close_socket_now(s);
    peer_close(accepted);
    peer_close(listener);
    operation_free(connect);
    close_port();
}

/* Connects that get no answer: those that a listener with a full queue leaves waiting. Returns how many of `connects` are
 * still pending; the others are complete. */
enum { ATTEMPTS = 5 };

static int unanswered_connects(peer_t listener, struct operation **connects)
{
    struct address target = loopback_address(AF_INET, peer_port(listener));
    struct packet packets[ATTEMPTS];
    int i, pending = 0;

    for (i = 0; i < ATTEMPTS; i++) {
        connects[i] = operation_new(CONNECT, connecting_socket(AF_INET, (ULONG_PTR)i));
        start_connect(connects[i], (struct sockaddr *)&target.storage, target.length);
    }
    /* Those that the queue had room for; Wine's server may be late with them. */
    while (dequeue(packets, ATTEMPTS, is_wine() ? 3000 : 200) > 0)
        continue;
    for (i = 0; i < ATTEMPTS; i++)
        pending += !is_complete(connects[i]);
    return pending;
}

void cancel_of_a_connect_that_gets_no_answer(void)
{
    struct operation *connects[ATTEMPTS];
    peer_t listener = peer_listen(PEER_IPV4, 0);
    int i, pending;

    open_port(1);
    pending = unanswered_connects(listener, connects);
    if (pending == 0)
        skip_test("this system answers at once when a listener's queue is full");
    for (i = 0; i < ATTEMPTS; i++) {
        if (!is_complete(connects[i])) {
            CHECK(cancel(connects[i]->socket, connects[i]));
            wait_for(connects[i]);
            CHECK(port_is_cancelled(connects[i]->error));
        }
        close_socket_now(connects[i]->socket);
        operation_free(connects[i]);
    }
    peer_close(listener);
    close_port();
}

void socket_closed_while_it_connects(void)
{
    struct operation *connects[ATTEMPTS];
    peer_t listener = peer_listen(PEER_IPV4, 0);
    int i, pending;

    open_port(1);
    pending = unanswered_connects(listener, connects);
    for (i = 0; i < ATTEMPTS; i++)
        close_socket_now(connects[i]->socket);
    wait_for_all();
    for (i = 0; i < ATTEMPTS; i++) {
        pending -= connects[i]->error != 0;
        operation_free(connects[i]);
    }
    CHECK(pending <= 0);
    peer_close(listener);
    close_port();
}
