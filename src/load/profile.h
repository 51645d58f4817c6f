/*
 * What a protocol looks like to the load generator: data, no code, so that a protocol can be described in Python and
 * played without it. Framing is the core's; here are the packets themselves.
 */
#ifndef IOCP_LOAD_PROFILE_H
#define IOCP_LOAD_PROFILE_H

#include <stddef.h>
#include <stdint.h>

enum {
    PROFILE_TYPES = 1024,   /* values of the type field; larger ones are unknown */
    PROFILE_RULES = 64,
    PROFILE_STEPS = 16,
    PROFILE_OPENING = 256   /* bytes of a login or a teleport */
};

/* What a packet of the server means to the player that receives it. */
enum profile_role {
    ROLE_IGNORED,           /* known and of no interest */
    ROLE_WELCOME,           /* the login is accepted: id, position */
    ROLE_REFUSED,           /* the login is not */
    ROLE_MOVE,              /* a position: the player's own (an answer) or another's, told apart by the id */
    ROLE_ENTER,             /* another comes into sight: id */
    ROLE_LEAVE,             /* ... and goes: id */
    ROLE_ECHO               /* what the player sent comes back unchanged */
};

/* An integer in a packet; size 1, 2 or 4 bytes, 0: the packet has none. */
struct field {
    uint16_t offset;
    uint8_t size;
};

struct rule {
    uint8_t role;
    uint8_t next;           /* another rule for the same type, that is for another size; 0: none (rule 0 is nobody's) */
    uint8_t has_twin;       /* a move, and there is a rule for the same with a stamp if this one has none, or without */
    uint32_t least, most;   /* bytes of the whole packet */
    struct field id, x, y;
    struct field stamp;     /* the player's own, sent back */
};

/* A direction to move in. */
struct step {
    int32_t value;          /* as it is sent */
    int16_t dx, dy;         /* where it leads: tiles */
};

struct profile {
    int big_endian;
    struct field type;                  /* size 0: there are no types, every packet follows rule 1 */
    int rule_count;                     /* rule 0 included */
    struct rule rules[PROFILE_RULES];
    uint8_t by_type[PROFILE_TYPES];     /* the first rule of a type; 0: unknown */
    /* What a player sends */
    unsigned char login[PROFILE_OPENING];
    uint32_t login_size;                /* 0: no login, the player plays as soon as it is connected */
    struct field number;                /* where the login has the player's number in decimal digits; `size` is the room */
    unsigned char teleport[PROFILE_OPENING];
    uint32_t teleport_size;             /* sent once after the login; 0: not */
    unsigned char *move;                /* what is sent on schedule */
    uint32_t move_size;
    struct field direction;             /* in `move`; none: there are no positions to be checked */
    struct field stamp;                 /* in `move`; none: answers come in order */
    int step_count;
    struct step steps[PROFILE_STEPS];
    int has_spot;                       /* players are drawn to one tile */
    int32_t spot_x, spot_y;
};

/* Make what is looked up from the rules. Returns -1, or the number of a rule whose type does not fit into the table. */
int profile_index(struct profile *p, const uint32_t *types);

/* The rule for a whole packet; NULL: no such type, or not of that size. */
const struct rule *profile_rule(const struct profile *p, const unsigned char *packet, size_t size);

/* Signed numbers as ids and coordinates are, and unsigned ones as types and stamps are. */
int32_t profile_signed(const struct profile *p, struct field f, const unsigned char *packet);
uint32_t profile_unsigned(const struct profile *p, struct field f, const unsigned char *packet);
void profile_write(const struct profile *p, struct field f, unsigned char *packet, uint32_t value);

/* The largest number a field of that size holds. */
static inline uint32_t field_mask(struct field f)
{
    return f.size == 4 ? 0xFFFFFFFFu : (1u << (8 * f.size)) - 1;
}

#endif
