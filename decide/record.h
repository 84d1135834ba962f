/* record.h - the one record shape of every decision, its bytes, its leaf in the log, and replay.
 * Purpose: a route, a memory size, a promotion, a policy edit: one record, one explain path, one audit path.
 * Bytes: fixed header, salts' seed, then six redaction groups. Canonical: one record has one encoding, and decoding
 *   refuses anything that encoding cannot have made. A routed call's record stays under 512 bytes
 *   in practice (one journal slot, 1,000, holds it with every candidate busy).
 * Leaf: header without personal data, then six commitments SHA-256(salt_g || group bytes), zero for an empty group;
 *   the salts come from the seed. Redaction empties a group's bytes, replaces the seed by the salts of the groups that
 *   remain and keeps the erased groups' commitments: the leaf, and so every proof, stays the same.
 * Threads: any; pure. Ownership: values; texts are copied. */
#ifndef VANE_DECIDE_RECORD_H
#define VANE_DECIDE_RECORD_H

#include "decide/decide.h"

#define VN_RECORD_FORMAT 1
#define VN_RECORD_MAX_BYTES 3072 /* with every text at its longest */
#define VN_RUN_MAX 256           /* decisions in one record (run.h) */
#define VN_RUN_MAX_BYTES 16000   /* what a journal takes as one record */
#define VN_RECORD_SEED_BYTES 16
#define VN_RECORD_HEADER_BYTES 40
#define VN_RECORD_GROUPS 6
#define VN_RECORD_LEAF_BYTES (VN_RECORD_HEADER_BYTES + 32 * VN_RECORD_GROUPS)

enum vn_record_kind {
        VN_RECORD_ROUTE = 1,
        VN_RECORD_MEMORY, /* a memory size proposed, approved, applied, kept or rolled back */
        VN_RECORD_MODEL,  /* a model version promoted or refused */
        VN_RECORD_POLICY,
        VN_RECORD_ACCOUNT, /* registered, promoted, revoked */
        VN_RECORD_PAUSE,
        VN_RECORD_PEOPLE,
        VN_RECORD_GAP,       /* answers that could not be recorded */
        VN_RECORD_TOMBSTONE, /* expiry or redaction */
        VN_RECORD_OUTCOME,   /* how a routed call ended; refers to its decision */
};
#define VN_RECORD_KIND_COUNT 11                            /* with 0, which is none */
const char *vn_record_kind_name(enum vn_record_kind kind); /* "route", ... "unknown" */
bool vn_record_kind_parse(struct vn_str name, enum vn_record_kind *ret);

enum vn_record_group {
        VN_GROUP_IDENTITY,
        VN_GROUP_QUESTION,
        VN_GROUP_CHOICE,
        VN_GROUP_REASONS,
        VN_GROUP_OUTCOME,
        VN_GROUP_REST
};
enum vn_record_mode { VN_MODE_SHADOW, VN_MODE_ADVISORY, VN_MODE_AUTOMATIC, VN_MODE_SPLIT, VN_MODE_APPROVED };
const char *vn_record_mode_name(enum vn_record_mode mode);

struct vn_record_side { /* the choice, or the runner-up, with what it takes to explain it once the view is gone */
        uint64_t endpoint_id;
        uint8_t index, provider;
        char account[64], region[48];
        double score;
        struct vn_features features;
};
struct vn_record {
        enum vn_record_kind kind;
        struct vn_decision_id id; /* loop VN_CONTROL_LOOP for changes */
        int64_t time_us;          /* a hint: order is the log's */
        uint32_t decide_version;
        uint8_t seed[VN_RECORD_SEED_BYTES];
        /* redaction: groups erased, salts of the others, commitments of the erased ones */
        uint8_t erased; /* bit a group */
        uint8_t salt[VN_RECORD_GROUPS][VN_RECORD_SEED_BYTES];
        uint8_t erased_commitment[VN_RECORD_GROUPS][32];
        /* identity */
        char tenant[64], actor[64], delegation[64], request_id[64], approved_by[64];
        /* question */
        char workload[192], caller_region[48];
        uint32_t payload_bytes, response_bytes;
        struct vn_bits128 caller_excluded;
        /* choice */
        enum vn_record_mode mode;
        enum vn_decision_status status;
        bool explored, over_budget;
        bool has_runner_up;
        struct vn_record_side choice, runner_up;  /* of routes */
        char subject[192], before[96], after[96]; /* of changes: what changes, from, to */
        double value_before, value_after;         /* the same as numbers where there are any: MB, loss */
        /* reasons */
        char summary[256]; /* of changes; a route's sentence is made when asked for */
        double margin;
        float confidence;
        struct vn_weights weights;
        struct vn_risk risk;
        uint8_t candidates;
        struct vn_bits128 excluded[VN_EXCLUSION_COUNT]; /* by reason: bit a candidate */
        /* outcome */
        uint8_t outcome_status; /* of vane.v1.Outcome.Status; 0: none */
        uint64_t outcome_latency_us;
        uint32_t outcome_response_bytes;
        struct vn_decision_id outcome_of;
        /* rest */
        uint8_t view_id[32];
        uint64_t epoch, model_version, price_version, policy_version;
        char policy[VN_POLICY_NAME_BYTES];
        uint8_t retention_class;
        uint64_t count, first_seq, last_seq; /* gaps and tombstones */
        struct vn_live live;
};
#define VN_CONTROL_LOOP 0xffffu

/* A route's record from what was decided; identity, caller_region and seed are the caller's to fill. */
void vn_record_of_route(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                        const struct vn_decision *decision, struct vn_record *ret);
/* Into a fixed buffer, no allocation. RESOURCE_EXHAUSTED beyond `cap` (VN_RECORD_MAX_BYTES always fits). */
enum vn_rc vn_record_encode(const struct vn_record *record, uint8_t *ret, size_t cap, size_t *ret_len,
                            struct vn_err *err) VN_MUST_USE;
/* Of one decision; FAILED_PRECONDITION for a record that holds several: run.h reads both. */
enum vn_rc vn_record_decode(struct vn_str bytes, struct vn_record *ret, struct vn_err *err) VN_MUST_USE;

/* The leaf of encoded bytes. */
enum vn_rc vn_record_leaf(struct vn_str bytes, uint8_t ret[VN_RECORD_LEAF_BYTES], struct vn_err *err) VN_MUST_USE;
/* DATA_LOSS when the leaf is not that of the bytes. */
enum vn_rc vn_record_verify_leaf(struct vn_str bytes, struct vn_str leaf, struct vn_err *err) VN_MUST_USE;
/* Erases groups (bits): new bytes with the same leaf. */
enum vn_rc vn_record_redact(struct vn_str bytes, uint8_t groups, uint8_t *ret, size_t cap, size_t *ret_len,
                            struct vn_err *err) VN_MUST_USE;

/* What a store needs to find the record again; from the header and two fields, without a full decode. */
struct vn_record_index {
        enum vn_record_kind kind;
        struct vn_decision_id id;
        uint32_t count; /* of decisions; what follows is the first one's */
        int64_t time_us;
        struct vn_str tenant, workload; /* point into the bytes; empty if erased */
};
enum vn_rc vn_record_peek(struct vn_str bytes, struct vn_record_index *ret, struct vn_err *err) VN_MUST_USE;

/* Decides one of the record's decisions again and makes the whole record's bytes anew (at most VN_RUN_MAX_BYTES). OK and
 * identical bytes, or DATA_LOSS with the first difference; NOT_FOUND if the decision is not in it; UNIMPLEMENTED for a
 * decide_version that this program no longer has, FAILED_PRECONDITION for another view or an erased group, never a false
 * mismatch. */
enum vn_rc vn_record_replay(struct vn_str bytes, const struct vn_decision_id *id, const struct vn_view *view,
                            uint8_t *ret, size_t cap, size_t *ret_len, struct vn_err *err) VN_MUST_USE;
/* The question and live vector that a record carries. */
void vn_record_question(const struct vn_record *record, struct vn_question *ret);

#endif
