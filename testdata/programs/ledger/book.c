/* The double-entry book: accounts form a tree by name ("assets:bank:main"). */
#include "book.h"

#include "algos.h"

#include <string.h>

NI void book_init(Book *b, Arena *arena) {
    memset(b, 0, sizeof *b);
    b->arena = arena;
    map_init(&b->accounts, arena);
}

static NI void book_fail(Book *b, const char *why) {
    if (!b->error) b->error = why;
}

static NI Str parent_name(Str name) {
    while (name.len && name.ptr[name.len - 1] != ':') name.len--;
    if (name.len) name.len--;
    return name;
}

NI Account *book_account(Book *b, Str name) {
    Value v;
    if (map_get(&b->accounts, name, &v)) return v.p;
    Account *a = arena_zalloc(b->arena, 1, sizeof *a);
    a->name = (Str){arena_strndup(b->arena, name.ptr, name.len), name.len};
    Str up = parent_name(name);
    if (up.len) {
        a->parent = book_account(b, up);
        a->level = a->parent->level + 1;
    }
    v.p = a;
    map_put(&b->accounts, a->name, v);
    return a;
}

NI Posting *book_post(Book *b, Date date, Str note) {
    Posting *p = arena_zalloc(b->arena, 1, sizeof *p);
    p->date = date;
    p->note = (Str){arena_strndup(b->arena, note.ptr, note.len), note.len};
    p->number = ++b->n_postings;
    if (b->last)
        b->last->next = p;
    else
        b->first = p;
    b->last = p;
    return p;
}

NI void book_entry(Book *b, Posting *p, Str account, Money amount) {
    Entry *e = arena_zalloc(b->arena, 1, sizeof *e);
    e->account = book_account(b, account);
    e->amount = amount;
    e->next = p->entries;
    p->entries = e;
    p->n_entries++;
}

static NI Money entries_sum(const Posting *p) {
    Money sum = {0, p->entries ? p->entries->amount.currency : 0};
    for (const Entry *e = p->entries; e; e = e->next) sum = money_add(sum, e->amount);
    return sum;
}

static NI void apply_entry(const Entry *e) {
    Account *a = e->account;
    a->own = money_add(a->own, e->amount);
    a->entries++;
    for (; a; a = a->parent) a->balance = money_add(a->balance, e->amount);
}

static NI uint64_t chain_posting(uint64_t chain, const Posting *p) {
    chain = str_hash64(p->note, chain ^ (uint64_t)date_to_days(p->date));
    for (const Entry *e = p->entries; e; e = e->next)
        chain = str_hash64(e->account->name, chain + (uint64_t)e->amount.units);
    return chain;
}

/* Checks that the posting balances, then applies it. */
NI bool book_close(Book *b, Posting *p) {
    if (p->n_entries < 2) {
        book_fail(b, "a posting needs two entries");
        return false;
    }
    if (!money_is_zero(entries_sum(p))) {
        book_fail(b, "a posting does not balance");
        return false;
    }
    for (const Entry *e = p->entries; e; e = e->next) apply_entry(e);
    b->chain = chain_posting(b->chain, p);
    p->closed = true;
    return true;
}

static NI bool load_header(Book *b, Str line) {
    Str day;
    Date d;
    if (!str_next_token(&line, ' ', &day) || !date_parse(day, &d)) {
        book_fail(b, "bad date");
        return false;
    }
    book_post(b, d, str_trim(line.ptr ? line : str_of("")));
    return true;
}

static NI bool load_entry(Book *b, Str line) {
    Str account;
    Money m;
    line = str_trim(line);
    if (!b->last || !str_next_token(&line, ' ', &account) || !line.ptr) {
        book_fail(b, "entry out of place");
        return false;
    }
    if (!pat_match("\\w+(:\\w+)*", account)) {
        book_fail(b, "bad account name");
        return false;
    }
    if (!money_parse(line, &m)) {
        book_fail(b, "bad amount");
        return false;
    }
    book_entry(b, b->last, account, m);
    return true;
}

NI bool book_load_line(Book *b, Str line) {
    if (str_starts(line, str_of("#"))) return true;
    if (!str_trim(line).len) return !b->last || b->last->closed || book_close(b, b->last);
    return str_starts(line, str_of(" ")) ? load_entry(b, line) : load_header(b, line);
}

/* Returns how many postings were read; b->error says why it stopped. */
NI uint32_t book_load(Book *b, Str text) {
    Str line;
    uint32_t before = b->n_postings;
    while (!b->error && str_next_token(&text, '\n', &line))
        if (!book_load_line(b, line)) break;
    return b->n_postings - before;
}

NI Money book_balance(Book *b, const char *account) {
    return book_account(b, str_of(account))->balance;
}

static NI bool is_under(const Account *a, const Account *top) {
    while (a && a != top) a = a->parent;
    return a != NULL;
}

NI Money book_between(Book *b, const char *account, Date from, Date to) {
    const Account *top = book_account(b, str_of(account));
    Money sum = {0, 0};
    for (const Posting *p = b->first; p; p = p->next) {
        if (date_cmp(p->date, from) < 0 || date_cmp(p->date, to) >= 0) continue;
        for (const Entry *e = p->entries; e; e = e->next)
            if (is_under(e->account, top)) sum = money_add(sum, e->amount);
    }
    return sum;
}

static NI bool add_own(void *ctx, Str name, Value v) {
    (void)name;
    Money *sum = ctx;
    *sum = money_add(*sum, ((const Account *)v.p)->own);
    return true;
}

/* All accounts together are zero, and the chain can be recomputed. */
NI bool book_verify(const Book *b) {
    Money sum = {0, 0};
    map_each(&b->accounts, add_own, &sum);
    uint64_t chain = 0;
    for (const Posting *p = b->first; p; p = p->next) chain = chain_posting(chain, p);
    return money_is_zero(sum) && chain == b->chain;
}
