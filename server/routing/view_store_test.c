#include "server/routing/view_store.h"

#include <unistd.h>

#include "base/fault.h"
#include "base/hash.h"
#include "decide/testing.h"
#include "decide/view_frame.h"
#include "server/record.h"
#include "tests/test.h"

#define WINDOW_US (800 * VN_US_PER_S) /* a generation is 100 s */
#define WORKLOADS 3
#define MAX_PUBLICATIONS 64

static struct vn_note_key *key;

static struct vn_store *open_store(const char *dir)
{
        struct vn_store *store = NULL;
        struct vn_err err = {.rc = VN_OK};
        if (!key)
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        struct vn_store_config config = {.dir = dir, .log_key = key, .min_free_bytes = 1};
        vn_record_ops(NULL, &config.record);
        if (vn_store_open(&config, &store, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "open: %s", err.msg);
        return store;
}

struct history {
        struct vn_store *store;
        struct vn_view_keeper *keeper;
        uint64_t epoch;
        struct vn_view *view[MAX_PUBLICATIONS][WORKLOADS];
        struct vn_view_kept kept[MAX_PUBLICATIONS][WORKLOADS];
        size_t count;
};

static void begin(struct history *h, const char *dir)
{
        memset(h, 0, sizeof *h);
        h->store = open_store(dir);
        CHECK_OK(vn_view_keeper_new(h->store, &h->keeper, NULL));
        h->epoch = vn_view_keeper_last_epoch(h->keeper);
}

/* Two tenants: the second and third workloads are the other's. */
static struct vn_view *next_view(struct history *h, unsigned w, int64_t now_us)
{
        struct vn_view *view = NULL;
        if (h->count)
                CHECK_OK(vn_view_clone(h->view[h->count - 1][w], &view, NULL));
        else
                CHECK((view = testing_view(6, w + 1)));
        snprintf(view->tenant, sizeof view->tenant, "%s", w ? "umbrella" : "acme");
        snprintf(view->workload, sizeof view->workload, "f%u", w);
        view->epoch = h->epoch;
        view->epoch_us = now_us;
        view->endpoint[h->count % 6].last_call_us = now_us - 1;
        if (h->count % 7 == 3)
                view->endpoint[1].border_s = (double)h->count;
        CHECK_OK(vn_view_seal(view, NULL));
        return view;
}

static void publish(struct history *h, int64_t now_us)
{
        h->epoch++;
        vn_view_keeper_begin(h->keeper, h->epoch, now_us, WINDOW_US);
        for (unsigned w = 0; w < WORKLOADS; w++) {
                struct vn_view *view = h->view[h->count][w] = next_view(h, w, now_us);
                vn_view_keeper_add(h->keeper, view, h->count ? h->view[h->count - 1][w] : NULL,
                                   h->count ? &h->kept[h->count - 1][w] : NULL, &h->kept[h->count][w]);
        }
        vn_view_keeper_end(h->keeper);
        VN_IGNORE(vn_store_flush(h->store, NULL)); /* the batch is over, well or not */
        h->count++;
}

static void end(struct history *h)
{
        h->keeper = vn_view_keeper_free(h->keeper);
        h->store = vn_store_free(h->store);
        for (size_t i = 0; i < h->count; i++)
                for (unsigned w = 0; w < WORKLOADS; w++)
                        vn_view_free(h->view[i][w]);
}

static enum vn_rc load(struct vn_store *store, const struct vn_view *view, struct vn_err *err)
{
        static struct vn_record record;
        VN_AUTO(vn_view)
        back = NULL;
        snprintf(record.tenant, sizeof record.tenant, "%s", view->tenant);
        memcpy(record.view_id, view->id, 32);
        record.epoch = view->epoch;
        VN_TRY(vn_view_load(store, &record, &back, err));
        CHECK(!memcmp(back->id, view->id, 32));
        CHECK_INT(view->endpoint[2].last_call_us, back->endpoint[2].last_call_us);
        return VN_OK;
}

static void check_load(struct history *h, size_t i, enum vn_rc want)
{
        for (unsigned w = 0; w < WORKLOADS; w++) {
                struct vn_err err = {.rc = VN_OK};
                enum vn_rc rc = load(h->store, h->view[i][w], &err);
                if (rc != want)
                        test_fail(__FILE__, __LINE__, "publication %zu, workload %u: %s %s", i, w, vn_rc_name(rc),
                                  err.msg);
                CHECK(rc == VN_OK || !strncmp(err.msg, "view expired", 12));
        }
}

static void expire(struct history *h, int64_t now_us)
{
        for (int turns = 0; vn_view_keeper_expire(h->keeper, now_us, WINDOW_US); turns++) {
                CHECK(turns < 1000);
                CHECK_OK(vn_store_flush(h->store, NULL));
        }
}

static bool count_one(void *arg, struct vn_str at, struct vn_str value)
{
        (void)at, (void)value;
        ++*(size_t *)arg;
        return true;
}

static size_t entries(struct vn_store *store, enum vn_table table)
{
        struct vn_key all = {0};
        size_t count = 0;
        CHECK_OK(vn_store_scan(store, table, &all, NULL, SIZE_MAX, count_one, &count, NULL));
        return count;
}

TEST(every_kept_view_comes_back_and_chains_end)
{
        static struct history h;
        begin(&h, test_dir());
        int64_t now_us = 10000 * VN_US_PER_S;
        for (size_t i = 0; i < 40; i++)
                publish(&h, now_us += 1 * VN_US_PER_S);
        for (size_t i = 0; i < 40; i++) {
                check_load(&h, i, VN_OK);
                CHECK_INT(i % VN_VIEW_CHAIN, h.kept[i][0].depth);
        }
        CHECK_INT(40 * WORKLOADS, entries(h.store, VN_TABLE_views));
        /* Endpoints, model and policy once a workload, prices once a keyframe that finds them changed. */
        CHECK(entries(h.store, VN_TABLE_view_parts) <= WORKLOADS * (3 + 3));
        end(&h);
}

TEST(what_is_older_than_the_window_goes_and_nothing_younger)
{
        static struct history h;
        begin(&h, test_dir());
        int64_t start_us = 10000 * VN_US_PER_S;
        for (int64_t i = 0; i < 60; i++)
                publish(&h, start_us + i * 30 * VN_US_PER_S);
        int64_t now_us = start_us + 59 * 30 * VN_US_PER_S;
        size_t before = entries(h.store, VN_TABLE_views);
        expire(&h, now_us);
        size_t kept = 0;
        for (size_t i = 0; i < 60; i++) {
                int64_t age_us = now_us - (start_us + (int64_t)i * 30 * VN_US_PER_S);
                struct vn_err err;
                if (age_us <= WINDOW_US)
                        check_load(&h, i, VN_OK);
                else if (age_us > WINDOW_US + 2 * WINDOW_US / 8 + 30 * VN_US_PER_S)
                        check_load(&h, i, VN_FAILED_PRECONDITION);
                kept += load(h.store, h.view[i][0], &err) == VN_OK;
        }
        CHECK_INT(kept * WORKLOADS, entries(h.store, VN_TABLE_views)); /* nothing is kept that cannot be loaded */
        CHECK(entries(h.store, VN_TABLE_views) < before);
        /* Everything but the present generation, however much later. */
        expire(&h, now_us + 100 * WINDOW_US);
        check_load(&h, 59, VN_OK);
        CHECK(entries(h.store, VN_TABLE_views) <= 4 * WORKLOADS);
        CHECK(entries(h.store, VN_TABLE_view_parts) <= 5 * WORKLOADS);
        CHECK_INT(1, entries(h.store, VN_TABLE_meta));
        end(&h);
}

TEST(a_generation_half_deleted_says_expired)
{
        static struct history h;
        struct vn_key at;
        begin(&h, test_dir());
        for (int64_t i = 0; i < 6; i++)
                publish(&h, 10000 * VN_US_PER_S + i);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        for (unsigned w = 0; w < WORKLOADS; w++) {
                vn_key_u64(vn_key_init(&at, vn_str(h.view[0][w]->tenant)), h.view[0][w]->epoch);
                vn_batch_delete(batch, VN_TABLE_views, vn_key_bytes(&at, h.view[0][w]->id, VN_VIEW_NAME_BYTES));
        }
        CHECK_OK(vn_store_commit(h.store, batch, NULL));
        for (size_t i = 0; i < 6; i++)
                check_load(&h, i, VN_FAILED_PRECONDITION);
        end(&h);
}

TEST(a_damaged_frame_is_data_loss_and_not_a_view)
{
        static struct history h;
        struct vn_key at;
        struct vn_err err;
        begin(&h, test_dir());
        for (int64_t i = 0; i < 4; i++)
                publish(&h, 10000 * VN_US_PER_S + i * VN_US_PER_S);
        const struct vn_view *view = h.view[3][0], *below = h.view[2][0];
        VN_AUTO(vn_buf)
        frame = VN_BUF_INIT(VN_VIEW_FRAME_MAX_BYTES);
        vn_key_bytes(vn_key_u64(vn_key_init(&at, vn_str(below->tenant)), below->epoch), below->id,
                     VN_VIEW_NAME_BYTES);
        CHECK_OK(vn_store_get(h.store, VN_TABLE_views, &at, &frame, NULL));
        frame.ptr[frame.len - 1] ^= 1;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        vn_batch_put(batch, VN_TABLE_views, &at, vn_buf_view(&frame));
        CHECK_OK(vn_store_commit(h.store, batch, NULL));
        CHECK_RC(VN_DATA_LOSS, load(h.store, view, &err));
        CHECK_OK(load(h.store, h.view[1][0], &err));
        end(&h);
}

TEST(a_restart_begins_a_generation_and_old_ones_still_load_and_expire)
{
        static struct history first, second;
        const char *dir = test_dir();
        begin(&first, dir);
        for (int64_t i = 0; i < 5; i++)
                publish(&first, 10000 * VN_US_PER_S + i);
        vn_view_keeper_free(first.keeper);
        vn_store_free(first.store);
        begin(&second, dir);
        CHECK(second.epoch >= first.epoch);
        publish(&second, 10001 * VN_US_PER_S);
        CHECK_INT(0, second.kept[0][0].depth);
        first.keeper = NULL;
        first.store = second.store;
        for (size_t i = 0; i < 5; i++)
                check_load(&first, i, VN_OK);
        expire(&second, 10001 * VN_US_PER_S + WINDOW_US + 1);
        for (size_t i = 0; i < 5; i++)
                check_load(&first, i, VN_FAILED_PRECONDITION);
        check_load(&second, 0, VN_OK);
        first.store = NULL;
        end(&first);
        end(&second);
}

TEST(nothing_stands_on_a_publication_that_was_not_stored)
{
        static struct history h;
        begin(&h, test_dir());
        publish(&h, 10000 * VN_US_PER_S);
        vn_fault_arm("store.keyed.before", 1, VN_FAULT_FAIL);
        publish(&h, 10001 * VN_US_PER_S);
        vn_fault_clear();
        struct vn_store_stats stats = {.read_only = true};
        for (int i = 0; i < 100 && stats.read_only; i++) { /* it looks at the disk again by itself */
                usleep(50000);
                vn_store_stats(h.store, &stats);
        }
        publish(&h, 10002 * VN_US_PER_S);
        publish(&h, 10003 * VN_US_PER_S);
        check_load(&h, 0, VN_OK);
        check_load(&h, 1, VN_FAILED_PRECONDITION);
        check_load(&h, 2, VN_OK);
        check_load(&h, 3, VN_OK);
        CHECK_INT(0, h.kept[2][0].depth);
        CHECK_INT(1, h.kept[3][0].depth);
        end(&h);
}
