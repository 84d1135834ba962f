/* view.h - everything that a route decision reads, frozen: one workload's candidates, prices, model answers, policy.
 * Purpose: make, seal, name, store and read back a view. Parts are content-addressed (SHA-256), so that an unchanged
 *   part is stored once; the manifest lists the parts' ids, and its own hash is the view's id.
 * Use: vn_view_new, fill `workload`.., `endpoint[]` and `state`, then vn_view_seal, which checks all bounds, computes the
 *   hot rows and the ids. After that the view is immutable and may be shared by any number of threads.
 * Threads: one while it is made, any once sealed. Ownership: _new/_free; no pointer leaves the block.
 * Units: microseconds, bytes, MB (2^20), USD; prices in the raw part are per natural unit, the hot rows hold micro-USD
 *   per call or millisecond (equal to USD a million). */
#ifndef VANE_DECIDE_VIEW_H
#define VANE_DECIDE_VIEW_H

#include "base/mem.h"
#include "policies/policy.h"

#define VN_VIEW_MAX_ENDPOINTS 128
#define VN_VIEW_KNOTS 4       /* payload sizes at which durations are tabled */
#define VN_VIEW_QUANTILES 7   /* .1 .3 .5 .7 .9 .95 .99 */
#define VN_VIEW_COLD_KNOTS 16 /* idle times 1, 2, 4, ... 32768 s */
#define VN_VIEW_UNBOUND 1e30f /* a border or a limit in the hot rows that there is none of */

enum vn_endpoint_flag {
        VN_ENDPOINT_OBSERVE_ONLY = 1, /* no grant to invoke there */
        VN_ENDPOINT_PAUSED = 2,
        VN_ENDPOINT_UNHEALTHY = 4, /* offline agent or failing health */
        VN_ENDPOINT_INIT_BILLED = 8,
        VN_ENDPOINT_PRICE_DOUBTED = 16, /* the newest price list was refused: the last good one decides */
};
struct vn_endpoint {
        /* part ENDPOINTS */
        uint64_t id; /* unique in the view and stable over views: ties and draws go by it, never by position */
        char account[64], region[48], function[192];
        enum vn_provider provider;
        uint32_t memory_mb;
        double need_mb;           /* peak memory seen; more than memory_mb excludes */
        double concurrency_limit; /* calls in flight; 0: none known */
        /* part PRICES: of the next call, at the meters' present positions */
        double usd_per_gb_s, usd_per_gb_s_next;     /* now, and past the next tier or grant border */
        double usd_per_vcpu_s, usd_per_vcpu_s_next; /* 0 where memory alone is billed */
        double border_s;                            /* billed seconds left until `next` holds; 0: none ahead */
        double billed_gb, vcpu; /* of this size, memory rounding applied; GB as the cloud bills them */
        double share;           /* requests that share a billed instance, >= 1 */
        int64_t rounding_us, minimum_us;
        double request_usd, egress_usd_per_gb; /* GB: 10^9 bytes */
        /* part MODEL */
        float duration_us[VN_VIEW_KNOTS][VN_VIEW_QUANTILES]; /* warm run time at view->payload_bytes[knot] */
        float cold_chance[VN_VIEW_COLD_KNOTS];               /* by idle time */
        double cold_us, init_us; /* a cold start adds cold_us; init_us of it may be billed */
        /* part STATE */
        uint32_t flags; /* enum vn_endpoint_flag */
        double network_us, error_rate, throttle_rate;
        int64_t last_call_us; /* 0: never */
        double tokens;        /* calls that it may still take in this epoch; 0: no limit; < 0: none left */
        double warm_slots;    /* requests that warm instances can take at once; 0: not known */
        uint64_t samples;     /* calls that the estimates rest on */
        int64_t price_time_us, health_time_us; /* when those data were true; 0: never had */
};

/* What the combined risk is mended by before anybody sees it (risk.h): its log-odds times slope, plus intercept. */
struct vn_calibration {
        double slope, intercept; /* 1, 0: as computed */
        uint64_t outcomes;       /* that it was fitted on and tested with; 0: none */
};
/* A slope that is not positive would call the safer choice the riskier one. */
#define VN_CALIBRATION_MIN_SLOPE .05
#define VN_CALIBRATION_MAX_SLOPE 20.0
#define VN_CALIBRATION_MAX_INTERCEPT 12.0

enum vn_view_part { VN_PART_ENDPOINTS, VN_PART_PRICES, VN_PART_MODEL, VN_PART_POLICY, VN_PART_STATE };
#define VN_VIEW_PARTS 5
#define VN_VIEW_PART_MAX_BYTES 131072

/* Of one payload knot. */
enum vn_hot_knot {
        VN_HOT_MEAN_MS,     /* mean run time */
        VN_HOT_ROUNDING_MS, /* what minimum and rounding add on average */
        VN_HOT_TAIL_US,     /* duration at the policy's quantile */
        VN_HOT_KNOT_ROWS,
};

/* One row each of the hot block, `stride` floats long (see view.c for the meaning of each). Their order is the memory's: what
 * every pass reads lies together, then come the payload's knots, of which it reads two, then what binds few views. */
enum vn_hot {
        VN_HOT_IDLE_S,
        VN_HOT_RATE,
        VN_HOT_REQUEST,
        VN_HOT_EGRESS,
        VN_HOT_INIT,
        VN_HOT_COLD_US,
        VN_HOT_NETWORK_US,
        VN_HOT_ERROR,
        VN_HOT_KNOT, /* VN_VIEW_KNOTS times VN_HOT_KNOT_ROWS */
        VN_HOT_RATE_NEXT = VN_HOT_KNOT + VN_HOT_KNOT_ROWS * VN_VIEW_KNOTS,
        VN_HOT_BORDER_MS,
        VN_HOT_LIMIT,
        VN_HOT_TOKENS,
        VN_HOT_WARM,
        VN_HOT_ROWS,
};
struct vn_view {
        uint8_t id[32];
        uint8_t part_id[VN_VIEW_PARTS][32];
        char tenant[64], workload[192];
        uint64_t epoch; /* rises with each view of the workload */
        int64_t epoch_us;
        uint64_t model_version, policy_version;
        uint64_t price_version;              /* when the newest of the price lists became what it is */
        bool paused;                         /* the function, or everything: the declared split serves */
        double spent_usd;                    /* today, under this policy's budget */
        uint64_t calls_per_min;              /* of the workload; blast radius */
        double response_bytes;               /* where the question does not know */
        double payload_bytes[VN_VIEW_KNOTS]; /* strictly ascending, the first >= 0 */
        struct vn_policy_compiled policy;
        struct vn_calibration calibration; /* part STATE */
        uint32_t count, capacity, stride;
        struct vn_endpoint *endpoint;
        /* filled by sealing; in memory one after the other */
        bool sealed;
        uint32_t unbound;   /* bits of enum vn_hot: borders and limits that no candidate has, not worth reading */
        uint32_t *excluded; /* what is excluded whatever the question: bits of enum vn_exclusion */
        uint16_t *cold;     /* VN_VIEW_COLD_KNOTS a candidate, chance * 65535 */
        float *hot;         /* VN_HOT_ROWS rows */
};

enum vn_rc vn_view_new(uint32_t capacity, struct vn_view **ret, struct vn_err *err) VN_MUST_USE; /* default policy */
struct vn_view *vn_view_free(struct vn_view *view);
VN_DEFINE_AUTO(vn_view);
enum vn_rc vn_view_seal(struct vn_view *view, struct vn_err *err) VN_MUST_USE;
/* A copy that is open again, for what-if and counterfactuals. */
enum vn_rc vn_view_clone(const struct vn_view *view, struct vn_view **ret, struct vn_err *err) VN_MUST_USE;

/* Both sealed: the same but for when they were made and when agents were last heard. */
bool vn_view_unchanged(const struct vn_view *a, const struct vn_view *b);

/* Canonical bytes of a part of a sealed view: their SHA-256 is view->part_id[part], and the manifest that lists the parts'
 * ids has view->id. How views are kept: view_frame.h. */
enum vn_rc vn_view_encode_part(const struct vn_view *view, enum vn_view_part part, struct vn_buf *ret,
                               struct vn_err *err) VN_MUST_USE;
/* The view with this id, out of its whole parts; DATA_LOSS if they are not those of that view. */
enum vn_rc vn_view_rebuild(const uint8_t id[32], uint32_t count, const struct vn_str parts[VN_VIEW_PARTS],
                           struct vn_view **ret, struct vn_err *err) VN_MUST_USE;
/* Manifest and parts in one blob, for tools. */
enum vn_rc vn_view_encode(const struct vn_view *view, struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_view_decode_blob(struct vn_str blob, struct vn_view **ret, struct vn_err *err) VN_MUST_USE;

#endif
