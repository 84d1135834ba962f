#include "agents/collect.h"

#include "agents/meter.h"
#include "base/mem.h"

#define EVERY_US (10 * VN_US_PER_MIN)
#define SPAN_US (1440 * VN_US_PER_MIN)  /* what one metrics query may hold; then counting starts anew */
#define MINIMUM_US (100 * VN_US_PER_MS) /* least billed time of a call */
#define STEP_MB 128
#define MOST_MB 1536

struct one {
        struct vn_cloud_function function;
        int64_t since_us; /* start of the minute of the first call counted */
        double billed_us, calls, asked_calls;
        uint32_t mb;
};
struct vn_used_memory {
        struct one *items;
        size_t count, cap;
        int64_t next_us;
};

enum vn_rc vn_used_memory_new(struct vn_used_memory **ret, struct vn_err *err)
{
        *ret = vn_alloc(sizeof(**ret));
        return *ret ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "collect: out of memory");
}

struct vn_used_memory *vn_used_memory_free(struct vn_used_memory *used)
{
        if (used)
                vn_free(used->items);
        vn_free(used);
        return NULL;
}

static struct one *find(const struct vn_used_memory *used, const char *name)
{
        for (size_t i = 0; i < used->count; i++)
                if (!strcmp(used->items[i].function.name, name))
                        return &used->items[i];
        return NULL;
}

static enum vn_rc find_or_make(struct vn_used_memory *used, const struct vn_cloud_function *function,
                               struct one **ret, struct vn_err *err)
{
        *ret = find(used, function->name);
        if (*ret)
                return VN_OK;
        if (used->count == used->cap) {
                size_t cap = used->cap ? used->cap * 2 : 64;
                struct one *bigger =
                        cap > VN_CLOUD_MAX_FUNCTIONS * 2 ? NULL : vn_realloc(used->items, cap * sizeof(*bigger));

                if (!bigger)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "collect: too many functions");
                used->items = bigger;
                used->cap = cap;
        }
        *ret = &used->items[used->count++];
        memset(*ret, 0, sizeof(**ret));
        (*ret)->function = *function;
        return VN_OK;
}

enum vn_rc vn_used_memory_add(struct vn_used_memory *used, const struct vn_cloud_function *function, int64_t start_us,
                              int64_t duration_us, struct vn_err *err)
{
        struct one *one;

        VN_TRY(find_or_make(used, function, &one, err));
        if (one->calls > 0 && start_us - one->since_us > SPAN_US)
                one->calls = one->billed_us = one->asked_calls = 0;
        if (one->calls <= 0)
                one->since_us = start_us - start_us % VN_US_PER_MIN;
        one->calls++;
        one->billed_us += (double)(duration_us > MINIMUM_US ? duration_us : MINIMUM_US);
        return VN_OK;
}

/* The meter may count calls that the log does not show yet, and the other way round: scale to the same number. */
static uint32_t billed_mb(const struct one *one, double gb_s, double calls)
{
        double seconds = one->billed_us / 1e6 * (calls / one->calls), mb = gb_s * 1024 / seconds;
        double steps = (mb + STEP_MB - 1) / STEP_MB;

        if (!(calls > 0) || !(gb_s > 0) || !(mb > 0))
                return one->mb;
        return mb > MOST_MB ? MOST_MB : (uint32_t)steps * STEP_MB;
}

enum vn_rc vn_used_memory_refresh(struct vn_used_memory *used, int64_t now_us,
                                  const struct vn_used_memory_meter *meter, struct vn_err *err)
{
        if (now_us < used->next_us)
                return VN_OK;
        used->next_us = now_us + EVERY_US; /* also after a failure */
        for (size_t i = 0; i < used->count; i++) {
                struct one *one = &used->items[i];
                double gb_s = 0, calls = 0;

                if (one->calls <= one->asked_calls || now_us <= one->since_us)
                        continue;
                VN_TRY(meter->read(meter->state, &one->function, one->since_us, now_us, &gb_s, &calls, err));
                one->asked_calls = one->calls;
                one->mb = billed_mb(one, gb_s, calls);
        }
        return VN_OK;
}

uint32_t vn_used_memory_mb(const struct vn_used_memory *used, const char *function)
{
        const struct one *one = find(used, function);

        return one ? one->mb : 0;
}

enum vn_rc vn_used_memory_read_cloud(void *cloud, const struct vn_cloud_function *function, int64_t from_us,
                                     int64_t to_us, double *ret_billed_gb_s, double *ret_calls, struct vn_err *err)
{
        struct vn_metered metered = {0};
        enum vn_rc rc = vn_meter_read_cloud(cloud, function, from_us, to_us, &metered, err);

        *ret_billed_gb_s = metered.gb_s;
        *ret_calls = metered.calls;
        return rc;
}
