/*
 * A small table from ids to words: open addressing, linear probing, no tombstones. A player has one for whom it sees, all
 * players together one for who they are.
 */
#ifndef IOCP_LOAD_TABLE_H
#define IOCP_LOAD_TABLE_H

#include <stdint.h>

struct table_entry {
    int32_t id;
    uint32_t word;
    uint32_t place;         /* where a player was told that this one stands, see claim.h */
};

struct table {
    struct table_entry *entries;
    uint32_t capacity;      /* a power of two, or 0 */
    uint32_t count;
};

/* The one id that cannot be kept. No server gives it: ids are counted up from somewhere. */
#define TABLE_NO_ID INT32_MIN

/* The entry of `id`, NULL if there is none. It may move with the next insertion or removal. */
struct table_entry *table_find(const struct table *t, int32_t id);

/* A new entry for an id that is not there yet, its `place` 0; NULL: no memory, or TABLE_NO_ID. */
struct table_entry *table_insert(struct table *t, int32_t id, uint32_t word);

void table_remove(struct table *t, struct table_entry *entry);
void table_clear(struct table *t);
void table_free(struct table *t);

#endif
