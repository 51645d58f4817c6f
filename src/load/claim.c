#include "claim.h"

/* Count a violation by what `viewer` was told of `mover`. No packet shows it: what makes it wrong is another one, or none. */
static void accuse_of(enum violation kind, struct player *viewer, const struct player *mover, int32_t x, int32_t y)
{
    struct crowd *c = mover->crowd;
    int is_first = !c->violations[kind];

    player_violate(viewer, kind, mover->id, x, y, NULL, 0);
    if (is_first) {
        c->examples[kind].from_x = mover->x;
        c->examples[kind].from_y = mover->y;
    }
}

/* Whether a move before `sequence` is still not answered: the answers have a gap. */
static int has_gap(const struct player *p, uint32_t sequence)
{
    return p->oldest != p->newest && (int32_t)(sequence - p->oldest) > 0;
}

/* Whether all places where `mover` was within CLAIM_REACH are remembered, and what `viewer` hears now is not older than that. */
static int can_be_judged(const struct player *mover, const struct player *viewer, int64_t now)
{
    if (now < mover->unsure_until || has_gap(mover, mover->answered))
        return 0;
    if (mover->newest != mover->first) {
        int has_all = mover->newest - mover->first <= mover->capacity;
        /* The slot of the next move has the oldest one; none, if there was not room for so many until lately. */
        const struct move *oldest = player_move(mover, has_all ? mover->first : mover->newest);
        if (oldest->state == MOVE_NONE || (!has_all && oldest->sent > now - CLAIM_REACH))
            return 0;
    }
    return viewer->answered != viewer->first && player_move(viewer, viewer->answered - 1)->sent >= now - CLAIM_LAG;
}

static int has_been_at(const struct player *p, int32_t x, int32_t y)
{
    uint32_t sequence = p->first;

    if (p->newest - p->first > p->capacity)
        sequence = p->newest - p->capacity;
    else if (x == p->home_x && y == p->home_y)
        return 1;
    for (; sequence != p->newest; sequence++) {
        const struct move *m = player_move(p, sequence);
        if (m->x == x && m->y == y && (m->state == MOVE_DONE || m->state == MOVE_REFUSED))
            return 1;
    }
    return 0;
}

void claim_told(struct player *mover, const struct player *viewer, int32_t x, int32_t y, int64_t now)
{
    if (x == mover->x && y == mover->y)
        return;
    /* Many are told the same. */
    for (int i = 0; i < mover->claim_count; i++)
        if (mover->claims[i].x == x && mover->claims[i].y == y)
            return;
    if (mover->claim_count == PLAYER_CLAIMS || !can_be_judged(mover, viewer, now) || has_been_at(mover, x, y))
        return;
    mover->claims[mover->claim_count++] = (struct claim){x, y, mover->newest, viewer->number};
}

void claim_answered(struct player *p, uint32_t sequence, int64_t now)
{
    int kept = 0;

    if (p->unsure_until == INT64_MAX)
        p->unsure_until = now + CLAIM_REACH;
    /* After answers that are out of order, or none, nobody can say where it has been. */
    if (sequence + 1 != p->answered || has_gap(p, sequence)) {
        claim_forget(p, now + CLAIM_REACH);
        return;
    }
    for (int i = 0; i < p->claim_count; i++) {
        const struct claim *claim = &p->claims[i];
        if (claim->x == p->x && claim->y == p->y)
            continue;
        if ((int32_t)(sequence - claim->until) >= 0)
            accuse_of(VIOLATION_ELSEWHERE, p->crowd->players[claim->viewer], p, claim->x, claim->y);
        else
            p->claims[kept++] = *claim;
    }
    p->claim_count = (uint8_t)kept;
}

void claim_moved_by_server(struct player *p, int64_t now)
{
    int kept = 0;

    for (int i = 0; i < p->claim_count; i++)
        if (p->claims[i].x != p->x || p->claims[i].y != p->y)
            p->claims[kept++] = p->claims[i];
    p->claim_count = (uint8_t)kept;
    /* It is in no move where that was, so others could hear of it when it is not known any more. */
    if (p->unsure_until < now + CLAIM_REACH)
        p->unsure_until = now + CLAIM_REACH;
}

void claim_forget(struct player *p, int64_t until)
{
    p->claim_count = 0;
    if (p->unsure_until != INT64_MAX)
        p->unsure_until = until;
}

/* ---- when all is over ---- */

/* Whether `p` has been told all, and where it is. */
static int is_settled(const struct player *p)
{
    return p->phase == PLAYER_PLAYING && !p->ending && p->unsure_until != INT64_MAX && !player_waits(p);
}

/* The coordinate of which `low` is the low half, as near to `true_one` as there is one. */
static int32_t whole(uint32_t low, int32_t true_one)
{
    uint32_t apart = (low - (uint32_t)true_one) & 0xFFFF;

    return plus(true_one, (int32_t)apart - (apart > 0x7FFF ? 0x10000 : 0));
}

int64_t claim_stale(struct crowd *c, int accuse)
{
    int64_t count = 0;

    for (uint32_t number = 0; number < c->player_count; number++) {
        struct player *p = c->players[number];
        if (!p || !is_settled(p))
            continue;
        for (uint32_t i = 0; i < p->sight.capacity; i++) {
            const struct table_entry *seen = &p->sight.entries[i], *known;
            const struct player *mover;
            if (seen->id == TABLE_NO_ID || seen->place == CLAIM_NO_PLACE || !(known = table_find(&c->ids, seen->id)))
                continue;
            mover = c->players[known->word];
            if (seen->place == claim_place(mover->x, mover->y) || !is_settled(mover))
                continue;
            count++;
            if (accuse)
                accuse_of(VIOLATION_STALE, p, mover, whole(seen->place, mover->x), whole(seen->place >> 16, mover->y));
        }
    }
    return count;
}
