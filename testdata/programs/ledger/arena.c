/* Arena allocator. First in the link order: what release 2 adds here shifts
 * the index of nearly every other function and the address of most data. */
#include "base.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 4096u
#define ALIGNMENT 8u

#if LEDGER_RELEASE >= 2
static const struct {
    size_t limit;
    const char *label;
} pressure_levels[] = {
    {16u * 1024, "idle: everything still fits the first few blocks"},
    {256u * 1024, "normal: steady growth, nothing to worry about"},
    {4096u * 1024, "high: consider rewinding marks between batches"},
    {SIZE_MAX, "critical: the arena holds more than four megabytes"},
};

/* Release 2: names the arena's load for the report. */
NI const char *arena_pressure(const Arena *a) {
    size_t used = arena_in_use(a);
    for (size_t i = 0; i < COUNT_OF(pressure_levels); i++)
        if (used <= pressure_levels[i].limit) return pressure_levels[i].label;
    return "unknown";
}

/* Release 2: blocks grow with the arena instead of having a fixed size. */
static NI size_t arena_grow_policy(const Arena *a, size_t wanted) {
    size_t next = a->total / 2;
    if (next < FIRST_BLOCK) next = FIRST_BLOCK;
    if (next > 64u * 1024) next = 64u * 1024;
    return wanted > next ? wanted : next;
}
#endif

static NI size_t round_up(size_t n, size_t align) {
    return (n + align - 1) & ~(align - 1);
}

static NI Block *block_new(size_t cap, Block *next) {
    Block *b = malloc(sizeof(Block) + cap);
    if (!b) abort();
    b->next = next;
    b->used = 0;
    b->cap = cap;
    return b;
}

static NI char *block_data(Block *b) {
    return (char *)(b + 1);
}

NI void arena_init(Arena *a) {
    a->head = NULL;
    a->total = 0;
    a->blocks = 0;
    a->allocs = 0;
}

static NI void arena_grow(Arena *a, size_t wanted) {
#if LEDGER_RELEASE >= 2
    size_t cap = arena_grow_policy(a, wanted);
#else
    size_t cap = wanted > FIRST_BLOCK ? wanted : FIRST_BLOCK;
#endif
    a->head = block_new(cap, a->head);
    a->total += cap;
    a->blocks++;
}

NI void *arena_alloc(Arena *a, size_t size) {
    size = round_up(size ? size : 1, ALIGNMENT);
    if (!a->head || a->head->cap - a->head->used < size) arena_grow(a, size);
    char *p = block_data(a->head) + a->head->used;
    a->head->used += size;
    a->allocs++;
    return p;
}

NI void *arena_zalloc(Arena *a, size_t count, size_t size) {
    uint64_t bytes = (uint64_t)count * size;
    if (bytes > UINT32_MAX / 2) abort();
    void *p = arena_alloc(a, (size_t)bytes);
    memset(p, 0, (size_t)bytes);
    return p;
}

NI char *arena_strndup(Arena *a, const char *s, size_t n) {
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

NI char *arena_strdup(Arena *a, const char *s) {
    return arena_strndup(a, s, strlen(s));
}

NI ArenaMark arena_mark(const Arena *a) {
    ArenaMark m = {a->head, a->head ? a->head->used : 0};
    return m;
}

static NI Block *block_drop(Arena *a, Block *b) {
    Block *next = b->next;
    a->total -= b->cap;
    a->blocks--;
    free(b);
    return next;
}

NI void arena_rewind(Arena *a, ArenaMark mark) {
    while (a->head && a->head != mark.block) a->head = block_drop(a, a->head);
    if (a->head) a->head->used = mark.used;
}

NI size_t arena_in_use(const Arena *a) {
    size_t n = 0;
    for (const Block *b = a->head; b; b = b->next) n += b->used;
    return n;
}

NI void arena_free(Arena *a) {
    while (a->head) a->head = block_drop(a, a->head);
    arena_init(a);
}
