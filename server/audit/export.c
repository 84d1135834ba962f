/* export.c - lines of an export, made one after the other; see audit.h. */
#include "decide/record_codec.h"
#include "server/audit/audit.h"
#include "server/audit/export_range.h"
#include "store/manifest.h"

#define STEP 256 /* records read at a time */
/* A record may bring the line of its tombstone along, and one of a run that ends before it. */
#define STEP_BYTES ((size_t)STEP * 2 * VN_EXPORT_LINE_BYTES)

enum run_type { RUN_NONE, RUN_OTHER, RUN_EXPIRED, RUN_MISSING };

struct vn_export {
        struct vn_server *server;
        enum { HEADER, RECORDS, END, DONE } state;
        struct vn_export_manifest manifest; /* grows with the lines */
        struct vn_digest *digest;
        struct vn_tombstones tombstones;
        uint64_t next_seq;
        struct { /* entries without a line of their own, not told yet */
                enum run_type type;
                uint64_t first, last, tombstone;
        } run;
        struct vn_buf lines; /* of the step just read */
        size_t line_at, given;
        struct vn_err err;
        enum vn_rc rc;
};

enum vn_rc vn_export_new(struct vn_server *server, const char *tenant, int64_t from_us, int64_t to_us,
                         struct vn_export **ret, struct vn_err *err)
{
        struct vn_export *export = vn_alloc(sizeof *export);
        if (export)
                export->digest = vn_digest_new();
        if (!export || !export->digest) {
                vn_export_free(export);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        export->server = server;
        export->manifest.from_us = from_us;
        export->manifest.to_us = to_us;
        export->lines = VN_BUF_INIT(STEP_BYTES);
        VN_ASSERT(vn_str_copy(export->manifest.tenant, sizeof export->manifest.tenant, vn_str(tenant)));
        *ret = export;
        return VN_OK;
}

struct vn_export *vn_export_free(struct vn_export *export)
{
        if (export) {
                vn_buf_done(&export->lines);
                vn_tombstones_done(&export->tombstones);
                vn_digest_free(export->digest);
        }
        vn_free(export);
        return NULL;
}

static enum vn_rc header_line(struct vn_export *x, struct vn_buf *ret, struct vn_err *err)
{
        struct vn_export_manifest *m = &x->manifest;
        struct vn_store *store = x->server->store;
        struct vn_checkpoint checkpoint;
        char key[VN_NOTE_KEY_TEXT_BYTES];
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_TRY(vn_store_flush(store, err)); /* everything answered before now is in */
        VN_TRY(vn_store_checkpoint_note(store, &note));
        VN_TRY(vn_checkpoint_open(x->server->log_key, vn_buf_view(&note), &checkpoint, err));
        m->size = checkpoint.size;
        m->root = checkpoint.root;
        VN_TRY(vn_export_range(store, m->size, m->from_us, m->to_us, &m->first, &m->end, err));
        if (m->size)
                VN_TRY(vn_tombstones_load(store, 0, m->size, &x->tombstones, err));
        x->next_seq = m->first;
        vn_note_key_text(x->server->log_key, key);
        vn_buf_text(ret, "{\"type\":\"header\",\"format\":2,\"tenant\":");
        vn_buf_json_string(ret, vn_str(m->tenant));
        vn_buf_printf(ret, ",\"from_us\":%lld,\"to_us\":%lld,\"first\":%llu,\"end\":%llu,\"checkpoint\":",
                      (long long)m->from_us, (long long)m->to_us, (unsigned long long)m->first,
                      (unsigned long long)m->end);
        vn_buf_json_string(ret, vn_buf_view(&note));
        vn_buf_text(ret, ",\"key\":");
        vn_buf_json_string(ret, vn_str(key));
        vn_buf_printf(ret, ",\"size\":%llu}\n", (unsigned long long)m->size);
        return vn_buf_check(ret, err);
}

static enum vn_rc record_line(struct vn_export *x, const char *type, uint64_t seq, struct vn_str bytes,
                              const char *kind)
{
        struct vn_buf *out = &x->lines;
        struct vn_leaf leaf;
        struct vn_proof proof;
        VN_TRY(vn_store_leaf(x->server->store, seq, &leaf, &x->err));
        VN_TRY(vn_store_prove_inclusion(x->server->store, seq, x->manifest.size, &proof, &x->err));
        vn_buf_printf(out, "{\"type\":\"%s\",\"seq\":%llu,\"kind\":\"%s\",\"record\":\"", type,
                      (unsigned long long)seq, kind);
        vn_buf_base64(out, bytes.ptr, bytes.len);
        vn_buf_text(out, "\",\"leaf\":\"");
        vn_buf_base64(out, leaf.bytes, leaf.len);
        vn_buf_text(out, "\",\"proof\":[");
        for (size_t i = 0; i < proof.n; i++) {
                vn_buf_text(out, i ? ",\"" : "\"");
                vn_buf_base64(out, proof.hash[i].b, VN_HASH_BYTES);
                vn_buf_char(out, '"');
        }
        vn_buf_text(out, "]}\n");
        return vn_buf_check(out, &x->err);
}

/* --- entries that have no line of their own --- */
static enum vn_rc end_run(struct vn_export *x)
{
        static const char *const names[] = {"", "other", "expired", "missing"};
        if (x->run.type == RUN_NONE)
                return VN_OK;
        vn_buf_printf(&x->lines, "{\"type\":\"%s\",\"first\":%llu,\"last\":%llu", names[x->run.type],
                      (unsigned long long)x->run.first, (unsigned long long)x->run.last);
        if (x->run.type == RUN_EXPIRED)
                vn_buf_printf(&x->lines, ",\"tombstone\":%llu", (unsigned long long)x->run.tombstone);
        vn_buf_text(&x->lines, "}\n");
        x->run.type = RUN_NONE;
        return vn_buf_check(&x->lines, &x->err);
}

static enum vn_rc add_run(struct vn_export *x, enum run_type type, uint64_t first, uint64_t last, uint64_t tombstone)
{
        uint64_t *const counts[] = {NULL, &x->manifest.others, &x->manifest.expired, &x->manifest.missing};
        *counts[type] += last - first + 1;
        if (x->run.type == type && x->run.last + 1 == first && x->run.tombstone == tombstone) {
                x->run.last = last;
                return VN_OK;
        }
        VN_TRY(end_run(x));
        x->run.type = type;
        x->run.first = first;
        x->run.last = last;
        x->run.tombstone = tombstone;
        return VN_OK;
}

static enum vn_rc tell_tombstone(struct vn_export *x, struct vn_tombstone *tombstone)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_STORE_RECORD_MAX_BYTES);
        if (tombstone->told)
                return VN_OK;
        tombstone->told = true;
        VN_TRY(end_run(x));
        VN_TRY(vn_store_record(x->server->store, tombstone->seq, &bytes, &x->err));
        return record_line(x, "tombstone", tombstone->seq, vn_buf_view(&bytes),
                           vn_record_kind_name(VN_RECORD_TOMBSTONE));
}

/* What retention took since the checkpoint cannot be proven under it. */
static enum vn_rc not_just_expired(struct vn_export *x, uint64_t seq)
{
        struct vn_tombstones newer = {.count = 0};
        uint64_t next;
        enum vn_rc rc = vn_tombstones_load(x->server->store, x->manifest.size, 0, &newer, &x->err);
        if (rc == VN_OK && vn_tombstone_of(&newer, seq, &next))
                rc = vn_fail(&x->err, VN_ABORTED, "records expired while they were exported: try again");
        vn_tombstones_done(&newer);
        return rc;
}

/* Entries [from, to), whose payload is not there. */
static enum vn_rc without_payload(struct vn_export *x, uint64_t from, uint64_t to)
{
        while (from < to) {
                uint64_t next;
                struct vn_tombstone *t = vn_tombstone_of(&x->tombstones, from, &next);
                uint64_t last = t ? t->last : next - 1;
                if (last > to - 1)
                        last = to - 1;
                if (t) {
                        VN_TRY(tell_tombstone(x, t));
                        VN_TRY(add_run(x, RUN_EXPIRED, from, last, t->seq));
                } else {
                        VN_TRY(not_just_expired(x, from));
                        VN_TRY(add_run(x, RUN_MISSING, from, last, 0));
                }
                from = last + 1;
        }
        return VN_OK;
}

/* --- records --- */
static enum vn_rc with_payload(struct vn_export *x, uint64_t seq, struct vn_str bytes)
{
        const struct vn_export_manifest *m = &x->manifest;
        struct vn_record_index index;
        struct vn_frame frame;
        uint64_t next;
        /* What is no record any more, or does not say whose it was, is as good as gone. */
        if (vn_record_peek(bytes, &index, NULL) != VN_OK || vn_frame_read(bytes, &frame, NULL) != VN_OK ||
            (frame.erased >> VN_GROUP_IDENTITY & 1))
                return without_payload(x, seq, seq + 1);
        if (!vn_str_eq(index.tenant, vn_str(m->tenant)) || (m->from_us && index.time_us < m->from_us) ||
            (m->to_us && index.time_us >= m->to_us))
                return add_run(x, RUN_OTHER, seq, seq, 0);
        struct vn_tombstone *t = frame.erased ? vn_tombstone_of(&x->tombstones, seq, &next) : NULL;
        if (t)
                VN_TRY(tell_tombstone(x, t));
        VN_TRY(end_run(x));
        x->manifest.records++;
        return record_line(x, "record", seq, bytes, vn_record_kind_name(index.kind));
}

static bool one_record(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct vn_export *x = arg;
        x->given++;
        x->rc = without_payload(x, x->next_seq, seq);
        if (x->rc == VN_OK)
                x->rc = with_payload(x, seq, bytes);
        x->next_seq = seq + 1;
        return x->rc == VN_OK;
}

static enum vn_rc fill(struct vn_export *x, struct vn_err *err)
{
        struct vn_record_filter filter = {.from_seq = x->next_seq, .to_seq = x->manifest.end, .limit = STEP};
        vn_buf_reset(&x->lines);
        x->line_at = x->given = 0;
        x->rc = VN_OK;
        if (x->next_seq < x->manifest.end)
                VN_TRY(vn_store_records(x->server->store, &filter, one_record, x, NULL, err));
        if (x->rc == VN_OK && x->given < STEP) { /* there are no more */
                x->rc = without_payload(x, x->next_seq, x->manifest.end);
                if (x->rc == VN_OK)
                        x->rc = end_run(x);
                x->state = END;
        }
        if (x->rc != VN_OK)
                *err = x->err;
        return x->rc;
}

static enum vn_rc end_line(struct vn_export *x, struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        vn_digest_end(x->digest, x->manifest.sha256);
        VN_TRY(vn_export_manifest_sign(x->server->log_key, &x->manifest, &note, err));
        vn_buf_text(ret, "{\"type\":\"end\",\"manifest\":");
        vn_buf_json_string(ret, vn_buf_view(&note));
        vn_buf_text(ret, "}\n");
        return vn_buf_check(ret, err);
}

static void count_line(struct vn_export *x, const struct vn_buf *ret, size_t from)
{
        vn_digest_add(x->digest, ret->ptr + from, ret->len - from);
        x->manifest.lines++;
}

enum vn_rc vn_export_next(struct vn_export *x, struct vn_buf *ret, bool *ret_more, struct vn_err *err)
{
        size_t from = ret->len;
        *ret_more = true;
        if (x->state == HEADER) {
                x->state = RECORDS;
                VN_TRY(header_line(x, ret, err));
                count_line(x, ret, from);
                return VN_OK;
        }
        while (x->state == RECORDS && x->line_at == x->lines.len)
                VN_TRY(fill(x, err));
        if (x->line_at < x->lines.len) {
                struct vn_str rest = vn_str_n(x->lines.ptr + x->line_at, x->lines.len - x->line_at);
                struct vn_str line = vn_str_cut(&rest, '\n');
                x->line_at += line.len + 1;
                vn_buf_str(ret, line);
                vn_buf_char(ret, '\n');
                VN_TRY(vn_buf_check(ret, err));
                count_line(x, ret, from);
                return VN_OK;
        }
        *ret_more = false;
        if (x->state == DONE)
                return VN_OK;
        x->state = DONE;
        return end_line(x, ret, err);
}
