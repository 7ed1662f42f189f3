/* LZ-style compressor: hash of the next four bytes finds the last place they
 * occurred; tokens are literal runs and (length, distance) copies, both varint. */
#include "algos.h"

#include <string.h>

#define MIN_COPY 4
#define TABLE_BITS 12
#define NOWHERE 0xffffffffu

typedef struct {
    uint8_t *dst;
    size_t len;
} Out;

typedef struct {
    const uint8_t *src;
    size_t at, n;
    bool bad;
} In;

static NI void out_byte(Out *o, uint8_t b) {
    o->dst[o->len++] = b;
}

static NI void out_varint(Out *o, uint64_t v) {
    for (; v >= 128; v >>= 7) out_byte(o, (uint8_t)(v | 128));
    out_byte(o, (uint8_t)v);
}

static NI void out_run(Out *o, const uint8_t *src, size_t n) {
    if (!n) return;
    out_varint(o, (uint64_t)n << 1);
    memcpy(o->dst + o->len, src, n);
    o->len += n;
}

static NI void out_copy(Out *o, size_t n, size_t distance) {
    out_varint(o, (uint64_t)(n - MIN_COPY) << 1 | 1);
    out_varint(o, distance);
}

static NI uint32_t load4(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static NI uint32_t slot_of(uint32_t v) {
    return v * 2654435761u >> (32 - TABLE_BITS);
}

static NI size_t common_length(const uint8_t *a, const uint8_t *b, size_t max) {
    size_t n = 0;
    while (n < max && a[n] == b[n]) n++;
    return n;
}

NI size_t lz_bound(size_t n) {
    return n + n / 64 + 16;
}

NI size_t lz_pack(const uint8_t *src, size_t n, uint8_t *dst) {
    static uint32_t table[1 << TABLE_BITS];
    memset(table, 0xff, sizeof table);
    Out o = {dst, 0};
    size_t at = 0, run = 0;
    while (at + MIN_COPY <= n) {
        uint32_t *slot = &table[slot_of(load4(src + at))], prev = *slot;
        *slot = (uint32_t)at;
        size_t len = prev == NOWHERE ? 0 : common_length(src + prev, src + at, n - at);
        if (len < MIN_COPY) {
            at++;
            continue;
        }
        out_run(&o, src + run, at - run);
        out_copy(&o, len, at - prev);
        at += len;
        run = at;
    }
    out_run(&o, src + run, n - run);
    return o.len;
}

static NI uint64_t in_varint(In *in) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (in->at >= in->n) break;
        uint8_t b = in->src[in->at++];
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128) return v;
    }
    in->bad = true;
    return 0;
}

static NI bool take_run(In *in, Out *o, size_t n, size_t want) {
    if (n > want - o->len || n > in->n - in->at) return false;
    memcpy(o->dst + o->len, in->src + in->at, n);
    in->at += n;
    o->len += n;
    return true;
}

/* Byte by byte: source and target may overlap. */
static NI bool take_copy(In *in, Out *o, size_t n, size_t want) {
    uint64_t distance = in_varint(in);
    if (in->bad || distance == 0 || distance > o->len || n > want - o->len) return false;
    const uint8_t *from = o->dst + o->len - distance;
    for (size_t i = 0; i < n; i++) out_byte(o, from[i]);
    return true;
}

NI bool lz_unpack(const uint8_t *src, size_t n, uint8_t *dst, size_t want) {
    In in = {src, 0, n, false};
    Out o = {dst, 0};
    while (in.at < in.n) {
        uint64_t token = in_varint(&in);
        if (in.bad || token >> 1 > want) return false;
        size_t len = (size_t)(token >> 1);
        bool ok = token & 1 ? take_copy(&in, &o, len + MIN_COPY, want) : take_run(&in, &o, len, want);
        if (!ok) return false;
    }
    return o.len == want;
}

NI size_t rle_pack(const uint8_t *src, size_t n, uint8_t *dst) {
    Out o = {dst, 0};
    for (size_t at = 0; at < n;) {
        size_t len = 1;
        while (at + len < n && src[at + len] == src[at]) len++;
        out_varint(&o, len);
        out_byte(&o, src[at]);
        at += len;
    }
    return o.len;
}

NI size_t rle_unpack(const uint8_t *src, size_t n, uint8_t *dst, size_t cap) {
    In in = {src, 0, n, false};
    size_t len = 0;
    while (in.at < n) {
        uint64_t run = in_varint(&in);
        if (in.bad || in.at >= n || run > cap - len) return 0;
        memset(dst + len, src[in.at++], (size_t)run);
        len += (size_t)run;
    }
    return len;
}

static NI size_t make_sample(uint8_t *out, size_t n, uint32_t variety, uint64_t seed) {
    static const char *const words[] = {"debit ", "credit ", "2024-05-", "assets:bank ", "\n", "EUR ", "17", "."};
    Rng r;
    rng_seed(&r, seed);
    size_t len = 0;
    while (len < n) {
        uint32_t pick = rng_below(&r, variety);
        const char *w = pick < COUNT_OF(words) ? words[pick] : "";
        size_t k = strlen(w);
        if (!k || len + k > n) {
            out[len++] = (uint8_t)rng_next(&r);
        } else {
            memcpy(out + len, w, k);
            len += k;
        }
    }
    return len;
}

void selftest_lz(Checker *c, Arena *arena) {
    enum { N = 20000 };
    uint8_t *src = arena_alloc(arena, N), *back = arena_alloc(arena, N);
    uint8_t *packed = arena_alloc(arena, lz_bound(N) * 2);
    static const uint32_t varieties[] = {1, 3, 8, 12, 400};
    size_t previous = 0;
    for (size_t i = 0; i < COUNT_OF(varieties); i++) {
        size_t n = make_sample(src, N, varieties[i], i + 1);
        size_t p = lz_pack(src, n, packed);
        check_true(c, "within the bound", p <= lz_bound(n));
        check_true(c, "more variety packs worse", p > previous);
        check_true(c, "unpacks", lz_unpack(packed, p, back, n));
        check_bytes(c, "same bytes", src, back, n);
        check_true(c, "cut short", !lz_unpack(packed, p - 1, back, n));
        previous = p;
    }
    memset(src, 'x', N / 2);
    size_t p = rle_pack(src, N / 2, packed);
    check_i64(c, "run", (int64_t)p, 3);
    check_i64(c, "run length", (int64_t)rle_unpack(packed, p, back, N), N / 2);
    check_i64(c, "run too long", (int64_t)rle_unpack(packed, p, back, 5), 0);
}
