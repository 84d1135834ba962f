/* Exports of a store over days: another tenant's records, expired days, a day that somebody deleted. What is made here
 * also goes to VANE_EXPORT_DIR, where the scenario audit_export lets vanectl judge it. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/json.h"
#include "server/audit/audit.h"
#include "server/record.h"
#include "server/state.h"
#include "server/tenants.h"
#include "store/file.h"
#include "store/history.h"
#include "store/manifest.h"
#include "tests/test.h"
#include "vane/state/state.pb-c.h"

#define START INT64_C(1700000040000000)
#define DAY_US (24 * VN_US_PER_HOUR)
enum { DAYS = 4, A_DAY = 6 }; /* records a day: every third is another tenant's */

struct house {
        struct vn_server server;
        struct vn_clock_fake clock;
};

/* As CreateTenant stores them, without its record. */
static enum vn_rc store_tenants(struct vn_server *server, struct vn_err *err)
{
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        for (int i = 0; i < 2; i++) {
                Vane__State__Tenant tenant = VANE__STATE__TENANT__INIT;
                struct vn_key key;
                tenant.name = vn_state_text(i ? "acme" : VN_TENANT_DEFAULT);
                vn_key_text(vn_key_init(&key, VN_STR(VN_TENANT_SYSTEM)), vn_str(tenant.name));
                vn_state_put(batch, VN_TABLE_tenants, &key, &tenant.base);
        }
        return vn_store_commit(server->store, batch, err);
}

static void house_open(struct house *house, int64_t now_us)
{
        struct vn_server *s = &house->server;
        struct vn_err err = {0};
        memset(house, 0, sizeof *house);
        vn_clock_fake_init(&house->clock, now_us);
        s->clock = s->wall = &house->clock.clock;
        snprintf(s->config.state_dir, sizeof s->config.state_dir, "%s", test_dir());
        enum vn_rc rc = vn_edge_new(NULL, 1, &s->edge, &err);
        if (rc == VN_OK)
                rc = vn_record_start(s, &err);
        if (rc == VN_OK)
                rc = store_tenants(s, &err);
        if (rc == VN_OK)
                rc = vn_tenants_start(s, &err);
        if (rc != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
}

static void house_close(struct house *house)
{
        vn_tenants_stop(&house->server);
        vn_record_stop(&house->server);
        house->server.edge = vn_edge_free(house->server.edge);
}

static void put_change(struct vn_server *s, const char *tenant, const char *subject)
{
        struct vn_change change = {
                .kind = VN_RECORD_POLICY, .tenant = tenant, .actor = "person:a", .subject = subject};
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        CHECK_OK(vn_record_change(s, batch, &change, NULL, NULL));
        CHECK_OK(vn_store_commit(s->store, batch, NULL));
}

static void live_days(struct house *house)
{
        for (int day = 0; day < DAYS; day++) {
                for (int i = 0; i < A_DAY; i++)
                        put_change(&house->server, i % 3 == 2 ? "acme" : "default", "policy");
                house->clock.time_us += DAY_US;
        }
}

static enum vn_rc tombstone(void *arg, const struct vn_span *span, struct vn_buf *ret)
{
        struct vn_record r = {.kind = VN_RECORD_TOMBSTONE,
                              .id = {7, VN_CONTROL_LOOP, span->first_seq + 1},
                              .time_us = *(int64_t *)arg,
                              .decide_version = VN_DECIDE_VERSION,
                              .tenant = VN_TENANT_DEFAULT,
                              .actor = "system:retention",
                              .subject = "records older than 2 days",
                              .count = span->last_seq - span->first_seq + 1,
                              .first_seq = span->first_seq,
                              .last_seq = span->last_seq};
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        size_t n;
        VN_TRY(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
        return vn_buf_add(ret, bytes, n) ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

static void expire(struct house *house, int64_t before_us)
{
        int64_t now_us = vn_now_us(house->server.clock);
        CHECK_OK(vn_store_retain(house->server.store, before_us, tombstone, &now_us, NULL));
}

static enum vn_rc read_on(struct vn_export *export, struct vn_buf *ret, struct vn_err *err)
{
        bool more = true;
        enum vn_rc rc = VN_OK;
        while (more && rc == VN_OK)
                rc = vn_export_next(export, ret, &more, err);
        return rc;
}

/* The export's manifest, once its digest is seen to be right; the text is in `ret`. */
static struct vn_export_manifest whole(struct house *house, const char *tenant, int64_t from_us, int64_t to_us,
                                       struct vn_buf *ret)
{
        struct vn_export *export;
        struct vn_export_manifest m;
        struct vn_err err = {0};
        uint8_t sha256[VN_SHA256_BYTES];
        vn_buf_reset(ret);
        CHECK_OK(vn_export_new(&house->server, tenant, from_us, to_us, &export, NULL));
        enum vn_rc rc = read_on(export, ret, &err);
        vn_export_free(export);
        if (rc != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        const char *end = strstr(ret->ptr, "{\"type\":\"end\",\"manifest\":");
        CHECK(end);
        VN_AUTO(vn_json)
        line = NULL;
        struct vn_str note;
        static const struct vn_json_limits limits = {VN_EXPORT_LINE_BYTES, 4, 100};
        CHECK_OK(vn_json_parse(vn_str(end), &limits, &line, NULL));
        CHECK_OK(vn_json_text(line, "manifest", &note, NULL));
        CHECK_OK(vn_export_manifest_open(house->server.log_key, note, &m, NULL));
        vn_sha256(ret->ptr, (size_t)(end - ret->ptr), sha256);
        CHECK(!memcmp(sha256, m.sha256, sizeof sha256));
        CHECK_INT(m.end - m.first, m.records + m.others + m.expired + m.missing);
        return m;
}

static void keep(const char *name, const struct vn_buf *text)
{
        char path[600];
        const char *dir = getenv("VANE_EXPORT_DIR");
        if (!dir)
                return;
        snprintf(path, sizeof path, "%s/%s", dir, name);
        CHECK_OK(vn_file_write_atomic(path, vn_buf_view(text), 0600, NULL));
}

TEST(export_accounts_for_every_entry)
{
        struct house house;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(8 << 20);
        house_open(&house, START);
        struct vn_export_manifest m = whole(&house, "default", 0, 0, &text);
        CHECK(m.size == 0 && m.first == 0 && m.end == 0 && m.lines == 1);
        keep("empty.jsonl", &text);
        live_days(&house);
        m = whole(&house, "default", 0, 0, &text);
        CHECK(m.first == 0 && m.end == 24 && m.records == 16 && m.others == 8);
        CHECK(strstr(text.ptr, "{\"type\":\"other\",\"first\":2,\"last\":2}\n"));
        keep("default.jsonl", &text);
        m = whole(&house, "acme", 0, 0, &text);
        CHECK(m.records == 8 && m.others == 16);
        keep("acme.jsonl", &text);
        m = whole(&house, "nobody", 0, 0, &text);
        CHECK(m.records == 0 && m.others == 24 && m.lines == 2);
        keep("nobody.jsonl", &text);
        house_close(&house);
}

TEST(export_of_a_time_covers_the_entries_of_that_time)
{
        struct house house;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(8 << 20);
        house_open(&house, START);
        live_days(&house);
        struct vn_export_manifest m = whole(&house, "default", START + DAY_US, START + 2 * DAY_US, &text);
        CHECK(m.first == A_DAY && m.end == 2 * A_DAY && m.records == 4 && m.others == 2);
        keep("second-day.jsonl", &text);
        m = whole(&house, "default", START + 3 * DAY_US, 0, &text);
        CHECK(m.first == 3 * A_DAY && m.end == 4 * A_DAY && m.records == 4);
        m = whole(&house, "default", 0, START + 1, &text);
        CHECK(m.first == 0 && m.end == A_DAY);
        m = whole(&house, "default", START + 90 * DAY_US, 0, &text);
        CHECK(m.first == 4 * A_DAY && m.end == 4 * A_DAY && m.lines == 1);
        keep("nothing.jsonl", &text);
        /* A clock that was set back: the record of the first day that is written last belongs to it all the same. */
        house_close(&house);
        house_open(&house, START);
        put_change(&house.server, "default", "late");
        m = whole(&house, "default", 0, START + 1, &text);
        CHECK(m.end == 4 * A_DAY + 1 && m.records == 5);
        keep("set-back.jsonl", &text);
        house_close(&house);
}

TEST(export_tells_of_expired_records_and_their_tombstones)
{
        struct house house;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(8 << 20);
        house_open(&house, START);
        live_days(&house);
        put_change(&house.server, "default", "today");
        expire(&house, START + 2 * DAY_US);
        struct vn_export_manifest m = whole(&house, "default", 0, 0, &text);
        CHECK(m.first == 0 && m.end == 27 && m.expired == 2 * A_DAY && m.missing == 0 && m.records == 8 + 1 + 2);
        const char *tomb = strstr(text.ptr, "{\"type\":\"tombstone\",\"seq\":25,");
        const char *run = strstr(text.ptr, "{\"type\":\"expired\",\"first\":0,\"last\":5,\"tombstone\":25}\n");
        CHECK(tomb && run && tomb < run);
        CHECK(strstr(text.ptr, "{\"type\":\"expired\",\"first\":6,\"last\":11,\"tombstone\":26}\n"));
        keep("expired.jsonl", &text);
        m = whole(&house, "default", START + DAY_US, START + 3 * DAY_US, &text);
        CHECK(m.first == A_DAY && m.expired == A_DAY && m.records == 4); /* the log remembers an expired day's time */
        keep("expired-day.jsonl", &text);
        house_close(&house);
}

TEST(export_tells_of_what_is_gone_without_a_tombstone)
{
        struct house house;
        char path[600];
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(8 << 20);
        house_open(&house, START);
        live_days(&house);
        house_close(&house);
        snprintf(path, sizeof path, "%s/store/segments/0000000000000002", test_dir());
        CHECK_OK(vn_dir_remove(path, NULL));
        house_open(&house, START + DAYS * DAY_US);
        struct vn_export_manifest m = whole(&house, "default", 0, 0, &text);
        CHECK(m.missing == A_DAY && m.expired == 0);
        CHECK(strstr(text.ptr, "{\"type\":\"missing\",\"first\":6,\"last\":11}\n"));
        keep("missing.jsonl", &text);
        m = whole(&house, "default", START + DAY_US, START + 2 * DAY_US, &text);
        CHECK(m.missing == A_DAY); /* nor does asking for that day alone hide it */
        keep("missing-day.jsonl", &text);
        house_close(&house);
}

TEST(export_ends_when_its_records_expire_under_it)
{
        struct house house;
        struct vn_export *export;
        struct vn_err err = {0};
        bool more;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(8 << 20);
        house_open(&house, START);
        live_days(&house);
        CHECK_OK(vn_export_new(&house.server, "default", 0, 0, &export, NULL));
        CHECK_OK(vn_export_next(export, &text, &more, NULL)); /* the header: the checkpoint is chosen */
        put_change(&house.server, "default", "today");
        expire(&house, START + 2 * DAY_US);
        CHECK_RC(VN_ABORTED, read_on(export, &text, &err));
        CHECK(strstr(err.msg, "try again"));
        vn_export_free(export);
        house_close(&house);
}
