/* Big naturals in 32-bit limbs, allocated from an arena. */
#include "algos.h"
#include "numeric.h"

#include <stdlib.h>
#include <string.h>

NI Big big_new(Arena *a, uint32_t cap) {
    return (Big){arena_zalloc(a, cap, sizeof(uint32_t)), 0, cap};
}

static NI void trim(Big *b) {
    while (b->n && b->limb[b->n - 1] == 0) b->n--;
}

NI Big big_from_u64(Arena *a, uint64_t v) {
    Big b = big_new(a, 2);
    b.limb[0] = (uint32_t)v;
    b.limb[1] = (uint32_t)(v >> 32);
    b.n = 2;
    trim(&b);
    return b;
}

static NI Big big_copy(Arena *a, Big x, uint32_t extra) {
    Big b = big_new(a, x.n + extra);
    memcpy(b.limb, x.limb, x.n * sizeof *b.limb);
    b.n = x.n;
    return b;
}

NI bool big_is_zero(Big a) {
    return a.n == 0;
}

NI int big_cmp(Big a, Big b) {
    if (a.n != b.n) return a.n < b.n ? -1 : 1;
    for (uint32_t i = a.n; i-- > 0;)
        if (a.limb[i] != b.limb[i]) return a.limb[i] < b.limb[i] ? -1 : 1;
    return 0;
}

NI uint32_t big_bits(Big a) {
    return a.n ? a.n * 32 - (uint32_t)__builtin_clz(a.limb[a.n - 1]) : 0;
}

static NI uint32_t limb_at(Big x, uint32_t i) {
    return i < x.n ? x.limb[i] : 0;
}

NI Big big_add(Arena *a, Big x, Big y) {
    uint32_t n = (x.n > y.n ? x.n : y.n) + 1;
    Big s = big_new(a, n);
    uint64_t carry = 0;
    for (uint32_t i = 0; i < n; i++) {
        carry += (uint64_t)limb_at(x, i) + limb_at(y, i);
        s.limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    s.n = n;
    trim(&s);
    return s;
}

/* x - y, for x >= y. */
NI Big big_sub(Arena *a, Big x, Big y) {
    Big d = big_new(a, x.n + 1);
    int64_t borrow = 0;
    for (uint32_t i = 0; i < x.n; i++) {
        borrow += (int64_t)x.limb[i] - limb_at(y, i);
        d.limb[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    if (borrow) abort();
    d.n = x.n;
    trim(&d);
    return d;
}

static NI uint32_t mul_add_row(uint32_t *dst, const uint32_t *x, uint32_t n, uint32_t k) {
    uint64_t carry = 0;
    for (uint32_t i = 0; i < n; i++) {
        carry += (uint64_t)x[i] * k + dst[i];
        dst[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return (uint32_t)carry;
}

NI Big big_mul(Arena *a, Big x, Big y) {
    Big p = big_new(a, x.n + y.n + 1);
    for (uint32_t i = 0; i < y.n; i++) p.limb[i + x.n] = mul_add_row(p.limb + i, x.limb, x.n, y.limb[i]);
    p.n = x.n + y.n;
    trim(&p);
    return p;
}

/* In place; the caller made room for one more limb. */
NI void big_mul_small(Big *x, uint32_t m, uint32_t plus) {
    uint64_t carry = plus;
    for (uint32_t i = 0; i < x->n; i++) {
        carry += (uint64_t)x->limb[i] * m;
        x->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (!carry) return;
    if (x->n >= x->cap) abort();
    x->limb[x->n++] = (uint32_t)carry;
}

NI uint32_t big_div_small(Big *x, uint32_t d) {
    uint64_t rem = 0;
    for (uint32_t i = x->n; i-- > 0;) {
        rem = rem << 32 | x->limb[i];
        x->limb[i] = (uint32_t)(rem / d);
        rem %= d;
    }
    trim(x);
    return (uint32_t)rem;
}

NI Big big_shl(Arena *a, Big x, uint32_t bits) {
    uint32_t limbs = bits / 32, rest = bits % 32;
    Big r = big_new(a, x.n + limbs + 1);
    for (uint32_t i = 0; i < x.n; i++) {
        uint64_t v = (uint64_t)x.limb[i] << rest;
        r.limb[i + limbs] |= (uint32_t)v;
        r.limb[i + limbs + 1] = (uint32_t)(v >> 32);
    }
    r.n = x.n + limbs + 1;
    trim(&r);
    return r;
}

NI Big big_shr(Arena *a, Big x, uint32_t bits) {
    uint32_t limbs = bits / 32, rest = bits % 32;
    Big r = big_new(a, x.n + 1);
    for (uint32_t i = limbs; i < x.n; i++) {
        uint64_t v = (uint64_t)limb_at(x, i + 1) << 32 | x.limb[i];
        r.limb[i - limbs] = (uint32_t)(v >> rest);
    }
    r.n = x.n > limbs ? x.n - limbs : 0;
    trim(&r);
    return r;
}

/* Schoolbook division bit by bit: slow, simple, and enough here. */
NI void big_divmod(Arena *a, Big x, Big y, Big *quot, Big *rem) {
    if (big_is_zero(y)) abort();
    uint32_t shift = big_cmp(x, y) < 0 ? 0 : big_bits(x) - big_bits(y);
    Big d = big_shl(a, y, shift), r = big_copy(a, x, 1), q = big_new(a, shift / 32 + 1);
    for (uint32_t i = shift + 1; i-- > 0;) {
        if (big_cmp(r, d) >= 0) {
            r = big_sub(a, r, d);
            q.limb[i / 32] |= 1u << i % 32;
        }
        d = big_shr(a, d, 1);
    }
    q.n = q.cap;
    trim(&q);
    *quot = q;
    *rem = r;
}

NI void big_format(Arena *a, Sb *out, Big v) {
    size_t from = out->len;
    v = big_copy(a, v, 1);
    do {
        uint32_t part = big_div_small(&v, 1000000000);
        for (int i = 0; i < 9 && (part || v.n || i == 0); i++, part /= 10) sb_putc(out, (char)('0' + part % 10));
    } while (v.n);
    sb_reverse(out, from);
}

NI bool big_parse(Arena *a, Str s, Big *out) {
    *out = big_new(a, (uint32_t)(s.len / 9 + 2));
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        big_mul_small(out, 10, (uint32_t)(s.ptr[i] - '0'));
    }
    return s.len > 0;
}
