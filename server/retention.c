#include "server/retention.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "server/record.h"
#include "server/routing/routing.h"
#include "server/telemetry/telemetry.h"
#include "store/history.h"

#define LOOK_EVERY_US (10 * VN_US_PER_S)
#define WINDOWS_EVERY_US VN_US_PER_HOUR

struct vn_retention {
        _Atomic bool dropping; /* segments, on the reader loop */
        uint64_t tombstones;   /* reader loop */
        int64_t next_look_us, next_windows_us;
        bool views_wait; /* the last slice was not the last */
};

struct drop {
        struct vn_task task;
        struct vn_server *server;
        int64_t before_us;
        uint32_t kept_s;
};

/* The range begins with the log: older tombstones may stand in the very segment that goes, so the newest one must vouch
 * for all that is missing below it. */
static enum vn_rc tombstone(void *arg, const struct vn_span *span, struct vn_buf *ret)
{
        const struct drop *d = arg;
        struct vn_record *record = vn_alloc(sizeof *record);
        if (!record)
                return VN_RESOURCE_EXHAUSTED;
        record->kind = VN_RECORD_TOMBSTONE;
        vn_record_tombstone_id(d->server, ++d->server->retention->tombstones, &record->id);
        record->time_us = vn_now_us(d->server->clock);
        char last[VN_TIME_TEXT_BYTES];
        vn_time_format(span->last_us, last);
        snprintf(record->subject, sizeof record->subject, "entries %llu to %llu of the log",
                 (unsigned long long)span->first_seq, (unsigned long long)span->last_seq);
        snprintf(record->after, sizeof record->after, "dropped by record_retention_s: %u", d->kept_s);
        snprintf(record->summary, sizeof record->summary,
                 "The records of entries %llu to %llu, up to %s, were dropped: record_retention_s is %u. All before "
                 "them had gone.",
                 (unsigned long long)span->first_seq, (unsigned long long)span->last_seq, last, d->kept_s);
        record->count = span->last_seq - span->first_seq + 1;
        record->last_seq = span->last_seq;
        enum vn_rc rc = vn_record_of_system(record, "system:retention", ret);
        vn_free(record);
        return rc;
}

static void drop_segments(struct vn_task *task)
{
        struct drop *d = (struct drop *)task;
        struct vn_err err;
        if (d->server->retention) { /* else vaned stops, and this only empties the queue */
                if (vn_store_retain(d->server->store, d->before_us, tombstone, d, &err) != VN_OK)
                        VN_LOG(RECORDS_KEPT, "%s", err.msg);
                atomic_store(&d->server->retention->dropping, false);
        }
        vn_free(d);
}

static void look_at_records(struct vn_server *server, int64_t now_us)
{
        struct drop *d = atomic_load(&server->retention->dropping) ? NULL : vn_alloc(sizeof *d);
        if (!d)
                return;
        uint32_t kept_s = server->config.record_retention_s;
        *d = (struct drop){.task.run = drop_segments,
                           .server = server,
                           .before_us = now_us - kept_s * VN_US_PER_S,
                           .kept_s = kept_s};
        atomic_store(&server->retention->dropping, true);
        vn_loop_post(server->reader, &d->task);
}

void vn_retention_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_retention *r = server->retention;
        struct vn_err err;
        bool look = now_us >= r->next_look_us;
        if (look || r->views_wait)
                r->views_wait = vn_routing_retain(server, now_us);
        if (look) {
                r->next_look_us = now_us + LOOK_EVERY_US;
                look_at_records(server, now_us);
        }
        if (now_us >= r->next_windows_us) {
                r->next_windows_us = now_us + WINDOWS_EVERY_US;
                if (vn_telemetry_retain(server, &err) != VN_OK)
                        VN_LOG(WINDOWS_KEPT, "%s", err.msg);
        }
}

enum vn_rc vn_retention_start(struct vn_server *server, struct vn_err *err)
{
        server->retention = vn_alloc(sizeof *server->retention);
        if (!server->retention)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        return VN_OK;
}

void vn_retention_stop(struct vn_server *server)
{
        vn_free(server->retention);
        server->retention = NULL;
}
