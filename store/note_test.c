#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/hash.h"
#include "store/note.h"
#include "tests/test.h"

/* The example of the signed-note specification and of Go's golang.org/x/mod/sumdb/note documentation. */
TEST(foreign_note_verifies)
{
        struct vn_err err = {.rc = VN_OK};
        VN_AUTO(vn_note_key)
        key = NULL;
        struct vn_str text;
        CHECK_OK(vn_note_key_parse(VN_STR("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), &key,
                                   &err));
        struct vn_str note = VN_STR(
                "If you think cryptography is the answer to your problem,\n"
                "then you don't know what your problem is.\n"
                "\n"
                "\u2014 PeterNeumann "
                "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n");
        CHECK_OK(vn_note_verify(key, note, &text, &err));
        CHECK(vn_str_ends(text, VN_STR("your problem is.\n")));
        char back[VN_NOTE_KEY_TEXT_BYTES];
        vn_note_key_text(key, back);
        CHECK_TEXT("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", back);
}

static void make_checkpoint(const struct vn_note_key *key, struct vn_buf *note)
{
        struct vn_checkpoint checkpoint = {.origin = "vane.test/log", .size = 20852163};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1000);
        vn_sha256("x", 1, checkpoint.root.b);
        CHECK_OK(vn_checkpoint_format(&checkpoint, &text));
        CHECK_OK(vn_note_sign(key, vn_buf_view(&text), note, NULL));
}

TEST(checkpoint_goes_there_and_back)
{
        VN_AUTO(vn_note_key)
        key = NULL;
        VN_AUTO(vn_note_key)
        public_key = NULL;
        VN_AUTO(vn_note_key)
        other = NULL;
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        struct vn_checkpoint back;
        char text[VN_NOTE_KEY_TEXT_BYTES];
        CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        CHECK_OK(vn_note_key_generate("vane.test/log", &other, NULL));
        vn_note_key_text(key, text);
        CHECK_OK(vn_note_key_parse(vn_str(text), &public_key, NULL));
        make_checkpoint(key, &note);
        CHECK_OK(vn_checkpoint_open(public_key, vn_buf_view(&note), &back, NULL));
        CHECK_INT(20852163, back.size);
        CHECK_TEXT("vane.test/log", back.origin);
        CHECK_RC(VN_UNAUTHENTICATED, vn_checkpoint_open(other, vn_buf_view(&note), &back, NULL));
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        CHECK_RC(VN_FAILED_PRECONDITION, vn_note_sign(public_key, VN_STR("x\n"), &again, NULL));

        /* A cosignature by an unknown key does not disturb. */
        CHECK_OK(vn_note_sign(other, VN_STR("y\n"), &again, NULL));
        vn_buf_add(&note, again.ptr + 3, again.len - 3);
        CHECK_OK(vn_checkpoint_open(public_key, vn_buf_view(&note), &back, NULL));
}

TEST(every_flipped_bit_of_a_checkpoint_is_noticed)
{
        VN_AUTO(vn_note_key)
        key = NULL;
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        struct vn_checkpoint back;
        CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        make_checkpoint(key, &note);
        for (size_t i = 0; i < note.len; i++)
                for (int bit = 0; bit < 8; bit++) {
                        note.ptr[i] ^= (char)(1 << bit);
                        CHECK(vn_checkpoint_open(key, vn_buf_view(&note), &back, NULL) != VN_OK);
                        note.ptr[i] ^= (char)(1 << bit);
                }
        for (size_t n = 0; n < note.len; n++)
                CHECK(vn_checkpoint_open(key, vn_str_n(note.ptr, n), &back, NULL) != VN_OK);
}

TEST(malformed_checkpoints_are_refused)
{
        static const char *bad[] = {
                "",
                "log\n",
                "log\n5\n",
                "log\n5\nAAAA\n",
                "log\n05\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                "log\n-5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                "log\n18446744073709551616\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                "\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                "log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        };
        struct vn_checkpoint back;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_checkpoint_parse(vn_str(bad[i]), &back, NULL));
        CHECK_OK(vn_checkpoint_parse(
                VN_STR("log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nan extension line\n"), &back, NULL));
        VN_AUTO(vn_note_key)
        key = NULL;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_note_key_generate("has space", &key, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_note_key_generate("a+b", &key, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_note_key_parse(VN_STR("a+00000000+AAAA"), &key, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_note_key_parse(VN_STR("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), &key,
                                   NULL));
}

TEST(key_file_is_private_and_stays)
{
        char path[512], first[VN_NOTE_KEY_TEXT_BYTES], second[VN_NOTE_KEY_TEXT_BYTES];
        struct stat st;
        VN_AUTO(vn_note_key)
        a = NULL;
        VN_AUTO(vn_note_key)
        b = NULL;
        VN_AUTO(vn_note_key)
        c = NULL;
        snprintf(path, sizeof path, "%s/log.pem", test_dir());
        CHECK_OK(vn_note_key_load_or_make(path, "log", &a, NULL));
        CHECK_OK(vn_note_key_load_or_make(path, "log", &b, NULL));
        vn_note_key_text(a, first);
        vn_note_key_text(b, second);
        CHECK_TEXT(first, second);
        CHECK(stat(path, &st) == 0);
        CHECK_INT(0600, st.st_mode & 0777);
        CHECK_OK(vn_file_write_atomic(path, VN_STR("not a key"), 0600, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_note_key_load_or_make(path, "log", &c, NULL));
}

static enum vn_rc sign_and_open(void)
{
        struct vn_note_key *key = NULL;
        struct vn_checkpoint checkpoint = {.size = 7, .origin = "vane.test/log"};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_TRY(vn_note_key_generate("vane.test/log", &key, NULL));
        enum vn_rc rc = vn_checkpoint_format(&checkpoint, &text);
        if (rc == VN_OK)
                rc = vn_note_sign(key, vn_buf_view(&text), &note, NULL);
        if (rc == VN_OK)
                rc = vn_checkpoint_open(key, vn_buf_view(&note), &checkpoint, NULL);
        vn_note_key_free(key);
        return rc;
}

TEST(notes_survive_failing_allocations)
{
        TEST_ALLOC_LOOP(sign_and_open);
}
