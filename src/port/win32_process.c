/*
 * What the port needs of the process on Windows: a clock, the number of processors, thread names, and the console.
 */
#include "port.h"

#include <mmsystem.h>

/* ---- clock and processors ---- */

void port_wait_until(int64_t when)
{
    (void)when;
}

void port_fine_clock(int wanted)
{
    (void)(wanted ? timeBeginPeriod(1) : timeEndPeriod(1));
}

void port_before_fork(void)
{
}

int64_t port_now(void)
{
    LARGE_INTEGER count, frequency;
    int64_t seconds, rest;
    /* Neither call can fail from Windows XP on, and the second one reads a page that every process has. */
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    /* count * 1e9 would overflow after 15 minutes at 10 MHz. The rest is below the frequency: its product fits up to 9 GHz. */
    seconds = count.QuadPart / frequency.QuadPart;
    rest = count.QuadPart % frequency.QuadPart;
    return seconds * 1000000000 + rest * 1000000000 / frequency.QuadPart;
}

int port_cpu_count(void)
{
    DWORD_PTR ours = 0, all = 0;
    int count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &all))
        for (; ours != 0; ours &= ours - 1)
            count++;
    /* The masks are 0 for a process whose threads run in several processor groups (more than 64 processors). */
    if (count == 0)
        count = (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count > 0 ? count : 1;
}

/* Handles are limited by memory alone, 16 million to a process. */
int64_t port_raise_open_files(void)
{
    return -1;
}

/* ---- threads ---- */

typedef HRESULT(WINAPI *set_thread_description_function)(HANDLE thread, PCWSTR description);

void port_name_thread(const char *name)
{
    /* Looked up by name: Windows 10 has it from version 1607 on, and import libraries disagree about which one exports it. */
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    set_thread_description_function set = NULL;
    wchar_t wide[64];

    if (kernel != NULL)
        set = (set_thread_description_function)(void (*)(void))GetProcAddress(kernel, "SetThreadDescription");
    if (set == NULL)
        return;
    if (MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, 64) > 0)
        (void)set(GetCurrentThread(), wide);
}

/* ---- console ---- */

/* The system calls the handler on a new thread at any time, also while the server that owns the port is being taken down.
 * The lock makes port_route_console(NULL) wait until a post under way is done, so that the port may be closed after it. */
static SRWLOCK route_lock = SRWLOCK_INIT;
static HANDLE route_port;
static ULONG_PTR route_key;
static BOOL route_passes_on;
static BOOL route_installed;
static LONG route_used; /* a stop was asked for on this route before */

static BOOL WINAPI console_event(DWORD event)
{
    BOOL taken = FALSE;

    /* Only services and their like are told of it, and not who logs off: an administrator's session is no reason to stop. */
    if (event == CTRL_LOGOFF_EVENT)
        return FALSE;
    AcquireSRWLockShared(&route_lock);
    if (route_port != NULL) {
        /* The second time: a handler of the program that never returns holds the stop up, and Python's own handler would wait for
         * the main thread, which may be in it. */
        if (InterlockedExchange(&route_used, 1) && !route_passes_on && (event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT))
            TerminateProcess(GetCurrentProcess(), (UINT)STATUS_CONTROL_C_EXIT);
        taken = PostQueuedCompletionStatus(route_port, 0, route_key, NULL) && !route_passes_on;
    }
    ReleaseSRWLockShared(&route_lock);

    if (!taken)
        return FALSE; /* the next handler, Python's or the system's, may have it */
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) {
        /* The window closes, the system shuts down: the process ends when this handler returns. Not returning gives the server the
         * seconds that the system allows (5 for a window) to stop in order; the process's own end ends this thread. */
        Sleep(INFINITE);
    }
    return TRUE;
}

void port_route_console(HANDLE port, ULONG_PTR key, int passes_on)
{
    BOOL install;

    AcquireSRWLockExclusive(&route_lock);
    route_port = port;
    route_key = key;
    route_passes_on = passes_on;
    route_used = 0;
    install = port != NULL && !route_installed;
    if (install)
        route_installed = TRUE;
    ReleaseSRWLockExclusive(&route_lock);

    /* Outside the lock: the system holds a lock of its own while it lists its handlers, and while it calls them. So the handler is
     * never removed: when the window is being closed it sleeps under that lock, and whoever removed it would wait for ever, with what
     * a program still has to save. Without a port it passes on whatever comes. */
    if (install)
        (void)SetConsoleCtrlHandler(console_event, TRUE);
}

int port_is_routed(void)
{
    int is_routed;

    AcquireSRWLockShared(&route_lock);
    is_routed = route_port != NULL;
    ReleaseSRWLockShared(&route_lock);
    return is_routed;
}
