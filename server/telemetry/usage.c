/* usage.c - what is billed, by endpoint and day: kept when the windows that it was summed from are gone. */
#include "server/registry/registry.h"
#include "server/routing/billing.h"
#include "server/state.h"
#include "server/telemetry/telemetry.h"
#include "vane/state/state.pb-c.h"

#define DAY_US (24 * VN_US_PER_HOUR)

static void row_key(struct vn_key *key, const struct vn_endpoint_stats *s, int64_t start_us)
{
        vn_key_u64(vn_key_text(vn_key_text(vn_key_u64(vn_key_init(key, vn_str(s->tenant)), s->account_id),
                                           vn_str(s->function)),
                               vn_str(s->region)),
                   (uint64_t)start_us);
}

static enum vn_rc load_row(struct vn_server *server, struct vn_endpoint_stats *s, int64_t start_us,
                           const struct vn_account_prices *prices, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        struct vn_key key;
        s->usage = (struct vn_usage_row){.start_us = start_us, .priced = prices && prices->time_us};
        if (s->usage.priced)
                memcpy(s->usage.version, prices->version, sizeof s->usage.version);
        row_key(&key, s, start_us);
        enum vn_rc rc = vn_store_get(server->store, VN_TABLE_usage, &key, &bytes, err);
        if (rc == VN_NOT_FOUND)
                return VN_OK;
        VN_TRY(rc);
        Vane__State__Usage *u = vane__state__usage__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
        if (!u)
                return vn_fail(err, VN_DATA_LOSS, "usage: a stored row is not readable");
        s->usage.priced = u->version.len == sizeof s->usage.version;
        if (s->usage.priced)
                memcpy(s->usage.version, u->version.data, sizeof s->usage.version);
        s->usage.calls = u->calls;
        s->usage.billed_mb_us = u->billed_mb_us;
        s->usage.billed_milli_vcpu_us = u->billed_milli_vcpu_us;
        s->usage.response_bytes = u->response_bytes;
        s->usage.windows = u->windows;
        s->usage.metered = u->metered;
        s->usage.last_us = u->last_us;
        vane__state__usage__free_unpacked(u, NULL);
        return VN_OK;
}

static void put_row(const struct vn_endpoint_stats *s, struct vn_batch *batch)
{
        Vane__State__Usage u = VANE__STATE__USAGE__INIT;
        struct vn_usage_row row = s->usage; /* protobuf-c wants pointers that it may not write to */
        struct vn_key key;
        if (row.priced)
                u.version = (ProtobufCBinaryData){sizeof row.version, row.version};
        u.calls = row.calls;
        u.billed_mb_us = row.billed_mb_us;
        u.billed_milli_vcpu_us = row.billed_milli_vcpu_us;
        u.response_bytes = row.response_bytes;
        u.windows = row.windows;
        u.metered = row.metered;
        u.last_us = row.last_us;
        u.memory_mb = row.memory_mb;
        row_key(&key, s, row.start_us);
        vn_state_put(batch, VN_TABLE_usage, &key, &u.base);
}

static void add(uint64_t *to, uint64_t more)
{
        *to = more < UINT64_MAX - *to ? *to + more : UINT64_MAX;
}

enum vn_rc vn_usage_add(struct vn_server *server, const struct vn_account_entry *account, struct vn_endpoint_stats *s,
                        const struct vn_window *w, struct vn_batch *batch, struct vn_err *err)
{
        const struct vn_account_prices *prices = vn_telemetry_prices(server->telemetry, account->id);
        int64_t start_us = w->start_us - w->start_us % DAY_US;
        /* Another list in the middle of a day begins another row. */
        if (prices && prices->since_us > start_us && prices->since_us <= w->start_us)
                start_us = prices->since_us;
        if (s->usage.start_us != start_us)
                VN_TRY(load_row(server, s, start_us, prices, err));
        struct vn_usage_row *row = &s->usage;
        uint64_t vcpu = w->billed_milli_vcpu_us;
        if (account->cloud == VN_GCP && !vcpu)
                vcpu = (uint64_t)((double)w->billed_sum_us * 1000 * vn_billing_gcp_vcpu(w->memory_mb));
        add(&row->calls, w->calls);
        add(&row->billed_mb_us, w->billed_mb_us ? w->billed_mb_us : w->billed_sum_us * w->memory_mb);
        add(&row->billed_milli_vcpu_us, account->cloud == VN_GCP ? vcpu : 0);
        row->response_bytes += w->response_sum_bytes;
        row->windows++;
        row->metered += w->metered;
        row->last_us = w->start_us;
        row->memory_mb = w->memory_mb;
        put_row(s, batch);
        return VN_OK;
}
