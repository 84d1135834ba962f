/* record.h - the store as vaned opens it, and change decisions: one record shape, whatever changes.
 * Threads: vn_record_change on the control loop (ids of changes are its own sequence).
 * Ownership: texts are borrowed during the call. */
#ifndef VANE_SERVER_RECORD_H
#define VANE_SERVER_RECORD_H

#include "decide/record.h"
#include "server/server.h"

/* Opens the store under STATE/store with the log's key in STATE/log.key. */
enum vn_rc vn_record_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_record_stop(struct vn_server *server);

struct vn_change {
        enum vn_record_kind kind;
        const char *tenant, *actor;
        const char *subject; /* what it is about: an account, a policy, a workload */
        const char *choice;  /* what it became */
        const char *before;  /* what it was; NULL: nothing */
        const char *summary; /* one sentence; NULL: none */
        uint64_t policy_version, model_version;
        double margin, confidence, risk;
        const char *approved_by; /* NULL: nobody had to */
};
/* Adds the record to the batch that makes the change: both become durable together or not at all. */
enum vn_rc vn_record_change(struct vn_server *server, struct vn_batch *batch, const struct vn_change *change,
                            char ret_id[VN_DECISION_ID_TEXT_BYTES], struct vn_err *err) VN_MUST_USE;

/* This boot's origin, and the store's index key of a decision id or of the outcome that ends it. */
uint64_t vn_record_origin(const struct vn_server *server);
uint64_t vn_record_origin_key(const struct vn_decision_id *id, bool outcome);
/* Records that the server writes of itself: encoded with a fresh seed, in the default tenant. Any thread. */
void vn_record_tombstone_id(const struct vn_server *server, uint64_t number, struct vn_decision_id *ret);
enum vn_rc vn_record_of_system(struct vn_record *record, const char *actor, struct vn_buf *ret) VN_MUST_USE;
/* What the store must know of records; `server` is asked only for gap records. */
void vn_record_ops(struct vn_server *server, struct vn_record_ops *ret);

#endif
