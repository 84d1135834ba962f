#include "policies/tree.h"

#include <yaml.h>

#define MAX_DEPTH 8
#define MAX_NODES 4096

struct reader {
        yaml_parser_t parser;
        struct vn_arena *arena;
        struct vn_node *stack[MAX_DEPTH];
        struct vn_node **tail[MAX_DEPTH]; /* where the next child of that level goes */
        struct vn_node *root, *key;       /* key: a map's key that waits for its value */
        size_t depth, nodes;
        uint32_t line, column;
        struct vn_err *err;
};

static enum vn_rc bad(struct reader *r, const yaml_mark_t *mark, const char *what)
{
        r->line = (uint32_t)mark->line + 1;
        r->column = (uint32_t)mark->column + 1;
        return vn_fail(r->err, VN_INVALID_ARGUMENT, "line %u, column %u: %s", r->line, r->column, what);
}

static enum vn_rc add_node(struct reader *r, const yaml_event_t *event, enum vn_node_kind kind, struct vn_node **ret)
{
        struct vn_node *node = vn_arena_alloc(r->arena, sizeof *node);
        if (!node || ++r->nodes > MAX_NODES)
                return bad(r, &event->start_mark, "the document is too large");
        node->kind = kind;
        node->line = (uint32_t)event->start_mark.line + 1;
        node->column = (uint32_t)event->start_mark.column + 1;
        *ret = node;
        return VN_OK;
}

/* Puts a finished node where it belongs: root, list item, map key or map value. */
static enum vn_rc place(struct reader *r, const yaml_event_t *event, struct vn_node *node)
{
        if (r->depth == 0) {
                r->root = node;
                return VN_OK;
        }
        struct vn_node *parent = r->stack[r->depth - 1];
        if (parent->kind == VN_NODE_LIST) {
                *r->tail[r->depth - 1] = node;
                r->tail[r->depth - 1] = &node->next;
                return VN_OK;
        }
        if (!r->key) {
                if (node->kind != VN_NODE_TEXT)
                        return bad(r, &event->start_mark, "a key must be a plain word");
                for (const struct vn_node *other = parent->child; other; other = other->next)
                        if (vn_str_eq(other->key, node->text))
                                return bad(r, &event->start_mark, "this key stands here twice");
                r->key = node;
                return VN_OK;
        }
        node->key = r->key->text;
        node->key_line = r->key->line;
        node->key_column = r->key->column;
        r->key = NULL;
        *r->tail[r->depth - 1] = node;
        r->tail[r->depth - 1] = &node->next;
        return VN_OK;
}

static enum vn_rc open_node(struct reader *r, const yaml_event_t *event, enum vn_node_kind kind)
{
        struct vn_node *node;
        if (r->depth == MAX_DEPTH)
                return bad(r, &event->start_mark, "nested too deeply");
        VN_TRY(add_node(r, event, kind, &node));
        VN_TRY(place(r, event, node));
        if (r->key)
                return bad(r, &event->start_mark, "a key must be a plain word");
        r->stack[r->depth] = node;
        r->tail[r->depth] = &node->child;
        r->depth++;
        return VN_OK;
}

static enum vn_rc scalar(struct reader *r, const yaml_event_t *event)
{
        struct vn_node *node;
        VN_TRY(add_node(r, event, VN_NODE_TEXT, &node));
        size_t n = event->data.scalar.length;
        const char *text = (const char *)event->data.scalar.value;
        char *copy = vn_arena_strndup(r->arena, text, n);
        if (!copy)
                return bad(r, &event->start_mark, "the document is too large");
        if (memchr(copy, 0, n))
                return bad(r, &event->start_mark, "a zero byte");
        node->text = vn_str_n(copy, n);
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return place(r, event, node);
}

static enum vn_rc handle(struct reader *r, const yaml_event_t *event, size_t *documents)
{
        const yaml_mark_t *mark = &event->start_mark;
        switch (event->type) {
        case YAML_DOCUMENT_START_EVENT: return ++*documents > 1 ? bad(r, mark, "one document only") : VN_OK;
        case YAML_ALIAS_EVENT: return bad(r, mark, "aliases are not allowed");
        case YAML_SCALAR_EVENT:
                if (event->data.scalar.anchor || event->data.scalar.tag)
                        return bad(r, mark, "anchors and tags are not allowed");
                return scalar(r, event);
        case YAML_SEQUENCE_START_EVENT:
                if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
                        return bad(r, mark, "anchors and tags are not allowed");
                return open_node(r, event, VN_NODE_LIST);
        case YAML_MAPPING_START_EVENT:
                if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
                        return bad(r, mark, "anchors and tags are not allowed");
                return open_node(r, event, VN_NODE_MAP);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: r->depth--; return VN_OK;
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_END_EVENT: return VN_OK;
        }
        return VN_OK;
}

enum vn_rc vn_tree_parse(struct vn_str document, struct vn_arena *arena, struct vn_node **ret, uint32_t *ret_line,
                         uint32_t *ret_column, struct vn_err *err)
{
        struct reader r = {.arena = arena, .err = err, .line = 1, .column = 1};
        if (!yaml_parser_initialize(&r.parser))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        union {
                const char *in;
                const unsigned char *out;
        } bytes = {.in = document.ptr ? document.ptr : ""};
        yaml_parser_set_input_string(&r.parser, bytes.out, document.len);
        enum vn_rc rc = VN_OK;
        size_t documents = 0;
        for (bool end = false; rc == VN_OK && !end;) {
                yaml_event_t event;
                if (!yaml_parser_parse(&r.parser, &event)) {
                        rc = bad(&r, &r.parser.problem_mark, r.parser.problem ? r.parser.problem : "not YAML");
                        break;
                }
                end = event.type == YAML_STREAM_END_EVENT;
                rc = handle(&r, &event, &documents);
                yaml_event_delete(&event);
        }
        yaml_parser_delete(&r.parser);
        *ret = r.root;
        *ret_line = r.line;
        *ret_column = r.column;
        return rc;
}
