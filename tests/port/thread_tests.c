/* Many threads on one port: every packet once, posts from anywhere, and an end in bounded time. */
#include "harness.h"

#include <string.h>

enum { WORKERS = 4, STOP = 0x510F };

/* ---- posts ---- */

enum { POSTERS = 4, POSTS_EACH = 2000, POSTS = POSTERS * POSTS_EACH };

static counter_t taken[POSTS];
static struct gate posts_taken;
static const int *post_batch;

static void poster(void *first)
{
    int i;
    for (i = 0; i < POSTS_EACH; i++)
        post((ULONG_PTR)(*(int *)first + i));
}

static void take_one(ULONG_PTR key)
{
    CHECK(key < POSTS);
    if (counter_add(&taken[key], 1) != 1)
        FAIL("packet %lu was dequeued twice", (unsigned long)key);
}

/* Leave one stop packet each to the others: a batch may hold several. */
static int stop_in(const struct packet *packets, int count)
{
    int stops = 0, i;
    for (i = 0; i < count; i++)
        stops += packets[i].operation == NULL && packets[i].key == STOP;
    for (i = 1; i < stops; i++)
        post(STOP);
    return stops > 0;
}

static void taker(void *unused)
{
    struct packet packets[32];
    int stop = 0;
    (void)unused;
    while (!stop) {
        int count = dequeue(packets, *post_batch, INFINITE), posts = 0, i;
        for (i = 0; i < count; i++) {
            if (packets[i].key == STOP)
                continue;
            take_one(packets[i].key);
            posts++;
        }
        gate_raise(&posts_taken, posts);
        stop = stop_in(packets, count);
    }
}

static void many_posts(int takers, int batch)
{
    static int firsts[POSTERS];
    thread_t posting[POSTERS], taking[WORKERS];
    int i;

    post_batch = &batch;
    gate_make(&posts_taken);
    open_port((DWORD)takers);
    for (i = 0; i < takers; i++)
        taking[i] = thread_start(taker, NULL);
    for (i = 0; i < POSTERS; i++) {
        firsts[i] = i * POSTS_EACH;
        posting[i] = thread_start(poster, &firsts[i]);
    }
    for (i = 0; i < POSTERS; i++)
        thread_join(posting[i]);
    if (!gate_wait(&posts_taken, POSTS, deadline_milliseconds()))
        FAIL("only %lld of %d packets were dequeued", (long long)gate_count(&posts_taken), POSTS);
    for (i = 0; i < takers; i++)
        post(STOP);
    for (i = 0; i < takers; i++)
        thread_join(taking[i]);
    CHECK_EQUAL(gate_count(&posts_taken), POSTS);
    close_port();
    gate_unmake(&posts_taken);
}

void posts_from_many_threads_to_one(void)
{
    many_posts(1, 32);
}

void posts_from_many_threads_to_many(void)
{
    many_posts(WORKERS, 32);
}

void posts_taken_one_at_a_time_by_many_threads(void)
{
    many_posts(WORKERS, 1);
}

/* ---- one sleeper among many ---- */

struct sleeper {
    struct gate awake;
};

static void sleeper(void *given)
{
    struct sleeper *s = given;
    struct packet packet;
    CHECK_EQUAL(dequeue(&packet, 1, INFINITE), 1);
    gate_raise(&s->awake, 1);
}

/* Each post wakes a thread, even if all come at once; a post that finds only sleepers must not be left lying. */
void each_post_wakes_a_sleeping_thread(void)
{
    struct sleeper job;
    thread_t threads[WORKERS];
    int round, i;

    for (round = 0; round < 10; round++) {
        gate_make(&job.awake);
        open_port(WORKERS);
        for (i = 0; i < WORKERS; i++)
            threads[i] = thread_start(sleeper, &job);
        for (i = 0; i < WORKERS; i++) {
            post(1);
            if (round & 1)
                CHECK(gate_wait(&job.awake, i + 1, deadline_milliseconds()));
        }
        CHECK(gate_wait(&job.awake, WORKERS, deadline_milliseconds()));
        for (i = 0; i < WORKERS; i++)
            thread_join(threads[i]);
        close_port();
        gate_unmake(&job.awake);
    }
}

/* ---- sends, cancels and closes from a thread that does not wait on the port ---- */

struct sender {
    SOCKET socket;
    struct gate completed;
    int sends;
};

static void sender(void *given)
{
    struct sender *s = given;
    char bytes[64];
    int i;
    for (i = 0; i < s->sends; i++) {
        struct operation *send = operation_new(SEND, s->socket);
        WSABUF buffer;
        number_bytes(bytes, sizeof bytes, (size_t)i * sizeof bytes, 8);
        buffer.buf = bytes;
        buffer.len = sizeof bytes;
        send->owner = s;
        switch (start_send(send, &buffer, 1)) {
        case STARTED: /* the waiting thread dequeues it, raises the gate and frees it */
            CHECK(gate_wait(&s->completed, i + 1, deadline_milliseconds()));
            break;
        case DONE:
            operation_free(send);
            gate_raise(&s->completed, 1);
            break;
        case REFUSED:
            FAIL("WSASend: error %d", send->error);
        }
    }
    post(STOP);
}

/* One thread sends on a socket while another receives on it: the echo of a server that broadcasts. */
void send_from_one_thread_while_another_receives(void)
{
    enum { SENDS = 300, SIZE = SENDS * 64 };
    static char echoed[SIZE];
    struct operation *receive;
    struct sender job;
    struct packet packets[16];
    thread_t thread;
    peer_t there;
    int stopped = 0, received = 0, i;

    open_port(1);
    gate_make(&job.completed);
    open_pair(&job.socket, &there, 7, 0);
    job.sends = SENDS;
    receive = operation_new(RECEIVE, job.socket);
    CHECK(start_receive(receive) == STARTED);
    thread = thread_start(sender, &job);
    number_bytes(echoed, sizeof echoed, 0, 9);
    peer_send(there, echoed, sizeof echoed);
    while (!stopped || received < SIZE) {
        int count = dequeue(packets, 16, (DWORD)deadline_milliseconds());
        CHECK(count > 0);
        for (i = 0; i < count; i++) {
            struct operation *operation = packets[i].operation;
            if (operation == NULL)
                stopped = 1;
            else if (operation->kind == SEND) {
                CHECK_EQUAL(operation->error, 0);
                operation_free(operation);
                gate_raise(&job.completed, 1);
            }
        }
        while (received < SIZE && is_complete(receive)) {
            char bytes[4096];
            int got = recv(job.socket, bytes, sizeof bytes, 0);
            CHECK_EQUAL(receive->error, 0);
            if (got < 0)
                CHECK(port_is_would_block(WSAGetLastError()));
            else {
                check_numbered(bytes, (size_t)got, (size_t)received, 9);
                received += got;
            }
            if (received < SIZE)
                CHECK(start_receive(receive) != REFUSED);
        }
    }
    thread_join(thread);
    peer_receive_all(there, echoed, SIZE);
    check_numbered(echoed, SIZE, 0, 8);
    operation_free(receive);
    close_socket_now(job.socket);
    peer_close(there);
    close_port();
    gate_unmake(&job.completed);
}

static void closer(void *given)
{
    close_socket_now(*(SOCKET *)given);
}

void socket_closed_by_another_thread(void)
{
    int round;
    open_port(1);
    for (round = 0; round < 50; round++) {
        struct operation *receive;
        SOCKET here;
        peer_t there;
        thread_t thread;
        open_pair(&here, &there, 7, 0);
        receive = operation_new(RECEIVE, here);
        CHECK(start_receive(receive) == STARTED);
        thread = thread_start(closer, &here);
        if (round & 1)
            peer_reset(there); /* at the same moment */
        wait_for(receive);
        thread_join(thread);
        operation_free(receive);
        if (!(round & 1))
            peer_close(there);
    }
    close_port();
}
