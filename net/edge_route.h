/* edge_route.h - which handler a path belongs to; internal to the edge. Filled before the start, read by all loops. */
#ifndef VANE_NET_EDGE_ROUTE_H
#define VANE_NET_EDGE_ROUTE_H

#include "net/edge.h"

#define ROUTE_MAX_SEGMENTS 12
#define ROUTE_MAX_ROWS 512
#define ROUTE_MAX_RAW 128

struct route_segment {
        struct vn_str literal; /* the whole segment, or what follows the variable ("{name}:pause") */
        struct vn_str field;   /* empty: a literal */
};

struct edge_entry {
        const struct vn_method *row;
        void *context;
        char path[192]; /* "/service/Method" */
        size_t path_len;
        size_t max_request_bytes;
        struct route_segment segments[ROUTE_MAX_SEGMENTS];
        unsigned segment_count; /* 0: no HTTP path */
};

struct edge_raw {
        char prefix[128];
        size_t len;
        bool below; /* ends in '/': everything under it */
        enum vn_access access;
        vn_http_handler handler;
        void *context;
};

struct edge_routes {
        struct edge_entry *rows[ROUTE_MAX_ROWS];
        unsigned row_count;
        struct edge_entry **slots; /* open addressing by the hash of path */
        unsigned slot_count;       /* a power of two, at least twice row_count */
        struct edge_raw *raws[ROUTE_MAX_RAW];
        unsigned raw_count;
};

enum vn_rc edge_routes_add(struct edge_routes *routes, const struct vn_method *row, void *context,
                           struct vn_err *err) VN_MUST_USE;
enum vn_rc edge_routes_add_raw(struct edge_routes *routes, const char *prefix, enum vn_access access,
                               vn_http_handler handler, void *context, struct vn_err *err) VN_MUST_USE;
void edge_routes_done(struct edge_routes *routes);
const struct edge_entry *edge_route_grpc(const struct edge_routes *routes, struct vn_str path);
bool edge_route_has_service(const struct edge_routes *routes, struct vn_str service);

struct route_value {
        struct vn_str field, value; /* value still percent-encoded */
};
struct route_match {
        const struct edge_entry *entry;
        struct route_value values[ROUTE_MAX_SEGMENTS];
        unsigned value_count;
        unsigned allowed; /* bit set of verbs that the path has, when none matched */
};
/* entry is NULL when nothing matches; `allowed` then says whether another verb would have. */
void edge_route_http(const struct edge_routes *routes, enum vn_http_verb verb, struct vn_str path,
                     struct route_match *ret);
const struct edge_raw *edge_route_raw(const struct edge_routes *routes, struct vn_str path);
enum vn_http_verb edge_verb(struct vn_str verb); /* HEAD counts as GET; VN_HTTP_NONE for others */
const char *edge_verb_name(enum vn_http_verb verb);

#endif
