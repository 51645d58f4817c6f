/*
 * All players of one load generator: when each of them sends, who is who, and what was measured.
 *
 * One thread, the engine's one worker, calls everything here but crowd_new and crowd_free: nothing is locked. A second
 * processor is used by a second process. Times are port_now()'s nanoseconds.
 *
 * The schedule is open. Every send has a planned time, which the answer does not move: latency counts from it, so a server that
 * stands still for a second is charged with every send that fell into it (no coordinated omission). Planned times lie on a grid of
 * one millisecond, so that one wake-up sends for all who are due, and does so on time.
 */
#ifndef IOCP_LOAD_CROWD_H
#define IOCP_LOAD_CROWD_H

#include "histogram.h"
#include "profile.h"
#include "table.h"

#define CROWD_SLOT INT64_C(1000000) /* nanoseconds between two points of the grid */

enum {
    CROWD_SLOTS = 4096,     /* the wheel's: whoever sends less often than every four seconds goes round more than once */
    CROWD_PACKET = 128      /* bytes of a packet kept as an example */
};

/* What a server must not tell a player. */
enum violation {
    VIOLATION_TWICE_ENTERED,        /* enter of somebody who is in sight already */
    VIOLATION_MOVE_UNSEEN,          /* move of somebody who is not */
    VIOLATION_LEAVE_UNSEEN,         /* leave of somebody who is not */
    VIOLATION_ENTERED_ITSELF,       /* enter of the player itself */
    VIOLATION_LEFT_ITSELF,
    VIOLATION_POSITION,             /* its own move: neither where it was nor one step further */
    VIOLATION_ANSWERED_TWICE,
    VIOLATION_ANSWER_UNASKED,       /* an answer to something that it did not send */
    VIOLATION_ANSWER_ORDER,         /* an answer behind the answer to a later move, or to one long given up */
    VIOLATION_FOREIGN_STAMP,        /* another's move with a time in it */
    VIOLATION_BEFORE_WELCOME,       /* the world, told to somebody whose login was not answered */
    VIOLATION_WELCOMED_TWICE,
    VIOLATION_ID_TWICE,             /* an id that another player online has */
    VIOLATION_ECHO,                 /* an echo that is not what was sent */
    VIOLATION_ELSEWHERE,            /* another is said to be where it has not been */
    VIOLATION_STALE,                /* another was last seen where it is not, and all is over */
    VIOLATIONS
};

struct violation_example {
    uint32_t player;
    int32_t own_id, id;
    int32_t x, y, from_x, from_y;
    uint32_t size;
    unsigned char packet[CROWD_PACKET];
};

/* What is counted, once for sends planned inside the measured window and once for the others. */
struct figures {
    struct histogram planned;       /* from the planned time of a send to its answer */
    struct histogram raw;           /* from the real time */
    struct histogram fanout;        /* from the mover's planned time to the receipt by each other player who sees it */
    struct histogram lateness;      /* from the planned time to the real one: the generator's own */
    int64_t sent;
    int64_t answered;
    int64_t blocked;                /* of the answered: the player stayed where it was */
    int64_t unanswered;             /* given up, or not in time */
    int64_t skipped;                /* not sent, since too many were unanswered */
};

enum player_phase { PLAYER_ABSENT, PLAYER_LOGGING_IN, PLAYER_PLAYING };

struct player;

struct crowd {
    struct profile profile;
    uint64_t seed;
    int64_t interval;               /* nanoseconds between a player's sends; 0: none on schedule */
    uint32_t fewest_moves;          /* that are remembered of each player */
    uint32_t window;                /* sends each player keeps under way instead of a schedule; 0: a schedule */
    int64_t from, until;            /* the measured window */
    int64_t end;                    /* nothing is planned from then on */
    struct figures figures[2];      /* [1]: planned inside the window */
    int64_t packets;                /* received */
    int64_t received_after;         /* ... since `from` */
    int64_t bytes;
    int64_t logged_in;              /* now */
    int64_t logins;                 /* ever */
    int64_t refused;                /* logins */
    int64_t malformed;              /* packets of a type or size that there is not */
    int64_t relocated;              /* players that the server moved of its own accord */
    int64_t fanout_unmatched;       /* moves of other players of this process that no recent send explains */
    int64_t smoothed;               /* the course tool's delay figure, milliseconds */
    int64_t violations[VIOLATIONS];
    struct violation_example examples[VIOLATIONS];
    struct violation_example malformed_example, refused_example; /* only player, size and packet */
    struct player **players;
    uint32_t player_count, player_capacity;
    struct table ids;               /* of players online: id -> index in `players` */
    struct player *slots[CROWD_SLOTS];
    uint64_t filled[CROWD_SLOTS / 64];
    int64_t slot;                   /* the last one whose players have all been served */
    int64_t scheduled;
};

/* NULL: no memory. `profile` is copied, its `move` too. */
struct crowd *crowd_new(const struct profile *profile, uint64_t seed, int64_t interval, uint32_t window);
void crowd_free(struct crowd *c);

/* Player `number`, made at its first use, valid until crowd_free; NULL: no memory. */
struct player *crowd_player(struct crowd *c, uint32_t number);

/* Measure sends planned in from <= planned < until. */
void crowd_measure(struct crowd *c, int64_t from, int64_t until);

/* Plan none from `end` on. CROWD_ENDLESS: plan again, see player_resume. */
#define CROWD_ENDLESS INT64_MAX
void crowd_end(struct crowd *c, int64_t end);

/* Sends that are unanswered. */
struct unanswered {
    int64_t all;
    int64_t measured;               /* of those planned inside the window */
    int64_t oldest;                 /* planned time of the one that waits the longest; INT64_MAX: none */
};
struct unanswered crowd_unanswered(const struct crowd *c);

/*
 * Close the window while players go on. What is unanswered in it counts with the time it has waited, since to leave it out would make the
 * worst answers the best ones; its answer, when it comes, is one of outside the window. Returns how many. `final`: it came too late then, so
 * that it is counted as unanswered instead, and so is what was planned before the window.
 */
int64_t crowd_settle(struct crowd *c, int64_t now, int final);

/*
 * Where players stand, as pairs x, y into room for `most` of them; returns how many. Of more than that it is each second, third ...
 * player by number, the same ones each time. None if the protocol has no positions; who is beyond 16 bits is left out.
 */
uint32_t crowd_positions(const struct crowd *c, int16_t *pairs, uint32_t most);

/* When the next player is due, -1: never. */
int64_t crowd_next_due(const struct crowd *c);
/* A player who is due at `now`, off the schedule; it is put back by player_reschedule. NULL: nobody (any more). */
struct player *crowd_take_due(struct crowd *c, int64_t now);

void crowd_schedule(struct crowd *c, struct player *p);
void crowd_unschedule(struct crowd *c, struct player *p);

/* Where a send planned at `planned` is counted. */
static inline struct figures *crowd_figures(struct crowd *c, int64_t planned)
{
    return &c->figures[planned >= c->from && planned < c->until];
}

#endif
