#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "cli/command.h"
#include "decide/record.h"
#include "tests/test.h"

/* An export as the server makes it, of a log of eight entries with every kind of line, made with a key of the test. */
#define ENTRIES 8
#define MAX_LINES 100000
struct export
{
        struct vn_note_key *key;
        char key_text[VN_NOTE_KEY_TEXT_BYTES];
        uint8_t record[ENTRIES][VN_RECORD_MAX_BYTES], leaf[ENTRIES][VN_RECORD_LEAF_BYTES];
        size_t record_len[ENTRIES];
        struct vn_hash hash[ENTRIES];
        struct vn_export_manifest manifest;
        struct vn_buf text;
};
enum { ERASED = 6, TOMBSTONE_OF_EXPIRY = 5, TOMBSTONE_OF_ERASURE = 7 };

static enum vn_rc read_hashes(void *arg, unsigned level, uint64_t first, size_t count, struct vn_hash *ret,
                              struct vn_err *err)
{
        struct export *x = arg;
        CHECK(level == 0 && first + count <= ENTRIES);
        memcpy(ret, x->hash + first, count * sizeof(*ret));
        (void)err;
        return VN_OK;
}

static void make_record(struct export *x, unsigned seq)
{
        struct vn_record *r = vn_alloc(sizeof(*r));

        CHECK(r);
        *r = (struct vn_record){.kind = VN_RECORD_POLICY, .id = {1, VN_CONTROL_LOOP, seq}, .time_us = 1000 + seq};
        r->decide_version = VN_DECIDE_VERSION;
        r->seed[0] = (uint8_t)seq;
        snprintf(r->workload, sizeof(r->workload), "workload-%u", seq);
        snprintf(r->tenant, sizeof(r->tenant), "%s", seq == 1 ? "elsewhere" : "default");
        snprintf(r->actor, sizeof(r->actor), "%s", "system:retention");
        if (seq == TOMBSTONE_OF_EXPIRY || seq == TOMBSTONE_OF_ERASURE) {
                r->kind = VN_RECORD_TOMBSTONE;
                r->first_seq = seq == TOMBSTONE_OF_EXPIRY ? 3 : ERASED;
                r->last_seq = seq == TOMBSTONE_OF_EXPIRY ? 4 : ERASED;
                r->count = r->last_seq - r->first_seq + 1;
                snprintf(r->subject, sizeof(r->subject), "kept for 30 d");
        }
        CHECK_OK(vn_record_encode(r, x->record[seq], VN_RECORD_MAX_BYTES, &x->record_len[seq], NULL));
        CHECK_OK(vn_record_leaf(vn_str_n(x->record[seq], x->record_len[seq]), x->leaf[seq], NULL));
        x->hash[seq] = vn_tlog_leaf_hash(vn_str_n(x->leaf[seq], VN_RECORD_LEAF_BYTES));
        if (seq == ERASED) {
                uint8_t whole[VN_RECORD_MAX_BYTES];
                memcpy(whole, x->record[seq], x->record_len[seq]);
                CHECK_OK(vn_record_redact(vn_str_n(whole, x->record_len[seq]), 1u << VN_GROUP_QUESTION,
                                          x->record[seq], VN_RECORD_MAX_BYTES, &x->record_len[seq], NULL));
        }
        vn_free(r);
}

static void put_header(struct export *x)
{
        struct vn_export_manifest *m = &x->manifest;
        struct vn_tlog_reader reader = {read_hashes, x};
        struct vn_checkpoint checkpoint = {.size = ENTRIES};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);

        CHECK(vn_str_copy(checkpoint.origin, sizeof(checkpoint.origin), VN_STR("vane.test/log")));
        CHECK_OK(vn_tlog_root(&reader, ENTRIES, &checkpoint.root, NULL));
        CHECK_OK(vn_checkpoint_format(&checkpoint, &text));
        CHECK_OK(vn_note_sign(x->key, vn_buf_view(&text), &note, NULL));
        m->size = m->end = ENTRIES;
        m->root = checkpoint.root;
        CHECK(vn_str_copy(m->tenant, sizeof(m->tenant), VN_STR("default")));
        vn_buf_text(&x->text, "{\"type\":\"header\",\"format\":2,\"tenant\":\"default\",\"from_us\":0,\"to_us\":0,"
                              "\"first\":0,\"end\":8,\"checkpoint\":");
        vn_buf_json_string(&x->text, vn_buf_view(&note));
        vn_buf_printf(&x->text, ",\"key\":\"%s\",\"size\":8}\n", x->key_text);
        m->lines = 1;
}

static void put_record(struct export *x, const char *type, unsigned seq)
{
        struct vn_tlog_reader reader = {read_hashes, x};
        struct vn_record_index index;
        struct vn_proof proof;
        struct vn_buf *out = &x->text;

        CHECK_OK(vn_record_peek(vn_str_n(x->record[seq], x->record_len[seq]), &index, NULL));
        CHECK_OK(vn_tlog_prove_inclusion(&reader, seq, ENTRIES, &proof, NULL));
        vn_buf_printf(out, "{\"type\":\"%s\",\"seq\":%u,\"kind\":\"%s\",\"record\":\"", type, seq,
                      vn_record_kind_name(index.kind));
        vn_buf_base64(out, x->record[seq], x->record_len[seq]);
        vn_buf_text(out, "\",\"leaf\":\"");
        vn_buf_base64(out, x->leaf[seq], VN_RECORD_LEAF_BYTES);
        vn_buf_text(out, "\",\"proof\":[");
        for (size_t i = 0; i < proof.n; i++) {
                vn_buf_text(out, i ? ",\"" : "\"");
                vn_buf_base64(out, proof.hash[i].b, VN_HASH_BYTES);
                vn_buf_char(out, '"');
        }
        vn_buf_text(out, "]}\n");
        x->manifest.lines++;
        x->manifest.records += !strcmp(type, "record");
}

static void put_run(struct export *x, const char *type, unsigned first, unsigned last, const char *more)
{
        vn_buf_printf(&x->text, "{\"type\":\"%s\",\"first\":%u,\"last\":%u%s}\n", type, first, last, more);
        x->manifest.lines++;
        *(*type == 'o'   ? &x->manifest.others
          : *type == 'e' ? &x->manifest.expired
                         : &x->manifest.missing) += last - first + 1;
}

static void put_end(struct export *x)
{
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);

        vn_sha256(x->text.ptr, x->text.len, x->manifest.sha256);
        CHECK_OK(vn_export_manifest_sign(x->key, &x->manifest, &note, NULL));
        vn_buf_text(&x->text, "{\"type\":\"end\",\"manifest\":");
        vn_buf_json_string(&x->text, vn_buf_view(&note));
        vn_buf_text(&x->text, "}\n");
        CHECK_OK(vn_buf_check(&x->text, NULL));
}

static struct export *begin(void)
{
        struct export *x = vn_alloc(sizeof(*x));

        CHECK(x);
        CHECK_OK(vn_note_key_generate("vane.test/log", &x->key, NULL));
        vn_note_key_text(x->key, x->key_text);
        x->text = VN_BUF_INIT(1 << 20);
        for (unsigned i = 0; i < ENTRIES; i++)
                make_record(x, i);
        put_header(x);
        return x;
}

static struct export *make(void)
{
        struct export *x = begin();

        put_record(x, "record", 0);
        put_run(x, "other", 1, 1, "");
        put_record(x, "record", 2);
        put_record(x, "tombstone", TOMBSTONE_OF_EXPIRY);
        put_run(x, "expired", 3, 4, ",\"tombstone\":5");
        put_record(x, "record", 5);
        put_record(x, "tombstone", TOMBSTONE_OF_ERASURE);
        put_record(x, "record", ERASED);
        put_record(x, "record", 7);
        put_end(x);
        return x;
}

static void unmake(struct export *x)
{
        vn_buf_done(&x->text);
        vn_note_key_free(x->key);
        vn_free(x);
}

static enum vn_rc verify(struct vn_str text, const char *key, struct cli_export_report *ret, struct vn_err *err)
{
        char empty = 0;
        FILE *in = text.len ? fmemopen((void *)(uintptr_t)text.ptr, text.len, "r") : fmemopen(&empty, 1, "w+");
        CHECK(in);
        enum vn_rc rc = cli_verify_export(in, key, ret, err);
        fclose(in);
        return rc;
}

static enum vn_rc verify_only(struct vn_str text, struct vn_err *err)
{
        struct cli_export_report found;
        enum vn_rc rc = verify(text, NULL, &found, err);
        vn_buf_done(&found.text);
        return rc;
}

TEST(audit_verify_accepts_a_whole_export)
{
        struct export *x = make(), *other = make();
        struct cli_export_report found;
        struct vn_err err;

        CHECK_OK(verify(vn_buf_view(&x->text), x->key_text, &found, &err));
        CHECK_INT(5, found.manifest.records);
        CHECK_INT(2, found.manifest.expired);
        CHECK(strstr(found.text.ptr, "5 records of tenant default") && strstr(found.text.ptr, x->key_text));
        CHECK(strstr(found.text.ptr, "tombstone 5: entries 3 to 4, 2 of them expired here: kept for 30 d"));
        vn_buf_done(&found.text);
        CHECK_RC(VN_UNAUTHENTICATED, verify(vn_buf_view(&x->text), other->key_text, &found, &err));
        vn_buf_done(&found.text);
        unmake(x);
        unmake(other);
}

/* --- what even the server's signature does not make right --- */
static void refused(struct export *x, const char *message)
{
        struct vn_err err;
        put_end(x);
        CHECK_RC(VN_DATA_LOSS, verify_only(vn_buf_view(&x->text), &err));
        if (!strstr(err.msg, message) || !strstr(err.msg, "line "))
                test_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", err.msg, message);
        unmake(x);
}

TEST(audit_verify_wants_every_entry_accounted_for)
{
        struct export *x = begin();
        put_record(x, "record", 0);
        put_record(x, "record", 2);
        refused(x, "line 3: entries 1 to 1 are left out");

        x = begin();
        put_run(x, "other", 1, 7, "");
        refused(x, "line 2: entries 0 to 0 are left out");

        x = begin();
        put_run(x, "other", 0, 6, "");
        refused(x, "line 3: entries 7 to 7 are left out");

        x = begin();
        put_run(x, "other", 0, 1, "");
        put_run(x, "other", 1, 7, "");
        refused(x, "line 3: entry 1 is out of order or there twice");

        x = begin();
        put_run(x, "other", 0, 8, "");
        refused(x, "line 2: entry 8 is beyond the export's end");

        x = begin();
        put_run(x, "other", 0, 7, "");
        x->manifest.others = 7;
        refused(x, "the server erred");

        x = begin();
        put_run(x, "other", 0, 0, "");
        put_record(x, "record", 1);
        refused(x, "line 3: the record is not of tenant default");
}

TEST(audit_verify_wants_a_tombstone_for_what_is_gone)
{
        struct export *x = begin();
        put_run(x, "missing", 0, 7, "");
        refused(x, "the server's store was tampered with");

        x = begin(); /* no tombstone */
        put_run(x, "other", 0, 2, "");
        put_run(x, "expired", 3, 4, ",\"tombstone\":5");
        refused(x, "line 3: no tombstone 5");

        x = begin(); /* one of other entries */
        put_run(x, "other", 0, 2, "");
        put_record(x, "tombstone", TOMBSTONE_OF_ERASURE);
        put_run(x, "expired", 3, 4, ",\"tombstone\":7");
        refused(x, "line 4: no tombstone 7");

        x = begin(); /* one of fewer entries */
        put_run(x, "other", 0, 1, "");
        put_record(x, "tombstone", TOMBSTONE_OF_EXPIRY);
        put_run(x, "expired", 2, 4, ",\"tombstone\":5");
        refused(x, "line 4: no tombstone 5");

        x = begin(); /* not a tombstone at all */
        put_record(x, "tombstone", 0);
        refused(x, "line 2: entry 0 is no tombstone");

        x = begin(); /* a part of a record erased */
        put_run(x, "other", 0, 5, "");
        put_record(x, "record", ERASED);
        refused(x, "parts of record 6 are erased");
}

/* --- the manifest is nothing else that the key signs, and nothing else is it --- */
TEST(audit_manifest_is_no_checkpoint_and_no_backup)
{
        struct export *x = make();
        struct vn_backup_manifest backup = {.size = 1};
        struct vn_export_manifest m;
        struct vn_checkpoint checkpoint = {.size = 8};
        struct vn_err err;
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_NOTE_MAX_BYTES);

        CHECK_OK(vn_export_manifest_sign(x->key, &x->manifest, &note, NULL));
        CHECK_OK(vn_export_manifest_open(x->key, vn_buf_view(&note), &m, NULL));
        CHECK(!memcmp(&m.sha256, x->manifest.sha256, sizeof(m.sha256)) && m.records == 5);
        CHECK(vn_checkpoint_open(x->key, vn_buf_view(&note), &checkpoint, NULL) != VN_OK);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_backup_manifest_open(vn_buf_view(&note), &backup, NULL));

        struct vn_note_key *witness;
        CHECK_OK(vn_note_key_generate("witness.test", &witness, NULL));
        CHECK_OK(vn_note_sign(witness, vn_str_n(note.ptr, (size_t)(strstr(note.ptr, "\n\n") + 1 - note.ptr)), &text,
                              NULL));
        vn_buf_text(&note, strstr(text.ptr, "\n\n") + 2); /* a second signature, which a checkpoint may have */
        CHECK_RC(VN_INVALID_ARGUMENT, vn_export_manifest_open(x->key, vn_buf_view(&note), &m, &err));
        CHECK(strstr(err.msg, "not spelt"));
        vn_note_key_free(witness);

        vn_buf_reset(&note);
        vn_buf_reset(&text);
        CHECK(vn_str_copy(checkpoint.origin, sizeof(checkpoint.origin), VN_STR("vane.test/log")));
        CHECK_OK(vn_checkpoint_format(&checkpoint, &text));
        CHECK_OK(vn_note_sign(x->key, vn_buf_view(&text), &note, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_export_manifest_open(x->key, vn_buf_view(&note), &m, &err));
        CHECK(strstr(err.msg, "signed, but as"));

        vn_buf_reset(&note);
        CHECK(vn_str_copy(backup.key, sizeof(backup.key), vn_str(x->key_text)));
        CHECK_OK(vn_backup_manifest_sign(x->key, &backup, &note, NULL));
        CHECK_OK(vn_backup_manifest_open(vn_buf_view(&note), &backup, NULL));
        CHECK(vn_checkpoint_open(x->key, vn_buf_view(&note), &checkpoint, NULL) != VN_OK);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_export_manifest_open(x->key, vn_buf_view(&note), &m, NULL));
        unmake(x);
}

/* --- every single change of a whole export is refused --- */
struct mutants {
        struct vn_str line[MAX_LINES]; /* with their newlines */
        size_t lines, tried;
        struct vn_buf text;
        struct vn_rng rng;
};

static void must_refuse(struct mutants *m, const char *what, size_t line)
{
        struct vn_err err = {.msg = ""};
        CHECK_OK(vn_buf_check(&m->text, NULL));
        m->tried++;
        if (verify_only(vn_buf_view(&m->text), &err) == VN_OK)
                test_fail(__FILE__, __LINE__, "accepted: %s of line %zu", what, line + 1);
        if (!strstr(err.msg, "line "))
                test_fail(__FILE__, __LINE__, "%s of line %zu: no line number in \"%s\"", what, line + 1, err.msg);
        vn_buf_reset(&m->text);
}

static void put_lines(struct mutants *m, size_t from, size_t to)
{
        if (from < to)
                vn_buf_add(&m->text, m->line[from].ptr,
                           (size_t)(m->line[to - 1].ptr + m->line[to - 1].len - m->line[from].ptr));
}

static void mutate_lines(struct mutants *m)
{
        for (size_t i = 0; i < m->lines; i++) {
                put_lines(m, 0, i);
                put_lines(m, i + 1, m->lines);
                must_refuse(m, "the loss", i);

                put_lines(m, 0, i + 1);
                put_lines(m, i, m->lines);
                must_refuse(m, "doubling", i);

                size_t with = i + 1 < m->lines && i % 2 ? i + 1 : (size_t)vn_rng_below(&m->rng, m->lines);
                if (with != i) {
                        size_t low = with < i ? with : i, high = with < i ? i : with;
                        put_lines(m, 0, low);
                        put_lines(m, high, high + 1);
                        put_lines(m, low + 1, high);
                        put_lines(m, low, low + 1);
                        put_lines(m, high + 1, m->lines);
                        must_refuse(m, "a swap", i);
                }
                put_lines(m, 0, i);
                must_refuse(m, "a cut before", i);

                put_lines(m, 0, i);
                vn_buf_add(&m->text, m->line[i].ptr, 1 + (size_t)vn_rng_below(&m->rng, m->line[i].len - 1));
                must_refuse(m, "a cut within", i);
        }
}

static void flip_bit(struct mutants *m, size_t line, size_t at, unsigned bit)
{
        put_lines(m, 0, m->lines);
        char *byte = m->text.ptr + (m->line[line].ptr - m->line[0].ptr) + at;
        *byte = (char)(*byte ^ (1 << bit));
        must_refuse(m, "a flipped byte", line);
}

static void flip(struct mutants *m, size_t line, size_t at)
{
        flip_bit(m, line, at, (unsigned)vn_rng_below(&m->rng, 8));
}

/* Some bytes of the name and of the value of each member; members follow a '{' or a ',' outside of texts. */
static void flip_members(struct mutants *m, size_t line)
{
        struct vn_str text = m->line[line];
        bool quoted = false;
        size_t from = 0;
        for (size_t i = 1; i < text.len; i++) {
                quoted ^= text.ptr[i] == '"' && text.ptr[i - 1] != '\\';
                if (quoted || (text.ptr[i] != ',' && text.ptr[i] != '\n'))
                        continue;
                for (int n = 0; n < 4; n++)
                        flip(m, line, from + (size_t)vn_rng_below(&m->rng, i - from + 1));
                from = i;
        }
}

static bool is_first_of_its_type(const struct mutants *m, size_t line)
{
        for (size_t i = 0; i < line; i++)
                if (m->line[i].len > 14 && m->line[line].len > 14 && !memcmp(m->line[i].ptr, m->line[line].ptr, 14))
                        return false;
        return true;
}

/* The end line is the one that no digest covers: each byte of it, and each bit where base64 has bits that mean nothing. */
static void mutate_bytes(struct mutants *m)
{
        for (size_t i = 0; i < m->lines; i++)
                if (is_first_of_its_type(m, i) || vn_rng_below(&m->rng, m->lines) < 4)
                        flip_members(m, i);
        size_t length = m->line[m->lines - 1].len;
        for (size_t at = 0; at < length; at++)
                flip(m, m->lines - 1, at);
        for (size_t at = length - 10; at < length; at++)
                for (unsigned bit = 0; bit < 8; bit++)
                        flip_bit(m, m->lines - 1, at, bit);
}

/* VANE_AUDIT_EXPORT names an export of a real server; without it, the test's own is changed. */
TEST(audit_verify_refuses_every_single_change)
{
        const char *path = getenv("VANE_AUDIT_EXPORT");
        struct mutants *m = vn_alloc(sizeof(*m));
        struct export *x = make(), *other = make();
        struct vn_err err;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(64 << 20);

        CHECK(m);
        vn_rng_seed(&m->rng, test_seed());
        if (path)
                CHECK_OK(vn_file_read(path, &text, NULL));
        else
                CHECK(vn_buf_str(&text, vn_buf_view(&x->text)));
        m->text = VN_BUF_INIT(128 << 20);
        if (verify_only(vn_buf_view(&text), &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "unchanged: %s", err.msg);
        for (struct vn_str rest = vn_buf_view(&text); rest.ptr && rest.len; m->lines++) {
                CHECK(m->lines < MAX_LINES);
                m->line[m->lines] = vn_str_cut(&rest, '\n');
                m->line[m->lines].len++;
        }
        mutate_lines(m);
        mutate_bytes(m);
        put_lines(m, 0, m->lines - 1); /* the end of another export */
        struct vn_str foreign = vn_buf_view(&other->text);
        const char *at = memmem(foreign.ptr, foreign.len, "{\"type\":\"end\"", 13);
        vn_buf_str(&m->text, vn_str_n(at, (size_t)(foreign.ptr + foreign.len - at)));
        must_refuse(m, "another's end instead", m->lines - 1);
        fprintf(stderr, "  %zu changes of %zu lines, all refused\n", m->tried, m->lines);
        vn_buf_done(&m->text);
        vn_free(m);
        unmake(x);
        unmake(other);
}

/* The same key's end of an export of other lines. */
TEST(audit_verify_refuses_the_end_of_another_export)
{
        struct export *x = make(), *y = begin();
        struct vn_err err;
        VN_AUTO(vn_buf)
        mixed = VN_BUF_INIT(1 << 20);

        vn_note_key_free(y->key);
        y->key = x->key;
        put_run(y, "other", 0, 7, "");
        put_end(y);
        const char *own = strstr(x->text.ptr, "{\"type\":\"end\""),
                   *foreign = strstr(y->text.ptr, "{\"type\":\"end\"");
        vn_buf_add(&mixed, x->text.ptr, (size_t)(own - x->text.ptr));
        vn_buf_text(&mixed, foreign);
        CHECK_RC(VN_DATA_LOSS, verify_only(vn_buf_view(&mixed), &err));
        CHECK(strstr(err.msg, "line 11: 2 lines were signed, and these are not those"));
        y->key = NULL;
        unmake(y);
        unmake(x);
}

static struct export *made;

static enum vn_rc verify_whole(void)
{
        struct vn_err err;
        enum vn_rc rc = verify_only(vn_buf_view(&made->text), &err);
        /* What could not be stored cannot be proven: any refusal will do, but never a proof of less. */
        return rc == VN_OK ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

TEST(audit_verify_survives_failing_allocations)
{
        made = make();
        TEST_ALLOC_LOOP(verify_whole);
        unmake(made);
}
