/* InfluxDB: a point a window, in batches, to /write of 1.x (member database) or /api/v2/write (members org and bucket). A
 * point with the same tags and time replaces the one before, so a resend changes nothing. */
#include <stdio.h>

#include "agents/line_protocol.h"
#include "agents/sink_kind.h"
#include "base/json.h"
#include "net/http_client.h"

#define BATCH_RECORDS 5000
#define BATCH_BYTES (1u << 20)
#define TIMEOUT_US (20 * VN_US_PER_S)
#define MAX_SECRET_BYTES 4096
#define MEASUREMENT "vane_window"
#define MEASUREMENT_DROPPED "vane_sink_dropped"

struct influx {
        struct vn_http *http;
        char url[1024], ca_file[512], measurement[128];
        struct vn_buf authorization; /* empty: none */
        struct vn_buf body;
};

/* --- points --- */

static void begin_point(const struct vn_sink *sink, struct vn_str measurement, struct vn_buf *ret)
{
        vn_line_measurement(ret, measurement);
        vn_line_tag(ret, "account", vn_str(sink->sinks->account));
        vn_line_tag(ret, "cloud", vn_str(sink->sinks->cloud));
}

static void encode_window(const struct vn_sink *sink, const struct vn_window *w, struct vn_buf *ret)
{
        const struct influx *influx = sink->state;
        begin_point(sink, vn_str(influx->measurement), ret);
        vn_line_tag(ret, "function", vn_str(w->function));
        vn_line_tag(ret, "region", vn_str(w->region));
        vn_buf_printf(ret, " calls=%ui,errors=%ui,throttles=%ui,timeouts=%ui,cold_starts=%ui", w->calls, w->errors,
                      w->throttles, w->timeouts, w->cold_starts);
        vn_buf_printf(ret, ",duration_sum_us=%llui,billed_sum_us=%llui,init_sum_us=%llui",
                      (unsigned long long)w->duration_sum_us, (unsigned long long)w->billed_sum_us,
                      (unsigned long long)w->init_sum_us);
        if (w->durations.total)
                vn_buf_printf(ret, ",duration_p50_us=%.0f,duration_p95_us=%.0f,duration_p99_us=%.0f",
                              vn_sketch_quantile_us(&w->durations, 0.5), vn_sketch_quantile_us(&w->durations, 0.95),
                              vn_sketch_quantile_us(&w->durations, 0.99));
        vn_buf_printf(ret, ",memory_mb=%ui,max_memory_mb=%ui,payload_bytes=%.0f,response_bytes=%.0f %lld000\n",
                      w->memory_mb, w->max_memory_mb, w->payload_sum_bytes, w->response_sum_bytes,
                      (long long)w->start_us);
}

static void add_dropped(struct vn_sink *sink, const struct vn_spool_dropped *d, struct vn_buf *ret)
{
        bool timed = d->from_us <= d->to_us;
        begin_point(sink, VN_STR(MEASUREMENT_DROPPED), ret);
        vn_line_tag(ret, "sink", vn_str(sink->name));
        vn_buf_printf(ret, " records=%llui,bytes=%llui", (unsigned long long)d->records,
                      (unsigned long long)d->bytes);
        if (timed)
                vn_buf_printf(ret, ",from_us=%lldi", (long long)d->from_us);
        vn_buf_printf(ret, " %lld000\n", (long long)(timed ? d->to_us : vn_now_us(sink->sinks->clock)));
}

/* --- answers --- */

/* What the server says, cut to what may stand in a log line. */
static void reason_of(const struct vn_http_answer *answer, char ret[160])
{
        static const struct vn_json_limits limits = {65536, 8, 256};
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str text = {0};
        if (vn_json_parse(vn_buf_view(&answer->body), &limits, &root, NULL) == VN_OK && json_is_object(root) &&
            vn_json_text(root, "error", &text, NULL) != VN_OK)
                VN_IGNORE(vn_json_text(root, "message", &text, NULL));
        size_t n = text.len < 120 ? text.len : 120;
        for (size_t i = 0; i < n; i++)
                ret[i] = (unsigned char)text.ptr[i] < ' ' ? ' ' : text.ptr[i];
        ret[n] = 0;
}

/* A partial write: the rest of the batch has arrived. It says how many did not, or it counts the lines that it names. */
static uint64_t refused_of(const char *reason, const struct vn_http_answer *answer, uint64_t sent)
{
        static const char mark[] = "dropped=";
        const char *at = answer->body.len ? memmem(answer->body.ptr, answer->body.len, mark, sizeof mark - 1) : NULL;
        uint64_t n = 0, unparsed = 0;
        if (at) {
                for (at += sizeof mark - 1; at < answer->body.ptr + answer->body.len && *at >= '0' && *at <= '9';
                     at++)
                        n = n * 10 + (uint64_t)(*at - '0');
                return n < sent ? n : sent;
        }
        for (const char *p = answer->body.ptr, *end = p + answer->body.len;
             p && (p = memmem(p, (size_t)(end - p), "unable to parse '", 17)); p++)
                unparsed++;
        return strstr(reason, "partial write") && unparsed && unparsed < sent ? unparsed : sent;
}

static int64_t wait_of(const struct vn_http_answer *answer)
{
        uint64_t seconds;
        struct vn_str after = vn_http_answer_header(answer, "retry-after");
        return after.ptr && vn_str_to_u64(after, &seconds) == VN_OK && seconds < 3600 ? (int64_t)seconds * VN_US_PER_S
                                                                                      : 0;
}

static enum vn_rc judge(const struct vn_http_answer *answer, uint64_t sent, struct vn_sink_delivery *ret,
                        struct vn_err *err)
{
        char reason[160];
        if (answer->status >= 200 && answer->status < 300)
                return VN_OK;
        reason_of(answer, reason);
        if (answer->status == 400 || answer->status == 422) {
                ret->refused = refused_of(reason, answer, sent);
                snprintf(ret->why, sizeof ret->why, "influx answered %d %.120s", answer->status, reason);
                return VN_OK;
        }
        ret->too_large = answer->status == 413;
        ret->wait_us = wait_of(answer);
        return vn_fail(err, vn_rc_from_http_status(answer->status), "influx answered %d %s", answer->status, reason);
}

static enum vn_rc deliver(struct vn_sink *sink, const struct vn_spool_batch *batch, struct vn_sink_delivery *ret,
                          struct vn_err *err)
{
        struct influx *influx = sink->state;
        struct vn_http_field fields[2] = {{VN_STR("Content-Type"), VN_STR("text/plain; charset=utf-8")},
                                          {VN_STR("Authorization"), vn_buf_view(&influx->authorization)}};
        struct vn_http_answer answer;
        vn_buf_reset(&influx->body);
        if (batch->dropped.records)
                add_dropped(sink, &batch->dropped, &influx->body);
        for (size_t i = 0; i < batch->count; i++)
                vn_buf_str(&influx->body, batch->records[i].payload);
        VN_TRY(vn_buf_check(&influx->body, err));
        const struct vn_http_ask ask = {.method = "POST",
                                        .url = influx->url,
                                        .headers = fields,
                                        .header_count = influx->authorization.len ? 2 : 1,
                                        .body = vn_buf_view(&influx->body),
                                        .timeout_us = TIMEOUT_US};
        vn_http_answer_init(&answer);
        enum vn_rc rc = vn_http_do(influx->http, &ask, &answer, err);
        if (rc == VN_OK)
                rc = judge(&answer, batch->count, ret, err);
        vn_http_answer_done(&answer);
        return rc;
}

/* --- opening --- */

static void wipe(struct vn_buf *buf)
{
        if (buf->ptr)
                explicit_bzero(buf->ptr, buf->cap);
        vn_buf_done(buf);
}

static void close_influx(struct vn_sink *sink)
{
        struct influx *influx = sink->state;
        if (!influx)
                return;
        vn_http_free(influx->http);
        wipe(&influx->authorization);
        vn_buf_done(&influx->body);
        vn_free(influx);
}

static enum vn_rc add_parameter(struct vn_buf *url, const json_t *config, const char *member, const char *name,
                                struct vn_err *err)
{
        struct vn_str value;
        VN_TRY(vn_sink_text(config, member, &value, err));
        vn_buf_printf(url, "&%s=", name);
        vn_buf_url_encode(url, value, false);
        return VN_OK;
}

static enum vn_rc make_url(struct influx *influx, const json_t *config, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(sizeof influx->url - 1);
        struct vn_str base;
        bool first = json_object_get(config, "database") != NULL;
        VN_TRY(vn_sink_text(config, "url", &base, err));
        if (!vn_str_starts(base, VN_STR("https://")) && !vn_str_starts(base, VN_STR("http://")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "url must begin with https:// (http:// on this machine)");
        while (base.len && base.ptr[base.len - 1] == '/')
                base.len--;
        vn_buf_str(&url, base);
        vn_buf_text(&url, first ? "/write?precision=ns" : "/api/v2/write?precision=ns");
        if (first == (json_object_get(config, "bucket") != NULL))
                return vn_fail(err, VN_INVALID_ARGUMENT, "either database (1.x), or org and bucket");
        if (first) {
                VN_TRY(add_parameter(&url, config, "database", "db", err));
        } else {
                VN_TRY(add_parameter(&url, config, "org", "org", err));
                VN_TRY(add_parameter(&url, config, "bucket", "bucket", err));
        }
        VN_TRY(vn_buf_check(&url, err));
        memcpy(influx->url, url.ptr, url.len + 1);
        return VN_OK;
}

/* A token, or a user with a password. */
static enum vn_rc make_authorization(struct influx *influx, const json_t *config, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        secret = VN_BUF_INIT(MAX_SECRET_BYTES);
        VN_AUTO(vn_buf)
        pair = VN_BUF_INIT(2 * MAX_SECRET_BYTES);
        struct vn_str user;
        bool by_token = json_object_get(config, "token_file") != NULL;
        enum vn_rc rc = vn_sink_secret(config, by_token ? "token_file" : "password_file", &secret, err);
        if (rc == VN_OK && by_token) {
                vn_buf_text(&influx->authorization, "Token ");
                vn_buf_str(&influx->authorization, vn_buf_view(&secret));
        } else if (rc == VN_OK && json_object_get(config, "username")) {
                rc = vn_sink_text(config, "username", &user, err);
                if (rc == VN_OK) {
                        vn_buf_str(&pair, user);
                        vn_buf_char(&pair, ':');
                        vn_buf_str(&pair, vn_buf_view(&secret));
                        vn_buf_text(&influx->authorization, "Basic ");
                        vn_buf_base64(&influx->authorization, pair.ptr, pair.len);
                }
        }
        if (secret.ptr)
                explicit_bzero(secret.ptr, secret.cap);
        if (pair.ptr)
                explicit_bzero(pair.ptr, pair.cap);
        VN_TRY(rc);
        return vn_buf_check(&influx->authorization, err);
}

static enum vn_rc open_influx(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        struct influx *influx = sink->state = vn_alloc(sizeof *influx);
        struct vn_str ca_file = {0}, measurement = VN_STR(MEASUREMENT);
        if (!influx)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a sink");
        influx->authorization = VN_BUF_INIT(3 * MAX_SECRET_BYTES);
        influx->body = VN_BUF_INIT(BATCH_BYTES + (1u << 20));
        if (json_object_get(config, "ca_file"))
                VN_TRY(vn_sink_text(config, "ca_file", &ca_file, err));
        if (json_object_get(config, "measurement"))
                VN_TRY(vn_sink_text(config, "measurement", &measurement, err));
        if (!vn_str_copy(influx->ca_file, sizeof influx->ca_file, ca_file.ptr ? ca_file : VN_STR("")) ||
            !vn_str_copy(influx->measurement, sizeof influx->measurement, measurement))
                return vn_fail(err, VN_INVALID_ARGUMENT, "ca_file or measurement is too long");
        VN_TRY(make_url(influx, config, err));
        VN_TRY(make_authorization(influx, config, err));
        const struct vn_http_options options = {.ca_file = influx->ca_file[0] ? influx->ca_file : NULL,
                                                .user_agent = "vane-agent",
                                                .allow_local_http = true};
        return vn_http_new(&options, &influx->http, err);
}

static const char *const members[] = {"url",        "database",      "org",     "bucket",      "username",
                                      "token_file", "password_file", "ca_file", "measurement", NULL};
const struct vn_sink_kind vn_sink_influx = {.name = "influx",
                                            .members = members,
                                            .max_records = BATCH_RECORDS,
                                            .max_bytes = BATCH_BYTES,
                                            .open = open_influx,
                                            .close = close_influx,
                                            .encode_window = encode_window,
                                            .deliver = deliver};
