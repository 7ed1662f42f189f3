/* JSON constructors, accessors, writer and self-check. */
#include "algos.h"

#include <math.h>
#include <string.h>

NI JNode *json_new_i64(Arena *a, int64_t v) {
    JNode *n = json_new(a, J_INT);
    n->u.i = v;
    return n;
}

NI JNode *json_new_f64(Arena *a, double v) {
    JNode *n = json_new(a, J_REAL);
    n->u.r = v;
    return n;
}

NI JNode *json_new_str(Arena *a, Str s) {
    JNode *n = json_new(a, J_STR);
    n->u.s = s;
    return n;
}

NI JNode *json_new_bool(Arena *a, bool b) {
    JNode *n = json_new(a, J_BOOL);
    n->u.b = b;
    return n;
}

NI void json_set(JNode *obj, Str name, JNode *item) {
    item->name = name;
    json_push(obj, item);
}

static NI const JNode *find_member(const JNode *obj, Str name) {
    if (!obj || obj->kind != J_OBJ) return NULL;
    for (const JNode *n = obj->child; n; n = n->next)
        if (str_eq(n->name, name)) return n;
    return NULL;
}

NI const JNode *json_get(const JNode *obj, const char *name) {
    return find_member(obj, str_of(name));
}

NI const JNode *json_at(const JNode *arr, uint32_t index) {
    const JNode *n = arr ? arr->child : NULL;
    while (n && index--) n = n->next;
    return n;
}

/* "a.b.2.c": members by name, array items by number. */
NI const JNode *json_path(const JNode *n, const char *path) {
    Str rest = str_of(path), part;
    while (n && str_next_token(&rest, '.', &part)) {
        int64_t i;
        if (n->kind == J_ARR && str_parse_i64(part, &i) && i >= 0)
            n = json_at(n, (uint32_t)i);
        else
            n = find_member(n, part);
    }
    return n;
}

NI int64_t json_i64(const JNode *n, int64_t fallback) {
    if (n && n->kind == J_INT) return n->u.i;
    if (n && n->kind == J_REAL) return llround(n->u.r);
    return fallback;
}

NI double json_f64(const JNode *n, double fallback) {
    if (n && n->kind == J_REAL) return n->u.r;
    if (n && n->kind == J_INT) return (double)n->u.i;
    return fallback;
}

NI Str json_str(const JNode *n, const char *fallback) {
    return n && n->kind == J_STR ? n->u.s : str_of(fallback);
}

static NI bool children_equal(const JNode *a, const JNode *b) {
    if (a->count != b->count) return false;
    const JNode *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (!str_eq(x->name, y->name) || !json_equal(x, y)) return false;
    return !x && !y;
}

NI bool json_equal(const JNode *a, const JNode *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case J_NULL: return true;
    case J_BOOL: return a->u.b == b->u.b;
    case J_INT: return a->u.i == b->u.i;
    case J_REAL: return a->u.r == b->u.r;
    case J_STR: return str_eq(a->u.s, b->u.s);
    default: return children_equal(a, b);
    }
}

/* ---- writer: one function per kind, called through a table ---- */
typedef struct {
    Sb *out;
    int indent, level;
} Writer;

static void write_node(Writer *w, const JNode *n);

static NI void write_quoted(Writer *w, Str s) {
    sb_putc(w->out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t ch = (uint8_t)s.ptr[i];
        const char *short_from = "\n\t\r\"\\", *short_to = "ntr\"\\", *hit;
        if (ch && (hit = strchr(short_from, ch))) {
            sb_putc(w->out, '\\');
            sb_putc(w->out, short_to[hit - short_from]);
        } else if (ch < 32) {
            sb_puts(w->out, "\\u");
            sb_hex(w->out, ch, 4);
        } else {
            sb_putc(w->out, (char)ch);
        }
    }
    sb_putc(w->out, '"');
}

static NI void write_break(Writer *w) {
    if (!w->indent) return;
    sb_putc(w->out, '\n');
    sb_repeat(w->out, ' ', (size_t)(w->indent * w->level));
}

static NI void write_children(Writer *w, const JNode *n, char open, char close) {
    sb_putc(w->out, open);
    w->level++;
    for (const JNode *k = n->child; k; k = k->next) {
        if (k != n->child) sb_putc(w->out, ',');
        write_break(w);
        if (open == '{') {
            write_quoted(w, k->name);
            sb_puts(w->out, w->indent ? ": " : ":");
        }
        write_node(w, k);
    }
    w->level--;
    if (n->child) write_break(w);
    sb_putc(w->out, close);
}

static void write_null(Writer *w, const JNode *n) { (void)n; sb_puts(w->out, "null"); }
static void write_bool(Writer *w, const JNode *n) { sb_puts(w->out, n->u.b ? "true" : "false"); }
static void write_int(Writer *w, const JNode *n) { sb_i64(w->out, n->u.i); }
static void write_real(Writer *w, const JNode *n) { sb_f64(w->out, n->u.r, 6); }
static void write_string(Writer *w, const JNode *n) { write_quoted(w, n->u.s); }
static void write_array(Writer *w, const JNode *n) { write_children(w, n, '[', ']'); }
static void write_object(Writer *w, const JNode *n) { write_children(w, n, '{', '}'); }

static void (*const writers[])(Writer *, const JNode *) = {
    write_null, write_bool, write_int, write_real, write_string, write_array, write_object,
};

static NI void write_node(Writer *w, const JNode *n) {
    writers[n->kind](w, n);
}

NI void json_write(Sb *out, const JNode *n) {
    Writer w = {out, 0, 0};
    write_node(&w, n);
}

NI void json_write_pretty(Sb *out, const JNode *n, int indent) {
    Writer w = {out, indent, 0};
    write_node(&w, n);
}

static NI void expect_error(Checker *c, Arena *a, const char *text, const char *why) {
    JError err;
    json_parse(a, str_of(text), &err);
    check_str(c, text, str_of(err.message ? err.message : "no error"), why);
}

void selftest_json(Checker *c, Arena *arena) {
    static const char text[] =
        "{\"name\":\"till \\u00e9\\u20ac\\n\",\"n\":[1,-2,3.5,true,null],\"deep\":{\"k\":[{\"v\":9000000000}]}}";
    JError err;
    JNode *doc = json_parse(arena, str_of(text), &err);
    check_true(c, "parses", doc && !err.message);
    if (!doc) return;
    check_i64(c, "path", json_i64(json_path(doc, "deep.k.0.v"), 0), 9000000000ll);
    check_f64(c, "real", json_f64(json_path(doc, "n.2"), 0), 3.5, 0);
    check_i64(c, "rounded", json_i64(json_path(doc, "n.2"), 0), 4);
    check_i64(c, "missing", json_i64(json_path(doc, "n.9"), -5), -5);
    check_str(c, "utf8", json_str(json_get(doc, "name"), "?"), "till \xc3\xa9\xe2\x82\xac\n");
    json_set(doc, str_of("ok"), json_new_bool(arena, true));
    Sb flat, pretty;
    sb_init(&flat);
    sb_init(&pretty);
    json_write(&flat, doc);
    json_write_pretty(&pretty, doc, 2);
    JNode *again = json_parse(arena, sb_view(&pretty), &err);
    check_true(c, "round trip", again && json_equal(doc, again));
    check_i64(c, "flat size", (int64_t)flat.len, 95);
    expect_error(c, arena, "[1,2", "expected ]");
    expect_error(c, arena, "{\"a\" 1}", "expected :");
    expect_error(c, arena, "[nul]", "unknown word");
    expect_error(c, arena, "1 2", "text after the value");
    expect_error(c, arena, "\"\\q\"", "bad string");
    sb_free(&flat);
    sb_free(&pretty);
}
