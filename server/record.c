#include "server/record.h"

#include <stdio.h>

#include "base/hash.h"
#include "decide/run.h"
#include "server/tenants.h"

/* Where the index of an outcome differs from that of the decision which it ends. */
#define OUTCOME_SALT UINT64_C(0x6f7574636f6d6521)

/* Tombstones have ids of their own, beside those of loops, changes (VN_CONTROL_LOOP) and gaps. */
#define TOMBSTONE_LOOP 0x20000u

struct vn_recorder {
        uint64_t origin;
        uint64_t next_change; /* control loop */
};

uint64_t vn_record_origin_key(const struct vn_decision_id *id, bool outcome)
{
        return vn_hash64(&id->loop, sizeof id->loop, id->origin) ^ (outcome ? OUTCOME_SALT : 0);
}

static void add_subject(void *arg, struct vn_str workload)
{
        struct vn_record_keys *keys = arg;
        uint64_t subject = vn_hash64(workload.ptr, workload.len, 0);
        keys->subjects[(subject >> 6) & 3] |= vn_record_bit(subject);
}

static enum vn_rc record_keys(void *arg, struct vn_str bytes, struct vn_record_keys *ret)
{
        struct vn_record_index index;
        (void)arg;
        VN_TRY(vn_record_peek(bytes, &index, NULL));
        uint64_t tenant = vn_hash64(index.tenant.ptr, index.tenant.len, 0);
        *ret = (struct vn_record_keys){.origin = vn_record_origin_key(&index.id, false),
                                       .id_first = index.id.sequence,
                                       .id_count = index.count,
                                       .first_us = index.time_us,
                                       .last_us = index.time_us,
                                       .kinds = UINT64_C(1) << index.kind,
                                       .tenants = vn_record_bit(tenant)};
        if (index.count == 1) {
                add_subject(ret, index.workload);
                return VN_OK;
        }
        struct vn_run_span span;
        VN_TRY(vn_run_scan(bytes, add_subject, ret, &span, NULL));
        ret->first_us = span.first_us;
        ret->last_us = span.last_us;
        return VN_OK;
}

static enum vn_rc record_leaf(void *arg, struct vn_str bytes, struct vn_leaf *ret)
{
        (void)arg;
        _Static_assert(VN_RECORD_LEAF_BYTES <= VN_LEAF_MAX_BYTES, "a leaf fits the store's");
        ret->len = VN_RECORD_LEAF_BYTES;
        return vn_record_leaf(bytes, ret->bytes, NULL);
}

enum vn_rc vn_record_of_system(struct vn_record *record, const char *actor, struct vn_buf *ret)
{
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        size_t n;
        record->decide_version = VN_DECIDE_VERSION;
        vn_random_bytes(record->seed, sizeof record->seed);
        VN_ASSERT(vn_str_copy(record->tenant, sizeof record->tenant, vn_str(VN_TENANT_DEFAULT)));
        VN_ASSERT(vn_str_copy(record->actor, sizeof record->actor, vn_str(actor)));
        VN_TRY(vn_record_encode(record, bytes, sizeof bytes, &n, NULL));
        return vn_buf_add(ret, bytes, n) ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

static enum vn_rc record_gap(void *arg, const struct vn_gap *gap, struct vn_buf *ret)
{
        struct vn_server *server = arg;
        struct vn_record *record = vn_alloc(sizeof *record);
        static const char *const whats[] = {"", "could not be recorded", "lost in a power cut",
                                            "damaged in the journal"};
        if (!record)
                return VN_RESOURCE_EXHAUSTED;
        record->kind = VN_RECORD_GAP;
        /* Gaps have ids of their own: the ring's number and the sequence where it begins. */
        record->id = (struct vn_decision_id){server->recorder->origin, 0x10000u + gap->ring, gap->first_seq};
        record->time_us = gap->last_us ? gap->last_us : vn_now_us(server->clock);
        snprintf(record->summary, sizeof record->summary, "%llu answers of loop %u %s",
                 (unsigned long long)gap->count, gap->ring, whats[gap->kind]);
        record->count = gap->count;
        record->first_seq = gap->first_seq;
        record->last_seq = gap->last_seq;
        memcpy(record->view_id, gap->view, sizeof record->view_id);
        enum vn_rc rc = vn_record_of_system(record, "system:store", ret);
        vn_free(record);
        return rc;
}

void vn_record_tombstone_id(const struct vn_server *server, uint64_t number, struct vn_decision_id *ret)
{
        *ret = (struct vn_decision_id){server->recorder->origin, TOMBSTONE_LOOP, number};
}

void vn_record_ops(struct vn_server *server, struct vn_record_ops *ret)
{
        *ret = (struct vn_record_ops){.keys = record_keys, .leaf = record_leaf, .gap = record_gap, .arg = server};
}

enum vn_rc vn_record_start(struct vn_server *server, struct vn_err *err)
{
        char key_path[600], dir[600];
        snprintf(key_path, sizeof key_path, "%s/log.key", server->config.state_dir);
        snprintf(dir, sizeof dir, "%s/store", server->config.state_dir);
        server->recorder = vn_alloc(sizeof *server->recorder);
        if (!server->recorder)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_random_bytes(&server->recorder->origin, sizeof server->recorder->origin);
        VN_TRY(vn_note_key_load_or_make(key_path, VN_TRUST_DOMAIN "/log", &server->log_key, err));
        struct vn_store_config config = {.dir = dir,
                                         .clock = server->clock,
                                         .log_key = server->log_key,
                                         .ring_count = vn_edge_loop_count(server->edge),
                                         .ring_slots = server->config.ring_slots,
                                         .segment_us = server->config.record_segment_s * VN_US_PER_S,
                                         .disk_budget_bytes = server->config.disk_budget_bytes};
        vn_record_ops(server, &config.record);
        return vn_store_open(&config, &server->store, err);
}

void vn_record_stop(struct vn_server *server)
{
        server->store = vn_store_free(server->store);
        server->log_key = vn_note_key_free(server->log_key);
        vn_free(server->recorder);
        server->recorder = NULL;
}

uint64_t vn_record_origin(const struct vn_server *server)
{
        return server->recorder->origin;
}

/* Texts longer than a record's field are cut: the field says what, the tables hold it whole. */
static void cut(char *to, size_t to_bytes, const char *from)
{
        size_t n = from ? strlen(from) : 0;
        if (n >= to_bytes)
                n = to_bytes - 1;
        while (n && !vn_str_is_utf8(vn_str_n(from, n)))
                n--;
        if (n)
                memcpy(to, from, n);
        to[n] = 0;
}

static void fill_change(struct vn_server *server, const struct vn_change *change, struct vn_record *record)
{
        record->kind = change->kind;
        record->id =
                (struct vn_decision_id){server->recorder->origin, VN_CONTROL_LOOP, ++server->recorder->next_change};
        record->time_us = vn_now_us(server->clock);
        record->decide_version = VN_DECIDE_VERSION;
        vn_random_bytes(record->seed, sizeof record->seed);
        cut(record->tenant, sizeof record->tenant, change->tenant);
        cut(record->actor, sizeof record->actor, change->actor);
        cut(record->delegation, sizeof record->delegation, change->approved_by);
        cut(record->workload, sizeof record->workload, change->subject);
        cut(record->subject, sizeof record->subject, change->subject);
        cut(record->before, sizeof record->before, change->before);
        cut(record->after, sizeof record->after, change->choice);
        cut(record->summary, sizeof record->summary, change->summary);
        record->mode = change->approved_by ? VN_MODE_APPROVED : VN_MODE_AUTOMATIC;
        record->margin = change->margin;
        record->confidence = (float)change->confidence;
        record->risk.combined = (float)change->risk;
        record->model_version = change->model_version;
        record->policy_version = change->policy_version;
}

enum vn_rc vn_record_change(struct vn_server *server, struct vn_batch *batch, const struct vn_change *change,
                            char ret_id[VN_DECISION_ID_TEXT_BYTES], struct vn_err *err)
{
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        size_t n;
        struct vn_record *record = vn_alloc(sizeof *record);
        if (!record)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        fill_change(server, change, record);
        enum vn_rc rc = vn_record_encode(record, bytes, sizeof bytes, &n, err);
        if (rc == VN_OK) {
                vn_batch_record(batch, vn_str_n(bytes, n));
                vn_tenants_count_change(server, change->tenant);
                if (ret_id)
                        vn_decision_id_format(&record->id, ret_id);
        }
        vn_free(record);
        return rc;
}
