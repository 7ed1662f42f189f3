/* Hash map (string keys) and AVL tree (caller's comparator). */
#ifndef LEDGER_CONTAINERS_H
#define LEDGER_CONTAINERS_H

#include "base.h"

typedef union {
    int64_t i;
    double f;
    void *p;
} Value;

typedef struct {
    Str key;
    Value value;
    uint32_t hash;
    uint8_t state;
} MapSlot;

typedef struct {
    MapSlot *slots;
    uint32_t cap, live, dead;
    Arena *arena;
} Map;

typedef bool (*MapVisit)(void *ctx, Str key, Value value);

void map_init(Map *m, Arena *arena);
void map_put(Map *m, Str key, Value value);
void map_put_i64(Map *m, Str key, int64_t v);
bool map_get(const Map *m, Str key, Value *out);
int64_t map_get_i64(const Map *m, Str key, int64_t fallback);
int64_t map_add_i64(Map *m, Str key, int64_t delta);
bool map_remove(Map *m, Str key);
uint32_t map_len(const Map *m);
bool map_each(const Map *m, MapVisit visit, void *ctx);
Str *map_sorted_keys(const Map *m, Arena *arena);

typedef int (*Compare)(const void *a, const void *b);

typedef struct AvlNode {
    struct AvlNode *left, *right;
    const void *key;
    Value value;
    int32_t height;
    uint32_t count;
} AvlNode;

typedef struct {
    AvlNode *root;
    Compare cmp;
    Arena *arena;
    AvlNode *spare;
} Avl;

typedef void (*AvlVisit)(void *ctx, const AvlNode *node);

void avl_init(Avl *t, Arena *arena, Compare cmp);
AvlNode *avl_insert(Avl *t, const void *key, Value value);
bool avl_remove(Avl *t, const void *key);
AvlNode *avl_find(const Avl *t, const void *key);
AvlNode *avl_first(const Avl *t);
AvlNode *avl_last(const Avl *t);
AvlNode *avl_floor(const Avl *t, const void *key);
AvlNode *avl_ceiling(const Avl *t, const void *key);
AvlNode *avl_nth(const Avl *t, uint32_t n);
uint32_t avl_rank(const Avl *t, const void *key);
uint32_t avl_len(const Avl *t);
int32_t avl_height(const Avl *t);
void avl_walk(const Avl *t, AvlVisit visit, void *ctx);
void avl_walk_back(const Avl *t, AvlVisit visit, void *ctx);
bool avl_valid(const Avl *t);

int cmp_i64(const void *a, const void *b);
int cmp_str(const void *a, const void *b);

#endif
