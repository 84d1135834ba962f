/* lists.c - price lists read back: which held where and when, and one by its version.
 * Threads: the reader loop; only the store is read. */
#include <stdlib.h>

#include "base/decimal.h"
#include "server/registry/registry.h"
#include "server/state.h"
#include "server/telemetry/catalogue.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/control.pb-c.h"

#define MAX_SPANS 10000
#define SHORTEST_VERSION 8

struct span {
        uint64_t account_id;
        int64_t since_us;
        uint8_t version[VN_SHA256_BYTES];
};
struct spans {
        struct vn_op *op;
        struct span *span;
        size_t count;
};

static enum vn_rc take_span(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct spans *s = arg;
        Vane__State__PriceSpan *m = (Vane__State__PriceSpan *)message;
        struct vn_str tenant;
        uint64_t account, since;
        bool good = vn_key_take_text(&key, &tenant) && vn_key_take_u64(&key, &account) &&
                    vn_key_take_u64(&key, &since) && m->version.len == VN_SHA256_BYTES;
        if (good && s->count < MAX_SPANS) {
                s->span[s->count] = (struct span){.account_id = account, .since_us = (int64_t)since};
                memcpy(s->span[s->count++].version, m->version.data, VN_SHA256_BYTES);
        }
        vane__state__price_span__free_unpacked(m, NULL);
        return good ? VN_OK : vn_fail(err, VN_DATA_LOSS, "price_spans: a stored row is not readable");
}

static int newest_first(const void *a, const void *b)
{
        const struct span *x = a, *y = b;
        return (x->since_us < y->since_us) - (x->since_us > y->since_us);
}

/* A message of a keyed table; NULL if there is none or memory is out. The caller frees it. */
static ProtobufCMessage *stored(struct vn_op *op, enum vn_table table, const struct vn_key *key,
                                const ProtobufCMessageDescriptor *descriptor)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        struct vn_err err;
        if (vn_store_get(op->server->store, table, key, &bytes, &err) != VN_OK)
                return NULL;
        return protobuf_c_message_unpack(descriptor, NULL, bytes.len, (const uint8_t *)bytes.ptr);
}

static uint32_t tiers_in(const char *text)
{
        uint32_t lines = 0;
        for (; *text; text++)
                lines += *text == '\n';
        return lines > 3 ? lines - 3 : 0; /* behind the header's three */
}

static void fill_account(struct vn_op *op, const struct span *s, Vane__V1__PriceSpan *m)
{
        struct vn_key key;
        vn_key_u64(vn_key_init(&key, vn_str(op->identity->tenant)), s->account_id);
        ProtobufCMessage *message = stored(op, VN_TABLE_accounts, &key, &vane__state__account__descriptor);
        if (message) {
                const Vane__State__Account *a = (const Vane__State__Account *)message;
                m->account = vn_op_text(op, a->name);
                m->cloud = vn_op_text(op, a->cloud);
                m->region = vn_op_text(op, a->region);
                protobuf_c_message_free_unpacked(message, NULL);
        }
        vn_key_text(&key, VN_STR("prices"));
        message = stored(op, VN_TABLE_meters, &key, &vane__state__prices__descriptor);
        if (message) {
                const Vane__State__Prices *p = (const Vane__State__Prices *)message;
                m->current = p->since_us == s->since_us;
                if (m->current) {
                        m->age_s = (double)(op->now_us - p->time_us) / 1e6;
                        m->doubt = vn_op_text(op, p->doubt);
                }
                protobuf_c_message_free_unpacked(message, NULL);
        }
}

static Vane__V1__PriceSpan *span_message(struct vn_op *op, const struct span *s)
{
        Vane__V1__PriceSpan *m = VN_NEW_MESSAGE(op->arena, Vane__V1__PriceSpan, vane__v1__price_span__init);
        char hex[2 * VN_SHA256_BYTES + 1];
        struct vn_key key;
        if (!m)
                return NULL;
        vn_hex(s->version, VN_SHA256_BYTES, hex);
        m->version = vn_op_text(op, hex);
        m->since_us = s->since_us;
        fill_account(op, s, m);
        vn_key_bytes(vn_key_init(&key, vn_str(op->identity->tenant)), s->version, VN_SHA256_BYTES);
        ProtobufCMessage *message = stored(op, VN_TABLE_catalogues, &key, &vane__state__catalogue__descriptor);
        if (message) {
                const Vane__State__Catalogue *c = (const Vane__State__Catalogue *)message;
                m->tiers = tiers_in(c->text);
                m->effective_us = c->effective_us;
                protobuf_c_message_free_unpacked(message, NULL);
        }
        return m;
}

static enum vn_rc list_spans(struct vn_op *op, const Vane__V1__PageRequest *request, struct spans *s,
                             Vane__V1__ListPricesResponse *reply, struct vn_err *err)
{
        struct vn_page page;
        struct vn_key key;
        vn_key_init(&key, vn_str(op->identity->tenant));
        VN_TRY(vn_state_load_below(op->server->store, VN_TABLE_price_spans, &key,
                                   &vane__state__price_span__descriptor, take_span, s, err));
        qsort(s->span, s->count, sizeof *s->span, newest_first);
        Vane__V1__PriceSpan **all = vn_arena_alloc(op->arena, (s->count + 1) * sizeof *all);
        if (!all)
                return vn_op_no_memory(err);
        size_t count = 0;
        for (size_t i = 0; i < s->count; i++) {
                Vane__V1__PriceSpan *m = span_message(op, &s->span[i]);
                if (!m)
                        return vn_op_no_memory(err);
                if (strstr(m->account, request->filter))
                        all[count++] = m;
        }
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, count, &page, err));
        reply->prices = all + page.from;
        reply->n_prices = page.count;
        reply->next_page_token = page.next_token;
        reply->total = (uint32_t)count;
        return VN_OK;
}

enum vn_rc op_list_prices(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        Vane__V1__ListPricesResponse *reply =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListPricesResponse, vane__v1__list_prices_response__init);
        struct spans s = {.op = op, .span = vn_alloc_array(MAX_SPANS, sizeof *s.span)};
        enum vn_rc rc = reply && s.span ? list_spans(op, (const Vane__V1__PageRequest *)message, &s, reply, err)
                                        : vn_op_no_memory(err);
        vn_free(s.span);
        if (rc == VN_OK)
                *ret_reply = &reply->base;
        return rc;
}

/* --- one --- */

struct wanted {
        struct vn_op *op;
        const char *version;
        char hex[2 * VN_SHA256_BYTES + 1];
        Vane__State__Catalogue *found;
        bool twice;
};

static enum vn_rc look(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct wanted *w = arg;
        struct vn_str tenant;
        char hex[2 * VN_SHA256_BYTES + 1];
        (void)err;
        if (vn_key_take_text(&key, &tenant) && key.len == VN_SHA256_BYTES) {
                vn_hex(key.ptr, key.len, hex);
                if (vn_str_starts(vn_str(hex), vn_str(w->version))) {
                        w->twice = w->found != NULL;
                        if (!w->found) {
                                w->found = (Vane__State__Catalogue *)message;
                                memcpy(w->hex, hex, sizeof hex);
                                return VN_OK;
                        }
                }
        }
        protobuf_c_message_free_unpacked(message, NULL);
        return VN_OK;
}

static enum vn_rc fill_tiers(struct vn_op *op, const struct vn_account_prices *prices, Vane__V1__PriceCatalogue *m,
                             struct vn_err *err)
{
        m->tiers = vn_arena_alloc(op->arena, (prices->tier_count + 1) * sizeof *m->tiers);
        for (size_t i = 0; m->tiers && i < prices->tier_count; i++) {
                Vane__V1__CatalogueTier *t =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__CatalogueTier, vane__v1__catalogue_tier__init);
                char usd[VN_DECIMAL_TEXT];
                if (!t)
                        return vn_op_no_memory(err);
                vn_decimal_format(prices->tiers[i].pico_usd, VN_PICO, usd);
                t->meter = vn_op_text(op, prices->tiers[i].meter);
                t->region = vn_op_text(op, prices->tiers[i].region);
                t->arch = vn_op_text(op, prices->tiers[i].arch);
                t->from_units = (uint64_t)prices->tiers[i].from_units;
                t->usd_per_unit = vn_op_text(op, usd);
                m->tiers[m->n_tiers++] = t;
        }
        return m->tiers ? VN_OK : vn_op_no_memory(err);
}

static enum vn_rc fill(struct vn_op *op, const struct wanted *w, Vane__V1__PriceCatalogue *m, struct vn_err *err)
{
        struct vn_account_prices prices = {0};
        struct vn_key key;
        if (!w->found || w->twice)
                return vn_fail(err, w->twice ? VN_INVALID_ARGUMENT : VN_NOT_FOUND,
                               "version: %s list begins \"%.64s\"", w->twice ? "more than one" : "no price",
                               w->version);
        VN_TRY(vn_catalogue_read(vn_str(w->found->text), &prices, err));
        m->version = vn_op_text(op, w->hex);
        m->currency = vn_op_text(op, "USD");
        m->first_seen_us = w->found->first_seen_us;
        m->region = vn_op_text(op, w->found->region);
        m->effective_us = w->found->effective_us;
        vn_key_u64(vn_key_init(&key, vn_str(op->identity->tenant)), w->found->account_id);
        ProtobufCMessage *account = stored(op, VN_TABLE_accounts, &key, &vane__state__account__descriptor);
        if (account) {
                m->account = vn_op_text(op, ((const Vane__State__Account *)account)->name);
                protobuf_c_message_free_unpacked(account, NULL);
        }
        return fill_tiers(op, &prices, m, err);
}

enum vn_rc op_get_prices(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                         struct vn_err *err)
{
        struct wanted w = {.op = op, .version = ((const Vane__V1__PricesVersion *)message)->version};
        Vane__V1__PriceCatalogue *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__PriceCatalogue, vane__v1__price_catalogue__init);
        struct vn_key key;
        if (!m)
                return vn_op_no_memory(err);
        if (strlen(w.version) < SHORTEST_VERSION)
                return vn_fail(err, VN_INVALID_ARGUMENT, "version: at least its first %d digits", SHORTEST_VERSION);
        vn_key_init(&key, vn_str(op->identity->tenant));
        enum vn_rc rc = vn_state_load_below(op->server->store, VN_TABLE_catalogues, &key,
                                            &vane__state__catalogue__descriptor, look, &w, err);
        if (rc == VN_OK)
                rc = fill(op, &w, m, err);
        if (w.found)
                vane__state__catalogue__free_unpacked(w.found, NULL);
        if (rc == VN_OK)
                *ret_reply = &m->base;
        return rc;
}
