/* objects.c - the store behind the three object stores: one array in order of account and key. */
#include "sim/objects.h"

#include <stdio.h>
#include <time.h>

struct vn_sim_objects {
        struct vn_sim_object *items;
        size_t count, cap, bytes;
        uint64_t generation;
};

static void object_done(struct vn_sim_object *o)
{
        vn_free(o->key);
        vn_free(o->bytes);
}

struct vn_sim_objects *vn_sim_objects_free(struct vn_sim_objects *objects)
{
        for (size_t i = 0; objects && i < objects->count; i++)
                object_done(&objects->items[i]);
        if (objects)
                vn_free(objects->items);
        vn_free(objects);
        return NULL;
}

void vn_sim_bucket_name(const struct vn_sim *sim, uint32_t account, char ret[64])
{
        snprintf(ret, 64, "vane-logs-%s", sim->accounts[account].name);
}

/* Where the key is, or would be. */
static size_t place_of(const struct vn_sim_objects *all, uint32_t account, struct vn_str key, bool *ret_there)
{
        size_t low = 0, high = all->count;
        *ret_there = false;
        while (low < high) {
                size_t at = low + (high - low) / 2;
                const struct vn_sim_object *o = &all->items[at];
                int order = o->account != account ? (o->account < account ? -1 : 1) : vn_str_cmp(vn_str(o->key), key);
                if (!order) {
                        *ret_there = true;
                        return at;
                }
                if (order < 0)
                        low = at + 1;
                else
                        high = at;
        }
        return low;
}

static struct vn_sim_objects *all_of(struct vn_sim *sim)
{
        if (!sim->objects)
                sim->objects = vn_alloc(sizeof *sim->objects);
        return sim->objects;
}

static bool make_object(struct vn_sim *sim, uint32_t account, struct vn_str key, struct vn_str body,
                        struct vn_str content_type, struct vn_sim_object *ret)
{
        uint8_t hash[VN_SHA256_BYTES];
        *ret = (struct vn_sim_object){.account = account, .len = body.len, .modified_us = vn_now_us(sim->clock)};
        ret->key = vn_strndup(key.ptr, key.len);
        ret->bytes = vn_alloc(body.len + 1);
        if (!ret->key || !ret->bytes || strlen(ret->key) != key.len) {
                object_done(ret);
                return false;
        }
        if (body.len)
                memcpy(ret->bytes, body.ptr, body.len);
        if (!vn_str_copy(ret->content_type, sizeof ret->content_type, content_type) || !content_type.len)
                snprintf(ret->content_type, sizeof ret->content_type, "application/octet-stream");
        vn_sha256(ret->bytes, body.len, hash);
        vn_hex(hash, 16, ret->etag);
        return true;
}

const struct vn_sim_object *vn_sim_object_put(struct vn_sim *sim, uint32_t account, struct vn_str key,
                                              struct vn_str body, struct vn_str content_type)
{
        struct vn_sim_objects *all = all_of(sim);
        struct vn_sim_object made;
        bool there;
        if (!all || all->bytes + body.len > VN_SIM_MAX_OBJECT_BYTES)
                return NULL;
        size_t at = place_of(all, account, key, &there);
        if (!there && all->count == all->cap) {
                size_t cap = all->cap ? 2 * all->cap : 64;
                struct vn_sim_object *more = vn_realloc(all->items, cap * sizeof *more);
                if (!more)
                        return NULL;
                all->items = more;
                all->cap = cap;
        }
        if ((!there && all->count == VN_SIM_MAX_OBJECTS) ||
            !make_object(sim, account, key, body, content_type, &made))
                return NULL;
        if (there) {
                all->bytes -= all->items[at].len;
                object_done(&all->items[at]);
        } else {
                memmove(all->items + at + 1, all->items + at, (all->count - at) * sizeof made);
                all->count++;
        }
        made.generation = ++all->generation;
        all->bytes += made.len;
        all->items[at] = made;
        return &all->items[at];
}

const struct vn_sim_object *vn_sim_object_get(const struct vn_sim *sim, uint32_t account, struct vn_str key)
{
        bool there = false;
        size_t at = sim->objects ? place_of(sim->objects, account, key, &there) : 0;
        return there ? &sim->objects->items[at] : NULL;
}

const struct vn_sim_object *vn_sim_object_next(const struct vn_sim *sim, uint32_t account, struct vn_str prefix,
                                               struct vn_str after)
{
        const struct vn_sim_objects *all = sim->objects;
        bool there;
        if (!all)
                return NULL;
        bool later = after.len && vn_str_cmp(after, prefix) >= 0;
        size_t at = place_of(all, account, later ? after : prefix, &there);
        if (later && there)
                at++;
        if (at == all->count || all->items[at].account != account ||
            !vn_str_starts(vn_str(all->items[at].key), prefix))
                return NULL;
        return &all->items[at];
}

void vn_sim_http_date(int64_t time_us, char ret[40])
{
        static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t at = (time_t)(time_us / VN_US_PER_S);
        struct tm tm;
        gmtime_r(&at, &tm);
        snprintf(ret, 40, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void vn_sim_xml_text(struct vn_buf *ret, struct vn_str text)
{
        for (size_t i = 0; i < text.len; i++) {
                switch (text.ptr[i]) {
                case '&': vn_buf_text(ret, "&amp;"); break;
                case '<': vn_buf_text(ret, "&lt;"); break;
                case '>': vn_buf_text(ret, "&gt;"); break;
                case '"': vn_buf_text(ret, "&quot;"); break;
                default: vn_buf_char(ret, text.ptr[i]);
                }
        }
}
