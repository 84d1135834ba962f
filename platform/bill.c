/* bill.c - see bill.h. Each rule's source stands in docs/billing.md under the rule's name, given here in brackets. */
#include "platform/bill.h"

#define MS UINT64_C(1000)
#define S UINT64_C(1000000)
#define REQUEST UINT64_C(1000000) /* finer than one: a grant is shared out */
#define INCLUDED_STORAGE_MB 512u
#define MAX_GRAINS ((vn_u128)1 << 100) /* what a meter stops at: no month of any account comes near */

static const char *const plan_names[VN_BILL_PLANS] = {"lambda-x86", "lambda-arm", "consumption",
                                                      "flex",       "cloud-run",  "account"};
static const struct {
        const char *name;
        uint64_t grains;
} meters[VN_BILL_METERS] = {
        [VN_BILL_GB_S] = {"gb_second", 1024 * S},
        [VN_BILL_GIB_S] = {"gib_second", 1024 * S},
        [VN_BILL_VCPU_S] = {"vcpu_second", 1000 * S},
        [VN_BILL_REQUEST] = {"request", REQUEST},
        [VN_BILL_STORAGE_GB_S] = {"storage_gb_second", 1024 * S},
        [VN_BILL_READY_GB_S] = {"ready_gb_second", 1024 * S},
        [VN_BILL_READY_RUN_GB_S] = {"ready_run_gb_second", 1024 * S},
        [VN_BILL_READY_REQUEST] = {"ready_request", REQUEST},
        [VN_BILL_READY_GIB_S] = {"ready_gib_second", 1024 * S},
        [VN_BILL_READY_VCPU_S] = {"ready_vcpu_second", 1000 * S},
        [VN_BILL_EGRESS_GB] = {"egress_gb", 1000 * S},
};

const char *vn_bill_plan_name(enum vn_bill_plan plan)
{
        return plan_names[plan];
}

const char *vn_bill_meter_name(enum vn_bill_meter meter)
{
        return meters[meter].name;
}

enum vn_rc vn_bill_plan_parse(struct vn_str name, enum vn_bill_plan *ret)
{
        for (int i = 0; i < VN_BILL_PLANS; i++)
                if (vn_str_eq(name, vn_str(plan_names[i]))) {
                        *ret = (enum vn_bill_plan)i;
                        return VN_OK;
                }
        return VN_NOT_FOUND;
}

enum vn_rc vn_bill_meter_parse(struct vn_str name, enum vn_bill_meter *ret)
{
        for (int i = 0; i < VN_BILL_METERS; i++)
                if (vn_str_eq(name, vn_str(meters[i].name))) {
                        *ret = (enum vn_bill_meter)i;
                        return VN_OK;
                }
        return VN_NOT_FOUND;
}

vn_u128 vn_bill_grains(enum vn_bill_meter meter)
{
        return meters[meter].grains;
}

enum vn_rc vn_bill_rate_add(struct vn_bill_rates *rates, enum vn_bill_plan plan, enum vn_bill_meter meter,
                            uint64_t from, int64_t pico_usd, struct vn_err *err)
{
        struct vn_bill_ladder *ladder = &rates->ladder[plan][meter];
        uint32_t at = ladder->count;
        if (pico_usd < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s %s: a negative price", plan_names[plan],
                               meters[meter].name);
        if (ladder->count == VN_MAX_BILL_TIERS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s %s: more than %d tiers", plan_names[plan],
                               meters[meter].name, VN_MAX_BILL_TIERS);
        while (at > 0 && ladder->tier[at - 1].from > from)
                at--;
        if (at > 0 && ladder->tier[at - 1].from == from)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s %s: two prices from %llu on", plan_names[plan],
                               meters[meter].name, (unsigned long long)from);
        memmove(&ladder->tier[at + 1], &ladder->tier[at], (ladder->count - at) * sizeof ladder->tier[0]);
        ladder->tier[at] = (struct vn_bill_tier){from, pico_usd};
        ladder->count++;
        return VN_OK;
}

/* --- quantities --- */

static uint64_t ceil_to(uint64_t value, uint64_t step)
{
        return (value + step - 1) / step * step;
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
        return value < least ? least : value;
}

/* [time] INIT: Lambda bills it since August 2025; Cloud Run and Flex bill the instance's active time, start included;
 * Consumption bills executions only. */
uint64_t vn_bill_time_us(enum vn_bill_plan plan, uint64_t run_us, uint64_t init_us)
{
        switch (plan) {
        case VN_BILL_LAMBDA:
        case VN_BILL_LAMBDA_ARM: return ceil_to(run_us + init_us, MS);
        case VN_BILL_CONSUMPTION: return at_least(ceil_to(run_us, MS), 100 * MS);
        case VN_BILL_FLEX: return at_least(ceil_to(run_us + init_us, 100 * MS), S);
        case VN_BILL_CLOUD_RUN: return ceil_to(run_us + init_us, 100 * MS);
        case VN_BILL_ACCOUNT:
        case VN_BILL_PLANS: break;
        }
        return run_us;
}

/* [memory] */
uint32_t vn_bill_memory_mb(enum vn_bill_plan plan, uint32_t memory_mb, uint32_t used_mb)
{
        if (plan != VN_BILL_CONSUMPTION)
                return memory_mb;
        uint32_t steps = used_mb / 128 + (used_mb % 128 != 0);
        return steps < 1 ? 128 : steps > 12 ? 1536 : steps * 128;
}

static void put(struct vn_bill_usage *usage, enum vn_bill_plan plan, enum vn_bill_meter meter, vn_u128 grains)
{
        vn_u128 *at = &usage->grains[plan][meter];
        *at = grains < MAX_GRAINS && *at < MAX_GRAINS - grains ? *at + grains : MAX_GRAINS;
}

static bool is_lambda(enum vn_bill_plan plan)
{
        return plan == VN_BILL_LAMBDA || plan == VN_BILL_LAMBDA_ARM;
}

/* time: of all the calls together. */
static void put_calls(struct vn_bill_usage *usage, const struct vn_bill_call *c, vn_u128 time_us)
{
        bool run = c->plan == VN_BILL_CLOUD_RUN, ready = c->ready && !run;
        vn_u128 mb_us = time_us * vn_bill_memory_mb(c->plan, c->memory_mb, c->used_mb);
        if (run) {
                put(usage, c->plan, VN_BILL_GIB_S, mb_us);
                put(usage, c->plan, VN_BILL_VCPU_S, time_us * c->milli_vcpu);
        } else {
                put(usage, c->plan, ready ? VN_BILL_READY_RUN_GB_S : VN_BILL_GB_S, mb_us);
        }
        if (run && c->ready) {
                usage->ready_active[VN_BILL_GIB_S] += mb_us;
                usage->ready_active[VN_BILL_VCPU_S] += time_us * c->milli_vcpu;
        }
        put(usage, c->plan, ready ? VN_BILL_READY_REQUEST : VN_BILL_REQUEST, (vn_u128)c->count * REQUEST);
        if (is_lambda(c->plan) && c->storage_mb > INCLUDED_STORAGE_MB)
                put(usage, c->plan, VN_BILL_STORAGE_GB_S, time_us * (c->storage_mb - INCLUDED_STORAGE_MB));
        put(usage, VN_BILL_ACCOUNT, VN_BILL_EGRESS_GB, (vn_u128)c->response_bytes * c->count);
}

void vn_bill_call(struct vn_bill_usage *usage, const struct vn_bill_call *call)
{
        put_calls(usage, call, (vn_u128)vn_bill_time_us(call->plan, call->run_us, call->init_us) * call->count);
}

void vn_bill_told(struct vn_bill_usage *usage, const struct vn_bill_call *call)
{
        put_calls(usage, call, call->run_us);
}

/* [ready] */
void vn_bill_keep(struct vn_bill_usage *usage, enum vn_bill_plan plan, uint32_t memory_mb, uint32_t milli_vcpu,
                  uint32_t instances, uint64_t for_us)
{
        if (is_lambda(plan))
                for_us = ceil_to(for_us, 300 * S);
        else if (plan == VN_BILL_CLOUD_RUN)
                for_us = ceil_to(for_us, 100 * MS);
        vn_u128 time_us = (vn_u128)for_us * instances;
        if (plan == VN_BILL_CLOUD_RUN) {
                put(usage, plan, VN_BILL_READY_GIB_S, time_us * memory_mb);
                put(usage, plan, VN_BILL_READY_VCPU_S, time_us * milli_vcpu);
        } else {
                put(usage, plan, VN_BILL_READY_GB_S, time_us * memory_mb);
        }
}

static void take_active(vn_u128 *kept, vn_u128 *active)
{
        *kept = *kept > *active ? *kept - *active : 0;
        *active = 0;
}

void vn_bill_settle(struct vn_bill_usage *usage)
{
        vn_u128 *grains = usage->grains[VN_BILL_CLOUD_RUN];
        take_active(&grains[VN_BILL_READY_GIB_S], &usage->ready_active[VN_BILL_GIB_S]);
        take_active(&grains[VN_BILL_READY_VCPU_S], &usage->ready_active[VN_BILL_VCPU_S]);
}

void vn_bill_sum(struct vn_bill_usage *into, const struct vn_bill_usage *from)
{
        for (int p = 0; p < VN_BILL_PLANS; p++)
                for (int m = 0; m < VN_BILL_METERS; m++)
                        put(into, (enum vn_bill_plan)p, (enum vn_bill_meter)m, from->grains[p][m]);
}

/* --- money --- */

void vn_bill_list_egress(struct vn_bill_rates *rates, enum vn_bill_plan plan)
{
        static const struct vn_bill_ladder aws = {{{0, 0}, {100, 90000000000}, {10240, 85000000000}}, 3},
                                           azure = {{{0, 0}, {100, 87000000000}, {10240, 83000000000}}, 3},
                                           gcp = {{{0, 120000000000}, {1024, 110000000000}}, 2};
        rates->ladder[VN_BILL_ACCOUNT][VN_BILL_EGRESS_GB] = is_lambda(plan)             ? aws
                                                            : plan == VN_BILL_CLOUD_RUN ? gcp
                                                                                        : azure;
}

/* a x b / c, rounded down, for a <= c < 2^127, without a wider type: long multiplication that divides as it goes. */
static vn_u128 multiply_divide(vn_u128 a, vn_u128 b, vn_u128 c)
{
        vn_u128 quotient = 0, rest = 0;
        for (int bit = 127; bit >= 0; bit--) {
                quotient <<= 1;
                rest <<= 1;
                if (rest >= c) {
                        rest -= c;
                        quotient++;
                }
                if (b >> bit & 1) {
                        rest += a;
                        if (rest >= c) {
                                rest -= c;
                                quotient++;
                        }
                }
        }
        return quotient;
}

/* Half away from zero; INT64_MAX is more than fits. */
static int64_t amount_of(vn_u128 grains, int64_t pico_usd, enum vn_bill_meter meter)
{
        vn_u128 unit = meters[meter].grains, whole = grains / unit, rest = grains % unit, price = (vn_u128)pico_usd;
        if (price && whole > (vn_u128)INT64_MAX / price)
                return INT64_MAX;
        vn_u128 amount = whole * price + (rest * price + unit / 2) / unit;
        return amount > (vn_u128)INT64_MAX ? INT64_MAX : (int64_t)amount;
}

struct lines {
        struct vn_bill_line *line;
        size_t count;
};

static void add_line(struct lines *l, enum vn_bill_plan plan, enum vn_bill_meter meter, uint64_t from,
                     int64_t pico_usd, vn_u128 grains)
{
        if (!grains)
                return;
        l->line[l->count++] = (struct vn_bill_line){.plan = plan,
                                                    .meter = meter,
                                                    .from = from,
                                                    .pico_usd = pico_usd,
                                                    .grains = grains,
                                                    .amount_pico_usd = amount_of(grains, pico_usd, meter)};
}

/* [grants] What of AWS's grant is left for this plan's units: both architectures draw on it in proportion. */
static vn_u128 lambda_grant(const struct vn_bill_rates *rates, const struct vn_bill_usage *before,
                            const struct vn_bill_usage *now, enum vn_bill_plan plan, enum vn_bill_meter meter)
{
        if (!is_lambda(plan) || (meter != VN_BILL_GB_S && meter != VN_BILL_REQUEST))
                return 0;
        vn_u128 pool = (meter == VN_BILL_GB_S ? rates->lambda_free_gb_s : rates->lambda_free_requests) *
                       (vn_u128)meters[meter].grains;
        vn_u128 used = before->grains[VN_BILL_LAMBDA][meter] + before->grains[VN_BILL_LAMBDA_ARM][meter];
        vn_u128 all = now->grains[VN_BILL_LAMBDA][meter] + now->grains[VN_BILL_LAMBDA_ARM][meter];
        vn_u128 left = pool > used ? pool - used : 0, mine = now->grains[plan][meter];
        return all <= left ? mine : multiply_divide(mine, left, all);
}

static void add_meter(struct lines *l, const struct vn_bill_rates *rates, const struct vn_bill_usage *before,
                      const struct vn_bill_usage *now, enum vn_bill_plan plan, enum vn_bill_meter meter)
{
        const struct vn_bill_ladder *ladder = &rates->ladder[plan][meter];
        vn_u128 unit = meters[meter].grains, grant = lambda_grant(rates, before, now, plan, meter);
        vn_u128 from = before->grains[plan][meter] + grant,
                until = before->grains[plan][meter] + now->grains[plan][meter];
        add_line(l, plan, meter, VN_BILL_GRANT, 0, grant);
        for (uint32_t i = 0; i < ladder->count && from < until; i++) {
                vn_u128 end = i + 1 < ladder->count ? ladder->tier[i + 1].from * unit : until;
                end = end < until ? end : until;
                if (end <= from)
                        continue;
                add_line(l, plan, meter, ladder->tier[i].from, ladder->tier[i].pico_usd, end - from);
                from = end;
        }
}

enum vn_rc vn_bill_price(const struct vn_bill_rates *rates, const struct vn_bill_usage *before,
                         const struct vn_bill_usage *now, struct vn_bill_line *ret, size_t *ret_count,
                         struct vn_err *err)
{
        struct lines l = {.line = ret};
        for (int p = 0; p < VN_BILL_PLANS; p++)
                for (int m = 0; m < VN_BILL_METERS; m++) {
                        const struct vn_bill_ladder *ladder = &rates->ladder[p][m];
                        if (!now->grains[p][m])
                                continue;
                        if (!ladder->count || ladder->tier[0].from)
                                return vn_fail(err, VN_NOT_FOUND, "%s %s: no price", plan_names[p], meters[m].name);
                        add_meter(&l, rates, before, now, (enum vn_bill_plan)p, (enum vn_bill_meter)m);
                }
        for (size_t i = 0; i < l.count; i++)
                if (ret[i].amount_pico_usd == INT64_MAX)
                        return vn_fail(err, VN_OUT_OF_RANGE, "%s %s: more than nine million USD",
                                       plan_names[ret[i].plan], meters[ret[i].meter].name);
        *ret_count = l.count;
        return VN_OK;
}

void vn_bill_past_grants(const struct vn_bill_rates *rates, struct vn_bill_usage *before)
{
        for (int p = 0; p < VN_BILL_PLANS; p++)
                for (int m = 0; m < VN_BILL_METERS; m++) {
                        const struct vn_bill_ladder *ladder = &rates->ladder[p][m];
                        uint64_t free_units = 0;
                        if (ladder->count > 1 && ladder->tier[0].pico_usd == 0)
                                free_units = ladder->tier[1].from;
                        before->grains[p][m] = free_units * (vn_u128)meters[m].grains;
                }
        before->grains[VN_BILL_LAMBDA][VN_BILL_GB_S] = rates->lambda_free_gb_s * vn_bill_grains(VN_BILL_GB_S);
        before->grains[VN_BILL_LAMBDA][VN_BILL_REQUEST] =
                rates->lambda_free_requests * vn_bill_grains(VN_BILL_REQUEST);
}

struct vn_bill_line vn_bill_share(const struct vn_bill_line *line, const struct vn_bill_usage *function,
                                  const struct vn_bill_usage *account)
{
        struct vn_bill_line part = *line;
        vn_u128 all = account->grains[line->plan][line->meter], mine = function->grains[line->plan][line->meter];
        part.grains = mine ? multiply_divide(mine, line->grains, all) : 0;
        /* Of the amount, not of the grains: a tenth of a request is worth something, too. */
        vn_u128 twice = mine ? multiply_divide(mine, 2 * (vn_u128)line->amount_pico_usd, all) : 0;
        part.amount_pico_usd = (int64_t)((twice + 1) / 2);
        return part;
}
