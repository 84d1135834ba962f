#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agents/identity.h"
#include "agents/options.h"
#include "base/tls.h"
#include "tests/test.h"

struct authority {
        struct vn_buf key, cert;
};

static void authority_make(struct authority *a)
{
        a->key = a->cert = VN_BUF_INIT(16384);
        CHECK_OK(vn_pki_make_key(&a->key, NULL));
        CHECK_OK(vn_pki_make_ca(vn_buf_view(&a->key), "test", 1700000000, 4000000000, &a->cert, NULL));
}

static void authority_done(struct authority *a)
{
        vn_buf_done(&a->key);
        vn_buf_done(&a->cert);
}

static void sign(const struct authority *a, const struct vn_agent_identity *id, int64_t until_s, struct vn_buf *ret)
{
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(16384);
        CHECK_OK(vn_pki_make_csr(vn_buf_view(&id->key_pem), &csr, NULL));
        struct vn_pki_leaf leaf = {
                .uri = "spiffe://vane.local/account/7", .not_before_s = 1700000000, .not_after_s = until_s};
        CHECK_OK(vn_pki_sign_csr(vn_buf_view(&a->cert), vn_buf_view(&a->key), vn_buf_view(&csr), &leaf, ret, NULL));
}

TEST(identity_survives_restarts_and_keeps_its_key_private)
{
        struct authority a;
        struct vn_agent_identity id, again;
        VN_AUTO(vn_buf)
        cert = VN_BUF_INIT(16384);
        char dir[600];
        snprintf(dir, sizeof dir, "%s/agent", test_dir());
        authority_make(&a);
        CHECK_OK(vn_agent_identity_open(dir, &id, NULL));
        CHECK(id.key_pem.len && !id.cert_pem.len);
        struct stat st;
        CHECK(!stat(id.path, &st));
        CHECK_INT(0600, st.st_mode & 07777);
        CHECK(!stat(dir, &st));
        CHECK_INT(0700, st.st_mode & 07777);

        /* Killed before the answer came: the same key again. */
        CHECK_OK(vn_agent_identity_open(dir, &again, NULL));
        CHECK(vn_str_eq(vn_buf_view(&id.key_pem), vn_buf_view(&again.key_pem)));
        vn_agent_identity_done(&again);

        sign(&a, &id, 1700003600, &cert);
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(16384);
        vn_buf_str(&key, vn_buf_view(&id.key_pem));
        struct vn_agent_certificate certificate = {vn_buf_view(&key), vn_buf_view(&cert), vn_buf_view(&a.cert), "7",
                                                   "observe"};
        CHECK_OK(vn_agent_identity_take(&id, &certificate, 1700000000, NULL));
        CHECK(!vn_agent_identity_renew_due(&id, 1700002399));
        CHECK(vn_agent_identity_renew_due(&id, 1700002400));                                 /* a third is left */
        CHECK_RC(VN_DATA_LOSS, vn_agent_identity_take(&id, &certificate, 1700003600, NULL)); /* expired */
        CHECK_OK(vn_agent_identity_open(dir, &again, NULL));
        CHECK_TEXT("7", again.account_id);
        CHECK_TEXT("observe", again.level);
        CHECK_INT(1700003600, again.not_after_s);
        CHECK(vn_str_eq(vn_buf_view(&cert), vn_buf_view(&again.cert_pem)));
        vn_agent_identity_done(&again);
        vn_agent_identity_done(&id);
        authority_done(&a);
}

TEST(identity_file_damage_is_an_error_not_a_new_identity)
{
        struct vn_agent_identity id;
        char dir[600], path[640];
        snprintf(dir, sizeof dir, "%s/agent", test_dir());
        CHECK_OK(vn_agent_identity_open(dir, &id, NULL));
        vn_agent_identity_done(&id);
        snprintf(path, sizeof path, "%s/identity.json", dir);
        static const char *const bad[] = {"", "{", "{\"key_pem\":1}", "{\"key_pem\":\"x\"}"};
        for (size_t i = 0; i < 4; i++) {
                CHECK_OK(vn_file_write_atomic(path, vn_str(bad[i]), 0600, NULL));
                CHECK(vn_agent_identity_open(dir, &id, NULL) != VN_OK);
        }
}

TEST(join_token_must_name_the_ca_at_hand)
{
        struct authority a, other;
        authority_make(&a);
        authority_make(&other);
        struct vn_join_token token = {.account_id = 7, .tenant = "default"}, read;
        char text[VN_JOIN_TOKEN_BYTES], path[600];
        snprintf(path, sizeof path, "%s/token", test_dir());
        CHECK_OK(vn_pki_cert_fingerprint(vn_buf_view(&a.cert), token.ca_fingerprint, NULL));
        CHECK_OK(vn_join_token_encode(&token, text, NULL));
        VN_AUTO(vn_buf)
        line = VN_BUF_INIT(512);
        vn_buf_printf(&line, "%s\n", text);
        CHECK_OK(vn_file_write_atomic(path, vn_buf_view(&line), 0600, NULL));
        VN_AUTO(vn_buf)
        got = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        got2 = VN_BUF_INIT(512);
        CHECK_OK(vn_agent_token_read(path, vn_buf_view(&a.cert), &got, &read, NULL));
        CHECK_TEXT(text, got.ptr);
        CHECK_INT(7, read.account_id);
        struct vn_err err;
        CHECK_RC(VN_PERMISSION_DENIED, vn_agent_token_read(path, vn_buf_view(&other.cert), &got2, &read, &err));
        CHECK(!strstr(err.msg, text));
        authority_done(&a);
        authority_done(&other);
}

static enum vn_rc parse(size_t argc, const char **argv, struct vn_agent_options *ret)
{
        char *copy[16], text[16][64];
        for (size_t i = 0; i < argc; i++) {
                snprintf(text[i], sizeof text[i], "%s", argv[i]);
                copy[i] = text[i];
        }
        return vn_agent_options_parse((int)argc, copy, ret, NULL);
}

TEST(options_are_strict)
{
        struct vn_agent_options o;
        const char *good[] = {"a", "--server", "h:1", "--ca-file", "c", "--state", "s", "--cloud-config", "j"};
        CHECK_OK(parse(9, good, &o));
        CHECK(!o.shuffle_labels && !o.join_token_file);
        good[2] = "https://h:1";
        CHECK_OK(parse(9, good, &o));
        CHECK_TEXT("h:1", o.server);
        CHECK_RC(VN_INVALID_ARGUMENT, parse(7, good, &o));
        CHECK_RC(VN_INVALID_ARGUMENT, parse(8, good, &o));
        const char *twice[] = {"a", "--server", "h:1", "--server", "c", "--state", "s", "--cloud-config", "j"};
        CHECK_RC(VN_INVALID_ARGUMENT, parse(9, twice, &o));
        const char *unknown[] = {"a", "--sever", "h:1"};
        CHECK_RC(VN_INVALID_ARGUMENT, parse(3, unknown, &o));
        const char *help[] = {"a", "--help"};
        CHECK_OK(parse(2, help, &o));
        CHECK(o.help);
}

static struct authority alloc_authority;
static char alloc_dir[600];

static enum vn_rc open_take_open(void)
{
        struct vn_agent_identity id;
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        cert = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(16384);
        const struct vn_pki_leaf leaf = {
                .uri = "spiffe://vane.local/account/7", .not_before_s = 1700000000, .not_after_s = 1700003600};
        VN_TRY(vn_agent_identity_open(alloc_dir, &id, NULL));
        vn_buf_str(&key, vn_buf_view(&id.key_pem));
        enum vn_rc rc = vn_buf_check(&key, NULL);
        if (rc == VN_OK)
                rc = vn_pki_make_csr(vn_buf_view(&key), &csr, NULL);
        if (rc == VN_OK)
                rc = vn_pki_sign_csr(vn_buf_view(&alloc_authority.cert), vn_buf_view(&alloc_authority.key),
                                     vn_buf_view(&csr), &leaf, &cert, NULL);
        struct vn_agent_certificate certificate = {vn_buf_view(&key), vn_buf_view(&cert),
                                                   vn_buf_view(&alloc_authority.cert), "7", "observe"};
        if (rc == VN_OK)
                rc = vn_agent_identity_take(&id, &certificate, 1700000000, NULL);
        vn_agent_identity_done(&id);
        if (rc == VN_OK)
                rc = vn_agent_identity_open(alloc_dir, &id, NULL);
        if (rc == VN_OK)
                vn_agent_identity_done(&id);
        return rc;
}

TEST(identity_survives_failing_allocations)
{
        snprintf(alloc_dir, sizeof alloc_dir, "%s/agent", test_dir());
        authority_make(&alloc_authority);
        TEST_ALLOC_LOOP(open_take_open);
        authority_done(&alloc_authority);
}
