/* WSARecv of zero bytes, and the recv() behind it: data, end of stream, reset, cancel, close. */
#include "harness.h"

#include <string.h>

void receive_waits_until_data_comes(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[16];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    expect_quiet();
    peer_send(there, "abc", 3);
    wait_for(receive);
    CHECK_EQUAL(receive->error, 0);
    CHECK_EQUAL(receive->bytes, 0);
    CHECK_EQUAL(receive->key, 7);
    CHECK_EQUAL(recv(here, bytes, 16, 0), 3);
    CHECK(memcmp(bytes, "abc", 3) == 0);
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

/* More sockets than any one batch, queue or list of a port holds, all ready in the same moment. */
void many_sockets_ready_at_once(void)
{
    enum { SOCKETS = 400 };
    static struct operation *receives[SOCKETS];
    static peer_t peers[SOCKETS];
    SOCKET listener;
    char bytes[2];
    int i, round;

    open_port(1);
    listener = open_listener(AF_INET);
    for (i = 0; i < SOCKETS; i++) {
        peers[i] = peer_open(PEER_IPV4, listener_port(listener));
        receives[i] = operation_new(RECEIVE, accept_peer(listener, AF_INET, (ULONG_PTR)i));
    }
    for (round = 0; round < 2; round++) {
        for (i = 0; i < SOCKETS; i++)
            CHECK(start_receive(receives[i]) == STARTED);
        for (i = 0; i < SOCKETS; i++)
            peer_send(peers[i], "x", 1);
        wait_for_all();
        for (i = 0; i < SOCKETS; i++) {
            CHECK_EQUAL(receives[i]->key, i);
            CHECK_EQUAL(recv(receives[i]->socket, bytes, 2, 0), 1);
        }
    }
    for (i = 0; i < SOCKETS; i++) {
        close_socket_now(receives[i]->socket);
        operation_free(receives[i]);
        peer_close(peers[i]);
    }
    close_socket_now(listener);
    close_port();
}

void recv_with_nothing_there_does_not_block(void)
{
    SOCKET here;
    peer_t there;
    char byte;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    CHECK_EQUAL(recv(here, &byte, 1, 0), -1);
    CHECK(port_is_would_block(WSAGetLastError()));
    peer_send(there, "a", 1);
    receive_all(here, &byte, 1);
    CHECK_EQUAL(recv(here, &byte, 1, 0), -1);
    CHECK(port_is_would_block(WSAGetLastError()));
    close_socket_now(here);
    peer_close(there);
    close_port();
}

static unsigned long unread(SOCKET s)
{
    unsigned long count = 99;
    CHECK_EQUAL(ioctlsocket(s, (long)FIONREAD, &count), 0);
    return count;
}

void unread_bytes_are_counted(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[16];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    CHECK_EQUAL(unread(here), 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    peer_send(there, "abc", 3);
    wait_for(receive);
    CHECK_EQUAL(unread(here), 3); /* the completion was of zero bytes */
    CHECK_EQUAL(recv(here, bytes, 2, 0), 2);
    CHECK_EQUAL(unread(here), 1);
    CHECK_EQUAL(recv(here, bytes, 2, 0), 1);
    CHECK_EQUAL(unread(here), 0);
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void receive_of_data_already_there(void)
{
    SOCKET here;
    peer_t there;
    char bytes[3];
    int round;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    for (round = 0; round < 3; round++) {
        peer_send(there, "xyz", 3);
        receive_all(here, bytes, 3);
        CHECK(memcmp(bytes, "xyz", 3) == 0);
    }
    close_socket_now(here);
    peer_close(there);
    close_port();
}

/* A port over edges must not forget what recv() left behind. */
void receive_completes_again_while_bytes_remain(void)
{
    SOCKET here;
    peer_t there;
    char bytes[100];
    int i;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    number_bytes(bytes, sizeof bytes, 0, 1);
    peer_send(there, bytes, sizeof bytes);
    for (i = 0; i < (int)sizeof bytes; i++) {
        char byte;
        CHECK_EQUAL(receive_some(here, &byte, 1), 1);
        check_numbered(&byte, 1, (size_t)i, 1);
    }
    close_socket_now(here);
    peer_close(there);
    close_port();
}

/* A short recv() emptied the socket; the next receive has to wait for what comes next, and see it. */
void receive_after_everything_was_taken_waits_again(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[16];
    int round;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    for (round = 0; round < 5; round++) {
        CHECK(start_receive(receive) == STARTED);
        expect_quiet();
        peer_send(there, "round", 5);
        wait_for(receive);
        CHECK_EQUAL(receive->error, 0);
        CHECK_EQUAL(recv(here, bytes, 16, 0), 5);
    }
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void receive_at_the_end_of_the_stream(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[4];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    peer_finish(there);
    wait_for(receive);
    CHECK_EQUAL(receive->error, 0);
    CHECK_EQUAL(recv(here, bytes, 4, 0), 0);
    /* The end stays the end. */
    CHECK_EQUAL(receive_some(here, bytes, 4), 0);
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void data_and_the_end_of_the_stream_together(void)
{
    SOCKET here;
    peer_t there;
    char bytes[16];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    peer_send(there, "last", 4);
    peer_finish(there);
    receive_all(here, bytes, 4);
    CHECK(memcmp(bytes, "last", 4) == 0);
    CHECK_EQUAL(receive_some(here, bytes, 16), 0);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

/* A short recv() says that the socket is empty, but the end of the stream may have come with the bytes. */
void end_of_the_stream_behind_a_short_receive(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[16];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    peer_send(there, "last", 4);
    peer_close(there);
    wait_for(receive);
    CHECK_EQUAL(recv(here, bytes, 16, 0), 4);
    if (start_receive(receive) == STARTED)
        wait_for(receive);
    CHECK_EQUAL(receive->error, 0);
    CHECK_EQUAL(recv(here, bytes, 16, 0), 0);
    operation_free(receive);
    close_socket_now(here);
    close_port();
}

void sending_goes_on_after_the_peer_has_finished(void)
{
    SOCKET here;
    peer_t there;
    char bytes[8];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    peer_finish(there);
    CHECK_EQUAL(receive_some(here, bytes, 8), 0);
    send_all(here, "still on", 8);
    peer_receive_all(there, bytes, 8);
    CHECK(memcmp(bytes, "still on", 8) == 0);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void reset_while_a_receive_waits(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char byte;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    peer_reset(there);
    wait_for(receive);
    /* The receive tells it, or the recv() that follows. */
    if (receive->error == 0) {
        CHECK_EQUAL(recv(here, &byte, 1, 0), -1);
        receive->error = WSAGetLastError();
    }
    CHECK(port_is_reset(receive->error));
    operation_free(receive);
    close_socket_now(here);
    close_port();
}

void reset_before_the_receive(void)
{
    SOCKET here;
    peer_t there;
    char byte;
    int result;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    peer_reset(there);
    result = receive_some(here, &byte, 1);
    /* Wine: the reset is forgotten when no operation waits for it, and shows as the end of the stream. */
    if (!(result < 0 && port_is_reset(-result)) && !(is_wine() && result == 0))
        FAIL("receiving after a reset gave %d", result);
    close_socket_now(here);
    close_port();
}

void cancel_of_a_receive_loses_no_data(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[5];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(!cancel(here, receive)); /* never started */
    CHECK(!cancel(here, NULL) || is_wine()); /* Wine: success, also where nothing is pending */
    CHECK(start_receive(receive) == STARTED);
    CHECK(cancel(here, receive));
    (void)cancel(here, receive); /* already cancelled: either answer, and no second completion */
    wait_for(receive);
    CHECK(port_is_cancelled(receive->error));
    CHECK(!cancel(here, receive));
    expect_quiet();
    peer_send(there, "after", 5);
    receive_all(here, bytes, 5);
    CHECK(memcmp(bytes, "after", 5) == 0);
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

static void send_one_byte(void *peer)
{
    peer_send(*(peer_t *)peer, "!", 1);
}

/* Cancel and data at the same moment: one completion, one way or the other, and the byte is there. */
void cancel_races_with_data(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    int round;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    for (round = 0; round < 100; round++) {
        thread_t sender;
        char byte = 0;
        if (start_receive(receive) == REFUSED)
            FAIL("WSARecv: error %d", receive->error);
        sender = thread_start(send_one_byte, &there);
        if (round & 1)
            spin_for_microseconds(round);
        (void)cancel(here, receive);
        if (!is_complete(receive))
            wait_for(receive);
        CHECK(receive->error == 0 || port_is_cancelled(receive->error));
        thread_join(sender);
        receive_all(here, &byte, 1);
        CHECK_EQUAL(byte, '!');
    }
    expect_quiet();
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void socket_closed_while_a_receive_waits(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char byte;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    close_socket_now(here);
    wait_for(receive);
    CHECK(receive->error != 0);
    CHECK_EQUAL(receive->key, 7);
    CHECK(peer_receive(there, &byte, 1) <= 0); /* the peer sees it go */
    operation_free(receive);
    peer_close(there);
    close_port();
}

/* The lecture's receive, with a buffer of its own: the same port can do it, though the core does not. */
void receive_into_a_buffer(void)
{
    struct operation *receive;
    SOCKET here;
    peer_t there;
    char bytes[16];
    WSABUF buffer;
    DWORD received = 0, flags = 0;

    open_port(1);
    skip_wanted = 0;
    open_pair(&here, &there, 7, 0);
    receive = operation_new(RECEIVE, here);
    buffer.buf = bytes;
    buffer.len = sizeof bytes;
    counter_set(&receive->state, PENDING);
    counter_add(&in_flight, 1);
    if (WSARecv(here, &buffer, 1, &received, &flags, &receive->overlapped, NULL) != 0)
        CHECK_EQUAL(WSAGetLastError(), WSA_IO_PENDING);
    expect_quiet();
    peer_send(there, "filled", 6);
    wait_for(receive);
    CHECK_EQUAL(receive->error, 0);
    CHECK_EQUAL(receive->bytes, 6);
    CHECK(memcmp(bytes, "filled", 6) == 0);
    operation_free(receive);
    close_socket_now(here);
    peer_close(there);
    close_port();
}
