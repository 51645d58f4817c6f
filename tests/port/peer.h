/*
 * The other end of a connection: a plain blocking socket of the system, without the port, so that a fault of the port
 * cannot hide behind the same fault on the other side. Every call has a deadline and fails the test by itself.
 */
#ifndef CONTRACT_PEER_H
#define CONTRACT_PEER_H

#include <stddef.h>
#include <stdint.h>

typedef intptr_t peer_t;

enum { PEER_IPV4 = 4, PEER_IPV6 = 6 };

/* A socket that is not connected, small receive buffer if `buffer` is not 0 (which has to be said before connecting). */
peer_t peer_socket(int version, int buffer);
/* Connect to a port of this machine. Whether it worked. */
int peer_connect(peer_t peer, int version, int port);
/* Both steps; a failure fails the test. */
peer_t peer_open(int version, int port);

void peer_send(peer_t peer, const void *bytes, size_t size);
/* Up to `size` bytes, 0 at the end of the stream, -1 after a reset. */
long peer_receive(peer_t peer, void *bytes, size_t size);
/* All of `size` bytes, or the test fails. */
void peer_receive_all(peer_t peer, void *bytes, size_t size);

void peer_finish(peer_t peer); /* the end of the stream, this direction only */
void peer_close(peer_t peer);
void peer_reset(peer_t peer);  /* close so that the other side sees a reset */

int peer_port(peer_t peer);    /* its own port number */

/* Has a port number and does not listen: it is taken, and who connects there is refused. */
peer_t peer_bind(int version);
/* A listener of this kind; peer_accept waits. */
peer_t peer_listen(int version, int backlog);
peer_t peer_accept(peer_t listener);

#endif
