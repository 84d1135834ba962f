#include "store/manifest.h"

#include <string.h>

#define EXPORT_TYPE "/export/v1"
#define BACKUP_TYPE "/backup/v1"

/* --- lines of "word value", read in their order --- */
struct lines {
        struct vn_str rest;
        bool bad;
};

static struct vn_str value(struct lines *in, const char *word)
{
        struct vn_str line = in->rest.ptr ? vn_str_cut(&in->rest, '\n') : in->rest;
        struct vn_str name = line.ptr ? vn_str_cut(&line, ' ') : line;
        if (!line.ptr || !vn_str_eq(name, vn_str(word)))
                in->bad = true;
        return in->bad ? VN_STR("") : line;
}

static uint64_t number(struct lines *in, const char *word)
{
        uint64_t ret = 0;
        struct vn_str text = value(in, word);
        in->bad = in->bad || vn_str_to_u64(text, &ret) != VN_OK;
        return ret;
}

static int64_t time_of(struct lines *in, const char *word)
{
        uint64_t us = number(in, word);
        in->bad = in->bad || us > INT64_MAX;
        return (int64_t)us;
}

static void bytes32(struct lines *in, const char *word, uint8_t ret[32])
{
        VN_AUTO(vn_buf)
        raw = VN_BUF_INIT(64);
        struct vn_str text = value(in, word);
        in->bad = in->bad || vn_base64_decode(text, &raw) != VN_OK || raw.len != 32;
        if (!in->bad)
                memcpy(ret, raw.ptr, 32);
}

static void put_bytes32(struct vn_buf *out, const char *word, const uint8_t bytes[32])
{
        vn_buf_printf(out, "%s ", word);
        vn_buf_base64(out, bytes, 32);
        vn_buf_char(out, '\n');
}

/* --- the note around them --- */
static enum vn_rc sign(const struct vn_note_key *key, const struct vn_buf *text, struct vn_buf *ret,
                       struct vn_err *err)
{
        VN_TRY(vn_buf_check(text, err));
        return vn_note_sign(key, vn_buf_view(text), ret, err);
}

/* Exactly one signature, in the one spelling that signing gives it: base64 has others for the same bytes, and a note may
 * carry lines by keys that nobody asks about. */
static bool one_signature(const struct vn_note_key *key, struct vn_str note, struct vn_str text)
{
        VN_AUTO(vn_buf)
        raw = VN_BUF_INIT(256);
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        vn_buf_printf(&again, "\n\u2014 %s ", vn_note_key_name(key));
        struct vn_str tail = vn_str_n(note.ptr + text.len, note.len - text.len);
        if (tail.len <= again.len + 1 ||
            vn_base64_decode(vn_str_n(tail.ptr + again.len, tail.len - again.len - 1), &raw) != VN_OK)
                return false;
        vn_buf_base64(&again, raw.ptr, raw.len);
        vn_buf_char(&again, '\n');
        return !again.failed && vn_str_eq(vn_buf_view(&again), tail);
}

static enum vn_rc unseal(const struct vn_note_key *key, struct vn_str note, const char *type, struct lines *ret,
                         struct vn_str *ret_text, struct vn_err *err)
{
        VN_TRY(vn_note_verify(key, note, ret_text, err));
        struct vn_str name = vn_str(vn_note_key_name(key));
        *ret = (struct lines){.rest = *ret_text};
        struct vn_str first = vn_str_cut(&ret->rest, '\n');
        if (!vn_str_starts(first, name) ||
            !vn_str_eq(vn_str_n(first.ptr + name.len, first.len - name.len), vn_str(type)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "signed, but as \"%.*s\", not as %s%s",
                               first.len < 80 ? (int)first.len : 80, first.ptr, name.ptr, type);
        if (!one_signature(key, note, *ret_text))
                return vn_fail(err, VN_INVALID_ARGUMENT, "the signature is not spelt as it is when made");
        return VN_OK;
}

static enum vn_rc same_text(const struct lines *in, const struct vn_buf *again, struct vn_str text,
                            struct vn_err *err)
{
        if (in->bad || again->failed || !vn_str_eq(vn_buf_view(again), text))
                return vn_fail(err, VN_INVALID_ARGUMENT, "signed, but not a manifest that this program knows");
        return VN_OK;
}

/* --- exports --- */
static void export_text(const char *name, const struct vn_export_manifest *m, struct vn_buf *out)
{
        vn_buf_printf(out, "%s" EXPORT_TYPE "\ntenant %s\nfrom_us %lld\nto_us %lld\nsize %llu\n", name, m->tenant,
                      (long long)m->from_us, (long long)m->to_us, (unsigned long long)m->size);
        put_bytes32(out, "root", m->root.b);
        vn_buf_printf(out,
                      "first %llu\nend %llu\nrecords %llu\nexpired %llu\nothers %llu\nmissing %llu\nlines %llu\n",
                      (unsigned long long)m->first, (unsigned long long)m->end, (unsigned long long)m->records,
                      (unsigned long long)m->expired, (unsigned long long)m->others, (unsigned long long)m->missing,
                      (unsigned long long)m->lines);
        put_bytes32(out, "sha256", m->sha256);
}

enum vn_rc vn_export_manifest_sign(const struct vn_note_key *key, const struct vn_export_manifest *m,
                                   struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        export_text(vn_note_key_name(key), m, &text);
        return sign(key, &text, ret, err);
}

enum vn_rc vn_export_manifest_open(const struct vn_note_key *key, struct vn_str note, struct vn_export_manifest *ret,
                                   struct vn_err *err)
{
        struct lines in = {.bad = false};
        struct vn_str text;
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_TRY(unseal(key, note, EXPORT_TYPE, &in, &text, err));
        if (!vn_str_copy(ret->tenant, sizeof ret->tenant, value(&in, "tenant")))
                in.bad = true;
        ret->from_us = time_of(&in, "from_us");
        ret->to_us = time_of(&in, "to_us");
        ret->size = number(&in, "size");
        bytes32(&in, "root", ret->root.b);
        ret->first = number(&in, "first");
        ret->end = number(&in, "end");
        ret->records = number(&in, "records");
        ret->expired = number(&in, "expired");
        ret->others = number(&in, "others");
        ret->missing = number(&in, "missing");
        ret->lines = number(&in, "lines");
        bytes32(&in, "sha256", ret->sha256);
        if (!in.bad)
                export_text(vn_note_key_name(key), ret, &again);
        return same_text(&in, &again, text, err);
}

/* --- backups --- */
static void backup_text(const char *name, const struct vn_backup_manifest *m, struct vn_buf *out)
{
        vn_buf_printf(out,
                      "%s" BACKUP_TYPE "\nkey %s\ntime_us %lld\nbytes %llu\nfiles %llu\nrecords %llu\nsize %llu\n",
                      name, m->key, (long long)m->time_us, (unsigned long long)m->bytes, (unsigned long long)m->files,
                      (unsigned long long)m->records, (unsigned long long)m->size);
        put_bytes32(out, "root", m->root.b);
        put_bytes32(out, "sha256", m->sha256);
}

enum vn_rc vn_backup_manifest_sign(const struct vn_note_key *key, const struct vn_backup_manifest *m,
                                   struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        backup_text(vn_note_key_name(key), m, &text);
        return sign(key, &text, ret, err);
}

enum vn_rc vn_backup_manifest_open(struct vn_str note, struct vn_backup_manifest *ret, struct vn_err *err)
{
        struct lines in = {.rest = note};
        struct vn_str text;
        VN_AUTO(vn_note_key)
        key = NULL;
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        vn_str_cut(&in.rest, '\n');
        if (!vn_str_copy(ret->key, sizeof ret->key, value(&in, "key")) || in.bad)
                return vn_fail(err, VN_INVALID_ARGUMENT, "no backup's manifest");
        VN_TRY(vn_note_key_parse(vn_str(ret->key), &key, err));
        VN_TRY(unseal(key, note, BACKUP_TYPE, &in, &text, err));
        value(&in, "key");
        ret->time_us = time_of(&in, "time_us");
        ret->bytes = number(&in, "bytes");
        ret->files = number(&in, "files");
        ret->records = number(&in, "records");
        ret->size = number(&in, "size");
        bytes32(&in, "root", ret->root.b);
        bytes32(&in, "sha256", ret->sha256);
        if (!in.bad)
                backup_text(vn_note_key_name(key), ret, &again);
        return same_text(&in, &again, text, err);
}
