/* run.h - many routes in one record: what a streamed batch leaves behind.
 * Purpose: a batch is one journal entry, one stored record and one leaf, written and hashed once for all its decisions.
 * Form: the frame of record.h, whose header counts the decisions (a record of one says 0). Ids follow on from the
 *   header's. Each redaction group holds that group of every decision, one after the other, each as its change against
 *   the one before; the question's begin with the time passed. So redaction, leaf and proof are those of any record,
 *   and an erased group is erased for all of the run.
 * Canonical: one run has one encoding; reading refuses anything that building cannot have made.
 * Threads: any; pure. Ownership: the builder is its maker's, about 120 KB; a reader is a value and points into the bytes. */
#ifndef VANE_DECIDE_RUN_H
#define VANE_DECIDE_RUN_H

#include "decide/record_codec.h"

struct vn_run;
struct vn_run *vn_run_new(void); /* NULL: out of memory */
struct vn_run *vn_run_free(struct vn_run *run);
VN_DEFINE_AUTO(vn_run);
void vn_run_begin(struct vn_run *run); /* empty again */
uint32_t vn_run_count(const struct vn_run *run);
/* Appends; RESOURCE_EXHAUSTED if it does not fit any more: finish, begin anew, add it there. INVALID_ARGUMENT if it is no
 * route whose id follows on. Of the first record come the seed and what is erased. */
enum vn_rc vn_run_add(struct vn_run *run, const struct vn_record *record, struct vn_err *err) VN_MUST_USE;
/* The bytes of what was added; of one decision they are vn_record_encode's. `cap` of VN_RUN_MAX_BYTES always fits. */
enum vn_rc vn_run_finish(const struct vn_run *run, uint8_t *ret, size_t cap, size_t *ret_len,
                         struct vn_err *err) VN_MUST_USE;

/* Reads records of any kind: one decision after the other. */
struct vn_run_reader {
        struct vn_str bytes;
        struct vn_frame frame;
        struct vn_in in[VN_RECORD_GROUPS];
        uint32_t count, at;
        struct vn_decision_id id;
        int64_t time_us;
        uint8_t last[VN_RECORD_GROUPS][VN_RECORD_MAX_BYTES]; /* the present decision's groups, whole */
        size_t last_len[VN_RECORD_GROUPS];
};
enum vn_rc vn_run_open(struct vn_run_reader *ret, struct vn_str bytes, struct vn_err *err) VN_MUST_USE;
/* NOT_FOUND after the last; DATA_LOSS for bytes that no builder made. */
enum vn_rc vn_run_next(struct vn_run_reader *reader, struct vn_record *ret, struct vn_err *err) VN_MUST_USE;
/* The decision with that id, after all of the record was read; NOT_FOUND if it is not in it. */
enum vn_rc vn_run_find(struct vn_str bytes, const struct vn_decision_id *id, struct vn_record *ret,
                       struct vn_err *err) VN_MUST_USE;

/* Workloads and times of a record without a full decode, for a store's summaries: `workload` is called once for each
 * stretch of decisions of the same one, with nothing if the question was erased. */
struct vn_run_span {
        int64_t first_us, last_us;
};
enum vn_rc vn_run_scan(struct vn_str bytes, void (*workload)(void *arg, struct vn_str name), void *arg,
                       struct vn_run_span *ret, struct vn_err *err) VN_MUST_USE;

#endif
