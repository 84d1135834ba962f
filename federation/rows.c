/* Rows that training learns from, made of sampled windows. */
#include "base/hash.h"
#include "federation/evaluate.h"
#include "federation/train.h"

void vn_rows_init(struct vn_rows *rows, size_t max_rows)
{
        *rows = (struct vn_rows){.max_rows = max_rows < VN_MAX_TRAIN_ROWS ? max_rows : VN_MAX_TRAIN_ROWS};
}

void vn_rows_done(struct vn_rows *rows)
{
        vn_free(rows->duration);
        vn_free(rows->cold);
        *rows = (struct vn_rows){.max_rows = rows->max_rows};
}

/* Room for the count-th item; beyond max_rows the ring starts again at its oldest. */
static void *room(void **items, size_t item_bytes, size_t count, size_t *cap, size_t max_rows)
{
        if (count < max_rows && count >= *cap) {
                size_t wanted = *cap ? 2 * *cap : 64;
                wanted = wanted < max_rows ? wanted : max_rows;
                void *grown = vn_realloc(*items, wanted * item_bytes);
                if (!grown)
                        return NULL;
                *items = grown;
                *cap = wanted;
        }
        return (char *)*items + count % max_rows * item_bytes;
}

enum vn_rc vn_rows_add(struct vn_rows *rows, const struct vn_fn_stats *before, const struct vn_window *sampled,
                       enum vn_platform platform, struct vn_err *err)
{
        if (!rows->max_rows || !sampled->calls || before->windows < VN_EVALUATE_MIN_HISTORY ||
            vn_window_held_out(sampled))
                return VN_OK;
        struct vn_duration_query query;
        vn_duration_query_of_window(sampled, platform, &query);
        struct vn_duration_row *d =
                room((void **)&rows->duration, sizeof *d, rows->duration_count, &rows->duration_cap, rows->max_rows);
        if (!d)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "training rows: out of memory");
        vn_duration_features(before, &query, d->x);
        d->y = (float)vn_window_log_mean(sampled);
        d->base = (float)before->mean;
        d->weight = 1;
        rows->duration_count++;
        for (size_t i = 0; i < VN_IDLE_BINS; i++) {
                if (!sampled->idle[i].calls)
                        continue;
                struct vn_cold_query cold = {platform, sampled->memory_mb, vn_idle_bin_s(i)};
                struct vn_cold_row *c =
                        room((void **)&rows->cold, sizeof *c, rows->cold_count, &rows->cold_cap, rows->max_rows);
                if (!c)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "training rows: out of memory");
                vn_cold_features(before, &cold, c->x);
                c->share = (float)sampled->idle[i].cold / (float)sampled->idle[i].calls;
                c->weight = sampled->idle[i].calls < 8 ? (float)sampled->idle[i].calls : 8;
                rows->cold_count++;
        }
        return VN_OK;
}

void vn_rows_shuffle_labels(struct vn_rows *rows, uint64_t seed)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        size_t n = rows->duration_count < rows->max_rows ? rows->duration_count : rows->max_rows;
        for (size_t i = n; i > 1; i--) {
                size_t j = vn_rng_below(&rng, i);
                float y = rows->duration[i - 1].y;
                rows->duration[i - 1].y = rows->duration[j].y;
                rows->duration[j].y = y;
        }
        n = rows->cold_count < rows->max_rows ? rows->cold_count : rows->max_rows;
        for (size_t i = n; i > 1; i--) {
                size_t j = vn_rng_below(&rng, i);
                float share = rows->cold[i - 1].share;
                rows->cold[i - 1].share = rows->cold[j].share;
                rows->cold[j].share = share;
        }
}
