/* packets: what the C servers here have in common, whatever model of I/O they use; one server includes it.
 *
 * Packets carry their length in byte 0, itself included. A function is called for each, through a pointer, as a library would
 * call its user; what it answers is gathered in the connection's output. Nothing here waits, receives or sends.
 */
#ifndef PACKETS_H
#define PACKETS_H

#ifdef _WIN32
#include <winsock2.h>
#include <mswsock.h>
#include <ws2tcpip.h>
#else
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
typedef int SOCKET;
#define INVALID_SOCKET (-1)
#define closesocket close
#endif
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that gives each thread its own connections gives each its own pools too. */
#ifdef MANY_THREADS
#define LOCAL static _Thread_local
#else
#define LOCAL static
#endif

enum { OUTPUT_SIZE = 4096, BACKLOG = 4096, LONGEST_PACKET = 255 };

struct output {
    struct output *next_free;
    uint32_t length, capacity;
    unsigned char *bytes;
};

/* The first member of each server's own struct, where it needs more. */
struct connection {
    SOCKET fd;
    uint32_t position;             /* in a list of the server's */
    struct output *output;         /* only while something waits to be sent, so that an idle connection holds no buffer */
    unsigned char *partial;        /* only while a packet is incomplete */
    uint32_t partial_length;
    bool closed;
    bool blocked;                  /* the socket did not take all of the output */
};

static const char *program;
LOCAL struct output *free_outputs;
static void (*on_packet)(struct connection *, const unsigned char *packet, uint32_t length);

static inline void *checked(void *memory)
{
    if (!memory) {
        fprintf(stderr, "%s: out of memory\n", program);
        exit(1);
    }
    return memory;
}

/* ---- output ---- */

static inline void append(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    struct output *o = c->output;
    if (!o) {
        o = free_outputs;
        if (o) {
            free_outputs = o->next_free;
        } else {
            o = checked(malloc(sizeof *o));
            o->capacity = OUTPUT_SIZE;
            o->bytes = checked(malloc(OUTPUT_SIZE));
        }
        o->length = 0;
        c->output = o;
    }
    if (o->length + length > o->capacity) {
        o->capacity = 2 * (o->length + length);
        o->bytes = checked(realloc(o->bytes, o->capacity));
    }
    memcpy(o->bytes + o->length, bytes, length);
    o->length += length;
}

static inline void drop(struct output **output)
{
    if (*output) {
        (*output)->next_free = free_outputs;
        free_outputs = *output;
        *output = NULL;
    }
}

static inline void echo(struct connection *c, const unsigned char *packet, uint32_t length)
{
    append(c, packet, length);
}

/* ---- input ---- */

/* Call for each whole packet. False for one that does not even hold its length; else `*used` is where the last one ended. */
static inline bool cut_packets(struct connection *c, const unsigned char *bytes, uint32_t length, uint32_t *used)
{
    uint32_t at = 0;
    while (at < length && at + bytes[at] <= length) {
        if (!bytes[at])
            return false;
        on_packet(c, bytes + at, bytes[at]);
        at += bytes[at];
    }
    *used = at;
    return true;
}

static inline void keep_partial(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    if (length && !c->partial)
        c->partial = checked(malloc(LONGEST_PACKET + 1));
    if (length) {
        memcpy(c->partial, bytes, length);
    } else {
        free(c->partial);
        c->partial = NULL;
    }
    c->partial_length = length;
}

/* ---- starting ---- */

static inline void no_delay(SOCKET fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (const char *)&one, sizeof one);
}

/* A listener on the port of the command line `NAME PORT echo`, announced on standard output; or the end of the program.
 * fan_out: what to do with a packet in the mode `fanout`, NULL where there is none. */
static inline SOCKET start_listening(const char *name, int argc, char **argv, void (*fan_out)(struct connection *, const unsigned char *, uint32_t))
{
    program = name;
    on_packet = argc == 3 && strcmp(argv[2], "echo") == 0 ? echo : argc == 3 && strcmp(argv[2], "fanout") == 0 ? fan_out : NULL;
    if (!on_packet) {
        fprintf(stderr, "usage: %s PORT echo%s\n", program, fan_out ? "|fanout" : "");
        exit(2);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
#ifdef _WIN32
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    SOCKET listener = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
#else
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    SOCKET listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
#endif
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, BACKLOG) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fprintf(stderr, "%s: cannot listen on port %s\n", program, argv[1]);
        exit(1);
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

#endif
