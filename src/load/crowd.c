#include "crowd.h"

#include "claim.h"
#include "player.h"

#include <stdlib.h>
#include <string.h>

struct crowd *crowd_new(const struct profile *profile, uint64_t seed, int64_t interval, uint32_t window)
{
    struct crowd *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->profile = *profile;
    c->profile.move = malloc(profile->move_size + 1);
    if (!c->profile.move) {
        free(c);
        return NULL;
    }
    memcpy(c->profile.move, profile->move, profile->move_size);
    c->seed = seed;
    c->interval = interval;
    c->window = window;
    c->from = c->until = c->end = INT64_MAX;
    /* Enough to know where a player was within CLAIM_REACH, also of one that sends often. */
    c->fewest_moves = PLAYER_FEWEST_MOVES;
    while (interval && c->fewest_moves < PLAYER_MOST_REMEMBERED && c->fewest_moves - PLAYER_FEWEST_MOVES / 2 < CLAIM_REACH / interval)
        c->fewest_moves *= 2;
    for (int i = 0; i < 2; i++) {
        histogram_clear(&c->figures[i].planned);
        histogram_clear(&c->figures[i].raw);
        histogram_clear(&c->figures[i].fanout);
        histogram_clear(&c->figures[i].lateness);
    }
    return c;
}

void crowd_free(struct crowd *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->player_count; i++)
        player_free(c->players[i]);
    free(c->players);
    table_free(&c->ids);
    free(c->profile.move);
    free(c);
}

struct player *crowd_player(struct crowd *c, uint32_t number)
{
    if (number >= c->player_capacity) {
        uint32_t capacity = c->player_capacity ? c->player_capacity : 64;
        struct player **players;
        while (capacity <= number)
            capacity *= 2;
        players = realloc(c->players, capacity * sizeof *players);
        if (!players)
            return NULL;
        memset(players + c->player_capacity, 0, (capacity - c->player_capacity) * sizeof *players);
        c->players = players;
        c->player_capacity = capacity;
    }
    if (!c->players[number])
        c->players[number] = player_new(c, number);
    if (c->players[number] && number >= c->player_count)
        c->player_count = number + 1;
    return c->players[number];
}

void crowd_measure(struct crowd *c, int64_t from, int64_t until)
{
    c->from = from;
    c->until = until;
}

void crowd_end(struct crowd *c, int64_t end)
{
    c->end = end;
}

/* Whether `m` waits, and was planned inside the window. */
static int is_measured(const struct crowd *c, const struct move *m)
{
    return m->state == MOVE_WAITING && m->step != STEP_TELEPORT && m->planned >= c->from && m->planned < c->until;
}

struct unanswered crowd_unanswered(const struct crowd *c)
{
    struct unanswered found = {0, 0, INT64_MAX};

    for (uint32_t i = 0; i < c->player_count; i++) {
        const struct player *p = c->players[i];
        if (!p)
            continue;
        for (uint32_t sequence = p->oldest; sequence != p->newest; sequence++) {
            const struct move *m = player_move(p, sequence);
            if (m->state != MOVE_WAITING)
                continue;
            found.all++;
            found.measured += is_measured(c, m);
            if (m->planned < found.oldest)
                found.oldest = m->planned;
        }
    }
    return found;
}

int64_t crowd_settle(struct crowd *c, int64_t now, int final)
{
    int64_t count = 0;

    for (uint32_t i = 0; i < c->player_count; i++) {
        struct player *p = c->players[i];
        if (!p)
            continue;
        for (uint32_t sequence = p->oldest; sequence != p->newest; sequence++) {
            struct move *m = player_move(p, sequence);
            if (final && m->state == MOVE_WAITING) {
                player_count_unanswered(p, m, now);
            } else if (is_measured(c, m)) {
                count++;
                player_record(p, m, now);
            }
        }
    }
    c->from = c->until = INT64_MAX;
    return count;
}

uint32_t crowd_positions(const struct crowd *c, int16_t *pairs, uint32_t most)
{
    uint32_t first = 0, stride, count = 0;

    if (!c->profile.step_count || !most)
        return 0;
    while (first < c->player_count && !c->players[first])   /* they are another process's */
        first++;
    stride = (c->player_count - first + most - 1) / most;
    for (uint32_t i = first; i < c->player_count; i += stride) {
        const struct player *p = c->players[i];
        if (!p || p->phase != PLAYER_PLAYING || p->x != (int16_t)p->x || p->y != (int16_t)p->y)
            continue;
        pairs[2 * count] = (int16_t)p->x;
        pairs[2 * count + 1] = (int16_t)p->y;
        count++;
    }
    return count;
}

/* ---- the wheel: a list of players for each millisecond, and a bit for each list that is not empty ---- */

/* Rounded up: nobody sends early. */
static int64_t slot_of(int64_t time)
{
    return (time + CROWD_SLOT - 1) / CROWD_SLOT;
}

void crowd_schedule(struct crowd *c, struct player *p)
{
    int64_t slot = slot_of(p->due);
    int index;

    if (slot <= c->slot)
        slot = c->slot + 1;
    index = (int)(slot & (CROWD_SLOTS - 1));
    p->slot = slot;
    p->before = NULL;
    p->after = c->slots[index];
    if (p->after)
        p->after->before = p;
    c->slots[index] = p;
    c->filled[index >> 6] |= UINT64_C(1) << (index & 63);
    p->scheduled = 1;
    c->scheduled++;
}

void crowd_unschedule(struct crowd *c, struct player *p)
{
    int index = (int)(p->slot & (CROWD_SLOTS - 1));

    if (!p->scheduled)
        return;
    if (p->before)
        p->before->after = p->after;
    else
        c->slots[index] = p->after;
    if (p->after)
        p->after->before = p->before;
    if (!c->slots[index])
        c->filled[index >> 6] &= ~(UINT64_C(1) << (index & 63));
    p->scheduled = 0;
    c->scheduled--;
}

/* The first slot after `slot` with anybody in it, -1: none within one round. */
static int64_t next_filled(const struct crowd *c, int64_t slot)
{
    if (!c->scheduled)
        return -1;
    for (int64_t distance = 1; distance <= CROWD_SLOTS; distance++) {
        int index = (int)((slot + distance) & (CROWD_SLOTS - 1));
        if (!(index & 63) && !c->filled[index >> 6]) {
            distance += 63;
            continue;
        }
        if (c->filled[index >> 6] >> (index & 63) & 1)
            return slot + distance;
    }
    return -1;
}

int64_t crowd_next_due(const struct crowd *c)
{
    int64_t slot = next_filled(c, c->slot);
    return slot < 0 ? -1 : slot * CROWD_SLOT;
}

struct player *crowd_take_due(struct crowd *c, int64_t now)
{
    int64_t last = now / CROWD_SLOT, slot;

    if (last - c->slot > CROWD_SLOTS)   /* the thread was away for a whole round: each list is looked at once */
        c->slot = last - CROWD_SLOTS;
    while ((slot = next_filled(c, c->slot)) >= 0 && slot <= last) {
        struct player *p = c->slots[slot & (CROWD_SLOTS - 1)];
        while (p && p->slot > last)     /* of a later round */
            p = p->after;
        if (p) {
            crowd_unschedule(c, p);
            return p;
        }
        c->slot = slot;
    }
    if (last > c->slot)
        c->slot = last;
    return NULL;
}
