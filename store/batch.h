/* batch.h - the inside of a write batch, for the writer and the engines only.
 * Form: operations one after the other as head, key, value in this machine's byte order; the same bytes are the redo
 *   entry of a segment, so this form belongs to the segment's schema version. */
#ifndef VANE_STORE_BATCH_H
#define VANE_STORE_BATCH_H

#include "store/table.h"

enum vn_op_kind { VN_OP_PUT, VN_OP_DELETE, VN_OP_DELETE_RANGE, VN_OP_REQUIRE_ABSENT, VN_OP_REQUIRE_EQUAL };
struct vn_op_head {
        uint8_t kind;
        uint8_t table;
        uint16_t key_len;
        uint32_t value_len; /* of the end key, for DELETE_RANGE */
        uint32_t max;
};
struct vn_op {
        struct vn_op_head head;
        struct vn_str key;
        struct vn_str value;
};
struct vn_batch {
        struct vn_buf ops;
        struct vn_buf records; /* u32 length, bytes; again and again */
        uint32_t op_count;
        uint32_t record_count;
        bool changes; /* it alters keyed tables */
        bool grows;   /* it needs space: refused when the budget is spent */
        bool reserve;
        enum vn_rc error;
        const char *error_what;
        /* the writer's, from submit to completion */
        bool submitted;
        enum vn_rc rc;
        uint64_t first_seq;
        void (*done)(void *arg, enum vn_rc rc);
        void *arg;
        struct vn_batch *next;
};
/* Walks the operations; false at the end, or if the bytes are not whole operations (then rest->len stays > 0). */
bool vn_op_next(struct vn_str *rest, struct vn_op *ret);
bool vn_batch_record_next(struct vn_str *rest, struct vn_str *ret);

#endif
