/* A record's fields group by group. Writing and reading are one walk, so they cannot drift; that one record has only one
 * encoding is checked by encoding again what was decoded. */
#include "decide/record.h"

#include "decide/record_codec.h"

static const char *const kind_names[VN_RECORD_KIND_COUNT] = {
        "none", "route", "memory", "model", "policy", "account", "pause", "people", "gap", "tombstone", "outcome"};

const char *vn_record_kind_name(enum vn_record_kind kind)
{
        return kind >= 1 && (unsigned)kind < VN_RECORD_KIND_COUNT ? kind_names[kind] : "unknown";
}

bool vn_record_kind_parse(struct vn_str name, enum vn_record_kind *ret)
{
        for (unsigned i = 1; i < VN_RECORD_KIND_COUNT; i++)
                if (vn_str_eq(name, vn_str(kind_names[i]))) {
                        *ret = (enum vn_record_kind)i;
                        return true;
                }
        return false;
}

const char *vn_record_mode_name(enum vn_record_mode mode)
{
        static const char *const names[] = {"shadow", "advisory", "automatic", "split", "approved"};
        return (unsigned)mode < 5 ? names[mode] : "unknown";
}

struct walk { /* writes when out is set, else reads */
        struct vn_out *out;
        struct vn_in *in;
};

static uint64_t w_var(struct walk *w, uint64_t v, uint64_t max)
{
        if (w->out)
                vn_put_var(w->out, v);
        else
                v = vn_take_var(w->in, max);
        return v;
}

static uint64_t w_le(struct walk *w, uint64_t v, size_t n)
{
        if (w->out)
                vn_put_le(w->out, v, n);
        else
                v = vn_take_le(w->in, n);
        return v;
}

static void w_text(struct walk *w, char *text, size_t bytes)
{
        if (w->out)
                vn_put_text(w->out, text);
        else
                vn_take_text(w->in, text, bytes);
}

static void w_f32(struct walk *w, float *v)
{
        if (w->out)
                vn_put_f32(w->out, *v);
        else
                *v = vn_take_f32(w->in);
}

static void w_f64(struct walk *w, double *v)
{
        if (w->out)
                vn_put_f64(w->out, *v);
        else
                *v = vn_take_f64(w->in);
}

static void w_bytes(struct walk *w, void *bytes, size_t n)
{
        if (w->out) {
                vn_put(w->out, bytes, n);
                return;
        }
        const uint8_t *from = vn_take(w->in, n);
        if (from)
                memcpy(bytes, from, n);
}

static void w_bits(struct walk *w, struct vn_bits128 *bits)
{
        for (unsigned i = 0; i < 2; i++)
                bits->w[i] = w_var(w, bits->w[i], UINT64_MAX);
}

static void w_id(struct walk *w, struct vn_decision_id *id)
{
        id->origin = w_le(w, id->origin, 8);
        id->loop = (uint32_t)w_var(w, id->loop, UINT32_MAX);
        id->sequence = w_var(w, id->sequence, UINT64_MAX);
}

static void identity(struct walk *w, struct vn_record *r)
{
        w_text(w, r->tenant, sizeof r->tenant);
        w_text(w, r->actor, sizeof r->actor);
        w_text(w, r->delegation, sizeof r->delegation);
        w_text(w, r->request_id, sizeof r->request_id);
        w_text(w, r->approved_by, sizeof r->approved_by);
}

static void question(struct walk *w, struct vn_record *r)
{
        w_text(w, r->workload, sizeof r->workload);
        w_text(w, r->caller_region, sizeof r->caller_region);
        r->payload_bytes = (uint32_t)w_var(w, r->payload_bytes, UINT32_MAX);
        r->response_bytes = (uint32_t)w_var(w, r->response_bytes, UINT32_MAX);
        w_bits(w, &r->caller_excluded);
}

static void side(struct walk *w, struct vn_record_side *s)
{
        float *features[] = {&s->features.rate,       &s->features.mean_ms,    &s->features.rounding_ms,
                             &s->features.request,    &s->features.egress,     &s->features.init,
                             &s->features.network_us, &s->features.tail_us,    &s->features.cold_chance,
                             &s->features.cold_us,    &s->features.error_rate, &s->features.load};
        s->endpoint_id = w_le(w, s->endpoint_id, 8);
        s->index = (uint8_t)w_le(w, s->index, 1);
        s->provider = (uint8_t)w_le(w, s->provider, 1);
        if (s->provider >= VN_PROVIDER_COUNT || s->index >= VN_VIEW_MAX_ENDPOINTS) {
                if (w->in)
                        w->in->bad = true;
                s->provider = s->index = 0;
        }
        w_text(w, s->account, sizeof s->account);
        w_text(w, s->region, sizeof s->region);
        w_f64(w, &s->score);
        for (size_t i = 0; i < sizeof features / sizeof *features; i++)
                w_f32(w, features[i]);
}

static void choice(struct walk *w, struct vn_record *r)
{
        bool route = r->kind == VN_RECORD_ROUTE;
        unsigned flags = (unsigned)r->explored | (unsigned)r->over_budget << 1 | (unsigned)r->has_runner_up << 2;
        flags = (unsigned)w_le(w, flags, 1);
        r->explored = flags & 1;
        r->over_budget = flags >> 1 & 1;
        r->has_runner_up = flags >> 2 & 1;
        unsigned mode = (unsigned)w_le(w, r->mode, 1), status = (unsigned)w_le(w, r->status, 1);
        if (!w->out && (flags > 7 || mode > VN_MODE_APPROVED || status > VN_DECIDED_NONE))
                w->in->bad = true;
        r->mode = (enum vn_record_mode)mode;
        r->status = (enum vn_decision_status)status;
        if (route && r->status != VN_DECIDED_NONE)
                side(w, &r->choice);
        if (route && r->has_runner_up)
                side(w, &r->runner_up);
        if (route)
                return;
        w_text(w, r->subject, sizeof r->subject);
        w_text(w, r->before, sizeof r->before);
        w_text(w, r->after, sizeof r->after);
        w_f64(w, &r->value_before);
        w_f64(w, &r->value_after);
}

static void reasons(struct walk *w, struct vn_record *r)
{
        uint32_t present = 0;
        w_text(w, r->summary, sizeof r->summary);
        w_f64(w, &r->margin);
        w_f32(w, &r->confidence);
        w_f32(w, &r->risk.combined);
        if (r->kind != VN_RECORD_ROUTE)
                return;
        w_f64(w, &r->weights.cost);
        w_f64(w, &r->weights.latency_per_us);
        for (unsigned i = 0; i < VN_RISK_PARTS; i++)
                w_f32(w, &r->risk.part[i]);
        w_f32(w, &r->risk.blast_radius);
        r->candidates = (uint8_t)w_le(w, r->candidates, 1);
        if (!w->out && r->candidates > VN_VIEW_MAX_ENDPOINTS) {
                w->in->bad = true;
                return;
        }
        for (unsigned i = 0; i < VN_EXCLUSION_COUNT; i++)
                present |= (uint32_t) !!(r->excluded[i].w[0] | r->excluded[i].w[1]) << i;
        present = (uint32_t)w_var(w, present, (1u << VN_EXCLUSION_COUNT) - 1);
        for (unsigned i = 0; i < VN_EXCLUSION_COUNT; i++) {
                size_t low = r->candidates > 64 ? 8 : (r->candidates + 7u) / 8;
                size_t high = r->candidates > 64 ? (r->candidates - 64u + 7) / 8 : 0;
                if (!(present >> i & 1))
                        continue;
                r->excluded[i].w[0] = w_le(w, r->excluded[i].w[0], low);
                r->excluded[i].w[1] = w_le(w, r->excluded[i].w[1], high);
        }
}

static void outcome(struct walk *w, struct vn_record *r)
{
        r->outcome_status = (uint8_t)w_le(w, r->outcome_status, 1);
        r->outcome_latency_us = w_var(w, r->outcome_latency_us, UINT64_MAX);
        r->outcome_response_bytes = (uint32_t)w_var(w, r->outcome_response_bytes, UINT32_MAX);
        w_id(w, &r->outcome_of);
}

/* Most candidates are idle within one view's epoch: the gap to the next busy one, then its two counters. */
static void live(struct walk *w, struct vn_live *l)
{
        uint32_t busy = 0, next = 0;
        w_bits(w, &l->breaker_open);
        for (uint32_t i = 0; i < VN_VIEW_MAX_ENDPOINTS; i += 4) { /* four counters a word: most words are zero */
                uint64_t assigned, in_flight;
                memcpy(&assigned, &l->assigned[i], sizeof assigned);
                memcpy(&in_flight, &l->in_flight[i], sizeof in_flight);
                for (uint64_t any = assigned | in_flight; any; any >>= 16)
                        busy += (any & 0xffff) != 0;
        }
        busy = (uint32_t)w_var(w, busy, VN_VIEW_MAX_ENDPOINTS);
        for (uint32_t n = 0; n < busy; n++) {
                uint32_t at = next;
                while (w->out && !l->assigned[at] && !l->in_flight[at])
                        at++;
                at = next + (uint32_t)w_var(w, at - next, VN_VIEW_MAX_ENDPOINTS);
                if (at >= VN_VIEW_MAX_ENDPOINTS) {
                        w->in->bad = true; /* only a reader can meet this */
                        return;
                }
                l->assigned[at] = (uint16_t)w_var(w, l->assigned[at], UINT16_MAX);
                l->in_flight[at] = (uint16_t)w_var(w, l->in_flight[at], UINT16_MAX);
                next = at + 1;
        }
}

static void rest(struct walk *w, struct vn_record *r)
{
        static const uint8_t none[32];
        uint64_t *numbers[] = {&r->epoch, &r->model_version, &r->price_version, &r->policy_version,
                               &r->count, &r->first_seq,     &r->last_seq};
        bool has_view = w_le(w, memcmp(r->view_id, none, 32) != 0, 1);
        if (has_view)
                w_bytes(w, r->view_id, 32);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                *numbers[i] = w_var(w, *numbers[i], UINT64_MAX);
        w_text(w, r->policy, sizeof r->policy);
        r->retention_class = (uint8_t)w_le(w, r->retention_class, 1);
        if (r->kind == VN_RECORD_ROUTE)
                live(w, &r->live);
}

static void (*const walks[VN_RECORD_GROUPS])(struct walk *, struct vn_record *) = {identity, question, choice,
                                                                                   reasons,  outcome,  rest};

void vn_record_header_write(const struct vn_record *r, uint32_t count, uint8_t ret[VN_RECORD_HEADER_BYTES])
{
        struct vn_out out = {.p = ret, .cap = VN_RECORD_HEADER_BYTES};
        vn_put(&out, "VR", 2);
        vn_put_le(&out, VN_RECORD_FORMAT, 1);
        vn_put_le(&out, r->kind, 1);
        vn_put_le(&out, VN_RECORD_GROUPS, 2);
        vn_put_le(&out, r->id.loop, 4);
        vn_put_le(&out, r->id.origin, 8);
        vn_put_le(&out, r->id.sequence, 8);
        vn_put_le(&out, (uint64_t)r->time_us, 8);
        vn_put_le(&out, r->decide_version, 4);
        vn_put_le(&out, count > 1 ? count : 0, 2);
}

bool vn_record_header_read(const uint8_t *header, struct vn_record *r, uint32_t *ret_count)
{
        struct vn_in in = {.p = header, .len = VN_RECORD_HEADER_BYTES, .at = 3};
        unsigned kind = (unsigned)vn_take_le(&in, 1), groups = (unsigned)vn_take_le(&in, 2);
        r->kind = (enum vn_record_kind)kind;
        r->id.loop = (uint32_t)vn_take_le(&in, 4);
        r->id.origin = vn_take_le(&in, 8);
        r->id.sequence = vn_take_le(&in, 8);
        r->time_us = (int64_t)vn_take_le(&in, 8);
        r->decide_version = (uint32_t)vn_take_le(&in, 4);
        uint32_t count = (uint32_t)vn_take_le(&in, 2);
        *ret_count = count ? count : 1;
        return kind >= 1 && kind < VN_RECORD_KIND_COUNT && groups == VN_RECORD_GROUPS && count != 1 &&
               count <= VN_RUN_MAX;
}

static bool outcome_empty(const struct vn_record *r)
{
        return !r->outcome_status && !r->outcome_latency_us && !r->outcome_response_bytes && !r->outcome_of.origin &&
               !r->outcome_of.loop && !r->outcome_of.sequence;
}

void vn_record_group_write(struct vn_out *out, unsigned group, const struct vn_record *record)
{
        struct walk w = {.out = out};
        union {
                const struct vn_record *in;
                struct vn_record *walked;
        } cast = {.in = record}; /* a walk that writes does not change the record */
        if (!(record->erased >> group & 1) && !(group == VN_GROUP_OUTCOME && outcome_empty(record)))
                walks[group](&w, cast.walked);
}

bool vn_record_group_read(struct vn_str bytes, unsigned group, struct vn_record *ret)
{
        struct vn_in in = {.p = (const uint8_t *)bytes.ptr, .len = bytes.len};
        struct walk w = {.in = &in};
        if (in.len)
                walks[group](&w, ret);
        return !in.bad && in.at == in.len;
}

void vn_record_frame_init(struct vn_frame *ret, const struct vn_record *record, const uint8_t *header)
{
        *ret = (struct vn_frame){.header = header, .erased = record->erased, .seed = record->seed};
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                ret->salt[g] = record->salt[g];
                ret->commitment[g] = record->erased_commitment[g];
        }
}

void vn_record_frame_copy(const struct vn_frame *frame, struct vn_record *ret)
{
        ret->erased = frame->erased;
        if (frame->seed)
                memcpy(ret->seed, frame->seed, VN_RECORD_SEED_BYTES);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                if (frame->salt[g])
                        memcpy(ret->salt[g], frame->salt[g], VN_RECORD_SEED_BYTES);
                if (frame->commitment[g])
                        memcpy(ret->erased_commitment[g], frame->commitment[g], 32);
        }
}

enum vn_rc vn_record_encode(const struct vn_record *record, uint8_t *ret, size_t cap, size_t *ret_len,
                            struct vn_err *err)
{
        uint8_t header[VN_RECORD_HEADER_BYTES], body[VN_RECORD_MAX_BYTES];
        struct vn_frame frame;
        struct vn_out groups = {.p = body, .cap = sizeof body}, out = {.p = ret, .cap = cap};

        vn_record_header_write(record, 1, header);
        vn_record_frame_init(&frame, record, header);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                size_t from = groups.len;
                vn_record_group_write(&groups, g, record);
                frame.group[g] = vn_str_n(body + from, groups.len - from);
        }
        vn_frame_write(&out, &frame);
        if (groups.bad || out.bad)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "the record does not fit into %zu bytes", cap);
        *ret_len = out.len;
        return VN_OK;
}

enum vn_rc vn_record_decode(struct vn_str bytes, struct vn_record *ret, struct vn_err *err)
{
        struct vn_frame frame;
        uint8_t again[VN_RECORD_MAX_BYTES];
        uint32_t count;
        size_t n;
        VN_TRY(vn_frame_read(bytes, &frame, err));
        memset(ret, 0, sizeof *ret);
        if (!vn_record_header_read(frame.header, ret, &count))
                return vn_fail(err, VN_DATA_LOSS, "the record's header is damaged");
        if (count > 1)
                return vn_fail(err, VN_FAILED_PRECONDITION, "this record holds %u decisions", count);
        vn_record_frame_copy(&frame, ret);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                if (!vn_record_group_read(frame.group[g], g, ret))
                        return vn_fail(err, VN_DATA_LOSS, "the record's group %u is damaged", g);
        VN_TRY(vn_record_encode(ret, again, sizeof again, &n, err));
        if (n != bytes.len || memcmp(again, bytes.ptr, n))
                return vn_fail(err, VN_DATA_LOSS, "the record is not in its canonical form");
        return VN_OK;
}

enum vn_rc vn_record_peek(struct vn_str bytes, struct vn_record_index *ret, struct vn_err *err)
{
        struct vn_frame frame;
        struct vn_record head;
        VN_TRY(vn_frame_read(bytes, &frame, err));
        memset(ret, 0, sizeof *ret);
        if (!vn_record_header_read(frame.header, &head, &ret->count))
                return vn_fail(err, VN_DATA_LOSS, "the record's header is damaged");
        ret->kind = head.kind;
        ret->id = head.id;
        ret->time_us = head.time_us;
        struct vn_str *first[2] = {&ret->tenant, &ret->workload};
        for (unsigned g = VN_GROUP_IDENTITY; g <= VN_GROUP_QUESTION; g++) {
                struct vn_in in = {.p = (const uint8_t *)frame.group[g].ptr, .len = frame.group[g].len};
                if (!in.len)
                        continue;
                if (ret->count > 1) /* a run's first decision: the length of the whole stands before it */
                        vn_take_var(&in, VN_RUN_MAX_BYTES);
                size_t n = (size_t)vn_take_var(&in, 191);
                *first[g] = vn_str_n(vn_take(&in, n), n);
                if (in.bad)
                        return vn_fail(err, VN_DATA_LOSS, "the record's group %u is damaged", g);
        }
        return VN_OK;
}
