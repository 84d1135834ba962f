#include "server/routing/spend.h"

#include "server/routing/internal.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"

#define DAY_US (24 * VN_US_PER_HOUR)
#define MOST_USD 1e12 /* as a view's bound */
#define MAX_BYTES 256u

static struct vn_key *key_of(struct vn_key *key, const struct vn_policy_entry *policy)
{
        return vn_key_text(vn_key_text(vn_key_init(key, vn_str(policy->tenant)), VN_STR("spend")),
                           vn_str(policy->compiled.name));
}

static double counted(const struct vn_routing *routing, unsigned number)
{
        double sum = 0;
        for (uint32_t i = 0; i < routing->loop_count; i++)
                sum += atomic_load_explicit(&routing->loops[i].spent_usd[number], memory_order_relaxed);
        return sum;
}

void vn_spend_day(struct vn_server *server, int64_t now_us)
{
        struct vn_spend *spend = &server->routing->spend;
        if (now_us / DAY_US <= spend->day)
                return;
        spend->day = now_us / DAY_US;
        for (unsigned n = 0; n < VN_POLICY_NUMBERS; n++) {
                spend->before_usd[n] = counted(server->routing, n);
                spend->kept_usd[n] = 0;
        }
}

double vn_spend_today_usd(const struct vn_server *server, const struct vn_policy_entry *policy)
{
        double usd = counted(server->routing, policy->number) - server->routing->spend.before_usd[policy->number];
        return usd < 0 ? 0 : usd > MOST_USD ? MOST_USD : usd;
}

bool vn_spend_fresh(const struct vn_server *server)
{
        for (size_t i = 0; i < vn_policy_count(server); i++) {
                const struct vn_policy_entry *policy = vn_policy_at(server, i);
                if (vn_spend_today_usd(server, policy) > server->routing->spend.kept_usd[policy->number])
                        return true;
        }
        return false;
}

void vn_spend_put(struct vn_server *server, struct vn_batch *batch)
{
        struct vn_spend *spend = &server->routing->spend;
        for (size_t i = 0; i < vn_policy_count(server); i++) {
                const struct vn_policy_entry *policy = vn_policy_at(server, i);
                Vane__State__DaySpend m = VANE__STATE__DAY_SPEND__INIT;
                struct vn_key key;
                m.day = spend->day;
                m.usd = vn_spend_today_usd(server, policy);
                if (!(m.usd > spend->kept_usd[policy->number]))
                        continue;
                vn_state_put(batch, VN_TABLE_meta, key_of(&key, policy), &m.base);
                spend->kept_usd[policy->number] = m.usd;
        }
}

static enum vn_rc load_one(struct vn_server *server, const struct vn_policy_entry *policy, struct vn_err *err)
{
        struct vn_spend *spend = &server->routing->spend;
        struct vn_key key;
        union {
                const char *in;
                const uint8_t *out;
        } cast;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(MAX_BYTES);
        enum vn_rc rc = vn_store_get(server->store, VN_TABLE_meta, key_of(&key, policy), &bytes, err);
        if (rc == VN_NOT_FOUND)
                return VN_OK; /* nothing was spent under it yet */
        VN_TRY(rc);
        cast.in = bytes.ptr;
        Vane__State__DaySpend *m = vane__state__day_spend__unpack(NULL, bytes.len, cast.out);
        bool good = m && m->usd >= 0 && m->usd <= MOST_USD;
        if (good && m->day == spend->day) {
                spend->before_usd[policy->number] = -m->usd;
                spend->kept_usd[policy->number] = m->usd;
        }
        vane__state__day_spend__free_unpacked(m, NULL);
        return good ? VN_OK
                    : vn_fail(err, VN_DATA_LOSS, "meta: what policy \"%.64s\" has spent", policy->compiled.name);
}

enum vn_rc vn_spend_load(struct vn_server *server, int64_t now_us, struct vn_err *err)
{
        vn_spend_day(server, now_us);
        for (size_t i = 0; i < vn_policy_count(server); i++)
                VN_TRY(load_one(server, vn_policy_at(server, i), err));
        return VN_OK;
}
