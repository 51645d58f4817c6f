/* libuv: the C server that the aims of this project are stated against.
 *
 *   gcc -O2 -Wall -o libuv libuv.c -luv
 *   libuv PORT echo|fanout          (port 0 takes a free one; prints "listening on 127.0.0.1:PORT")
 *
 * Written as someone who knows libuv would: one receive buffer for all connections, a function call per packet through
 * a pointer, the answers of one receive joined and given to uv_try_write, what the socket does not take to uv_write. In
 * fan-out each packet is appended to every connection's output, which leaves joined once per loop iteration (uv_check
 * runs right after the poll). Packets carry their length in byte 0, itself included. No limits, no time-outs.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

enum { RECEIVE_SIZE = 256 * 1024, OUTPUT_SIZE = 4096, BACKLOG = 4096 };

struct output {
    uv_write_t request;            /* first member: the completion finds its output by a cast */
    struct output *next_free;
    uint32_t length, capacity;
    char *bytes;
};

struct connection {
    uv_tcp_t tcp;                  /* first member: the callbacks find their connection by a cast */
    uint32_t position;             /* in `connections`, for removal without a search */
    uint32_t partial_length;
    unsigned char *partial;        /* only while a packet is incomplete */
    struct output *output;         /* only while something is being gathered, so that an idle connection holds no buffer */
};

static uv_loop_t *loop;
static struct connection **connections;
static uint32_t connection_count, connection_capacity;
static struct output *free_outputs;
static unsigned char buffer[RECEIVE_SIZE];
static bool broadcast_waits;
static void (*on_packet)(struct connection *, const unsigned char *packet, uint32_t length);

static void *checked(void *memory)
{
    if (!memory) {
        fprintf(stderr, "libuv: out of memory\n");
        exit(1);
    }
    return memory;
}

static void check(int code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "libuv: %s: %s\n", what, uv_strerror(code));
        exit(1);
    }
}

/* ---- sending ---- */

static void append(struct connection *c, const unsigned char *bytes, uint32_t length)
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

static void drop_output(struct output *o)
{
    o->next_free = free_outputs;
    free_outputs = o;
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = (struct connection *)handle;
    free(c->partial);
    free(c);
}

static void close_connection(struct connection *c)
{
    if (uv_is_closing((uv_handle_t *)c))
        return;
    if (c->output) {
        drop_output(c->output);
        c->output = NULL;
    }
    connections[c->position] = connections[--connection_count];
    connections[c->position]->position = c->position;
    uv_close((uv_handle_t *)c, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
    struct connection *c = (struct connection *)request->handle;
    drop_output((struct output *)request);
    if (status < 0)
        close_connection(c);
}

static void flush(struct connection *c)
{
    struct output *o = c->output;
    uv_buf_t bytes = uv_buf_init(o->bytes, o->length);
    int sent = uv_try_write((uv_stream_t *)c, &bytes, 1); /* UV_EAGAIN while an earlier uv_write waits, so order is kept */
    if (sent < 0 && sent != UV_EAGAIN) {
        close_connection(c);
        return;
    }
    c->output = NULL;
    if (sent < 0)
        sent = 0;
    if ((uint32_t)sent == o->length) {
        drop_output(o);
        return;
    }
    bytes = uv_buf_init(o->bytes + sent, o->length - (uint32_t)sent);
    if (uv_write(&o->request, (uv_stream_t *)c, &bytes, 1, on_written) < 0) {
        drop_output(o);
        close_connection(c);
    }
}

static void flush_broadcast(uv_check_t *handle)
{
    (void)handle;
    if (!broadcast_waits)
        return;
    broadcast_waits = false;
    for (uint32_t i = connection_count; i-- > 0;) /* downwards: closing one moves the last into its place */
        if (connections[i]->output)
            flush(connections[i]);
}

/* ---- what the server does with a packet ---- */

static void echo(struct connection *c, const unsigned char *packet, uint32_t length)
{
    append(c, packet, length);
}

static void broadcast(struct connection *c, const unsigned char *packet, uint32_t length)
{
    (void)c;
    for (uint32_t i = 0; i < connection_count; i++)
        append(connections[i], packet, length);
    broadcast_waits = true;
}

/* ---- receiving ---- */

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct connection *c = (struct connection *)handle;
    (void)suggested;
    if (c->partial_length)
        memcpy(buffer, c->partial, c->partial_length);
    *out = uv_buf_init((char *)buffer + c->partial_length, RECEIVE_SIZE - c->partial_length);
}

static void keep_partial(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    if (length && !c->partial)
        c->partial = checked(malloc(256));
    if (length) {
        memcpy(c->partial, bytes, length);
    } else {
        free(c->partial);
        c->partial = NULL;
    }
    c->partial_length = length;
}

static void on_receive(uv_stream_t *stream, ssize_t received, const uv_buf_t *lent)
{
    struct connection *c = (struct connection *)stream;
    (void)lent;
    if (received < 0) {
        close_connection(c);
        return;
    }
    if (received == 0) /* libuv's EAGAIN */
        return;
    uint32_t length = c->partial_length + (uint32_t)received, at = 0;
    while (at < length && at + buffer[at] <= length) {
        if (!buffer[at]) { /* a packet that does not even hold its length */
            close_connection(c);
            return;
        }
        on_packet(c, buffer + at, buffer[at]);
        at += buffer[at];
    }
    if (at < length || c->partial)
        keep_partial(c, buffer + at, length - at);
    if (c->output && !broadcast_waits)
        flush(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    struct connection *c = checked(calloc(1, sizeof *c));
    uv_tcp_init(loop, &c->tcp);
    if (connection_count == connection_capacity) {
        connection_capacity = connection_capacity ? 2 * connection_capacity : 64;
        connections = checked(realloc(connections, connection_capacity * sizeof *connections));
    }
    c->position = connection_count;
    connections[connection_count++] = c;
    if (uv_accept(listener, (uv_stream_t *)c) < 0) {
        close_connection(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)c, lend_buffer, on_receive);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("%s\n", uv_version_string());
        return 0;
    }
    if (argc != 3 || (strcmp(argv[2], "echo") && strcmp(argv[2], "fanout"))) {
        fprintf(stderr, "usage: libuv PORT echo|fanout\n");
        return 2;
    }
    on_packet = strcmp(argv[2], "echo") == 0 ? echo : broadcast;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    loop = uv_default_loop();
    uv_tcp_t listener;
    uv_check_t after_poll;
    struct sockaddr_in address;
    int length = sizeof address;
    check(uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address), "address");
    check(uv_tcp_init(loop, &listener), "socket");
    check(uv_check_init(loop, &after_poll), "check");
    check(uv_check_start(&after_poll, flush_broadcast), "check");
    check(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "bind");
    check(uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection), "listen");
    check(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "name");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
