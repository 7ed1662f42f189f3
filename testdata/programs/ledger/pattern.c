/* Small backtracking pattern matcher: . * + ? | ( ) [a-z] [^..] ^ $ \d \w \s.
 * Patterns are matched directly; a continuation carries what follows a group. */
#include "algos.h"

#include <string.h>

typedef struct Cont {
    const char *pat, *pat_end;
    const struct Cont *next;
} Cont;

typedef struct {
    const char *begin, *end;
    const char *stop; /* where the match ended */
    uint32_t budget;
} Match;

static bool match_alt(Match *m, const char *p, const char *pe, const char *t, const Cont *k);

static NI bool class_digit(int c) {
    return c >= '0' && c <= '9';
}

static NI bool class_word(int c) {
    return class_digit(c) || c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static NI bool class_space(int c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static NI bool escape_matches(char e, int c) {
    switch (e) {
    case 'd': return class_digit(c);
    case 'D': return !class_digit(c);
    case 'w': return class_word(c);
    case 'W': return !class_word(c);
    case 's': return class_space(c);
    case 'S': return !class_space(c);
    default: return e == c;
    }
}

static NI const char *set_end(const char *p, const char *pe) {
    const char *q = p + 1;
    if (q < pe && *q == '^') q++;
    if (q < pe && *q == ']') q++;
    while (q < pe && *q != ']') q += *q == '\\' ? 2 : 1;
    return q + 1;
}

static NI const char *group_end(const char *p, const char *pe) {
    int depth = 0;
    for (; p < pe; p++) {
        if (*p == '\\') p++;
        else if (*p == '[') p = set_end(p, pe) - 1;
        else if (*p == '(') depth++;
        else if (*p == ')' && --depth == 0) return p + 1;
    }
    return pe;
}

static NI const char *atom_end(const char *p, const char *pe) {
    if (*p == '(') return group_end(p, pe);
    if (*p == '[') return set_end(p, pe);
    if (*p == '\\' && p + 1 < pe) return p + 2;
    return p + 1;
}

static NI bool set_matches(const char *p, const char *pe, int c) {
    bool negate = *p == '^', hit = false;
    if (negate) p++;
    while (p < pe) {
        if (*p == '\\') {
            hit |= escape_matches(p[1], c);
            p += 2;
        } else if (p + 2 < pe && p[1] == '-') {
            hit |= c >= p[0] && c <= p[2];
            p += 3;
        } else {
            hit |= *p++ == c;
        }
    }
    return hit != negate;
}

static NI bool atom_matches(const char *p, const char *pe, int c) {
    if (*p == '.') return c != '\n';
    if (*p == '[') return set_matches(p + 1, pe - 1, c);
    if (*p == '\\') return escape_matches(p[1], c);
    return *p == c;
}

static NI bool cont_run(Match *m, const char *t, const Cont *k) {
    if (!k) {
        m->stop = t;
        return true;
    }
    return match_alt(m, k->pat, k->pat_end, t, k->next);
}

static NI bool match_seq(Match *m, const char *p, const char *pe, const char *t, const Cont *k);

/* Greedy repetition of an atom that is a single character. */
static NI bool match_repeat(Match *m, const char *p, const char *ae, char how, const char *pe, const char *t,
                            const Cont *k) {
    const char *from = t;
    size_t most = how == '?' ? 1 : (size_t)(m->end - t), least = how == '+';
    while (most-- && t < m->end && atom_matches(p, ae, (uint8_t)*t)) t++;
    for (;; t--) {
        if ((size_t)(t - from) < least) return false;
        if (match_seq(m, ae + 1, pe, t, k)) return true;
        if (t == from) return false;
    }
}

/* Greedy repetition of a group: each round must consume something. */
static NI bool match_group_repeat(Match *m, const char *p, const char *ae, char how, const char *pe,
                                  const char *t, const Cont *k) {
    Cont after = {ae + 1, pe, k};
    Cont again = {p, ae + 1, &after};
    Cont once = {NULL, NULL, NULL};
    if (how == '+') {
        /* a+ is a(a+)? */
        if (match_alt(m, p + 1, ae - 1, t, &again)) return true;
        return match_alt(m, p + 1, ae - 1, t, &after);
    }
    once = how == '*' ? again : after;
    if (t < m->end && match_alt(m, p + 1, ae - 1, t, &once)) return true;
    return match_seq(m, ae + 1, pe, t, k);
}

static NI bool match_seq(Match *m, const char *p, const char *pe, const char *t, const Cont *k) {
    if (m->budget == 0) return false;
    m->budget--;
    if (p >= pe) return cont_run(m, t, k);
    if (*p == '^') return t == m->begin && match_seq(m, p + 1, pe, t, k);
    if (*p == '$') return t == m->end && match_seq(m, p + 1, pe, t, k);
    const char *ae = atom_end(p, pe);
    char how = ae < pe && strchr("*+?", *ae) ? *ae : '\0';
    if (*p == '(') {
        if (how) return match_group_repeat(m, p, ae, how, pe, t, k);
        Cont rest = {ae, pe, k};
        return match_alt(m, p + 1, ae - 1, t, &rest);
    }
    if (how) return match_repeat(m, p, ae, how, pe, t, k);
    if (t >= m->end || !atom_matches(p, ae, (uint8_t)*t)) return false;
    return match_seq(m, ae, pe, t + 1, k);
}

static NI bool match_alt(Match *m, const char *p, const char *pe, const char *t, const Cont *k) {
    for (const char *q = p;;) {
        const char *from = q;
        while (q < pe && *q != '|') q = atom_end(q, pe);
        if (match_seq(m, from, q, t, k)) return true;
        if (q >= pe) return false;
        q++;
    }
}

NI bool pat_search(const char *pattern, Str text, Str *where) {
    const char *pe = pattern + strlen(pattern);
    Match m = {text.ptr, text.ptr + text.len, NULL, 200000};
    for (const char *t = m.begin; t <= m.end; t++) {
        if (!match_alt(&m, pattern, pe, t, NULL)) continue;
        *where = (Str){t, (size_t)(m.stop - t)};
        return true;
    }
    return false;
}

NI bool pat_match(const char *pattern, Str text) {
    static const Cont at_end = {"$", (const char *)0, NULL};
    Cont k = at_end;
    k.pat_end = k.pat + 1;
    Match m = {text.ptr, text.ptr + text.len, NULL, 200000};
    return match_alt(&m, pattern, pattern + strlen(pattern), text.ptr, &k);
}
