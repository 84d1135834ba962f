/* judge.c - averages a round's updates and evaluates the candidate, on the compute loop. */
#include <stdio.h>

#include "federation/aggregate.h"
#include "server/registry/registry.h"
#include "server/rounds/internal.h"
#include "server/telemetry/telemetry.h"

#define MAX_FUNCTIONS 200000
#define SCAN_STEP 500

struct known_account {
        uint64_t id;
        enum vn_platform platform;
};
struct job {
        struct vn_task task;
        struct vn_server *server;
        struct vn_round round; /* updates are a copy; round.round 0: evaluation only */
        struct known_account *accounts;
        size_t account_count;
        struct vn_judgement judgement;
        struct vn_evaluation *evaluation;
        struct vn_key after;
        size_t scanned;
};

static void job_free(struct job *job)
{
        vn_free(job->round.updates);
        vn_free(job->accounts);
        vn_evaluation_free(job->evaluation);
        vn_model_free(job->judgement.candidate);
        vn_free(job);
}

/* --- averaging --- */

struct average {
        struct vn_update *updates;
        struct vn_buf *bytes;
        char (*names)[24];
        float *mean;
        size_t count;
};

static void average_done(struct average *a)
{
        for (size_t i = 0; a->bytes && i < a->count; i++)
                vn_buf_done(&a->bytes[i]);
        vn_free(a->updates);
        vn_free(a->bytes);
        vn_free(a->names);
        vn_free(a->mean);
}

static enum vn_rc average_load(const struct job *job, const struct vn_model *base, struct average *a,
                               struct vn_err *err)
{
        size_t n = a->count = job->round.update_count;
        a->updates = vn_alloc_array(n, sizeof *a->updates);
        a->bytes = vn_alloc_array(n, sizeof *a->bytes);
        a->names = vn_alloc_array(n, sizeof *a->names);
        a->mean = vn_alloc_array(base->parameter_count, sizeof(float));
        if (!a->updates || !a->bytes || !a->names || !a->mean)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        for (size_t i = 0; i < n; i++) {
                const struct vn_round_update *u = &job->round.updates[i];
                struct vn_hash hash;
                a->bytes[i] = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
                memcpy(hash.b, u->sha256, sizeof hash.b);
                VN_TRY(vn_store_blob_get(job->server->store, &hash, &a->bytes[i], err));
                if (a->bytes[i].len != base->parameter_count * sizeof(float))
                        return vn_fail(err, VN_DATA_LOSS, "round: a journalled update has another size");
                /* Twenty digits: the order of ids as texts is their order as numbers. */
                snprintf(a->names[i], sizeof a->names[i], "%020llu", (unsigned long long)u->account_id);
                a->updates[i] = (struct vn_update){a->names[i], (double)u->weight, (const float *)a->bytes[i].ptr};
        }
        return VN_OK;
}

static enum vn_rc make_candidate(struct job *job, struct vn_err *err)
{
        const struct vn_model *base = job->server->rounds->current;
        struct average a = {0};
        struct vn_model *candidate = NULL;
        enum vn_rc rc = average_load(job, base, &a, err);
        if (rc == VN_OK)
                rc = vn_aggregate(vn_strategy_find("fedavg"), a.updates, a.count, base->parameter_count, 0, a.mean,
                                  err);
        if (rc == VN_OK)
                rc = vn_model_clone(base, &candidate, err);
        for (size_t i = 0; rc == VN_OK && i < base->parameter_count; i++)
                candidate->parameters[i] += a.mean[i];
        average_done(&a);
        VN_TRY(rc);
        candidate->version = base->version + 1;
        candidate->round = job->round.round;
        memcpy(candidate->parent, base->hash, sizeof candidate->parent);
        job->judgement.candidate = candidate;
        return vn_model_blob_put(job->server, candidate, &job->judgement.row, err);
}

/* --- evaluation, over every window that is still kept --- */

static enum vn_rc push(struct job *job, struct vn_str key, struct vn_str value, struct vn_err *err)
{
        struct vn_str tenant;
        uint64_t account_id;
        char scope[24];
        size_t i = 0;
        if (!vn_key_take_text(&key, &tenant) || !vn_key_take_u64(&key, &account_id))
                return VN_OK;
        while (i < job->account_count && job->accounts[i].id != account_id)
                i++;
        if (i == job->account_count)
                return VN_OK;
        union {
                const char *in;
                const uint8_t *out;
        } bytes = {.in = value.ptr};
        Vane__V1__Window *m = vane__v1__window__unpack(NULL, value.len, bytes.out);
        struct vn_window *window = vn_alloc(sizeof *window);
        enum vn_rc rc = m && window ? vn_window_from_proto(m, window, err)
                                    : vn_fail(err, VN_RESOURCE_EXHAUSTED, "evaluation: out of memory");
        snprintf(scope, sizeof scope, "%llu", (unsigned long long)account_id);
        if (rc == VN_OK)
                rc = vn_evaluation_push(job->evaluation, scope, job->accounts[i].platform, window, err);
        if (m)
                vane__v1__window__free_unpacked(m, NULL);
        vn_free(window);
        return rc;
}

static bool scan_window(void *arg, struct vn_str key, struct vn_str value)
{
        struct job *job = arg;
        job->scanned++;
        job->after.len = (uint16_t)key.len;
        memcpy(job->after.bytes, key.ptr, key.len);
        job->judgement.rc = push(job, key, value, &job->judgement.err);
        return job->judgement.rc == VN_OK;
}

/* In steps: a read transaction must not live long. Keys end in the start time, so each function comes in its order. */
static enum vn_rc evaluate(struct job *job, struct vn_err *err)
{
        const struct vn_rounds *rounds = job->server->rounds;
        const struct vn_model *models[3] = {rounds->first, rounds->current, job->judgement.candidate};
        struct vn_key all = {0};
        VN_TRY(vn_evaluation_new(models, models[2] ? 3 : 2, MAX_FUNCTIONS, &job->evaluation, err));
        do {
                struct vn_key after = job->after;
                job->scanned = 0;
                VN_TRY(vn_store_scan(job->server->store, VN_TABLE_windows, &all, after.len ? &after : NULL, SCAN_STEP,
                                     scan_window, job, err));
                VN_TRY(job->judgement.rc);
        } while (job->scanned == SCAN_STEP);
        vn_evaluation_result(job->evaluation, &job->judgement.result);
        return VN_OK;
}

/* --- the job's way --- */

static void job_back(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        if (job->server->rounds) /* NULL: vaned is stopping; the row stays as it is and is taken up again */
                vn_rounds_judged(job->server, &job->judgement);
        job_free(job);
}

static void job_run(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        struct vn_judgement *j = &job->judgement;
        if (job->round.round)
                j->rc = make_candidate(job, &j->err);
        if (j->rc == VN_OK)
                j->rc = evaluate(job, &j->err);
        job->task.run = job_back;
        vn_loop_post(job->server->control, &job->task);
}

static enum vn_rc job_fill(struct job *job, struct vn_err *err)
{
        struct vn_rounds *rounds = job->server->rounds;
        struct vn_registry *registry = job->server->registry;
        job->account_count = vn_registry_count(registry);
        job->accounts = vn_alloc_array(job->account_count + 1, sizeof *job->accounts);
        if (!job->accounts)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        for (size_t i = 0; i < job->account_count; i++) {
                const struct vn_account_entry *account = vn_registry_at(registry, i);
                job->accounts[i] = (struct known_account){account->id, (enum vn_platform)account->cloud};
        }
        if (!rounds->is_open)
                return VN_OK;
        job->round = rounds->open;
        job->round.updates = vn_alloc_array(rounds->open.update_count + 1, sizeof *job->round.updates);
        if (!job->round.updates)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        memcpy(job->round.updates, rounds->open.updates, rounds->open.update_count * sizeof *job->round.updates);
        return VN_OK;
}

enum vn_rc vn_rounds_judge(struct vn_server *server, struct vn_err *err)
{
        struct job *job = vn_alloc(sizeof *job);
        if (!job)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        job->server = server;
        job->task.run = job_run;
        enum vn_rc rc = job_fill(job, err);
        if (rc != VN_OK) {
                job_free(job);
                return rc;
        }
        server->rounds->job_running = true;
        vn_loop_post(server->rounds->compute, &job->task);
        return VN_OK;
}
