/* sim/event.h - what goes wrong, and when: outages, slow zones, prices, quotas, lags, partial answers and broken connections.
 * Purpose: one mechanism under the script (sim/script.h) and the control API. An event has a time, a scope and an amount.
 * Threads: one at a time. Units: microseconds of the simulator's clock; amounts as each kind says (sim/event.c, `kinds`).
 * Which requests are hit by a share below 1 is drawn from the seed and the event's own count of requests. */
#ifndef VANE_SIM_EVENT_H
#define VANE_SIM_EVENT_H

#include "platform/platform.h"
#include "sim/wire.h"

struct vn_sim;

enum vn_sim_service {
        VN_SIM_CONTROL_PLANE,
        VN_SIM_INVOKE,
        VN_SIM_LOGS,
        VN_SIM_METRICS,
        VN_SIM_PRICES,
        VN_SIM_IDENTITY,
        VN_SIM_SERVICES, /* as a scope: all */
};
enum vn_sim_event_kind {
        VN_SIM_OUTAGE,
        VN_SIM_SLOW,
        VN_SIM_PRICE,
        VN_SIM_QUOTA,
        VN_SIM_RATE,
        VN_SIM_THROTTLE,
        VN_SIM_STALE,
        VN_SIM_METRIC_LAG,
        VN_SIM_LOG_LAG,
        VN_SIM_PAGE,
        VN_SIM_UNREACHABLE,
        VN_SIM_CONFLICT,
        VN_SIM_EDIT,
        VN_SIM_EXPIRED_CERTIFICATE,
        VN_SIM_RESET,
        VN_SIM_STALL,
        VN_SIM_TRUNCATE,
        VN_SIM_OVERSIZE,
        VN_SIM_WRONG_TYPES,
        VN_SIM_EVENT_KINDS,
};
struct vn_sim_event {
        enum vn_sim_event_kind kind;
        uint32_t accounts; /* a bit each */
        enum vn_sim_service service;
        int64_t from_us, until_us;
        double amount, share;
        char function[64]; /* EDIT: of the one account */
        /* state */
        uint64_t seen;    /* requests in its scope so far */
        int64_t second;   /* RATE: the second that is counted, and what was let through in it by account */
        uint32_t let[32]; /* by account */
        bool done;        /* EDIT */
};
#define VN_MAX_SIM_EVENTS 256

const char *vn_sim_event_name(enum vn_sim_event_kind kind);
enum vn_rc vn_sim_event_parse(struct vn_str name, enum vn_sim_event_kind *ret) VN_MUST_USE;
/* Name of the amount ("seconds", ...), NULL for a kind without one; with its bounds and what it is when left out
 * (NaN: it must be given). */
struct vn_sim_amount {
        const char *name;
        double low, high, absent;
};
const struct vn_sim_amount *vn_sim_event_amount_of(enum vn_sim_event_kind kind);
enum vn_rc vn_sim_service_parse(struct vn_str name, enum vn_sim_service *ret) VN_MUST_USE;

/* Takes effect at its time. An outage, slowness, price or quota also moves the platform. */
enum vn_rc vn_sim_event_add(struct vn_sim *sim, const struct vn_sim_event *event, struct vn_err *err) VN_MUST_USE;
/* True if such an event holds for the account now; the latest added counts. */
bool vn_sim_event_now(const struct vn_sim *sim, enum vn_sim_event_kind kind, uint32_t account, double *ret_amount);
/* Until when a query may see: `until_us`, or earlier while metrics or logs lag. */
int64_t vn_sim_visible(const struct vn_sim *sim, enum vn_sim_event_kind lag, uint32_t account, int64_t until_us);
/* Items of a page: `wanted`, fewer while pages are short; 0, once, for a first page that is to be empty. */
size_t vn_sim_page_size(const struct vn_sim *sim, uint32_t account, bool first, size_t wanted);

/* What becomes of one request beside its handler. */
struct vn_sim_disturbance {
        bool refuse;      /* the response is already there */
        bool reset;       /* cut the connection instead of answering */
        bool truncate;    /* cut it within the body */
        int64_t stall_us; /* answer so much later, of real time */
        size_t pad_bytes; /* OVERSIZE */
        bool wrong_types; /* swap the types of the answer's JSON */
};
void vn_sim_disturb(struct vn_sim *sim, enum vn_platform_cloud cloud, const struct vn_sim_request *request,
                    struct vn_sim_response *response, struct vn_sim_disturbance *ret);
/* After the handler. */
void vn_sim_spoil(const struct vn_sim_disturbance *how, struct vn_sim_response *response);
/* Whether a cloud shows an expired certificate now. */
bool vn_sim_certificate_expired(const struct vn_sim *sim, enum vn_platform_cloud cloud);
enum vn_sim_service vn_sim_service_of(enum vn_platform_cloud cloud, const struct vn_sim_request *request);

#endif
