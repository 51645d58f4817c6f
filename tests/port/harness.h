/*
 * What every contract test stands on: one port, operations that count themselves, and waits with a deadline.
 *
 * The sum that must come out even at the end of each test (close_port checks it):
 *
 *     operations started  ==  completed at once on a SKIP socket  +  dequeued
 *     packets posted      ==  packets dequeued without an operation
 *
 * An operation that is dequeued twice, or was never started, fails the test on the spot.
 */
#ifndef CONTRACT_HARNESS_H
#define CONTRACT_HARNESS_H

#include "port.h"
#include "sync.h"

#include "check.h"
#include "peer.h"
#include "threads.h"

#ifndef _WIN32
#define WSAECONNREFUSED ECONNREFUSED
#define WSAEADDRINUSE EADDRINUSE
#define WSAECONNABORTED ECONNABORTED
#define WSAENETRESET ENETRESET
#define WSAENETDOWN ENETDOWN
#define WSAENETUNREACH ENETUNREACH
#define WSAEHOSTUNREACH EHOSTUNREACH
#endif

/* AcceptEx wants room for each address and 16 bytes of its own. */
enum { ADDRESS_ROOM = sizeof(struct sockaddr_storage) + 16 };

enum kind { ACCEPT, CONNECT, RECEIVE, SEND };
enum state { IDLE, PENDING, COMPLETE };
enum start { STARTED, DONE, REFUSED }; /* a packet will come; complete at once, no packet; nothing started */

struct operation {
    OVERLAPPED overlapped; /* first, so that a dequeued pointer to it is one to the operation */
    enum kind kind;
    SOCKET socket;
    SOCKET accepted;
    void *owner; /* the test's own */
    counter_t state; /* an enum state; another thread may be waiting for it */
    /* Valid once the state is COMPLETE. */
    int error;
    DWORD bytes;
    ULONG_PTR key;
    char addresses[2 * ADDRESS_ROOM];
};

struct packet {
    struct operation *operation; /* NULL: somebody posted it */
    ULONG_PTR key;
    DWORD bytes;
};

extern int the_backend;
extern HANDLE the_port;
/* Whether associate() asks for FILE_SKIP_COMPLETION_PORT_ON_SUCCESS. It does, unless a test says otherwise. */
extern int skip_wanted;
/* Operations started whose completion was not seen yet, on all threads. */
extern counter_t in_flight;
/* Packets posted through post() and not yet dequeued. */
extern counter_t posts_in_flight;

/* ---- the port ---- */

/* Around each test (contract.c): no port and no descriptor may be left over. */
void begin_test(void);
void end_test(void);
/* Windows' calls, but Wine's answers: tests name what differs, and why, where they ask. */
int is_wine(void);

void open_port(DWORD threads);
/* Nothing may be in flight and nothing may come any more. */
void close_port(void);
void post(ULONG_PTR key);
/* Up to `room` packets; 0: none within the time. Operations among them are COMPLETE. */
int dequeue(struct packet *packets, int room, DWORD milliseconds);
/* Dequeue until the operation is complete, within the deadline. Other operations among it become COMPLETE too. */
void wait_for(struct operation *operation);
/* Dequeue until nothing is in flight. */
void wait_for_all(void);
/* No completion comes, not even behind a packet posted now. */
void expect_quiet(void);
int is_complete(struct operation *operation);

/* ---- operations ---- */

/* On the heap, so that a sanitizer sees any use after operation_free. */
struct operation *operation_new(enum kind kind, SOCKET s);
/* Fails the test when the operation is still pending. */
void operation_free(struct operation *operation);

/* Each may be started again once it is complete. REFUSED leaves the error in operation->error. */
enum start start_accept(struct operation *operation, int family);
enum start start_connect(struct operation *operation, const struct sockaddr *address, int length);
enum start start_receive(struct operation *operation);
enum start start_send(struct operation *operation, WSABUF *buffers, DWORD count);
/* CancelIoEx: whether it found something; otherwise the error must be ERROR_NOT_FOUND. */
int cancel(SOCKET s, struct operation *operation);

/* ---- sockets ---- */

struct address {
    struct sockaddr_storage storage;
    int length;
};

struct address loopback_address(int family, int port);
int port_number(const struct sockaddr *address);

/* Join the port under a key, with SKIP if wanted. */
void associate(SOCKET s, ULONG_PTR key);
/* On this machine, on a port the system chose, associated. */
SOCKET open_listener(int family);
int listener_port(SOCKET listener);
/* AcceptEx and everything after it, for a peer that has connected or is about to. Its key is `key`. */
SOCKET accept_peer(SOCKET listener, int family, ULONG_PTR key);
/* A connection: one end on the port, the other a plain peer with a small receive buffer if `buffer` is not 0. */
void open_pair(SOCKET *here, peer_t *there, ULONG_PTR key, int buffer);
void close_socket_now(SOCKET s);

/* A zero-byte receive and recv(): bytes, 0 at the end of the stream, or minus the error code. */
int receive_some(SOCKET s, char *bytes, int size);
void receive_all(SOCKET s, char *bytes, int size);
/* The whole of it, waiting if necessary. */
void send_all(SOCKET s, const char *bytes, int size);

/* ---- numbered bytes: byte i of a stream is known, so that any loss, repetition or change of order shows ---- */

void number_bytes(char *bytes, size_t size, size_t position, unsigned salt);
/* Fails the test at the first byte that is not the one expected. */
void check_numbered(const char *bytes, size_t size, size_t position, unsigned salt);

#endif
