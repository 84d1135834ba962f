/* prices.c - price lists as agents report them: the last good one of each account, and the history of all. */
#include "base/log.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/state.h"
#include "server/telemetry/catalogue.h"
#include "vane/state/state.pb-c.h"

static enum vn_rc read_report(const Vane__V1__PriceReport *report, struct vn_account_prices *ret,
                              int64_t *ret_effective_us, struct vn_err *err)
{
        if (report->n_tiers > VN_MAX_PRICE_TIERS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "tiers: at most %d", VN_MAX_PRICE_TIERS);
        if (!vn_str_copy(ret->plan, sizeof ret->plan, vn_str(report->plan)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "plan: too long");
        for (size_t i = 0; i < report->n_tiers; i++) {
                const Vane__V1__PriceTier *t = report->tiers[i];
                if (!vn_catalogue_tier(&ret->tiers[ret->tier_count++], t->meter, t->region, t->arch, t->from_units,
                                       t->pico_usd))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "tiers: row %zu is not a price", i);
                if (t->effective_us > *ret_effective_us)
                        *ret_effective_us = t->effective_us;
        }
        return VN_OK;
}

static void put_prices(struct vn_batch *batch, const struct vn_account_entry *account,
                       const struct vn_account_prices *p, const char *doubt)
{
        Vane__State__Prices stored = VANE__STATE__PRICES__INIT;
        struct vn_account_prices copy = *p; /* protobuf-c wants pointers that it may not write to */
        struct vn_key key;
        stored.account_id = account->id;
        stored.time_us = p->time_us;
        stored.since_us = p->since_us;
        stored.plan = copy.plan;
        stored.version = (ProtobufCBinaryData){sizeof copy.version, copy.version};
        stored.doubt = vn_state_text(doubt);
        vn_key_text(vn_key_u64(vn_key_init(&key, vn_str(account->tenant)), account->id), VN_STR("prices"));
        vn_state_put(batch, VN_TABLE_meters, &key, &stored.base);
}

/* A list that was seen before, perhaps from another account of the tenant, is not stored again. */
static enum vn_rc put_catalogue(struct vn_op *op, struct vn_batch *batch, const struct vn_account_entry *account,
                                const struct vn_account_prices *p, const struct vn_buf *text, int64_t effective_us,
                                struct vn_err *err)
{
        VN_AUTO(vn_buf)
        there = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        struct vn_key key;
        Vane__State__PriceSpan span = VANE__STATE__PRICE_SPAN__INIT;
        struct vn_account_prices copy = *p;
        vn_key_bytes(vn_key_init(&key, vn_str(account->tenant)), p->version, sizeof p->version);
        enum vn_rc rc = vn_store_get(op->server->store, VN_TABLE_catalogues, &key, &there, err);
        if (rc == VN_NOT_FOUND) {
                Vane__State__Catalogue stored = VANE__STATE__CATALOGUE__INIT;
                stored.text = text->ptr;
                stored.first_seen_us = op->now_us;
                stored.account_id = account->id;
                stored.region = vn_state_text(account->region);
                stored.effective_us = effective_us;
                vn_state_put(batch, VN_TABLE_catalogues, &key, &stored.base);
        } else if (rc != VN_OK) {
                return rc;
        }
        span.version = (ProtobufCBinaryData){sizeof copy.version, copy.version};
        vn_key_u64(vn_key_u64(vn_key_init(&key, vn_str(account->tenant)), account->id), (uint64_t)p->since_us);
        vn_state_put(batch, VN_TABLE_price_spans, &key, &span.base);
        return VN_OK;
}

/* The last good list stays in force, with its age, and decisions count on a change. */
static enum vn_rc keep_last(struct vn_op *op, const struct vn_account_entry *account,
                            struct vn_account_prices *prices, struct vn_err *err)
{
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        struct vn_err ignored;
        if (!prices->doubted) /* said once, though the agent tries again every minute */
                VN_LOG(PRICES_KEPT, "account=%s why=\"%s\"", account->name, err->msg);
        if (batch && prices->time_us) {
                put_prices(batch, account, prices, err->msg);
                VN_IGNORE(vn_store_commit(op->server->store, batch, &ignored)); /* the refusal is the answer anyhow */
        }
        prices->doubted = true;
        vn_routing_dirty(op->server);
        return err->rc;
}

enum vn_rc op_report_prices(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        struct vn_account_entry *account;
        int64_t effective_us = 0;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_CATALOGUE_MAX_BYTES);
        VN_TRY(vn_op_agent_account(op, &account, err));
        struct vn_account_prices fresh = {.account_id = account->id, .time_us = op->now_us};
        struct vn_account_prices *prices = vn_telemetry_prices_of(op->server->telemetry, account->id);
        Vane__V1__Ack *ack = VN_NEW_MESSAGE(op->arena, Vane__V1__Ack, vane__v1__ack__init);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch || !ack || !prices)
                return vn_op_no_memory(err);
        enum vn_rc rc = read_report((const Vane__V1__PriceReport *)message, &fresh, &effective_us, err);
        if (rc == VN_OK)
                rc = vn_catalogue_write(vn_cloud_name(account->cloud), &fresh, &text, err);
        if (rc == VN_OK && !prices->accepted && account->cloud != VN_HTTP) /* whose prices are its owner's word */
                rc = vn_catalogue_check(prices, &fresh, err);
        if (rc != VN_OK)
                return keep_last(op, account, prices, err);
        bool same = prices->time_us && !memcmp(prices->version, fresh.version, sizeof fresh.version);
        fresh.since_us = same ? prices->since_us : op->now_us;
        if (!same)
                VN_TRY(put_catalogue(op, batch, account, &fresh, &text, effective_us, err));
        put_prices(batch, account, &fresh, "");
        VN_TRY(vn_store_commit(op->server->store, batch, err));
        fresh.gb_s = prices->gb_s;
        fresh.requests = prices->requests;
        *prices = fresh;
        vn_routing_dirty(op->server);
        *ret_reply = &ack->base;
        return VN_OK;
}

static enum vn_rc load_one(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct vn_server *server = arg;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        Vane__State__Prices *p = (Vane__State__Prices *)message;
        struct vn_account_prices *prices = vn_telemetry_prices_of(server->telemetry, p->account_id);
        struct vn_str tenant;
        struct vn_key at;
        bool good = prices && vn_key_take_text(&key, &tenant) &&
                    vn_str_copy(prices->plan, sizeof prices->plan, vn_str(p->plan));
        if (good) {
                prices->doubted = p->doubt[0] != '\0';
                vn_key_bytes(vn_key_init(&at, tenant), p->version.data, p->version.len);
                /* Without its content there is no list: the agent's next report brings one. */
                if (p->version.len && vn_store_get(server->store, VN_TABLE_catalogues, &at, &bytes, err) == VN_OK) {
                        Vane__State__Catalogue *c =
                                vane__state__catalogue__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
                        good = c && vn_catalogue_read(vn_str(c->text), prices, err) == VN_OK;
                        if (c)
                                vane__state__catalogue__free_unpacked(c, NULL);
                        prices->time_us = p->time_us;
                        prices->since_us = p->since_us;
                }
        }
        vane__state__prices__free_unpacked(p, NULL);
        return vn_state_taken(prices, good, "meters: a stored price list", err);
}

enum vn_rc vn_prices_load(struct vn_server *server, struct vn_err *err)
{
        return vn_state_load(server->store, VN_TABLE_meters, &vane__state__prices__descriptor, load_one, server, err);
}
