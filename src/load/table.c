#include "table.h"

#include <stdlib.h>

enum { SMALLEST = 16 };

static uint32_t home_of(const struct table *t, int32_t id)
{
    return ((uint32_t)id * 2654435769u >> 8) & (t->capacity - 1);
}

struct table_entry *table_find(const struct table *t, int32_t id)
{
    uint32_t at;

    if (!t->count || id == TABLE_NO_ID)
        return NULL;
    for (at = home_of(t, id); t->entries[at].id != TABLE_NO_ID; at = (at + 1) & (t->capacity - 1))
        if (t->entries[at].id == id)
            return &t->entries[at];
    return NULL;
}

static struct table_entry *put(struct table *t, int32_t id, uint32_t word, uint32_t place)
{
    uint32_t at = home_of(t, id);

    while (t->entries[at].id != TABLE_NO_ID)
        at = (at + 1) & (t->capacity - 1);
    t->entries[at].id = id;
    t->entries[at].word = word;
    t->entries[at].place = place;
    t->count++;
    return &t->entries[at];
}

static int grow(struct table *t)
{
    struct table larger = {0};

    larger.capacity = t->capacity ? 2 * t->capacity : SMALLEST;
    larger.entries = malloc(larger.capacity * sizeof *larger.entries);
    if (!larger.entries)
        return 0;
    table_clear(&larger);
    for (uint32_t i = 0; i < t->capacity; i++)
        if (t->entries[i].id != TABLE_NO_ID)
            put(&larger, t->entries[i].id, t->entries[i].word, t->entries[i].place);
    free(t->entries);
    *t = larger;
    return 1;
}

struct table_entry *table_insert(struct table *t, int32_t id, uint32_t word)
{
    if (id == TABLE_NO_ID)
        return NULL;
    /* Three quarters full: there may be one table of a thousand entries for each of a thousand players. */
    if (4 * (t->count + 1) > 3 * t->capacity && !grow(t))
        return NULL;
    return put(t, id, word, 0);
}

/* Those behind the hole move up if their home lies at it or before: so every search still ends at the first empty place. */
void table_remove(struct table *t, struct table_entry *entry)
{
    uint32_t mask = t->capacity - 1, hole = (uint32_t)(entry - t->entries), at = hole;

    for (;;) {
        at = (at + 1) & mask;
        if (t->entries[at].id == TABLE_NO_ID)
            break;
        if (((at - home_of(t, t->entries[at].id)) & mask) >= ((at - hole) & mask)) {
            t->entries[hole] = t->entries[at];
            hole = at;
        }
    }
    t->entries[hole].id = TABLE_NO_ID;
    t->count--;
}

void table_clear(struct table *t)
{
    for (uint32_t i = 0; i < t->capacity; i++)
        t->entries[i].id = TABLE_NO_ID;
    t->count = 0;
}

void table_free(struct table *t)
{
    free(t->entries);
    t->entries = NULL;
    t->capacity = t->count = 0;
}
