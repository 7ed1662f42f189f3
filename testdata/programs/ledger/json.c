/* JSON reader: recursive descent with a table of starters by first byte. */
#include "algos.h"

#include <string.h>

typedef struct {
    Arena *arena;
    Str text;
    uint32_t at;
    int depth;
    const char *error;
} Reader;

static JNode *read_value(Reader *r);

NI JNode *json_new(Arena *a, JKind kind) {
    JNode *n = arena_zalloc(a, 1, sizeof *n);
    n->kind = kind;
    return n;
}

NI void json_push(JNode *parent, JNode *item) {
    if (parent->last)
        parent->last->next = item;
    else
        parent->child = item;
    parent->last = item;
    parent->count++;
}

static NI int peek(const Reader *r) {
    return r->at < r->text.len ? (uint8_t)r->text.ptr[r->at] : -1;
}

static NI void skip_blank(Reader *r) {
    for (int c = peek(r); c == ' ' || c == '\n' || c == '\t' || c == '\r'; c = peek(r)) r->at++;
}

static NI JNode *fail(Reader *r, const char *why) {
    if (!r->error) r->error = why;
    return NULL;
}

static NI bool accept(Reader *r, char c) {
    skip_blank(r);
    if (peek(r) != c) return false;
    r->at++;
    return true;
}

static NI int hex_digit(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static NI void put_utf8(Sb *sb, uint32_t cp) {
    if (cp < 0x80) {
        sb_putc(sb, (char)cp);
    } else if (cp < 0x800) {
        sb_putc(sb, (char)(0xc0 | cp >> 6));
        sb_putc(sb, (char)(0x80 | (cp & 63)));
    } else {
        sb_putc(sb, (char)(0xe0 | cp >> 12));
        sb_putc(sb, (char)(0x80 | (cp >> 6 & 63)));
        sb_putc(sb, (char)(0x80 | (cp & 63)));
    }
}

static NI bool read_escape(Reader *r, Sb *sb) {
    int c = peek(r);
    r->at++;
    switch (c) {
    case 'n': sb_putc(sb, '\n'); return true;
    case 't': sb_putc(sb, '\t'); return true;
    case 'r': sb_putc(sb, '\r'); return true;
    case 'b': sb_putc(sb, '\b'); return true;
    case 'f': sb_putc(sb, '\f'); return true;
    case '"':
    case '\\':
    case '/': sb_putc(sb, (char)c); return true;
    case 'u': break;
    default: return false;
    }
    uint32_t cp = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int d = hex_digit(peek(r));
        if (d < 0) return false;
        cp = cp * 16 + (uint32_t)d;
    }
    put_utf8(sb, cp);
    return true;
}

static NI bool read_chars(Reader *r, Str *out) {
    Sb sb;
    sb_init(&sb);
    bool ok = false;
    r->at++;
    for (int c; (c = peek(r)) >= 32;) {
        r->at++;
        if (c == '"') {
            ok = true;
            break;
        }
        if (c != '\\')
            sb_putc(&sb, (char)c);
        else if (!read_escape(r, &sb))
            break;
    }
    if (ok) {
        Str v = str_of(sb_cstr(&sb));
        v.len = sb.len;
        *out = (Str){arena_strndup(r->arena, v.ptr, v.len), v.len};
    }
    sb_free(&sb);
    return ok;
}

static JNode *read_string(Reader *r) {
    Str s;
    if (!read_chars(r, &s)) return fail(r, "bad string");
    return json_new_str(r->arena, s);
}

static JNode *read_number(Reader *r) {
    uint32_t from = r->at;
    bool real = false;
    for (int c = peek(r); c > 0 && strchr("+-0123456789.eE", c); c = peek(r)) {
        if (c == '.' || c == 'e' || c == 'E') real = true;
        r->at++;
    }
    Str s = str_slice(r->text, from, r->at);
    int64_t i;
    double f;
    if (!real && str_parse_i64(s, &i)) return json_new_i64(r->arena, i);
    if (str_parse_f64(s, &f)) return json_new_f64(r->arena, f);
    return fail(r, "bad number");
}

static JNode *read_word(Reader *r) {
    static const char *const words[] = {"null", "false", "true"};
    for (int i = 0; i < 3; i++) {
        if (!str_starts(str_slice(r->text, r->at, r->text.len), str_of(words[i]))) continue;
        r->at += (uint32_t)strlen(words[i]);
        return i ? json_new_bool(r->arena, i == 2) : json_new(r->arena, J_NULL);
    }
    return fail(r, "unknown word");
}

static JNode *read_array(Reader *r) {
    JNode *arr = json_new(r->arena, J_ARR);
    r->at++;
    if (accept(r, ']')) return arr;
    do {
        JNode *item = read_value(r);
        if (!item) return NULL;
        json_push(arr, item);
    } while (accept(r, ','));
    return accept(r, ']') ? arr : fail(r, "expected ]");
}

static JNode *read_object(Reader *r) {
    JNode *obj = json_new(r->arena, J_OBJ);
    r->at++;
    if (accept(r, '}')) return obj;
    do {
        Str name;
        skip_blank(r);
        if (peek(r) != '"' || !read_chars(r, &name)) return fail(r, "expected a name");
        if (!accept(r, ':')) return fail(r, "expected :");
        JNode *item = read_value(r);
        if (!item) return NULL;
        item->name = name;
        json_push(obj, item);
    } while (accept(r, ','));
    return accept(r, '}') ? obj : fail(r, "expected }");
}

typedef JNode *(*ReadFn)(Reader *);
static const struct {
    const char *starts;
    ReadFn read;
} starters[] = {
    {"\"", read_string}, {"{", read_object},  {"[", read_array},
    {"nft", read_word},  {"-0123456789", read_number},
};

static NI JNode *read_value(Reader *r) {
    skip_blank(r);
    int c = peek(r);
    if (r->depth >= 64) return fail(r, "too deep");
    for (size_t i = 0; c > 0 && i < COUNT_OF(starters); i++) {
        if (!strchr(starters[i].starts, c)) continue;
        r->depth++;
        JNode *n = starters[i].read(r);
        r->depth--;
        return n;
    }
    return fail(r, "expected a value");
}

NI JNode *json_parse(Arena *a, Str text, JError *err) {
    Reader r = {a, text, 0, 0, NULL};
    JNode *n = read_value(&r);
    skip_blank(&r);
    if (n && r.at != text.len) n = fail(&r, "text after the value");
    *err = (JError){r.error, r.at};
    return n;
}
