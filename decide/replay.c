/* From a decision to its record, and back to the same decision. */
#include <stdio.h>

#include "decide/run.h"

static void side_of(const struct vn_view *view, uint32_t candidate, double score, const struct vn_features *features,
                    struct vn_record_side *ret)
{
        const struct vn_endpoint *e = &view->endpoint[candidate];
        ret->endpoint_id = e->id;
        ret->index = (uint8_t)candidate;
        ret->provider = (uint8_t)e->provider;
        memcpy(ret->account, e->account, sizeof ret->account);
        memcpy(ret->region, e->region, sizeof ret->region);
        ret->score = score;
        ret->features = *features;
}

static enum vn_record_mode mode_of(const struct vn_view *view, const struct vn_decision *decision)
{
        if (decision->status != VN_DECIDED)
                return VN_MODE_SPLIT;
        switch (view->policy.routing_mode) {
        case VN_ROUTING_SHADOW: return VN_MODE_SHADOW;
        case VN_ROUTING_ADVISORY: return VN_MODE_ADVISORY;
        case VN_ROUTING_AUTOMATIC: return VN_MODE_AUTOMATIC;
        }
        return VN_MODE_SHADOW;
}

/* What the view, question, live and decision say; identity, caller_region, seed and outcome stay as they are. */
static void fill(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                 const struct vn_decision *d, struct vn_record *r)
{
        r->kind = VN_RECORD_ROUTE;
        r->id = question->id;
        r->time_us = question->time_us;
        r->decide_version = VN_DECIDE_VERSION;
        memcpy(r->tenant, view->tenant, sizeof r->tenant);
        memcpy(r->workload, view->workload, sizeof r->workload);
        r->payload_bytes = question->payload_bytes;
        r->response_bytes = question->response_bytes;
        r->caller_excluded = question->caller_excluded;
        r->mode = mode_of(view, d);
        r->status = d->status;
        r->explored = d->explored;
        r->over_budget = d->over_budget;
        r->has_runner_up = d->runner_up != VN_NO_CANDIDATE;
        if (d->choice != VN_NO_CANDIDATE)
                side_of(view, d->choice, d->score, &d->features, &r->choice);
        if (r->has_runner_up)
                side_of(view, d->runner_up, d->runner_up_score, &d->runner_up_features, &r->runner_up);
        r->margin = d->margin;
        r->confidence = d->confidence;
        r->weights = d->weights;
        r->risk = d->risk;
        r->candidates = (uint8_t)d->count;
        for (uint32_t i = 0; i < d->count; i++)
                for (uint32_t bits = d->excluded[i]; bits; bits &= bits - 1)
                        vn_bit_set(&r->excluded[__builtin_ctz(bits)], i);
        memcpy(r->view_id, view->id, 32);
        r->epoch = view->epoch;
        r->model_version = view->model_version;
        r->price_version = view->price_version;
        r->policy_version = view->policy_version;
        memcpy(r->policy, view->policy.name, sizeof r->policy);
        r->live = *live;
}

void vn_record_of_route(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                        const struct vn_decision *decision, struct vn_record *ret)
{
        memset(ret, 0, sizeof *ret);
        fill(view, question, live, decision, ret);
}

void vn_record_question(const struct vn_record *record, struct vn_question *ret)
{
        *ret = (struct vn_question){.id = record->id,
                                    .time_us = record->time_us,
                                    .payload_bytes = record->payload_bytes,
                                    .response_bytes = record->response_bytes,
                                    .caller_excluded = record->caller_excluded};
}

static enum vn_rc replayable(const struct vn_record *r, const struct vn_view *view, struct vn_err *err)
{
        if (r->kind != VN_RECORD_ROUTE)
                return vn_fail(err, VN_FAILED_PRECONDITION, "only routes are replayed, this is a %s record",
                               vn_record_kind_name(r->kind));
        if (r->decide_version != VN_DECIDE_VERSION)
                return vn_fail(err, VN_UNIMPLEMENTED,
                               "replay unavailable: decided by version %u, this program has %d", r->decide_version,
                               VN_DECIDE_VERSION);
        if (r->erased)
                return vn_fail(err, VN_FAILED_PRECONDITION, "replay unavailable: parts of the record were erased");
        if (memcmp(r->view_id, view->id, 32))
                return vn_fail(err, VN_FAILED_PRECONDITION, "this is not the view that was decided on");
        return VN_OK;
}

/* One decision again; what deciding cannot know stays as recorded: who asked, the salts, and how it ended. */
static enum vn_rc again(const struct vn_record *recorded, const struct vn_view *view, struct vn_record *ret,
                        struct vn_err *err)
{
        struct vn_question question;
        struct vn_decision decision;
        VN_TRY(replayable(recorded, view, err));
        vn_record_question(recorded, &question);
        vn_decide(view, &question, &recorded->live, &decision);
        vn_record_of_route(view, &question, &recorded->live, &decision, ret);
        memcpy(ret->seed, recorded->seed, sizeof ret->seed);
        memcpy(ret->actor, recorded->actor, sizeof ret->actor);
        memcpy(ret->delegation, recorded->delegation, sizeof ret->delegation);
        memcpy(ret->request_id, recorded->request_id, sizeof ret->request_id);
        memcpy(ret->approved_by, recorded->approved_by, sizeof ret->approved_by);
        memcpy(ret->caller_region, recorded->caller_region, sizeof ret->caller_region);
        ret->retention_class = recorded->retention_class;
        return VN_OK;
}

/* The record anew, with that decision made again and its neighbours as recorded. */
static enum vn_rc rebuild(struct vn_str bytes, const struct vn_decision_id *id, const struct vn_view *view,
                          struct vn_run *run, struct vn_err *err)
{
        struct vn_run_reader reader;
        struct vn_record recorded, replayed;
        bool found = false;
        vn_run_begin(run);
        VN_TRY(vn_run_open(&reader, bytes, err));
        for (uint32_t i = 0; i < reader.count; i++) {
                VN_TRY(vn_run_next(&reader, &recorded, err));
                bool this = recorded.id.origin == id->origin && recorded.id.loop == id->loop &&
                            recorded.id.sequence == id->sequence;
                if (this)
                        VN_TRY(again(&recorded, view, &replayed, err));
                enum vn_rc rc = vn_run_add(run, this ? &replayed : &recorded, err);
                if (rc != VN_OK)
                        return vn_fail(err, VN_DATA_LOSS, "deciding again gives a record that does not fit");
                found |= this;
        }
        return found ? VN_OK : vn_fail(err, VN_NOT_FOUND, "the decision is not in this record");
}

enum vn_rc vn_record_replay(struct vn_str bytes, const struct vn_decision_id *id, const struct vn_view *view,
                            uint8_t *ret, size_t cap, size_t *ret_len, struct vn_err *err)
{
        VN_AUTO(vn_run)
        run = vn_run_new();
        if (!run)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(rebuild(bytes, id, view, run, err));
        VN_TRY(vn_run_finish(run, ret, cap, ret_len, err));
        if (*ret_len != bytes.len)
                return vn_fail(err, VN_DATA_LOSS, "deciding again gives %zu bytes, recorded were %zu", *ret_len,
                               bytes.len);
        for (size_t i = 0; i < bytes.len; i++)
                if (ret[i] != (uint8_t)bytes.ptr[i])
                        return vn_fail(err, VN_DATA_LOSS, "deciding again differs from byte %zu on", i);
        return VN_OK;
}
