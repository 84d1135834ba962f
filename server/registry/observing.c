#include "server/registry/observing.h"

#include <stdio.h>

#include "base/lock.h"
#include "vane/v1/agent.pb-c.h"

#define MAX_CLASSES 12
#define MAX_NAMED 6 /* locations in a line */
#define MAX_LOCATION_BYTES 64

struct class_calls {
        char name[24];
        uint64_t calls;
        double usd;
};

struct observed {
        uint64_t account_id;
        char tenant[VN_MAX_TENANT_BYTES];
        char name[64];
        int64_t since_us; /* 0: the agent has not told */
        uint32_t calls_per_hour;
        double left;
        struct class_calls classes[MAX_CLASSES];
        size_t class_count;
        char listed[VN_OBSERVING_TEXT_BYTES];
};

struct vn_observing {
        struct vn_lock lock;
        struct observed *items;
        size_t count, cap;
};

VN_LOCK_CLASS(lock_class, "observing");

enum vn_rc vn_observing_start(struct vn_server *server, struct vn_err *err)
{
        server->observing = vn_alloc(sizeof *server->observing);
        if (!server->observing)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_lock_init(&server->observing->lock, &lock_class);
        return VN_OK;
}

void vn_observing_stop(struct vn_server *server)
{
        if (!server->observing)
                return;
        vn_lock_done(&server->observing->lock);
        vn_free(server->observing->items);
        vn_free(server->observing);
        server->observing = NULL;
}

static struct observed *find(struct vn_observing *o, uint64_t account_id)
{
        VN_ASSERT_HELD(&o->lock);
        for (size_t i = 0; i < o->count; i++)
                if (o->items[i].account_id == account_id)
                        return &o->items[i];
        return NULL;
}

static struct observed *find_or_add(struct vn_observing *o, const struct vn_account_entry *account)
{
        struct observed *it = find(o, account->id);
        if (it)
                return it;
        if (o->count == o->cap) {
                size_t cap = o->cap ? o->cap * 2 : 16;
                struct observed *grown = vn_realloc(o->items, cap * sizeof *grown);
                if (!grown)
                        return NULL;
                o->items = grown;
                o->cap = cap;
        }
        it = &o->items[o->count++];
        memset(it, 0, sizeof *it);
        it->account_id = account->id;
        memcpy(it->tenant, account->tenant, sizeof it->tenant);
        memcpy(it->name, account->name, sizeof it->name);
        return it;
}

static bool take_class(const Vane__V1__CloudCalls *from, struct class_calls *to)
{
        struct vn_str name = vn_str(from->class_);
        for (size_t i = 0; i < name.len; i++)
                if ((name.ptr[i] < 'a' || name.ptr[i] > 'z') && name.ptr[i] != '_')
                        return false;
        to->calls = from->calls;
        to->usd = from->usd;
        return name.len > 0 && vn_str_copy(to->name, sizeof to->name, name) && from->usd >= 0 && from->usd < 1e12;
}

enum vn_rc vn_observing_calls(struct vn_server *server, const struct vn_account_entry *account,
                              const struct Vane__V1__WindowReport *report, struct vn_err *err)
{
        const Vane__V1__CloudUsage *usage = report->cloud_usage;
        struct observed told = {0};
        if (!usage)
                return VN_OK;
        if (usage->n_calls > MAX_CLASSES || usage->since_us <= 0 || !usage->calls_per_hour ||
            !(usage->left >= 0 && usage->left <= usage->calls_per_hour))
                return vn_fail(err, VN_INVALID_ARGUMENT, "cloud_usage: out of range");
        for (size_t i = 0; i < usage->n_calls; i++)
                if (!take_class(usage->calls[i], &told.classes[i]))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "cloud_usage: no such class of calls");
        VN_LOCKED(&server->observing->lock);
        struct observed *it = find_or_add(server->observing, account);
        if (!it)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        it->since_us = usage->since_us;
        it->calls_per_hour = usage->calls_per_hour;
        it->left = usage->left;
        it->class_count = usage->n_calls;
        memcpy(it->classes, told.classes, sizeof it->classes);
        return VN_OK;
}

enum vn_rc vn_observing_listed(struct vn_server *server, const struct vn_account_entry *account,
                               const struct Vane__V1__InventoryReport *report, struct vn_err *err)
{
        struct vn_buf line = VN_BUF_INIT(VN_OBSERVING_TEXT_BYTES - 1);
        for (size_t i = 0; i < report->n_unreachable; i++) {
                struct vn_str location = vn_str(report->unreachable[i]);
                if (location.len > MAX_LOCATION_BYTES || !vn_str_is_utf8(location))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "unreachable: no such location");
        }
        if (report->complete)
                vn_buf_text(&line, "complete");
        else if (!report->n_unreachable)
                vn_buf_text(&line, "incomplete: there is more than one listing may have");
        else
                vn_buf_text(&line, "incomplete: no answer from ");
        for (size_t i = 0; !report->complete && i < report->n_unreachable && i < MAX_NAMED; i++)
                vn_buf_printf(&line, "%s%s", i ? ", " : "", report->unreachable[i]);
        if (!report->complete && report->n_unreachable > MAX_NAMED)
                vn_buf_printf(&line, " and %zu more", report->n_unreachable - MAX_NAMED);
        VN_LOCKED(&server->observing->lock);
        struct observed *it = find_or_add(server->observing, account);
        bool kept = it && !line.failed && vn_str_copy(it->listed, sizeof it->listed, vn_buf_view(&line));
        vn_buf_done(&line);
        return kept ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
}

/* 1234567 as "1,234,567". */
static void grouped(uint64_t n, char ret[32])
{
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
        for (int i = 0; i < len; i++) {
                if (i && (len - i) % 3 == 0)
                        ret[at++] = ',';
                ret[at++] = digits[i];
        }
        ret[at] = 0;
}

static void describe_calls(const struct observed *it, char ret[VN_OBSERVING_TEXT_BYTES])
{
        char since[VN_TIME_TEXT_BYTES], total[32], budget[32];
        uint64_t calls = 0;
        double usd = 0;
        for (size_t i = 0; i < it->class_count; i++) {
                calls += it->classes[i].calls;
                usd += it->classes[i].usd;
        }
        vn_time_format(it->since_us, since);
        grouped(calls, total);
        grouped(it->calls_per_hour, budget);
        snprintf(ret, VN_OBSERVING_TEXT_BYTES, "%s calls, %.4f USD since %s; budget %s/h, %.0f %% used", total, usd,
                 since, budget, 100 * (1 - it->left / it->calls_per_hour));
}

void vn_observing_describe(struct vn_server *server, uint64_t account_id, char ret_calls[VN_OBSERVING_TEXT_BYTES],
                           char ret_listed[VN_OBSERVING_TEXT_BYTES])
{
        VN_LOCKED(&server->observing->lock);
        const struct observed *it = find(server->observing, account_id);
        ret_calls[0] = ret_listed[0] = 0;
        if (!it)
                return;
        memcpy(ret_listed, it->listed, sizeof it->listed);
        if (it->since_us)
                describe_calls(it, ret_calls);
}

/* Names are words (the registry and take_class see to it), so a label's value needs no escape. */
static void print_row(const struct observed *it, const char *name, const struct class_calls *c, double value,
                      struct vn_buf *out)
{
        vn_buf_printf(out, "%s{tenant=\"%s\",account=\"%s\",class=\"%s\"} %.12g\n", name, it->tenant, it->name,
                      c->name, value);
}

void vn_observing_metrics(struct vn_server *server, struct vn_buf *out)
{
        struct vn_observing *o = server->observing;
        VN_LOCKED(&o->lock);
#define VN_ROW(name, type, value, help)                                                                              \
        vn_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);                                  \
        for (size_t i = 0; i < o->count && i < VN_OBSERVING_METRICS; i++)                                            \
                for (size_t k = 0; k < o->items[i].class_count; k++) {                                               \
                        const struct class_calls *c = &o->items[i].classes[k];                                       \
                        print_row(&o->items[i], name, c, value, out);                                                \
                }
#include "server/account_metrics.def"
#undef VN_ROW
}
