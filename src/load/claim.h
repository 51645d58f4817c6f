/*
 * Where others are told that a player is, against where it is told itself that it is.
 *
 * A claim is a place that some other player was told of, and that the player's own answers do not explain yet: mostly the answer is
 * under way. It is judged by an answer to a move that was sent after the claim was heard, since a server's packets to one player come
 * in order: all that had moved the player until then lies before that answer. Whatever cannot be known for sure is not judged.
 */
#ifndef IOCP_LOAD_CLAIM_H
#define IOCP_LOAD_CLAIM_H

#include "player.h"

/* Nanoseconds for which it must be known where a player was. */
#define CLAIM_REACH INT64_C(3000000000)
/* Nanoseconds that the other one's connection may lag behind: within them it has had an answer of its own. */
#define CLAIM_LAG INT64_C(2000000000)

/* A place in one word: the low halves of both coordinates. Two places that differ by 65,536 tiles are taken for one. */
static inline uint32_t claim_place(int32_t x, int32_t y)
{
    return ((uint32_t)x & 0xFFFF) | (uint32_t)y << 16;
}

/* Of one that entered without a place. */
#define CLAIM_NO_PLACE UINT32_C(0x80008000)

/* `viewer` is told that `mover` is at x, y, and no answer that `mover` had is known to say so. */
void claim_told(struct player *mover, const struct player *viewer, int32_t x, int32_t y, int64_t now);

/* `p` has been answered, with a position, and is where that says: its claims are settled. */
void claim_answered(struct player *p, uint32_t sequence, int64_t now);

/* `p` was put where it is now by the server, of its own accord. */
void claim_moved_by_server(struct player *p, int64_t now);

/* Judge no claim that was made about `p`, nor any that is made before `until`. */
void claim_forget(struct player *p, int64_t until);

/*
 * How many in sight of players are not where those were told last. Of two who both wait for nothing and whose connections stand; it is
 * meant for when nothing is under way any more. `accuse`: count them as violations.
 */
int64_t claim_stale(struct crowd *c, int accuse);

#endif
