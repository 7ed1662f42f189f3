/* String slices, string builder, self-check helpers, random numbers. */
#include "base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- slices ---- */
NI Str str_of(const char *s) {
    return (Str){s, strlen(s)};
}

NI Str str_slice(Str s, size_t from, size_t to) {
    if (to > s.len) to = s.len;
    if (from > to) from = to;
    return (Str){s.ptr + from, to - from};
}

static NI bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

NI Str str_trim(Str s) {
    while (s.len && is_blank(s.ptr[0])) s = str_slice(s, 1, s.len);
    while (s.len && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

NI bool str_eq(Str a, Str b) {
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

NI int str_cmp(Str a, Str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = memcmp(a.ptr, b.ptr, n);
    if (c) return c < 0 ? -1 : 1;
    return a.len < b.len ? -1 : a.len > b.len;
}

NI bool str_starts(Str s, Str prefix) {
    return s.len >= prefix.len && str_eq(str_slice(s, 0, prefix.len), prefix);
}

NI bool str_ends(Str s, Str suffix) {
    return s.len >= suffix.len && str_eq(str_slice(s, s.len - suffix.len, s.len), suffix);
}

NI ptrdiff_t str_find(Str hay, Str needle) {
    for (size_t i = 0; i + needle.len <= hay.len; i++)
        if (str_starts(str_slice(hay, i, hay.len), needle)) return (ptrdiff_t)i;
    return -1;
}

NI bool str_next_token(Str *rest, char sep, Str *token) {
    if (!rest->ptr) return false;
    size_t i = 0;
    while (i < rest->len && rest->ptr[i] != sep) i++;
    *token = str_slice(*rest, 0, i);
    if (i < rest->len)
        *rest = str_slice(*rest, i + 1, rest->len);
    else
        *rest = (Str){NULL, 0};
    return true;
}

NI bool str_parse_i64(Str s, int64_t *out) {
    bool neg = s.len && s.ptr[0] == '-';
    if (neg) s = str_slice(s, 1, s.len);
    if (!s.len) return false;
    uint64_t v = 0, limit = (uint64_t)INT64_MAX + neg;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned)(s.ptr[i] - '0');
        if (d > 9 || v > (limit - d) / 10) return false;
        v = v * 10 + d;
    }
    *out = (int64_t)(neg ? 0 - v : v);
    return true;
}

NI bool str_parse_f64(Str s, double *out) {
    char tmp[48], *end;
    if (!s.len || s.len >= sizeof tmp) return false;
    memcpy(tmp, s.ptr, s.len);
    tmp[s.len] = '\0';
    *out = strtod(tmp, &end);
    return end == tmp + s.len;
}

NI uint32_t str_hash(Str s) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.len; i++) h = (h ^ (uint8_t)s.ptr[i]) * 16777619u;
    return h;
}

NI uint64_t str_hash64(Str s, uint64_t seed) {
    uint64_t h = seed ^ 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < s.len; i++) {
        h ^= (uint8_t)s.ptr[i];
        h *= 0xff51afd7ed558ccdull;
        h ^= h >> 29;
    }
    return h;
}

/* ---- self checks ---- */
static NI void check_note(Checker *c, const char *what, bool ok, uint64_t value) {
    c->digest = str_hash64(str_of(what), c->digest + value);
    if (ok) {
        c->passed++;
    } else {
        c->failed++;
        printf("FAILED %s: %s\n", c->suite, what);
    }
}

NI void check_begin(Checker *c, const char *suite) {
    *c = (Checker){suite, 0, 0, str_hash64(str_of(suite), 1)};
}

NI void check_true(Checker *c, const char *what, bool ok) {
    check_note(c, what, ok, ok);
}

NI void check_i64(Checker *c, const char *what, int64_t got, int64_t want) {
    if (got != want) printf("  got %lld, want %lld\n", (long long)got, (long long)want);
    check_note(c, what, got == want, (uint64_t)got);
}

NI void check_f64(Checker *c, const char *what, double got, double want, double eps) {
    bool ok = fabs(got - want) <= eps;
    if (!ok) printf("  got %.17g, want %.17g\n", got, want);
    check_note(c, what, ok, ok);
}

NI void check_f32(Checker *c, const char *what, float got, float want) {
    float scale = fmaxf(1.0f, fabsf(want));
    check_note(c, what, fabsf(got - want) <= 1e-5f * scale, 3);
}

NI void check_str(Checker *c, const char *what, Str got, const char *want) {
    bool ok = str_eq(got, str_of(want));
    if (!ok) printf("  got [%.*s], want [%s]\n", (int)got.len, got.ptr, want);
    check_note(c, what, ok, str_hash(got));
}

NI void check_bytes(Checker *c, const char *what, const void *a, const void *b, size_t n) {
    check_note(c, what, memcmp(a, b, n) == 0, n);
}

/* ---- random numbers (xorshift64*) ---- */
NI void rng_seed(Rng *r, uint64_t seed) {
    r->s = seed ? seed : 0x1234567u;
}

NI uint64_t rng_next(Rng *r) {
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return r->s * 2685821657736338717ull;
}

NI uint32_t rng_below(Rng *r, uint32_t bound) {
    return (uint32_t)(((rng_next(r) >> 32) * bound) >> 32);
}

NI double rng_unit(Rng *r) {
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}
