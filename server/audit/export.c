/* export.c - lines of an export, made one after the other; see audit.h. */
#include "decide/record.h"
#include "server/audit/audit.h"
#include "store/history.h"

#define STEP 256 /* records read at a time */

struct vn_export {
        struct vn_server *server;
        char tenant[VN_MAX_TENANT_BYTES];
        int64_t from_us, to_us;
        struct vn_checkpoint checkpoint;
        enum { HEADER, RECORDS, END, DONE } state;
        uint64_t next_seq, written;
        struct vn_buf lines; /* of the step just read */
        size_t line_at;
        struct vn_err err;
        enum vn_rc rc;
};

enum vn_rc vn_export_new(struct vn_server *server, const char *tenant, int64_t from_us, int64_t to_us,
                         struct vn_export **ret, struct vn_err *err)
{
        struct vn_export *export = vn_alloc(sizeof *export);
        if (!export)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        export->server = server;
        export->from_us = from_us;
        export->to_us = to_us;
        export->lines = VN_BUF_INIT(STEP * VN_EXPORT_LINE_BYTES);
        VN_ASSERT(vn_str_copy(export->tenant, sizeof export->tenant, vn_str(tenant)));
        *ret = export;
        return VN_OK;
}

struct vn_export *vn_export_free(struct vn_export *export)
{
        if (export)
                vn_buf_done(&export->lines);
        vn_free(export);
        return NULL;
}

static enum vn_rc header_line(struct vn_export *x, struct vn_buf *ret, struct vn_err *err)
{
        char key[VN_NOTE_KEY_TEXT_BYTES];
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_TRY(vn_store_flush(x->server->store, err)); /* everything answered before now is in */
        VN_TRY(vn_store_checkpoint_note(x->server->store, &note));
        VN_TRY(vn_checkpoint_open(x->server->log_key, vn_buf_view(&note), &x->checkpoint, err));
        vn_note_key_text(x->server->log_key, key);
        vn_buf_text(ret, "{\"type\":\"header\",\"format\":1,\"checkpoint\":");
        vn_buf_json_string(ret, vn_buf_view(&note));
        vn_buf_text(ret, ",\"key\":");
        vn_buf_json_string(ret, vn_str(key));
        vn_buf_printf(ret, ",\"size\":%llu}\n", (unsigned long long)x->checkpoint.size);
        return vn_buf_check(ret, err);
}

static enum vn_rc record_line(struct vn_export *x, uint64_t seq, struct vn_str bytes, const char *kind,
                              struct vn_err *err)
{
        struct vn_buf *out = &x->lines;
        struct vn_leaf leaf;
        struct vn_proof proof;
        VN_TRY(vn_store_leaf(x->server->store, seq, &leaf, err));
        VN_TRY(vn_store_prove_inclusion(x->server->store, seq, x->checkpoint.size, &proof, err));
        vn_buf_printf(out, "{\"type\":\"record\",\"seq\":%llu,\"kind\":\"%s\",\"record\":\"", (unsigned long long)seq,
                      kind);
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
        return vn_buf_check(out, err);
}

static bool one_record(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct vn_export *x = arg;
        struct vn_record_index index;
        x->rc = vn_record_peek(bytes, &index, &x->err);
        x->next_seq = seq + 1;
        /* Another tenant's record is not this auditor's; its leaf is under the same root all the same. */
        if (x->rc == VN_OK && vn_str_eq(index.tenant, vn_str(x->tenant))) {
                x->rc = record_line(x, seq, bytes, vn_record_kind_name(index.kind), &x->err);
                x->written++;
        }
        return x->rc == VN_OK;
}

static enum vn_rc fill(struct vn_export *x, struct vn_err *err)
{
        struct vn_record_filter filter = {.from_seq = x->next_seq,
                                          .to_seq = x->checkpoint.size,
                                          .from_us = x->from_us,
                                          .to_us = x->to_us,
                                          .limit = STEP};
        uint64_t next = 0, before = x->next_seq;
        vn_buf_reset(&x->lines);
        x->line_at = 0;
        if (x->next_seq >= x->checkpoint.size) {
                x->state = END;
                return VN_OK;
        }
        x->rc = VN_OK;
        VN_TRY(vn_store_records(x->server->store, &filter, one_record, x, &next, err));
        if (x->rc != VN_OK) {
                *err = x->err;
                return x->rc;
        }
        if (next > x->next_seq)
                x->next_seq = next;
        if (x->next_seq == before)
                x->state = END;
        return VN_OK;
}

enum vn_rc vn_export_next(struct vn_export *x, struct vn_buf *ret, bool *ret_more, struct vn_err *err)
{
        *ret_more = true;
        if (x->state == HEADER) {
                x->state = RECORDS;
                return header_line(x, ret, err);
        }
        while (x->state == RECORDS && x->line_at == x->lines.len)
                VN_TRY(fill(x, err));
        if (x->state == RECORDS) {
                struct vn_str rest = vn_str_n(x->lines.ptr + x->line_at, x->lines.len - x->line_at);
                struct vn_str line = vn_str_cut(&rest, '\n');
                x->line_at += line.len + 1;
                vn_buf_str(ret, line);
                vn_buf_char(ret, '\n');
                return vn_buf_check(ret, err);
        }
        if (x->state == END) {
                x->state = DONE;
                vn_buf_printf(ret, "{\"type\":\"end\",\"records\":%llu}\n", (unsigned long long)x->written);
        }
        *ret_more = false;
        return vn_buf_check(ret, err);
}
