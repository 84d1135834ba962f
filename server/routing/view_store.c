#include "server/routing/view_store.h"

#include <stdatomic.h>

#include "decide/view_frame.h"

#define GENERATIONS_A_WINDOW 8 /* what is kept beyond the window is at most one of these */
#define BATCH_BYTES (4u << 20) /* half of what a batch may hold */
#define SLICE_KEYS 1000        /* deleted in one commit: about a millisecond of the writer's */
#define SLICE_SEEKS 16         /* keys looked at in one turn of the control loop */
#define RUN_SHIFT 32           /* an epoch is the number of the run, then that of the publication */

struct vn_view_keeper {
        _Atomic uint32_t references; /* the owner's, and one a batch that the store has */
        _Atomic bool failed;         /* a batch was not stored: nothing may stand on it */
        _Atomic bool deleting;       /* a slice is in the store */
        struct vn_store *store;
        uint64_t last_epoch;
        uint64_t generation;
        int64_t generation_us;
        struct vn_batch *batch; /* of the publication that is being made; NULL: memory was out */
        size_t batch_bytes;
        /* expiry */
        uint64_t limit; /* everything of an epoch below it goes; 0: nothing to do */
        enum vn_table table;
        struct vn_key after; /* tenants up to here are done */
};

struct stored {
        struct vn_view_keeper *keeper;
        struct vn_batch *batch;
        bool deletes;
};

static void unref(struct vn_view_keeper *keeper)
{
        if (keeper && atomic_fetch_sub(&keeper->references, 1) == 1) {
                vn_batch_free(keeper->batch);
                vn_free(keeper);
        }
}

struct vn_view_keeper *vn_view_keeper_free(struct vn_view_keeper *keeper)
{
        unref(keeper);
        return NULL;
}

/* --- generations: epoch that they begin with, and when --- */
static struct vn_key *generation_key(struct vn_key *key, uint64_t epoch)
{
        vn_key_text(vn_key_init(key, VN_STR(VN_TENANT_SYSTEM)), VN_STR("view_generation"));
        return vn_key_u64(key, epoch);
}

struct generations {
        uint64_t last;  /* epoch; 0: none */
        uint64_t limit; /* of the newest one that began before `before_us`: the earlier ones ended before it */
        uint64_t first;
        int64_t before_us;
};

static bool see_generation(void *arg, struct vn_str key, struct vn_str value)
{
        struct generations *g = arg;
        struct vn_str tenant, what;
        uint64_t epoch;
        int64_t began_us;
        if (!vn_key_take_text(&key, &tenant) || !vn_key_take_text(&key, &what) || !vn_key_take_u64(&key, &epoch) ||
            value.len != sizeof began_us)
                return true;
        memcpy(&began_us, value.ptr, sizeof began_us);
        if (!g->first)
                g->first = epoch;
        g->last = epoch;
        if (began_us < g->before_us)
                g->limit = epoch;
        return true;
}

static enum vn_rc look_at_generations(struct vn_store *store, int64_t before_us, struct generations *ret,
                                      struct vn_err *err)
{
        struct vn_key prefix;
        *ret = (struct generations){.before_us = before_us};
        vn_key_text(vn_key_init(&prefix, VN_STR(VN_TENANT_SYSTEM)), VN_STR("view_generation"));
        return vn_store_scan(store, VN_TABLE_meta, &prefix, NULL, SIZE_MAX, see_generation, ret, err);
}

enum vn_rc vn_view_keeper_new(struct vn_store *store, struct vn_view_keeper **ret, struct vn_err *err)
{
        struct generations g;
        VN_TRY(look_at_generations(store, 0, &g, err));
        struct vn_view_keeper *keeper = vn_alloc(sizeof *keeper);
        if (!keeper)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        atomic_store(&keeper->references, 1);
        keeper->store = store;
        keeper->last_epoch = ((g.last >> RUN_SHIFT) + 1) << RUN_SHIFT;
        *ret = keeper;
        return VN_OK;
}

uint64_t vn_view_keeper_last_epoch(const struct vn_view_keeper *keeper)
{
        return keeper->last_epoch;
}

/* --- writing --- */
static void stored_done(void *arg, enum vn_rc rc)
{
        struct stored *s = arg;
        if (s->deletes)
                atomic_store(&s->keeper->deleting, false);
        else if (rc != VN_OK)
                atomic_store(&s->keeper->failed, true);
        vn_batch_free(s->batch);
        unref(s->keeper);
        vn_free(s);
}

static void submit(struct vn_view_keeper *keeper, struct vn_batch *batch, bool deletes)
{
        struct stored *s = batch ? vn_alloc(sizeof *s) : NULL;
        if (!s) {
                vn_batch_free(batch);
                if (!deletes)
                        atomic_store(&keeper->failed, true);
                return;
        }
        *s = (struct stored){keeper, batch, deletes};
        atomic_fetch_add(&keeper->references, 1);
        if (deletes)
                atomic_store(&keeper->deleting, true);
        if (vn_store_submit(keeper->store, batch, stored_done, s, NULL) != VN_OK)
                stored_done(s, VN_UNAVAILABLE);
}

void vn_view_keeper_begin(struct vn_view_keeper *keeper, uint64_t epoch, int64_t now_us, int64_t window_us)
{
        struct vn_key key;
        bool failed = atomic_exchange(&keeper->failed, false);
        int64_t age_us = now_us - keeper->generation_us;
        bool fresh = failed || !keeper->generation || age_us < 0 || age_us >= window_us / GENERATIONS_A_WINDOW;
        keeper->batch = vn_batch_new();
        keeper->batch_bytes = 0;
        if (fresh) {
                keeper->generation = epoch;
                keeper->generation_us = now_us;
                if (keeper->batch)
                        vn_batch_put(keeper->batch, VN_TABLE_meta, generation_key(&key, epoch),
                                     vn_str_n(&now_us, sizeof now_us));
        }
}

bool vn_view_keeper_keeps(const struct vn_view_keeper *keeper, const struct vn_view_kept *kept)
{
        return kept->generation == keeper->generation;
}

static void put(struct vn_view_keeper *keeper, enum vn_table table, const struct vn_key *key, struct vn_str value)
{
        if (keeper->batch && keeper->batch_bytes > BATCH_BYTES) {
                submit(keeper, vn_steal(&keeper->batch), false);
                keeper->batch = vn_batch_new();
                keeper->batch_bytes = 0;
        }
        if (!keeper->batch)
                return;
        vn_batch_put(keeper->batch, table, key, value);
        keeper->batch_bytes += value.len + VN_KEY_MAX_BYTES;
}

static struct vn_key *frame_key(struct vn_key *key, const char *tenant, uint64_t epoch, const uint8_t *name)
{
        return vn_key_bytes(vn_key_u64(vn_key_init(key, vn_str(tenant)), epoch), name, VN_VIEW_NAME_BYTES);
}

static struct vn_key *part_key(struct vn_key *key, const char *tenant, uint64_t generation, const uint8_t id[32])
{
        return vn_key_bytes(vn_key_u64(vn_key_init(key, vn_str(tenant)), generation), id, 32);
}

static enum vn_rc put_parts(struct vn_view_keeper *keeper, const struct vn_view *view, uint8_t parts)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        struct vn_key key;
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                if (!(parts >> p & 1))
                        continue;
                vn_buf_reset(&bytes);
                VN_TRY(vn_view_encode_part(view, (enum vn_view_part)p, &bytes, NULL));
                if (bytes.len > VN_VALUE_MAX_BYTES)
                        return VN_RESOURCE_EXHAUSTED;
                put(keeper, VN_TABLE_view_parts, part_key(&key, view->tenant, keeper->generation, view->part_id[p]),
                    vn_buf_view(&bytes));
        }
        return VN_OK;
}

void vn_view_keeper_add(struct vn_view_keeper *keeper, const struct vn_view *view, const struct vn_view *before,
                        const struct vn_view_kept *before_kept, struct vn_view_kept *ret)
{
        VN_AUTO(vn_buf)
        frame = VN_BUF_INIT(VN_VIEW_FRAME_MAX_BYTES);
        struct vn_key key;
        uint8_t named = 0, have = 0;
        bool same = before && before_kept->generation == keeper->generation;
        const struct vn_view *base =
                same && before_kept->depth + 1 < VN_VIEW_CHAIN && before->count == view->count ? before : NULL;
        *ret = (struct vn_view_kept){0};
        for (unsigned p = 0; same && p < VN_VIEW_PARTS; p++)
                if (!memcmp(before->part_id[p], view->part_id[p], 32))
                        have |= before_kept->named & (uint8_t)(1u << p);
        if (vn_view_frame_make(view, keeper->generation, base, base ? before_kept->depth : 0, &frame, &named, NULL) !=
                    VN_OK ||
            put_parts(keeper, view, named & (uint8_t)~have) != VN_OK)
                return; /* its decisions will not be replayed; the next view begins a chain of its own */
        put(keeper, VN_TABLE_views, frame_key(&key, view->tenant, view->epoch, view->id), vn_buf_view(&frame));
        *ret = (struct vn_view_kept){.generation = keeper->generation,
                                     .depth = (uint8_t)(base ? before_kept->depth + 1 : 0),
                                     .named = named | have};
}

void vn_view_keeper_end(struct vn_view_keeper *keeper)
{
        submit(keeper, vn_steal(&keeper->batch), false);
}

/* --- reading --- */
struct load {
        struct vn_store *store;
        const char *tenant;
        struct vn_view_frame frames[VN_VIEW_CHAIN]; /* the keyframe last, until they are turned round */
        struct vn_buf bytes[VN_VIEW_CHAIN];
        size_t count;
};

static enum vn_rc get(struct vn_store *store, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                      struct vn_err *err)
{
        enum vn_rc rc = vn_store_get(store, table, key, ret, err);
        return rc == VN_NOT_FOUND ? vn_fail(err, VN_FAILED_PRECONDITION,
                                            "view expired: what this was decided on is no longer kept")
                                  : rc;
}

static enum vn_rc fetch_part(void *arg, const uint8_t id[32], struct vn_buf *ret, struct vn_err *err)
{
        struct load *l = arg;
        struct vn_key key;
        return get(l->store, VN_TABLE_view_parts, part_key(&key, l->tenant, l->frames[0].generation, id), ret, err);
}

static enum vn_rc load_chain(struct load *l, uint64_t epoch, const uint8_t *name, struct vn_err *err)
{
        struct vn_key key;
        for (;;) {
                struct vn_view_frame *frame = &l->frames[l->count];
                struct vn_buf *bytes = &l->bytes[l->count++];
                VN_TRY(get(l->store, VN_TABLE_views, frame_key(&key, l->tenant, epoch, name), bytes, err));
                VN_TRY(vn_view_frame_read(vn_buf_view(bytes), epoch, frame, err));
                if (l->count > 1 && frame->depth + 1 != frame[-1].depth)
                        return vn_fail(err, VN_DATA_LOSS, "the frames of a kept view do not stand on each other");
                if (!frame->depth)
                        break;
                epoch = frame->base_epoch;
                name = frame->base_name;
        }
        for (size_t i = 0, k = l->count - 1; i < k; i++, k--) {
                struct vn_view_frame frame = l->frames[i];
                l->frames[i] = l->frames[k];
                l->frames[k] = frame;
        }
        return VN_OK;
}

enum vn_rc vn_view_load(struct vn_store *store, const struct vn_record *record, struct vn_view **ret,
                        struct vn_err *err)
{
        struct load *l = vn_alloc(sizeof *l);
        if (!l)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        l->store = store;
        l->tenant = record->tenant;
        for (size_t i = 0; i < VN_VIEW_CHAIN; i++)
                l->bytes[i] = VN_BUF_INIT(VN_VIEW_FRAME_MAX_BYTES);
        enum vn_rc rc = load_chain(l, record->epoch, record->view_id, err);
        if (rc == VN_OK)
                rc = vn_view_frames_rebuild(l->frames, l->count, record->view_id, fetch_part, l, ret, err);
        for (size_t i = 0; i < VN_VIEW_CHAIN; i++)
                vn_buf_done(&l->bytes[i]);
        vn_free(l);
        return rc;
}

/* --- expiry --- */
struct first {
        struct vn_key tenant; /* as a key's beginning */
        uint64_t epoch;
        bool found;
};

static bool see_first(void *arg, struct vn_str key, struct vn_str value)
{
        (void)value;
        struct first *f = arg;
        struct vn_str tenant;
        f->found = vn_key_take_text(&key, &tenant) && vn_key_take_u64(&key, &f->epoch);
        vn_key_init(&f->tenant, f->found ? tenant : VN_STR(VN_TENANT_SYSTEM));
        return false;
}

static void delete_slice(struct vn_view_keeper *keeper, enum vn_table table, const struct vn_key *tenant)
{
        struct vn_batch *batch = vn_batch_new();
        struct vn_key from = *tenant, to = *tenant;
        vn_key_u64(&from, 0);
        vn_key_u64(&to, keeper->limit);
        if (batch)
                vn_batch_delete_range(batch, table, &from, &to, SLICE_KEYS);
        submit(keeper, batch, true);
}

/* The next tenant that has something to lose, in this table or the next; each call goes on where the last one ended. */
static void expire_step(struct vn_view_keeper *keeper)
{
        struct vn_key all = {0};
        for (unsigned seeks = 0; seeks < SLICE_SEEKS; seeks++) {
                struct first first = {.found = false};
                if (vn_store_scan(keeper->store, keeper->table, &all, keeper->after.len ? &keeper->after : NULL, 1,
                                  see_first, &first, NULL) != VN_OK)
                        return;
                if (first.found && first.epoch < keeper->limit) {
                        delete_slice(keeper, keeper->table, &first.tenant);
                        return;
                }
                keeper->after = first.tenant;
                vn_key_u64(&keeper->after, UINT64_MAX);
                if (first.found)
                        continue;
                keeper->after.len = 0;
                if (keeper->table == VN_TABLE_view_parts) {
                        /* Last: until now another run could have taken this up again. */
                        struct vn_key generations;
                        vn_key_text(vn_key_init(&generations, VN_STR(VN_TENANT_SYSTEM)), VN_STR("view_generation"));
                        delete_slice(keeper, VN_TABLE_meta, &generations);
                        keeper->limit = 0;
                        return;
                }
                keeper->table = VN_TABLE_view_parts;
        }
}

bool vn_view_keeper_expire(struct vn_view_keeper *keeper, int64_t now_us, int64_t window_us)
{
        struct generations g;
        if (atomic_load(&keeper->deleting))
                return true;
        if (!keeper->limit) {
                if (look_at_generations(keeper->store, now_us - window_us, &g, NULL) != VN_OK || !g.limit ||
                    g.limit == g.first)
                        return false;
                keeper->limit = g.limit;
                keeper->table = VN_TABLE_views;
                keeper->after.len = 0;
        }
        expire_step(keeper);
        return true;
}
