/*
 * A small echo server on several threads, built as the core is: everything happens on the worker threads. It shows that the
 * events of one connection neither overlap nor reorder (its state is plain memory, so ThreadSanitizer sees any overlap), and
 * that stopping takes bounded time whatever is pending.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { WORKERS = 3, CONNECTIONS = 24, POOL = 4, STREAM = 48 * 1024, STOP = 0x510F };

struct connection {
    SOCKET socket;
    struct operation *receive, *send;
    /* Touched by whichever thread handles the connection's current event, without any lock. */
    unsigned salt;   /* its stream's, the first byte it sends */
    int named;
    size_t received;
    char echo[4096];
};

static SOCKET server_listener;
static struct operation *server_pool[POOL];
static struct connection *connections[CONNECTIONS];
static counter_t connection_count;
static struct gate accepted, closed_ones;
static counter_t stopping;

static void receive_next(struct connection *c);

static void close_connection(struct connection *c)
{
    close_socket_now(c->socket);
    c->socket = INVALID_SOCKET;
    gate_raise(&closed_ones, 1);
}

/* Take what is there and echo it; the next receive is issued when the echo is out, so that the client's slowness is felt. */
static void received(struct connection *c)
{
    WSABUF buffer;
    int got = recv(c->socket, c->echo, sizeof c->echo, 0);
    if (got < 0) {
        CHECK(port_is_would_block(WSAGetLastError()) || port_is_reset(WSAGetLastError()));
        if (port_is_would_block(WSAGetLastError()))
            receive_next(c);
        else
            close_connection(c);
        return;
    }
    if (got == 0) {
        close_connection(c);
        return;
    }
    if (!c->named) {
        c->salt = (unsigned char)c->echo[0];
        c->named = 1;
        check_numbered(c->echo + 1, (size_t)got - 1, 0, c->salt);
        c->received = (size_t)got - 1;
    } else {
        check_numbered(c->echo, (size_t)got, c->received, c->salt);
        c->received += (size_t)got;
    }
    buffer.buf = c->echo;
    buffer.len = (ULONG)got;
    switch (start_send(c->send, &buffer, 1)) {
    case DONE:
        receive_next(c);
        break;
    case REFUSED:
        CHECK(port_is_reset(c->send->error));
        close_connection(c);
        break;
    case STARTED:
        break; /* another thread may be at work on the connection already */
    }
}

static void receive_next(struct connection *c)
{
    if (counter_get(&stopping))
        return;
    /* Recursion through received() ends: each turn takes bytes that the client sent, and it sends a bounded number. */
    switch (start_receive(c->receive)) {
    case DONE:
        received(c);
        break;
    case REFUSED:
        CHECK(port_is_reset(c->receive->error));
        close_connection(c);
        break;
    case STARTED:
        break;
    }
}

static void accept_done(struct operation *accept)
{
    struct connection *c;
    int index;
    if (accept->error != 0) {
        CHECK(port_is_cancelled(accept->error));
        close_socket_now(accept->accepted);
        return;
    }
    c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->socket = accept->accepted;
    CHECK_EQUAL(port_adopt(c->socket, server_listener), 0);
    associate(c->socket, (ULONG_PTR)c);
    c->receive = operation_new(RECEIVE, c->socket);
    c->send = operation_new(SEND, c->socket);
    c->receive->owner = c->send->owner = c;
    index = (int)counter_add(&connection_count, 1) - 1;
    CHECK(index < CONNECTIONS);
    connections[index] = c;
    receive_next(c);
    gate_raise(&accepted, 1);
    if (counter_get(&stopping))
        return;
    switch (start_accept(accept, AF_INET)) {
    case DONE:
        accept_done(accept);
        break;
    case REFUSED:
        FAIL("AcceptEx: error %d", accept->error);
    case STARTED:
        break;
    }
}

static void handle(struct operation *operation)
{
    struct connection *c = operation->owner;
    if (operation->kind == ACCEPT) {
        accept_done(operation);
        return;
    }
    CHECK(operation->key == (ULONG_PTR)c);
    if (operation->error != 0) {
        CHECK(port_is_reset(operation->error) || port_is_cancelled(operation->error));
        if (counter_get(&stopping))
            return; /* its socket is closed once everything is quiet */
        close_connection(c);
    } else if (operation->kind == RECEIVE) {
        received(c);
    } else {
        receive_next(c);
    }
}

static void worker(void *unused)
{
    struct packet packets[16];
    int stops = 0, i;
    (void)unused;
    while (stops == 0) {
        int count = dequeue(packets, 16, INFINITE);
        for (i = 0; i < count; i++) {
            if (packets[i].operation == NULL)
                stops++;
            else
                handle(packets[i].operation);
        }
    }
    for (i = 1; i < stops; i++) /* a batch may hold more than the one that was meant for us */
        post(STOP);
}

static void start_server(thread_t *threads)
{
    int i;
    gate_make(&accepted);
    gate_make(&closed_ones);
    open_port(WORKERS);
    server_listener = open_listener(AF_INET);
    for (i = 0; i < WORKERS; i++)
        threads[i] = thread_start(worker, NULL);
    for (i = 0; i < POOL; i++) {
        server_pool[i] = operation_new(ACCEPT, server_listener);
        CHECK(start_accept(server_pool[i], AF_INET) != REFUSED);
    }
}

/* A worker may start a receive just after it was cancelled (it had not seen `stopping` yet), so the cancel is repeated until
 * nothing is in flight. No socket may be closed meanwhile: either all connections have ended before, or none ends. */
static void cancel_everything(void)
{
    int i;
    (void)cancel(server_listener, NULL);
    if (gate_count(&closed_ones) == 0)
        for (i = 0; i < counter_get(&connection_count); i++)
            (void)cancel(connections[i]->socket, NULL);
}

/* Cancel, wait until all completions were seen, send the workers home, then close what is left. */
static void stop_server(thread_t *threads)
{
    struct address address = loopback_address(AF_INET, listener_port(server_listener));
    int64_t start = port_now();
    SOCKET again;
    int i;
    counter_set(&stopping, 1);
    cancel_everything();
    while (counter_get(&in_flight) != 0) {
        CHECK(port_now() - start < (int64_t)deadline_milliseconds() * 1000000);
        spin_for_microseconds(500);
        cancel_everything();
    }
    for (i = 0; i < WORKERS; i++)
        post(STOP);
    for (i = 0; i < WORKERS; i++)
        thread_join(threads[i]);
    CHECK_EQUAL(counter_get(&posts_in_flight), 0);
    for (i = 0; i < counter_get(&connection_count); i++) {
        if (connections[i]->socket != INVALID_SOCKET)
            close_socket_now(connections[i]->socket);
        operation_free(connections[i]->receive);
        operation_free(connections[i]->send);
        free(connections[i]);
    }
    for (i = 0; i < POOL; i++)
        operation_free(server_pool[i]);
    close_socket_now(server_listener);
    close_port();
    again = port_listen((struct sockaddr *)&address.storage, address.length, 16, 1);
    if (again == INVALID_SOCKET)
        FAIL("the server cannot be started again: error %d", WSAGetLastError());
    close_socket_now(again);
    CHECK((port_now() - start) / 1000000 < deadline_milliseconds());
    gate_unmake(&accepted);
    gate_unmake(&closed_ones);
}

/* ---- the tests ---- */

struct client {
    int first, count; /* which connections it drives */
};

/* Write a piece to each connection in turn, then read the echoes, so that all of them are busy at once. */
static void client(void *given)
{
    struct client *me = given;
    peer_t peers[CONNECTIONS];
    char bytes[1500];
    size_t position;
    int i, port = listener_port(server_listener);

    for (i = 0; i < me->count; i++) {
        char name = (char)(me->first + i);
        peers[i] = peer_open(PEER_IPV4, port);
        peer_send(peers[i], &name, 1);
        peer_receive_all(peers[i], &name, 1);
    }
    for (position = 0; position < STREAM; position += sizeof bytes) {
        for (i = 0; i < me->count; i++) {
            number_bytes(bytes, sizeof bytes, position, (unsigned)(me->first + i));
            peer_send(peers[i], bytes, sizeof bytes);
        }
        for (i = 0; i < me->count; i++) {
            peer_receive_all(peers[i], bytes, sizeof bytes);
            check_numbered(bytes, sizeof bytes, position, (unsigned)(me->first + i));
        }
    }
    for (i = 0; i < me->count; i++)
        peer_close(peers[i]);
}

void order_per_connection_with_several_threads(void)
{
    struct client jobs[2] = {{0, CONNECTIONS / 2}, {CONNECTIONS / 2, CONNECTIONS - CONNECTIONS / 2}};
    thread_t threads[WORKERS], clients[2];
    int i;

    start_server(threads);
    for (i = 0; i < 2; i++)
        clients[i] = thread_start(client, &jobs[i]);
    for (i = 0; i < 2; i++)
        thread_join(clients[i]);
    if (!gate_wait(&closed_ones, CONNECTIONS, deadline_milliseconds()))
        FAIL("the server saw only %lld of %d connections end", (long long)gate_count(&closed_ones), CONNECTIONS);
    stop_server(threads);
}

void stop_of_an_idle_server(void)
{
    thread_t threads[WORKERS];
    start_server(threads);
    stop_server(threads);
}

/* Receives, sends and accepts pend when the end comes. */
void stop_with_everything_pending(void)
{
    thread_t threads[WORKERS];
    peer_t peers[CONNECTIONS];
    char *block = malloc(4096);
    int i;

    CHECK(block != NULL);
    number_bytes(block, 4096, 0, 1);
    start_server(threads);
    for (i = 0; i < CONNECTIONS; i++) {
        char name = 1;
        peers[i] = peer_open(PEER_IPV4, listener_port(server_listener));
        if (i & 1)
            continue; /* these say nothing: a receive pends */
        peer_send(peers[i], &name, 1);
        peer_send(peers[i], block, 4096);
    }
    CHECK(gate_wait(&accepted, CONNECTIONS, deadline_milliseconds()));
    stop_server(threads);
    for (i = 0; i < CONNECTIONS; i++)
        peer_close(peers[i]);
    free(block);
}
