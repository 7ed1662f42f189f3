/* Growable string builder and its self-check. */
#include "algos.h"
#include "base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

NI void sb_init(Sb *sb) {
    sb->buf = NULL;
    sb->len = sb->cap = 0;
}

NI void sb_reserve(Sb *sb, size_t extra) {
    size_t need = sb->len + extra + 1;
    if (need <= sb->cap) return;
    size_t cap = sb->cap ? sb->cap : 32;
    while (cap < need) cap += cap / 2;
    sb->buf = realloc(sb->buf, cap);
    if (!sb->buf) abort();
    sb->cap = cap;
}

NI void sb_putc(Sb *sb, char c) {
    sb_reserve(sb, 1);
    sb->buf[sb->len++] = c;
}

NI void sb_putn(Sb *sb, const char *s, size_t n) {
    sb_reserve(sb, n);
    memcpy(sb->buf + sb->len, s, n);
    sb->len += n;
}

NI void sb_puts(Sb *sb, const char *s) {
    sb_putn(sb, s, strlen(s));
}

NI void sb_str(Sb *sb, Str s) {
    sb_putn(sb, s.ptr, s.len);
}

NI void sb_repeat(Sb *sb, char c, size_t n) {
    sb_reserve(sb, n);
    memset(sb->buf + sb->len, c, n);
    sb->len += n;
}

NI void sb_reverse(Sb *sb, size_t from) {
    for (size_t to = sb->len; from + 1 < to; from++) {
        to--;
        char c = sb->buf[from];
        sb->buf[from] = sb->buf[to];
        sb->buf[to] = c;
    }
}

NI void sb_u64(Sb *sb, uint64_t v) {
    size_t from = sb->len;
    do {
        sb_putc(sb, (char)('0' + v % 10));
        v /= 10;
    } while (v);
    sb_reverse(sb, from);
}

NI void sb_i64(Sb *sb, int64_t v) {
    if (v < 0) {
        sb_putc(sb, '-');
        sb_u64(sb, 0 - (uint64_t)v);
    } else {
        sb_u64(sb, (uint64_t)v);
    }
}

NI void sb_hex(Sb *sb, uint64_t v, int digits) {
    for (int i = digits - 1; i >= 0; i--) sb_putc(sb, "0123456789abcdef"[(v >> (4 * i)) & 15]);
}

/* Fixed notation; enough for reports (|v| < 1e15, at most 9 decimals). */
NI void sb_f64(Sb *sb, double v, int decimals) {
    if (isnan(v)) {
        sb_puts(sb, "nan");
        return;
    }
    if (v < 0) {
        sb_putc(sb, '-');
        v = -v;
    }
    if (v > 1e15) {
        sb_puts(sb, "big");
        return;
    }
    double scale = 1;
    for (int i = 0; i < decimals; i++) scale *= 10;
    double whole = floor(v);
    double frac = floor((v - whole) * scale + 0.5);
    if (frac >= scale) {
        whole += 1;
        frac -= scale;
    }
    sb_u64(sb, (uint64_t)whole);
    if (decimals <= 0) return;
    sb_putc(sb, '.');
    size_t from = sb->len;
    uint64_t f = (uint64_t)frac;
    for (int i = 0; i < decimals; i++, f /= 10) sb_putc(sb, (char)('0' + f % 10));
    sb_reverse(sb, from);
}

NI void sb_f32(Sb *sb, float v) {
    sb_f64(sb, (double)v, 3);
}

NI void sb_insert(Sb *sb, size_t at, Str s) {
    sb_reserve(sb, s.len);
    if (at > sb->len) at = sb->len;
    memmove(sb->buf + at + s.len, sb->buf + at, sb->len - at);
    memcpy(sb->buf + at, s.ptr, s.len);
    sb->len += s.len;
}

NI void sb_truncate(Sb *sb, size_t len) {
    if (len < sb->len) sb->len = len;
}

NI const char *sb_cstr(Sb *sb) {
    sb_reserve(sb, 0);
    sb->buf[sb->len] = '\0';
    return sb->buf;
}

NI Str sb_view(const Sb *sb) {
    return (Str){sb->buf, sb->len};
}

NI void sb_free(Sb *sb) {
    free(sb->buf);
    sb_init(sb);
}

static NI void test_slices(Checker *c) {
    Str s = str_trim(str_of("  assets:cash:till \n")), tok, rest = s;
    check_str(c, "trim", s, "assets:cash:till");
    check_i64(c, "find", str_find(s, str_of("cash")), 7);
    check_i64(c, "find missing", str_find(s, str_of("bank")), -1);
    check_true(c, "ends", str_ends(s, str_of("till")) && !str_ends(s, str_of("tall")));
    check_i64(c, "cmp", str_cmp(str_of("abc"), str_of("abcd")), -1);
    int n = 0;
    while (str_next_token(&rest, ':', &tok)) n = n * 10 + (int)tok.len;
    check_i64(c, "tokens", n, 644);
    int64_t v = 0;
    check_true(c, "parse min", str_parse_i64(str_of("-9223372036854775808"), &v) && v == INT64_MIN);
    check_true(c, "parse overflow", !str_parse_i64(str_of("9223372036854775808"), &v));
    double d = 0;
    check_true(c, "parse double", str_parse_f64(str_of("-12.5e2"), &d) && d == -1250.0);
}

void selftest_strings(Checker *c, Arena *arena) {
    test_slices(c);
    Sb sb;
    sb_init(&sb);
    sb_i64(&sb, INT64_MIN);
    sb_putc(&sb, ' ');
    sb_f64(&sb, -3.14159, 3);
    sb_putc(&sb, ' ');
    sb_f32(&sb, 0.9999f);
    sb_repeat(&sb, '-', 3);
    sb_hex(&sb, 0xbeef, 6);
    check_str(c, "build", sb_view(&sb), "-9223372036854775808 -3.142 1.000---00beef");
    sb_truncate(&sb, 3);
    sb_insert(&sb, 1, str_of("<>"));
    check_str(c, "insert", str_of(sb_cstr(&sb)), "-<>92");
    sb_free(&sb);

    ArenaMark m = arena_mark(arena);
    size_t before = arena_in_use(arena);
    for (int i = 0; i < 200; i++) {
        char *s = arena_strdup(arena, "scratch data, soon dropped");
        if (s[0] != 's') check_true(c, "strdup", false);
    }
    check_true(c, "arena grew", arena_in_use(arena) > before + 5000);
    arena_rewind(arena, m);
    check_i64(c, "arena rewound", (int64_t)arena_in_use(arena), (int64_t)before);
}
