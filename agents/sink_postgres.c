/* PostgreSQL and TimescaleDB through libpq: a row a window, a batch a statement. The unique key is what the window is (account,
 * cloud, function, region, start), not where it stood in the spool: a window that is read from the cloud again after a kill
 * does not double either. Rows travel as one JSON parameter, so no value is ever part of a statement. */
#include <libpq-fe.h>
#include <stdio.h>

#include "agents/sink_kind.h"
#include "base/json.h"

#define BATCH_RECORDS 2000
#define BATCH_BYTES (1u << 20)
#define MAX_SECRET_BYTES 1024
#define TABLE_BYTES 48
#define DEFAULT_TABLE "vane_windows"

struct postgres {
        PGconn *connection; /* NULL: not connected */
        bool prepared;      /* the tables are there */
        char conninfo[1024], table[TABLE_BYTES];
        struct vn_buf password; /* empty: libpq's own ways */
        struct vn_buf rows;
};

/* --- rows --- */

static void encode_window(const struct vn_sink *sink, const struct vn_window *w, struct vn_buf *ret)
{
        char start[VN_TIME_TEXT_BYTES];
        bool timed = w->durations.total > 0;
        vn_time_format(w->start_us, start);
        vn_buf_text(ret, "{\"account\":");
        vn_buf_json_string(ret, vn_str(sink->sinks->account));
        vn_buf_text(ret, ",\"cloud\":");
        vn_buf_json_string(ret, vn_str(sink->sinks->cloud));
        vn_buf_text(ret, ",\"function\":");
        vn_buf_json_string(ret, vn_str(w->function));
        vn_buf_text(ret, ",\"region\":");
        vn_buf_json_string(ret, vn_str(w->region));
        vn_buf_printf(ret,
                      ",\"start_at\":\"%s\",\"calls\":%u,\"errors\":%u,\"throttles\":%u,\"timeouts\":%u,"
                      "\"cold_starts\":%u,\"duration_sum_us\":%llu,\"billed_sum_us\":%llu,\"init_sum_us\":%llu",
                      start, w->calls, w->errors, w->throttles, w->timeouts, w->cold_starts,
                      (unsigned long long)w->duration_sum_us, (unsigned long long)w->billed_sum_us,
                      (unsigned long long)w->init_sum_us);
        if (timed)
                vn_buf_printf(ret, ",\"duration_p50_us\":%.0f,\"duration_p95_us\":%.0f,\"duration_p99_us\":%.0f",
                              vn_sketch_quantile_us(&w->durations, 0.5), vn_sketch_quantile_us(&w->durations, 0.95),
                              vn_sketch_quantile_us(&w->durations, 0.99));
        vn_buf_printf(ret, ",\"memory_mb\":%u,\"max_memory_mb\":%u,\"payload_bytes\":%.0f,\"response_bytes\":%.0f}",
                      w->memory_mb, w->max_memory_mb, w->payload_sum_bytes, w->response_sum_bytes);
}

#define COLUMNS                                                                                                      \
        "account text, cloud text, function text, region text, start_at timestamptz, calls bigint, errors bigint, "  \
        "throttles bigint, timeouts bigint, cold_starts bigint, duration_sum_us bigint, billed_sum_us bigint, "      \
        "init_sum_us bigint, duration_p50_us float8, duration_p95_us float8, duration_p99_us float8, "               \
        "memory_mb bigint, max_memory_mb bigint, payload_bytes float8, response_bytes float8"
#define NAMES                                                                                                        \
        "account, cloud, function, region, start_at, calls, errors, throttles, timeouts, cold_starts, "              \
        "duration_sum_us, billed_sum_us, init_sum_us, duration_p50_us, duration_p95_us, duration_p99_us, "           \
        "memory_mb, max_memory_mb, payload_bytes, response_bytes"

/* --- statements --- */

static void ignore_notice(void *arg, const char *message)
{
        (void)arg;
        (void)message;
}

/* The first line of what libpq says: no password ever stands in it. */
static enum vn_rc say(struct vn_err *err, enum vn_rc rc, const char *message)
{
        struct vn_str rest = vn_str(message ? message : ""), line = vn_str_cut(&rest, '\n');
        return vn_fail(err, rc, "postgres: %.*s", (int)(line.len < 160 ? line.len : 160), line.ptr);
}

static void disconnect(struct postgres *p)
{
        PQfinish(p->connection);
        p->connection = NULL;
        p->prepared = false;
}

/* Sends one statement. *ret_data: its class says that these values will never be taken. */
static enum vn_rc run(struct postgres *p, const char *sql, int count, const char *const *values, bool *ret_data,
                      PGresult **ret, struct vn_err *err)
{
        PGresult *result = PQexecParams(p->connection, sql, count, NULL, values, NULL, NULL, 0);
        ExecStatusType status = PQresultStatus(result);
        enum vn_rc rc = VN_OK;
        *ret_data = false;
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
                const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
                *ret_data = state && (!strncmp(state, "22", 2) || !strncmp(state, "23", 2));
                rc = say(err, *ret_data ? VN_INVALID_ARGUMENT : VN_UNAVAILABLE, PQerrorMessage(p->connection));
                if (PQstatus(p->connection) != CONNECTION_OK || !*ret_data)
                        disconnect(p);
        }
        if (rc == VN_OK && ret)
                *ret = result;
        else
                PQclear(result);
        return rc;
}

static enum vn_rc say_yes(struct postgres *p, const char *sql, const char *value, bool *ret, struct vn_err *err)
{
        const char *const values[] = {value};
        PGresult *result = NULL;
        bool data;
        VN_TRY(run(p, sql, value ? 1 : 0, values, &data, &result, err));
        *ret = PQntuples(result) == 1 && !strcmp(PQgetvalue(result, 0, 0), "t");
        PQclear(result);
        return VN_OK;
}

/* One of the two tables, if it is not there: whoever may only insert has somebody else make them. */
static enum vn_rc make_table(struct postgres *p, const char *table, const char *definition, bool *ret_made,
                             struct vn_err *err)
{
        char sql[1600];
        bool there, data;
        VN_TRY(say_yes(p, "SELECT to_regclass($1) IS NOT NULL", table, &there, err));
        *ret_made = !there;
        if (there)
                return VN_OK;
        snprintf(sql, sizeof sql, "CREATE TABLE IF NOT EXISTS %s (%s)", table, definition);
        return run(p, sql, 0, NULL, &data, NULL, err);
}

static enum vn_rc make_tables(struct postgres *p, struct vn_err *err)
{
        char dropped[TABLE_BYTES + 16], sql[160];
        bool made, timescale, data;
        VN_TRY(make_table(p, p->table, COLUMNS ", PRIMARY KEY (account, cloud, function, region, start_at)", &made,
                          err));
        if (made) {
                VN_TRY(say_yes(p, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')", NULL,
                               &timescale, err));
                snprintf(sql, sizeof sql, "SELECT create_hypertable('%s', 'start_at', if_not_exists => true)",
                         p->table);
                if (timescale)
                        VN_TRY(run(p, sql, 0, NULL, &data, NULL, err));
        }
        snprintf(dropped, sizeof dropped, "%s_dropped", p->table);
        VN_TRY(make_table(p, dropped,
                          "account text, sink text, spool text, sequence bigint, records bigint, bytes bigint, "
                          "from_at timestamptz, to_at timestamptz, PRIMARY KEY (account, sink, spool, sequence)",
                          &made, err));
        p->prepared = true;
        return VN_OK;
}

static enum vn_rc connect_now(struct postgres *p, struct vn_err *err)
{
        /* Those before dbname are only defaults; the connection string overrides them. */
        const char *const keys[] = {"connect_timeout",
                                    "fallback_application_name",
                                    "gssencmode",
                                    "tcp_user_timeout",
                                    "keepalives_idle",
                                    "options",
                                    "dbname",
                                    p->password.len ? "password" : NULL,
                                    NULL};
        const char *const values[] = {
                "5",         "vane-agent",    "disable", "15000", "15", "-c statement_timeout=20000",
                p->conninfo, p->password.ptr, NULL};
        if (p->connection)
                return VN_OK;
        p->connection = PQconnectdbParams(keys, values, 1);
        if (!p->connection)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "postgres: out of memory");
        if (PQstatus(p->connection) != CONNECTION_OK) {
                enum vn_rc rc = say(err, VN_UNAVAILABLE, PQerrorMessage(p->connection));
                disconnect(p);
                return rc;
        }
        PQsetNoticeProcessor(p->connection, ignore_notice, NULL);
        return VN_OK;
}

/* A later report from the same place holds what the earlier one held, and more. */
static enum vn_rc insert_dropped(struct vn_sink *sink, const struct vn_spool_batch *batch, struct vn_err *err)
{
        struct postgres *p = sink->state;
        const struct vn_spool_dropped *d = &batch->dropped;
        char sql[600], sequence[24], records[24], bytes[24], from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES];
        bool timed = d->from_us <= d->to_us, data;
        snprintf(sequence, sizeof sequence, "%llu", (unsigned long long)batch->first_sequence);
        snprintf(records, sizeof records, "%llu", (unsigned long long)d->records);
        snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)d->bytes);
        if (timed) {
                vn_time_format(d->from_us, from);
                vn_time_format(d->to_us, to);
        }
        const char *const values[] = {
                sink->sinks->account, sink->name,       vn_spool_id(sink->spool), sequence, records, bytes,
                timed ? from : NULL,  timed ? to : NULL};
        snprintf(sql, sizeof sql,
                 "INSERT INTO %s_dropped (account, sink, spool, sequence, records, bytes, from_at, to_at) "
                 "VALUES ($1, $2, $3, $4::bigint, $5::bigint, $6::bigint, $7::timestamptz, $8::timestamptz) "
                 "ON CONFLICT (account, sink, spool, sequence) DO UPDATE SET records = excluded.records, "
                 "bytes = excluded.bytes, from_at = excluded.from_at, to_at = excluded.to_at",
                 p->table);
        return run(p, sql, 8, values, &data, NULL, err);
}

static enum vn_rc insert_rows(struct vn_sink *sink, const struct vn_spool_batch *batch, bool *ret_data,
                              struct vn_err *err)
{
        struct postgres *p = sink->state;
        char sql[1600];
        vn_buf_reset(&p->rows);
        vn_buf_char(&p->rows, '[');
        for (size_t i = 0; i < batch->count; i++) {
                if (i)
                        vn_buf_char(&p->rows, ',');
                vn_buf_str(&p->rows, batch->records[i].payload);
        }
        vn_buf_char(&p->rows, ']');
        VN_TRY(vn_buf_check(&p->rows, err));
        snprintf(sql, sizeof sql,
                 "INSERT INTO %s (" NAMES ") SELECT " NAMES " FROM jsonb_to_recordset($1::jsonb) AS x(" COLUMNS
                 ") ON CONFLICT DO NOTHING",
                 p->table);
        const char *const values[] = {p->rows.ptr};
        return run(p, sql, 1, values, ret_data, NULL, err);
}

static enum vn_rc deliver(struct vn_sink *sink, const struct vn_spool_batch *batch, struct vn_sink_delivery *ret,
                          struct vn_err *err)
{
        struct postgres *p = sink->state;
        VN_TRY(connect_now(p, err));
        if (!p->prepared)
                VN_TRY(make_tables(p, err));
        if (batch->dropped.records)
                VN_TRY(insert_dropped(sink, batch, err));
        /* Refused values: fewer at once find the one row that is to blame. */
        return batch->count ? insert_rows(sink, batch, &ret->too_large, err) : VN_OK;
}

/* --- opening --- */

static bool is_table_name(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!(s.ptr[i] >= 'a' && s.ptr[i] <= 'z') && s.ptr[i] != '_' &&
                    !(i && s.ptr[i] >= '0' && s.ptr[i] <= '9'))
                        return false;
        return s.len > 0 && s.len < TABLE_BYTES;
}

/* It must be readable, and hold no password: it stands in a file that people copy. */
static enum vn_rc check_conninfo(const char *conninfo, struct vn_err *err)
{
        char *message = NULL;
        bool secret = false;
        PQconninfoOption *options = PQconninfoParse(conninfo, &message);
        PQfreemem(message); /* it may quote the string */
        if (!options)
                return vn_fail(err, VN_INVALID_ARGUMENT, "conninfo: not a connection string of libpq");
        for (PQconninfoOption *o = options; o->keyword; o++)
                secret =
                        secret || (o->val && (!strcmp(o->keyword, "password") || !strcmp(o->keyword, "sslpassword")));
        PQconninfoFree(options);
        return secret ? vn_fail(err, VN_INVALID_ARGUMENT,
                                "conninfo: the password belongs into password_file, PGPASSWORD or a passfile")
                      : VN_OK;
}

static void close_postgres(struct vn_sink *sink)
{
        struct postgres *p = sink->state;
        if (!p)
                return;
        disconnect(p);
        if (p->password.ptr)
                explicit_bzero(p->password.ptr, p->password.cap);
        vn_buf_done(&p->password);
        vn_buf_done(&p->rows);
        vn_free(p);
}

static enum vn_rc open_postgres(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        struct postgres *p = sink->state = vn_alloc(sizeof *p);
        struct vn_str conninfo, table = VN_STR(DEFAULT_TABLE);
        if (!p)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a sink");
        p->password = VN_BUF_INIT(MAX_SECRET_BYTES);
        p->rows = VN_BUF_INIT(BATCH_BYTES + BATCH_RECORDS + 64);
        VN_TRY(vn_sink_text(config, "conninfo", &conninfo, err));
        if (json_object_get(config, "table"))
                VN_TRY(vn_sink_text(config, "table", &table, err));
        if (!is_table_name(table) || !vn_str_copy(p->table, sizeof p->table, table))
                return vn_fail(err, VN_INVALID_ARGUMENT, "table: lower-case letters, digits and '_'");
        if (!vn_str_copy(p->conninfo, sizeof p->conninfo, conninfo))
                return vn_fail(err, VN_INVALID_ARGUMENT, "conninfo is too long");
        VN_TRY(check_conninfo(p->conninfo, err));
        return vn_sink_secret(config, "password_file", &p->password, err);
}

static const char *const members[] = {"conninfo", "password_file", "table", NULL};
const struct vn_sink_kind vn_sink_postgres = {.name = "postgres",
                                              .members = members,
                                              .max_records = BATCH_RECORDS,
                                              .max_bytes = BATCH_BYTES,
                                              .open = open_postgres,
                                              .close = close_postgres,
                                              .encode_window = encode_window,
                                              .deliver = deliver};
