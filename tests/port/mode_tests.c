/* FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: with it a call that succeeds at once brings no packet, without it always one. */
#include "harness.h"

#include <string.h>

/* Each kind of operation once. start_...() and in_flight keep the books: without the mode, success counts as started, so that a
 * missing packet leaves in_flight above 0 and a packet too many fails in dequeue(). */
static void each_kind_once(void)
{
    struct operation *accept, *connect, *receive, *send;
    struct address target;
    SOCKET listener, s, t;
    WSABUF buffer;
    char bytes[4];

    open_port(1);
    listener = open_listener(AF_INET);
    target = loopback_address(AF_INET, listener_port(listener));
    t = port_socket(AF_INET);
    CHECK_EQUAL(port_bind(t, NULL, 0), 0);
    associate(t, 3);
    connect = operation_new(CONNECT, t);
    CHECK(start_connect(connect, (struct sockaddr *)&target.storage, target.length) != REFUSED);
    wait_for_all();
    CHECK_EQUAL(connect->error, 0);
    CHECK_EQUAL(port_adopt(t, INVALID_SOCKET), 0);

    accept = operation_new(ACCEPT, listener); /* the client is there already */
    CHECK(start_accept(accept, AF_INET) != REFUSED);
    wait_for_all();
    CHECK_EQUAL(accept->error, 0);
    s = accept->accepted;
    CHECK_EQUAL(port_adopt(s, listener), 0);
    associate(s, 2);
    expect_quiet();

    buffer.buf = "ping";
    buffer.len = 4;
    send = operation_new(SEND, t);
    CHECK(start_send(send, &buffer, 1) != REFUSED); /* there is room, so it succeeds at once */
    wait_for_all();
    CHECK_EQUAL(send->error, 0);
    CHECK_EQUAL(send->bytes, 4);
    expect_quiet();

    receive = operation_new(RECEIVE, s); /* the bytes are there already, or come soon */
    CHECK(start_receive(receive) != REFUSED);
    wait_for_all();
    CHECK_EQUAL(receive->error, 0);
    CHECK_EQUAL(recv(s, bytes, 4, 0), 4);
    CHECK(memcmp(bytes, "ping", 4) == 0);
    expect_quiet();

    close_socket_now(s);
    close_socket_now(t);
    close_socket_now(listener);
    operation_free(accept);
    operation_free(connect);
    operation_free(receive);
    operation_free(send);
    close_port();
}

void success_at_once_brings_no_packet_with_skip(void)
{
    skip_wanted = 1;
    each_kind_once();
}

void success_at_once_brings_a_packet_without_skip(void)
{
    skip_wanted = 0;
    each_kind_once();
}

/* A refused call starts nothing: no packet, and the operation may be used again. */
void refused_call_brings_no_packet(void)
{
    struct operation *accept, *receive, *other;
    SOCKET listener, s;
    peer_t peer;

    if (is_wine())
        skip_test("Wine takes AcceptEx on a connection and WSARecv on a listener, and leaves them pending for ever");
    open_port(1);
    listener = open_listener(AF_INET);
    peer = peer_open(PEER_IPV4, listener_port(listener));
    s = accept_peer(listener, AF_INET, 2);

    accept = operation_new(ACCEPT, s); /* not a listener */
    CHECK(start_accept(accept, AF_INET) == REFUSED);
    CHECK(accept->error != 0);
    close_socket_now(accept->accepted);
    receive = operation_new(RECEIVE, listener); /* not a connection */
    other = operation_new(RECEIVE, s);
    CHECK(start_receive(other) == STARTED);
    if (start_receive(receive) != REFUSED)
        FAIL("WSARecv on a listener was taken");
    CHECK(receive->error != 0);
    peer_close(peer);
    wait_for(other);
    expect_quiet();
    operation_free(accept);
    operation_free(receive);
    operation_free(other);
    close_socket_now(s);
    close_socket_now(listener);
    close_port();
}
