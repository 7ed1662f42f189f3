/* Text formatting: padding, wrapping, numerals, tables. */
#include "algos.h"
#include "book.h"

#include <string.h>

/* Counts code points, not bytes. */
NI size_t text_width(Str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((uint8_t)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

NI void text_pad(Sb *out, Str s, size_t width, Align how) {
    size_t w = text_width(s), gap = w < width ? width - w : 0;
    size_t before = how == ALIGN_RIGHT ? gap : how == ALIGN_CENTER ? gap / 2 : 0;
    sb_repeat(out, ' ', before);
    sb_str(out, s);
    sb_repeat(out, ' ', gap - before);
}

NI void text_wrap(Sb *out, Str s, size_t width, const char *indent) {
    Str word;
    size_t at = 0;
    while (str_next_token(&s, ' ', &word)) {
        size_t w = text_width(word);
        if (!w) continue;
        if (at && at + 1 + w > width) {
            sb_putc(out, '\n');
            at = 0;
        }
        if (at) {
            sb_putc(out, ' ');
            at++;
        } else {
            sb_puts(out, indent);
        }
        sb_str(out, word);
        at += w;
    }
}

static NI char to_upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static NI char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

NI void text_upper(Sb *out, Str s) {
    for (size_t i = 0; i < s.len; i++) sb_putc(out, to_upper(s.ptr[i]));
}

NI void text_title(Sb *out, Str s) {
    bool first = true;
    for (size_t i = 0; i < s.len; i++) {
        sb_putc(out, first ? to_upper(s.ptr[i]) : to_lower(s.ptr[i]));
        first = s.ptr[i] == ' ' || s.ptr[i] == '-';
    }
}

NI void text_roman(Sb *out, uint32_t v) {
    static const struct {
        uint16_t v;
        char s[3];
    } steps[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
                 {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"}};
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        for (; v >= steps[i].v; v -= steps[i].v) sb_puts(out, steps[i].s);
}

static const char *const small[] = {
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
};
static const char *const tens[] = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
static const char *const big[] = {"", " thousand", " million", " billion", " trillion", " quadrillion", " quintillion"};

static NI void words_below_1000(Sb *out, uint32_t v) {
    if (v >= 100) {
        sb_puts(out, small[v / 100]);
        sb_puts(out, " hundred");
        v %= 100;
        if (!v) return;
        sb_puts(out, LEDGER_RELEASE >= 2 ? " and " : " ");
    }
    if (v >= 20) {
        sb_puts(out, tens[v / 10]);
        v %= 10;
        if (!v) return;
        sb_putc(out, '-');
    }
    sb_puts(out, small[v]);
}

NI void text_words(Sb *out, uint64_t v) {
    if (v == 0) sb_puts(out, small[0]);
    uint64_t unit = 1000000000000000000ull;
    bool any = false;
    for (int i = 6; i >= 0; i--, unit /= 1000) {
        uint32_t part = (uint32_t)(v / unit % 1000);
        if (!part) continue;
        if (any) sb_putc(out, ' ');
        words_below_1000(out, part);
        sb_puts(out, big[i]);
        any = true;
    }
}

NI void text_ordinal(Sb *out, uint32_t v) {
    static const char suffixes[] = "thstndrd";
    uint32_t last = v % 100 / 10 == 1 ? 0 : v % 10;
    sb_u64(out, v);
    sb_putn(out, suffixes + (last < 4 ? last : 0) * 2, 2);
}

static NI uint32_t min3(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edit distance; both strings at most 63 bytes. */
NI uint32_t text_distance(Str a, Str b) {
    uint32_t row[64];
    b = str_slice(b, 0, 63);
    for (uint32_t j = 0; j <= b.len; j++) row[j] = j;
    for (uint32_t i = 1; i <= a.len; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint32_t cost = a.ptr[i - 1] != b.ptr[j - 1], up = row[j];
            row[j] = min3(up + 1, row[j - 1] + 1, diagonal + cost);
            diagonal = up;
        }
    }
    return row[b.len];
}

NI void text_row(Sb *out, const Column *cols, const Str *cells, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (i) sb_puts(out, "  ");
        text_pad(out, cells[i], cols[i].width, cols[i].align);
    }
    while (out->len && out->buf[out->len - 1] == ' ') out->len--;
    sb_putc(out, '\n');
}

NI void text_header(Sb *out, const Column *cols, uint32_t n) {
    Str cells[8];
    for (uint32_t i = 0; i < n && i < 8; i++) cells[i] = str_of(cols[i].title);
    text_row(out, cols, cells, n);
}

NI void text_rule(Sb *out, const Column *cols, uint32_t n) {
    size_t w = 2 * (n - 1);
    for (uint32_t i = 0; i < n; i++) w += cols[i].width;
    sb_repeat(out, '-', w);
    sb_putc(out, '\n');
}

NI void text_bar(Sb *out, float share, uint32_t width) {
    if (share < 0) share = 0;
    if (share > 1) share = 1;
    uint32_t full = (uint32_t)(share * (float)width + 0.5f);
    sb_repeat(out, '#', full);
    sb_repeat(out, '.', width - full);
}

static NI void expect_text(Checker *c, Sb *sb, const char *want) {
    check_str(c, want, sb_view(sb), want);
    sb_truncate(sb, 0);
}

void selftest_text(Checker *c, Arena *arena) {
    (void)arena;
    Sb sb;
    sb_init(&sb);
    text_pad(&sb, str_of("mid"), 8, ALIGN_CENTER);
    text_pad(&sb, str_of("\xc3\xa9t\xc3\xa9"), 5, ALIGN_RIGHT);
    expect_text(c, &sb, "  mid     \xc3\xa9t\xc3\xa9");
    text_wrap(&sb, str_of("debits on the left  and credits on the right"), 16, "> ");
    expect_text(c, &sb, "> debits on the\n> left and credits\n> on the right");
    text_roman(&sb, 1994);
    expect_text(c, &sb, "MCMXCIV");
    text_words(&sb, 7000012345067ull);
    expect_text(c, &sb, LEDGER_RELEASE >= 2 ? "seven trillion twelve million three hundred and forty-five thousand sixty-seven"
                                            : "seven trillion twelve million three hundred forty-five thousand sixty-seven");
    for (uint32_t v = 1; v < 30; v += 5) text_ordinal(&sb, v + (v > 20));
    expect_text(c, &sb, "1st6th11th16th22nd27th");
    text_upper(&sb, str_of("Net "));
    text_title(&sb, str_of("profit and-LOSS"));
    expect_text(c, &sb, "NET Profit And-Loss");
    text_bar(&sb, 0.3f, 10);
    expect_text(c, &sb, "###.......");
    check_i64(c, "distance", text_distance(str_of("kitten"), str_of("sitting")), 3);
    sb_free(&sb);
}
