/* load: a load generator for servers that speak length-prefixed packets, in one thread on epoll.
 *
 *   gcc -O2 -Wall -o load load.c
 *   load echo   HOST PORT [--connections 100] [--active N] [--window 16] [--size 16] [--seconds 2] [--warmup 0.5] [--pid PID]...
 *   load fanout HOST PORT [--receivers 200] [--senders 1] [--window 1] [--size 16] [--seconds 2] [--warmup 0.5] [--pid PID]...
 *   load idle   HOST PORT [--connections 10000] [--seconds 10] [--touch]
 *
 * echo    Each connection keeps `window` packets outstanding. The packets of one receive are checked, made into the next
 *         ones in place, and leave in one write. So the server meets bursts of `window` packets, as many as TCP keeps joined.
 *         With --active only so many of the connections do, evenly spread among them; the others are silent.
 * fanout  The first `senders` of the `receivers` connections send; the server gives each packet to every connection, the
 *         sender included. A sender keeps `window` packets under way: what came back in one receive is replaced in one
 *         write. What is counted is deliveries.
 * idle    Opens connections, says so on standard output and holds them. With --touch each one has echoed a packet before.
 *
 * A packet: byte 0 its length (itself included), byte 1 a type (1), bytes 2-5 a sequence number, bytes 6-9 the number of the
 * connection it was sent on, then filling. All of it is checked on the way back: a server that loses, swaps, repeats or
 * alters a packet shows up in `errors`, and the exit code is 1.
 *
 * With --pid the CPU time of the server (all its threads, user and system) is read by this program at the two edges of the
 * measured window, because nobody else knows these edges to the microsecond. The last line on standard output is one JSON object.
 */
#include "connection.h"

static _Noreturn void usage(const char *problem)
{
    fprintf(stderr, "load: %s\nusage: load echo|fanout|idle HOST PORT [--connections N | --receivers N] [--senders M] [--window W]\n"
                    "            [--size %d..%d] [--seconds T] [--warmup T] [--pid PID]... [--touch]\n",
            problem, HEADER_SIZE, MAXIMUM_SIZE);
    exit(2);
}

/* ---- packets ---- */

static void write_packet(unsigned char *at, uint32_t sequence, uint32_t index)
{
    at[0] = (unsigned char)options.size;
    at[1] = 1;
    memcpy(at + 2, &sequence, 4);
    memcpy(at + 6, &index, 4);
    memcpy(at + HEADER_SIZE, filling, options.size - HEADER_SIZE);
}

static uint32_t number_at(const unsigned char *at)
{
    uint32_t number;
    memcpy(&number, at, 4);
    return number;
}

static bool is_well_formed(const unsigned char *at)
{
    return at[0] == options.size && at[1] == 1 && memcmp(at + HEADER_SIZE, filling, options.size - HEADER_SIZE) == 0;
}

/* ---- what each mode does with `count` whole packets in `buffer` ---- */

static void renew_packets(struct connection *c, uint32_t count)
{
    unsigned char *at = buffer;
    for (uint32_t i = 0; i < count; i++, at += options.size) {
        if (!is_well_formed(at) || number_at(at + 2) != c->expected || number_at(at + 6) != c->index) {
            close_connection(c, "got a packet that it did not send, or not then", 0);
            return;
        }
        uint32_t next = c->expected++ + options.window;
        memcpy(at + 2, &next, 4);
    }
    packets += count;
    send_bytes(c, buffer, count * options.size);
}

/* In one write, so that a server that gathers what it has can always gather as much, however fast or slow it is. */
static void send_broadcasts(struct connection *c, uint32_t count)
{
    unsigned char packets_to_send[BURST_SIZE];
    while (count && c->state == OPEN) {
        uint32_t length = 0;
        for (; count && length + options.size <= BURST_SIZE; count--, length += options.size)
            write_packet(packets_to_send + length, ++c->expected, c->index);
        send_bytes(c, packets_to_send, length);
    }
}

static void count_deliveries(struct connection *c, uint32_t count)
{
    const unsigned char *at = buffer;
    uint32_t own = 0;
    for (uint32_t i = 0; i < count; i++, at += options.size) {
        uint32_t sequence = number_at(at + 2), sender = number_at(at + 6);
        if (!is_well_formed(at) || sender >= options.senders) {
            close_connection(c, "got a packet that nobody sent", 0);
            return;
        }
        /* A receiver that the server accepted late has missed the first broadcasts; from then on it must miss none. */
        uint32_t *next = &due[(size_t)c->index * options.senders + sender];
        if (*next != 0 && *next != sequence)
            error("receiver %u got packet %u of sender %u instead of %u", c->index, sequence, sender, *next);
        *next = sequence + 1;
        own += sender == c->index;
    }
    packets += count;
    broadcasts += own;
    send_broadcasts(c, own);
}

static void ignore_packets(struct connection *c, uint32_t count)
{
    (void)c;
    packets += count;
}

/* ---- measuring ---- */

static bool is_active(uint32_t index)
{
    return (uint64_t)index * options.active / options.connections != ((uint64_t)index + 1) * options.active / options.connections;
}

static void send_first_packets(void)
{
    bool is_fanout = strcmp(options.mode, "fanout") == 0;
    uint32_t senders = is_fanout ? options.senders : options.connections;
    unsigned char *burst = malloc((size_t)options.window * options.size);
    for (uint32_t i = 0; i < senders; i++) {
        struct connection *c = &connections[i];
        if (c->state != OPEN || (!is_fanout && !is_active(i)))
            continue;
        if (is_fanout) {
            send_broadcasts(c, options.window);
            continue;
        }
        for (uint32_t w = 0; w < options.window; w++)
            write_packet(burst + (size_t)w * options.size, w, i);
        send_bytes(c, burst, options.window * options.size);
    }
    free(burst);
}

static double server_cpu_seconds(void)
{
    double sum = 0;
    for (int i = 0; i < options.pid_count; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(options.pids[i], &clock) != 0 || clock_gettime(clock, &t) != 0)
            error("no CPU clock for process %d", (int)options.pids[i]);
        else
            sum += t.tv_sec + t.tv_nsec * 1e-9;
    }
    return sum;
}

static double own_cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* How many of those that should have got something are still there and have got nothing. */
static uint32_t count_unanswered(void)
{
    uint32_t unanswered = 0;
    for (uint32_t i = 0; i < options.connections && answered < options.active; i++)
        unanswered += connections[i].state == OPEN && is_active(i) && !connections[i].has_answer;
    return unanswered;
}

static void measure(void)
{
    /* Servers that serve some connections long before others are not measured in that state, unless it lasts. */
    double begin = now(), end = begin + options.warmup;
    while (opened && (now() < end || (count_unanswered() && now() < end + ANSWER_TIMEOUT_SECONDS)))
        turn(end);
    uint64_t packets_before = packets, broadcasts_before = broadcasts;
    double cpu_before = server_cpu_seconds(), own_before = own_cpu_seconds(), start = now();
    end = start + options.seconds;
    while (now() < end && opened)
        turn(end);
    double seconds = now() - start, cpu = server_cpu_seconds() - cpu_before, own = own_cpu_seconds() - own_before;
    uint64_t count = packets - packets_before;
    printf("{\"mode\": \"%s\", \"packets\": %llu, \"seconds\": %.6f, \"per_second\": %.1f, \"connections\": %u, \"errors\": %llu, ",
           options.mode, (unsigned long long)count, seconds, count / seconds, opened, (unsigned long long)errors);
    printf("\"unanswered\": %u, \"broadcasts\": %llu, \"load_cpu_seconds\": %.6f, ", count_unanswered(),
           (unsigned long long)(broadcasts - broadcasts_before), own);
    if (options.pid_count)
        printf("\"server_cpu_seconds\": %.6f, \"per_cpu_second\": %.1f, ", cpu, cpu > 0 ? count / cpu : 0.0);
    printf("\"first_error\": \"%s\"}\n", first_error);
}

static void hold(void)
{
    if (options.touch) {
        double deadline = now() + CONNECT_TIMEOUT_SECONDS;
        while (answered < opened && now() < deadline)
            turn(deadline);
        if (answered < opened)
            error("%llu of %u connections got no echo", (unsigned long long)(opened - answered), opened);
    }
    printf("{\"mode\": \"idle\", \"connections\": %u, \"errors\": %llu, \"first_error\": \"%s\"}\n", opened, (unsigned long long)errors,
           first_error);
    fflush(stdout);
    double end = now() + options.seconds;
    while (now() < end && opened)
        turn(end);
}

static double number(const char *text)
{
    char *rest;
    double value = text ? strtod(text, &rest) : -1;
    if (!text || *rest || rest == text || value < 0)
        usage("a number is missing or negative");
    return value;
}

static void read_options(int argc, char **argv)
{
    if (argc < 4)
        usage("mode, host and port are needed");
    options.mode = argv[1];
    bool is_fanout = strcmp(options.mode, "fanout") == 0, is_idle = strcmp(options.mode, "idle") == 0;
    if (!is_fanout && !is_idle && strcmp(options.mode, "echo") != 0)
        usage("the mode is echo, fanout or idle");
    options.address.sin_family = AF_INET;
    options.address.sin_port = htons((uint16_t)number(argv[3]));
    if (inet_pton(AF_INET, strcmp(argv[2], "localhost") ? argv[2] : "127.0.0.1", &options.address.sin_addr) != 1)
        usage("the host is an IPv4 address");
    options.connections = is_fanout ? 200 : is_idle ? 10000 : 100;
    options.window = is_fanout || is_idle ? 1 : 16;
    for (int i = 4; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--touch") == 0) {
            options.touch = true;
            continue;
        }
        double value = number(argv[++i]); /* argv[argc] is NULL, which number() refuses */
        if (strcmp(name, "--connections") == 0 || strcmp(name, "--receivers") == 0)
            options.connections = (uint32_t)value;
        else if (strcmp(name, "--active") == 0)
            options.active = (uint32_t)value;
        else if (strcmp(name, "--senders") == 0)
            options.senders = (uint32_t)value;
        else if (strcmp(name, "--window") == 0)
            options.window = (uint32_t)value;
        else if (strcmp(name, "--size") == 0)
            options.size = (uint32_t)value;
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = value;
        else if (strcmp(name, "--warmup") == 0)
            options.warmup = value;
        else if (strcmp(name, "--pid") == 0 && options.pid_count < MAXIMUM_PIDS)
            options.pids[options.pid_count++] = (pid_t)value;
        else
            usage("unknown option, or too many of it");
    }
    if (options.size < HEADER_SIZE || options.size > MAXIMUM_SIZE)
        usage("the size is out of range");
    if (!options.active)
        options.active = options.connections;
    if (options.active > options.connections)
        usage("no more connections can be active than there are");
    if (!options.connections || !options.window || (is_fanout && (!options.senders || options.senders > options.connections)))
        usage("connections, window and senders are at least 1, and senders are receivers too");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (uint32_t i = 0; i < MAXIMUM_SIZE; i++)
        filling[i] = (unsigned char)(i * 7 + 3);
    on_packets = strcmp(options.mode, "echo") == 0 ? renew_packets : strcmp(options.mode, "fanout") == 0 ? count_deliveries : ignore_packets;
    connections = calloc(options.connections, sizeof *connections);
    due = calloc((size_t)options.connections * options.senders, sizeof *due);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || !due || epoll_fd < 0) {
        fprintf(stderr, "load: %s\n", strerror(errno));
        return 1;
    }
    connect_all();
    if (strcmp(options.mode, "idle") != 0) {
        send_first_packets();
        measure();
    } else {
        if (options.touch)
            send_first_packets();
        hold();
    }
    return errors ? 1 : 0;
}
