/* Checks an export without asking anybody: the checkpoint's signature, each record against its leaf and the leaf against
 * the log's root (audit_lines.c), and that all of it is there: every entry of the range is accounted for, and the end
 * line's manifest is signed with the log's key for exactly the lines before it.
 * The export carries the verifier's key; without --key that only says that the file agrees with itself, so the key is
 * printed, to be compared with one from elsewhere. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/audit_lines.h"
#include "cli/command.h"

#define CHUNK_BYTES 65536
#define MAX_REPORT_BYTES ((size_t)16 << 20)

/* --- lines of the file, each with its newline --- */

struct source {
        FILE *in;
        char chunk[CHUNK_BYTES];
        size_t at, len;
        struct vn_buf line;
};

/* An empty line at the end of the file. */
static enum vn_rc next_line(struct source *s, struct vn_err *err)
{
        vn_buf_reset(&s->line);
        while (!s->line.len || s->line.ptr[s->line.len - 1] != '\n') {
                if (s->at == s->len) {
                        s->at = 0;
                        s->len = fread(s->chunk, 1, sizeof(s->chunk), s->in);
                        if (!s->len)
                                break;
                }
                const char *from = s->chunk + s->at, *newline = memchr(from, '\n', s->len - s->at);
                size_t n = newline ? (size_t)(newline - from) + 1 : s->len - s->at;
                vn_buf_add(&s->line, from, n);
                VN_TRY(vn_buf_check(&s->line, err));
                s->at += n;
        }
        if (ferror(s->in))
                return vn_fail(err, VN_UNAVAILABLE, "the file cannot be read");
        if (s->line.len && s->line.ptr[s->line.len - 1] != '\n')
                return vn_fail(err, VN_DATA_LOSS, "cut off within the line");
        return VN_OK;
}

/* --- the end --- */

/* The one spelling of the line; JSON has others, and a byte that may be changed unseen is one too many. */
static enum vn_rc check_spelling(struct vn_str text, struct vn_str note, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(VN_AUDIT_LINE_BYTES);

        vn_buf_text(&again, "{\"type\":\"end\",\"manifest\":");
        vn_buf_json_string(&again, note);
        vn_buf_text(&again, "}\n");
        if (again.failed || !vn_str_eq(vn_buf_view(&again), text))
                return vn_fail(err, VN_INVALID_ARGUMENT, "the end line is not spelt as the server spells it");
        return VN_OK;
}

static enum vn_rc compare(const struct vn_export_manifest *told, const struct vn_export_manifest *signed_,
                          struct vn_err *err)
{
        if (memcmp(told->sha256, signed_->sha256, sizeof(told->sha256)) || told->lines != signed_->lines)
                return vn_fail(err, VN_DATA_LOSS,
                               "%" PRIu64 " lines were signed, and these are not those: one was changed, left out or "
                               "put in, or this end is of another export",
                               signed_->lines);
        if (strcmp(told->tenant, signed_->tenant) || told->from_us != signed_->from_us ||
            told->to_us != signed_->to_us || told->size != signed_->size ||
            !vn_hash_eq(&told->root, &signed_->root) || told->first != signed_->first || told->end != signed_->end ||
            told->records != signed_->records || told->expired != signed_->expired ||
            told->others != signed_->others || told->missing != signed_->missing)
                return vn_fail(err, VN_DATA_LOSS, "what was signed is not what the lines say: the server erred");
        return VN_OK;
}

static enum vn_rc take_end(struct audit_lines *v, struct vn_digest *digest, json_t *line, struct vn_str text)
{
        struct vn_export_manifest manifest;
        struct vn_str note;

        if (!v->has_header)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "no header before this line");
        VN_TRY(audit_only_members(line, "type manifest", v->err));
        VN_TRY(vn_json_text(line, "manifest", &note, v->err));
        VN_TRY(vn_export_manifest_open(v->key, note, &manifest, v->err));
        VN_TRY(check_spelling(text, note, v->err));
        if (v->next != v->told.end)
                return vn_fail(v->err, VN_DATA_LOSS,
                               "entries %" PRIu64 " to %" PRIu64 " are left out: neither here nor told of", v->next,
                               v->told.end - 1);
        vn_digest_end(digest, v->told.sha256);
        return compare(&v->told, &manifest, v->err);
}

static enum vn_rc take_line(struct audit_lines *v, struct vn_digest *digest, struct vn_str text, const char *key,
                            bool *ended)
{
        static const struct vn_json_limits limits = {VN_AUDIT_LINE_BYTES, 4, 1000};
        VN_AUTO(vn_json)
        line = NULL;
        struct vn_str type;

        if (*ended)
                return vn_fail(v->err, VN_INVALID_ARGUMENT, "a line after the end");
        VN_TRY(vn_json_parse(vn_str_n(text.ptr, text.len - 1), &limits, &line, v->err));
        VN_TRY(vn_json_text(line, "type", &type, v->err));
        *ended = vn_str_eq(type, VN_STR("end"));
        if (*ended)
                return take_end(v, digest, line, text);
        vn_digest_add(digest, text.ptr, text.len);
        v->told.lines++;
        return audit_take_line(v, line, type, key);
}

/* --- the report --- */

static void put_time(struct vn_buf *out, const char *word, int64_t us)
{
        char text[VN_TIME_TEXT_BYTES];

        if (!us)
                return;
        vn_time_format(us, text);
        vn_buf_printf(out, " %s %s", word, text);
}

static enum vn_rc report(const struct audit_lines *v, struct cli_export_report *ret)
{
        const struct vn_export_manifest *m = &v->told;
        char key[VN_NOTE_KEY_TEXT_BYTES];

        ret->manifest = *m;
        vn_note_key_text(v->key, key);
        vn_buf_printf(&ret->text, "verified: %" PRIu64 " records of tenant %s", m->records, m->tenant);
        put_time(&ret->text, "from", m->from_us);
        put_time(&ret->text, "to", m->to_us);
        vn_buf_printf(&ret->text, ", complete: %" PRIu64 " entries accounted for", m->end - m->first);
        if (m->end > m->first)
                vn_buf_printf(&ret->text, ", %" PRIu64 " to %" PRIu64, m->first, m->end - 1);
        vn_buf_printf(&ret->text, " (%" PRIu64 " others, %" PRIu64 " expired)\n", m->others, m->expired);
        for (size_t i = 0; i < v->tombstone_count; i++) {
                const struct audit_tombstone *t = &v->tombstones[i];
                vn_buf_printf(&ret->text,
                              "tombstone %" PRIu64 ": entries %" PRIu64 " to %" PRIu64 ", %" PRIu64
                              " of them expired here: %s (%s)\n",
                              t->seq, t->first, t->last, t->excused, t->rule, t->actor);
        }
        vn_buf_printf(&ret->text, "log of %" PRIu64 " entries, signed by %s\n", m->size, key);
        return vn_buf_check(&ret->text, v->err);
}

static void print_json(const struct vn_export_manifest *m, FILE *out)
{
        VN_AUTO(vn_buf)
        tenant = VN_BUF_INIT(1024);

        vn_buf_json_string(&tenant, vn_str(m->tenant));
        fprintf(out,
                "{\"verified\":true,\"tenant\":%s,\"records\":%" PRIu64 ",\"first\":%" PRIu64 ",\"end\":%" PRIu64
                ",\"others\":%" PRIu64 ",\"expired\":%" PRIu64 "}\n",
                tenant.ptr ? tenant.ptr : "null", m->records, m->first, m->end, m->others, m->expired);
}

enum vn_rc cli_verify_export(FILE *in, const char *key, struct cli_export_report *ret, struct vn_err *err)
{
        struct audit_lines v = {.err = err};
        struct source *source = vn_alloc(sizeof(*source));
        struct vn_digest *digest = vn_digest_new();
        uint64_t number = 0;
        bool ended = false;
        enum vn_rc rc = source && digest ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");

        ret->text = VN_BUF_INIT(MAX_REPORT_BYTES);
        if (source)
                *source = (struct source){.in = in, .line = VN_BUF_INIT(VN_AUDIT_LINE_BYTES)};
        while (rc == VN_OK) {
                number++;
                rc = next_line(source, err);
                if (rc == VN_OK && !source->line.len)
                        break;
                if (rc == VN_OK)
                        rc = take_line(&v, digest, vn_buf_view(&source->line), key, &ended);
        }
        if (rc != VN_OK && source)
                rc = vn_err_prefix(err, rc, "line %" PRIu64, number);
        else if (rc == VN_OK && !ended)
                rc = vn_fail(err, VN_DATA_LOSS,
                             "line %" PRIu64 ": the export ends here, before its end line: it is cut off", number);
        if (rc == VN_OK)
                rc = report(&v, ret);
        if (source)
                vn_buf_done(&source->line);
        vn_free(source);
        vn_digest_free(digest);
        audit_lines_done(&v);
        return rc;
}

enum cli_exit cli_audit_verify(const struct cli_input *in)
{
        const char *key = in->flag_count ? in->flags[0].value : NULL;
        FILE *file = strcmp(in->words[0], "-") ? fopen(in->words[0], "re") : stdin;
        struct cli_export_report found;
        struct vn_err err;
        enum vn_rc rc;

        if (!file) {
                fprintf(in->err, "vanectl: %s: cannot be opened\n", in->words[0]);
                return CLI_FAILED;
        }
        rc = cli_verify_export(file, key, &found, &err);
        if (file != stdin)
                fclose(file);
        if (rc != VN_OK)
                fprintf(in->err, "vanectl: %s: NOT VERIFIED: %s\n", in->words[0], err.msg);
        else if (in->format == CLI_TABLE)
                fputs(found.text.ptr, in->out);
        else
                print_json(&found.manifest, in->out);
        vn_buf_done(&found.text);
        if (rc == VN_OK && !key)
                fputs("The key came with the export; compare it with one from elsewhere, or give --key.\n", in->err);
        return rc == VN_OK ? CLI_DONE : CLI_FAILED;
}
