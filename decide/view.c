/* Sealing turns the raw part of a view, which is what is stored and what people see, into the hot rows that deciding
 * reads: about 110 bytes a candidate, rows of floats, so that a hundred candidates stream through the cache once. The
 * rows are a pure function of the raw part: only that is encoded. */
#include "decide/view.h"

#include <math.h>

#include "base/hash.h"
#include "decide/decide.h"
#include "decide/view_codec.h"

/* Weights of the seven quantile points as an integral over the distribution: each point stands for the probability
 * around it (.8 to .925 for .9, and so on); they add up to 1. */
static const double point_weight[VN_VIEW_QUANTILES] = {.2, .2, .2, .2, .125, .045, .03};
static const double point_quantile[VN_VIEW_QUANTILES] = {.1, .3, .5, .7, .9, .95, .99};

#define MILLION 1e6

enum vn_rc vn_view_new(uint32_t capacity, struct vn_view **ret, struct vn_err *err)
{
        if (capacity < 1 || capacity > VN_VIEW_MAX_ENDPOINTS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "a view has 1 to %d candidates", VN_VIEW_MAX_ENDPOINTS);
        uint32_t stride = (capacity + 7u) & ~7u;
        size_t hot = sizeof(float) * VN_HOT_ROWS * stride, cold = sizeof(uint16_t) * VN_VIEW_COLD_KNOTS * stride;
        size_t raw = sizeof(struct vn_endpoint) * capacity, head = (sizeof(struct vn_view) + 63u) & ~(size_t)63;
        uint8_t *block = vn_alloc(head + hot + cold + sizeof(uint32_t) * stride + raw + 64);
        if (!block)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a view of %u candidates", capacity);
        struct vn_view *view = (void *)block;
        view->capacity = capacity;
        view->stride = stride;
        view->excluded = (void *)(block + head);
        view->cold = (void *)(block + head + sizeof(uint32_t) * stride);
        view->hot = (void *)(block + head + sizeof(uint32_t) * stride + cold);
        size_t at = head + sizeof(uint32_t) * stride + cold + hot;
        view->endpoint = (void *)(block + ((at + 15u) & ~(size_t)15));
        vn_policy_default(&view->policy);
        view->calibration.slope = 1;
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                view->payload_bytes[k] = k ? (double)(256u << (4 * k)) : 0;
        *ret = view;
        return VN_OK;
}

struct vn_view *vn_view_free(struct vn_view *view)
{
        vn_free(view);
        return NULL;
}

enum vn_rc vn_view_clone(const struct vn_view *view, struct vn_view **ret, struct vn_err *err)
{
        struct vn_view *copy;
        VN_TRY(vn_view_new(view->capacity, &copy, err));
        struct vn_view own = *copy;
        *copy = *view;
        copy->hot = own.hot;
        copy->cold = own.cold;
        copy->excluded = own.excluded;
        copy->endpoint = own.endpoint;
        copy->sealed = false;
        memcpy(copy->endpoint, view->endpoint, sizeof(struct vn_endpoint) * view->count);
        *ret = copy;
        return VN_OK;
}

static bool in_range(double x, double low, double high)
{
        return x >= low && x <= high; /* false for NaN */
}

static bool text_ok(const char *text, size_t bytes)
{
        return memchr(text, 0, bytes) != NULL;
}

/* The name of the first field that is out of bounds, or NULL. */
static const char *endpoint_fault(const struct vn_endpoint *e)
{
        if (!text_ok(e->account, sizeof e->account) || !text_ok(e->region, sizeof e->region) ||
            !text_ok(e->function, sizeof e->function))
                return "text";
        if ((unsigned)e->provider >= VN_PROVIDER_COUNT)
                return "provider";
        const struct {
                const char *name;
                double value, low, high;
        } bound[] = {
                {"need_mb", e->need_mb, 0, 1e6},
                {"concurrency_limit", e->concurrency_limit, 0, 1e9},
                {"usd_per_gb_s", e->usd_per_gb_s, 0, 1},
                {"usd_per_gb_s_next", e->usd_per_gb_s_next, 0, 1},
                {"usd_per_vcpu_s", e->usd_per_vcpu_s, 0, 1},
                {"usd_per_vcpu_s_next", e->usd_per_vcpu_s_next, 0, 1},
                {"border_s", e->border_s, 0, 1e15},
                {"billed_gb", e->billed_gb, 0, 1e4},
                {"vcpu", e->vcpu, 0, 1e4},
                {"share", e->share, 1, 1e4},
                {"rounding_us", (double)e->rounding_us, 1, 1e10},
                {"minimum_us", (double)e->minimum_us, 0, 1e10},
                {"request_usd", e->request_usd, 0, 1},
                {"egress_usd_per_gb", e->egress_usd_per_gb, 0, 1e3},
                {"cold_us", e->cold_us, 0, 1e10},
                {"init_us", e->init_us, 0, 1e10},
                {"network_us", e->network_us, 0, 1e9},
                {"error_rate", e->error_rate, 0, 1},
                {"throttle_rate", e->throttle_rate, 0, 1},
                {"tokens", e->tokens, -1e9, 1e9},
                {"warm_slots", e->warm_slots, 0, 1e9},
        };
        for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
                if (!in_range(bound[i].value, bound[i].low, bound[i].high))
                        return bound[i].name;
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                        if (!in_range((double)e->duration_us[k][q], q ? (double)e->duration_us[k][q - 1] : 0, 1e11))
                                return "duration_us";
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++)
                if (!in_range((double)e->cold_chance[k], 0, 1))
                        return "cold_chance";
        return NULL;
}

static enum vn_rc check(const struct vn_view *view, struct vn_err *err)
{
        if (view->count < 1 || view->count > view->capacity)
                return vn_fail(err, VN_INVALID_ARGUMENT, "a view needs 1 to %u candidates", view->capacity);
        if (!text_ok(view->tenant, sizeof view->tenant) || !text_ok(view->workload, sizeof view->workload))
                return vn_fail(err, VN_INVALID_ARGUMENT, "tenant or workload is not terminated");
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                if (!in_range(view->payload_bytes[k], k ? view->payload_bytes[k - 1] + 1 : 0, 1e12))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "payload_bytes must ascend");
        if (!in_range(view->spent_usd, 0, 1e12) || !in_range(view->response_bytes, 0, 1e12))
                return vn_fail(err, VN_INVALID_ARGUMENT, "spent_usd or response_bytes is out of range");
        if (!in_range(view->calibration.slope, VN_CALIBRATION_MIN_SLOPE, VN_CALIBRATION_MAX_SLOPE) ||
            !in_range(view->calibration.intercept, -VN_CALIBRATION_MAX_INTERCEPT, VN_CALIBRATION_MAX_INTERCEPT))
                return vn_fail(err, VN_INVALID_ARGUMENT, "calibration is out of range");
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_endpoint *e = &view->endpoint[i];
                const char *fault = endpoint_fault(e);
                if (fault)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "candidate %u: %s is out of range", i, fault);
                for (uint32_t j = 0; j < i; j++)
                        if (view->endpoint[j].id == e->id)
                                return vn_fail(err, VN_INVALID_ARGUMENT, "candidates %u and %u have the same id", j,
                                               i);
        }
        return VN_OK;
}

static uint32_t static_exclusions(const struct vn_view *view, const struct vn_endpoint *e)
{
        const struct vn_policy_compiled *p = &view->policy;
        uint32_t bits = 0;
        bits |= (uint32_t)!vn_policy_allows_cloud(p, e->provider) << VN_EXCLUDED_CLOUD;
        bits |= (uint32_t)!vn_policy_allows_region(p, e->provider, e->region) << VN_EXCLUDED_REGION;
        bits |= (uint32_t)!vn_policy_allows_residency(p, e->provider, e->region) << VN_EXCLUDED_RESIDENCY;
        bits |= (uint32_t) !!(e->flags & VN_ENDPOINT_OBSERVE_ONLY) << VN_EXCLUDED_OBSERVE;
        bits |= (uint32_t) !!(e->flags & VN_ENDPOINT_PAUSED) << VN_EXCLUDED_PAUSED;
        bits |= (uint32_t) !!(e->flags & VN_ENDPOINT_UNHEALTHY) << VN_EXCLUDED_UNHEALTHY;
        bits |= (uint32_t)(e->need_mb > (double)e->memory_mb) << VN_EXCLUDED_MEMORY;
        return bits;
}

static double quantile_at(const float points[VN_VIEW_QUANTILES], double q)
{
        if (q <= point_quantile[0])
                return (double)points[0];
        for (unsigned i = 1; i < VN_VIEW_QUANTILES; i++)
                if (q <= point_quantile[i]) {
                        double low = point_quantile[i - 1], share = (q - low) / (point_quantile[i] - low);
                        return (double)points[i - 1] + share * ((double)points[i] - (double)points[i - 1]);
                }
        return (double)points[VN_VIEW_QUANTILES - 1];
}

/* Expected billed time: the rounding of the mean would be wrong, it is the mean of the rounded that is paid. */
static void durations(const struct vn_view *view, const struct vn_endpoint *e, uint32_t i)
{
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++) {
                double mean_us = 0, billed_us = 0;
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++) {
                        double d = (double)e->duration_us[k][q];
                        double at_least = d > (double)e->minimum_us ? d : (double)e->minimum_us;
                        double steps = (double)(int64_t)(at_least / (double)e->rounding_us);
                        if (steps * (double)e->rounding_us < at_least)
                                steps += 1;
                        mean_us += point_weight[q] * d;
                        billed_us += point_weight[q] * (steps * (double)e->rounding_us);
                }
                double added = billed_us > mean_us ? billed_us - mean_us : 0;
                float *knot = view->hot + (size_t)(VN_HOT_KNOT + k * VN_HOT_KNOT_ROWS) * view->stride + i;
                knot[VN_HOT_MEAN_MS * view->stride] = (float)(mean_us / 1e3);
                knot[VN_HOT_ROUNDING_MS * view->stride] = (float)(added / 1e3);
                knot[VN_HOT_TAIL_US * view->stride] =
                        (float)quantile_at(e->duration_us[k], view->policy.slo_quantile);
        }
}

static void set(const struct vn_view *view, enum vn_hot row, uint32_t i, double value)
{
        view->hot[(size_t)row * view->stride + i] = (float)value;
}

static void heat(const struct vn_view *view, uint32_t i)
{
        const struct vn_endpoint *e = &view->endpoint[i];
        double now = e->usd_per_gb_s * e->billed_gb + e->usd_per_vcpu_s * e->vcpu;
        double next = e->usd_per_gb_s_next * e->billed_gb + e->usd_per_vcpu_s_next * e->vcpu;
        double rate = now / e->share * (MILLION / 1e3); /* USD/s of one call -> USD a million calls for each ms */
        double idle_s = e->last_call_us > 0 ? (double)(view->epoch_us - e->last_call_us) / 1e6 : 1e9;

        set(view, VN_HOT_RATE, i, rate);
        set(view, VN_HOT_RATE_NEXT, i, next / e->share * (MILLION / 1e3));
        set(view, VN_HOT_BORDER_MS, i, e->border_s > 0 ? e->border_s * 1e3 : (double)VN_VIEW_UNBOUND);
        set(view, VN_HOT_REQUEST, i, e->request_usd * MILLION);
        set(view, VN_HOT_EGRESS, i, e->egress_usd_per_gb / 1e9 * MILLION);
        set(view, VN_HOT_INIT, i, e->flags & VN_ENDPOINT_INIT_BILLED ? rate * (e->init_us / 1e3) : 0);
        set(view, VN_HOT_COLD_US, i, e->cold_us);
        set(view, VN_HOT_NETWORK_US, i, e->network_us);
        set(view, VN_HOT_ERROR, i, e->error_rate);
        set(view, VN_HOT_LIMIT, i, e->concurrency_limit > 0 ? e->concurrency_limit : (double)VN_VIEW_UNBOUND);
        set(view, VN_HOT_TOKENS, i, e->tokens > 0 ? e->tokens : e->tokens < 0 ? 0 : (double)VN_VIEW_UNBOUND);
        set(view, VN_HOT_WARM, i, e->warm_slots > 0 ? e->warm_slots : (double)VN_VIEW_UNBOUND);
        set(view, VN_HOT_IDLE_S, i, idle_s > 0 ? idle_s : 0);
        durations(view, e, i);
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++)
                view->cold[i * VN_VIEW_COLD_KNOTS + k] = (uint16_t)((double)e->cold_chance[k] * 65535 + .5);
        view->excluded[i] = static_exclusions(view, e);
}

static void heat_all(struct vn_view *view)
{
        static const enum vn_hot bounds[] = {VN_HOT_BORDER_MS, VN_HOT_LIMIT, VN_HOT_TOKENS, VN_HOT_WARM};
        for (uint32_t i = 0; i < view->count; i++)
                heat(view, i);
        view->unbound = 0;
        for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
                const float *row = view->hot + (size_t)bounds[b] * view->stride;
                uint32_t i = 0;
                while (i < view->count && row[i] >= VN_VIEW_UNBOUND)
                        i++;
                view->unbound |= (uint32_t)(i == view->count) << bounds[b];
        }
}

enum vn_rc vn_view_seal(struct vn_view *view, struct vn_err *err)
{
        VN_TRY(check(view, err));
        heat_all(view);
        VN_TRY(vn_view_name(view, err));
        view->sealed = true;
        return VN_OK;
}

enum vn_rc vn_view_reheat(struct vn_view *view, uint32_t candidate, struct vn_err *err)
{
        const char *fault = endpoint_fault(&view->endpoint[candidate]);
        if (fault)
                return vn_fail(err, VN_INVALID_ARGUMENT, "candidate %u: %s is out of range", candidate, fault);
        heat_all(view);
        view->sealed = true;
        return VN_OK;
}

static bool same_double(double a, double b)
{
        return memcmp(&a, &b, sizeof a) == 0; /* by their bits: the sign of a zero is a difference to the hash */
}

static bool same_state(const struct vn_endpoint *a, const struct vn_endpoint *b)
{
        return a->flags == b->flags && same_double(a->network_us, b->network_us) &&
               same_double(a->error_rate, b->error_rate) && same_double(a->throttle_rate, b->throttle_rate) &&
               a->last_call_us == b->last_call_us && same_double(a->tokens, b->tokens) &&
               same_double(a->warm_slots, b->warm_slots) && a->samples == b->samples &&
               a->price_time_us == b->price_time_us;
}

bool vn_view_unchanged(const struct vn_view *a, const struct vn_view *b)
{
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                if (p != VN_PART_STATE && memcmp(a->part_id[p], b->part_id[p], 32) != 0)
                        return false;
        if (a->paused != b->paused || a->calls_per_min != b->calls_per_min ||
            !same_double(a->spent_usd, b->spent_usd) || !same_double(a->response_bytes, b->response_bytes))
                return false;
        for (uint32_t i = 0; i < a->count; i++)
                if (!same_state(&a->endpoint[i], &b->endpoint[i]))
                        return false;
        return true;
}
