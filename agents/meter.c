#include "agents/meter.h"

#include "base/hash.h"
#include "base/mem.h"

#define MOST_US (1440 * VN_US_PER_MIN) /* what one reading may hold */
#define MAX_BILLED 1e18

struct one {
        uint64_t function; /* hash of name and region */
        int64_t until_us;  /* the meter was used up to here */
};
struct vn_meter {
        struct one *items;
        size_t count, cap;
};

enum vn_rc vn_meter_new(struct vn_meter **ret, struct vn_err *err)
{
        *ret = vn_alloc(sizeof(**ret));
        return *ret ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "meter: out of memory");
}

struct vn_meter *vn_meter_free(struct vn_meter *meter)
{
        if (meter)
                vn_free(meter->items);
        vn_free(meter);
        return NULL;
}

static struct one *find_or_make(struct vn_meter *meter, const struct vn_cloud_function *f)
{
        uint64_t function = vn_hash64(f->region, strlen(f->region), vn_hash64(f->name, strlen(f->name), 1));
        for (size_t i = 0; i < meter->count; i++)
                if (meter->items[i].function == function)
                        return &meter->items[i];
        if (meter->count == meter->cap) {
                size_t cap = meter->cap ? 2 * meter->cap : 64;
                struct one *grown =
                        cap <= VN_CLOUD_MAX_FUNCTIONS * 2 ? vn_realloc(meter->items, cap * sizeof *grown) : NULL;
                if (!grown)
                        return NULL;
                meter->items = grown;
                meter->cap = cap;
        }
        meter->items[meter->count] = (struct one){.function = function};
        return &meter->items[meter->count++];
}

enum vn_rc vn_meter_read_cloud(void *cloud, const struct vn_cloud_function *function, int64_t from_us, int64_t to_us,
                               struct vn_metered *ret, struct vn_err *err)
{
        struct vn_cloud_minute *minutes = vn_alloc_array(VN_CLOUD_MAX_MINUTES, sizeof *minutes);
        size_t count = 0;
        if (!minutes)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "meter: out of memory");
        enum vn_rc rc = vn_cloud_metrics(cloud, function, from_us, to_us, minutes, VN_CLOUD_MAX_MINUTES, &count, err);
        *ret = (struct vn_metered){0};
        for (size_t i = 0; rc == VN_OK && i < count; i++) {
                ret->calls += minutes[i].calls;
                ret->gb_s += minutes[i].billed_gb_s;
                ret->instance_s += minutes[i].billed_instance_s;
        }
        vn_free(minutes);
        return rc;
}

void vn_meter_apply(struct vn_meter *meter, const struct vn_cloud_function *f, vn_meter_read read, void *state,
                    struct vn_window *w)
{
        struct one *one = w->calls ? find_or_make(meter, f) : NULL;
        int64_t end_us = w->start_us + VN_WINDOW_US;
        struct vn_metered m;
        if (!one || end_us <= one->until_us)
                return;
        int64_t from_us = one->until_us && one->until_us < w->start_us ? one->until_us : w->start_us;
        if (end_us - from_us > MOST_US)
                from_us = end_us - MOST_US;
        one->until_us = end_us; /* also without an answer: then this time is billed by rule, and never twice */
        if (read(state, f, from_us, end_us, &m, NULL) != VN_OK || m.calls < w->calls)
                return;
        double mb_us = m.gb_s * 1024e6 + m.instance_s * 1e6 * f->memory_mb,
               milli_vcpu_us = m.instance_s * 1e6 * f->milli_vcpu;
        if (!(mb_us > 0 && mb_us < MAX_BILLED && milli_vcpu_us < MAX_BILLED))
                return;
        w->billed_mb_us = (uint64_t)(mb_us + 0.5);
        w->billed_milli_vcpu_us = (uint64_t)(milli_vcpu_us + 0.5);
        w->metered = true;
}
