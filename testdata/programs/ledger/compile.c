/* Compiler: precedence climbing straight to bytecode.
 *   stmt := "while" "(" expr ")" stmt | "{" stmt* "}" | expr ";"
 *   expr := name "=" expr | expr "?" expr ":" expr | binary | unary | call  */
#include "vm.h"

#include <string.h>

typedef struct {
    Program *prog;
    Str src;
    uint32_t at;
    int depth;
} Compiler;

static void compile_expr(Compiler *c, int min_prec);

static NI void compile_fail(Compiler *c, const char *why) {
    if (c->prog->error) return;
    c->prog->error = why;
    c->prog->error_at = c->at;
}

static NI uint32_t emit(Compiler *c, Op op, uint32_t arg) {
    Program *p = c->prog;
    if (p->n_code >= MAX_CODE) {
        compile_fail(c, "program too long");
        return 0;
    }
    p->code[p->n_code] = (Insn){(uint16_t)op, (uint16_t)arg};
    return p->n_code++;
}

static NI void patch(Compiler *c, uint32_t at) {
    c->prog->code[at].arg = (uint16_t)c->prog->n_code;
}

static NI uint32_t add_const(Compiler *c, Cell v) {
    Program *p = c->prog;
    for (uint32_t i = 0; i < p->n_consts; i++)
        if (p->consts[i].tag == v.tag && p->consts[i].u.i == v.u.i) return i;
    if (p->n_consts >= MAX_CONSTS) {
        compile_fail(c, "too many constants");
        return 0;
    }
    p->consts[p->n_consts] = v;
    return p->n_consts++;
}

NI int program_var(Program *p, Str name) {
    for (uint32_t i = 0; i < p->n_vars; i++)
        if (str_eq(p->vars[i], name)) return (int)i;
    if (p->n_vars >= MAX_VARS) return -1;
    p->vars[p->n_vars] = name;
    return (int)p->n_vars++;
}

static NI char look(Compiler *c) {
    while (c->at < c->src.len && strchr(" \t\n", c->src.ptr[c->at])) c->at++;
    return c->at < c->src.len ? c->src.ptr[c->at] : '\0';
}

static NI bool eat(Compiler *c, char ch) {
    if (look(c) != ch) return false;
    c->at++;
    return true;
}

static NI void need(Compiler *c, char ch, const char *why) {
    if (!eat(c, ch)) compile_fail(c, why);
}

static NI bool is_name(char ch, bool first) {
    if ((ch | 32) >= 'a' && (ch | 32) <= 'z') return true;
    return ch == '_' || (!first && ch >= '0' && ch <= '9');
}

static NI Str take_name(Compiler *c) {
    uint32_t from = c->at;
    while (c->at < c->src.len && is_name(c->src.ptr[c->at], c->at == from)) c->at++;
    return str_slice(c->src, from, c->at);
}

static NI void compile_number(Compiler *c) {
    uint32_t from = c->at;
    while (c->at < c->src.len && strchr("0123456789.", c->src.ptr[c->at])) c->at++;
    Str s = str_slice(c->src, from, c->at);
    int64_t i;
    double f;
    if (str_parse_i64(s, &i))
        emit(c, OP_CONST, add_const(c, cell_int(i)));
    else if (str_parse_f64(s, &f))
        emit(c, OP_CONST, add_const(c, cell_real(f)));
    else
        compile_fail(c, "bad number");
}

static NI void compile_call(Compiler *c, Str name) {
    int f = builtin_find(name);
    uint32_t args = 0;
    if (f < 0) compile_fail(c, "unknown function");
    if (look(c) != ')') do {
            compile_expr(c, 0);
            args++;
        } while (eat(c, ','));
    need(c, ')', "expected )");
    if (f >= 0 && args != builtin_arity(f)) compile_fail(c, "wrong number of arguments");
    emit(c, OP_CALL, (uint32_t)f);
}

static NI void compile_name(Compiler *c) {
    Str name = take_name(c);
    if (eat(c, '(')) {
        compile_call(c, name);
        return;
    }
    int v = program_var(c->prog, name);
    if (v < 0) compile_fail(c, "too many variables");
    bool assign = look(c) == '=' && !(c->at + 1 < c->src.len && c->src.ptr[c->at + 1] == '=');
    if (assign) {
        c->at++;
        compile_expr(c, 0);
    }
    emit(c, assign ? OP_STORE : OP_LOAD, (uint32_t)v);
}

static NI void compile_unary(Compiler *c) {
    char ch = look(c);
    if (ch == '-' || ch == '!') {
        c->at++;
        compile_unary(c);
        emit(c, ch == '-' ? OP_NEG : OP_NOT, 0);
    } else if (ch == '(') {
        c->at++;
        compile_expr(c, 0);
        need(c, ')', "expected )");
    } else if (is_name(ch, true)) {
        compile_name(c);
    } else if (ch >= '0' && ch <= '9') {
        compile_number(c);
    } else {
        compile_fail(c, "expected an operand");
    }
}

typedef struct {
    char text[4];
    uint8_t prec, op;
} Binary;

static const Binary binaries[] = {
#if LEDGER_RELEASE >= 2
    {"//", 9, OP_IDIV},
#endif
    {"==", 5, OP_EQ}, {"!=", 5, OP_NE}, {"<<", 7, OP_SHL}, {">>", 7, OP_SHR}, {"<=", 6, OP_LE},
    {">=", 6, OP_GE}, {"<", 6, OP_LT},  {">", 6, OP_GT},   {"|", 2, OP_BOR},  {"^", 3, OP_BXOR},
    {"&", 4, OP_BAND}, {"+", 8, OP_ADD}, {"-", 8, OP_SUB}, {"*", 9, OP_MUL},  {"/", 9, OP_DIV},
    {"%", 9, OP_MOD},
};

static NI const Binary *look_binary(Compiler *c) {
    look(c);
    Str rest = str_slice(c->src, c->at, c->src.len);
    for (size_t i = 0; i < COUNT_OF(binaries); i++)
        if (str_starts(rest, str_of(binaries[i].text))) return &binaries[i];
    return NULL;
}

static NI void compile_choice(Compiler *c) {
    uint32_t to_else = emit(c, OP_JUMP_ZERO, 0);
    compile_expr(c, 0);
    need(c, ':', "expected :");
    uint32_t to_end = emit(c, OP_JUMP, 0);
    patch(c, to_else);
    compile_expr(c, 0);
    patch(c, to_end);
}

static NI void compile_expr(Compiler *c, int min_prec) {
    if (++c->depth > 40) compile_fail(c, "too deep");
    if (!c->prog->error) compile_unary(c);
    for (const Binary *b; !c->prog->error && (b = look_binary(c)) && b->prec > min_prec;) {
        c->at += (uint32_t)strlen(b->text);
        compile_expr(c, b->prec);
        emit(c, (Op)b->op, 0);
    }
    if (!c->prog->error && min_prec == 0 && eat(c, '?')) compile_choice(c);
    c->depth--;
}

static NI void compile_stmt(Compiler *c) {
    Str rest = str_slice(c->src, c->at, c->src.len);
    if (eat(c, '{')) {
        while (!c->prog->error && !eat(c, '}')) {
            look(c);
            compile_stmt(c);
        }
    } else if (str_starts(rest, str_of("while"))) {
        c->at += 5;
        uint32_t top = c->prog->n_code;
        need(c, '(', "expected (");
        compile_expr(c, 0);
        need(c, ')', "expected )");
        uint32_t out = emit(c, OP_JUMP_ZERO, 0);
        look(c);
        compile_stmt(c);
        emit(c, OP_JUMP, top);
        patch(c, out);
    } else {
        compile_expr(c, 0);
        emit(c, OP_POP, 0);
        if (look(c)) need(c, ';', "expected ;");
    }
}

NI bool program_compile(Program *p, Str source) {
    memset(p, 0, sizeof *p);
    Compiler c = {p, source, 0, 0};
    while (!p->error && look(&c)) compile_stmt(&c);
    emit(&c, OP_HALT, 0);
    return !p->error;
}
