/* Checks an export without asking anybody: the checkpoint's signature, then for each record that its leaf is made of
 * its bytes and that the leaf stands in the log under the checkpoint's root.
 * The export carries the verifier's key; without --key that only says that the file agrees with itself, so the key is
 * printed, to be compared with one from elsewhere. */
#include <stdlib.h>

#include "base/json.h"
#include "cli/command.h"
#include "decide/record.h"
#include "store/note.h"

#define MAX_LINE_BYTES ((size_t)1 << 20)

struct verifier {
        struct vn_note_key *key;
        struct vn_checkpoint checkpoint;
        bool has_header, ended;
        uint64_t records, next_seq;
        struct vn_err *err;
};

static enum vn_rc take_header(struct verifier *v, const json_t *line, const char *given_key)
{
        struct vn_str note, key;
        int64_t format, size;

        if (v->has_header)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "a second header");
        VN_TRY(vn_json_i64(line, "format", &format, v->err));
        if (format != 1)
                return vn_fail(v->err, VN_UNIMPLEMENTED, "export format %lld; this vanectl knows 1",
                               (long long)format);
        VN_TRY(vn_json_text(line, "checkpoint", &note, v->err));
        VN_TRY(vn_json_text(line, "key", &key, v->err));
        VN_TRY(vn_json_i64(line, "size", &size, v->err));
        if (given_key && !vn_str_eq(key, vn_str(given_key)))
                return vn_fail(v->err, VN_UNAUTHENTICATED, "the export is signed with %.*s, not with the given key",
                               VN_FMT(key));
        VN_TRY(vn_note_key_parse(key, &v->key, v->err));
        VN_TRY(vn_checkpoint_open(v->key, note, &v->checkpoint, v->err));
        if (size < 0 || (uint64_t)size != v->checkpoint.size)
                return vn_fail(v->err, VN_DATA_LOSS, "the header's size is not the checkpoint's");
        v->has_header = true;
        return VN_OK;
}

static enum vn_rc take_proof(struct verifier *v, const json_t *line, struct vn_proof *ret)
{
        json_t *array;

        VN_TRY(vn_json_array(line, "proof", &array, v->err));
        if (json_array_size(array) > VN_PROOF_MAX)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "proof: longer than a proof can be");
        ret->n = json_array_size(array);
        for (size_t i = 0; i < ret->n; i++) {
                const json_t *item = json_array_get(array, i);
                VN_AUTO(vn_buf)
                hash = VN_BUF_INIT(64);
                if (!json_is_string(item) || vn_base64_decode(vn_str(json_string_value(item)), &hash) != VN_OK ||
                    hash.len != VN_HASH_BYTES)
                        return vn_fail(v->err, VN_INVALID_ARGUMENT, "proof[%zu]: not a hash", i);
                memcpy(ret->hash[i].b, hash.ptr, VN_HASH_BYTES);
        }
        return VN_OK;
}

static enum vn_rc take_bytes(struct verifier *v, const json_t *line, const char *key, struct vn_buf *ret)
{
        struct vn_str text;

        VN_TRY(vn_json_text(line, key, &text, v->err));
        if (vn_base64_decode(text, ret) != VN_OK)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "%s: not base64", key);
        return VN_OK;
}

/* A member that nobody checks could say anything. */
static enum vn_rc check_members(struct verifier *v, json_t *line)
{
        static const char *const known[] = {"type", "seq", "kind", "record", "leaf", "proof"};
        const char *name;
        json_t *value;

        json_object_foreach(line, name, value)
        {
                size_t i = 0;
                while (i < 6 && strcmp(known[i], name))
                        i++;
                if (i == 6)
                        return vn_fail(v->err, VN_INVALID_ARGUMENT, "%.40s: no such member", name);
        }
        return VN_OK;
}

static enum vn_rc check_kind(struct verifier *v, const json_t *line, struct vn_str record)
{
        struct vn_record_index index;
        struct vn_str kind;

        VN_TRY(vn_json_text(line, "kind", &kind, v->err));
        VN_TRY(vn_record_peek(record, &index, v->err));
        if (!vn_str_eq(kind, vn_str(vn_record_kind_name(index.kind))))
                return vn_fail(v->err, VN_DATA_LOSS, "kind: the record is a %s", vn_record_kind_name(index.kind));
        return VN_OK;
}

static enum vn_rc take_record(struct verifier *v, json_t *line)
{
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(MAX_LINE_BYTES);
        VN_AUTO(vn_buf)
        leaf = VN_BUF_INIT(4096);
        struct vn_proof proof;
        struct vn_hash hash;
        int64_t seq;

        if (!v->has_header || v->ended)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "a record outside of header and end");
        VN_TRY(check_members(v, line));
        VN_TRY(vn_json_i64(line, "seq", &seq, v->err));
        if (seq < 0 || (uint64_t)seq < v->next_seq)
                return vn_fail(v->err, VN_DATA_LOSS, "record %lld is out of order or there twice", (long long)seq);
        v->next_seq = (uint64_t)seq + 1;
        VN_TRY(take_bytes(v, line, "leaf", &leaf));
        VN_TRY(take_proof(v, line, &proof));
        VN_TRY(take_bytes(v, line, "record", &record));
        VN_TRY(vn_record_verify_leaf(vn_buf_view(&record), vn_buf_view(&leaf), v->err));
        VN_TRY(check_kind(v, line, vn_buf_view(&record)));
        hash = vn_tlog_leaf_hash(vn_buf_view(&leaf));
        VN_TRY(vn_tlog_verify_inclusion((uint64_t)seq, v->checkpoint.size, &hash, proof.hash, proof.n,
                                        &v->checkpoint.root, v->err));
        v->records++;
        return VN_OK;
}

static enum vn_rc take_end(struct verifier *v, const json_t *line)
{
        int64_t records;

        VN_TRY(vn_json_i64(line, "records", &records, v->err));
        if (!v->has_header || v->ended)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "an end without a header, or a second one");
        if (records < 0 || (uint64_t)records != v->records)
                return vn_fail(v->err, VN_DATA_LOSS, "%llu records are here, the end says %lld",
                               (unsigned long long)v->records, (long long)records);
        v->ended = true;
        return VN_OK;
}

static enum vn_rc take_line(struct verifier *v, struct vn_str text, const char *key)
{
        static const struct vn_json_limits limits = {MAX_LINE_BYTES, 4, 1000};
        VN_AUTO(vn_json)
        line = NULL;
        struct vn_str type;

        VN_TRY(vn_json_parse(text, &limits, &line, v->err));
        VN_TRY(vn_json_text(line, "type", &type, v->err));
        if (vn_str_eq(type, VN_STR("record")))
                return take_record(v, line);
        if (vn_str_eq(type, VN_STR("header")))
                return take_header(v, line, key);
        if (vn_str_eq(type, VN_STR("end")))
                return take_end(v, line);
        return vn_fail(v->err, VN_INVALID_ARGUMENT, "type: neither header, record nor end");
}

enum vn_rc cli_verify_export(FILE *in, const char *key, uint64_t *ret_records, char *ret_head, size_t head_bytes,
                             struct vn_err *err)
{
        struct verifier v = {.err = err};
        char *line = NULL, text[VN_NOTE_KEY_TEXT_BYTES];
        size_t room = 0;
        ssize_t n;
        uint64_t number = 0;
        enum vn_rc rc = VN_OK;

        while (rc == VN_OK && (n = getline(&line, &room, in)) > 0) {
                number++;
                if (line[n - 1] == '\n')
                        n--;
                rc = take_line(&v, vn_str_n(line, (size_t)n), key);
        }
        free(line); /* getline's */
        if (rc != VN_OK)
                rc = vn_err_prefix(err, rc, "line %llu", (unsigned long long)number);
        else if (!v.ended)
                rc = vn_fail(err, VN_DATA_LOSS, "the export ends before its end line: it is cut off");
        if (rc == VN_OK) {
                vn_note_key_text(v.key, text);
                snprintf(ret_head, head_bytes, "%llu records proven in the log of %llu entries signed by %s",
                         (unsigned long long)v.records, (unsigned long long)v.checkpoint.size, text);
                *ret_records = v.records;
        }
        vn_note_key_free(v.key);
        return rc;
}

enum cli_exit cli_audit_verify(const struct cli_input *in)
{
        const char *key = in->flag_count ? in->flags[0].value : NULL;
        FILE *file = strcmp(in->words[0], "-") ? fopen(in->words[0], "re") : stdin;
        char head[VN_NOTE_KEY_TEXT_BYTES + 128];
        struct vn_err err;
        uint64_t records;
        enum vn_rc rc;

        if (!file) {
                fprintf(in->err, "vanectl: %s: cannot be opened\n", in->words[0]);
                return CLI_FAILED;
        }
        rc = cli_verify_export(file, key, &records, head, sizeof(head), &err);
        if (file != stdin)
                fclose(file);
        if (rc != VN_OK) {
                fprintf(in->err, "vanectl: %s: NOT VERIFIED: %s\n", in->words[0], err.msg);
                return CLI_FAILED;
        }
        if (in->format == CLI_TABLE)
                fprintf(in->out, "verified: %s\n", head);
        else
                fprintf(in->out, "{\"verified\":true,\"records\":%llu}\n", (unsigned long long)records);
        if (!key)
                fputs("The key came with the export; compare it with one from elsewhere, or give --key.\n", in->err);
        return CLI_DONE;
}
