#include "server/telemetry/catalogue.h"

#include <stdlib.h>

#include "base/decimal.h"

#define HEADER "vane prices 1\n"
#define ABSURD_FACTOR 10
#define MAX_PICO_USD INT64_C(1000000000000000) /* 1,000 USD a unit */

static bool is_word(const char *text)
{
        for (; *text; text++)
                if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                      (*text >= '0' && *text <= '9') || strchr("-_.", *text)))
                        return false;
        return true;
}

bool vn_catalogue_tier(struct vn_price_tier_entry *ret, const char *meter, const char *region, const char *arch,
                       double from_units, int64_t pico_usd)
{
        *ret = (struct vn_price_tier_entry){
                .from_units = from_units, .pico_usd = pico_usd, .usd_per_unit = (double)pico_usd / 1e12};
        return from_units >= 0 && from_units < 1e15 && from_units == (double)(uint64_t)from_units && pico_usd >= 0 &&
               pico_usd < MAX_PICO_USD && meter[0] && is_word(meter) && is_word(region) && is_word(arch) &&
               vn_str_copy(ret->meter, sizeof ret->meter, vn_str(meter)) &&
               vn_str_copy(ret->region, sizeof ret->region, vn_str(region)) &&
               vn_str_copy(ret->arch, sizeof ret->arch, vn_str(arch));
}

static int compare_meters(const struct vn_price_tier_entry *x, const struct vn_price_tier_entry *y)
{
        int order = strcmp(x->meter, y->meter);
        if (!order)
                order = strcmp(x->region, y->region);
        return order ? order : strcmp(x->arch, y->arch);
}

static int compare(const void *a, const void *b)
{
        const struct vn_price_tier_entry *x = a, *y = b;
        int order = compare_meters(x, y);
        return order ? order : (x->from_units > y->from_units) - (x->from_units < y->from_units);
}

static const char *word(const char *text)
{
        return text[0] ? text : "-";
}

enum vn_rc vn_catalogue_write(const char *cloud, struct vn_account_prices *prices, struct vn_buf *ret_text,
                              struct vn_err *err)
{
        qsort(prices->tiers, prices->tier_count, sizeof prices->tiers[0], compare);
        vn_buf_printf(ret_text, HEADER "cloud %s\ncurrency USD\n", cloud);
        for (size_t i = 0; i < prices->tier_count; i++) {
                const struct vn_price_tier_entry *t = &prices->tiers[i];
                char usd[VN_DECIMAL_TEXT];
                if (i && !compare(t - 1, t))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "tiers: %s from %.0f on is there twice", t->meter,
                                       t->from_units);
                vn_decimal_format(t->pico_usd, VN_PICO, usd);
                vn_buf_printf(ret_text, "%s %s %s %.0f %s\n", t->meter, word(t->region), word(t->arch), t->from_units,
                              usd);
        }
        VN_TRY(vn_buf_check(ret_text, err));
        vn_sha256(ret_text->ptr, ret_text->len, prices->version);
        return VN_OK;
}

static bool take_word(struct vn_str *line, char *ret, size_t ret_bytes)
{
        struct vn_str text = vn_str_cut(line, ' ');
        return text.len && vn_str_copy(ret, ret_bytes, vn_str_eq(text, VN_STR("-")) ? VN_STR("") : text);
}

static bool read_tier(struct vn_str line, struct vn_price_tier_entry *ret)
{
        struct vn_price_tier_entry t;
        uint64_t from;
        int64_t pico;
        return take_word(&line, t.meter, sizeof t.meter) && take_word(&line, t.region, sizeof t.region) &&
               take_word(&line, t.arch, sizeof t.arch) && vn_str_to_u64(vn_str_cut(&line, ' '), &from) == VN_OK &&
               vn_decimal_parse(line, VN_PICO, &pico) == VN_OK &&
               vn_catalogue_tier(ret, t.meter, t.region, t.arch, (double)from, pico);
}

enum vn_rc vn_catalogue_read(struct vn_str text, struct vn_account_prices *ret, struct vn_err *err)
{
        vn_sha256(text.ptr, text.len, ret->version);
        ret->tier_count = 0;
        if (!vn_str_starts(text, VN_STR(HEADER)))
                return vn_fail(err, VN_DATA_LOSS, "a price list has no header");
        for (size_t line = 0; text.len; line++) {
                struct vn_str row = vn_str_cut(&text, '\n');
                if (line < 3)
                        continue;
                if (ret->tier_count == VN_MAX_PRICE_TIERS || !read_tier(row, &ret->tiers[ret->tier_count]))
                        return vn_fail(err, VN_DATA_LOSS, "a price list's line %zu is not readable", line + 1);
                ret->tier_count++;
        }
        return VN_OK;
}

/* The dearest tier of a meter: a meter whose every tier is free has lost its price. */
static int64_t dearest(const struct vn_account_prices *p, const struct vn_price_tier_entry *meter)
{
        int64_t most = -1;
        for (size_t i = 0; i < p->tier_count; i++)
                if (!compare_meters(&p->tiers[i], meter) && p->tiers[i].pico_usd > most)
                        most = p->tiers[i].pico_usd;
        return most;
}

enum vn_rc vn_catalogue_check(const struct vn_account_prices *old, const struct vn_account_prices *fresh,
                              struct vn_err *err)
{
        if (!fresh->tier_count)
                return vn_fail(err, VN_FAILED_PRECONDITION, "prices: the list is empty");
        for (size_t i = 0; i < fresh->tier_count; i++)
                if (dearest(fresh, &fresh->tiers[i]) == 0)
                        return vn_fail(err, VN_FAILED_PRECONDITION, "prices: all of %s in %s costs nothing",
                                       fresh->tiers[i].meter, fresh->tiers[i].region);
        for (size_t i = 0; i < old->tier_count; i++) {
                const struct vn_price_tier_entry *t = &old->tiers[i];
                int64_t before = dearest(old, t), now = dearest(fresh, t);
                if (now < 0)
                        return vn_fail(err, VN_FAILED_PRECONDITION, "prices: %s in %s is missing", t->meter,
                                       t->region);
                if (now > before * ABSURD_FACTOR || now < before / ABSURD_FACTOR)
                        return vn_fail(err, VN_FAILED_PRECONDITION,
                                       "prices: %s in %s changed more than %d times at once", t->meter, t->region,
                                       ABSURD_FACTOR);
        }
        return VN_OK;
}
