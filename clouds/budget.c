#include "clouds/budget.h"

#include "clouds/call.h"

#define RESERVE_PART 10 /* a tenth, for reading what is to be changed */

const char *vn_call_class_name(enum vn_call_class class)
{
        static const char *const names[VN_CALL_CLASSES] = {"list", "read",    "change", "invoke",
                                                           "logs", "metrics", "prices", "credentials"};

        VN_ASSERT(class < VN_CALL_CLASSES);
        return names[class];
}

/* USD a call, where a cloud bills calls. List prices of 2025; they differ a little by region.
 * AWS: GetMetricData at 0.01 for 1,000 metrics asked for (CloudWatch pricing; it has no free allotment), and one call asks for
 *   VN_AWS_METRICS_ASKED. FilterLogEvents, Lambda, STS and the price list are free; only Logs Insights bills what it scans.
 * Azure: metrics at 0.01 for 1,000 standard API calls after the first million (Azure Monitor pricing). Queries of logs on the
 *   Analytics plan are paid with what is stored; ARM and the retail prices are free.
 * GCP: Monitoring reads at 0.01 for 1,000 calls after the first million (Cloud Observability pricing); Logging reads are free. */
#define PER_THOUSAND (0.01 / 1000)
static double usd_of(enum vn_cloud_kind kind, enum vn_call_class class)
{
        if (class != VN_CALLS_METRICS)
                return 0;
        return kind == VN_CLOUD_AWS ? VN_AWS_METRICS_ASKED * PER_THOUSAND : PER_THOUSAND;
}

void vn_budget_init(struct vn_budget *budget, uint32_t calls_per_hour, int64_t now_us)
{
        memset(budget, 0, sizeof(*budget));
        budget->usage.calls_per_hour = calls_per_hour ? calls_per_hour : VN_CLOUD_CALLS_PER_HOUR;
        budget->usage.left = budget->usage.calls_per_hour;
        budget->usage.since_us = budget->filled_us = now_us;
}

static void fill(struct vn_budget *budget, int64_t now_us)
{
        double most = budget->usage.calls_per_hour;

        if (now_us <= budget->filled_us)
                return;
        budget->usage.left += (double)(now_us - budget->filled_us) * most / (double)VN_US_PER_HOUR;
        if (budget->usage.left > most)
                budget->usage.left = most;
        budget->filled_us = now_us;
}

/* How many calls must be left for one of this class; negative: it draws nothing. */
static double needed(const struct vn_budget *budget)
{
        switch (budget->class) {
        case VN_CALLS_LIST:
        case VN_CALLS_LOGS:
        case VN_CALLS_METRICS:
        case VN_CALLS_PRICES: return 1 + budget->usage.calls_per_hour / RESERVE_PART;
        case VN_CALLS_READ: return 1;
        case VN_CALLS_CHANGE:
        case VN_CALLS_INVOKE:
        case VN_CALLS_CREDENTIALS:
        case VN_CALL_CLASSES: break;
        }
        return -1;
}

enum vn_rc vn_budget_take(struct vn_budget *budget, enum vn_cloud_kind kind, int64_t now_us, struct vn_err *err)
{
        struct vn_cloud_usage *usage = &budget->usage;
        double need = needed(budget);

        fill(budget, now_us);
        if (need > usage->left)
                return vn_fail(
                        err, VN_RESOURCE_EXHAUSTED,
                        "%s: the account's budget of %u calls an hour (calls_per_hour) is used up, nothing was "
                        "asked; the next %s call may go in %.0f s",
                        vn_cloud_kind_name(kind), usage->calls_per_hour, vn_call_class_name(budget->class),
                        (need - usage->left) * 3600 / usage->calls_per_hour + 0.5);
        if (need > 0)
                usage->left -= 1;
        usage->calls[budget->class]++;
        usage->usd[budget->class] += usd_of(kind, budget->class);
        return VN_OK;
}

void vn_cloud_usage(const struct vn_cloud *cloud, struct vn_cloud_usage *ret)
{
        struct vn_budget now = cloud->budget;

        fill(&now, vn_now_us(cloud->clock));
        *ret = now.usage;
}
