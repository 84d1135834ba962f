/* cost.c - a month's bill of an account from its days' usage and the price lists that held then: docs/billing.md.
 * Threads: the reader loop; only the store is read. */
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "platform/bill.h"
#include "server/state.h"
#include "server/telemetry/catalogue.h"
#include "server/registry/registry.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/control.pb-c.h"

#define MAX_ROWS 200000
#define MAX_SEGMENTS 64
#define MAX_LINES 100000
#define MAX_NOTES 8
#define AZURE_CONSUMPTION_MB 1536u
#define LAMBDA_FREE_GB_S 400000
#define LAMBDA_FREE_REQUESTS 1000000

struct row {
        char function[VN_MAX_FUNCTION_NAME];
        int64_t start_us;
        Vane__State__Usage *usage;
};
struct bill {
        struct vn_op *op;
        const Vane__V1__ExplainCostRequest *request;
        uint64_t account_id;
        enum vn_cloud_id cloud;
        int64_t from_us, until_us;
        struct row *rows; /* by start, then function */
        size_t row_count, row_cap;
        struct vn_bill_usage before; /* what was on the account's meters when a price list's time began */
        struct vn_account_prices prices;
        Vane__V1__CostExplanation *reply;
        size_t line_cap;
        int64_t total_pico;
        bool unpriced, list_egress;
};

/* --- reading --- */

static enum vn_rc find_account(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct bill *b = arg;
        Vane__State__Account *a = (Vane__State__Account *)message;
        (void)key;
        (void)err;
        if (!strcmp(a->name, b->request->account) && vn_cloud_parse(a->cloud, &b->cloud)) {
                b->account_id = a->id;
                b->reply->region = vn_op_text(b->op, a->region);
        }
        vane__state__account__free_unpacked(a, NULL);
        return VN_OK;
}

static enum vn_rc take_row(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct bill *b = arg;
        Vane__State__Usage *u = (Vane__State__Usage *)message;
        struct vn_str tenant, function, region;
        uint64_t account, start;
        bool mine = vn_key_take_text(&key, &tenant) && vn_key_take_u64(&key, &account) &&
                    vn_key_take_text(&key, &function) && vn_key_take_text(&key, &region) &&
                    vn_key_take_u64(&key, &start) && (int64_t)start >= b->from_us && (int64_t)start < b->until_us;
        if (mine && b->row_count == b->row_cap) {
                size_t cap = b->row_cap ? 2 * b->row_cap : 256;
                struct row *grown = cap <= MAX_ROWS ? vn_realloc(b->rows, cap * sizeof *grown) : NULL;
                if (!grown) {
                        vane__state__usage__free_unpacked(u, NULL);
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more days of functions than one bill may have");
                }
                b->rows = grown;
                b->row_cap = cap;
        }
        if (!mine || !vn_str_copy(b->rows[b->row_count].function, VN_MAX_FUNCTION_NAME, function)) {
                vane__state__usage__free_unpacked(u, NULL);
                return VN_OK;
        }
        b->rows[b->row_count].start_us = (int64_t)start;
        b->rows[b->row_count++].usage = u;
        return VN_OK;
}

static int by_function(const void *a, const void *b)
{
        const struct row *x = a, *y = b;
        return strcmp(x->function, y->function);
}

static enum vn_rc read_month(struct bill *b, struct vn_err *err)
{
        char text[VN_TIME_TEXT_BYTES], now[VN_TIME_TEXT_BYTES];
        const char *month = b->request->month;
        uint64_t year, number;
        vn_time_format(b->op->now_us, now);
        if (!month[0]) {
                now[7] = '\0';
                month = now;
        }
        if (strlen(month) != 7 || month[4] != '-' || vn_str_to_u64(vn_str_n(month, 4), &year) != VN_OK ||
            vn_str_to_u64(vn_str(month + 5), &number) != VN_OK || number < 1 || number > 12)
                return vn_fail(err, VN_INVALID_ARGUMENT, "month: like 2026-11");
        b->reply->month = vn_op_text(b->op, month);
        int n = snprintf(text, sizeof text, "%04u-%02u-01T00:00:00Z", (unsigned)year, (unsigned)number);
        if (n < 0 || vn_time_parse(text, (size_t)n, &b->from_us) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "month: like 2026-11");
        n = snprintf(text, sizeof text, "%04u-%02u-01T00:00:00Z", (unsigned)(year + number / 12),
                     (unsigned)(number % 12 + 1));
        return n > 0 && vn_time_parse(text, (size_t)n, &b->until_us) == VN_OK
                       ? VN_OK
                       : vn_fail(err, VN_INVALID_ARGUMENT, "month: like 2026-11");
}

/* --- prices --- */

static enum vn_bill_plan plan_of(enum vn_cloud_id cloud, const char *arch)
{
        switch (cloud) {
        case VN_AWS: return strcmp(arch, "arm") ? VN_BILL_LAMBDA : VN_BILL_LAMBDA_ARM;
        case VN_AZURE: return strcmp(arch, "flex") ? VN_BILL_CONSUMPTION : VN_BILL_FLEX;
        case VN_GCP:
        case VN_HTTP: /* refused before */
        case VN_CLOUD_COUNT: break;
        }
        return VN_BILL_CLOUD_RUN;
}

static enum vn_rc rates_of(struct bill *b, const uint8_t *version, struct vn_bill_rates *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        struct vn_key key;
        memset(ret, 0, sizeof *ret);
        vn_key_bytes(vn_key_init(&key, vn_str(b->op->identity->tenant)), version, VN_SHA256_BYTES);
        VN_TRY(vn_store_get(b->op->server->store, VN_TABLE_catalogues, &key, &bytes, err));
        Vane__State__Catalogue *c = vane__state__catalogue__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
        if (!c)
                return vn_fail(err, VN_DATA_LOSS, "a price list is not readable");
        enum vn_rc rc = vn_catalogue_read(vn_str(c->text), &b->prices, err);
        vane__state__catalogue__free_unpacked(c, NULL);
        VN_TRY(rc);
        for (size_t i = 0; i < b->prices.tier_count; i++) {
                const struct vn_price_tier_entry *t = &b->prices.tiers[i];
                enum vn_bill_plan plan = plan_of(b->cloud, t->arch);
                enum vn_bill_meter meter;
                if (vn_bill_meter_parse(vn_str(t->meter), &meter) != VN_OK)
                        continue; /* a meter that this version does not bill */
                if (meter == VN_BILL_EGRESS_GB)
                        plan = VN_BILL_ACCOUNT;
                VN_TRY(vn_bill_rate_add(ret, plan, meter, (uint64_t)t->from_units, t->pico_usd, err));
        }
        if (!ret->ladder[VN_BILL_ACCOUNT][VN_BILL_EGRESS_GB].count) {
                vn_bill_list_egress(ret, plan_of(b->cloud, ""));
                b->list_egress = true;
        }
        if (b->cloud == VN_AWS) {
                ret->lambda_free_gb_s = LAMBDA_FREE_GB_S;
                ret->lambda_free_requests = LAMBDA_FREE_REQUESTS;
        }
        return VN_OK;
}

/* --- the bill --- */

static void add_usage(const struct bill *b, const Vane__State__Usage *u, struct vn_bill_usage *to)
{
        bool flex = b->cloud == VN_AZURE && u->memory_mb != AZURE_CONSUMPTION_MB;
        enum vn_bill_plan plan = plan_of(b->cloud, flex ? "flex" : "");
        if (b->cloud == VN_GCP) {
                to->grains[plan][VN_BILL_GIB_S] += u->billed_mb_us;
                to->grains[plan][VN_BILL_VCPU_S] += u->billed_milli_vcpu_us;
        } else {
                to->grains[plan][VN_BILL_GB_S] += u->billed_mb_us;
        }
        to->grains[plan][VN_BILL_REQUEST] += u->calls * vn_bill_grains(VN_BILL_REQUEST);
        if (u->response_bytes > 0 && u->response_bytes < 1e18)
                to->grains[VN_BILL_ACCOUNT][VN_BILL_EGRESS_GB] += (uint64_t)u->response_bytes;
}

static enum vn_rc add_line(struct bill *b, const char *function, const uint8_t *version,
                           const struct vn_bill_line *line, struct vn_err *err)
{
        Vane__V1__CostExplanation *r = b->reply;
        char usd[VN_DECIMAL_TEXT], hex[2 * VN_SHA256_BYTES + 1];
        Vane__V1__CostLine *m = VN_NEW_MESSAGE(b->op->arena, Vane__V1__CostLine, vane__v1__cost_line__init);
        if (!m)
                return vn_op_no_memory(err);
        if (r->n_lines == b->line_cap) {
                size_t cap = b->line_cap ? 2 * b->line_cap : 64;
                Vane__V1__CostLine **grown =
                        cap <= MAX_LINES ? vn_arena_alloc(b->op->arena, cap * sizeof *grown) : NULL;
                if (!grown)
                        return vn_op_no_memory(err);
                if (r->n_lines)
                        memcpy(grown, r->lines, r->n_lines * sizeof *grown);
                r->lines = grown;
                b->line_cap = cap;
        }
        m->function = vn_op_text(b->op, function);
        m->meter = vn_op_text(b->op, vn_bill_meter_name(line->meter));
        m->plan = vn_op_text(b->op, vn_bill_plan_name(line->plan));
        m->quantity = (double)line->grains / (double)vn_bill_grains(line->meter);
        m->tier = line->from == VN_BILL_GRANT ? vn_op_text(b->op, "grant")
                  : line->pico_usd            ? vn_op_printf(b->op, "from %llu", (unsigned long long)line->from)
                                              : vn_op_text(b->op, "free");
        vn_decimal_format(line->pico_usd, VN_PICO, usd);
        m->usd_per_unit = vn_op_text(b->op, usd);
        vn_decimal_format(line->amount_pico_usd, VN_PICO, usd);
        m->usd = vn_op_text(b->op, usd);
        vn_hex(version, VN_SHA256_BYTES, hex);
        hex[8] = '\0';
        m->prices = vn_op_text(b->op, hex);
        r->lines[r->n_lines++] = m;
        b->total_pico += line->amount_pico_usd;
        return VN_OK;
}

static bool in_segment(const struct row *row, const uint8_t *version)
{
        return row->usage->version.len == VN_SHA256_BYTES &&
               !memcmp(row->usage->version.data, version, VN_SHA256_BYTES);
}

struct work {
        struct vn_bill_usage all, one;
        struct vn_bill_rates rates;
        struct vn_bill_line lines[VN_MAX_BILL_LINES];
};

/* Everything that one price list held for: the account's lines, and each function's part of them. */
static enum vn_rc price_segment(struct bill *b, const uint8_t *version, bool first, struct work *w,
                                struct vn_err *err)
{
        size_t lines;
        VN_TRY(rates_of(b, version, &w->rates, err));
        if (first && !strcmp(b->request->grants, "used"))
                vn_bill_past_grants(&w->rates, &b->before);
        memset(&w->all, 0, sizeof w->all);
        for (size_t i = 0; i < b->row_count; i++)
                if (in_segment(&b->rows[i], version))
                        add_usage(b, b->rows[i].usage, &w->all);
        VN_TRY(vn_bill_price(&w->rates, &b->before, &w->all, w->lines, &lines, err));
        for (size_t i = 0, end; i < b->row_count; i = end) {
                memset(&w->one, 0, sizeof w->one);
                for (end = i; end < b->row_count && !strcmp(b->rows[end].function, b->rows[i].function); end++)
                        if (in_segment(&b->rows[end], version))
                                add_usage(b, b->rows[end].usage, &w->one);
                if (b->request->function[0] && strcmp(b->rows[i].function, b->request->function))
                        continue;
                for (size_t l = 0; l < lines; l++) {
                        struct vn_bill_line part = vn_bill_share(&w->lines[l], &w->one, &w->all);
                        if (part.grains || part.amount_pico_usd)
                                VN_TRY(add_line(b, b->rows[i].function, version, &part, err));
                }
        }
        vn_bill_sum(&b->before, &w->all);
        return VN_OK;
}

/* Price lists in the order of time; a list that comes back is one segment, from its first day on. */
static enum vn_rc price_month(struct bill *b, struct work *w, struct vn_err *err)
{
        uint8_t done[MAX_SEGMENTS][VN_SHA256_BYTES];
        for (size_t count = 0;; count++) {
                const struct row *next = NULL;
                for (size_t i = 0; i < b->row_count; i++) {
                        bool seen = false;
                        for (size_t s = 0; s < count && !seen; s++)
                                seen = in_segment(&b->rows[i], done[s]);
                        if (!b->rows[i].usage->version.len)
                                b->unpriced = true;
                        else if (!seen && (!next || b->rows[i].start_us < next->start_us))
                                next = &b->rows[i];
                }
                if (!next)
                        return VN_OK;
                if (count == MAX_SEGMENTS)
                        return vn_fail(err, VN_OUT_OF_RANGE, "more than %d price lists in a month", MAX_SEGMENTS);
                memcpy(done[count], next->usage->version.data, VN_SHA256_BYTES);
                VN_TRY(price_segment(b, done[count], count == 0, w, err));
        }
}

/* --- what is missing, said --- */

static void note(struct bill *b, const char *text)
{
        if (b->reply->notes && b->reply->n_notes < MAX_NOTES)
                b->reply->notes[b->reply->n_notes++] = vn_op_text(b->op, text);
}

static void add_notes(struct bill *b)
{
        double bytes = 0;
        uint64_t windows = 0, metered = 0;
        b->reply->notes = vn_arena_alloc(b->op->arena, MAX_NOTES * sizeof(char *));
        for (size_t i = 0; i < b->row_count; i++) {
                const Vane__State__Usage *u = b->rows[i].usage;
                bytes += u->response_bytes;
                b->reply->calls += u->calls;
                windows += u->windows;
                metered += u->metered;
                if (!b->reply->observed_from_us || b->rows[i].start_us < b->reply->observed_from_us)
                        b->reply->observed_from_us = b->rows[i].start_us;
                if (u->last_us + VN_WINDOW_US > b->reply->observed_to_us)
                        b->reply->observed_to_us = u->last_us + VN_WINDOW_US;
        }
        note(b,
             "List prices; taxes, discounts and commitments are not known. What the agent did not see is not in it.");
        note(b, !strcmp(b->request->grants, "used")
                        ? "Grants count as used up before."
                        : "Grants count as this account's alone, shared out to functions by use; if it used them "
                          "before Vane saw it, the bill is higher: --grants used.");
        if (bytes <= 0)
                note(b, "Egress is missing: this cloud's log tells no response sizes.");
        else if (b->list_egress)
                note(b, "Egress at built-in list rates, as if every response left for the internet.");
        note(b, "Capacity kept ready (provisioned, always ready, minimum instances) and extra storage are not "
                "observed.");
        if (b->cloud != VN_AWS && metered < windows)
                note(b, vn_op_printf(b->op,
                                     "%llu of %llu minutes with calls are not by the cloud's own meter but by the "
                                     "published rule: starts are missing there, and requests that share an instance "
                                     "count apart.",
                                     (unsigned long long)(windows - metered), (unsigned long long)windows));
        if (b->unpriced)
                note(b, "Some days had no price list and are missing.");
}

static enum vn_rc make_bill(struct bill *b, struct work *w, struct vn_err *err)
{
        struct vn_store *store = b->op->server->store;
        struct vn_key key;
        char usd[VN_DECIMAL_TEXT];
        vn_key_init(&key, vn_str(b->op->identity->tenant));
        VN_TRY(vn_state_load_below(store, VN_TABLE_accounts, &key, &vane__state__account__descriptor, find_account, b,
                                   err));
        if (!b->account_id)
                return vn_fail(err, VN_NOT_FOUND, "account: no account \"%.64s\"", b->request->account);
        if (b->cloud == VN_HTTP)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "account: \"%.64s\" is a place of one's own, for which no cloud sends a bill",
                               b->request->account);
        vn_key_u64(&key, b->account_id);
        VN_TRY(vn_state_load_below(store, VN_TABLE_usage, &key, &vane__state__usage__descriptor, take_row, b, err));
        if (b->row_count)
                qsort(b->rows, b->row_count, sizeof *b->rows, by_function);
        VN_TRY(price_month(b, w, err));
        b->reply->account = vn_op_text(b->op, b->request->account);
        b->reply->cloud = vn_op_text(b->op, vn_cloud_name(b->cloud));
        vn_decimal_format(b->total_pico, VN_PICO, usd);
        b->reply->total_usd = vn_op_text(b->op, usd);
        add_notes(b);
        return VN_OK;
}

enum vn_rc op_explain_cost(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        struct bill b = {.op = op, .request = (const Vane__V1__ExplainCostRequest *)message};
        b.reply = VN_NEW_MESSAGE(op->arena, Vane__V1__CostExplanation, vane__v1__cost_explanation__init);
        if (!b.reply)
                return vn_op_no_memory(err);
        if (b.request->grants[0] && strcmp(b.request->grants, "whole") && strcmp(b.request->grants, "used"))
                return vn_fail(err, VN_INVALID_ARGUMENT, "grants: whole or used");
        VN_TRY(read_month(&b, err));
        struct work *w = vn_alloc(sizeof *w); /* too large for a stack */
        enum vn_rc rc = w ? make_bill(&b, w, err) : vn_op_no_memory(err);
        for (size_t i = 0; i < b.row_count; i++)
                vane__state__usage__free_unpacked(b.rows[i].usage, NULL);
        vn_free(b.rows);
        vn_free(w);
        if (rc == VN_OK)
                *ret_reply = &b.reply->base;
        return rc;
}
