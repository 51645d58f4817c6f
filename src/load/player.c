#include "claim.h"

#include <stdlib.h>
#include <string.h>

/* splitmix64: a stream of its own for each player, the same for the same seed. */
static uint64_t random_of(struct player *p)
{
    uint64_t z = p->random += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

struct player *player_new(struct crowd *c, uint32_t number)
{
    struct player *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->capacity = c->fewest_moves;
    p->moves = calloc(p->capacity, sizeof *p->moves);
    if (!p->moves) {
        free(p);
        return NULL;
    }
    p->crowd = c;
    p->number = number;
    p->random = c->seed;
    p->random = random_of(p) + (uint64_t)number * UINT64_C(0xD1342543DE82EF95);
    p->stamp = (uint32_t)(random_of(p) & 0x3FFFFFFF) + 1; /* never 0, which is what others' moves have */
    p->id = TABLE_NO_ID;
    return p;
}

void player_free(struct player *p)
{
    if (!p)
        return;
    table_free(&p->sight);
    free(p->moves);
    free(p);
}

struct move *player_move(const struct player *p, uint32_t sequence)
{
    return &p->moves[sequence & (p->capacity - 1)];
}

/* ---- what is found wrong ---- */

void player_example(struct violation_example *e, const struct player *p, const unsigned char *packet, size_t size)
{
    e->player = p->number;
    e->own_id = p->id;
    e->size = (uint32_t)size;
    if (size)
        memcpy(e->packet, packet, size < CROWD_PACKET ? size : CROWD_PACKET);
}

void player_violate(struct player *p, enum violation kind, int32_t id, int32_t x, int32_t y, const unsigned char *packet,
                    size_t size)
{
    struct violation_example *e = &p->crowd->examples[kind];

    if (p->crowd->violations[kind]++)
        return;
    player_example(e, p, packet, size);
    e->id = id;
    e->x = x;
    e->y = y;
    e->from_x = p->x;
    e->from_y = p->y;
}

/* ---- coming and going ---- */

void player_start(struct player *p, int64_t now)
{
    struct crowd *c = p->crowd;

    p->phase = PLAYER_PLAYING;
    p->wants_teleport = c->profile.teleport_size > 0;
    c->logged_in++;
    c->logins++;
    if (c->window) {
        p->credits = c->window;
    } else if (c->interval) {
        /* Anywhere in the first interval, so that players who came together do not send together. */
        p->due = now + (int64_t)(random_of(p) % (uint64_t)c->interval);
        player_reschedule(p);
    }
}

static void write_number(const struct profile *f, unsigned char *packet, uint32_t number)
{
    char digits[12];
    int count = 0;

    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    for (int i = 0; i < count && i < f->number.size; i++)
        packet[f->number.offset + i] = (unsigned char)digits[count - 1 - i];
}

size_t player_join(struct player *p, void *connection, int64_t now, unsigned char *packet)
{
    const struct profile *f = &p->crowd->profile;

    p->connection = connection;
    p->id = TABLE_NO_ID;
    p->first = p->answered = p->oldest = p->newest;
    p->refused = p->leaves = 0;
    p->stray.at = 0;
    table_clear(&p->sight);
    claim_forget(p, INT64_MAX);
    if (!f->login_size) {
        player_start(p, now);
        return 0;
    }
    p->phase = PLAYER_LOGGING_IN;
    memcpy(packet, f->login, f->login_size);
    if (f->number.size)
        write_number(f, packet, p->number);
    return f->login_size;
}

void player_record(struct player *p, const struct move *m, int64_t now)
{
    struct figures *figures = crowd_figures(p->crowd, m->planned);

    histogram_record(&figures->planned, now - m->planned);
    histogram_record(&figures->raw, now - m->sent);
}

void player_count_unanswered(struct player *p, struct move *m, int64_t now)
{
    if (m->counted)
        return;
    m->counted = 1;
    crowd_figures(p->crowd, m->planned)->unanswered++;
    if (m->step != STEP_TELEPORT) /* which nobody measures */
        player_record(p, m, now);
}

void player_lose(struct player *p, struct move *m, int64_t now)
{
    m->state = MOVE_LOST;
    claim_forget(p, now + CLAIM_REACH); /* others may be told of it all the same */
    player_count_unanswered(p, m, now);
    if (p->crowd->window && m->step != STEP_TELEPORT)
        p->credits++;           /* the next one goes out in its place */
}

void player_give_up(struct player *p, int64_t now)
{
    for (; p->oldest != p->newest; p->oldest++)
        if (player_move(p, p->oldest)->state == MOVE_WAITING)
            player_lose(p, player_move(p, p->oldest), now);
}

void player_part(struct player *p, int64_t now, int broken)
{
    struct crowd *c = p->crowd;
    struct table_entry *known;

    crowd_unschedule(c, p);
    if (broken)
        player_give_up(p, now);
    p->oldest = p->newest;
    if (p->phase == PLAYER_PLAYING)
        c->logged_in--;
    known = table_find(&c->ids, p->id);
    if (known && known->word == p->number)
        table_remove(&c->ids, known);
    p->phase = PLAYER_ABSENT;
    p->connection = NULL;
    p->credits = 0;
    p->wants_teleport = 0;
    table_free(&p->sight);
}

/* ---- sending ---- */

/* Room for one more move, with some answered ones kept behind those that wait. */
static int make_room(struct player *p)
{
    struct move *larger;
    uint32_t waiting = p->newest - p->oldest;

    if (waiting >= PLAYER_MOST_UNANSWERED)
        return 0;
    if (waiting + PLAYER_FEWEST_MOVES / 2 < p->capacity)
        return 1;
    larger = calloc((size_t)2 * p->capacity, sizeof *larger);
    if (!larger)
        return 0;
    for (uint32_t i = p->newest - p->capacity; i != p->newest; i++)
        larger[i & (2 * p->capacity - 1)] = *player_move(p, i);
    free(p->moves);
    p->moves = larger;
    p->capacity *= 2;
    return 1;
}

static int64_t distance(int64_t x, int64_t y)
{
    return (x < 0 ? -x : x) + (y < 0 ? -y : y);
}

static uint8_t choose_step(struct player *p)
{
    const struct profile *f = &p->crowd->profile;
    uint64_t random = random_of(p);
    uint32_t step;

    if (!f->step_count)
        return STEP_NONE;
    step = (uint32_t)(random >> 32) % (uint32_t)f->step_count;
    /* To a hot spot one step in four is at random: a crowd in motion, and not one that stands on a heap. */
    if (f->has_spot && random & 3) {
        int64_t here = distance((int64_t)f->spot_x - p->ahead_x, (int64_t)f->spot_y - p->ahead_y);
        for (int i = 0; i < f->step_count; i++) {
            const struct step *s = &f->steps[step];
            if (distance((int64_t)f->spot_x - p->ahead_x - s->dx, (int64_t)f->spot_y - p->ahead_y - s->dy) < here)
                break;
            step = (step + 1) % (uint32_t)f->step_count;
        }
    }
    return (uint8_t)step;
}

static struct move *add_move(struct player *p, int64_t planned, int64_t now, uint8_t step)
{
    struct move *m = player_move(p, p->newest++);

    if (step < STEP_NONE) {
        p->ahead_x = plus(p->ahead_x, p->crowd->profile.steps[step].dx);
        p->ahead_y = plus(p->ahead_y, p->crowd->profile.steps[step].dy);
    }
    m->planned = planned;
    m->sent = now;
    m->x = p->ahead_x;
    m->y = p->ahead_y;
    m->step = step;
    m->state = MOVE_WAITING;
    m->counted = 0;
    return m;
}

static void write_move(struct player *p, unsigned char *bytes, int64_t planned, int64_t now)
{
    const struct profile *f = &p->crowd->profile;
    struct figures *figures = crowd_figures(p->crowd, planned);
    uint8_t step = choose_step(p);

    memcpy(bytes, f->move, f->move_size);
    if (f->direction.size)
        profile_write(f, f->direction, bytes, (uint32_t)f->steps[step].value);
    if (f->stamp.size)
        profile_write(f, f->stamp, bytes, p->stamp + p->newest);
    add_move(p, planned, now, step);
    figures->sent++;
    if (!p->crowd->window)
        histogram_record(&figures->lateness, now - planned);
}

/* The grid's point at which the player's next send is planned. */
static int64_t planned_of(const struct player *p)
{
    return (p->due + CROWD_SLOT - 1) / CROWD_SLOT * CROWD_SLOT;
}

size_t player_send(struct player *p, unsigned char *bytes, size_t room, int64_t now)
{
    struct crowd *c = p->crowd;
    const struct profile *f = &c->profile;
    size_t used = 0;

    if (p->phase != PLAYER_PLAYING || p->leaves)
        return 0;
    if (p->wants_teleport && make_room(p)) {
        p->wants_teleport = 0;
        memcpy(bytes, f->teleport, f->teleport_size);
        add_move(p, now, now, STEP_TELEPORT);
        return f->teleport_size;
    }
    while (room - used >= f->move_size) {
        if (c->window) {
            if (!p->credits || now >= c->end)
                break;
            p->credits--;
            if (!make_room(p))
                continue;
            write_move(p, bytes + used, now, now);
        } else {
            int64_t planned = planned_of(p);
            if (planned > now || planned >= c->end || !c->interval)
                break;
            p->due += c->interval;
            if (!make_room(p)) {
                crowd_figures(c, planned)->skipped++;
                continue;
            }
            write_move(p, bytes + used, planned, now);
        }
        used += f->move_size;
    }
    if (c->window && now >= c->end)
        p->credits = 0;
    return used;
}

void player_resume(struct player *p, int64_t now)
{
    const struct crowd *c = p->crowd;
    uint32_t waiting = 0;

    if (p->phase != PLAYER_PLAYING)
        return;
    if (c->window) {
        for (uint32_t sequence = p->oldest; sequence != p->newest; sequence++)
            waiting += player_move(p, sequence)->state == MOVE_WAITING;
        p->credits = waiting < c->window ? c->window - waiting : 0;
        return;
    }
    if (c->interval && p->due <= now)
        p->due += ((now - p->due) / c->interval + 1) * c->interval;
    player_reschedule(p);
}

void player_reschedule(struct player *p)
{
    if (p->phase == PLAYER_PLAYING && !p->leaves && p->crowd->interval && !p->crowd->window && !p->scheduled
        && planned_of(p) < p->crowd->end)
        crowd_schedule(p->crowd, p);
}

void player_leave(struct player *p)
{
    p->leaves = 1;
    crowd_unschedule(p->crowd, p);
}

void player_stay(struct player *p, int64_t now)
{
    if (!p->leaves)
        return;
    p->leaves = 0;
    player_resume(p, now);
}
