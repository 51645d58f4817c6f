/*
 * How a test fails: at once, on whatever thread, with one line that says why. Each test runs in a process of its own
 * (contract.c), so nothing has to be cleaned up after a failure.
 */
#ifndef CONTRACT_CHECK_H
#define CONTRACT_CHECK_H

#include <stdio.h>

#if defined(__MINGW32__)
#define LIKE_PRINTF(text, first) __attribute__((format(__MINGW_PRINTF_FORMAT, text, first), noreturn))
#elif defined(__GNUC__)
#define LIKE_PRINTF(text, first) __attribute__((format(printf, text, first), noreturn))
#else
#define LIKE_PRINTF(text, first)
#endif

enum { EXIT_OK = 0, EXIT_NOT_OK = 1, EXIT_USAGE = 2, EXIT_SKIP = 77 };

void fail_at(const char *file, int line, const char *format, ...) LIKE_PRINTF(3, 4);
void skip_test(const char *format, ...) LIKE_PRINTF(1, 2);

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)                            \
    do {                                            \
        if (!(condition))                           \
            FAIL("%s", #condition);                 \
    } while (0)

#define CHECK_EQUAL(actual, expected)                                                     \
    do {                                                                                  \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);       \
        if (actual_ != expected_)                                                         \
            FAIL("%s is %lld, not %s (%lld)", #actual, actual_, #expected, expected_);    \
    } while (0)

/* How long anything may take that has to happen: CONTRACT_SECONDS, 20 by default. */
int deadline_milliseconds(void);

#endif
