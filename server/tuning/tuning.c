#include "server/tuning/tuning.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "decide/build.h"
#include "server/policy_table.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/rounds/rounds.h"
#include "server/routing/billing.h"
#include "server/state.h"
#include "server/tuning/internal.h"
#include "server/tuning/pauses.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/agent.pb-c.h"

#define COMMAND_LIFETIME_US (10 * VN_US_PER_MIN) /* of a change: what it rests on ages */
#define ANSWER_DEADLINE_US (60 * VN_US_PER_MIN)  /* and of a roll-back's command: the better size stays the better */
#define ASK_AGAIN_US (10 * VN_US_PER_MIN)
#define JUDGE_AFTER_US (5 * VN_US_PER_MIN)
#define JUDGE_DEADLINE_US (60 * VN_US_PER_MIN)
#define MAX_NEW_A_TICK 20

static const char *const open_states[] = {"waiting", "applying", "verifying", "rolling-back"};

bool vn_proposal_open(const struct vn_proposal *p)
{
        for (size_t i = 0; i < sizeof open_states / sizeof open_states[0]; i++)
                if (!strcmp(p->state, open_states[i]))
                        return true;
        return false;
}

static struct vn_proposal *append(struct vn_tuning *tuning)
{
        struct vn_proposal *grown = tuning->count < VN_MAX_PROPOSALS
                                            ? vn_realloc(tuning->items, (tuning->count + 1) * sizeof *grown)
                                            : NULL;
        if (!grown)
                return NULL;
        tuning->items = grown;
        memset(&grown[tuning->count], 0, sizeof *grown);
        return &grown[tuning->count++];
}

static void proposal_key(struct vn_key *key, const struct vn_proposal *p)
{
        vn_key_text(vn_key_init(key, vn_str(p->tenant)), vn_str(p->id));
}

void vn_proposal_store(struct vn_batch *batch, const struct vn_proposal *p)
{
        struct vn_proposal copy = *p;
        char *history[VN_PROPOSAL_HISTORY];
        VN_AUTO(vn_buf)
        sketch = VN_BUF_INIT(VN_SKETCH_MAX_BYTES);
        Vane__State__Proposal m = VANE__STATE__PROPOSAL__INIT;
        struct vn_key key;
        vn_sketch_encode(&p->before, &sketch);
        m.id = copy.id;
        m.tenant = copy.tenant;
        m.kind = vn_state_text("memory");
        m.state = copy.state;
        m.workload = copy.workload;
        m.account_id = p->account_id;
        m.region = copy.region;
        m.from_memory_mb = p->from_mb;
        m.to_memory_mb = p->to_mb;
        m.saving_usd_per_million = p->saving_usd;
        m.saving_share = p->saving_share;
        m.p95_before_us = p->p95_before_us;
        m.p95_after_us = p->p95_after_us;
        m.risk = p->risk;
        m.confidence = p->confidence;
        m.reason = copy.reason;
        m.created_us = p->created_us;
        m.changed_us = p->changed_us;
        m.approved_by = copy.approved_by;
        m.proposed_by = copy.proposed_by;
        m.decision_id = copy.decision_id;
        m.applied_us = p->applied_us;
        m.before_calls = p->before_calls;
        m.before_errors = p->before_errors;
        union {
                char *in;
                uint8_t *out;
        } bytes = {.in = sketch.ptr};
        m.before_sketch = (ProtobufCBinaryData){sketch.len, bytes.out};
        for (size_t i = 0; i < p->history_count; i++)
                history[i] = copy.history[i];
        m.history = history;
        m.n_history = p->history_count;
        proposal_key(&key, p);
        vn_state_put(batch, VN_TABLE_proposals, &key, &m.base);
}

static bool fill(struct vn_proposal *p, const Vane__State__Proposal *m)
{
        p->account_id = m->account_id;
        p->from_mb = m->from_memory_mb;
        p->to_mb = m->to_memory_mb;
        p->saving_usd = m->saving_usd_per_million;
        p->saving_share = m->saving_share;
        p->p95_before_us = m->p95_before_us;
        p->p95_after_us = m->p95_after_us;
        p->risk = m->risk;
        p->confidence = m->confidence;
        p->created_us = m->created_us;
        p->changed_us = m->changed_us;
        p->applied_us = m->applied_us;
        p->before_calls = m->before_calls;
        p->before_errors = m->before_errors;
        vn_sketch_init(&p->before);
        if (m->before_sketch.len &&
            vn_sketch_decode(vn_str_n(m->before_sketch.data, m->before_sketch.len), &p->before, NULL) != VN_OK)
                return false;
        for (size_t i = 0; i < m->n_history && i < VN_PROPOSAL_HISTORY; i++)
                if (!vn_str_copy(p->history[p->history_count++], sizeof p->history[0], vn_str(m->history[i])))
                        return false;
        return vn_str_copy(p->id, sizeof p->id, vn_str(m->id)) &&
               vn_str_copy(p->tenant, sizeof p->tenant, vn_str(m->tenant)) &&
               vn_str_copy(p->state, sizeof p->state, vn_str(m->state)) &&
               vn_str_copy(p->workload, sizeof p->workload, vn_str(m->workload)) &&
               vn_str_copy(p->region, sizeof p->region, vn_str(m->region)) &&
               vn_str_copy(p->reason, sizeof p->reason, vn_str(m->reason)) &&
               vn_str_copy(p->approved_by, sizeof p->approved_by, vn_str(m->approved_by)) &&
               vn_str_copy(p->proposed_by, sizeof p->proposed_by, vn_str(m->proposed_by)) &&
               vn_str_copy(p->decision_id, sizeof p->decision_id, vn_str(m->decision_id));
}

static enum vn_rc load_proposal(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        struct vn_tuning *tuning = arg;
        struct vn_proposal *p = append(tuning);
        bool good = p && fill(p, (Vane__State__Proposal *)message);
        protobuf_c_message_free_unpacked(message, NULL);
        return vn_state_taken(p, good, "proposals: a stored proposal", err);
}

enum vn_rc vn_tuning_start(struct vn_server *server, struct vn_err *err)
{
        server->tuning = vn_alloc(sizeof *server->tuning);
        if (!server->tuning)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        server->tuning->next_us = server->started_us + server->config.tuning_interval_s * VN_US_PER_S;
        return vn_state_load(server->store, VN_TABLE_proposals, &vane__state__proposal__descriptor, load_proposal,
                             server->tuning, err);
}

void vn_tuning_stop(struct vn_server *server)
{
        if (server->tuning)
                vn_free(server->tuning->items);
        vn_free(server->tuning);
        server->tuning = NULL;
}

void vn_tuning_figures(const struct vn_server *server, const char *tenant, struct vn_tuning_figures *ret)
{
        *ret = (struct vn_tuning_figures){0};
        for (size_t i = 0; i < server->tuning->count; i++) {
                const struct vn_proposal *p = &server->tuning->items[i];
                if (strcmp(p->tenant, tenant))
                        continue;
                ret->proposals++;
                ret->applied += p->applied_us != 0;
                ret->rolled_back += !strcmp(p->state, "rolled-back");
        }
}

/* --- the curve --- */

static size_t offered_sizes(const struct vn_account_entry *account, const struct vn_function_entry *f, uint32_t *ret)
{
        static const uint32_t ladder[] = {128,  192,  256,  320,  384,  448,  512,  640,  768,  896,  1024,
                                          1280, 1536, 1769, 2048, 2560, 3008, 4096, 6144, 8192, 10240};
        size_t n = 0;
        bool has_current = false;
        for (size_t i = 0; i < f->choice_count && n < VN_TUNE_MAX_POINTS - 1; i++) {
                ret[n++] = f->choices[i];
                has_current |= f->choices[i] == f->memory_mb;
        }
        for (size_t i = 0; !f->choice_count && account->cloud != VN_AZURE && i < sizeof ladder / sizeof ladder[0];
             i++) {
                ret[n++] = ladder[i];
                has_current |= ladder[i] == f->memory_mb;
        }
        if (!has_current)
                ret[n++] = f->memory_mb;
        for (size_t i = 1; i < n; i++) /* insertion: short, and nearly sorted */
                for (size_t k = i; k && ret[k - 1] > ret[k]; k--) {
                        uint32_t t = ret[k];
                        ret[k] = ret[k - 1];
                        ret[k - 1] = t;
                }
        return n;
}

size_t vn_tuning_curve(struct vn_server *server, const struct vn_account_entry *account,
                       const struct vn_function_entry *f, const struct vn_endpoint_stats *stats,
                       struct vn_curve_point ret[VN_TUNE_MAX_POINTS], struct vn_tune_proposal *ret_proposal)
{
        const struct vn_account_prices *prices = vn_telemetry_prices(server->telemetry, account->id);
        const struct vn_policy_entry *policy = vn_policy_for(server, account->tenant, f->name);
        uint32_t sizes[VN_TUNE_MAX_POINTS];
        struct vn_build_size offered[VN_TUNE_MAX_POINTS];
        struct vn_endpoint endpoint = {.memory_mb = f->memory_mb};
        size_t count = offered_sizes(account, f, sizes), points = 0;
        uint32_t peak = stats ? stats->max_memory_mb : 0;
        for (size_t i = 0; i < count; i++) {
                struct vn_endpoint at = {0};
                offered[i].memory_mb = sizes[i];
                if (vn_billing_fill(prices, account->cloud, f->region, sizes[i], peak, &at)) {
                        offered[i].billed_gb = at.billed_gb;
                        offered[i].vcpu = at.vcpu;
                }
        }
        if (stats && stats->calls &&
            vn_billing_fill(prices, account->cloud, f->region, f->memory_mb, peak, &endpoint)) {
                struct vn_sketch recent;
                vn_endpoint_recent(stats, &recent);
                struct vn_build_input input = {.model = vn_rounds_model(server, account->tenant),
                                               .stats = &stats->history.stats,
                                               .sketch = &recent,
                                               .platform = (enum vn_platform)account->cloud,
                                               .memory_mb = f->memory_mb,
                                               .time_us = vn_now_us(server->clock),
                                               .default_us = 500000,
                                               .default_cold_us = 800000};
                points = vn_build_curve(&input, &endpoint, stats->response_mean_bytes, offered, count, ret);
        }
        struct vn_tune_question question = {.curve = ret,
                                            .points = points,
                                            .current_mb = f->memory_mb,
                                            .peak_mb = peak,
                                            .fixed_sizes = f->choice_count > 0,
                                            .tunable = f->memory_tunable,
                                            .calls = stats ? stats->calls : 0,
                                            .model_error = vn_rounds_model_error(server, account->tenant),
                                            .policy = &policy->compiled};
        vn_tune(&question, ret_proposal);
        return points;
}

/* --- the life of a proposal --- */

void vn_proposal_history(struct vn_proposal *p, const char *line)
{
        if (p->history_count == VN_PROPOSAL_HISTORY) {
                memmove(p->history[0], p->history[1], sizeof p->history[0] * (VN_PROPOSAL_HISTORY - 1));
                p->history_count--;
        }
        snprintf(p->history[p->history_count++], sizeof p->history[0], "%s", line);
}

/* Moves a proposal to a state, with its record, in one commit. */
enum vn_rc vn_proposal_move(struct vn_server *server, struct vn_proposal *p, const char *state, const char *actor,
                            const char *why, struct vn_err *err)
{
        struct vn_proposal moved = *p;
        char before[64], after[96], summary[256], time_text[VN_TIME_TEXT_BYTES], line[160];
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, p->account_id);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        snprintf(moved.state, sizeof moved.state, "%s", state);
        moved.changed_us = vn_now_us(server->clock);
        vn_time_format(moved.changed_us, time_text);
        snprintf(line, sizeof line, "%s %s by %s%s%s", time_text, state, actor, why[0] ? ": " : "", why);
        vn_proposal_history(&moved, line);
        snprintf(before, sizeof before, "%u MB", p->from_mb);
        snprintf(after, sizeof after, "%u MB (%s)", p->to_mb, state);
        snprintf(summary, sizeof summary, "%s on %s: %u MB to %u MB, %s%s%s", p->workload,
                 account ? account->name : "a gone account", p->from_mb, p->to_mb, state, why[0] ? ": " : "", why);
        struct vn_change change = {.kind = VN_RECORD_MEMORY,
                                   .tenant = p->tenant,
                                   .actor = actor,
                                   .subject = p->workload,
                                   .before = before,
                                   .choice = after,
                                   .summary = summary,
                                   .margin = p->saving_usd,
                                   .confidence = p->confidence,
                                   .risk = p->risk,
                                   .model_version = vn_rounds_model(server, p->tenant)->version,
                                   .approved_by = p->approved_by[0] ? p->approved_by : NULL};
        VN_TRY(vn_record_change(server, batch, &change, moved.decision_id, err));
        vn_proposal_store(batch, &moved);
        VN_TRY(vn_store_commit(server->store, batch, err));
        *p = moved;
        return VN_OK;
}

static void send_command(struct vn_server *server, struct vn_proposal *p, bool rollback)
{
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, p->account_id);
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__Command command = VANE__V1__COMMAND__INIT;
        char id[96];
        if (!account)
                return;
        struct vn_account_entry *owner = vn_registry_by_id(server->registry, account->id);
        struct vn_function_entry *f = vn_registry_function(owner, p->workload, p->region);
        snprintf(id, sizeof id, "%s%s", p->id, rollback ? "/back" : "");
        command.id = id;
        command.function = p->workload;
        command.region = p->region;
        command.memory_mb = rollback ? p->from_mb : p->to_mb;
        command.expected_memory_mb = rollback ? p->to_mb : p->from_mb;
        command.expected_guard = f ? f->guard : vn_state_text("");
        command.rollback = rollback;
        /* however often it is sent: of the decision's time */
        command.expires_us = p->changed_us + (rollback ? ANSWER_DEADLINE_US : COMMAND_LIFETIME_US);
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_COMMAND;
        event.command = &command;
        vn_hub_send_agent(server, p->account_id, &event.base);
}

enum vn_rc vn_proposal_apply(struct vn_server *server, struct vn_proposal *p, const char *actor, struct vn_err *err)
{
        /* Recorded first: a command leaves only after the decision to send it is durable. */
        VN_TRY(vn_proposal_move(server, p, "applying", actor, "", err));
        send_command(server, p, false);
        return VN_OK;
}

void vn_tuning_hello(struct vn_server *server, uint64_t account_id)
{
        for (size_t i = 0; i < server->tuning->count; i++) {
                struct vn_proposal *p = &server->tuning->items[i];
                if (p->account_id != account_id)
                        continue;
                if (!strcmp(p->state, "applying"))
                        send_command(server, p, false);
                else if (!strcmp(p->state, "rolling-back"))
                        send_command(server, p, true);
        }
}

static bool has_open(const struct vn_tuning *tuning, uint64_t account_id, const char *workload, const char *region)
{
        for (size_t i = 0; i < tuning->count; i++) {
                const struct vn_proposal *p = &tuning->items[i];
                if (p->account_id == account_id && !strcmp(p->workload, workload) && !strcmp(p->region, region) &&
                    (vn_proposal_open(p) || !strcmp(p->state, "shadow") || !strcmp(p->state, "rejected") ||
                     !strcmp(p->state, "rolled-back") || !strcmp(p->state, "failed")))
                        return true; /* what was refused once is not proposed again by itself */
        }
        return false;
}

static bool paused(struct vn_server *server, const struct vn_account_entry *account, const char *workload)
{
        return vn_pauses_global(server, account->tenant) ||
               vn_pauses_account(server, account->tenant, account->name) ||
               vn_pauses_function(server, account->tenant, workload);
}

static enum vn_rc propose(struct vn_server *server, const struct vn_account_entry *account,
                          const struct vn_function_entry *f, const struct vn_endpoint_stats *stats,
                          const struct vn_tune_proposal *t, struct vn_err *err)
{
        struct vn_tuning *tuning = server->tuning;
        enum vn_tuning_mode mode = vn_policy_for(server, account->tenant, f->name)->compiled.tuning_mode;
        struct vn_proposal *p = append(tuning);
        if (!p)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d proposals", VN_MAX_PROPOSALS);
        snprintf(p->id, sizeof p->id, "m-%llx-%llx", (unsigned long long)vn_record_origin(server),
                 (unsigned long long)++tuning->next_number);
        memcpy(p->tenant, account->tenant, sizeof p->tenant);
        memcpy(p->workload, f->name, sizeof p->workload);
        memcpy(p->region, f->region, sizeof p->region);
        snprintf(p->proposed_by, sizeof p->proposed_by, "system:tuning");
        p->account_id = account->id;
        p->from_mb = t->from_mb;
        p->to_mb = t->to_mb;
        p->saving_usd = t->saving_usd_per_million;
        p->saving_share = t->saving_share;
        p->p95_before_us = t->p95_before_us;
        p->p95_after_us = t->p95_after_us;
        p->risk = t->risk;
        p->confidence = t->confidence;
        snprintf(p->reason, sizeof p->reason, "%s", t->reason);
        p->created_us = vn_now_us(server->clock);
        p->before = stats->since_memory;
        p->before_calls = stats->calls_since;
        p->before_errors = stats->errors_since;
        const char *state = mode == VN_TUNING_SHADOW ? "shadow" : "waiting";
        enum vn_rc rc = vn_proposal_move(server, p, state, "system:tuning", t->reason, err);
        if (rc != VN_OK) {
                tuning->count--;
                return rc;
        }
        return mode == VN_TUNING_AUTOMATIC ? vn_proposal_apply(server, p, "system:tuning", err) : VN_OK;
}

static void look_for_proposals(struct vn_server *server)
{
        struct vn_curve_point curve[VN_TUNE_MAX_POINTS];
        struct vn_tune_proposal t;
        struct vn_err err;
        size_t made = 0;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                if (a->revoked || vn_registry_usable_level(a) < VN_LEVEL_TUNE || !vn_registry_online(server, a))
                        continue;
                for (size_t k = 0; k < a->function_count && made < MAX_NEW_A_TICK; k++) {
                        const struct vn_function_entry *f = &a->functions[k];
                        const struct vn_endpoint_stats *s =
                                vn_telemetry_find(server->telemetry, a->id, f->name, f->region);
                        if (!s || paused(server, a, f->name) || has_open(server->tuning, a->id, f->name, f->region))
                                continue;
                        vn_tuning_curve(server, a, f, s, curve, &t);
                        if (t.result != VN_TUNE_APPLY)
                                continue;
                        if (propose(server, a, f, s, &t, &err) != VN_OK) {
                                VN_LOG(TUNING_KEPT, "no proposals for now: %s", err.msg);
                                return;
                        }
                        made++;
                }
        }
}

/* --- after a change: is it as good as promised? --- */

static void sample_of(const struct vn_sketch *sketch, uint64_t calls, uint64_t errors, double baseline_p95_us,
                      struct vn_tune_sample *ret)
{
        *ret = (struct vn_tune_sample){.calls = calls,
                                       .errors = errors,
                                       .p50_us = vn_sketch_quantile_us(sketch, 0.5),
                                       .p95_us = vn_sketch_quantile_us(sketch, 0.95)};
        ret->over_baseline_p95 =
                (uint64_t)(vn_sketch_share_above(sketch, (int64_t)baseline_p95_us) * (double)sketch->total);
}

static void judge(struct vn_server *server, struct vn_proposal *p, int64_t now_us)
{
        const struct vn_endpoint_stats *s = NULL;
        struct vn_tune_sample before, after;
        struct vn_tune_judgement verdict;
        struct vn_err err;
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, p->account_id);
        if (account)
                s = vn_telemetry_find(server->telemetry, account->id, p->workload, p->region);
        if (!s || now_us - p->applied_us < JUDGE_AFTER_US)
                return;
        bool late = now_us - p->applied_us > JUDGE_DEADLINE_US;
        if (s->memory_mb != p->to_mb && !late)
                return; /* no window of the new size yet */
        double p95 = vn_sketch_quantile_us(&p->before, 0.95);
        sample_of(&p->before, p->before_calls, p->before_errors, p95, &before);
        sample_of(&s->since_memory, s->calls_since, s->errors_since, p95, &after);
        vn_tune_judge(&before, &after, p->p95_after_us, late, &verdict);
        enum vn_rc rc = VN_OK;
        if (verdict.verdict == VN_TUNE_KEEP)
                rc = vn_proposal_move(server, p, "kept", "system:tuning", verdict.reason, &err);
        else if (verdict.verdict == VN_TUNE_ROLL_BACK) {
                rc = vn_proposal_move(server, p, "rolling-back", "system:tuning", verdict.reason, &err);
                if (rc == VN_OK)
                        send_command(server, p, true);
        }
        if (rc != VN_OK)
                VN_LOG(TUNING_KEPT, "a proposal stays as it is: %s", err.msg);
}

/* A command without an answer: an agent that is back answers it, if only that it came too late. One that stays away
 * leaves the proposal failed, since nobody can say what the cloud runs with. */
static void chase(struct vn_server *server, struct vn_proposal *p, int64_t now_us)
{
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, p->account_id);
        int64_t last_us = p->asked_us > p->changed_us ? p->asked_us : p->changed_us;
        struct vn_err err;
        if (now_us - last_us < ASK_AGAIN_US)
                return;
        p->asked_us = now_us;
        if (account && !account->revoked && now_us - p->changed_us < ANSWER_DEADLINE_US)
                send_command(server, p, !strcmp(p->state, "rolling-back"));
        else if (vn_proposal_move(server, p, "failed", "system:tuning",
                                  account && account->revoked ? "its account was revoked before the agent answered"
                                                              : "the agent has not answered",
                                  &err) != VN_OK)
                VN_LOG(TUNING_KEPT, "a proposal stays as it is: %s", err.msg);
}

void vn_tuning_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_tuning *tuning = server->tuning;
        for (size_t i = 0; i < tuning->count; i++) {
                struct vn_proposal *p = &tuning->items[i];
                if (!strcmp(p->state, "verifying"))
                        judge(server, p, now_us);
                else if (!strcmp(p->state, "applying") || !strcmp(p->state, "rolling-back"))
                        chase(server, p, now_us);
        }
        if (now_us < tuning->next_us)
                return;
        tuning->next_us = now_us + server->config.tuning_interval_s * VN_US_PER_S;
        look_for_proposals(server);
}
