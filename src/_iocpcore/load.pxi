# The load generator's native part: src/load/. Plain C; nothing in it knows Python or the core.

cdef extern from "histogram.h" nogil:
    struct histogram:
        int64_t total
        int64_t largest
        int first, last
        int64_t *counts
    void histogram_clear(histogram *h)
    void histogram_record(histogram *h, int64_t nanoseconds)
    int64_t histogram_value(int index)

cdef extern from "profile.h" nogil:
    int PROFILE_TYPES, PROFILE_RULES, PROFILE_STEPS, PROFILE_OPENING
    int ROLE_IGNORED, ROLE_WELCOME, ROLE_REFUSED, ROLE_MOVE, ROLE_ENTER, ROLE_LEAVE, ROLE_ECHO

    struct field:
        uint16_t offset
        uint8_t size

    struct rule:
        uint8_t role
        uint32_t least, most
        field id, x, y, stamp

    struct step:
        int32_t value
        int16_t dx, dy

    struct profile:
        int big_endian
        field type
        int rule_count
        rule *rules
        unsigned char *login
        uint32_t login_size
        field number
        unsigned char *teleport
        uint32_t teleport_size
        unsigned char *move
        uint32_t move_size
        field direction, stamp
        int step_count
        step *steps
        int has_spot
        int32_t spot_x, spot_y

    int profile_index(profile *p, const uint32_t *types)

cdef extern from "crowd.h" nogil:
    int VIOLATIONS

    struct violation_example:
        uint32_t player
        int32_t own_id, id, x, y, from_x, from_y
        uint32_t size
        unsigned char *packet
    int CROWD_PACKET

    struct figures:
        histogram planned, raw, fanout, lateness
        int64_t sent, answered, blocked, unanswered, skipped

    struct player:
        void *connection
        uint32_t number
        int phase
        uint8_t ending, refused
    int PLAYER_ABSENT, PLAYER_LOGGING_IN, PLAYER_PLAYING

    struct crowd:
        figures *figures
        int64_t packets, received_after, bytes, logged_in, logins, refused, malformed, relocated, fanout_unmatched, smoothed
        int64_t *violations
        violation_example *examples
        violation_example malformed_example, refused_example
        player **players
        uint32_t player_count

    crowd *crowd_new(const profile *p, uint64_t seed, int64_t interval, uint32_t window)
    void crowd_free(crowd *c)
    player *crowd_player(crowd *c, uint32_t number)
    void crowd_measure(crowd *c, int64_t begin, int64_t until)
    int64_t CROWD_ENDLESS
    void crowd_end(crowd *c, int64_t end)

    struct unanswered:
        int64_t all, measured, oldest
    unanswered crowd_unanswered(const crowd *c)
    int64_t crowd_settle(crowd *c, int64_t now, bint final)
    uint32_t crowd_positions(const crowd *c, int16_t *pairs, uint32_t most)
    int64_t crowd_next_due(const crowd *c)
    player *crowd_take_due(crowd *c, int64_t now)

cdef extern from "player.h" nogil:
    size_t player_join(player *p, void *connection, int64_t now, unsigned char *packet)
    void player_part(player *p, int64_t now, bint broken)
    bint player_receive(player *p, const unsigned char *packet, size_t size, int64_t now)
    bint player_wants_to_send(const player *p)
    size_t player_send(player *p, unsigned char *data, size_t room, int64_t now)
    void player_reschedule(player *p)
    void player_give_up(player *p, int64_t now)
    void player_resume(player *p, int64_t now)
    bint player_waits(const player *p)
    void player_leave(player *p)
    void player_stay(player *p, int64_t now)

cdef extern from "claim.h" nogil:
    int64_t claim_stale(crowd *c, bint accuse)
