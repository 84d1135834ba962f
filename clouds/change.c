/* Changing a function, whatever its cloud: what can be refused is refused before anything is sent, and an answer that was
 * lost is looked up instead of guessed. */
#include "clouds/call.h"

const char *vn_cloud_setting_name(enum vn_cloud_setting setting)
{
        static const char *const names[] = {[VN_SETTING_MEMORY_MB] = "memory_mb",
                                            [VN_SETTING_CONCURRENCY] = "concurrency",
                                            [VN_SETTING_MAX_INSTANCES] = "max_instances",
                                            [VN_SETTING_WARM_INSTANCES] = "warm_instances"};

        return names[setting];
}

uint32_t vn_setting_value(const struct vn_cloud_function *f, enum vn_cloud_setting setting)
{
        switch (setting) {
        case VN_SETTING_MEMORY_MB: return f->memory_mb;
        case VN_SETTING_CONCURRENCY: return f->concurrency;
        case VN_SETTING_MAX_INSTANCES: return f->max_instances;
        case VN_SETTING_WARM_INSTANCES: return f->warm_instances;
        }
        return 0;
}

static enum vn_rc check_memory(const struct vn_cloud_function *f, uint32_t memory_mb, struct vn_err *err)
{
        if (!f->memory_tunable)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: its plan has no memory setting", f->name);
        for (size_t i = 0; i < f->memory_choice_count; i++)
                if (f->memory_choices_mb[i] == memory_mb)
                        return VN_OK;
        if (f->memory_choice_count > 0)
                return vn_fail(err, VN_OUT_OF_RANGE, "%s: the plan has no size of %u MB", f->name, memory_mb);
        if (memory_mb < f->memory_min_mb || memory_mb > f->memory_max_mb)
                return vn_fail(err, VN_OUT_OF_RANGE, "%s: %u MB is outside %u to %u", f->name, memory_mb,
                               f->memory_min_mb, f->memory_max_mb);
        return VN_OK;
}

/* What stands once nothing is under way any more. */
static enum vn_rc read_settled(struct vn_cloud *cloud, const struct vn_cloud_function *which, int64_t max_wait_us,
                               struct vn_cloud_function *ret, struct vn_err *err)
{
        struct vn_wait wait = {.max_us = max_wait_us};

        for (;;) {
                *ret = (struct vn_cloud_function){0};
                VN_TRY(cloud->ops->read(cloud, which, ret, err));
                if (!ret->busy)
                        return VN_OK;
                if (!vn_wait_more(cloud, &wait, NULL))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "%s: a change is still running", which->name);
        }
}

/* Time that was used up while the cloud carries the change out is not lost: the caller knows as much as there is. */
static bool may_be_lost(const struct vn_cloud *cloud, enum vn_rc rc)
{
        return rc == VN_UNAVAILABLE || rc == VN_RESOURCE_EXHAUSTED ||
               (rc == VN_DEADLINE_EXCEEDED && cloud->write_late);
}

enum vn_rc vn_cloud_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                           enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                           struct vn_cloud_function *ret, struct vn_err *err)
{
        struct vn_cloud_function got = {0}, now = {0};
        struct vn_err lost;
        enum vn_rc rc;

        if (!cloud->ops->change)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: its cloud has nothing to change", as_read->name);
        if (!as_read->guard[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: read the configuration before changing it",
                               as_read->name);
        cloud->budget.class = VN_CALLS_CHANGE; /* also what it reads on its way */
        if (setting == VN_SETTING_MEMORY_MB)
                VN_TRY(check_memory(as_read, value, err));
        cloud->write_late = false;
        rc = cloud->ops->change(cloud, as_read, setting, value, max_wait_us, &got, err);
        if (may_be_lost(cloud, rc)) {
                /* The answer may be lost and the change made. The guard tells: as it was, nothing happened and one
                 * more attempt is safe (but not when the time is used up: the first may still arrive); otherwise what
                 * stands now is the result. */
                if (read_settled(cloud, as_read, max_wait_us, &now, &lost) != VN_OK)
                        return rc;
                if (!strcmp(now.guard, as_read->guard) && rc != VN_DEADLINE_EXCEEDED)
                        rc = cloud->ops->change(cloud, as_read, setting, value, max_wait_us, &got, err);
                else if (strcmp(now.guard, as_read->guard) != 0 && vn_setting_value(&now, setting) == value)
                        rc = (got = now, VN_OK);
        }
        VN_TRY(rc);
        *ret = got;
        return VN_OK;
}

enum vn_rc vn_cloud_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                               struct vn_cloud_split *ret, struct vn_err *err)
{
        struct vn_cloud_split got = {0};

        if (!cloud->ops->read_split)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: its cloud does not divide calls", function->name);
        cloud->budget.class = VN_CALLS_READ;
        VN_TRY(cloud->ops->read_split(cloud, function, alias, &got, err));
        *ret = got;
        return VN_OK;
}

/* A version that gets nothing counts as one that is not named. */
bool vn_split_same(const struct vn_cloud_split *a, const struct vn_cloud_split *b)
{
        uint32_t shared = 0;

        for (size_t i = 0; i < a->count; i++)
                for (size_t k = 0; k < b->count; k++)
                        if (a->shares[i].per_mille == b->shares[k].per_mille &&
                            !strcmp(a->shares[i].version, b->shares[k].version))
                                shared += a->shares[i].per_mille;
        return shared == 1000;
}

enum vn_rc vn_cloud_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                              const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                              struct vn_err *err)
{
        struct vn_cloud_split got = {0}, now = {0};
        struct vn_err lost;
        uint32_t sum = 0;
        enum vn_rc rc;

        if (!cloud->ops->set_split)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: its cloud does not divide calls", function->name);
        if (!wanted->guard[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: read the split before changing it", function->name);
        for (size_t i = 0; i < wanted->count && i < VN_CLOUD_MAX_SHARES; i++)
                sum += wanted->shares[i].per_mille;
        if (wanted->count > VN_CLOUD_MAX_SHARES || sum != 1000)
                return vn_fail(err, VN_OUT_OF_RANGE, "%s: the shares must make 1000 per mille", function->name);
        cloud->budget.class = VN_CALLS_CHANGE;
        rc = cloud->ops->set_split(cloud, function, wanted, max_wait_us, &got, err);
        if (rc == VN_UNAVAILABLE || rc == VN_RESOURCE_EXHAUSTED) {
                /* As in vn_cloud_change. */
                if (cloud->ops->read_split(cloud, function, vn_str(wanted->alias), &now, &lost) != VN_OK)
                        return rc;
                if (!strcmp(now.guard, wanted->guard))
                        rc = cloud->ops->set_split(cloud, function, wanted, max_wait_us, &got, err);
                else if (vn_split_same(&now, wanted))
                        rc = (got = now, VN_OK);
        }
        VN_TRY(rc);
        *ret = got;
        return VN_OK;
}
