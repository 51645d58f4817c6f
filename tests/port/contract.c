/*
 * The contract suite: each point of src/port/port.h as tests, on any backend.
 *
 *     contract BACKEND           every test, each in a process of its own; the last line counts
 *     contract BACKEND TEST      one test in this process
 *     contract --list            the names
 *
 * Prints `ok NAME`, `not ok NAME: why` or `skip NAME: reason`. Exit code 0: all passed, 1: not, 77: skipped, 2: wrong usage.
 */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <process.h>
#else
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
extern char **environ;
#endif

#define CASE(name) void name(void);
#include "cases.h"
#undef CASE

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(name) {#name, name},
#include "cases.h"
#undef CASE
};

enum { CASES = sizeof cases / sizeof *cases };

static const char *test_name = "?";

/* ---- how a test ends ---- */

static _Noreturn void end(int code)
{
    fflush(stdout);
    /* Not exit(): other threads are still at work on what its handlers would take down. */
    _Exit(code);
}

void fail_at(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    const char *base = file;
    for (; *file; file++)
        if (*file == '/' || *file == '\\')
            base = file + 1;
    printf("not ok %s: ", test_name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf(" (%s:%d)\n", base, line);
    end(EXIT_NOT_OK);
}

void skip_test(const char *format, ...)
{
    va_list arguments;
    printf("skip %s: ", test_name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    end(EXIT_SKIP);
}

int deadline_milliseconds(void)
{
    const char *seconds = getenv("CONTRACT_SECONDS");
    int value = seconds != NULL ? atoi(seconds) : 20;
    return (value > 0 ? value : 20) * 1000;
}

/* Every wait of a test has a deadline of its own, except those that test the lack of one. */
static void watchdog(void *never)
{
#ifndef _WIN32
    sigset_t all; /* signals are for the thread under test */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
#endif
    port_name_thread("watchdog");
    if (!gate_wait(never, 1, 4 * deadline_milliseconds()))
        FAIL("the test hangs");
}

static int run_one(int index)
{
    static struct gate finished;
    thread_t dog;
    test_name = cases[index].name;
    gate_make(&finished);
    dog = thread_start(watchdog, &finished);
    begin_test();
    cases[index].run();
    end_test();
    gate_raise(&finished, 1);
    thread_join(dog);
    printf("ok %s\n", test_name);
    fflush(stdout);
    return EXIT_OK; /* through exit(), where a leak checker looks at what is left */
}

/* ---- all tests ---- */

static int spawn_one(const char *program, const char *backend, const char *name)
{
#ifdef _WIN32
    const char *const arguments[] = {"contract", backend, name, NULL};
    return (int)_spawnv(_P_WAIT, program, arguments);
#else
    char *const arguments[] = {(char *)program, (char *)backend, (char *)name, NULL};
    pid_t child;
    int status = 0, error = posix_spawn(&child, program, NULL, NULL, arguments, environ);
    if (error != 0) {
        fprintf(stderr, "%s cannot be started again: error %d\n", program, error);
        exit(EXIT_USAGE);
    }
    while (waitpid(child, &status, 0) < 0)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
#endif
}

static int run_all(const char *program, const char *backend)
{
    int passed = 0, failed = 0, skipped = 0, i;
    for (i = 0; i < CASES; i++) {
        int code = spawn_one(program, backend, cases[i].name);
        if (code == EXIT_OK)
            passed++;
        else if (code == EXIT_SKIP)
            skipped++;
        else {
            failed++;
            if (code != EXIT_NOT_OK) /* then it has said why itself */
                printf("not ok %s: it ended with code %d\n", cases[i].name, code);
        }
        fflush(stdout);
    }
    printf("%s: %d passed, %d failed, %d skipped\n", backend, passed, failed, skipped);
    return failed ? EXIT_NOT_OK : EXIT_OK;
}

static int usage(void)
{
    fprintf(stderr, "usage: contract iocp|io_uring|epoll [TEST], or contract --list\n");
    return EXIT_USAGE;
}

static int backend_number(const char *name)
{
    static const char *const names[] = {"iocp", "io_uring", "epoll"}; /* in the order of enum port_backend */
    int i;
    for (i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

int main(int count, char **arguments)
{
    char reason[PORT_REASON_SIZE];
    int i, error;

    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (i = 0; i < CASES; i++)
            printf("%s\n", cases[i].name);
        return EXIT_OK;
    }
    if (count < 2 || count > 3 || (the_backend = backend_number(arguments[1])) < 0)
        return usage();
    error = port_startup();
    if (error != 0) {
        printf("not ok port_startup: error %d\n", error);
        return EXIT_NOT_OK;
    }
    if (!port_probe(the_backend, reason)) {
        printf("skip %s: %s\n", count == 3 ? arguments[2] : arguments[1], reason);
        return EXIT_SKIP;
    }
    if (count == 2)
        return run_all(arguments[0], arguments[1]);
    for (i = 0; i < CASES; i++)
        if (strcmp(arguments[2], cases[i].name) == 0)
            return run_one(i);
    return usage();
}
