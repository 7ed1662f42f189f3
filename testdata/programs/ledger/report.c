/* The book's report, its JSON export and its self-check. */
#include "algos.h"
#include "book.h"
#include "vm.h"

#include <stdlib.h>
#include <string.h>

static const Column columns[] = {
    {"Account", ALIGN_LEFT, 24},
    {"Entries", ALIGN_RIGHT, 7},
    {"Balance", ALIGN_RIGHT, 16},
#if LEDGER_RELEASE >= 2
    {"Share of turnover", ALIGN_LEFT, 20},
#endif
};
#define N_COLUMNS COUNT_OF(columns)

static NI Str leaf_name(Str name) {
    for (size_t i = name.len; i-- > 0;)
        if (name.ptr[i] == ':') return str_slice(name, i + 1, name.len);
    return name;
}

static NI void account_cell(Sb *cell, const Account *a) {
    sb_repeat(cell, ' ', a->level * 2);
    if (a->level == 0)
        text_upper(cell, a->name);
    else
        text_title(cell, leaf_name(a->name));
}

static NI void account_row(Sb *out, const Account *a, double turnover) {
    Sb cell[4];
    Str view[4];
    for (int i = 0; i < 4; i++) sb_init(&cell[i]);
    account_cell(&cell[0], a);
    sb_u64(&cell[1], a->entries);
    money_format(&cell[2], a->balance);
    text_bar(&cell[3], (float)(labs((long)(a->balance.units / 100)) * 100.0 / MONEY_SCALE / turnover), 20);
    for (int i = 0; i < 4; i++) view[i] = sb_view(&cell[i]);
    text_row(out, columns, view, N_COLUMNS);
    for (int i = 0; i < 4; i++) sb_free(&cell[i]);
}

static NI double turnover_of(const Book *b) {
    double sum = 0;
    for (const Posting *p = b->first; p; p = p->next)
        for (const Entry *e = p->entries; e; e = e->next)
            if (e->amount.units > 0) sum += money_to_f64(e->amount);
    return sum;
}

NI void book_report(Book *b, Sb *out) {
    Str *names = map_sorted_keys(&b->accounts, b->arena);
    double turnover = turnover_of(b);
    text_header(out, columns, N_COLUMNS);
    text_rule(out, columns, N_COLUMNS);
    for (uint32_t i = 0; i < map_len(&b->accounts); i++) account_row(out, book_account(b, names[i]), turnover);
    text_rule(out, columns, N_COLUMNS);
#if LEDGER_RELEASE >= 2
    sb_puts(out, "Shares are of the sum of all debits; memory is ");
    sb_puts(out, arena_pressure(b->arena));
    sb_putc(out, '\n');
#endif
}

static NI JNode *export_posting(Arena *a, const Posting *p) {
    JNode *o = json_new(a, J_OBJ), *list = json_new(a, J_ARR);
    Sb sb;
    sb_init(&sb);
    date_format(&sb, "%Y-%m-%d", p->date);
    json_set(o, str_of("date"), json_new_str(a, str_of(arena_strndup(a, sb.buf, sb.len))));
    json_set(o, str_of("note"), json_new_str(a, p->note));
    for (const Entry *e = p->entries; e; e = e->next) {
        JNode *item = json_new(a, J_OBJ);
        json_set(item, str_of("account"), json_new_str(a, e->account->name));
        json_set(item, str_of("units"), json_new_i64(a, e->amount.units));
        json_push(list, item);
    }
    json_set(o, str_of("entries"), list);
    sb_free(&sb);
    return o;
}

NI void book_export(Book *b, Sb *out) {
    JNode *root = json_new(b->arena, J_OBJ), *list = json_new(b->arena, J_ARR);
    for (const Posting *p = b->first; p; p = p->next) json_push(list, export_posting(b->arena, p));
    json_set(root, str_of("release"), json_new_i64(b->arena, LEDGER_RELEASE));
    json_set(root, str_of("postings"), list);
    json_write_pretty(out, root, 1);
}

static NI int64_t import_sum(const JNode *root) {
    int64_t sum = 0;
    const JNode *list = json_get(root, "postings");
    for (uint32_t i = 0; list && i < list->count; i++) {
        const JNode *entries = json_path(json_at(list, i), "entries");
        for (uint32_t k = 0; entries && k < entries->count; k++) {
            int64_t u = json_i64(json_get(json_at(entries, k), "units"), 0);
            sum += u > 0 ? u : 0;
        }
    }
    return sum;
}

static NI double book_formula(Book *b, const char *source) {
    static const char *const names[] = {"assets", "liabilities", "income", "expenses", "equity"};
    Program *p = arena_alloc(b->arena, sizeof *p);
    Vm *vm = arena_alloc(b->arena, sizeof *vm);
    Cell out;
    if (!program_compile(p, str_of(source))) return -1;
    vm_init(vm, p, 1000);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        vm_set(vm, names[i], cell_real(money_to_f64(book_balance(b, names[i]))));
    return vm_run(vm, &out) ? cell_as_real(out) : -1;
}

static const char sample[] =
    "# a small shop's half year\n"
    "2024-01-02 opening\n  assets:bank 12000.00 EUR\n  assets:till 350.50 EUR\n  equity:opening -12350.50 EUR\n\n"
    "2024-01-15 rent\n  expenses:rent 900.00 EUR\n  assets:bank -900.00 EUR\n\n"
    "2024-02-03 sales\n  assets:till 1834.20 EUR\n  income:sales -1541.34 EUR\n  liabilities:vat -292.86 EUR\n\n"
    "2024-02-15 rent\n  expenses:rent 900.00 EUR\n  assets:bank -900.00 EUR\n\n"
    "2024-02-29 till to bank\n  assets:bank 1500.00 EUR\n  assets:till -1500.00 EUR\n\n"
    "2024-03-12 stock on credit\n  expenses:stock 2210.75 EUR\n  liabilities:suppliers -2210.75 EUR\n\n"
    "2024-04-02 sales\n  assets:bank 5950.00 EUR\n  income:sales -5000.00 EUR\n  liabilities:vat -950.00 EUR\n\n"
    "2024-05-20 supplier paid\n  liabilities:suppliers 2210.75 EUR\n  assets:bank -2210.75 EUR\n\n"
    "2024-06-28 vat paid\n  liabilities:vat 1242.86 EUR\n  assets:bank -1242.86 EUR\n\n";

static NI void expect_rejected(Checker *c, Arena *arena, const char *text, const char *why) {
    Book b;
    book_init(&b, arena);
    book_load(&b, str_of(text));
    check_str(c, why, str_of(b.error ? b.error : "accepted"), why);
}

static NI void test_export(Checker *c, Book *b) {
    Sb sb;
    JError err;
    sb_init(&sb);
    book_export(b, &sb);
    JNode *root = json_parse(b->arena, sb_view(&sb), &err);
    check_true(c, "export parses", root != NULL);
    check_f64(c, "export turnover", (double)import_sum(root) / MONEY_SCALE, turnover_of(b), 1e-6);
    uint8_t *packed = arena_alloc(b->arena, lz_bound(sb.len)), *back = arena_alloc(b->arena, sb.len);
    size_t n = lz_pack((const uint8_t *)sb.buf, sb.len, packed);
    check_true(c, "packs well", n * 2 < sb.len);
    check_true(c, "export survives packing", lz_unpack(packed, n, back, sb.len) &&
                                                 crc32_of(0, back, sb.len) == crc32_of(0, sb.buf, sb.len));
    sb_free(&sb);
}

void sample_book(Book *b, Arena *arena) {
    book_init(b, arena);
    book_load(b, str_of(sample));
}

void selftest_book(Checker *c, Arena *arena) {
    Book b;
    sample_book(&b, arena);
    check_str(c, "loads", str_of(b.error ? b.error : "fine"), "fine");
    check_i64(c, "postings", b.n_postings, 9);
    check_true(c, "verifies", book_verify(&b));
    check_i64(c, "assets", book_balance(&b, "assets").units, 148810900);
    check_i64(c, "vat", book_balance(&b, "liabilities:vat").units, 0);
    Date from = {2024, 2, 1};
    Money q = book_between(&b, "assets", from, date_add_months(from, 2));
    check_i64(c, "two months", q.units, 9342000);
    check_f64(c, "profit", book_formula(&b, "-income - expenses"), 2530.59, 1e-6);
    check_f64(c, "equation", book_formula(&b, "floor(100 * (assets + liabilities + income + expenses + equity) + 0.5)"), 0, 0);
    b.first->entries->amount.units++;
    check_true(c, "tampering shows", !book_verify(&b));
    b.first->entries->amount.units--;
    test_export(c, &b);
    expect_rejected(c, arena, "2024-13-01 x\n", "bad date");
    expect_rejected(c, arena, "2024-01-01 x\n  a:b 1 EUR\n\n", "a posting needs two entries");
    expect_rejected(c, arena, "2024-01-01 x\n  a:b 1 EUR\n  c -2 EUR\n\n", "a posting does not balance");
    expect_rejected(c, arena, "2024-01-01 x\n  a::b 1 EUR\n", "bad account name");
    expect_rejected(c, arena, "2024-01-01 x\n  a 1 ZZZ\n", "bad amount");
    expect_rejected(c, arena, "  a 1 EUR\n", "entry out of place");
}
