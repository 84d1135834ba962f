/* Opening, handing over, and each sink's thread. A failed delivery is tried again after a pause with full jitter, or after
 * what the other side asks for; while a thread waits it makes its spool durable once a second. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "agents/sink_kind.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"

#define CONFIG_MAX_BYTES 65536
#define DEFAULT_SPOOL_BYTES (INT64_C(256) << 20)
#define MAX_SPOOL_BYTES (INT64_C(1) << 40)
#define PAUSE_FIRST_US (200 * VN_US_PER_MS)
#define PAUSE_MOST_US (10 * VN_US_PER_S)
#define ASKED_MOST_US (300 * VN_US_PER_S)
#define TICK_US VN_US_PER_S
#define CUT_AGAIN_BYTES 8192 /* of text: six times as much still fits */
VN_LOCK_CLASS(sink_class, "sink");

static const struct vn_sink_kind *const kinds[] = {&vn_sink_s3,         &vn_sink_blob,   &vn_sink_gcs,
                                                   &vn_sink_prometheus, &vn_sink_influx, &vn_sink_postgres};

/* --- configuration --- */

enum vn_rc vn_sink_text(const json_t *config, const char *member, struct vn_str *ret, struct vn_err *err)
{
        VN_TRY(vn_json_text(config, member, ret, err));
        for (size_t i = 0; i < ret->len; i++)
                if ((unsigned char)ret->ptr[i] < ' ' || ret->ptr[i] == 0x7f)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s has a control character", member);
        return ret->len ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "%s is empty", member);
}

enum vn_rc vn_sink_number(const json_t *config, const char *member, int64_t min, int64_t max, int64_t absent,
                          int64_t *ret, struct vn_err *err)
{
        *ret = absent;
        if (!json_object_get(config, member))
                return VN_OK;
        VN_TRY(vn_json_i64(config, member, ret, err));
        return *ret >= min && *ret <= max ? VN_OK
                                          : vn_fail(err, VN_INVALID_ARGUMENT, "%s must be from %lld to %lld", member,
                                                    (long long)min, (long long)max);
}

enum vn_rc vn_sink_secret(const json_t *config, const char *member, struct vn_buf *ret, struct vn_err *err)
{
        struct vn_str path;
        char copy[512];
        vn_buf_reset(ret);
        if (!json_object_get(config, member))
                return VN_OK;
        VN_TRY(vn_sink_text(config, member, &path, err));
        if (!vn_str_copy(copy, sizeof copy, path))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: the path is too long", member);
        VN_TRY(vn_file_read(copy, ret, err));
        while (ret->len && (ret->ptr[ret->len - 1] == '\n' || ret->ptr[ret->len - 1] == '\r'))
                ret->ptr[--ret->len] = 0;
        for (size_t i = 0; i < ret->len; i++)
                if ((unsigned char)ret->ptr[i] < ' ')
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s: more than one line", member);
        return ret->len ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "%s: the file is empty", member);
}

static enum vn_rc check_members(const struct vn_sink_kind *kind, const json_t *config, struct vn_err *err)
{
        static const char *const common[] = {"kind", "name", "spool_bytes", NULL};
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)config, key, value)
        {
                bool known = false;
                for (int part = 0; part < 2; part++)
                        for (const char *const *m = part ? kind->members : common; *m; m++)
                                known = known || !strcmp(*m, key);
                if (!known)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%.40s is no member of a sink of kind %s", key,
                                       kind->name);
        }
        return VN_OK;
}

/* --- the thread of a sink --- */

static int64_t mono_us(void)
{
        return vn_mono_us(vn_clock_real());
}

/* Until something is put, the time is up, or it is to stop. */
static void wait_awhile(struct vn_sink *sink, int64_t us)
{
        int64_t until_us = vn_now_us(vn_clock_real()) + (us < TICK_US ? us : TICK_US);
        struct timespec deadline = {until_us / VN_US_PER_S, until_us % VN_US_PER_S * 1000};
        {
                VN_LOCKED(&sink->lock);
                if (!sink->stop)
                        VN_IGNORE(vn_lock_wait(&sink->lock, &sink->wake, &deadline));
        }
        VN_IGNORE(vn_spool_sync(sink->spool, NULL)); /* told when something is handed out */
}

static bool stopping(struct vn_sink *sink)
{
        VN_LOCKED(&sink->lock);
        return sink->stop;
}

struct worker {
        struct vn_sink *sink;
        struct vn_spool_batch batch;
        size_t max_records;
        unsigned failures; /* in a row */
        int64_t retry_us, since_us;
        bool full_said;
        enum vn_rc trouble; /* the last failure; OK: none */
        struct vn_rng rng;
};

static void failed(struct worker *w, const struct vn_sink_delivery *delivery, enum vn_rc rc, const struct vn_err *err)
{
        int64_t most = PAUSE_FIRST_US << (w->failures < 8 ? w->failures : 8);
        int64_t pause = (int64_t)vn_rng_below(&w->rng, (uint64_t)(most < PAUSE_MOST_US ? most : PAUSE_MOST_US)) + 1;
        if (delivery->wait_us > 0)
                pause = delivery->wait_us < ASKED_MOST_US ? delivery->wait_us : ASKED_MOST_US;
        w->failures++;
        w->retry_us = mono_us() + pause;
        atomic_store(&w->sink->last_error_us, mono_us());
        if (w->trouble != rc) /* said once, though the text may tell another number of milliseconds each time */
                VN_LOG(SINK_DOWN, "sink=%s %s", w->sink->name, err->msg);
        w->trouble = rc;
        if (w->batch.dropped.records && !w->full_said) {
                w->full_said = true;
                VN_LOG(SINK_FULL, "sink=%s the spool is full: the oldest records are dropped, %llu so far",
                       w->sink->name, (unsigned long long)w->batch.dropped.records);
        }
}

static void say_dropped(struct worker *w)
{
        const struct vn_spool_dropped *d = &w->batch.dropped;
        char from[VN_TIME_TEXT_BYTES] = "unknown", to[VN_TIME_TEXT_BYTES] = "unknown";
        w->full_said = false;
        if (!d->records)
                return;
        if (d->from_us <= d->to_us) {
                vn_time_format(d->from_us, from);
                vn_time_format(d->to_us, to);
        }
        VN_LOG(SINK_DROPPED, "sink=%s records=%llu bytes=%llu from=%s to=%s", w->sink->name,
               (unsigned long long)d->records, (unsigned long long)d->bytes, from, to);
}

static void arrived(struct worker *w, const struct vn_sink_delivery *delivery)
{
        struct vn_err err = {0};
        atomic_fetch_add(&w->sink->delivered, w->batch.count - delivery->refused);
        atomic_fetch_add(&w->sink->refused, delivery->refused);
        if (delivery->refused)
                VN_LOG(SINK_REFUSED, "sink=%s records=%llu %s", w->sink->name, (unsigned long long)delivery->refused,
                       delivery->why);
        say_dropped(w);
        if (w->failures)
                VN_LOG(SINK_UP, "sink=%s takes records again", w->sink->name);
        w->failures = 0;
        w->trouble = VN_OK;
        w->since_us = 0;
        if (w->max_records < w->sink->kind->max_records)
                w->max_records = 2 * w->max_records;
        if (vn_spool_ack(w->sink->spool, &w->batch, &err) != VN_OK)
                VN_LOG(SINK_DOWN, "sink=%s %s", w->sink->name, err.msg);
}

static void deliver(struct worker *w)
{
        struct vn_err err = {0};
        struct vn_sink_delivery delivery = {0};
        const struct vn_sink_kind *kind = w->sink->kind;
        enum vn_rc rc = vn_spool_peek(w->sink->spool, w->max_records, kind->max_bytes, &w->batch, &err);
        if (rc == VN_OK && !w->batch.count && !w->batch.dropped.records)
                return;
        if (rc == VN_OK)
                rc = kind->deliver(w->sink, &w->batch, &delivery, &err);
        if (rc == VN_OK && VN_FAULT("sink.arrived"))
                return; /* as if the answer had been lost */
        if (rc == VN_OK) {
                arrived(w, &delivery);
        } else if (delivery.too_large && w->batch.count > 1) {
                w->max_records = w->batch.count / 2;
        } else if (delivery.too_large) {
                delivery.refused = w->batch.count;
                snprintf(delivery.why, sizeof delivery.why, "%.150s", err.msg);
                arrived(w, &delivery);
        } else {
                failed(w, &delivery, rc, &err);
        }
}

/* How long yet until it is worth a delivery; 0: now. */
static int64_t due_in_us(struct worker *w)
{
        struct vn_spool_stats stats;
        int64_t now = mono_us();
        vn_spool_stats(w->sink->spool, &stats);
        if (!stats.waiting_records && !stats.untold_records) {
                w->since_us = 0;
                return TICK_US;
        }
        if (now < w->retry_us)
                return w->retry_us - now;
        w->since_us = w->since_us ? w->since_us : now;
        int64_t due = w->since_us + w->sink->flush_us;
        return stats.waiting_bytes >= w->sink->kind->max_bytes || due <= now ? 0 : due - now;
}

static void *work(void *arg)
{
        struct worker w = {.sink = arg};
        uint64_t seed;
        vn_random_bytes(&seed, sizeof seed);
        vn_rng_seed(&w.rng, seed);
        vn_spool_batch_init(&w.batch);
        w.max_records = w.sink->kind->max_records;
        while (!stopping(w.sink)) {
                int64_t wait_us = due_in_us(&w);
                if (wait_us)
                        wait_awhile(w.sink, wait_us);
                else
                        deliver(&w);
        }
        vn_spool_batch_done(&w.batch);
        return NULL;
}

/* --- opening and closing --- */

static enum vn_rc open_spool(struct vn_sink *sink, const struct vn_sinks_options *options, const json_t *config,
                             struct vn_err *err)
{
        char dir[400];
        int64_t bytes;
        VN_TRY(vn_sink_number(config, "spool_bytes", VN_SPOOL_MIN_BYTES, MAX_SPOOL_BYTES, DEFAULT_SPOOL_BYTES, &bytes,
                              err));
        int n = snprintf(dir, sizeof dir, "%s/sinks", options->state_dir);
        if (n < 0 || (size_t)n + 1 + strlen(sink->name) >= sizeof dir)
                return vn_fail(err, VN_INVALID_ARGUMENT, "the state directory's path is too long");
        if (mkdir(dir, 0700) && errno != EEXIST)
                return vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", dir, strerror(errno));
        snprintf(dir + n, sizeof dir - (size_t)n, "/%s", sink->name);
        return vn_spool_open(dir, (uint64_t)bytes, &sink->spool, err);
}

static enum vn_rc name_sink(struct vn_sinks *sinks, struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        struct vn_str name = vn_str(sink->kind->name);
        if (json_object_get(config, "name"))
                VN_TRY(vn_sink_text(config, "name", &name, err));
        if (!vn_str_is_name(name, VN_SINK_NAME_BYTES - 1) || !vn_str_copy(sink->name, sizeof sink->name, name))
                return vn_fail(err, VN_INVALID_ARGUMENT, "name: letters, digits, '-', '_' and '.' only");
        for (size_t i = 0; i < sinks->count; i++)
                if (!strcmp(sinks->items[i].name, sink->name))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "two sinks are called %s", sink->name);
        return VN_OK;
}

static enum vn_rc open_sink(struct vn_sinks *sinks, const struct vn_sinks_options *options, const json_t *config,
                            struct vn_err *err)
{
        struct vn_sink *sink = &sinks->items[sinks->count];
        struct vn_str kind;
        VN_TRY(vn_json_text(config, "kind", &kind, err));
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                if (vn_str_eq(kind, vn_str(kinds[i]->name)))
                        sink->kind = kinds[i];
        if (!sink->kind)
                return vn_fail(err, VN_INVALID_ARGUMENT, "no such kind of sink");
        VN_TRY(check_members(sink->kind, config, err));
        VN_TRY(name_sink(sinks, sink, config, err));
        sink->sinks = sinks;
        sink->encoded = VN_BUF_INIT(VN_SPOOL_MAX_RECORD_BYTES);
        vn_lock_init(&sink->lock, &sink_class);
        pthread_cond_init(&sink->wake, NULL);
        sinks->count++; /* from here on vn_sinks_free takes it apart */
        VN_TRY(sink->kind->open(sink, config, err));
        return sink->kind->deliver ? open_spool(sink, options, config, err) : VN_OK;
}

static enum vn_rc start_threads(struct vn_sinks *sinks, struct vn_err *err)
{
        for (size_t i = 0; i < sinks->count; i++) {
                struct vn_sink *sink = &sinks->items[i];
                int failed_with = sink->spool ? pthread_create(&sink->thread, NULL, work, sink) : 0;
                if (failed_with)
                        return vn_fail(err, vn_rc_from_errno(failed_with), "no thread: %s", strerror(failed_with));
                sink->running = sink->spool != NULL;
        }
        return VN_OK;
}

static enum vn_rc open_all(struct vn_sinks *sinks, const struct vn_sinks_options *options, const json_t *array,
                           struct vn_err *err)
{
        const char *cloud = json_string_value(json_object_get(sinks->description, "cloud"));
        const char *name = json_string_value(json_object_get(sinks->description, "name"));
        if (!json_is_array(array) || json_array_size(array) > VN_MAX_SINKS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "sinks: an array of at most %d objects", VN_MAX_SINKS);
        if (!vn_str_copy(sinks->account, sizeof sinks->account, vn_str(name ? name : options->account)) || !cloud ||
            !vn_str_copy(sinks->cloud, sizeof sinks->cloud, vn_str(cloud)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "the account's or cloud's name is missing or too long");
        for (size_t i = 0; i < json_array_size(array); i++) {
                const json_t *config = json_array_get(array, i);
                enum vn_rc rc = json_is_object(config) ? open_sink(sinks, options, config, err)
                                                       : vn_fail(err, VN_INVALID_ARGUMENT, "not an object");
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "sinks[%zu]", i);
        }
        return start_threads(sinks, err);
}

enum vn_rc vn_sinks_open(const struct vn_sinks_options *options, struct vn_sinks **ret, struct vn_err *err)
{
        static const struct vn_json_limits limits = {CONFIG_MAX_BYTES, 4, 512};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(CONFIG_MAX_BYTES);
        VN_AUTO(vn_json)
        root = NULL;
        *ret = NULL;
        VN_TRY(vn_file_read(options->config_file, &text, err));
        enum vn_rc rc = vn_json_parse(vn_buf_view(&text), &limits, &root, err);
        explicit_bzero(text.ptr, text.cap); /* credentials */
        if (rc != VN_OK)
                return vn_err_prefix(err, rc, "%.100s", options->config_file);
        const json_t *array = json_object_get(root, "sinks");
        if (!array)
                return VN_OK;
        struct vn_sinks *sinks = vn_alloc(sizeof *sinks);
        if (!sinks)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "sinks: out of memory");
        sinks->clock = options->clock;
        sinks->description = json_incref(root);
        rc = open_all(sinks, options, array, err);
        if (rc != VN_OK) {
                vn_sinks_free(sinks);
                return vn_err_prefix(err, rc, "%.100s", options->config_file);
        }
        *ret = sinks;
        return VN_OK;
}

struct vn_sinks *vn_sinks_free(struct vn_sinks *sinks)
{
        if (!sinks)
                return NULL;
        for (size_t i = 0; i < sinks->count; i++) {
                VN_LOCKED(&sinks->items[i].lock);
                sinks->items[i].stop = true;
                pthread_cond_signal(&sinks->items[i].wake);
        }
        for (size_t i = 0; i < sinks->count; i++)
                if (sinks->items[i].running)
                        pthread_join(sinks->items[i].thread, NULL);
        for (size_t i = 0; i < sinks->count; i++) {
                struct vn_sink *sink = &sinks->items[i];
                sink->kind->close(sink);
                vn_spool_free(sink->spool);
                vn_buf_done(&sink->encoded);
                pthread_cond_destroy(&sink->wake);
                vn_lock_done(&sink->lock);
        }
        json_decref(sinks->description);
        vn_free(sinks);
        return NULL;
}

/* --- handing over --- */

static void put(struct vn_sink *sink, int64_t time_us)
{
        struct vn_err err = {0};
        enum vn_rc rc = vn_buf_check(&sink->encoded, &err);
        if (rc == VN_OK)
                rc = vn_spool_put(sink->spool, 0, time_us, vn_buf_view(&sink->encoded), &err);
        if (rc != VN_OK)
                VN_LOG(SINK_DOWN, "sink=%s a record is lost: %s", sink->name, err.msg);
        VN_LOCKED(&sink->lock);
        pthread_cond_signal(&sink->wake);
}

bool vn_sinks_take_lines(const struct vn_sinks *sinks)
{
        for (size_t i = 0; sinks && i < sinks->count; i++)
                if (sinks->items[i].kind->encode_line)
                        return true;
        return false;
}

void vn_sinks_line(struct vn_sinks *sinks, const struct vn_sink_line *line)
{
        struct vn_sink_line cut = *line;
        if (cut.text.len > VN_SINK_MAX_LINE_BYTES)
                cut.text.len = VN_SINK_MAX_LINE_BYTES;
        for (size_t i = 0; sinks && i < sinks->count; i++) {
                struct vn_sink *sink = &sinks->items[i];
                if (!sink->kind->encode_line)
                        continue;
                vn_buf_reset(&sink->encoded);
                sink->kind->encode_line(sink, &cut, &sink->encoded);
                if (sink->encoded.failed) { /* control characters are long in JSON */
                        cut.text.len = cut.text.len < CUT_AGAIN_BYTES ? cut.text.len : CUT_AGAIN_BYTES;
                        vn_buf_reset(&sink->encoded);
                        sink->kind->encode_line(sink, &cut, &sink->encoded);
                }
                put(sink, line->time_us);
        }
}

void vn_sinks_window(struct vn_sinks *sinks, const struct vn_window *window)
{
        for (size_t i = 0; sinks && i < sinks->count; i++) {
                struct vn_sink *sink = &sinks->items[i];
                if (sink->kind->window)
                        sink->kind->window(sink, window);
                if (!sink->kind->encode_window)
                        continue;
                vn_buf_reset(&sink->encoded);
                sink->kind->encode_window(sink, window, &sink->encoded);
                put(sink, window->start_us);
        }
}

size_t vn_sinks_health(const struct vn_sinks *sinks, struct vn_sink_health ret[VN_MAX_SINKS])
{
        for (size_t i = 0; i < sinks->count; i++) {
                const struct vn_sink *sink = &sinks->items[i];
                struct vn_spool_stats stats = {0};
                if (sink->spool)
                        vn_spool_stats(sink->spool, &stats);
                ret[i] = (struct vn_sink_health){.kind = sink->kind->name,
                                                 .spooled = sink->spool != NULL,
                                                 .waiting_records = stats.waiting_records,
                                                 .waiting_bytes = stats.waiting_bytes,
                                                 .delivered_records = atomic_load(&sink->delivered),
                                                 .dropped_records = stats.dropped_records,
                                                 .refused_records = atomic_load(&sink->refused),
                                                 .last_error_us = atomic_load(&sink->last_error_us)};
                memcpy(ret[i].name, sink->name, sizeof ret[i].name);
        }
        return sinks->count;
}
