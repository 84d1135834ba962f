/* platform/bill.h - a month's bill of serverless functions by the clouds' published rules, exact to 1e-12 USD.
 * Purpose: calls and reserved capacity become quantities on meters (rounding, minima, INIT), quantities become lines
 *   (grants, tiers, price), and an account's lines are shared out to its functions.
 * Pure. Threads: any. Ownership: plain values. docs/billing.md has the rules in words, with their sources.
 * Units: prices are whole numbers of 1e-12 USD (base/decimal.h); quantities are whole grains, of which
 *   vn_bill_grains() make the unit that is sold: MB x microsecond, milli-vCPU x microsecond, millionth of a request, byte. */
#ifndef VANE_PLATFORM_BILL_H
#define VANE_PLATFORM_BILL_H

#include "base/err.h"
#include "base/str.h"

__extension__ typedef unsigned __int128 vn_u128;

enum vn_bill_plan {
        VN_BILL_LAMBDA,
        VN_BILL_LAMBDA_ARM,
        VN_BILL_CONSUMPTION,
        VN_BILL_FLEX,
        VN_BILL_CLOUD_RUN,
        VN_BILL_ACCOUNT, /* what is metered over the whole account: egress */
        VN_BILL_PLANS
};
enum vn_bill_meter {
        VN_BILL_GB_S,
        VN_BILL_GIB_S,
        VN_BILL_VCPU_S,
        VN_BILL_REQUEST,
        VN_BILL_STORAGE_GB_S,   /* ephemeral storage beyond what is included */
        VN_BILL_READY_GB_S,     /* capacity kept ready: AWS provisioned concurrency, Azure always ready */
        VN_BILL_READY_RUN_GB_S, /* calls that ran on it */
        VN_BILL_READY_REQUEST,
        VN_BILL_READY_GIB_S, /* Cloud Run minimum instances while they are idle */
        VN_BILL_READY_VCPU_S,
        VN_BILL_EGRESS_GB, /* to the internet, 10^9 bytes */
        VN_BILL_METERS
};
const char *vn_bill_plan_name(enum vn_bill_plan plan);    /* "lambda-x86", ... as price lists name it */
const char *vn_bill_meter_name(enum vn_bill_meter meter); /* "gb_second", ... as price lists name it */
enum vn_rc vn_bill_plan_parse(struct vn_str name, enum vn_bill_plan *ret) VN_MUST_USE;
enum vn_rc vn_bill_meter_parse(struct vn_str name, enum vn_bill_meter *ret) VN_MUST_USE;
vn_u128 vn_bill_grains(enum vn_bill_meter meter);

#define VN_MAX_BILL_TIERS 8
struct vn_bill_tier {
        uint64_t from; /* units of the month from which it holds; a grant is a tier of price 0 */
        int64_t pico_usd;
};
struct vn_bill_ladder {
        struct vn_bill_tier tier[VN_MAX_BILL_TIERS]; /* ascending, the first from 0 */
        uint32_t count;
};
struct vn_bill_rates {
        struct vn_bill_ladder ladder[VN_BILL_PLANS][VN_BILL_METERS];
        /* AWS's grants are not in its price list and count for x86 and Arm together. */
        uint64_t lambda_free_gb_s, lambda_free_requests;
};
/* In any order. INVALID_ARGUMENT for a negative price or a border that was there, RESOURCE_EXHAUSTED. */
enum vn_rc vn_bill_rate_add(struct vn_bill_rates *rates, enum vn_bill_plan plan, enum vn_bill_meter meter,
                            uint64_t from, int64_t pico_usd, struct vn_err *err) VN_MUST_USE;

struct vn_bill_usage {
        vn_u128 grains[VN_BILL_PLANS][VN_BILL_METERS];
        vn_u128 ready_active[VN_BILL_METERS]; /* Cloud Run: of the kept time, what ran requests; GIB_S and VCPU_S */
};
/* Calls that are alike. */
struct vn_bill_call {
        enum vn_bill_plan plan;
        uint32_t memory_mb;  /* configured */
        uint32_t used_mb;    /* Consumption: bills what was used */
        uint32_t storage_mb; /* ephemeral; 512 are included */
        uint32_t milli_vcpu; /* Cloud Run */
        uint64_t run_us, init_us, response_bytes;
        uint64_t count;
        bool ready; /* on capacity that is kept ready */
};
/* Billed time of one call, and the memory that is billed. */
uint64_t vn_bill_time_us(enum vn_bill_plan plan, uint64_t run_us, uint64_t init_us);
uint32_t vn_bill_memory_mb(enum vn_bill_plan plan, uint32_t memory_mb, uint32_t used_mb);
void vn_bill_call(struct vn_bill_usage *usage, const struct vn_bill_call *call);
/* Calls whose billed time is known, summed: what a cloud's own log told. run_us is that sum; init_us is not used. */
void vn_bill_told(struct vn_bill_usage *usage, const struct vn_bill_call *call);
/* `instances` of this size kept ready for `for_us`. */
void vn_bill_keep(struct vn_bill_usage *usage, enum vn_bill_plan plan, uint32_t memory_mb, uint32_t milli_vcpu,
                  uint32_t instances, uint64_t for_us);
/* When all of a function is in: Cloud Run's kept time is idle only where no request ran on it. */
void vn_bill_settle(struct vn_bill_usage *usage);
void vn_bill_sum(struct vn_bill_usage *into, const struct vn_bill_usage *from);

#define VN_BILL_GRANT UINT64_MAX /* as a line's `from`: AWS's grant */
struct vn_bill_line {
        enum vn_bill_plan plan;
        enum vn_bill_meter meter;
        uint64_t from;    /* of the tier */
        int64_t pico_usd; /* a unit */
        vn_u128 grains;
        int64_t amount_pico_usd;
};
#define VN_MAX_BILL_LINES (VN_BILL_PLANS * VN_BILL_METERS * (VN_MAX_BILL_TIERS + 1))
/* The lines of `now`, when the account had `before` on its meters in this month. NOT_FOUND names a meter without a
 * price: a bill never leaves something out in silence. OUT_OF_RANGE
 * for a line of over nine million USD. At most VN_MAX_BILL_LINES lines come out. */
enum vn_rc vn_bill_price(const struct vn_bill_rates *rates, const struct vn_bill_usage *before,
                         const struct vn_bill_usage *now, struct vn_bill_line *ret, size_t *ret_count,
                         struct vn_err *err) VN_MUST_USE;
/* The cloud's list prices of egress, for price lists that do not have them; `plan`: any of that cloud. [m] in docs/billing.md. */
void vn_bill_list_egress(struct vn_bill_rates *rates, enum vn_bill_plan plan);
/* The position after which nothing is free any more. */
void vn_bill_past_grants(const struct vn_bill_rates *rates, struct vn_bill_usage *before);
/* One function's part of an account's line: grants and tiers go to functions in proportion to their use. */
struct vn_bill_line vn_bill_share(const struct vn_bill_line *line, const struct vn_bill_usage *function,
                                  const struct vn_bill_usage *account);

#endif
