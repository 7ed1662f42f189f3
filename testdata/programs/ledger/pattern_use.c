/* Counting, replacing, and the pattern matcher's self-check. */
#include "algos.h"

NI uint32_t pat_count(const char *pattern, Str text) {
    uint32_t n = 0;
    Str hit;
    while (pat_search(pattern, text, &hit)) {
        size_t past = (size_t)(hit.ptr - text.ptr) + hit.len;
        n++;
        if (past >= text.len) break;
        text = str_slice(text, hit.len ? past : past + 1, text.len);
    }
    return n;
}

NI void pat_replace(Sb *out, const char *pattern, Str text, Str with) {
    Str hit;
    while (text.len && pat_search(pattern, text, &hit)) {
        size_t at = (size_t)(hit.ptr - text.ptr);
        sb_str(out, str_slice(text, 0, at));
        sb_str(out, with);
        if (!hit.len) {
            sb_str(out, str_slice(text, at, at + 1));
            at++;
        }
        text = str_slice(text, at + hit.len, text.len);
    }
    sb_str(out, text);
}

static NI void expect_search(Checker *c, const char *pattern, const char *text, const char *want) {
    Str hit = {NULL, 0};
    bool ok = pat_search(pattern, str_of(text), &hit);
    check_str(c, pattern, ok ? hit : str_of("(none)"), want);
}

typedef struct {
    const char *pattern, *text;
    bool matches;
} PatternCase;

static const PatternCase cases[] = {
    {"abc", "abc", true},
    {"abc", "abcd", false},
    {"a.c", "axc", true},
    {"a*b+c?", "aaabbc", true},
    {"a*b+c?", "b", true},
    {"a*b+c?", "ac", false},
    {"(ab|cd)+", "abcdab", true},
    {"(ab|cd)+", "abc", false},
    {"(a|b)*c", "ababbac", true},
    {"[a-f0-9]+", "deadbeef01", true},
    {"[^,]*,[^,]*", "left,right", true},
    {"\\d\\d\\d\\d-\\d\\d-\\d\\d", "2024-02-29", true},
    {"\\d\\d\\d\\d-\\d\\d-\\d\\d", "2024-2-29", false},
    {"(\\w+)(:\\w+)*", "assets:bank:main", true},
    {"(\\w+)(:\\w+)*", "assets::main", false},
    {"(x(y(z)?)?)?", "xy", true},
    {"a\\.b", "a.b", true},
    {"a\\.b", "axb", false},
    {"(a+)+$", "aaaaaaaaaaaaab", false},
    {"\\s*(foo|bar)\\S+", "  bar!", true},
};

void selftest_pattern(Checker *c, Arena *arena) {
    (void)arena;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool got = pat_match(cases[i].pattern, str_of(cases[i].text));
        check_i64(c, cases[i].text, got, cases[i].matches);
    }
    expect_search(c, "\\d+\\.\\d\\d", "total: 1234.50 EUR", "1234.50");
    expect_search(c, "^\\w+", "alpha beta", "alpha");
    expect_search(c, "\\w+$", "alpha beta", "beta");
    expect_search(c, "q+", "alpha", "(none)");
    check_i64(c, "count", pat_count("[aeiou]", str_of("double entry bookkeeping")), 9);
    Sb sb;
    sb_init(&sb);
    pat_replace(&sb, "\\s+", str_of("  many   blank\truns "), str_of("_"));
    check_str(c, "replace", sb_view(&sb), "_many_blank_runs_");
    sb_free(&sb);
}
