/* The port under test and the operations on it: see harness.h. Sockets are in sockets.c. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <dirent.h>
#endif

int the_backend;
HANDLE the_port;
int skip_wanted = 1;
counter_t in_flight;
counter_t posts_in_flight;

/* Before the test made anything, and after it has closed everything. */
static long descriptors_before;

/* ---- the port ---- */

/* Descriptors this process has open; 0 where nobody can say. */
static long count_descriptors(void)
{
    long count = 0;
#ifndef _WIN32
    DIR *directory = opendir("/proc/self/fd");
    if (directory != NULL) {
        while (readdir(directory) != NULL)
            count++;
        closedir(directory);
    }
#endif
    return count;
}

void open_port(DWORD threads)
{
    CHECK(the_port == NULL);
    the_port = port_create(the_backend, threads);
    if (the_port == NULL)
        FAIL("port_create failed with error %d", WSAGetLastError());
}

void close_port(void)
{
    CHECK_EQUAL(counter_get(&in_flight), 0);
    CHECK_EQUAL(counter_get(&posts_in_flight), 0);
    CHECK(CloseHandle(the_port));
    the_port = NULL;
}

void begin_test(void)
{
    descriptors_before = count_descriptors();
}

void end_test(void)
{
    if (the_port != NULL)
        FAIL("the test left its port open");
    CHECK_EQUAL(count_descriptors(), descriptors_before);
}

int is_wine(void)
{
#ifdef _WIN32
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    return ntdll != NULL && GetProcAddress(ntdll, "wine_get_version") != NULL;
#else
    return 0;
#endif
}

void post(ULONG_PTR key)
{
    counter_add(&posts_in_flight, 1);
    if (!PostQueuedCompletionStatus(the_port, 0, key, NULL))
        FAIL("PostQueuedCompletionStatus failed with error %d", WSAGetLastError());
}

static void completed(struct operation *operation, const OVERLAPPED_ENTRY *entry)
{
    int64_t before;
    operation->error = port_result(operation->socket, &operation->overlapped);
    operation->bytes = entry->dwNumberOfBytesTransferred;
    operation->key = entry->lpCompletionKey;
    /* Last: another thread may be waiting for the state in order to free the operation. */
    before = counter_swap(&operation->state, COMPLETE);
    if (before != PENDING)
        FAIL("a completion of kind %d came for an operation that %s", operation->kind,
             before == IDLE ? "was never started" : "was complete already");
    counter_add(&in_flight, -1);
}

int dequeue(struct packet *packets, int room, DWORD milliseconds)
{
    OVERLAPPED_ENTRY entries[64];
    ULONG count = 0;
    int i;

    if (room > 64)
        room = 64;
    while (!GetQueuedCompletionStatusEx(the_port, entries, (ULONG)room, &count, milliseconds, FALSE)) {
        int code = WSAGetLastError();
        if (code == WAIT_TIMEOUT)
            return 0;
#ifndef _WIN32
        if (code == EINTR)
            continue;
#endif
        FAIL("GetQueuedCompletionStatusEx failed with error %d", code);
    }
    CHECK(count >= 1 && count <= (ULONG)room);
    for (i = 0; i < (int)count; i++) {
        struct operation *operation = (struct operation *)entries[i].lpOverlapped;
        packets[i].operation = operation;
        packets[i].key = entries[i].lpCompletionKey;
        packets[i].bytes = entries[i].dwNumberOfBytesTransferred;
        if (operation != NULL)
            completed(operation, &entries[i]);
        else
            counter_add(&posts_in_flight, -1);
    }
    return (int)count;
}

int is_complete(struct operation *operation)
{
    return counter_get(&operation->state) == COMPLETE;
}

void wait_for(struct operation *operation)
{
    int64_t deadline = port_now() + (int64_t)deadline_milliseconds() * 1000000;
    struct packet packets[16];
    while (!is_complete(operation)) {
        if (dequeue(packets, 16, 1000) == 0 && port_now() > deadline)
            FAIL("no completion within %d ms for an operation of kind %d", deadline_milliseconds(), operation->kind);
    }
}

void wait_for_all(void)
{
    int64_t deadline = port_now() + (int64_t)deadline_milliseconds() * 1000000;
    struct packet packets[64];
    while (counter_get(&in_flight) != 0) {
        if (dequeue(packets, 64, 1000) == 0 && port_now() > deadline)
            FAIL("%d operations never completed", (int)counter_get(&in_flight));
    }
}

void expect_quiet(void)
{
    struct packet packet;
    /* The marker makes the port look at everything that is ready; what was late has a little time to come after it. */
    post(4711);
    CHECK_EQUAL(dequeue(&packet, 1, (DWORD)deadline_milliseconds()), 1);
    if (packet.operation != NULL || packet.key != 4711)
        FAIL("a packet came where none was expected: kind %d, error %d",
             packet.operation ? (int)packet.operation->kind : -1, packet.operation ? packet.operation->error : 0);
    if (dequeue(&packet, 1, 60) != 0)
        FAIL("a packet came late where none was expected: kind %d, error %d",
             packet.operation ? (int)packet.operation->kind : -1, packet.operation ? packet.operation->error : 0);
}

/* ---- operations ---- */

struct operation *operation_new(enum kind kind, SOCKET s)
{
    struct operation *operation = calloc(1, sizeof *operation);
    CHECK(operation != NULL);
    operation->kind = kind;
    operation->socket = s;
    operation->accepted = INVALID_SOCKET;
    counter_set(&operation->state, IDLE);
    return operation;
}

void operation_free(struct operation *operation)
{
    CHECK(counter_get(&operation->state) != PENDING);
    free(operation);
}

/* Before the call: the completion may be on another thread before the call has returned. */
static void about_to_start(struct operation *operation)
{
    CHECK(counter_get(&operation->state) != PENDING);
    memset(&operation->overlapped, 0, sizeof operation->overlapped);
    operation->error = 0;
    operation->bytes = 0;
    counter_add(&in_flight, 1);
    counter_set(&operation->state, PENDING);
}

/* After the call: `at_once` when it returned success. With WSA_IO_PENDING the operation must not be touched any more. */
static enum start started(struct operation *operation, int at_once, int code, DWORD bytes)
{
    if (at_once && !skip_wanted)
        return STARTED;
    if (!at_once && code == WSA_IO_PENDING)
        return STARTED;
    operation->error = at_once ? 0 : code;
    operation->bytes = bytes;
    counter_set(&operation->state, at_once ? COMPLETE : IDLE);
    counter_add(&in_flight, -1);
    return at_once ? DONE : REFUSED;
}

enum start start_accept(struct operation *operation, int family)
{
    DWORD received = 0;
    BOOL at_once;
    operation->accepted = port_socket(family);
    if (operation->accepted == INVALID_SOCKET)
        FAIL("port_socket failed with error %d", WSAGetLastError());
    about_to_start(operation);
    at_once = AcceptEx(operation->socket, operation->accepted, operation->addresses, 0, ADDRESS_ROOM, ADDRESS_ROOM, &received,
                       &operation->overlapped);
    return started(operation, at_once, at_once ? 0 : WSAGetLastError(), 0);
}

enum start start_connect(struct operation *operation, const struct sockaddr *address, int length)
{
    DWORD sent = 0;
    BOOL at_once;
    about_to_start(operation);
    at_once = ConnectEx(operation->socket, address, length, NULL, 0, &sent, &operation->overlapped);
    return started(operation, at_once, at_once ? 0 : WSAGetLastError(), 0);
}

enum start start_receive(struct operation *operation)
{
    WSABUF nothing = {0, NULL};
    DWORD received = 0, flags = 0;
    int result;
    about_to_start(operation);
    result = WSARecv(operation->socket, &nothing, 1, &received, &flags, &operation->overlapped, NULL);
    return started(operation, result == 0, result == 0 ? 0 : WSAGetLastError(), received);
}

enum start start_send(struct operation *operation, WSABUF *buffers, DWORD count)
{
    DWORD sent = 0;
    int result;
    about_to_start(operation);
    result = WSASend(operation->socket, buffers, count, &sent, 0, &operation->overlapped, NULL);
    return started(operation, result == 0, result == 0 ? 0 : WSAGetLastError(), sent);
}

int cancel(SOCKET s, struct operation *operation)
{
    if (CancelIoEx((HANDLE)s, operation ? &operation->overlapped : NULL))
        return 1;
    CHECK_EQUAL(WSAGetLastError(), ERROR_NOT_FOUND);
    return 0;
}
