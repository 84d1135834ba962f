/* lessons_store.c - what outcomes taught, over restarts: one value a tenant and one an endpoint, in the table `meta`. */
#include "server/routing/internal.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"

#define MAX_BYTES 65536
#define MAX_KEPT 500 /* endpoints in one batch; the others wait for the next */

static struct vn_key *tenant_key(struct vn_key *key, const char *tenant)
{
        return vn_key_text(vn_key_init(key, vn_str(tenant)), VN_STR("lessons"));
}

static struct vn_key *endpoint_key(struct vn_key *key, const char *tenant, uint64_t endpoint_id)
{
        return vn_key_u64(vn_key_text(vn_key_init(key, vn_str(tenant)), VN_STR("cold")), endpoint_id);
}

/* --- out: messages that point into what they are made from, or into themselves --- */

struct cold_message {
        Vane__State__ColdLessons m;
        Vane__State__ColdWitness witness[VN_WITNESSES], *list[VN_WITNESSES];
};

static void cold_out(const struct vn_cold *cold, struct cold_message *ret)
{
        vane__state__cold_lessons__init(&ret->m);
        ret->m.newest_us = cold->newest_us;
        ret->m.witnesses = ret->list;
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                const struct vn_cold_sums *s = &cold->sums[i];
                Vane__State__ColdWitness *w = ret->list[i] = &ret->witness[i];
                vane__state__cold_witness__init(w);
                w->caller = cold->caller[i];
                w->starts = s->starts, w->w = s->w, w->c = s->c;
                w->y = s->y, w->cc = s->cc, w->cy = s->cy;
                ret->m.n_witnesses++;
        }
}

static void score_out(struct vn_risk_score *score, Vane__State__RiskScore *ret)
{
        vane__state__risk_score__init(ret);
        ret->n = score->n;
        ret->hits = score->hits;
        ret->chance_sum = score->chance_sum;
        ret->n_n = ret->n_hits = ret->n_chance_sum = VN_RISK_BINS;
        ret->brier_sum = score->brier_sum;
}

struct lessons_message {
        Vane__State__Lessons m;
        Vane__State__RiskWitness witness[VN_WITNESSES], *list[VN_WITNESSES];
        Vane__State__RiskScore score[VN_WITNESSES][3];
        struct cold_message cold[VN_CLOUD_COUNT];
        Vane__State__ColdLessons *clouds[VN_CLOUD_COUNT];
};

static void lessons_out(struct vn_tenant_lessons *t, struct lessons_message *ret)
{
        struct vn_calibrator *c = &t->risk;
        Vane__State__Lessons *m = &ret->m;
        vane__state__lessons__init(m);
        m->decide_version = VN_DECIDE_VERSION;
        m->slope = c->calibration.slope;
        m->intercept = c->calibration.intercept;
        m->outcomes = c->calibration.outcomes;
        m->fitted_us = c->fitted_us;
        m->added = c->added;
        m->added_at_fit = c->added_at_fit;
        m->witnesses = ret->list;
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                struct vn_risk_witness *from = &c->witness[i];
                Vane__State__RiskWitness *w = ret->list[m->n_witnesses++] = &ret->witness[i];
                vane__state__risk_witness__init(w);
                w->caller = c->caller[i];
                w->reports = from->reports;
                score_out(&from->fitted, w->fitted = &ret->score[i][0]);
                score_out(&from->held_out, w->held_out = &ret->score[i][1]);
                score_out(&from->issued, w->issued = &ret->score[i][2]);
        }
        m->cold = ret->clouds;
        for (unsigned k = 0; k < VN_CLOUD_COUNT; k++) {
                cold_out(&t->cold[k], &ret->cold[k]);
                ret->clouds[m->n_cold++] = &ret->cold[k].m;
        }
}

static void kept(void *arg, enum vn_rc rc)
{
        (void)rc; /* what could not be kept is learnt again */
        vn_batch_free(arg);
}

static void keep_endpoints(struct vn_server *server, struct vn_batch *batch)
{
        struct cold_message message;
        struct vn_key key;
        size_t count = 0;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                for (size_t f = 0; f < a->function_count && count < MAX_KEPT; f++) {
                        uint64_t id = vn_endpoint_id_of(a->id, a->functions[f].region, a->functions[f].name);
                        struct vn_endpoint_live *e = vn_endpoint_live_of(server->routing, id);
                        if (!e || !e->cold_fresh)
                                continue;
                        cold_out(&e->cold, &message);
                        vn_state_put(batch, VN_TABLE_meta, endpoint_key(&key, a->tenant, id), &message.m.base);
                        e->cold_fresh = false;
                        count++;
                }
        }
}

void vn_lessons_keep(struct vn_server *server, bool wait)
{
        bool fresh = vn_spend_fresh(server);
        for (struct vn_tenant_lessons *t = server->routing->lessons; t; t = t->next)
                fresh |= t->fresh;
        struct vn_batch *batch = fresh ? vn_batch_new() : NULL;
        struct lessons_message *message = batch ? vn_alloc(sizeof *message) : NULL;
        struct vn_key key;
        struct vn_err err;
        for (struct vn_tenant_lessons *t = server->routing->lessons; message && t; t = t->next) {
                if (!t->fresh)
                        continue;
                lessons_out(t, message);
                vn_state_put(batch, VN_TABLE_meta, tenant_key(&key, t->tenant), &message->m.base);
                t->fresh = false;
        }
        if (message) {
                keep_endpoints(server, batch);
                vn_spend_put(server, batch);
        }
        if (message && !wait && vn_store_submit(server->store, batch, kept, batch, NULL) == VN_OK)
                batch = NULL;
        else if (message && wait)
                VN_IGNORE(vn_store_commit(server->store, batch, &err));
        vn_free(message);
        vn_batch_free(batch);
}

/* --- in: only what could have been put out --- */

static bool sane(double x, double most)
{
        return x >= -most && x <= most; /* false for NaN */
}

static void cold_in(const Vane__State__ColdLessons *m, struct vn_cold *ret)
{
        for (size_t i = 0; i < m->n_witnesses && i < VN_WITNESSES; i++) {
                const Vane__State__ColdWitness *w = m->witnesses[i];
                if (!sane(w->starts, 1e9) || !sane(w->w, 1e9) || !sane(w->c, 1e9) || !sane(w->y, 1e18) ||
                    !sane(w->cc, 1e9) || !sane(w->cy, 1e18))
                        continue;
                ret->caller[i] = w->caller;
                ret->sums[i] = (struct vn_cold_sums){w->starts, w->w, w->c, w->y, w->cc, w->cy};
        }
        ret->newest_us = m->newest_us;
}

static void score_in(const Vane__State__RiskScore *m, struct vn_risk_score *ret)
{
        if (!m || m->n_n != VN_RISK_BINS || m->n_hits != VN_RISK_BINS || m->n_chance_sum != VN_RISK_BINS ||
            !sane(m->brier_sum, 1e9))
                return;
        for (unsigned b = 0; b < VN_RISK_BINS; b++)
                if (!sane(m->n[b], 1e9) || !sane(m->hits[b], m->n[b]) || !sane(m->chance_sum[b], m->n[b]))
                        return;
        memcpy(ret->n, m->n, sizeof ret->n);
        memcpy(ret->hits, m->hits, sizeof ret->hits);
        memcpy(ret->chance_sum, m->chance_sum, sizeof ret->chance_sum);
        ret->brier_sum = m->brier_sum;
}

static void risk_in(const Vane__State__Lessons *m, struct vn_calibrator *ret)
{
        for (size_t i = 0; i < m->n_witnesses && i < VN_WITNESSES; i++) {
                struct vn_risk_witness *to = &ret->witness[i];
                ret->caller[i] = m->witnesses[i]->caller;
                to->reports = m->witnesses[i]->reports;
                score_in(m->witnesses[i]->fitted, &to->fitted);
                score_in(m->witnesses[i]->held_out, &to->held_out);
                score_in(m->witnesses[i]->issued, &to->issued);
        }
        ret->added = m->added;
        ret->added_at_fit = m->added_at_fit;
        ret->fitted_us = m->fitted_us;
        if (m->slope >= VN_CALIBRATION_MIN_SLOPE && m->slope <= VN_CALIBRATION_MAX_SLOPE &&
            sane(m->intercept, VN_CALIBRATION_MAX_INTERCEPT))
                ret->calibration = (struct vn_calibration){m->slope, m->intercept, m->outcomes};
}

/* NULL where nothing is kept, or nothing that can be read: it is learnt again. */
static ProtobufCMessage *read_message(struct vn_store *store, const struct vn_key *key,
                                      const ProtobufCMessageDescriptor *descriptor)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(MAX_BYTES);
        struct vn_err err;
        union {
                const char *in;
                const uint8_t *out;
        } cast;
        if (vn_store_get(store, VN_TABLE_meta, key, &bytes, &err) != VN_OK)
                return NULL;
        cast.in = bytes.ptr;
        return protobuf_c_message_unpack(descriptor, NULL, bytes.len, cast.out);
}

static void load_tenant(struct vn_server *server, struct vn_tenant_lessons *t)
{
        struct vn_key key;
        ProtobufCMessage *message =
                read_message(server->store, tenant_key(&key, t->tenant), &vane__state__lessons__descriptor);
        const Vane__State__Lessons *m = (const Vane__State__Lessons *)message;
        if (!m)
                return;
        if (m->decide_version == VN_DECIDE_VERSION)
                risk_in(m, &t->risk);
        for (size_t k = 0; k < m->n_cold && k < VN_CLOUD_COUNT; k++)
                cold_in(m->cold[k], &t->cold[k]);
        protobuf_c_message_free_unpacked(message, NULL);
}

enum vn_rc vn_lessons_load(struct vn_server *server, struct vn_err *err)
{
        struct vn_key key;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                struct vn_tenant_lessons *known = server->routing->lessons;
                struct vn_tenant_lessons *t = vn_lessons_of(server->routing, a->tenant);
                if (!t)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
                if (server->routing->lessons != known)
                        load_tenant(server, t);
                for (size_t f = 0; f < a->function_count; f++) {
                        uint64_t id = vn_endpoint_id_of(a->id, a->functions[f].region, a->functions[f].name);
                        ProtobufCMessage *message = read_message(server->store, endpoint_key(&key, a->tenant, id),
                                                                 &vane__state__cold_lessons__descriptor);
                        struct vn_endpoint_live *e = message ? vn_endpoint_live_of(server->routing, id) : NULL;
                        if (e)
                                cold_in((const Vane__State__ColdLessons *)message, &e->cold);
                        protobuf_c_message_free_unpacked(message, NULL);
                }
        }
        return VN_OK;
}
