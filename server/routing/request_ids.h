/* request_ids.h - answers already given: the same request, asked again, gets the first one.
 * Kept are the newest, at most VN_REQUEST_IDS; after a restart those that stand among VN_REQUEST_IDS_READ newest decisions.
 * Threads: claim, answer and drop on any edge loop; the rest at start and stop. Ownership: _new/_free. */
#ifndef VANE_SERVER_ROUTING_REQUEST_IDS_H
#define VANE_SERVER_ROUTING_REQUEST_IDS_H

#include "decide/decide.h"
#include "store/store.h"

#define VN_REQUEST_IDS 16384
#define VN_REQUEST_IDS_READ 262144
#define VN_REQUEST_KEY_BYTES 16
struct vn_request_answer {
        struct vn_decision_id id;
        uint64_t endpoint_id;
        double cost, latency_us;
        enum vn_decision_status status;
};
enum vn_request_state {
        VN_REQUEST_NEW,      /* now the caller's to answer or to drop */
        VN_REQUEST_CLAIMED,  /* another loop decides it this very moment */
        VN_REQUEST_ANSWERED, /* *ret is filled; it may not be journalled yet */
};
/* What counts as the same request: tenant, caller, workload and the id. */
void vn_request_key(const char *tenant, const char *actor, const char *workload, const char *request_id,
                    uint8_t ret[VN_REQUEST_KEY_BYTES]);
struct vn_request_ids *vn_request_ids_new(void);
struct vn_request_ids *vn_request_ids_free(struct vn_request_ids *ids);
enum vn_rc vn_request_ids_load(struct vn_request_ids *ids, struct vn_store *store, struct vn_err *err) VN_MUST_USE;
enum vn_request_state vn_request_ids_claim(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES],
                                           struct vn_request_answer *ret);
void vn_request_ids_answer(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES],
                           const struct vn_request_answer *answer);
void vn_request_ids_drop(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES]); /* of a claim only */

#endif
