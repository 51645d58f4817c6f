#ifndef IOCP_LOAD_PLAYER_H
#define IOCP_LOAD_PLAYER_H

#include "crowd.h"

enum {
    PLAYER_FEWEST_MOVES = 16,   /* remembered, answered ones too: others are still to hear of them */
    PLAYER_MOST_REMEMBERED = 1024, /* ... of one that sends often; more only if they wait */
    PLAYER_CLAIMS = 4,          /* places that others were told of and its own answers are still to show; more are not judged */
    PLAYER_MOST_UNANSWERED = 4096,
    PLAYER_PATIENCE = 64        /* later moves that are answered before one is not waited for any more */
};

enum move_state { MOVE_NONE, MOVE_WAITING, MOVE_DONE, MOVE_REFUSED, MOVE_LOST };

enum { STEP_NONE = 254, STEP_TELEPORT = 255 };

/* Something a player has sent. */
struct move {
    int64_t planned;
    int64_t sent;
    int32_t x, y;               /* where it leads, as far as known */
    uint8_t step;               /* the profile's, or one of the two above */
    uint8_t state;
    uint8_t counted;            /* as unanswered; its answer may still come */
};

/* A place where it is said to be, by what another was told. */
struct claim {
    int32_t x, y;
    uint32_t until;             /* the first move that was not sent yet then */
    uint32_t viewer;            /* the other's number */
};

/* A packet of its own, without a number in it, that puts it where the oldest of its moves cannot have led. */
struct stray {
    int64_t at;                 /* when it came; 0: there is none, or the next one has told what it was */
    int32_t x, y, from_x, from_y;
};

struct player {
    struct crowd *crowd;
    void *connection;           /* the core's; NULL: absent */
    uint32_t number;
    uint8_t phase;
    uint8_t scheduled;
    uint8_t wants_teleport;     /* to be sent next */
    uint8_t refused;            /* its login, in words */
    uint8_t leaves;             /* sends no more, and goes as soon as it has its answers */
    uint8_t ending;             /* its connection is, so it may not have been told all; set by the core before claim_stale */
    uint8_t claim_count;
    int32_t id;
    int32_t x, y;               /* as last answered */
    int32_t ahead_x, ahead_y;   /* where it will be when all it has sent is answered */
    int32_t home_x, home_y;     /* where it logged in */
    int64_t unsure_until;       /* nobody can say until then where it must be; INT64_MAX: it is never told */
    struct claim claims[PLAYER_CLAIMS];
    struct stray stray;
    uint64_t random;
    /* Moves by their sequence number, which goes on over logins: those that wait lie in oldest .. newest - 1. */
    struct move *moves;
    uint32_t capacity;          /* a power of two */
    uint32_t oldest, newest;
    uint32_t first;             /* of this login */
    uint32_t answered;          /* behind the latest one that was answered */
    uint32_t stamp;             /* of move 0: another one for each player, so that no stranger's fits */
    uint32_t credits;           /* sends of a window whose turn has come */
    struct table sight;         /* whom it sees: id -> the last of that player's moves it was told of */
    int64_t due;                /* exact; it is sent at the next point of the grid */
    int64_t slot;
    struct player *after, *before; /* in its slot */
};

struct player *player_new(struct crowd *c, uint32_t number);
void player_free(struct player *p);

/* It is connected: its login into `packet` (PROFILE_OPENING bytes). Returns the bytes; 0: no login, it plays already. */
size_t player_join(struct player *p, void *connection, int64_t now, unsigned char *packet);

/* It is gone. `broken`: not by its own will, so what it waits for counts as unanswered. */
void player_part(struct player *p, int64_t now, int broken);

/* A whole packet for it. Returns 0 if nobody could understand it: the stream is not to be trusted any more. */
int player_receive(struct player *p, const unsigned char *packet, size_t size, int64_t now);

/* Whether it has something to send that no schedule will ask for. */
static inline int player_wants_to_send(const struct player *p)
{
    return (p->credits || p->wants_teleport) && !p->leaves;
}

/* What it is to send now, whole packets into `room` bytes. Returns the bytes; call again until that is 0. */
size_t player_send(struct player *p, unsigned char *bytes, size_t room, int64_t now);

/* Put it back on the schedule after player_send. */
void player_reschedule(struct player *p);

/* Go on after a pause in which nothing was planned: the schedule where it would be by now, or a whole window. */
void player_resume(struct player *p, int64_t now);

/* It sends no more, or goes on after all. */
void player_leave(struct player *p);
void player_stay(struct player *p, int64_t now);

/* No more is waited for: what is unanswered is counted, and counts with the time it has waited. */
void player_give_up(struct player *p, int64_t now);

/* ---- shared by player.c and receipt.c ---- */

/* The move with that sequence number, as long as it is remembered. */
struct move *player_move(const struct player *p, uint32_t sequence);

/* Its login is accepted, or there is none: it plays from now on. */
void player_start(struct player *p, int64_t now);

/* A move is not waited for any more. */
void player_lose(struct player *p, struct move *m, int64_t now);

/* Among the times: how long a move took, or has waited. */
void player_record(struct player *p, const struct move *m, int64_t now);

/* A move that waits has not been answered in time. Counted once, with the time it has waited: to leave it out would make the worst
 * answers the best ones. */
void player_count_unanswered(struct player *p, struct move *m, int64_t now);

/* Whether anything it has sent is not answered. */
static inline int player_waits(const struct player *p)
{
    for (uint32_t sequence = p->oldest; sequence != p->newest; sequence++)
        if (player_move(p, sequence)->state == MOVE_WAITING)
            return 1;
    return 0;
}

/* Count a violation; the first one of its kind is kept with the packet, if one shows it (NULL, 0: none does). */
void player_violate(struct player *p, enum violation kind, int32_t id, int32_t x, int32_t y, const unsigned char *packet,
                    size_t size);
void player_example(struct violation_example *e, const struct player *p, const unsigned char *packet, size_t size);

/* Coordinates come from a server that may send any. */
static inline int32_t plus(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t minus(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

#endif
