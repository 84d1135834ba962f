/* aggregate.c - the heavy part of a round, on the compute thread: average, evaluate, post back. */
#include <stdio.h>

#include "federation/evaluate.h"
#include "server/registry/registry.h"
#include "server/rounds/internal.h"
#include "server/state.h"
#include "server/telemetry/telemetry.h"
#include "vane/v1/agent.pb-c.h"

#define MAX_FUNCTIONS 100000
#define MIN_WINDOWS 10 /* held-out windows without which no model is promoted */

struct job {
        struct vn_task task;
        struct vn_server *server;
        struct vn_lineage *lineage; /* the control loop's but for its tenant */
        uint64_t round;
        struct vn_hash first_blob, base_blob;
        size_t count;
        struct vn_round_update *updates;
        /* which account is on which cloud, copied: the registry is the control loop's */
        size_t account_count;
        struct {
                uint64_t id;
                enum vn_platform platform;
        } * accounts;
        struct vn_model *candidate;
        bool better;
        double losses[3], baseline;
        char note[128];
};

static void job_free(struct job *job)
{
        vn_free(job->updates);
        vn_free(job->accounts);
        vn_free(job);
}

static void job_done(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        if (!job->server->rounds) { /* vaned is stopping: the round stays open in the store and is taken up again */
                vn_model_free(job->candidate);
                job_free(job);
                return;
        }
        vn_rounds_computed(job->server, job->lineage, job->round, job->candidate, job->better, job->losses,
                           job->baseline, job->note);
        job_free(job);
}

static enum vn_rc average(struct job *job, const struct vn_model *base, struct vn_err *err)
{
        size_t parameters = base->parameter_count;
        struct vn_update *updates = vn_alloc_array(job->count, sizeof *updates);
        struct vn_buf *blobs = vn_alloc_array(job->count, sizeof *blobs);
        char(*names)[24] = vn_alloc_array(job->count, sizeof *names);
        float *mean = vn_alloc_array(parameters, sizeof *mean);
        enum vn_rc rc =
                updates && blobs && names && mean ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        for (size_t i = 0; rc == VN_OK && i < job->count; i++) {
                blobs[i] = VN_BUF_INIT(parameters * sizeof(float));
                rc = vn_store_blob_get(job->server->store, &job->updates[i].blob, &blobs[i], err);
                snprintf(names[i], sizeof names[i], "%020llu", (unsigned long long)job->updates[i].account_id);
                union {
                        char *bytes;
                        float *floats;
                } values = {.bytes = blobs[i].ptr};
                updates[i] = (struct vn_update){names[i], (double)job->updates[i].weight, values.floats};
        }
        if (rc == VN_OK)
                rc = vn_aggregate(vn_strategy_find("fedavg"), updates, job->count, parameters, 0, mean, err);
        if (rc == VN_OK)
                rc = vn_model_clone(base, &job->candidate, err);
        if (rc == VN_OK) {
                for (size_t i = 0; i < parameters; i++)
                        job->candidate->parameters[i] += mean[i];
                job->candidate->version = base->version + 1;
                job->candidate->round = job->round;
                memcpy(job->candidate->parent, base->hash, sizeof base->hash);
                rc = vn_model_seal(job->candidate, err);
        }
        for (size_t i = 0; blobs && i < job->count; i++)
                vn_buf_done(&blobs[i]);
        vn_free(blobs);
        vn_free(names);
        vn_free(updates);
        vn_free(mean);
        return rc;
}

struct push {
        struct job *job;
        struct vn_evaluation *evaluation;
        struct vn_window *window;
};

static enum vn_rc push_window(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct push *push = arg;
        struct vn_str tenant;
        uint64_t account_id = 0;
        char scope[24];
        enum vn_rc rc = vn_window_from_proto((Vane__V1__Window *)message, push->window, err);
        protobuf_c_message_free_unpacked(message, NULL);
        if (rc != VN_OK || !vn_key_take_text(&key, &tenant) || !vn_key_take_u64(&key, &account_id) ||
            !vn_str_eq(tenant, vn_str(push->job->lineage->tenant)))
                return rc;
        snprintf(scope, sizeof scope, "%llu", (unsigned long long)account_id);
        for (size_t i = 0; i < push->job->account_count; i++)
                if (push->job->accounts[i].id == account_id)
                        return vn_evaluation_push(push->evaluation, scope, push->job->accounts[i].platform,
                                                  push->window, err);
        return VN_OK;
}

/* Keys are by account, function, region, start: each function's windows come in order of time. */
static enum vn_rc evaluate(struct job *job, const struct vn_model *first, const struct vn_model *base,
                           struct vn_eval_result *ret, struct vn_err *err)
{
        const struct vn_model *models[3] = {first, base, job->candidate};
        VN_AUTO(vn_evaluation)
        evaluation = NULL;
        VN_TRY(vn_evaluation_new(models, 3, MAX_FUNCTIONS, &evaluation, err));
        struct push push = {job, evaluation, vn_alloc(sizeof *push.window)};
        if (!push.window)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        enum vn_rc rc = vn_state_load(job->server->store, VN_TABLE_windows, &vane__v1__window__descriptor,
                                      push_window, &push, err);
        vn_free(push.window);
        if (rc == VN_OK)
                vn_evaluation_result(evaluation, ret);
        return rc;
}

static void job_run(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        struct vn_err err;
        struct vn_eval_result result = {0};
        VN_AUTO(vn_model)
        first = NULL;
        VN_AUTO(vn_model)
        base = NULL;
        enum vn_rc rc = vn_rounds_load_model(job->server->store, &job->first_blob, &first, &err);
        if (rc == VN_OK)
                rc = vn_rounds_load_model(job->server->store, &job->base_blob, &base, &err);
        if (rc == VN_OK)
                rc = average(job, base, &err);
        if (rc == VN_OK)
                rc = evaluate(job, first, base, &result, &err);
        if (rc != VN_OK) {
                snprintf(job->note, sizeof job->note, "%s", err.msg);
                job->candidate = vn_model_free(job->candidate);
        } else {
                memcpy(job->losses, result.loss, sizeof job->losses);
                job->baseline = result.baseline_loss;
                job->better = result.windows >= MIN_WINDOWS && result.loss[2] < result.loss[1];
                snprintf(job->note, sizeof job->note, "%llu held-out windows%s", (unsigned long long)result.windows,
                         result.windows < MIN_WINDOWS ? ": too few to judge by" : "");
        }
        job->task.run = job_done;
        vn_loop_post(job->server->control, &job->task);
}

void vn_rounds_compute(struct vn_server *server, struct vn_lineage *lineage, struct vn_round_entry *round)
{
        struct job *job = vn_alloc(sizeof *job);
        size_t accounts = vn_registry_count(server->registry);
        if (job) {
                job->updates = vn_alloc_array(round->update_count + 1, sizeof *job->updates);
                job->accounts = vn_alloc_array(accounts + 1, sizeof *job->accounts);
        }
        if (!job || !job->updates || !job->accounts) {
                if (job)
                        job_free(job);
                lineage->computing = false; /* the next tick tries again */
                return;
        }
        job->task.run = job_run;
        job->server = server;
        job->lineage = lineage;
        job->round = round->round;
        job->first_blob = lineage->models[0].blob;
        job->base_blob = lineage->models[lineage->model_count - 1].blob;
        job->count = round->update_count;
        memcpy(job->updates, round->updates, round->update_count * sizeof *job->updates);
        for (size_t i = 0; i < accounts; i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                if (strcmp(a->tenant, lineage->tenant))
                        continue;
                job->accounts[job->account_count].id = a->id;
                job->accounts[job->account_count++].platform = (enum vn_platform)a->cloud;
        }
        vn_loop_post(server->rounds->compute, &job->task);
}
