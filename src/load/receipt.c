/* What a player is told: answers to what it sent, and the world around it. Everything is checked, nothing is believed. */
#include "claim.h"

#include <string.h>

/* ---- answers ---- */

/* Shift what is expected of the moves from `sequence` on. */
static void shift(struct player *p, uint32_t sequence, int32_t dx, int32_t dy)
{
    for (; sequence != p->newest; sequence++) {
        struct move *m = player_move(p, sequence);
        m->x = plus(m->x, dx);
        m->y = plus(m->y, dy);
    }
    p->ahead_x = plus(p->ahead_x, dx);
    p->ahead_y = plus(p->ahead_y, dy);
}

/* The server has put the player somewhere else of its own accord, which it may: after a death, by a spell. */
static void relocated(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now)
{
    const struct profile *f = &p->crowd->profile;
    int32_t x, y;

    x = r->x.size ? profile_signed(f, r->x, packet) : p->x;
    y = r->y.size ? profile_signed(f, r->y, packet) : p->y;
    if (x == p->x && y == p->y) {
        player_violate(p, VIOLATION_ANSWER_UNASKED, p->id, x, y, packet, size);
        return;
    }
    p->crowd->relocated++;
    shift(p, p->oldest, minus(x, p->x), minus(y, p->y));
    p->x = x;
    p->y = y;
    claim_moved_by_server(p, now);
}

/* Whether packets of this rule answer moves at all: of twins only the one that carries a number if the player sends one, and only the one
 * that carries none if it does not. */
static int is_answer(const struct profile *f, const struct rule *r)
{
    return !r->has_twin || !f->stamp.size == !r->stamp.size;
}

static int is_possible(const struct player *p, const struct move *m, int32_t x, int32_t y)
{
    const struct step *s;

    if (m->step == STEP_TELEPORT || (x == p->x && y == p->y))
        return 1;
    if (m->step == STEP_NONE)
        return 0;
    s = &p->crowd->profile.steps[m->step];
    return x == plus(p->x, s->dx) && y == plus(p->y, s->dy);
}

/* Leave behind what does not wait. Whether anything waits. */
static int skip_answered(struct player *p)
{
    while (p->oldest != p->newest && player_move(p, p->oldest)->state != MOVE_WAITING)
        p->oldest++;
    return p->oldest != p->newest;
}

static void count_answer(struct player *p, const struct move *m, int64_t now)
{
    struct crowd *c = p->crowd;
    int64_t delay = (now - m->sent) / 1000000;

    crowd_figures(c, m->planned)->answered++;
    player_record(p, m, now);
    /* The course's StressTest: one millisecond up or down with each answer. */
    c->smoothed += delay > c->smoothed ? 1 : delay < c->smoothed ? -1 : 0;
    if (c->window)
        p->credits++;
}

/* What went astray was the answer to the oldest move, and a wrong one. */
static void blame_stray(struct player *p, const unsigned char *packet, size_t size)
{
    struct violation_example *e = &p->crowd->examples[VIOLATION_POSITION];
    struct move *m = player_move(p, p->oldest);
    int is_first = !p->crowd->violations[VIOLATION_POSITION];

    player_violate(p, VIOLATION_POSITION, p->id, p->stray.x, p->stray.y, packet, size);
    if (is_first) {
        e->from_x = p->stray.from_x;
        e->from_y = p->stray.from_y;
    }
    p->crowd->relocated--;
    m->state = MOVE_DONE;
    p->answered = p->oldest + 1;
    count_answer(p, m, p->stray.at);
    p->stray.at = 0;
}

/*
 * Without numbers answers come in order. But in between the server may put the player somewhere else, after a death: that looks like an
 * answer which is wrong. The next packet tells them apart: a move that still waits is answered from the new place. Another one that
 * cannot be its answer shows that the first one was.
 */
static int find_in_order(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now,
                         uint32_t *sequence)
{
    const struct profile *f = &p->crowd->profile;
    int waits = p->oldest != p->newest;
    int32_t x, y;

    if (waits && (!r->x.size || !r->y.size))
        return 1;
    if (waits) {
        x = profile_signed(f, r->x, packet);
        y = profile_signed(f, r->y, packet);
        if (p->stray.at && !is_possible(p, player_move(p, p->oldest), x, y)) {
            blame_stray(p, packet, size);
            waits = skip_answered(p);
            *sequence = p->oldest;
        }
        if (waits && is_possible(p, player_move(p, p->oldest), x, y)) {
            p->stray.at = 0;
            return 1;
        }
        if (waits)
            p->stray = (struct stray){now, x, y, p->x, p->y};
    }
    relocated(p, r, packet, size, now);
    return 0;
}

/* Which move an answer is for: its sequence number in `sequence`. Returns 0 if it is for none, and says so. */
static int find_asked(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now,
                      uint32_t *sequence)
{
    const struct profile *f = &p->crowd->profile;
    uint32_t mask = field_mask(f->stamp.size < r->stamp.size ? f->stamp : r->stamp), stamp, back;
    int waits = skip_answered(p), lost;

    *sequence = p->oldest;
    if (!is_answer(f, r)) {
        if (waits && player_move(p, p->oldest)->step == STEP_TELEPORT)
            return 1; /* sent before the server could know which kind the player wants */
        relocated(p, r, packet, size, now);
        return 0;
    }
    if (!mask)
        return find_in_order(p, r, packet, size, now, sequence);
    stamp = profile_unsigned(f, r->stamp, packet) & mask;
    /* How many moves ago it was sent; a stamp of two bytes or one comes round, but not within that many moves. */
    back = (p->stamp + p->newest - stamp) & mask;
    if (back == 0 || back > p->capacity || back > p->newest - p->first) {
        if (waits && player_move(p, p->oldest)->step == STEP_TELEPORT)
            return 1; /* a teleport carries no stamp that could come back */
        if (stamp == 0 && r->x.size && r->y.size)
            relocated(p, r, packet, size, now);
        else
            player_violate(p, VIOLATION_ANSWER_UNASKED, p->id, 0, 0, packet, size);
        return 0;
    }
    *sequence = p->newest - back;
    if (player_move(p, *sequence)->state == MOVE_WAITING)
        return 1;
    lost = player_move(p, *sequence)->state == MOVE_LOST;
    player_violate(p, lost ? VIOLATION_ANSWER_ORDER : VIOLATION_ANSWERED_TWICE, p->id, 0, 0, packet, size);
    return 0;
}

static void answer(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now)
{
    struct crowd *c = p->crowd;
    struct move *m;
    uint32_t sequence;
    int32_t x, y;

    if (!find_asked(p, r, packet, size, now, &sequence))
        return;
    m = player_move(p, sequence);
    m->state = MOVE_DONE;
    if ((int32_t)(sequence - p->answered) < 0)
        player_violate(p, VIOLATION_ANSWER_ORDER, p->id, 0, 0, packet, size);
    else
        p->answered = sequence + 1;
    if (r->x.size && r->y.size) {
        x = profile_signed(&c->profile, r->x, packet);
        y = profile_signed(&c->profile, r->y, packet);
        /* With an answer missing before this one nobody can say where it must have been. */
        if (sequence == p->oldest && !is_possible(p, m, x, y))
            player_violate(p, VIOLATION_POSITION, p->id, x, y, packet, size);
        if (m->step != STEP_TELEPORT && x == p->x && y == p->y) {
            m->state = MOVE_REFUSED; /* so nobody else hears of it */
            crowd_figures(c, m->planned)->blocked += m->step < STEP_NONE;
        }
        if (sequence + 1 == p->answered) { /* one that comes after a later one's tells of the past */
            shift(p, sequence, minus(x, m->x), minus(y, m->y));
            p->x = x;
            p->y = y;
        }
    }
    /* An earlier one may still be answered, which breaks the order; one that is far behind never will. */
    while (p->oldest != p->newest && (player_move(p, p->oldest)->state != MOVE_WAITING || sequence - p->oldest > PLAYER_PATIENCE)) {
        if ((int32_t)(sequence - p->oldest) < 0)
            break;
        if (player_move(p, p->oldest)->state == MOVE_WAITING)
            player_lose(p, player_move(p, p->oldest), now);
        p->oldest++;
    }
    if (r->x.size && r->y.size)
        claim_answered(p, sequence, now);
    else
        claim_forget(p, INT64_MAX);
    if (m->step != STEP_TELEPORT)
        count_answer(p, m, now);
}

static void echo(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now)
{
    const struct profile *f = &p->crowd->profile;
    size_t behind = f->stamp.size ? (size_t)f->stamp.offset + f->stamp.size : f->move_size;

    if (size != f->move_size || memcmp(packet, f->move, f->stamp.size ? f->stamp.offset : size) != 0 ||
        memcmp(packet + behind, f->move + behind, size - behind) != 0) {
        player_violate(p, VIOLATION_ECHO, 0, 0, 0, packet, size);
        if (f->stamp.size && size < behind)
            return;
    }
    answer(p, r, packet, size, now);
}

/* ---- the world ---- */

static void welcome(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now)
{
    struct crowd *c = p->crowd;
    const struct profile *f = &c->profile;
    struct table_entry *known;

    if (p->phase == PLAYER_PLAYING) {
        player_violate(p, VIOLATION_WELCOMED_TWICE, p->id, 0, 0, packet, size);
        return;
    }
    if (r->x.size && r->y.size) {
        p->x = p->ahead_x = profile_signed(f, r->x, packet);
        p->y = p->ahead_y = profile_signed(f, r->y, packet);
        p->home_x = p->x;
        p->home_y = p->y;
        /* It may have the id of one that has just gone, whose last moves others are still to hear of. */
        p->unsure_until = now + CLAIM_LAG;
    }
    if (r->id.size) {
        p->id = profile_signed(f, r->id, packet);
        known = table_find(&c->ids, p->id);
        if (known)
            player_violate(p, VIOLATION_ID_TWICE, p->id, (int32_t)known->word, 0, packet, size);
        else
            table_insert(&c->ids, p->id, p->number);
    }
    player_start(p, now);
}

/*
 * How long the move that `seen` is told of took to get here. Returns whether it is one that the mover has the answer to.
 */
static int measure_fanout(struct crowd *c, const struct player *mover, struct table_entry *seen, int32_t x, int32_t y, int64_t now)
{
    uint32_t sequence = seen->word + 1;

    if ((int32_t)(sequence - mover->first) < 0)
        sequence = mover->first;
    if (mover->newest - sequence > mover->capacity)
        sequence = mover->newest - mover->capacity;
    /* The first one that fits: each receiver is told of a mover's moves in order. */
    for (; (int32_t)(mover->newest - sequence) > 0; sequence++) {
        const struct move *m = player_move(mover, sequence);
        if (m->x == x && m->y == y && m->state != MOVE_REFUSED && m->step != STEP_TELEPORT) {
            histogram_record(&crowd_figures(c, m->planned)->fanout, now - m->planned);
            seen->word = sequence;
            return m->state == MOVE_DONE;
        }
    }
    c->fanout_unmatched++;
    return 0;
}

/* The player of this process that has that id; NULL: a monster, or another process's. */
static struct player *player_of(const struct crowd *c, int32_t id)
{
    const struct table_entry *known = table_find(&c->ids, id);

    return known ? c->players[known->word] : NULL;
}

static void moved(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now)
{
    const struct profile *f = &p->crowd->profile;
    struct table_entry *seen;
    struct player *mover;
    int32_t id, x = 0, y = 0;
    int placed = r->x.size && r->y.size;

    if (!r->id.size) {
        answer(p, r, packet, size, now);
        return;
    }
    id = profile_signed(f, r->id, packet);
    if (id == p->id) {
        answer(p, r, packet, size, now);
        return;
    }
    if (placed) {
        x = profile_signed(f, r->x, packet);
        y = profile_signed(f, r->y, packet);
    }
    seen = table_find(&p->sight, id);
    if (!seen) {
        player_violate(p, VIOLATION_MOVE_UNSEEN, id, x, y, packet, size);
        return;
    }
    if (r->stamp.size && profile_unsigned(f, r->stamp, packet) != 0) {
        player_violate(p, VIOLATION_FOREIGN_STAMP, id, x, y, packet, size);
        return;
    }
    seen->place = placed ? claim_place(x, y) : CLAIM_NO_PLACE;
    mover = player_of(p->crowd, id);
    if (mover && !measure_fanout(p->crowd, mover, seen, x, y, now) && placed)
        claim_told(mover, p, x, y, now);
}

static void entered(struct player *p, const struct rule *r, const unsigned char *packet, size_t size, int64_t now)
{
    struct crowd *c = p->crowd;
    int32_t id = profile_signed(&c->profile, r->id, packet), x, y;
    struct table_entry *seen;
    struct player *mover;

    if (id == p->id) {
        player_violate(p, VIOLATION_ENTERED_ITSELF, id, 0, 0, packet, size);
        return;
    }
    if (table_find(&p->sight, id)) {
        player_violate(p, VIOLATION_TWICE_ENTERED, id, 0, 0, packet, size);
        return;
    }
    mover = player_of(c, id);
    /* What was answered before lies behind this enter. Of one that is not known yet its first move is number 0. */
    seen = table_insert(&p->sight, id, mover ? mover->oldest - 1 : UINT32_MAX);
    if (!seen)
        return;
    seen->place = CLAIM_NO_PLACE;
    if (!r->x.size || !r->y.size)
        return;
    x = profile_signed(&c->profile, r->x, packet);
    y = profile_signed(&c->profile, r->y, packet);
    seen->place = claim_place(x, y);
    if (mover)
        claim_told(mover, p, x, y, now);
}

static void left(struct player *p, const struct rule *r, const unsigned char *packet, size_t size)
{
    int32_t id = profile_signed(&p->crowd->profile, r->id, packet);
    struct table_entry *seen = table_find(&p->sight, id);

    if (seen)
        table_remove(&p->sight, seen);
    else
        player_violate(p, id == p->id ? VIOLATION_LEFT_ITSELF : VIOLATION_LEAVE_UNSEEN, id, 0, 0, packet, size);
}

int player_receive(struct player *p, const unsigned char *packet, size_t size, int64_t now)
{
    struct crowd *c = p->crowd;
    const struct rule *r = profile_rule(&c->profile, packet, size);

    c->packets++;
    c->bytes += (int64_t)size;
    c->received_after += now >= c->from;
    if (!r) {
        if (!c->malformed++)
            player_example(&c->malformed_example, p, packet, size);
        return 0;
    }
    if (r->role == ROLE_IGNORED)
        return 1;
    if (p->phase != PLAYER_PLAYING && r->role != ROLE_WELCOME && r->role != ROLE_REFUSED) {
        player_violate(p, VIOLATION_BEFORE_WELCOME, p->id, 0, 0, packet, size);
        if (r->role != ROLE_ENTER && r->role != ROLE_LEAVE)
            return 1;
    }
    switch (r->role) {
    case ROLE_WELCOME:
        welcome(p, r, packet, size, now);
        break;
    case ROLE_REFUSED:
        if (!c->refused++)
            player_example(&c->refused_example, p, packet, size);
        p->refused = p->phase != PLAYER_PLAYING; /* one that plays is told that somebody else takes its place */
        break;
    case ROLE_MOVE:
        moved(p, r, packet, size, now);
        break;
    case ROLE_ENTER:
        entered(p, r, packet, size, now);
        break;
    case ROLE_LEAVE:
        left(p, r, packet, size);
        break;
    case ROLE_ECHO:
        echo(p, r, packet, size, now);
        break;
    }
    return 1;
}
