/* tree.h - a YAML document as a small tree with places; the strict subset that policies use.
 * Threads: pure. Ownership: the tree owns its nodes and texts (an arena). */
#ifndef VANE_POLICIES_TREE_H
#define VANE_POLICIES_TREE_H

#include "base/mem.h"
#include "base/str.h"

enum vn_node_kind { VN_NODE_TEXT, VN_NODE_LIST, VN_NODE_MAP };
struct vn_node {
        enum vn_node_kind kind;
        uint32_t line, column;
        struct vn_str text;   /* TEXT */
        bool quoted;          /* a quoted text is never a number */
        struct vn_node *next; /* among its siblings */
        struct vn_node *child;
        struct vn_str key; /* in a MAP */
        uint32_t key_line, key_column;
};
/* INVALID_ARGUMENT with the place in *ret_line and *ret_column. *ret is NULL for an empty document. */
enum vn_rc vn_tree_parse(struct vn_str document, struct vn_arena *arena, struct vn_node **ret, uint32_t *ret_line,
                         uint32_t *ret_column, struct vn_err *err) VN_MUST_USE;

#endif
