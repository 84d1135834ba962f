/* event.c - see event.h. */
#include "sim/event.h"

#include <math.h>
#include <stdio.h>

#include "sim/aws.h"
#include "sim/azure.h"
#include "sim/gcp.h"

static const struct {
        const char *name;
        struct vn_sim_amount amount;
} kinds[VN_SIM_EVENT_KINDS] = {
        [VN_SIM_OUTAGE] = {"outage", {NULL, 0, 0, 0}},
        [VN_SIM_SLOW] = {"slow", {"factor", 0, 1000, NAN}},
        [VN_SIM_PRICE] = {"price", {"factor", 0, 1000, NAN}},
        [VN_SIM_QUOTA] = {"quota", {"limit", 0, 1e6, NAN}}, /* requests in flight in an account */
        [VN_SIM_RATE] = {"rate", {"limit", 0, 1e6, NAN}},   /* requests a second and account */
        [VN_SIM_THROTTLE] = {"throttle", {"retry_after", 0, 3600, 1}},
        [VN_SIM_STALE] = {"stale", {"seconds", 0, 1e6, NAN}},
        [VN_SIM_METRIC_LAG] = {"metric_lag", {"seconds", 0, 1e6, NAN}},
        [VN_SIM_LOG_LAG] = {"log_lag", {"seconds", 0, 1e6, NAN}},
        [VN_SIM_PAGE] = {"page", {"items", 0, 1e6, NAN}}, /* 0: the first page is empty */
        [VN_SIM_UNREACHABLE] = {"unreachable", {NULL, 0, 0, 0}},
        [VN_SIM_CONFLICT] = {"conflict", {NULL, 0, 0, 0}},
        [VN_SIM_EDIT] = {"edit", {"memory_mb", 1, 65536, NAN}},
        [VN_SIM_EXPIRED_CERTIFICATE] = {"expired_certificate", {NULL, 0, 0, 0}},
        [VN_SIM_RESET] = {"reset", {NULL, 0, 0, 0}},
        [VN_SIM_STALL] = {"stall", {"seconds", 0, 600, 5}},
        [VN_SIM_TRUNCATE] = {"truncate", {NULL, 0, 0, 0}},
        [VN_SIM_OVERSIZE] = {"oversize", {"mb", 1, 15, 12}},
        [VN_SIM_WRONG_TYPES] = {"wrong_types", {NULL, 0, 0, 0}},
};

const char *vn_sim_event_name(enum vn_sim_event_kind kind)
{
        return kinds[kind].name;
}

const struct vn_sim_amount *vn_sim_event_amount_of(enum vn_sim_event_kind kind)
{
        return &kinds[kind].amount;
}

enum vn_rc vn_sim_event_parse(struct vn_str name, enum vn_sim_event_kind *ret)
{
        for (size_t i = 0; i < VN_SIM_EVENT_KINDS; i++) {
                *ret = (enum vn_sim_event_kind)i;
                if (vn_str_eq(name, vn_str(kinds[i].name)))
                        return VN_OK;
        }
        return VN_NOT_FOUND;
}

enum vn_rc vn_sim_service_parse(struct vn_str name, enum vn_sim_service *ret)
{
        static const char *const names[VN_SIM_SERVICES] = {"control", "invoke", "logs",
                                                           "metrics", "prices", "identity"};
        for (size_t i = 0; i < VN_SIM_SERVICES; i++) {
                *ret = (enum vn_sim_service)i;
                if (vn_str_eq(name, vn_str(names[i])))
                        return VN_OK;
        }
        return VN_NOT_FOUND;
}

static enum vn_rc move_platform(struct vn_sim *sim, const struct vn_sim_event *event, struct vn_err *err)
{
        enum vn_injection_kind kind;
        if (event->kind == VN_SIM_OUTAGE)
                kind = VN_INJECT_OUTAGE;
        else if (event->kind == VN_SIM_SLOW)
                kind = VN_INJECT_LATENCY;
        else if (event->kind == VN_SIM_PRICE)
                kind = VN_INJECT_PRICE;
        else if (event->kind == VN_SIM_QUOTA)
                kind = VN_INJECT_LIMIT;
        else
                return VN_OK;
        if (event->service != VN_SIM_SERVICES && event->service != VN_SIM_INVOKE)
                return VN_OK;
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                const struct vn_injection injection = {kind, a, event->from_us, event->until_us,
                                                       kind == VN_INJECT_OUTAGE ? event->share : event->amount};
                if (!(event->accounts >> a & 1))
                        continue;
                VN_TRY(vn_platform_inject(sim->platform, &injection, err));
                sim->injections[sim->injection_count++] = injection; /* the platform has the same maximum */
        }
        return VN_OK;
}

enum vn_rc vn_sim_event_add(struct vn_sim *sim, const struct vn_sim_event *event, struct vn_err *err)
{
        if (sim->event_count == VN_MAX_SIM_EVENTS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more than %d events", VN_MAX_SIM_EVENTS);
        if (event->until_us <= event->from_us)
                return vn_fail(err, VN_INVALID_ARGUMENT, "an event must end after it begins");
        VN_TRY(move_platform(sim, event, err));
        sim->events[sim->event_count++] = *event;
        return VN_OK;
}

static bool holds(const struct vn_sim_event *e, int64_t now_us)
{
        return e->from_us <= now_us && now_us < e->until_us;
}

bool vn_sim_event_now(const struct vn_sim *sim, enum vn_sim_event_kind kind, uint32_t account, double *ret_amount)
{
        int64_t now_us = vn_now_us(sim->clock);
        for (size_t i = sim->event_count; i-- > 0;) {
                const struct vn_sim_event *e = &sim->events[i];
                if (e->kind != kind || !(e->accounts >> account & 1) || !holds(e, now_us))
                        continue;
                *ret_amount = e->amount;
                return true;
        }
        return false;
}

int64_t vn_sim_visible(const struct vn_sim *sim, enum vn_sim_event_kind lag, uint32_t account, int64_t until_us)
{
        double seconds;
        if (!vn_sim_event_now(sim, lag, account, &seconds))
                return until_us;
        int64_t last_us = vn_now_us(sim->clock) - (int64_t)(seconds * 1e6);
        return until_us < last_us ? until_us : last_us;
}

size_t vn_sim_page_size(const struct vn_sim *sim, uint32_t account, bool first, size_t wanted)
{
        double items;
        if (!vn_sim_event_now(sim, VN_SIM_PAGE, account, &items))
                return wanted;
        size_t most = items >= 1 ? (size_t)items : first ? 0 : wanted;
        return most < wanted ? most : wanted;
}

/* --- what a request is --- */

static bool contains(struct vn_str text, const char *part)
{
        size_t n = strlen(part);
        return text.len >= n && n && memmem(text.ptr, text.len, part, n);
}

static enum vn_sim_service aws_service(const struct vn_sim_request *request)
{
        struct vn_str target = vn_sim_header(request, "x-amz-target");
        if (vn_str_starts(target, VN_STR("Logs_")))
                return VN_SIM_LOGS;
        if (vn_str_starts(target, VN_STR("Granite")))
                return VN_SIM_METRICS;
        if (vn_str_starts(target, VN_STR("AWSPriceList")))
                return VN_SIM_PRICES;
        if (request->path.len <= 1)
                return vn_sim_aws_is_monitoring(request) ? VN_SIM_METRICS : VN_SIM_IDENTITY;
        return vn_str_ends(request->path, VN_STR("/invocations")) ? VN_SIM_INVOKE : VN_SIM_CONTROL_PLANE;
}

static enum vn_sim_service azure_service(const struct vn_sim_request *request)
{
        if (contains(vn_sim_header(request, "host"), ".azurewebsites.net"))
                return VN_SIM_INVOKE;
        if (contains(request->path, "/oauth2/") || contains(request->path, "/.well-known/"))
                return VN_SIM_IDENTITY;
        if (vn_str_starts(request->path, VN_STR("/api/retail/")))
                return VN_SIM_PRICES;
        if (vn_str_starts(request->path, VN_STR("/v1/")))
                return VN_SIM_LOGS;
        return contains(request->path, "nsights/metrics") ? VN_SIM_METRICS : VN_SIM_CONTROL_PLANE;
}

static enum vn_sim_service gcp_service(const struct vn_sim_request *request)
{
        if (contains(vn_sim_header(request, "host"), ".run.app"))
                return VN_SIM_INVOKE;
        if (vn_str_eq(request->path, VN_STR("/token")))
                return VN_SIM_IDENTITY;
        if (vn_str_starts(request->path, VN_STR("/v3/")))
                return VN_SIM_METRICS;
        if (vn_str_starts(request->path, VN_STR("/v2/entries")))
                return VN_SIM_LOGS;
        return vn_str_starts(request->path, VN_STR("/v1/services/")) ? VN_SIM_PRICES : VN_SIM_CONTROL_PLANE;
}

enum vn_sim_service vn_sim_service_of(enum vn_platform_cloud cloud, const struct vn_sim_request *request)
{
        switch (cloud) {
        case VN_PLATFORM_AWS: return aws_service(request);
        case VN_PLATFORM_AZURE: return azure_service(request);
        case VN_PLATFORM_GCP: return gcp_service(request);
        }
        return VN_SIM_CONTROL_PLANE;
}

static bool speaks_of(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        struct vn_str authorization = vn_sim_header(request, "authorization");
        char hash[16];
        if (a->cloud == VN_PLATFORM_AWS) {
                for (size_t i = 0; i < VN_SIM_SESSIONS; i++) {
                        if (sim->sessions[i].account == account && contains(authorization, sim->sessions[i].key_id))
                                return true;
                }
                return contains(authorization, a->key_id);
        }
        snprintf(hash, sizeof hash, "-%08x", (unsigned)vn_hash64(a->id, strlen(a->id), 0));
        return contains(request->path, a->id) || contains(vn_sim_header(request, "host"), hash) ||
               (a->cloud == VN_PLATFORM_AZURE &&
                (contains(request->path, a->tenant) || contains(request->path, a->workspace) ||
                 contains(request->path, a->app_id))) ||
               (a->cloud == VN_PLATFORM_GCP && contains(request->body, a->id));
}

/* The accounts that a request may be about, as bits: the one that it names, else all of the cloud. */
static uint32_t accounts_of(const struct vn_sim *sim, enum vn_platform_cloud cloud,
                            const struct vn_sim_request *request)
{
        uint32_t all = 0;
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                if (sim->accounts[a].cloud != cloud)
                        continue;
                if (speaks_of(sim, a, request))
                        return UINT32_C(1) << a;
                all |= UINT32_C(1) << a;
        }
        return all;
}

/* --- answers instead of the handler's --- */

static void refuse(enum vn_platform_cloud cloud, enum vn_sim_service service, int status, const char *code,
                   struct vn_sim_response *response)
{
        const char *message = status == 429   ? "Too many requests"
                              : status == 409 ? "Somebody else is changing this resource"
                                              : "The service is not available";
        switch (cloud) {
        case VN_PLATFORM_AWS:
                vn_sim_aws_error(response,
                                 service == VN_SIM_CONTROL_PLANE || service == VN_SIM_INVOKE ? VN_AWS_REST
                                 : service == VN_SIM_IDENTITY                                ? VN_AWS_QUERY
                                                                                             : VN_AWS_JSON,
                                 /* The JSON services throttle with 400. */
                                 status == 429 && service >= VN_SIM_LOGS ? 400 : status, code, "%s", message);
                return;
        case VN_PLATFORM_AZURE: vn_sim_azure_error(response, status, code, "%s", message); return;
        case VN_PLATFORM_GCP: vn_sim_gcp_error(response, status, code, "%s", message); return;
        }
}

static const char *code_for(enum vn_platform_cloud cloud, enum vn_sim_service service, int status)
{
        static const char *const codes[VN_PLATFORM_CLOUDS][3] = {
                [VN_PLATFORM_AWS] = {"TooManyRequestsException", "ResourceConflictException", "ServiceException"},
                [VN_PLATFORM_AZURE] = {"TooManyRequests", "Conflict", "ServiceUnavailable"},
                [VN_PLATFORM_GCP] = {"RESOURCE_EXHAUSTED", "ABORTED", "UNAVAILABLE"}};
        if (cloud == VN_PLATFORM_AWS && status == 429 && service >= VN_SIM_LOGS)
                return "ThrottlingException";
        return codes[cloud][status == 429 ? 0 : status == 409 ? 1 : 2];
}

static void answer_refusal(enum vn_platform_cloud cloud, enum vn_sim_service service, int status,
                           double retry_after_s, struct vn_sim_response *response, struct vn_sim_disturbance *ret)
{
        char text[24];
        refuse(cloud, service, status, code_for(cloud, service, status), response);
        snprintf(text, sizeof text, "%.0f", retry_after_s < 1 ? 1 : retry_after_s);
        if (status == 429)
                vn_sim_set_header(response, "retry-after", text);
        ret->refuse = true;
}

static bool over_rate(struct vn_sim_event *e, uint32_t accounts, int64_t now_us)
{
        uint32_t account = 0;
        while (!(accounts >> account & 1))
                account++;
        if (e->second != now_us / VN_US_PER_S) {
                e->second = now_us / VN_US_PER_S;
                memset(e->let, 0, sizeof e->let);
        }
        return ++e->let[account] > e->amount;
}

static bool drawn(const struct vn_sim *sim, struct vn_sim_event *e)
{
        const uint64_t parts[2] = {(uint64_t)(e - sim->events), e->seen++};
        return e->share >= 1 || (double)(vn_hash64(parts, sizeof parts, sim->seed) >> 11) * 0x1p-53 < e->share;
}

static bool is_change(const struct vn_sim_request *request, enum vn_sim_service service)
{
        return service == VN_SIM_CONTROL_PLANE &&
               (vn_str_eq(request->verb, VN_STR("PUT")) || vn_str_eq(request->verb, VN_STR("PATCH")));
}

/* Somebody else's edit: in force at once, with a new revision. */
static void edit(struct vn_sim *sim, struct vn_sim_event *e)
{
        struct vn_err err;
        e->done = true;
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                uint32_t deployment = e->accounts >> a & 1 ? vn_sim_find(sim, a, vn_str(e->function)) : UINT32_MAX;
                if (deployment != UINT32_MAX)
                        VN_IGNORE(vn_sim_change(sim, deployment, (uint32_t)e->amount, 0,
                                                &err)); /* as an operator's own attempt may fail */
        }
}

static void apply(struct vn_sim *sim, struct vn_sim_event *e, enum vn_platform_cloud cloud,
                  enum vn_sim_service service, const struct vn_sim_request *request, uint32_t accounts,
                  struct vn_sim_response *response, struct vn_sim_disturbance *ret)
{
        switch (e->kind) {
        case VN_SIM_OUTAGE: /* invocations are the platform's to refuse, and counted */
                if (service != VN_SIM_INVOKE && drawn(sim, e))
                        answer_refusal(cloud, service, 503, 0, response, ret);
                return;
        case VN_SIM_THROTTLE:
                if (drawn(sim, e))
                        answer_refusal(cloud, service, 429, e->amount, response, ret);
                return;
        case VN_SIM_RATE:
                if (over_rate(e, accounts, vn_sim_arrival(sim, request)))
                        answer_refusal(cloud, service, 429, 1, response, ret);
                return;
        case VN_SIM_CONFLICT:
                if (is_change(request, service) && drawn(sim, e))
                        answer_refusal(cloud, service, 409, 0, response, ret);
                return;
        case VN_SIM_RESET: ret->reset = ret->reset || drawn(sim, e); return;
        case VN_SIM_TRUNCATE: ret->truncate = ret->truncate || drawn(sim, e); return;
        case VN_SIM_WRONG_TYPES: ret->wrong_types = ret->wrong_types || drawn(sim, e); return;
        case VN_SIM_STALL:
                if (drawn(sim, e))
                        ret->stall_us = (int64_t)(e->amount * 1e6);
                return;
        case VN_SIM_OVERSIZE:
                if (drawn(sim, e))
                        ret->pad_bytes = (size_t)e->amount << 20;
                return;
        case VN_SIM_EDIT:
        case VN_SIM_SLOW:
        case VN_SIM_PRICE:
        case VN_SIM_QUOTA:
        case VN_SIM_STALE:
        case VN_SIM_METRIC_LAG:
        case VN_SIM_LOG_LAG:
        case VN_SIM_PAGE:
        case VN_SIM_UNREACHABLE:
        case VN_SIM_EXPIRED_CERTIFICATE:
        case VN_SIM_EVENT_KINDS: return; /* elsewhere: the platform, the handlers, the listener */
        }
}

void vn_sim_disturb(struct vn_sim *sim, enum vn_platform_cloud cloud, const struct vn_sim_request *request,
                    struct vn_sim_response *response, struct vn_sim_disturbance *ret)
{
        memset(ret, 0, sizeof *ret);
        if (!sim->event_count)
                return;
        enum vn_sim_service service = vn_sim_service_of(cloud, request);
        uint32_t accounts = accounts_of(sim, cloud, request);
        int64_t at_us = vn_sim_arrival(sim, request);
        for (size_t i = 0; i < sim->event_count && !ret->refuse; i++) {
                struct vn_sim_event *e = &sim->events[i];
                if (e->kind == VN_SIM_EDIT && !e->done && e->from_us <= at_us)
                        edit(sim, e);
                /* A request that names no account is hit only by what holds for all of them. */
                if ((e->accounts & accounts) == accounts && holds(e, at_us) &&
                    (e->service == VN_SIM_SERVICES || e->service == service))
                        apply(sim, e, cloud, service, request, accounts, response, ret);
        }
}

static json_t *other_type(json_t *value)
{
        if (json_is_string(value))
                return json_integer(7);
        if (json_is_array(value))
                return json_pack("{s:s}", "unexpected", "object");
        return json_is_object(value) ? json_pack("[i]", 1) : json_string("wrong");
}

/* The outer object keeps its keys, else nothing would look at what is in them. */
static void swap_types(struct vn_sim_response *response)
{
        json_t *body = json_loadb(response->body.ptr ? response->body.ptr : "", response->body.len, 0, NULL), *value;
        int status = response->status;
        const char *key;
        void *next;
        if (json_is_object(body)) {
                json_object_foreach_safe(body, next, key, value)
                {
                        json_object_set_new(body, key, other_type(value));
                }
                vn_sim_json(response, status, json_incref(body));
        }
        json_decref(body);
}

void vn_sim_spoil(const struct vn_sim_disturbance *how, struct vn_sim_response *response)
{
        if (how->wrong_types)
                swap_types(response);
        if (how->pad_bytes && vn_buf_reserve(&response->body, how->pad_bytes)) {
                memset(response->body.ptr + response->body.len, ' ', how->pad_bytes);
                response->body.len += how->pad_bytes;
        }
}

bool vn_sim_certificate_expired(const struct vn_sim *sim, enum vn_platform_cloud cloud)
{
        double amount;
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                if (sim->accounts[a].cloud == cloud && vn_sim_event_now(sim, VN_SIM_EXPIRED_CERTIFICATE, a, &amount))
                        return true;
        }
        return false;
}
