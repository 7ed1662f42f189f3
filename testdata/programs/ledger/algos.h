/* JSON, expressions, patterns, digests, compression, sorting, self-tests. */
#ifndef LEDGER_ALGOS_H
#define LEDGER_ALGOS_H

#include "base.h"
#include "containers.h"

/* ---- JSON ---- */
typedef enum { J_NULL, J_BOOL, J_INT, J_REAL, J_STR, J_ARR, J_OBJ } JKind;

typedef struct JNode {
    JKind kind;
    union {
        bool b;
        int64_t i;
        double r;
        Str s;
    } u;
    Str name;
    struct JNode *child, *next, *last;
    uint32_t count;
} JNode;

typedef struct {
    const char *message;
    uint32_t offset;
} JError;

JNode *json_parse(Arena *a, Str text, JError *err);
void json_write(Sb *out, const JNode *n);
void json_write_pretty(Sb *out, const JNode *n, int indent);
JNode *json_new(Arena *a, JKind kind);
JNode *json_new_i64(Arena *a, int64_t v);
JNode *json_new_f64(Arena *a, double v);
JNode *json_new_str(Arena *a, Str s);
JNode *json_new_bool(Arena *a, bool b);
void json_push(JNode *arr, JNode *item);
void json_set(JNode *obj, Str name, JNode *item);
const JNode *json_get(const JNode *obj, const char *name);
const JNode *json_at(const JNode *arr, uint32_t index);
const JNode *json_path(const JNode *n, const char *path);
int64_t json_i64(const JNode *n, int64_t fallback);
double json_f64(const JNode *n, double fallback);
Str json_str(const JNode *n, const char *fallback);
bool json_equal(const JNode *a, const JNode *b);

/* ---- patterns ---- */
bool pat_match(const char *pattern, Str text);
bool pat_search(const char *pattern, Str text, Str *where);
uint32_t pat_count(const char *pattern, Str text);
void pat_replace(Sb *out, const char *pattern, Str text, Str with);

/* ---- digests ---- */
typedef struct {
    uint32_t h[8];
    uint64_t length;
    uint8_t block[64];
    uint32_t fill;
} Sha256;

typedef struct {
    uint8_t bytes[32];
} Digest;

void sha256_init(Sha256 *s);
void sha256_update(Sha256 *s, const void *data, size_t n);
Digest sha256_final(Sha256 *s);
Digest sha256_of(Str data);
Digest hmac_sha256(Str key, Str data);
void digest_hex(Sb *out, Digest d);
uint32_t crc32_of(uint32_t crc, const void *data, size_t n);
uint32_t adler32_of(const void *data, size_t n);

/* ---- compression ---- */
size_t lz_bound(size_t n);
size_t lz_pack(const uint8_t *src, size_t n, uint8_t *dst);
bool lz_unpack(const uint8_t *src, size_t n, uint8_t *dst, size_t want);
size_t rle_pack(const uint8_t *src, size_t n, uint8_t *dst);
size_t rle_unpack(const uint8_t *src, size_t n, uint8_t *dst, size_t cap);

/* ---- sorting ---- */
typedef void (*SortFn)(void *base, size_t n, size_t size, Compare cmp);
void sort_insertion(void *base, size_t n, size_t size, Compare cmp);
void sort_shell(void *base, size_t n, size_t size, Compare cmp);
void sort_heap(void *base, size_t n, size_t size, Compare cmp);
void sort_quick(void *base, size_t n, size_t size, Compare cmp);
void sort_merge(void *base, size_t n, size_t size, Compare cmp);
void sort_radix_u32(uint32_t *v, size_t n);
void *sort_search(const void *key, const void *base, size_t n, size_t size, Compare cmp);
bool sort_is_sorted(const void *base, size_t n, size_t size, Compare cmp);

/* ---- self-tests ---- */
typedef void (*SelfTest)(Checker *c, Arena *arena);
void selftest_strings(Checker *c, Arena *arena);
void selftest_map(Checker *c, Arena *arena);
void selftest_avl(Checker *c, Arena *arena);
void selftest_json(Checker *c, Arena *arena);
void selftest_vm(Checker *c, Arena *arena);
void selftest_pattern(Checker *c, Arena *arena);
void selftest_digest(Checker *c, Arena *arena);
void selftest_lz(Checker *c, Arena *arena);
void selftest_matrix(Checker *c, Arena *arena);
void selftest_fft(Checker *c, Arena *arena);
void selftest_bignum(Checker *c, Arena *arena);
void selftest_sort(Checker *c, Arena *arena);
void selftest_calendar(Checker *c, Arena *arena);
void selftest_money(Checker *c, Arena *arena);
void selftest_text(Checker *c, Arena *arena);
void selftest_book(Checker *c, Arena *arena);

#endif
