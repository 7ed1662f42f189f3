/* AVL tree: ranks, walks, validity, self-check. */
#include "algos.h"
#include "containers.h"

NI uint32_t avl_len(const Avl *t) {
    return t->root ? t->root->count : 0;
}

NI int32_t avl_height(const Avl *t) {
    return t->root ? t->root->height : 0;
}

static NI uint32_t left_count(const AvlNode *n) {
    return n->left ? n->left->count : 0;
}

NI AvlNode *avl_nth(const Avl *t, uint32_t i) {
    AvlNode *n = t->root;
    while (n) {
        uint32_t l = left_count(n);
        if (i == l) return n;
        if (i < l) {
            n = n->left;
        } else {
            i -= l + 1;
            n = n->right;
        }
    }
    return NULL;
}

/* How many keys are below key. */
NI uint32_t avl_rank(const Avl *t, const void *key) {
    uint32_t rank = 0;
    for (AvlNode *n = t->root; n;) {
        if (t->cmp(n->key, key) < 0) {
            rank += left_count(n) + 1;
            n = n->right;
        } else {
            n = n->left;
        }
    }
    return rank;
}

static NI void walk_up(const AvlNode *n, AvlVisit visit, void *ctx) {
    if (!n) return;
    walk_up(n->left, visit, ctx);
    visit(ctx, n);
    walk_up(n->right, visit, ctx);
}

static NI void walk_down(const AvlNode *n, AvlVisit visit, void *ctx) {
    if (!n) return;
    walk_down(n->right, visit, ctx);
    visit(ctx, n);
    walk_down(n->left, visit, ctx);
}

NI void avl_walk(const Avl *t, AvlVisit visit, void *ctx) {
    walk_up(t->root, visit, ctx);
}

NI void avl_walk_back(const Avl *t, AvlVisit visit, void *ctx) {
    walk_down(t->root, visit, ctx);
}

static NI int32_t checked_height(const Avl *t, const AvlNode *n) {
    if (!n) return 0;
    int32_t l = checked_height(t, n->left), r = checked_height(t, n->right);
    if (l < 0 || r < 0 || l - r > 1 || r - l > 1) return -1;
    if (n->left && t->cmp(n->left->key, n->key) >= 0) return -1;
    if (n->right && t->cmp(n->right->key, n->key) <= 0) return -1;
    int32_t h = 1 + (l > r ? l : r);
    return h == n->height ? h : -1;
}

NI bool avl_valid(const Avl *t) {
    return checked_height(t, t->root) >= 0;
}

static void fold_up(void *ctx, const AvlNode *n) {
    uint64_t *h = ctx;
    *h = *h * 31 + (uint64_t)n->value.i;
}

typedef struct {
    int64_t previous;
    bool descending;
} DownState;

static void expect_descending(void *ctx, const AvlNode *n) {
    DownState *s = ctx;
    int64_t k = *(const int64_t *)n->key;
    if (k >= s->previous) s->descending = false;
    s->previous = k;
}

static NI void fill_tree(Avl *t, int64_t *keys, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        keys[i] = (int64_t)((i * 7919u) % 4096u) * 10;
        avl_insert(t, &keys[i], (Value){.i = (int64_t)i});
    }
}

static NI void test_strings(Checker *c, Arena *arena) {
    static const Str words[] = {
        {"rent", 4}, {"cash", 4}, {"bank", 4}, {"tax", 3}, {"fees", 4}, {"cash", 4},
    };
    Avl t;
    avl_init(&t, arena, cmp_str);
    for (uint32_t i = 0; i < COUNT_OF(words); i++) avl_insert(&t, &words[i], (Value){.f = i * 0.5});
    check_i64(c, "distinct", avl_len(&t), 5);
    check_str(c, "first word", *(const Str *)avl_first(&t)->key, "bank");
    check_f64(c, "overwritten", avl_find(&t, &words[1])->value.f, 2.5, 0);
}

void selftest_avl(Checker *c, Arena *arena) {
    enum { N = 4096 };
    int64_t *keys = arena_alloc(arena, N * sizeof *keys);
    Avl t;
    avl_init(&t, arena, cmp_i64);
    fill_tree(&t, keys, N);
    check_i64(c, "size", avl_len(&t), N);
    check_true(c, "valid", avl_valid(&t));
    check_true(c, "height", avl_height(&t) <= 17);
    int64_t k = 12345;
    check_i64(c, "floor", *(const int64_t *)avl_floor(&t, &k)->key, 12340);
    check_i64(c, "ceiling", *(const int64_t *)avl_ceiling(&t, &k)->key, 12350);
    check_i64(c, "rank", avl_rank(&t, &k), 1235);
    check_i64(c, "nth", *(const int64_t *)avl_nth(&t, 1235)->key, 12350);
    for (k = 0; k < 40960; k += 30)
        if (!avl_remove(&t, &k)) check_true(c, "remove", false);
    check_i64(c, "size after removal", avl_len(&t), N - 1366);
    check_true(c, "valid after removal", avl_valid(&t));
    k = 30;
    check_true(c, "gone", !avl_find(&t, &k) && !avl_remove(&t, &k));
    check_i64(c, "first", *(const int64_t *)avl_first(&t)->key, 10);
    check_i64(c, "last", *(const int64_t *)avl_last(&t)->key, 40940);
    uint64_t h = 7;
    avl_walk(&t, fold_up, &h);
    check_true(c, "fold", h != 7);
    DownState s = {INT64_MAX, true};
    avl_walk_back(&t, expect_descending, &s);
    check_true(c, "descending", s.descending && s.previous == 10);
    test_strings(c, arena);
}
