/* lecture_client: a client of the chess server as those who heard the lecture write one, and suspicious of every byte.
 *
 *   lecture_client HOST PORT BOARD [MOST]      BOARD: tiles along a side; MOST: bytes that it receives at once, if there are as many
 *
 * It is told what to do on standard input, a line each, and prints the packets that came meanwhile, then a line with a dot:
 *
 *   login NAME                     until the answer has come
 *   move DIRECTION [MOVE_TIME]     until the answer has come; with a time the timed packet is sent
 *   await enter|move|leave         until such a packet of another piece has come
 *   bye                            hang up, read to the end, print how much that was
 *
 * A packet is printed as its bytes and as what the structs of chess.h make of them. Blocking sockets, the length byte a signed
 * char, the four packet types of the lecture and no other: anything that does not fit ends it with exit code 1. It is C11 and
 * C++11, for Linux and for Windows; chess.h is what `python -m iocp.game.protocol --c-header` prints.
 */
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
typedef int SOCKET;
#define INVALID_SOCKET (-1)
#define SD_SEND SHUT_WR
#define closesocket close
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chess.h"

#define MAX_PIECES 256
#define BUFFER_SIZE 4096

struct piece {
    int id, x, y;
};

static SOCKET server;
static int board, most_bytes = BUFFER_SIZE;
static struct piece me = {-1, 0, 0};
static struct piece others[MAX_PIECES];
static int other_count;
static int sent_direction, answered = 1, is_timed, shown; /* shown: a move was answered, so the server knows which kind we are */
static uint32_t sent_time;
static unsigned long packet_count, byte_count, cut_count;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "lecture_client: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

/* ---- what the client knows ---- */

static struct piece *find(int id)
{
    for (int i = 0; i < other_count; i++)
        if (others[i].id == id)
            return &others[i];
    return NULL;
}

static void check_place(int x, int y)
{
    if (x < 0 || x >= board || y < 0 || y >= board)
        fail("%d,%d is not on a board of %d tiles", x, y, board);
}

static void check_size(int size, size_t expected)
{
    if ((size_t)size != expected)
        fail("a packet of %d bytes instead of %d", size, (int)expected);
}

/* ---- packets of the server ---- */

static void print_bytes(const char *packet, int size)
{
    for (int i = 0; i < size; i++)
        printf("%02x", (unsigned char)packet[i]);
}

static void login_ok(const char *packet, int size)
{
    struct sc_packet_login_ok p;
    check_size(size, sizeof p);
    memcpy(&p, packet, sizeof p);
    if (me.id != -1)
        fail("a second login_ok");
    if (p.id <= 0 || p.hp <= 0 || p.level < 1 || p.exp < 0)
        fail("login_ok with id %d, hp %d, level %d, exp %d", (int)p.id, p.hp, p.level, (int)p.exp);
    check_place(p.x, p.y);
    me.id = p.id;
    me.x = p.x;
    me.y = p.y;
    print_bytes(packet, size);
    printf(" login_ok id=%d x=%d y=%d hp=%d level=%d exp=%d\n", (int)p.id, p.x, p.y, p.hp, p.level, (int)p.exp);
}

static void own_move(int x, int y)
{
    static const int steps[4][2] = {{0, -1}, {0, 1}, {-1, 0}, {1, 0}}; /* CHESS_D_UP, DOWN, LEFT, RIGHT */
    if (x != me.x || y != me.y) {
        if (sent_direction < CHESS_D_UP || sent_direction > CHESS_D_RIGHT)
            fail("direction %d led from %d,%d to %d,%d", sent_direction, me.x, me.y, x, y);
        if (x != me.x + steps[sent_direction][0] || y != me.y + steps[sent_direction][1])
            fail("direction %d led from %d,%d to %d,%d", sent_direction, me.x, me.y, x, y);
    }
    me.x = x;
    me.y = y;
    answered = shown = 1;
}

static void moved(const char *packet, int size)
{
    struct sc_packet_move_timed p;
    /* Until the first own move is answered, the server cannot know which kind this client is. */
    int timed = shown ? is_timed : size == (int)sizeof p;
    check_size(size, timed ? sizeof p : sizeof(struct sc_packet_move));
    memset(&p, 0, sizeof p);
    memcpy(&p, packet, (size_t)size);
    check_place(p.x, p.y);
    if (p.id == me.id) {
        if (answered)
            fail("a move of the own piece that was not asked for");
        if (timed != is_timed)
            fail("the answer to a move is %d bytes long", size);
        if (timed && p.move_time != sent_time)
            fail("move_time %lu came back as %lu", (unsigned long)sent_time, (unsigned long)p.move_time);
        own_move(p.x, p.y);
    } else {
        struct piece *other = find(p.id);
        if (!other)
            fail("a move of %d, who has not entered", (int)p.id);
        if (timed && p.move_time != 0)
            fail("move_time %lu in the move of another", (unsigned long)p.move_time);
        if (abs(p.x - other->x) + abs(p.y - other->y) != 1)
            fail("%d went from %d,%d to %d,%d", (int)p.id, other->x, other->y, p.x, p.y);
        other->x = p.x;
        other->y = p.y;
    }
    print_bytes(packet, size);
    printf(" move id=%d x=%d y=%d", (int)p.id, p.x, p.y);
    if (timed)
        printf(" move_time=%lu", (unsigned long)p.move_time);
    printf("\n");
}

static void entered(const char *packet, int size)
{
    struct sc_packet_enter p;
    int length = 0;
    check_size(size, sizeof p);
    memcpy(&p, packet, sizeof p);
    if (p.id <= 0 || p.id == me.id || find(p.id))
        fail("enter of %d, who is here", (int)p.id);
    if (p.o_type != CHESS_O_PLAYER)
        fail("enter of %d with o_type %d", (int)p.id, p.o_type);
    check_place(p.x, p.y);
    while (length < CHESS_MAX_ID_LEN && p.name[length])
        length++;
    for (int i = length; i < CHESS_MAX_ID_LEN; i++)
        if (p.name[i])
            fail("the name of %d has byte %d behind its end", (int)p.id, p.name[i]);
    if (length == 0)
        fail("%d has no name", (int)p.id);
    if (other_count == MAX_PIECES)
        fail("more than %d others", MAX_PIECES);
    others[other_count].id = p.id;
    others[other_count].x = p.x;
    others[other_count].y = p.y;
    other_count++;
    print_bytes(packet, size);
    printf(" enter id=%d name=%.*s o_type=%d x=%d y=%d\n", (int)p.id, length, p.name, p.o_type, p.x, p.y);
}

static void left(const char *packet, int size)
{
    struct sc_packet_leave p;
    struct piece *other;
    check_size(size, sizeof p);
    memcpy(&p, packet, sizeof p);
    other = find(p.id);
    if (!other)
        fail("leave of %d, who is not here", (int)p.id);
    *other = others[--other_count];
    print_bytes(packet, size);
    printf(" leave id=%d\n", (int)p.id);
}

static void process_packet(const char *packet, int size)
{
    int type = packet[1];
    if (me.id == -1 && type != CHESS_SC_LOGIN_OK)
        fail("packet type %d before login_ok", type);
    switch (type) {
    case CHESS_SC_LOGIN_OK:
        login_ok(packet, size);
        break;
    case CHESS_SC_MOVE:
        moved(packet, size);
        break;
    case CHESS_SC_ENTER:
        entered(packet, size);
        break;
    case CHESS_SC_LEAVE:
        left(packet, size);
        break;
    default:
        fail("unknown packet type %d", type);
    }
}

/* ---- the connection ---- */

static char buffer[BUFFER_SIZE];
static int filled, taken; /* bytes received, bytes of them that were processed */

/* Receive once, behind the head of a packet that was cut. False at the end of the connection. */
static int receive(void)
{
    int count;
    memmove(buffer, buffer + taken, (size_t)(filled - taken));
    filled -= taken;
    taken = 0;
    count = BUFFER_SIZE - filled;
    count = (int)recv(server, buffer + filled, count < most_bytes ? count : most_bytes, 0);
    if (count < 0)
        fail("the connection broke");
    if (filled && count)
        cut_count++;
    filled += count;
    byte_count += (unsigned long)count;
    return count > 0;
}

/* The type of the next packet, which is processed; -1 at the end of the connection. */
static int next_packet(void)
{
    for (;;) {
        if (filled > taken) {
            int size = (signed char)buffer[taken];
            if (size < 2)
                fail("a packet of %d bytes", size);
            if (filled - taken >= size) {
                const char *packet = buffer + taken;
                taken += size;
                packet_count++;
                process_packet(packet, size);
                return packet[1];
            }
        }
        if (!receive()) {
            if (filled > taken)
                fail("%d bytes are left at the end", filled - taken);
            return -1;
        }
    }
}

static void need_packet(int *type)
{
    *type = next_packet();
    if (*type == -1)
        fail("the server hung up");
}

static void send_packet(const void *packet, size_t size)
{
    if (send(server, (const char *)packet, (int)size, 0) != (int)size)
        fail("could not send");
}

static SOCKET connect_to(const char *host, int port)
{
    struct sockaddr_in address;
    SOCKET s;
    int one = 1;
#ifdef _WIN32
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        fail("no Winsock");
#endif
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        fail("%s is no IPv4 address", host);
    s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (s == INVALID_SOCKET)
        fail("no socket");
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&one, sizeof one);
    if (connect(s, (struct sockaddr *)&address, sizeof address) != 0)
        fail("could not connect to %s:%d", host, port);
    return s;
}

/* ---- commands ---- */

static void do_login(const char *name)
{
    struct cs_packet_login p;
    int type;
    size_t length = strlen(name);
    if (length > CHESS_MAX_ID_LEN)
        fail("the name is too long");
    memset(&p, 0, sizeof p);
    p.size = sizeof p;
    p.type = CHESS_CS_LOGIN;
    memcpy(p.name, name, length);
    send_packet(&p, sizeof p);
    need_packet(&type);
}

static void do_move(int direction, int timed, uint32_t move_time)
{
    int type;
    sent_direction = direction;
    sent_time = move_time;
    is_timed = timed;
    answered = 0;
    if (timed) {
        struct cs_packet_move_timed p = {sizeof p, CHESS_CS_MOVE, (int8_t)direction, move_time};
        send_packet(&p, sizeof p);
    } else {
        struct cs_packet_move p = {sizeof p, CHESS_CS_MOVE, (int8_t)direction};
        send_packet(&p, sizeof p);
    }
    while (!answered)
        need_packet(&type);
}

static void do_await(int wanted)
{
    int type;
    do
        need_packet(&type);
    while (type != wanted);
}

static void do_bye(void)
{
    shutdown(server, SD_SEND);
    while (next_packet() != -1)
        ;
    printf("end packets=%lu bytes=%lu cut=%lu\n", packet_count, byte_count, cut_count);
}

/* False after the last one. */
static int command(char *line)
{
    char word[16], text[64];
    int direction, fields;
    unsigned long move_time = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (strncmp(line, "login ", 6) == 0) {
        do_login(line + 6);
    } else if ((fields = sscanf(line, "move %d %lu", &direction, &move_time)) >= 1) {
        do_move(direction, fields == 2, (uint32_t)move_time);
    } else if (sscanf(line, "%15s %63s", word, text) == 2 && strcmp(word, "await") == 0) {
        do_await(strcmp(text, "enter") == 0 ? CHESS_SC_ENTER : strcmp(text, "leave") == 0 ? CHESS_SC_LEAVE : CHESS_SC_MOVE);
    } else if (strcmp(line, "bye") == 0) {
        do_bye();
        return 0;
    } else {
        fail("what is \"%s\"?", line);
    }
    return 1;
}

int main(int argc, char **argv)
{
    char line[80];
    int more = 1;
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: lecture_client HOST PORT BOARD [MOST]\n");
        return 2;
    }
    board = atoi(argv[3]);
    if (argc == 5)
        most_bytes = atoi(argv[4]);
    server = connect_to(argv[1], atoi(argv[2]));
    while (more && fgets(line, sizeof line, stdin)) {
        more = command(line);
        printf(".\n");
        fflush(stdout);
    }
    closesocket(server);
    return 0;
}
