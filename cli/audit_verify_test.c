#include <stdlib.h>

#include "cli/command.h"
#include "decide/record.h"
#include "store/note.h"
#include "tests/test.h"

/* An export of two records as the server makes it, in lines that tests may damage. */
struct export
{
        char key[VN_NOTE_KEY_TEXT_BYTES];
        struct vn_buf lines[4];
};

static void record_bytes(const char *workload, uint8_t *ret, size_t cap, size_t *ret_len)
{
        struct vn_record *r = vn_alloc(sizeof(*r));

        CHECK(r);
        r->kind = VN_RECORD_POLICY;
        r->id = (struct vn_decision_id){1, VN_CONTROL_LOOP, 2};
        r->decide_version = VN_DECIDE_VERSION;
        r->seed[0] = 7;
        CHECK(vn_str_copy(r->workload, sizeof(r->workload), vn_str(workload)));
        CHECK(vn_str_copy(r->tenant, sizeof(r->tenant), VN_STR("default")));
        CHECK_OK(vn_record_encode(r, ret, cap, ret_len, NULL));
        vn_free(r);
}

static void record_line(struct vn_buf *out, int seq, struct vn_str record, const uint8_t *leaf,
                        const struct vn_hash *sibling)
{
        vn_buf_printf(out, "{\"type\":\"record\",\"seq\":%d,\"kind\":\"policy\",\"record\":\"", seq);
        vn_buf_base64(out, record.ptr, record.len);
        vn_buf_text(out, "\",\"leaf\":\"");
        vn_buf_base64(out, leaf, VN_RECORD_LEAF_BYTES);
        vn_buf_text(out, "\",\"proof\":[\"");
        vn_buf_base64(out, sibling->b, VN_HASH_BYTES);
        vn_buf_text(out, "\"]}\n");
}

static void make(struct export *x)
{
        uint8_t record[2][VN_RECORD_MAX_BYTES], leaf[2][VN_RECORD_LEAF_BYTES];
        size_t len[2];
        struct vn_hash hash[2];
        struct vn_checkpoint checkpoint = {.size = 2};
        struct vn_note_key *key = NULL;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);

        for (int i = 0; i < 4; i++)
                x->lines[i] = VN_BUF_INIT(65536);
        for (int i = 0; i < 2; i++) {
                record_bytes(i ? "b" : "a", record[i], sizeof(record[i]), &len[i]);
                CHECK_OK(vn_record_leaf(vn_str_n(record[i], len[i]), leaf[i], NULL));
                hash[i] = vn_tlog_leaf_hash(vn_str_n(leaf[i], sizeof(leaf[i])));
        }
        CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        CHECK(vn_str_copy(checkpoint.origin, sizeof(checkpoint.origin), VN_STR("vane.test/log")));
        checkpoint.root = vn_tlog_node_hash(&hash[0], &hash[1]);
        CHECK_OK(vn_checkpoint_format(&checkpoint, &text));
        CHECK_OK(vn_note_sign(key, vn_buf_view(&text), &note, NULL));
        vn_note_key_text(key, x->key);
        vn_note_key_free(key);
        vn_buf_text(&x->lines[0], "{\"type\":\"header\",\"format\":1,\"checkpoint\":");
        vn_buf_json_string(&x->lines[0], vn_buf_view(&note));
        vn_buf_printf(&x->lines[0], ",\"key\":\"%s\",\"size\":2}\n", x->key);
        for (int i = 0; i < 2; i++)
                record_line(&x->lines[1 + i], i, vn_str_n(record[i], len[i]), leaf[i], &hash[1 - i]);
        vn_buf_text(&x->lines[3], "{\"type\":\"end\",\"records\":2}\n");
}

static void unmake(struct export *x)
{
        for (int i = 0; i < 4; i++)
                vn_buf_done(&x->lines[i]);
}

/* Verifies the lines named by digits in that order. */
static enum vn_rc verify(const struct export *x, const char *order, const char *key, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        all = VN_BUF_INIT(1 << 20);
        char head[512];
        uint64_t records = 0;
        FILE *in;
        enum vn_rc rc;

        for (; *order; order++)
                vn_buf_str(&all, vn_buf_view(&x->lines[*order - '0']));
        if (!all.len || all.failed)
                return vn_fail(err, VN_DATA_LOSS, "nothing to verify");
        in = fmemopen(all.ptr, all.len, "r");
        rc = cli_verify_export(in, key, &records, head, sizeof(head), err);
        fclose(in);
        if (rc == VN_OK)
                CHECK(records == 2 && strstr(head, x->key));
        return rc;
}

TEST(audit_verify_accepts_a_whole_export)
{
        struct export x;
        struct vn_err err;

        make(&x);
        CHECK_OK(verify(&x, "0123", NULL, &err));
        CHECK_OK(verify(&x, "0123", x.key, &err));
        unmake(&x);
}

TEST(audit_verify_finds_what_is_missing_or_moved)
{
        struct export x, other;
        struct vn_err err;

        make(&x);
        make(&other);
        CHECK_RC(VN_DATA_LOSS, verify(&x, "012", NULL, &err)); /* cut off */
        CHECK(strstr(err.msg, "cut off"));
        CHECK_RC(VN_DATA_LOSS, verify(&x, "013", NULL, &err));  /* one record left out */
        CHECK_RC(VN_DATA_LOSS, verify(&x, "0213", NULL, &err)); /* out of order */
        CHECK_RC(VN_DATA_LOSS, verify(&x, "01123", NULL, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, verify(&x, "123", NULL, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, verify(&x, "00123", NULL, &err));
        CHECK_RC(VN_UNAUTHENTICATED, verify(&x, "0123", other.key, &err)); /* signed by somebody else */
        unmake(&x);
        unmake(&other);
}

/* Whatever single character of a record's line is changed, the export is not accepted any more, but for unused bits
 * at the end of base64, which change no byte. */
TEST(audit_verify_finds_every_changed_character)
{
        struct export x;
        struct vn_err err;
        size_t accepted = 0;

        make(&x);
        struct vn_buf *line = &x.lines[1];
        for (size_t i = 0; i + 1 < line->len; i++) {
                char before = line->ptr[i];
                line->ptr[i] = before == 'A' ? 'Q' : 'A'; /* other bits, in base64 too */
                if (verify(&x, "0123", NULL, &err) == VN_OK)
                        accepted++;
                line->ptr[i] = before;
        }
        CHECK(accepted <= 3);
        CHECK_OK(verify(&x, "0123", NULL, &err));
        unmake(&x);
}

static struct export made;

static enum vn_rc verify_whole(void)
{
        struct vn_err err;
        enum vn_rc rc = verify(&made, "0123", NULL, &err);
        /* What could not be stored cannot be proven: any refusal will do, but never a proof of less. */
        return rc == VN_OK ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

TEST(audit_verify_survives_failing_allocations)
{
        make(&made);
        TEST_ALLOC_LOOP(verify_whole);
        unmake(&made);
}
