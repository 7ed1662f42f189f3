/* Shared basics: arena, string slices, string builder, self-check helpers. */
#ifndef LEDGER_BASE_H
#define LEDGER_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef LEDGER_RELEASE
#define LEDGER_RELEASE 1
#endif

/* Keeps a function a function of its own under -O2. */
#define NI __attribute__((noinline))

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- arena ---- */
typedef struct Block {
    struct Block *next;
    size_t used, cap;
} Block;

typedef struct {
    Block *head;
    size_t total;
    uint32_t blocks, allocs;
} Arena;

typedef struct {
    Block *block;
    size_t used;
} ArenaMark;

void arena_init(Arena *a);
void *arena_alloc(Arena *a, size_t size);
void *arena_zalloc(Arena *a, size_t count, size_t size);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_strdup(Arena *a, const char *s);
ArenaMark arena_mark(const Arena *a);
void arena_rewind(Arena *a, ArenaMark mark);
size_t arena_in_use(const Arena *a);
void arena_free(Arena *a);
#if LEDGER_RELEASE >= 2
const char *arena_pressure(const Arena *a);
#endif

/* ---- string slices ---- */
typedef struct {
    const char *ptr;
    size_t len;
} Str;

Str str_of(const char *s);
Str str_slice(Str s, size_t from, size_t to);
Str str_trim(Str s);
bool str_eq(Str a, Str b);
int str_cmp(Str a, Str b);
ptrdiff_t str_find(Str hay, Str needle);
bool str_starts(Str s, Str prefix);
bool str_ends(Str s, Str suffix);
bool str_next_token(Str *rest, char sep, Str *token);
bool str_parse_i64(Str s, int64_t *out);
bool str_parse_f64(Str s, double *out);
uint32_t str_hash(Str s);
uint64_t str_hash64(Str s, uint64_t seed);

/* ---- string builder ---- */
typedef struct {
    char *buf;
    size_t len, cap;
} Sb;

void sb_init(Sb *sb);
void sb_reserve(Sb *sb, size_t extra);
void sb_putc(Sb *sb, char c);
void sb_putn(Sb *sb, const char *s, size_t n);
void sb_puts(Sb *sb, const char *s);
void sb_str(Sb *sb, Str s);
void sb_repeat(Sb *sb, char c, size_t n);
void sb_u64(Sb *sb, uint64_t v);
void sb_i64(Sb *sb, int64_t v);
void sb_hex(Sb *sb, uint64_t v, int digits);
void sb_f64(Sb *sb, double v, int decimals);
void sb_f32(Sb *sb, float v);
void sb_insert(Sb *sb, size_t at, Str s);
void sb_truncate(Sb *sb, size_t len);
void sb_reverse(Sb *sb, size_t from);
const char *sb_cstr(Sb *sb);
Str sb_view(const Sb *sb);
void sb_free(Sb *sb);

/* ---- self checks ---- */
typedef struct {
    const char *suite;
    uint32_t passed, failed;
    uint64_t digest;
} Checker;

void check_begin(Checker *c, const char *suite);
void check_true(Checker *c, const char *what, bool ok);
void check_i64(Checker *c, const char *what, int64_t got, int64_t want);
void check_f64(Checker *c, const char *what, double got, double want, double eps);
void check_f32(Checker *c, const char *what, float got, float want);
void check_str(Checker *c, const char *what, Str got, const char *want);
void check_bytes(Checker *c, const char *what, const void *a, const void *b, size_t n);

/* Small deterministic generator used by the checks. */
typedef struct {
    uint64_t s;
} Rng;
void rng_seed(Rng *r, uint64_t seed);
uint64_t rng_next(Rng *r);
uint32_t rng_below(Rng *r, uint32_t bound);
double rng_unit(Rng *r);

#endif
