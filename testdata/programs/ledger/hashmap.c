/* Open-addressing hash map with string keys; slots live in an arena. */
#include "algos.h"
#include "containers.h"

#include <string.h>

enum { SLOT_EMPTY, SLOT_LIVE, SLOT_DEAD };

static NI MapSlot *map_slots_new(Arena *a, uint32_t cap) {
    return arena_zalloc(a, cap, sizeof(MapSlot));
}

NI void map_init(Map *m, Arena *arena) {
    m->arena = arena;
    m->cap = 8;
    m->live = m->dead = 0;
    m->slots = map_slots_new(arena, m->cap);
}

/* The slot holding key, or the one where it would go. */
static NI MapSlot *map_probe(const Map *m, Str key, uint32_t hash) {
    MapSlot *grave = NULL;
    for (uint32_t i = hash & (m->cap - 1), step = 1;; i = (i + step++) & (m->cap - 1)) {
        MapSlot *s = &m->slots[i];
        if (s->state == SLOT_EMPTY) return grave ? grave : s;
        if (s->state == SLOT_DEAD) {
            if (!grave) grave = s;
        } else if (s->hash == hash && str_eq(s->key, key)) {
            return s;
        }
    }
}

static NI void map_rehash(Map *m, uint32_t cap) {
    MapSlot *old = m->slots;
    uint32_t old_cap = m->cap;
    m->slots = map_slots_new(m->arena, cap);
    m->cap = cap;
    m->dead = 0;
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].state == SLOT_LIVE) *map_probe(m, old[i].key, old[i].hash) = old[i];
}

static NI bool map_crowded(const Map *m) {
    return (m->live + m->dead + 1) * 4 > m->cap * 3;
}

NI void map_put(Map *m, Str key, Value value) {
    if (map_crowded(m)) map_rehash(m, m->live * 2 > m->cap ? m->cap * 2 : m->cap);
    uint32_t hash = str_hash(key);
    MapSlot *s = map_probe(m, key, hash);
    if (s->state != SLOT_LIVE) {
        if (s->state == SLOT_DEAD) m->dead--;
        m->live++;
        s->key = (Str){arena_strndup(m->arena, key.ptr, key.len), key.len};
        s->hash = hash;
        s->state = SLOT_LIVE;
    }
    s->value = value;
}

NI void map_put_i64(Map *m, Str key, int64_t v) {
    map_put(m, key, (Value){.i = v});
}

NI bool map_get(const Map *m, Str key, Value *out) {
    const MapSlot *s = map_probe(m, key, str_hash(key));
    if (s->state != SLOT_LIVE) return false;
    *out = s->value;
    return true;
}

NI int64_t map_get_i64(const Map *m, Str key, int64_t fallback) {
    Value v;
    return map_get(m, key, &v) ? v.i : fallback;
}

NI int64_t map_add_i64(Map *m, Str key, int64_t delta) {
    int64_t v = map_get_i64(m, key, 0) + delta;
    map_put_i64(m, key, v);
    return v;
}

NI bool map_remove(Map *m, Str key) {
    MapSlot *s = map_probe(m, key, str_hash(key));
    if (s->state != SLOT_LIVE) return false;
    s->state = SLOT_DEAD;
    m->live--;
    m->dead++;
    return true;
}

NI uint32_t map_len(const Map *m) {
    return m->live;
}

NI bool map_each(const Map *m, MapVisit visit, void *ctx) {
    for (uint32_t i = 0; i < m->cap; i++) {
        const MapSlot *s = &m->slots[i];
        if (s->state == SLOT_LIVE && !visit(ctx, s->key, s->value)) return false;
    }
    return true;
}

typedef struct {
    Str *keys;
    uint32_t n;
} KeyList;

static NI bool collect_key(void *ctx, Str key, Value value) {
    (void)value;
    KeyList *l = ctx;
    l->keys[l->n++] = key;
    return true;
}

NI Str *map_sorted_keys(const Map *m, Arena *arena) {
    KeyList l = {arena_zalloc(arena, m->live + 1, sizeof(Str)), 0};
    map_each(m, collect_key, &l);
    sort_quick(l.keys, l.n, sizeof(Str), cmp_str);
    return l.keys;
}

static bool sum_values(void *ctx, Str key, Value value) {
    *(int64_t *)ctx += value.i * (int64_t)key.len;
    return true;
}

static bool stop_at_seven(void *ctx, Str key, Value value) {
    (void)key;
    *(int64_t *)ctx = value.i;
    return value.i != 7;
}

static NI Str numbered(Sb *sb, const char *stem, int64_t i) {
    sb_truncate(sb, 0);
    sb_puts(sb, stem);
    sb_i64(sb, i);
    return sb_view(sb);
}

void selftest_map(Checker *c, Arena *arena) {
    Map m;
    Sb sb;
    sb_init(&sb);
    map_init(&m, arena);
    for (int64_t i = 0; i < 500; i++) map_put_i64(&m, numbered(&sb, "key", i), i);
    for (int64_t i = 0; i < 500; i += 3) map_remove(&m, numbered(&sb, "key", i));
    check_i64(c, "live", map_len(&m), 333);
    check_i64(c, "hit", map_get_i64(&m, str_of("key100"), -1), 100);
    check_i64(c, "removed", map_get_i64(&m, str_of("key99"), -1), -1);
    check_true(c, "remove twice", !map_remove(&m, str_of("key99")));
    check_i64(c, "add", map_add_i64(&m, str_of("key100"), 11), 111);
    for (int64_t i = 0; i < 500; i++) map_add_i64(&m, numbered(&sb, "key", i), 1);
    check_i64(c, "live again", map_len(&m), 500);
    int64_t sum = 0;
    check_true(c, "each", map_each(&m, sum_values, &sum));
    int64_t want = 0;
    for (int64_t i = 0; i < 500; i++)
        want += ((i % 3 ? i : 0) + 1 + (i == 100 ? 11 : 0)) * (i < 10 ? 4 : i < 100 ? 5 : 6);
    check_i64(c, "sum", sum, want);
    Value seven = {.i = 7};
    map_put(&m, str_of("seven"), seven);
    int64_t last = 0;
    check_true(c, "each stops", !map_each(&m, stop_at_seven, &last) && last == 7);
    Str *keys = map_sorted_keys(&m, arena);
    check_str(c, "first key", keys[0], "key0");
    check_str(c, "last key", keys[500], "seven");
    sb_free(&sb);
}
