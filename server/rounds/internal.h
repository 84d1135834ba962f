/* internal.h - the inside of server/rounds/, shared by its files only.
 * States: collecting -> aggregating -> promoted | refused | failed. A round is a row of the table `rounds` that is
 *   written at each step, together with what the step decides; its updates are blobs, durable before the row names
 *   them. So a kill at any instant leaves a row from which vn_rounds_start goes on, and averaging again gives the same
 *   bits.
 * Threads: everything belongs to the control loop, except `shared` (mutex) and what a job borrows while it runs on the
 *   compute loop: models and the open round stay as they are until the job has come back. */
#ifndef VANE_SERVER_ROUNDS_INTERNAL_H
#define VANE_SERVER_ROUNDS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/loop.h"
#include "federation/evaluate.h"
#include "federation/gate.h"
#include "server/rounds/rounds.h"
#include "store/blob.h"
#include "vane/state/state.pb-c.h"

#define VN_MAX_ROUND_UPDATES 1000
#define VN_ROUNDS_REMEMBERED 1000
#define VN_MODEL_NAME "latency"
#define VN_ROUND_MAX_NORM 50.0      /* of an update; a local training moves a model by about 1 to 5 */
#define VN_ROUND_MAX_WEIGHT 5000    /* samples: no account counts for more */
#define VN_ROUND_MAX_IN_FLIGHT (64u << 20) /* bytes of updates that are being received */
#define VN_ROUND_EPOCHS 6
#define VN_ROUND_BATCH 32
#define VN_ROUND_LEARNING_RATE 0.004

enum vn_round_state { VN_ROUND_COLLECTING, VN_ROUND_AGGREGATING, VN_ROUND_PROMOTED, VN_ROUND_REFUSED, VN_ROUND_FAILED };
const char *vn_round_state_name(enum vn_round_state state);

struct vn_round_update {
        uint64_t account_id, weight;
        uint8_t sha256[32];
};
struct vn_round {
        uint64_t round, base_version, new_version; /* new_version 0: none */
        enum vn_round_state state;
        uint32_t quorum, refused;
        uint32_t update_count; /* of ended rounds too, whose updates are gone */
        double loss_before, loss_after, baseline_loss;
        int64_t started_us, ended_us, deadline_us;
        char note[160];
        struct vn_round_update *updates; /* of the open round: room for VN_MAX_ROUND_UPDATES */
};
struct vn_model_row {
        uint64_t version, round, parameters;
        uint8_t sha256[32]; /* of the blob */
        double eval_loss, baseline_loss;
        int64_t time_us;
        char decision_id[64];
};

/* A model's bytes on their way to agents; freed by the last who holds them. */
struct vn_model_bytes {
        atomic_uint references;
        uint64_t version;
        struct vn_buf bytes;
};
struct vn_model_bytes *vn_model_bytes_unref(struct vn_model_bytes *bytes);

struct vn_rounds {
        struct vn_server *server;
        struct vn_loop *compute;
        struct vn_round open; /* valid while is_open */
        bool is_open, job_running;
        struct vn_round *ended; /* oldest first, the newest VN_ROUNDS_REMEMBERED */
        size_t ended_count;
        uint64_t last_round, judged; /* judged: ended promoted or refused, ever */
        struct vn_model_row *models; /* by version */
        size_t model_count;
        struct vn_model *first, *current;
        int64_t next_round_us;
        struct vn_rounds_figures figures;
        double model_error;
        pthread_mutex_t mutex;
        struct {
                bool open;
                struct vn_gate_rules rules;
                int64_t deadline_us;
                struct vn_model_bytes *bytes; /* of the current model */
        } shared;
        struct vn_gate gate;
        atomic_uint refused;      /* of the open round */
        atomic_size_t in_flight;  /* bytes */
};

/* rounds_store.c */
enum vn_rc vn_rounds_load(struct vn_rounds *rounds, struct vn_err *err) VN_MUST_USE;
void vn_round_put(struct vn_batch *batch, const struct vn_round *round);
enum vn_rc vn_rounds_remember(struct vn_rounds *rounds, const struct vn_round *round, struct vn_err *err) VN_MUST_USE;
/* Encodes, stores the blob, fills the row's hash and size. Waits for the disk. */
enum vn_rc vn_model_blob_put(struct vn_server *server, struct vn_model *model, struct vn_model_row *ret,
                             struct vn_err *err) VN_MUST_USE;
void vn_model_row_put(struct vn_batch *batch, const struct vn_model_row *row);
enum vn_rc vn_rounds_add_model(struct vn_rounds *rounds, const struct vn_model_row *row, struct vn_err *err) VN_MUST_USE;

/* rounds.c */
void vn_rounds_share(struct vn_rounds *rounds); /* brings `shared` up to date */
enum vn_rc vn_rounds_begin(struct vn_server *server, int64_t now_us, struct vn_err *err) VN_MUST_USE;
size_t vn_rounds_online(const struct vn_server *server);

/* judge.c: averages and evaluates on the compute loop, then calls vn_rounds_judged on the control loop. */
struct vn_judgement {
        enum vn_rc rc;
        struct vn_err err;
        struct vn_model *candidate; /* NULL: only the current model was evaluated */
        struct vn_model_row row;    /* of the candidate, whose blob is stored */
        struct vn_eval_result result; /* models: first, current, candidate */
};
enum vn_rc vn_rounds_judge(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_rounds_judged(struct vn_server *server, struct vn_judgement *judgement);

#endif
