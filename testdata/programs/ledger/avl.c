/* AVL tree with subtree counts (order statistics). */
#include "algos.h"
#include "containers.h"

#include <string.h>

int cmp_i64(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int cmp_str(const void *a, const void *b) {
    return str_cmp(*(const Str *)a, *(const Str *)b);
}

static NI int32_t node_height(const AvlNode *n) {
    return n ? n->height : 0;
}

static NI uint32_t node_count(const AvlNode *n) {
    return n ? n->count : 0;
}

static NI void node_update(AvlNode *n) {
    int32_t l = node_height(n->left), r = node_height(n->right);
    n->height = 1 + (l > r ? l : r);
    n->count = 1 + node_count(n->left) + node_count(n->right);
}

static NI int32_t node_lean(const AvlNode *n) {
    return node_height(n->left) - node_height(n->right);
}

static NI AvlNode *rotate_right(AvlNode *n) {
    AvlNode *l = n->left;
    n->left = l->right;
    l->right = n;
    node_update(n);
    node_update(l);
    return l;
}

static NI AvlNode *rotate_left(AvlNode *n) {
    AvlNode *r = n->right;
    n->right = r->left;
    r->left = n;
    node_update(n);
    node_update(r);
    return r;
}

static NI AvlNode *node_balance(AvlNode *n) {
    node_update(n);
    int32_t lean = node_lean(n);
    if (lean > 1) {
        if (node_lean(n->left) < 0) n->left = rotate_left(n->left);
        return rotate_right(n);
    }
    if (lean < -1) {
        if (node_lean(n->right) > 0) n->right = rotate_right(n->right);
        return rotate_left(n);
    }
    return n;
}

NI void avl_init(Avl *t, Arena *arena, Compare cmp) {
    *t = (Avl){NULL, cmp, arena, NULL};
}

static NI AvlNode *node_new(Avl *t, const void *key, Value value) {
    AvlNode *n = t->spare;
    if (n)
        t->spare = n->left;
    else
        n = arena_alloc(t->arena, sizeof *n);
    *n = (AvlNode){NULL, NULL, key, value, 1, 1};
    return n;
}

static NI AvlNode *insert_at(Avl *t, AvlNode *n, const void *key, Value value, AvlNode **hit) {
    if (!n) return *hit = node_new(t, key, value);
    int c = t->cmp(key, n->key);
    if (c == 0) {
        n->value = value;
        *hit = n;
        return n;
    }
    if (c < 0)
        n->left = insert_at(t, n->left, key, value, hit);
    else
        n->right = insert_at(t, n->right, key, value, hit);
    return node_balance(n);
}

NI AvlNode *avl_insert(Avl *t, const void *key, Value value) {
    AvlNode *hit = NULL;
    t->root = insert_at(t, t->root, key, value, &hit);
    return hit;
}

static NI AvlNode *detach_min(AvlNode *n, AvlNode **min) {
    if (!n->left) {
        *min = n;
        return n->right;
    }
    n->left = detach_min(n->left, min);
    return node_balance(n);
}

static NI AvlNode *remove_at(Avl *t, AvlNode *n, const void *key, bool *found) {
    if (!n) return NULL;
    int c = t->cmp(key, n->key);
    if (c < 0) {
        n->left = remove_at(t, n->left, key, found);
    } else if (c > 0) {
        n->right = remove_at(t, n->right, key, found);
    } else {
        AvlNode *left = n->left, *right = n->right, *min = NULL;
        *found = true;
        n->left = t->spare;
        t->spare = n;
        if (!right) return left;
        right = detach_min(right, &min);
        min->right = right;
        min->left = left;
        n = min;
    }
    return node_balance(n);
}

NI bool avl_remove(Avl *t, const void *key) {
    bool found = false;
    t->root = remove_at(t, t->root, key, &found);
    return found;
}

NI AvlNode *avl_find(const Avl *t, const void *key) {
    AvlNode *n = t->root;
    while (n) {
        int c = t->cmp(key, n->key);
        if (c == 0) break;
        n = c < 0 ? n->left : n->right;
    }
    return n;
}

NI AvlNode *avl_first(const Avl *t) {
    AvlNode *n = t->root;
    while (n && n->left) n = n->left;
    return n;
}

NI AvlNode *avl_last(const Avl *t) {
    AvlNode *n = t->root;
    while (n && n->right) n = n->right;
    return n;
}

NI AvlNode *avl_floor(const Avl *t, const void *key) {
    AvlNode *best = NULL;
    for (AvlNode *n = t->root; n;) {
        bool fits = t->cmp(n->key, key) <= 0;
        if (fits) best = n;
        n = fits ? n->right : n->left;
    }
    return best;
}

NI AvlNode *avl_ceiling(const Avl *t, const void *key) {
    AvlNode *best = NULL;
    for (AvlNode *n = t->root; n;) {
        bool fits = t->cmp(n->key, key) >= 0;
        if (fits) best = n;
        n = fits ? n->left : n->right;
    }
    return best;
}
