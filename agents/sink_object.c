/* The account's own bucket: lines as NDJSON, zstd, one object a function and hour of a batch.
 *   vane/v1/account=A/function=F/date=YYYY-MM-DD/hour=HH/part-SPOOL-SEQUENCE.ndjson.zst
 * SPOOL is the spool's id and SEQUENCE that of the object's first line: a batch that is sent again has the same names and
 * replaces what was there. What the spool dropped is an object of its own, under account=A/dropped/. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zstd.h>

#include "agents/sink_kind.h"
#include "base/json.h"
#include "clouds/account.h"
#include "clouds/object.h"

#define FLUSH_S 60
#define FLUSH_MOST_S 3600
#define BATCH_RECORDS 20000
#define BATCH_BYTES (4u << 20)
#define TEXT_BYTES (BATCH_BYTES + BATCH_RECORDS * 40 + (1u << 20))
#define LEVEL 3

struct object_sink {
        struct vn_cloud_account *account; /* a handle of its own: a thread of its own */
        struct vn_str bucket, store;      /* of the description */
        struct vn_buf text, packed, key;
        ZSTD_CCtx *zstd;
};

/* --- lines --- */

/* The function's name, a NUL, and the line without its brace: its sequence comes in front when it is sent. */
static void encode_line(const struct vn_sink *sink, const struct vn_sink_line *line, struct vn_buf *ret)
{
        char time[VN_TIME_TEXT_BYTES];
        (void)sink;
        vn_time_format(line->time_us, time);
        vn_buf_add(ret, line->function, strnlen(line->function, VN_MAX_FUNCTION_NAME - 1));
        vn_buf_char(ret, 0);
        vn_buf_printf(ret, ",\"time\":\"%s\",\"time_us\":%lld,\"function\":", time, (long long)line->time_us);
        vn_buf_json_string(ret, vn_str_n(line->function, strnlen(line->function, VN_MAX_FUNCTION_NAME - 1)));
        vn_buf_text(ret, ",\"region\":");
        vn_buf_json_string(ret, vn_str_n(line->region, strnlen(line->region, VN_MAX_REGION_NAME - 1)));
        vn_buf_printf(ret, ",\"kind\":\"%.20s\",\"weight\":%u,\"text\":", line->kind, line->weight);
        vn_buf_json_string(ret, line->text);
        vn_buf_text(ret, "}\n");
}

struct row {
        struct vn_str function;
        int64_t hour;
        const struct vn_spool_record *record;
};

static int compare_rows(const void *a, const void *b)
{
        const struct row *x = a, *y = b;
        int by_function = vn_str_cmp(x->function, y->function);
        if (by_function)
                return by_function;
        if (x->hour != y->hour)
                return x->hour < y->hour ? -1 : 1;
        return x->record->sequence < y->record->sequence ? -1 : 1;
}

/* --- objects --- */

static enum vn_rc make_key(struct vn_sink *sink, struct vn_str function, int64_t hour, uint64_t sequence,
                           struct vn_err *err)
{
        struct object_sink *o = sink->state;
        time_t at = (time_t)(hour * 3600);
        struct tm tm;
        gmtime_r(&at, &tm);
        vn_buf_reset(&o->key);
        vn_buf_text(&o->key, "vane/v1/account=");
        vn_buf_url_encode(&o->key, vn_str(sink->sinks->account), false);
        if (function.ptr) {
                vn_buf_text(&o->key, "/function=");
                vn_buf_url_encode(&o->key, function, false);
        } else {
                vn_buf_text(&o->key, "/dropped");
        }
        vn_buf_printf(&o->key, "/date=%04d-%02d-%02d/hour=%02d/part-%s-%012llu.ndjson.zst", tm.tm_year + 1900,
                      tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, vn_spool_id(sink->spool), (unsigned long long)sequence);
        return vn_buf_check(&o->key, err);
}

static enum vn_rc send_text(struct vn_sink *sink, struct vn_sink_delivery *ret, struct vn_err *err)
{
        struct object_sink *o = sink->state;
        VN_TRY(vn_buf_check(&o->text, err));
        vn_buf_reset(&o->packed);
        if (!vn_buf_reserve(&o->packed, ZSTD_compressBound(o->text.len)))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an object");
        size_t n = ZSTD_compressCCtx(o->zstd, o->packed.ptr, o->packed.cap, o->text.ptr, o->text.len, LEVEL);
        if (ZSTD_isError(n))
                return vn_fail(err, VN_INTERNAL, "zstd: %s", ZSTD_getErrorName(n));
        const struct vn_cloud_object object = {.bucket = o->bucket,
                                               .account = o->store,
                                               .key = vn_buf_view(&o->key),
                                               .body = vn_str_n(o->packed.ptr, n),
                                               .content_type = "application/zstd"};
        enum vn_rc rc = vn_cloud_put_object(vn_cloud_account_cloud(o->account), &object, &ret->wait_us, err);
        ret->too_large = rc == VN_OUT_OF_RANGE;
        return rc;
}

static enum vn_rc send_dropped(struct vn_sink *sink, const struct vn_spool_batch *batch, struct vn_sink_delivery *ret,
                               struct vn_err *err)
{
        struct object_sink *o = sink->state;
        const struct vn_spool_dropped *d = &batch->dropped;
        bool timed = d->from_us <= d->to_us;
        int64_t at_us = timed ? d->to_us : vn_now_us(sink->sinks->clock);
        VN_TRY(make_key(sink, (struct vn_str){0}, at_us / VN_US_PER_HOUR, batch->first_sequence, err));
        vn_buf_reset(&o->text);
        vn_buf_printf(&o->text, "{\"dropped_records\":%llu,\"dropped_bytes\":%llu", (unsigned long long)d->records,
                      (unsigned long long)d->bytes);
        if (timed)
                vn_buf_printf(&o->text, ",\"from_us\":%lld,\"to_us\":%lld", (long long)d->from_us,
                              (long long)d->to_us);
        vn_buf_text(&o->text, "}\n");
        return send_text(sink, ret, err);
}

static enum vn_rc send_rows(struct vn_sink *sink, const struct row *rows, size_t count, struct vn_sink_delivery *ret,
                            struct vn_err *err)
{
        struct object_sink *o = sink->state;
        VN_TRY(make_key(sink, rows[0].function, rows[0].hour, rows[0].record->sequence, err));
        vn_buf_reset(&o->text);
        for (size_t i = 0; i < count; i++) {
                struct vn_str line = rows[i].record->payload;
                size_t skip = rows[i].function.len + 1;
                vn_buf_printf(&o->text, "{\"sequence\":%llu", (unsigned long long)rows[i].record->sequence);
                vn_buf_str(&o->text, vn_str_n(line.ptr + skip, line.len - skip));
        }
        return send_text(sink, ret, err);
}

static enum vn_rc deliver(struct vn_sink *sink, const struct vn_spool_batch *batch, struct vn_sink_delivery *ret,
                          struct vn_err *err)
{
        size_t count = 0;
        enum vn_rc rc = VN_OK;
        if (batch->dropped.records)
                VN_TRY(send_dropped(sink, batch, ret, err));
        struct row *rows = vn_alloc_array(batch->count + 1, sizeof *rows);
        if (!rows)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for objects");
        for (size_t i = 0; i < batch->count; i++) {
                struct vn_str rest = batch->records[i].payload;
                struct vn_str function = vn_str_cut(&rest, 0);
                if (!rest.ptr) { /* not a line of ours: an older or a stranger's spool */
                        ret->refused++;
                        snprintf(ret->why, sizeof ret->why, "not a line");
                        continue;
                }
                rows[count++] =
                        (struct row){function, batch->records[i].time_us / VN_US_PER_HOUR, &batch->records[i]};
        }
        qsort(rows, count, sizeof *rows, compare_rows);
        for (size_t from = 0, to; rc == VN_OK && from < count; from = to) {
                for (to = from + 1; to < count && rows[to].hour == rows[from].hour &&
                                    vn_str_eq(rows[to].function, rows[from].function);
                     to++)
                        ;
                rc = send_rows(sink, rows + from, to - from, ret, err);
        }
        vn_free(rows);
        return rc;
}

/* --- opening --- */

static void close_sink(struct vn_sink *sink)
{
        struct object_sink *o = sink->state;
        if (!o)
                return;
        vn_cloud_account_free(o->account);
        vn_buf_done(&o->text);
        vn_buf_done(&o->packed);
        vn_buf_done(&o->key);
        ZSTD_freeCCtx(o->zstd);
        vn_free(o);
}

static enum vn_rc open_account(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        struct object_sink *o = sink->state;
        struct vn_str region;
        VN_AUTO(vn_json)
        description = json_copy(sink->sinks->description);
        if (!description)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        if (json_object_get(config, "region")) { /* a bucket need not be where the functions are */
                VN_TRY(vn_sink_text(config, "region", &region, err));
                if (json_object_set(description, "region", json_object_get(config, "region")))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        }
        return vn_cloud_account_open(description, sink->sinks->clock, &o->account, err);
}

static enum vn_rc open_object(struct vn_sink *sink, const json_t *config, const char *cloud, const char *bucket,
                              struct vn_err *err)
{
        struct object_sink *o = sink->state = vn_alloc(sizeof *o);
        int64_t flush_s;
        if (!o)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a sink");
        o->text = VN_BUF_INIT(TEXT_BYTES);
        o->packed = VN_BUF_INIT(ZSTD_compressBound(TEXT_BYTES) + 1);
        o->key = VN_BUF_INIT(VN_CLOUD_MAX_KEY_BYTES);
        o->zstd = ZSTD_createCCtx();
        if (!o->zstd)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a sink");
        if (strcmp(sink->sinks->cloud, cloud))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s is for accounts of %s", sink->kind->name, cloud);
        VN_TRY(vn_sink_text(config, bucket, &o->bucket, err));
        VN_TRY(vn_sink_number(config, "flush_s", 0, FLUSH_MOST_S, FLUSH_S, &flush_s, err));
        sink->flush_us = flush_s * VN_US_PER_S;
        return open_account(sink, config, err);
}

static enum vn_rc open_s3(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        return open_object(sink, config, "aws", "bucket", err);
}

static enum vn_rc open_blob(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        VN_TRY(open_object(sink, config, "azure", "container", err));
        return vn_sink_text(config, "account", &((struct object_sink *)sink->state)->store, err);
}

static enum vn_rc open_gcs(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        return open_object(sink, config, "gcp", "bucket", err);
}

static const char *const s3_members[] = {"bucket", "region", "flush_s", NULL};
static const char *const blob_members[] = {"account", "container", "flush_s", NULL};
static const char *const gcs_members[] = {"bucket", "flush_s", NULL};

#define OBJECT_KIND(text)                                                                                            \
        .name = #text, .members = text##_members, .max_records = BATCH_RECORDS, .max_bytes = BATCH_BYTES,            \
        .open = open_##text, .close = close_sink, .encode_line = encode_line, .deliver = deliver
const struct vn_sink_kind vn_sink_s3 = {OBJECT_KIND(s3)};
const struct vn_sink_kind vn_sink_blob = {OBJECT_KIND(blob)};
const struct vn_sink_kind vn_sink_gcs = {OBJECT_KIND(gcs)};
