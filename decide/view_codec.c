/* The canonical bytes of views. One table of fields a part, walked by writer and reader alike, so they cannot drift. */
#include "decide/view_codec.h"

#include "base/hash.h"
#include "decide/wire.h"

#define MAGIC 0x57564e56u /* "VNVW" */
#define FORMAT 3          /* 2: the calibration of risk; 3: a fourth cloud in the declared split */
#define MANIFEST_BYTES (12 + 32 * VN_VIEW_PARTS)

static const char *const part_names[VN_VIEW_PARTS] = {"endpoints", "prices", "model", "policy", "state"};

/* A codec walks the fields once: it writes when `out` is set and reads otherwise. */
struct codec {
        struct vn_out *out;
        struct vn_in *in;
};

static void c_u64(struct codec *c, uint64_t *v)
{
        if (c->out)
                vn_put_var(c->out, *v);
        else
                *v = vn_take_var(c->in, UINT64_MAX);
}

static void c_u32(struct codec *c, uint32_t *v)
{
        uint64_t wide = *v;
        if (c->out)
                vn_put_var(c->out, wide);
        else
                *v = (uint32_t)vn_take_var(c->in, UINT32_MAX);
}

static void c_i64(struct codec *c, int64_t *v)
{
        if (c->out)
                vn_put_le(c->out, (uint64_t)*v, 8);
        else
                *v = (int64_t)vn_take_le(c->in, 8);
}

static void c_f64(struct codec *c, double *v)
{
        if (c->out)
                vn_put_f64(c->out, *v);
        else
                *v = vn_take_f64(c->in);
}

static void c_f32(struct codec *c, float *v)
{
        if (c->out)
                vn_put_f32(c->out, *v);
        else
                *v = vn_take_f32(c->in);
}

static void c_text(struct codec *c, char *v, size_t bytes)
{
        if (c->out)
                vn_put_text(c->out, v);
        else
                vn_take_text(c->in, v, bytes);
}

/* An enum or bool with `count` values. */
static unsigned c_choice(struct codec *c, unsigned v, unsigned count)
{
        if (c->out)
                vn_put_le(c->out, v, 1);
        else if ((v = (unsigned)vn_take_le(c->in, 1)) >= count)
                c->in->bad = true, v = 0;
        return v;
}

/* Written only when reading: a sealed view is encoded while others read it. */
#define C_CHOICE(c, field, type, count)                                                                              \
        do {                                                                                                         \
                unsigned choice_ = c_choice(c, (unsigned)(field), count);                                            \
                if ((c)->in)                                                                                         \
                        (field) = (type)choice_;                                                                     \
        } while (0)

static void endpoint_fields(struct codec *c, struct vn_endpoint *e)
{
        c_i64(c, (int64_t *)&e->id);
        c_text(c, e->account, sizeof e->account);
        c_text(c, e->region, sizeof e->region);
        c_text(c, e->function, sizeof e->function);
        C_CHOICE(c, e->provider, enum vn_provider, VN_PROVIDER_COUNT);
        c_u32(c, &e->memory_mb);
        c_f64(c, &e->need_mb);
        c_f64(c, &e->concurrency_limit);
}

static void price_fields(struct codec *c, struct vn_endpoint *e)
{
        double *fields[] = {&e->usd_per_gb_s, &e->usd_per_gb_s_next, &e->usd_per_vcpu_s, &e->usd_per_vcpu_s_next,
                            &e->border_s,     &e->billed_gb,         &e->vcpu,           &e->share,
                            &e->request_usd,  &e->egress_usd_per_gb};
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                c_f64(c, fields[i]);
        c_i64(c, &e->rounding_us);
        c_i64(c, &e->minimum_us);
}

static void model_fields(struct codec *c, struct vn_endpoint *e)
{
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                        c_f32(c, &e->duration_us[k][q]);
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++)
                c_f32(c, &e->cold_chance[k]);
        c_f64(c, &e->cold_us);
        c_f64(c, &e->init_us);
}

static void state_fields(struct codec *c, struct vn_endpoint *e)
{
        c_u32(c, &e->flags);
        c_f64(c, &e->network_us);
        c_f64(c, &e->error_rate);
        c_f64(c, &e->throttle_rate);
        c_i64(c, &e->last_call_us);
        c_f64(c, &e->tokens);
        c_f64(c, &e->warm_slots);
        c_u64(c, &e->samples);
        c_i64(c, &e->price_time_us);
        c_i64(c, &e->health_time_us);
}

static void policy_fields(struct codec *c, struct vn_policy_compiled *p)
{
        double *fields[] = {&p->cost_weight,    &p->latency_weight, &p->latency_value_usd_per_ms,
                            &p->latency_slo_ms, &p->slo_quantile,   &p->budget_usd_per_day,
                            &p->exploration,    &p->max_step};
        c_text(c, p->name, sizeof p->name);
        c_text(c, p->workloads, sizeof p->workloads);
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                c_f64(c, fields[i]);
        for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++)
                c_f64(c, &p->fallback[i]);
        c_u32(c, &p->clouds);
        c_u32(c, &p->residency);
        c_u32(c, &p->region_count);
        if (p->region_count > VN_POLICY_MAX_REGIONS) {
                c->in->bad = true; /* only a reader can meet this */
                p->region_count = 0;
        }
        for (uint32_t i = 0; i < p->region_count; i++)
                c_text(c, p->regions[i], sizeof p->regions[i]);
        C_CHOICE(c, p->routing_mode, enum vn_routing_mode, 3);
        C_CHOICE(c, p->unrecordable, enum vn_unrecordable, 2);
        C_CHOICE(c, p->acknowledge, enum vn_acknowledge, 2);
        C_CHOICE(c, p->tuning_mode, enum vn_tuning_mode, 4);
}

/* What of the view itself, beside its candidates, belongs to a part. */
static void head_fields(struct codec *c, struct vn_view *v, enum vn_view_part part)
{
        switch (part) {
        case VN_PART_ENDPOINTS:
                c_text(c, v->tenant, sizeof v->tenant);
                c_text(c, v->workload, sizeof v->workload);
                break;
        case VN_PART_PRICES: c_u64(c, &v->price_version); break;
        case VN_PART_MODEL:
                c_u64(c, &v->model_version);
                for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                        c_f64(c, &v->payload_bytes[k]);
                break;
        case VN_PART_POLICY:
                c_u64(c, &v->policy_version);
                policy_fields(c, &v->policy);
                break;
        case VN_PART_STATE:
                c_u64(c, &v->epoch);
                c_i64(c, &v->epoch_us);
                C_CHOICE(c, v->paused, bool, 2);
                c_f64(c, &v->spent_usd);
                c_u64(c, &v->calls_per_min);
                c_f64(c, &v->response_bytes);
                c_f64(c, &v->calibration.slope);
                c_f64(c, &v->calibration.intercept);
                c_u64(c, &v->calibration.outcomes);
                break;
        }
}

static void part_fields(struct codec *c, struct vn_view *view, enum vn_view_part part)
{
        static void (*const fields[VN_VIEW_PARTS])(struct codec *, struct vn_endpoint *) = {
                endpoint_fields, price_fields, model_fields, NULL, state_fields};
        uint32_t head[3] = {MAGIC, FORMAT, part}, count = view->count;
        for (unsigned i = 0; i < 3; i++) {
                uint32_t seen = head[i];
                c_u32(c, &seen);
                if (seen != head[i])
                        c->in->bad = true;
        }
        head_fields(c, view, part);
        if (!fields[part])
                return;
        c_u32(c, &count);
        if (count != view->count)
                c->in->bad = true;
        else
                for (uint32_t i = 0; i < count; i++)
                        fields[part](c, &view->endpoint[i]);
}

static enum vn_rc write_part(struct vn_view *view, enum vn_view_part part, struct vn_buf *ret, struct vn_err *err)
{
        size_t cap = 4096 + (size_t)view->count * 512;
        if (!vn_buf_reserve(ret, cap))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no room for a view's %s", part_names[part]);
        struct vn_out out = {.p = (uint8_t *)ret->ptr + ret->len, .cap = cap};
        struct codec c = {.out = &out};
        part_fields(&c, view, part);
        VN_ASSERT(!out.bad);
        ret->len += out.len;
        ret->ptr[ret->len] = 0;
        return VN_OK;
}

enum vn_rc vn_view_encode_part(const struct vn_view *view, enum vn_view_part part, struct vn_buf *ret,
                               struct vn_err *err)
{
        union {
                const struct vn_view *in;
                struct vn_view *walked;
        } cast = {.in = view}; /* the codec only reads when it writes out */
        return write_part(cast.walked, part, ret, err);
}

static void manifest(uint32_t count, const uint8_t part_id[VN_VIEW_PARTS][32], uint8_t ret[MANIFEST_BYTES])
{
        struct vn_out out = {.p = ret, .cap = MANIFEST_BYTES};
        vn_put_le(&out, MAGIC, 4);
        vn_put_le(&out, FORMAT, 4);
        vn_put_le(&out, count, 4);
        vn_put(&out, part_id, 32 * VN_VIEW_PARTS);
}

enum vn_rc vn_view_name(struct vn_view *view, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        for (unsigned part = 0; part < VN_VIEW_PARTS; part++) {
                vn_buf_reset(&bytes);
                VN_TRY(write_part(view, (enum vn_view_part)part, &bytes, err));
                vn_sha256(bytes.ptr, bytes.len, view->part_id[part]);
        }
        uint8_t list[MANIFEST_BYTES];
        manifest(view->count, view->part_id, list);
        vn_sha256(list, sizeof list, view->id);
        return VN_OK;
}

static enum vn_rc read_manifest(struct vn_str bytes, uint32_t *ret_count, uint8_t ret[VN_VIEW_PARTS][32],
                                struct vn_err *err)
{
        struct vn_in in = {.p = (const uint8_t *)bytes.ptr, .len = bytes.len};
        uint64_t magic = vn_take_le(&in, 4), format = vn_take_le(&in, 4);
        *ret_count = (uint32_t)vn_take_le(&in, 4);
        const uint8_t *ids = vn_take(&in, 32 * VN_VIEW_PARTS);
        if (!ids || in.at != in.len || magic != MAGIC || *ret_count < 1 || *ret_count > VN_VIEW_MAX_ENDPOINTS)
                return vn_fail(err, VN_DATA_LOSS, "these bytes are not the manifest of a view");
        if (format != FORMAT)
                return vn_fail(err, VN_UNIMPLEMENTED, "a view of format %u, this program reads %d", (unsigned)format,
                               FORMAT);
        memcpy(ret, ids, 32 * VN_VIEW_PARTS);
        return VN_OK;
}

static enum vn_rc decode(struct vn_str bytes, const struct vn_str parts[VN_VIEW_PARTS], struct vn_view **ret,
                         struct vn_err *err)
{
        uint8_t ids[VN_VIEW_PARTS][32], hash[32];
        uint32_t count;
        VN_AUTO(vn_view)
        view = NULL;

        VN_TRY(read_manifest(bytes, &count, ids, err));
        VN_TRY(vn_view_new(count, &view, err));
        view->count = count;
        for (unsigned part = 0; part < VN_VIEW_PARTS; part++) {
                struct vn_in in = {.p = (const uint8_t *)parts[part].ptr, .len = parts[part].len};
                struct codec c = {.in = &in};
                vn_sha256(parts[part].ptr, parts[part].len, hash);
                if (memcmp(hash, ids[part], 32))
                        return vn_fail(err, VN_DATA_LOSS, "the view's %s do not have their hash", part_names[part]);
                part_fields(&c, view, (enum vn_view_part)part);
                if (in.bad || in.at != in.len)
                        return vn_fail(err, VN_DATA_LOSS, "the view's %s cannot be read", part_names[part]);
        }
        VN_TRY(vn_view_seal(view, err));
        vn_sha256(bytes.ptr, bytes.len, hash);
        if (memcmp(hash, view->id, 32))
                return vn_fail(err, VN_DATA_LOSS, "the view is not in its canonical form");
        *ret = vn_steal(&view);
        return VN_OK;
}

enum vn_rc vn_view_rebuild(const uint8_t id[32], uint32_t count, const struct vn_str parts[VN_VIEW_PARTS],
                           struct vn_view **ret, struct vn_err *err)
{
        uint8_t ids[VN_VIEW_PARTS][32], list[MANIFEST_BYTES], hash[32];
        for (unsigned part = 0; part < VN_VIEW_PARTS; part++)
                vn_sha256(parts[part].ptr, parts[part].len, ids[part]);
        manifest(count, ids, list);
        vn_sha256(list, sizeof list, hash);
        if (memcmp(hash, id, 32))
                return vn_fail(err, VN_DATA_LOSS, "these parts are not those of the view");
        return decode(vn_str_n(list, sizeof list), parts, ret, err);
}

enum vn_rc vn_view_encode(const struct vn_view *view, struct vn_buf *ret, struct vn_err *err)
{
        uint8_t list[MANIFEST_BYTES];
        VN_ASSERT(view->sealed);
        manifest(view->count, view->part_id, list);
        vn_buf_add(ret, list, sizeof list);
        for (unsigned part = 0; part < VN_VIEW_PARTS; part++) {
                VN_AUTO(vn_buf)
                bytes = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
                VN_TRY(vn_view_encode_part(view, (enum vn_view_part)part, &bytes, err));
                uint8_t length[4];
                struct vn_out out = {.p = length, .cap = 4};
                vn_put_le(&out, bytes.len, 4);
                vn_buf_add(ret, length, 4);
                vn_buf_add(ret, bytes.ptr, bytes.len);
        }
        return vn_buf_check(ret, err);
}

enum vn_rc vn_view_decode_blob(struct vn_str blob, struct vn_view **ret, struct vn_err *err)
{
        struct vn_in in = {.p = (const uint8_t *)blob.ptr, .len = blob.len};
        struct vn_str head = {blob.ptr, MANIFEST_BYTES}, parts[VN_VIEW_PARTS];
        vn_take(&in, head.len);
        for (unsigned part = 0; part < VN_VIEW_PARTS; part++) {
                size_t n = (size_t)vn_take_le(&in, 4);
                parts[part] = vn_str_n(vn_take(&in, n), n);
        }
        if (in.bad || in.at != in.len)
                return vn_fail(err, VN_DATA_LOSS, "these bytes are not a view");
        return decode(head, parts, ret, err);
}
