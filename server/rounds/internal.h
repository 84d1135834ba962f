/* internal.h - the rounds module's state; see rounds.h for threads. */
#ifndef VANE_SERVER_ROUNDS_INTERNAL_H
#define VANE_SERVER_ROUNDS_INTERNAL_H

#include "federation/aggregate.h"
#include "federation/gate.h"
#include "server/rounds/rounds.h"
#include "server/tenants.h"
#include "store/blob.h"
#include "store/store.h"
#include "vane/state/state.pb-c.h"

#define VN_ROUND_MAX_UPDATES 1000
#define VN_ROUND_KEEP 200          /* rounds kept in memory for the pages */
#define VN_UPDATE_MAX_NORM 50.0    /* L2 of a local update; honest ones are far below 10 */
#define VN_UPDATE_MAX_WEIGHT 10000 /* samples that one account may declare */

struct vn_round_update {
        uint64_t account_id, weight;
        struct vn_hash blob;
};
struct vn_round_entry {
        uint64_t round, base_version, new_version;
        char state[16]; /* collecting, aggregating, promoted, refused, failed */
        char note[128];
        uint32_t quorum, refused;
        double loss_before, loss_after, baseline;
        int64_t started_us, ended_us, deadline_us;
        size_t update_count;
        struct vn_round_update *updates;
};
struct vn_model_entry {
        uint64_t version, round, parameters;
        struct vn_hash blob;
        double eval_loss, baseline_loss;
        int64_t time_us;
        char decision_id[48];
};

/* What one tenant's accounts have learnt together. No other tenant's updates come in, and no other's views use it. */
struct vn_lineage {
        char tenant[VN_MAX_TENANT_BYTES];
        struct vn_model *current, *first;
        struct vn_model_entry *models;
        size_t model_count;
        struct vn_round_entry *rounds; /* by number, the newest last */
        size_t round_count;
        bool open;      /* the last of rounds collects */
        bool computing; /* and is being averaged */
        int64_t next_us;
        uint64_t ended;
        double loss_first, loss_last, baseline;
        struct vn_gate gate;
};

struct vn_rounds {
        struct vn_server *server;
        struct vn_loop *compute;
        struct vn_lineage *of[VN_MAX_TENANTS]; /* by the tenant's number */
};

/* lineage.c */
struct vn_lineage *vn_lineage_new(struct vn_server *server, const char *tenant); /* NULL: no memory */
enum vn_rc vn_lineages_load(struct vn_rounds *rounds, struct vn_err *err) VN_MUST_USE;
struct vn_round_entry *vn_lineage_add_round(struct vn_lineage *lineage); /* zeroed; NULL: no memory */
struct vn_model_entry *vn_lineage_add_model(struct vn_lineage *lineage);
void vn_lineage_key(struct vn_key *key, const char *tenant, uint64_t number); /* of a round, of a model version */
void vn_round_store(struct vn_batch *batch, const struct vn_lineage *lineage, const struct vn_round_entry *round);
void vn_model_store(struct vn_batch *batch, const struct vn_lineage *lineage, const struct vn_model_entry *model);
/* Puts the model's bytes away and fills the entry that names them. */
enum vn_rc vn_model_put(struct vn_server *server, struct vn_model *model, struct vn_model_entry *ret,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_rounds_load_model(struct vn_store *store, const struct vn_hash *blob, struct vn_model **ret,
                                struct vn_err *err) VN_MUST_USE;

struct vn_lineage *vn_rounds_of(const struct vn_server *server, const char *tenant); /* never NULL */
struct vn_round_entry *vn_rounds_open(struct vn_lineage *lineage);                   /* NULL: none collects */
/* One whole update, gated and journalled; control loop. The reply says accepted or why not. */
struct vn_submission {
        uint64_t account_id;
        uint64_t round, base_version, samples, total_bytes;
        uint8_t sha256[32];
        struct vn_buf bytes;
        enum vn_refusal refusal;
        uint64_t weight;
};
enum vn_rc vn_rounds_accept(struct vn_server *server, struct vn_submission *submission,
                            struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_rounds_begin(struct vn_server *server, struct vn_lineage *lineage, int64_t now_us,
                           struct vn_err *err) VN_MUST_USE;
/* aggregate.c: averages, evaluates, posts the result back to the control loop. */
void vn_rounds_compute(struct vn_server *server, struct vn_lineage *lineage, struct vn_round_entry *round);
void vn_rounds_computed(struct vn_server *server, struct vn_lineage *lineage, uint64_t round,
                        struct vn_model *candidate, bool better, const double losses[3], double baseline,
                        const char *note);

#endif
