// SQLite in memory: tables, rows, indices and queries -> one line of results for each step.
//
// The argument is how many orders there are; the steps are those of a small shop. Nothing
// depends on the time or on chance, so that each run does and prints the same.
#include "sqlite3.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ORDERS_DEFAULT 60000
#define CUSTOMERS 500
#define PRODUCTS 200

static sqlite3 *db;

static void fail(const char *what) {
    printf("%s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static void run(const char *sql) {
    if (sqlite3_exec(db, sql, 0, 0, 0) != SQLITE_OK) fail(sql);
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, 0) != SQLITE_OK) fail(sql);
    return statement;
}

static void step(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) fail(sqlite3_sql(statement));
    sqlite3_reset(statement);
}

static uint32_t next(void) {
    static uint32_t state = 20240229;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

// The rows of a query: how many, and a digest of their text.
static void query(const char *name, const char *sql) {
    sqlite3_stmt *statement = prepare(sql);
    uint32_t rows = 0, digest = 2166136261u;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        rows++;
        for (int column = 0; column < sqlite3_column_count(statement); column++) {
            const unsigned char *text = sqlite3_column_text(statement, column);
            for (; text && *text; text++) digest = (digest ^ *text) * 16777619u;
            digest = (digest ^ '|') * 16777619u;
        }
    }
    if (code != SQLITE_DONE) fail(name);
    sqlite3_finalize(statement);
    printf("%s: %u rows, %08x\n", name, rows, digest);
}

static void fill(int orders) {
    char text[64];
    run("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, balance REAL)");
    run("CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT UNIQUE, price INTEGER CHECK (price > 0))");
    run("CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer,"
        " product INTEGER REFERENCES product, amount INTEGER, day INTEGER, note TEXT)");
    run("BEGIN");
    sqlite3_stmt *customer = prepare("INSERT INTO customer VALUES (?, ?, ?, 0.0)");
    for (int id = 1; id <= CUSTOMERS; id++) {
        snprintf(text, sizeof text, "customer %05u", (unsigned)(next() % 100000));
        sqlite3_bind_int(customer, 1, id);
        sqlite3_bind_text(customer, 2, text, -1, SQLITE_TRANSIENT);
        snprintf(text, sizeof text, "city %u", (unsigned)(next() % 40));
        sqlite3_bind_text(customer, 3, text, -1, SQLITE_TRANSIENT);
        step(customer);
    }
    sqlite3_stmt *product = prepare("INSERT INTO product VALUES (?, ?, ?)");
    for (int id = 1; id <= PRODUCTS; id++) {
        snprintf(text, sizeof text, "product %d of kind %u", id, (unsigned)(next() % 12));
        sqlite3_bind_int(product, 1, id);
        sqlite3_bind_text(product, 2, text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int(product, 3, 1 + next() % 9999);
        step(product);
    }
    sqlite3_stmt *purchase = prepare("INSERT INTO purchase VALUES (NULL, ?, ?, ?, ?, ?)");
    for (int order = 0; order < orders; order++) {
        snprintf(text, sizeof text, "order %d, %x", order, (unsigned)next());
        sqlite3_bind_int(purchase, 1, 1 + next() % CUSTOMERS);
        sqlite3_bind_int(purchase, 2, 1 + next() % PRODUCTS);
        sqlite3_bind_int(purchase, 3, 1 + next() % 20);
        sqlite3_bind_int(purchase, 4, next() % 730);
        sqlite3_bind_text(purchase, 5, text, -1, SQLITE_TRANSIENT);
        step(purchase);
    }
    run("COMMIT");
    sqlite3_finalize(customer);
    sqlite3_finalize(product);
    sqlite3_finalize(purchase);
}

static void look_up(int orders) {
    sqlite3_stmt *by_note = prepare("SELECT amount FROM purchase WHERE id = ? AND note LIKE 'order%'");
    int64_t sum = 0;
    for (int nth = 0; nth < orders; nth++) {
        sqlite3_bind_int(by_note, 1, 1 + next() % orders);
        while (sqlite3_step(by_note) == SQLITE_ROW) sum += sqlite3_column_int(by_note, 0);
        sqlite3_reset(by_note);
    }
    sqlite3_finalize(by_note);
    printf("look-ups: %lld\n", (long long)sum);
}

int main(int argc, char **argv) {
    int orders = argc > 1 ? atoi(argv[1]) : ORDERS_DEFAULT;
    if (orders <= 0) return 2;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) fail("open");
    fill(orders);
    run("CREATE INDEX purchase_customer ON purchase (customer, day)");
    run("CREATE INDEX purchase_product ON purchase (product) WHERE amount > 5");
    run("ANALYZE");
    query("turnover by city",
          "SELECT city, count(*), sum(price * amount), avg(amount) FROM purchase"
          " JOIN customer ON customer.id = customer JOIN product ON product.id = product"
          " GROUP BY city ORDER BY 3 DESC");
    query("best of each product",
          "SELECT * FROM (SELECT product, customer, amount, row_number() OVER"
          " (PARTITION BY product ORDER BY amount DESC, id) AS place FROM purchase) WHERE place <= 3");
    query("patterns", "SELECT id, upper(note), length(note) FROM purchase WHERE note LIKE '%a_f%' ORDER BY note");
    query("by customer and day",
          "SELECT customer, group_concat(amount, ',') FROM purchase WHERE customer BETWEEN 10 AND 60"
          " AND day > 300 GROUP BY customer");
    query("recursive",
          "WITH RECURSIVE n (i, a, b) AS (SELECT 1, 0, 1 UNION ALL SELECT i + 1, b, (a + b) % 1000003 FROM n"
          " WHERE i < 20000) SELECT sum(a), max(b) FROM n");
    run("UPDATE customer SET balance = (SELECT coalesce(sum(amount), 0) * 1.25 FROM purchase"
        " WHERE purchase.customer = customer.id)");
    run("DELETE FROM purchase WHERE day % 7 = 3");
    query("balances", "SELECT id, round(balance, 2) FROM customer ORDER BY balance DESC, id LIMIT 100");
    query("words", "SELECT DISTINCT substr(note, 7, 2) FROM purchase ORDER BY 1");
    look_up(orders);
    run("CREATE VIRTUAL TABLE page USING fts5 (body)");
    run("INSERT INTO page SELECT note || ' ' || product.name FROM purchase JOIN product"
        " ON product.id = product WHERE purchase.id % 5 = 0");
    query("full text", "SELECT count(*), min(rowid), max(rowid) FROM page WHERE page MATCH 'kind AND 7'");
    run("VACUUM");
    query("intact", "PRAGMA integrity_check");
    sqlite3_close(db);
    return 0;
}
