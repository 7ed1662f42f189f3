/* Calendar maths. */
#include "algos.h"
#include "book.h"

#include <string.h>

static const char *const month_names[] = {"January", "February", "March",     "April",   "May",      "June",
                                          "July",    "August",   "September", "October", "November", "December"};
static const char *const day_names[] = {"Monday", "Tuesday", "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday"};

NI bool date_is_leap(int32_t y) {
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

NI uint32_t date_month_days(int32_t year, uint32_t month) {
    if (month == 2) return date_is_leap(year) ? 29 : 28;
    return 30 + ((month + month / 8) & 1);
}

NI bool date_valid(Date d) {
    return d.month >= 1 && d.month <= 12 && d.day >= 1 && d.day <= date_month_days(d.year, d.month);
}

static NI int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static NI int64_t days_before_year(int64_t y) {
    y--;
    return 365 * y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
}

NI uint32_t date_year_day(Date d) {
    uint32_t n = d.day;
    for (uint32_t m = 1; m < d.month; m++) n += date_month_days(d.year, m);
    return n;
}

NI int64_t date_to_days(Date d) {
    return days_before_year(d.year) - days_before_year(1970) + date_year_day(d) - 1;
}

NI Date date_from_days(int64_t days) {
    int64_t y = 1970 + floor_div(days, days < 0 ? 365 : 366);
    int64_t base = days_before_year(1970);
    while (days_before_year(y + 1) - base <= days) y++;
    uint32_t left = (uint32_t)(days - (days_before_year(y) - base)), m = 1;
    for (uint32_t n; left >= (n = date_month_days((int32_t)y, m)); m++) left -= n;
    return (Date){(int32_t)y, (uint8_t)m, (uint8_t)(left + 1)};
}

NI int date_cmp(Date a, Date b) {
    int64_t x = date_to_days(a), y = date_to_days(b);
    return (x > y) - (x < y);
}

/* 0 is Monday. */
NI uint32_t date_weekday(Date d) {
    int64_t n = (date_to_days(d) + 3) % 7;
    return (uint32_t)(n < 0 ? n + 7 : n);
}

NI Date date_add_days(Date d, int64_t n) {
    return date_from_days(date_to_days(d) + n);
}

NI Date date_add_months(Date d, int32_t n) {
    int64_t total = (int64_t)d.year * 12 + d.month - 1 + n;
    int64_t year = floor_div(total, 12);
    uint32_t month = (uint32_t)(total - year * 12) + 1, most = date_month_days((int32_t)year, month);
    return (Date){(int32_t)year, (uint8_t)month, (uint8_t)(d.day < most ? d.day : most)};
}

NI uint32_t date_iso_week(Date d, int32_t *iso_year) {
    Date thursday = date_add_days(d, 3 - (int64_t)date_weekday(d));
    *iso_year = thursday.year;
    return (date_year_day(thursday) - 1) / 7 + 1;
}

/* Gauss's rule in Butcher's form. */
NI Date date_easter(int32_t y) {
    int32_t a = y % 19, b = y / 100, c = y % 100;
    int32_t h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    int32_t l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    int32_t m = (a + 11 * h + 22 * l) / 451, n = h + l - 7 * m + 114;
    return (Date){y, (uint8_t)(n / 31), (uint8_t)(n % 31 + 1)};
}

typedef struct {
    uint8_t month, day;
    int8_t easter_offset;
    const char *name;
} Holiday;

static const Holiday holidays[] = {
    {1, 1, 0, "New Year"},   {5, 1, 0, "Labour Day"},     {12, 25, 0, "Christmas"},
    {12, 26, 0, "St Stephen"}, {0, 0, -2, "Good Friday"}, {0, 0, 1, "Easter Monday"},
#if LEDGER_RELEASE >= 2
    {0, 0, 39, "Ascension"}, {0, 0, 50, "Whit Monday"},
#endif
};

NI const char *date_holiday(Date d) {
    int64_t easter = date_to_days(date_easter(d.year)), today = date_to_days(d);
    for (size_t i = 0; i < COUNT_OF(holidays); i++) {
        const Holiday *h = &holidays[i];
        if (h->month ? h->month == d.month && h->day == d.day : easter + h->easter_offset == today) return h->name;
    }
    return NULL;
}

NI bool date_is_workday(Date d) {
    return date_weekday(d) < 5 && !date_holiday(d);
}

NI int64_t date_workdays_between(Date from, Date to) {
    int64_t n = 0;
    for (; date_cmp(from, to) < 0; from = date_add_days(from, 1)) n += date_is_workday(from);
    return n;
}

NI bool date_parse(Str s, Date *out) {
    int64_t part[3];
    Str token;
    for (int i = 0; i < 3; i++)
        if (!str_next_token(&s, '-', &token) || !str_parse_i64(token, &part[i])) return false;
    *out = (Date){(int32_t)part[0], (uint8_t)part[1], (uint8_t)part[2]};
    return !s.ptr && part[1] < 13 && part[2] < 32 && date_valid(*out);
}

static NI void put_two(Sb *out, uint32_t v) {
    sb_putc(out, (char)('0' + v / 10 % 10));
    sb_putc(out, (char)('0' + v % 10));
}

NI void date_format(Sb *out, const char *f, Date d) {
    for (; *f; f++) {
        if (*f != '%') {
            sb_putc(out, *f);
            continue;
        }
        switch (*++f) {
        case 'Y': sb_i64(out, d.year); break;
        case 'm': put_two(out, d.month); break;
        case 'd': put_two(out, d.day); break;
        case 'B': sb_puts(out, month_names[d.month - 1]); break;
        case 'b': sb_putn(out, month_names[d.month - 1], 3); break;
        case 'A': sb_puts(out, day_names[date_weekday(d)]); break;
        case 'a': sb_putn(out, day_names[date_weekday(d)], 3); break;
        case 'j': sb_u64(out, date_year_day(d)); break;
        default: sb_putc(out, *f);
        }
    }
}

NI int64_t stamp_to_seconds(Stamp s) {
    return date_to_days(s.date) * 86400 + s.hour * 3600 + s.minute * 60 + s.second;
}

NI Stamp stamp_from_seconds(int64_t t) {
    int64_t days = floor_div(t, 86400), left = t - days * 86400;
    return (Stamp){date_from_days(days), (uint8_t)(left / 3600), (uint8_t)(left / 60 % 60), (uint8_t)(left % 60)};
}

void selftest_calendar(Checker *c, Arena *arena) {
    (void)arena;
    Date leap = {2024, 2, 29}, d;
    for (int64_t n = -200000; n < 200000; n += 1237)
        if (date_to_days(date_from_days(n)) != n) check_true(c, "day round trip", false);
    check_i64(c, "days", date_to_days(leap), 19782);
    check_i64(c, "weekday", date_weekday(leap), 3);
    check_true(c, "a year on", date_cmp(date_add_months(leap, 12), (Date){2025, 2, 28}) == 0);
    check_true(c, "months back", date_cmp(date_add_months(leap, -26), (Date){2021, 12, 29}) == 0);
    check_true(c, "easter", date_cmp(date_easter(2024), (Date){2024, 3, 31}) == 0);
    int32_t year;
    check_i64(c, "iso week", date_iso_week((Date){2021, 1, 3}, &year), 53);
    check_i64(c, "iso year", year, 2020);
    check_str(c, "holiday", str_of(date_holiday((Date){2024, 3, 29})), "Good Friday");
    int64_t want = LEDGER_RELEASE >= 2 ? 19 + 19 : 19 + 21;
    check_i64(c, "work days", date_workdays_between((Date){2024, 3, 4}, (Date){2024, 4, 1}) +
                                  date_workdays_between((Date){2024, 5, 2}, (Date){2024, 5, 31}), want);
    check_true(c, "parse", date_parse(str_of("2024-02-29"), &d) && date_cmp(d, leap) == 0);
    check_true(c, "no such day", !date_parse(str_of("2023-02-29"), &d) && !date_parse(str_of("2023-02"), &d));
    Sb sb;
    sb_init(&sb);
    date_format(&sb, "%a %d %b %Y, %A %B, day %j, %m%%", leap);
    check_str(c, "format", sb_view(&sb), "Thu 29 Feb 2024, Thursday February, day 60, 02%");
    sb_free(&sb);
    Stamp s = stamp_from_seconds(1709210096);
    check_i64(c, "stamp", s.hour * 10000 + s.minute * 100 + s.second, 123456);
    check_i64(c, "stamp back", stamp_to_seconds(s), 1709210096);
    check_i64(c, "before 1970", stamp_from_seconds(-1).date.year, 1969);
}
