#include "cli/audit_lines.h"

#include <inttypes.h>

#include "base/json.h"
#include "decide/record_codec.h"

#define MAX_TOMBSTONES 100000

enum vn_rc audit_only_members(json_t *line, const char *words, struct vn_err *err)
{
        const char *name;
        json_t *value;

        json_object_foreach(line, name, value)
        {
                struct vn_str rest = vn_str(words);
                bool known = false;
                while (rest.ptr && !known)
                        known = vn_str_eq(vn_str_cut(&rest, ' '), vn_str(name));
                if (!known)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%.40s: no such member", name);
        }
        return VN_OK;
}

void audit_lines_done(struct audit_lines *lines)
{
        vn_note_key_free(lines->key);
        vn_free(lines->tombstones);
}

static enum vn_rc take_number(const json_t *line, const char *name, uint64_t *ret, struct vn_err *err)
{
        int64_t n;

        *ret = 0; /* the compiler does not see that a failure ends all */
        VN_TRY(vn_json_i64(line, name, &n, err));
        if (n < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: not negative", name);
        *ret = (uint64_t)n;
        return VN_OK;
}

/* --- the header --- */

static enum vn_rc take_header(struct audit_lines *v, json_t *line, const char *given_key)
{
        struct vn_export_manifest *m = &v->told;
        struct vn_checkpoint checkpoint;
        struct vn_str note, key, tenant;
        uint64_t format, from_us, to_us;

        VN_TRY(audit_only_members(line, "type format tenant from_us to_us first end checkpoint key size", v->err));
        VN_TRY(take_number(line, "format", &format, v->err));
        if (format != 2)
                return vn_fail(v->err, VN_UNIMPLEMENTED, "export format %" PRIu64 "; this vanectl knows 2", format);
        VN_TRY(vn_json_text(line, "checkpoint", &note, v->err));
        VN_TRY(vn_json_text(line, "key", &key, v->err));
        VN_TRY(vn_json_text(line, "tenant", &tenant, v->err));
        VN_TRY(take_number(line, "from_us", &from_us, v->err));
        VN_TRY(take_number(line, "to_us", &to_us, v->err));
        VN_TRY(take_number(line, "first", &m->first, v->err));
        VN_TRY(take_number(line, "end", &m->end, v->err));
        VN_TRY(take_number(line, "size", &m->size, v->err));
        if (given_key && !vn_str_eq(key, vn_str(given_key)))
                return vn_fail(v->err, VN_UNAUTHENTICATED, "the export is signed with %.*s, not with the given key",
                               VN_FMT(key));
        VN_TRY(vn_note_key_parse(key, &v->key, v->err));
        VN_TRY(vn_checkpoint_open(v->key, note, &checkpoint, v->err));
        if (m->size != checkpoint.size)
                return vn_fail(v->err, VN_DATA_LOSS, "size: the checkpoint is of %" PRIu64 " entries",
                               checkpoint.size);
        if (m->first > m->end || m->end > m->size || (!from_us && m->first) || (!to_us && m->end != m->size))
                return vn_fail(v->err, VN_DATA_LOSS, "first, end: not the entries of that time");
        if (!vn_str_copy(m->tenant, sizeof(m->tenant), tenant))
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "tenant: too long");
        m->from_us = (int64_t)from_us;
        m->to_us = (int64_t)to_us;
        m->root = checkpoint.root;
        v->next = m->first;
        v->has_header = true;
        return VN_OK;
}

/* --- entries in their order --- */

static enum vn_rc take_entries(struct audit_lines *v, uint64_t first, uint64_t last)
{
        if (first > v->next)
                return vn_fail(v->err, VN_DATA_LOSS,
                               "entries %" PRIu64 " to %" PRIu64 " are left out: neither here nor told of", v->next,
                               first - 1);
        if (first < v->next || last < first)
                return vn_fail(v->err, VN_DATA_LOSS, "entry %" PRIu64 " is out of order or there twice", first);
        if (last >= v->told.end)
                return vn_fail(v->err, VN_DATA_LOSS, "entry %" PRIu64 " is beyond the export's end", last);
        v->next = last + 1;
        return VN_OK;
}

static struct audit_tombstone *tombstone_for(struct audit_lines *v, uint64_t first, uint64_t last, uint64_t seq)
{
        for (size_t i = 0; i < v->tombstone_count; i++) {
                struct audit_tombstone *t = &v->tombstones[i];
                if (t->first <= first && last <= t->last && (seq == UINT64_MAX || t->seq == seq))
                        return t;
        }
        return NULL;
}

static enum vn_rc take_run(struct audit_lines *v, json_t *line, struct vn_str type)
{
        uint64_t first, last, tombstone;
        bool expired = vn_str_eq(type, VN_STR("expired"));

        VN_TRY(audit_only_members(line, expired ? "type first last tombstone" : "type first last", v->err));
        VN_TRY(take_number(line, "first", &first, v->err));
        VN_TRY(take_number(line, "last", &last, v->err));
        VN_TRY(take_entries(v, first, last));
        if (vn_str_eq(type, VN_STR("missing")))
                return vn_fail(v->err, VN_DATA_LOSS,
                               "the records of entries %" PRIu64 " to %" PRIu64
                               " are gone, and no tombstone says why: the server's store was tampered with",
                               first, last);
        if (!expired) {
                v->told.others += last - first + 1;
                return VN_OK;
        }
        VN_TRY(take_number(line, "tombstone", &tombstone, v->err));
        struct audit_tombstone *t = tombstone_for(v, first, last, tombstone);
        if (!t)
                return vn_fail(v->err, VN_DATA_LOSS,
                               "no tombstone %" PRIu64 " before this line covers entries %" PRIu64 " to %" PRIu64
                               ": tampered with",
                               tombstone, first, last);
        t->excused += last - first + 1;
        v->told.expired += last - first + 1;
        return VN_OK;
}

/* --- records and tombstones --- */

static enum vn_rc take_proof(const json_t *line, struct vn_proof *ret, struct vn_err *err)
{
        json_t *array;

        VN_TRY(vn_json_array(line, "proof", &array, err));
        if (json_array_size(array) > VN_PROOF_MAX)
                return vn_fail(err, VN_INVALID_ARGUMENT, "proof: longer than a proof can be");
        ret->n = json_array_size(array);
        for (size_t i = 0; i < ret->n; i++) {
                const json_t *item = json_array_get(array, i);
                VN_AUTO(vn_buf)
                hash = VN_BUF_INIT(64);
                if (!json_is_string(item) || vn_base64_decode(vn_str(json_string_value(item)), &hash) != VN_OK ||
                    hash.len != VN_HASH_BYTES)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "proof[%zu]: not a hash", i);
                memcpy(ret->hash[i].b, hash.ptr, VN_HASH_BYTES);
        }
        return VN_OK;
}

static enum vn_rc take_bytes(const json_t *line, const char *key, struct vn_buf *ret, struct vn_err *err)
{
        struct vn_str text;

        VN_TRY(vn_json_text(line, key, &text, err));
        if (vn_base64_decode(text, ret) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: not base64", key);
        return VN_OK;
}

/* The record's bytes, once the log is shown to commit to them. */
static enum vn_rc take_proven(struct audit_lines *v, json_t *line, uint64_t *ret_seq, struct vn_buf *ret)
{
        VN_AUTO(vn_buf)
        leaf = VN_BUF_INIT(4096);
        struct vn_record_index index;
        struct vn_proof proof;
        struct vn_hash hash;
        struct vn_str kind;

        VN_TRY(audit_only_members(line, "type seq kind record leaf proof", v->err));
        VN_TRY(take_number(line, "seq", ret_seq, v->err));
        VN_TRY(take_bytes(line, "leaf", &leaf, v->err));
        VN_TRY(take_proof(line, &proof, v->err));
        VN_TRY(take_bytes(line, "record", ret, v->err));
        VN_TRY(vn_record_verify_leaf(vn_buf_view(ret), vn_buf_view(&leaf), v->err));
        VN_TRY(vn_json_text(line, "kind", &kind, v->err));
        VN_TRY(vn_record_peek(vn_buf_view(ret), &index, v->err));
        if (!vn_str_eq(kind, vn_str(vn_record_kind_name(index.kind))))
                return vn_fail(v->err, VN_DATA_LOSS, "kind: the record is a %s", vn_record_kind_name(index.kind));
        hash = vn_tlog_leaf_hash(vn_buf_view(&leaf));
        return vn_tlog_verify_inclusion(*ret_seq, v->told.size, &hash, proof.hash, proof.n, &v->told.root, v->err);
}

static enum vn_rc take_record(struct audit_lines *v, json_t *line)
{
        const struct vn_export_manifest *m = &v->told;
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(VN_AUDIT_LINE_BYTES);
        struct vn_record_index index;
        struct vn_frame frame;
        uint64_t seq;

        VN_TRY(take_number(line, "seq", &seq, v->err));
        VN_TRY(take_entries(v, seq, seq));
        VN_TRY(take_proven(v, line, &seq, &record));
        VN_TRY(vn_record_peek(vn_buf_view(&record), &index, v->err));
        VN_TRY(vn_frame_read(vn_buf_view(&record), &frame, v->err));
        if (!vn_str_eq(index.tenant, vn_str(m->tenant)))
                return vn_fail(v->err, VN_DATA_LOSS, "the record is not of tenant %s", m->tenant);
        if ((m->from_us && index.time_us < m->from_us) || (m->to_us && index.time_us >= m->to_us))
                return vn_fail(v->err, VN_DATA_LOSS, "the record is not of the export's time");
        if (frame.erased && !tombstone_for(v, seq, seq, UINT64_MAX))
                return vn_fail(v->err, VN_DATA_LOSS,
                               "parts of record %" PRIu64 " are erased, and no tombstone says why: tampered with",
                               seq);
        v->told.records++;
        return VN_OK;
}

static enum vn_rc keep_tombstone(struct audit_lines *v, uint64_t seq, const struct vn_record *record)
{
        struct audit_tombstone *t;

        if (record->kind != VN_RECORD_TOMBSTONE || record->first_seq > record->last_seq || record->last_seq >= seq ||
            !record->actor[0])
                return vn_fail(v->err, VN_DATA_LOSS, "entry %" PRIu64 " is no tombstone of earlier entries", seq);
        if (tombstone_for(v, record->first_seq, record->last_seq, seq))
                return vn_fail(v->err, VN_DATA_LOSS, "tombstone %" PRIu64 " is there twice", seq);
        if (v->tombstone_count == v->tombstone_room) {
                size_t room = v->tombstone_room ? 2 * v->tombstone_room : 16;
                t = room > MAX_TOMBSTONES ? NULL : vn_realloc(v->tombstones, room * sizeof(*t));
                if (!t)
                        return vn_fail(v->err, VN_RESOURCE_EXHAUSTED, "more tombstones than there is memory for");
                v->tombstones = t;
                v->tombstone_room = room;
        }
        t = &v->tombstones[v->tombstone_count++];
        *t = (struct audit_tombstone){.seq = seq, .first = record->first_seq, .last = record->last_seq};
        VN_ASSERT(vn_str_copy(t->actor, sizeof(t->actor), vn_str(record->actor)));
        VN_ASSERT(vn_str_copy(t->rule, sizeof(t->rule),
                              vn_str(record->summary[0] ? record->summary : record->subject)));
        return VN_OK;
}

static enum vn_rc take_tombstone(struct audit_lines *v, json_t *line)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_AUDIT_LINE_BYTES);
        struct vn_record *record = vn_alloc(sizeof(*record));
        uint64_t seq = 0;
        enum vn_rc rc;

        if (!record)
                return vn_fail(v->err, VN_RESOURCE_EXHAUSTED, "out of memory");
        rc = take_proven(v, line, &seq, &bytes);
        if (rc == VN_OK)
                rc = vn_record_decode(vn_buf_view(&bytes), record, v->err);
        if (rc == VN_OK)
                rc = keep_tombstone(v, seq, record);
        vn_free(record);
        return rc;
}

enum vn_rc audit_take_line(struct audit_lines *v, json_t *line, struct vn_str type, const char *given_key)
{
        bool header = vn_str_eq(type, VN_STR("header"));

        if (header == v->has_header)
                return vn_fail(v->err, VN_INVALID_ARGUMENT,
                               header ? "a second header" : "no header before this line");
        if (header)
                return take_header(v, line, given_key);
        if (vn_str_eq(type, VN_STR("record")))
                return take_record(v, line);
        if (vn_str_eq(type, VN_STR("tombstone")))
                return take_tombstone(v, line);
        if (vn_str_eq(type, VN_STR("expired")) || vn_str_eq(type, VN_STR("other")) ||
            vn_str_eq(type, VN_STR("missing")))
                return take_run(v, line, type);
        return vn_fail(v->err, VN_INVALID_ARGUMENT, "type: \"%.20s\" is none of an export's", type.ptr);
}
