/* Dates, money, text formatting, the double-entry book. */
#ifndef LEDGER_BOOK_H
#define LEDGER_BOOK_H

#include "base.h"
#include "containers.h"

/* ---- dates (proleptic Gregorian; day 0 is 1970-01-01) ---- */
typedef struct {
    int32_t year;
    uint8_t month, day;
} Date;

typedef struct {
    Date date;
    uint8_t hour, minute, second;
} Stamp;

bool date_is_leap(int32_t year);
uint32_t date_month_days(int32_t year, uint32_t month);
bool date_valid(Date d);
int64_t date_to_days(Date d);
Date date_from_days(int64_t days);
int date_cmp(Date a, Date b);
uint32_t date_weekday(Date d);
uint32_t date_year_day(Date d);
uint32_t date_iso_week(Date d, int32_t *iso_year);
Date date_add_days(Date d, int64_t n);
Date date_add_months(Date d, int32_t n);
Date date_easter(int32_t year);
bool date_is_workday(Date d);
int64_t date_workdays_between(Date from, Date to);
const char *date_holiday(Date d);
bool date_parse(Str s, Date *out);
void date_format(Sb *out, const char *format, Date d);
int64_t stamp_to_seconds(Stamp s);
Stamp stamp_from_seconds(int64_t t);

/* ---- money: 64-bit, four decimals ---- */
typedef struct {
    int64_t units;
    uint16_t currency;
} Money;

typedef enum { ROUND_DOWN, ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_UP } Rounding;

#define MONEY_SCALE 10000

int currency_find(Str code);
const char *currency_code(uint16_t currency);
Money money_of(int64_t whole, int64_t cents, uint16_t currency);
Money money_neg(Money a);
Money money_add(Money a, Money b);
Money money_sub(Money a, Money b);
int money_cmp(Money a, Money b);
bool money_is_zero(Money a);
Money money_mul(Money a, int64_t num, int64_t den, Rounding how);
Money money_round(Money a, Rounding how);
Money money_convert(Money a, uint16_t to, double rate);
void money_split(Money total, const uint32_t *weights, uint32_t n, Money *parts);
bool money_parse(Str s, Money *out);
void money_format(Sb *out, Money a);
double money_to_f64(Money a);
Money money_interest(Money principal, float yearly, uint32_t days);

/* ---- text ---- */
typedef enum { ALIGN_LEFT, ALIGN_RIGHT, ALIGN_CENTER } Align;

typedef struct {
    const char *title;
    Align align;
    uint32_t width;
} Column;

size_t text_width(Str s);
void text_pad(Sb *out, Str s, size_t width, Align how);
void text_wrap(Sb *out, Str s, size_t width, const char *indent);
void text_upper(Sb *out, Str s);
void text_title(Sb *out, Str s);
void text_roman(Sb *out, uint32_t v);
void text_words(Sb *out, uint64_t v);
void text_ordinal(Sb *out, uint32_t v);
uint32_t text_distance(Str a, Str b);
void text_row(Sb *out, const Column *cols, const Str *cells, uint32_t n);
void text_rule(Sb *out, const Column *cols, uint32_t n);
void text_header(Sb *out, const Column *cols, uint32_t n);
void text_bar(Sb *out, float share, uint32_t width);

/* ---- book ---- */
typedef struct Account {
    Str name;
    struct Account *parent;
    Money balance, own;
    uint32_t entries, level;
} Account;

typedef struct Entry {
    Account *account;
    Money amount;
    struct Entry *next;
} Entry;

typedef struct Posting {
    Date date;
    Str note;
    Entry *entries;
    uint32_t number, n_entries;
    bool closed;
    struct Posting *next;
} Posting;

typedef struct {
    Arena *arena;
    Map accounts;
    Posting *first, *last;
    uint32_t n_postings;
    const char *error;
    uint64_t chain;
} Book;

void book_init(Book *b, Arena *arena);
Account *book_account(Book *b, Str name);
Posting *book_post(Book *b, Date date, Str note);
void book_entry(Book *b, Posting *p, Str account, Money amount);
bool book_close(Book *b, Posting *p);
bool book_load_line(Book *b, Str line);
uint32_t book_load(Book *b, Str text);
Money book_balance(Book *b, const char *account);
Money book_between(Book *b, const char *account, Date from, Date to);
bool book_verify(const Book *b);
void book_report(Book *b, Sb *out);
void book_export(Book *b, Sb *out);

#endif
