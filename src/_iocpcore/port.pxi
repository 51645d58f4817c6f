# The completion port's functions and types: src/port/port.h. On Windows these are Win32's own.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.limits cimport INT_MAX, INT_MIN
from libc.stddef cimport size_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals

cdef extern from "port.h" nogil:
    ctypedef int BOOL
    ctypedef unsigned int DWORD
    ctypedef unsigned int ULONG
    ctypedef uintptr_t ULONG_PTR
    ctypedef void *HANDLE
    ctypedef uintptr_t SOCKET

    ctypedef struct OVERLAPPED:
        ULONG_PTR Internal

    ctypedef struct OVERLAPPED_ENTRY:
        ULONG_PTR lpCompletionKey
        OVERLAPPED *lpOverlapped
        DWORD dwNumberOfBytesTransferred

    ctypedef struct WSABUF:
        ULONG len
        char *buf

    struct sockaddr:
        unsigned short sa_family

    struct sockaddr_in:
        unsigned short sin_family
        unsigned short sin_port

    struct sockaddr_in6:
        unsigned short sin6_family
        unsigned short sin6_port
        uint32_t sin6_scope_id

    struct sockaddr_storage:
        unsigned short ss_family

    int AF_INET, AF_INET6
    DWORD INFINITE
    SOCKET INVALID_SOCKET
    int SOCKET_ERROR
    int WSA_IO_PENDING, WAIT_TIMEOUT
    unsigned char FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE

    int WSAGetLastError()
    HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads)
    BOOL CloseHandle(HANDLE port)
    BOOL GetQueuedCompletionStatusEx(HANDLE port, OVERLAPPED_ENTRY *entries, ULONG count, ULONG *removed,
                                     DWORD milliseconds, BOOL alertable)
    BOOL PostQueuedCompletionStatus(HANDLE port, DWORD bytes, ULONG_PTR key, OVERLAPPED *overlapped)
    BOOL SetFileCompletionNotificationModes(HANDLE file, unsigned char modes)
    BOOL AcceptEx(SOCKET listener, SOCKET accepted, void *addresses, DWORD receive_length, DWORD local_length,
                  DWORD remote_length, DWORD *received, OVERLAPPED *overlapped)
    void GetAcceptExSockaddrs(void *addresses, DWORD receive_length, DWORD local_length, DWORD remote_length,
                              sockaddr **local, int *local_size, sockaddr **remote, int *remote_size)
    BOOL ConnectEx(SOCKET s, const sockaddr *address, int length, void *data, DWORD data_length, DWORD *sent,
                   OVERLAPPED *overlapped)
    int WSARecv(SOCKET s, WSABUF *buffers, DWORD count, DWORD *received, DWORD *flags, OVERLAPPED *overlapped, void *routine)
    int WSASend(SOCKET s, WSABUF *buffers, DWORD count, DWORD *sent, DWORD flags, OVERLAPPED *overlapped, void *routine)
    BOOL CancelIoEx(HANDLE file, OVERLAPPED *overlapped)
    int ioctlsocket(SOCKET s, long command, unsigned long *argument)
    long FIONREAD
    int closesocket(SOCKET s)
    int recv(SOCKET s, char *buffer, int size, int flags)

    int PORT_IOCP, PORT_IO_URING, PORT_EPOLL, PORT_REASON_SIZE
    int port_probe(int backend, char *reason)
    HANDLE port_create(int backend, DWORD threads)
    int port_startup()
    SOCKET port_socket(int family)
    SOCKET port_listen(const sockaddr *address, int length, int backlog, int v6only)
    int port_bind(SOCKET s, const sockaddr *source, int length)
    int port_adopt(SOCKET s, SOCKET listener)
    void port_reset_on_close(SOCKET s)
    int port_finish(SOCKET s)
    int port_local_address(SOCKET s, sockaddr *address, int *length)
    int port_result(SOCKET s, OVERLAPPED *overlapped)
    int port_error_text(int code, char *text, int size)
    int port_is_reset(int code)
    int port_is_exhaustion(int code)
    int port_is_listener_lost(int code)
    int port_is_would_block(int code)
    int port_sends_in_flight(HANDLE port)
    int64_t port_now()
    void port_wait_until(int64_t when)
    void port_fine_clock(int wanted)
    int port_cpu_count()
    int64_t port_raise_open_files()
    void port_name_thread(const char *name)
    void port_route_console(HANDLE port, ULONG_PTR key, int passes_on)
    int port_is_routed()
    void port_before_fork()

cdef extern from "sync.h" nogil:
    ctypedef struct spin_t:
        pass
    ctypedef struct mutex_t:
        pass
    ctypedef struct counter_t:
        pass
    ctypedef uint8_t flag_t
    void spin_lock(spin_t *lock)
    void spin_unlock(spin_t *lock)
    void mutex_init(mutex_t *m)
    void mutex_lock(mutex_t *m)
    void mutex_unlock(mutex_t *m)
    void mutex_destroy(mutex_t *m)
    int64_t counter_add(counter_t *c, int64_t n)
    int64_t counter_get(counter_t *c)
    void counter_set(counter_t *c, int64_t n)
    int64_t counter_swap(counter_t *c, int64_t n)
    void counter_own(counter_t *c, int64_t n)
    void counter_put(counter_t *c, int64_t n)

cdef extern from *:
    """
    /* The worker that the calling thread is, NULL for the program's other threads. */
    static PORT_THREAD_LOCAL void *worker_of_thread;
    #ifdef _WIN32
    #define SIGNAL_CAME 0
    #define SIGNAL_LOOKS 100
    #else
    #define SIGNAL_CAME EINTR
    #define SIGNAL_LOOKS 0
    #endif
    """
    int SIGNAL_CAME         # what a wait that a signal ended says
    int SIGNAL_LOOKS        # how often Python is asked for it, since it may hear of it later than we do
    void *worker_of_thread
