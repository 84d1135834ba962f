#include "agents/identity.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/tls.h"

#define PEM_MAX 16384
#define FILE_MAX 65536
static const struct vn_json_limits limits = {FILE_MAX, 2, 32};

static enum vn_rc take_pem(const json_t *root, const char *key, struct vn_buf *to, struct vn_err *err)
{
        struct vn_str text;
        VN_TRY(vn_json_text(root, key, &text, err));
        vn_buf_str(to, text);
        return vn_buf_check(to, err);
}

static enum vn_rc parse(struct vn_str text, struct vn_agent_identity *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str account, level;
        VN_TRY(vn_json_parse(text, &limits, &root, err));
        VN_TRY(take_pem(root, "key_pem", &ret->key_pem, err));
        VN_TRY(take_pem(root, "cert_pem", &ret->cert_pem, err));
        VN_TRY(take_pem(root, "ca_pem", &ret->ca_pem, err));
        VN_TRY(vn_json_text(root, "account_id", &account, err));
        VN_TRY(vn_json_text(root, "level", &level, err));
        VN_TRY(vn_json_i64(root, "issued_s", &ret->issued_s, err));
        VN_TRY(vn_json_i64(root, "not_after_s", &ret->not_after_s, err));
        if (!vn_str_copy(ret->account_id, sizeof ret->account_id, account) ||
            !vn_str_copy(ret->level, sizeof ret->level, level))
                return vn_fail(err, VN_DATA_LOSS, "a text is too long");
        return VN_OK;
}

static void pem_init(struct vn_agent_identity *identity)
{
        memset(identity, 0, sizeof *identity);
        identity->key_pem = identity->cert_pem = identity->ca_pem = VN_BUF_INIT(PEM_MAX);
}

enum vn_rc vn_agent_identity_open(const char *state_dir, struct vn_agent_identity *ret, struct vn_err *err)
{
        struct vn_agent_identity identity;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(FILE_MAX);
        pem_init(&identity);
        if (mkdir(state_dir, 0700) && errno != EEXIST)
                return vn_fail(err, vn_rc_from_errno(errno), "%.200s: %s", state_dir, strerror(errno));
        int n = snprintf(identity.path, sizeof identity.path, "%s/identity.json", state_dir);
        if (n < 0 || (size_t)n >= sizeof identity.path)
                return vn_fail(err, VN_INVALID_ARGUMENT, "--state: the path is too long");
        enum vn_rc rc = vn_file_read(identity.path, &text, err);
        if (rc == VN_OK)
                rc = parse(vn_buf_view(&text), &identity, err);
        else if (rc == VN_NOT_FOUND) {
                rc = vn_pki_make_key(&identity.key_pem, err);
                if (rc == VN_OK)
                        rc = vn_agent_identity_save(&identity, err);
        }
        if (text.ptr)
                explicit_bzero(text.ptr, text.cap);
        if (rc != VN_OK) {
                char path[sizeof identity.path];
                memcpy(path, identity.path, sizeof path);
                vn_agent_identity_done(&identity);
                return vn_err_prefix(err, rc, "%.150s", path);
        }
        *ret = identity;
        return VN_OK;
}

void vn_agent_identity_done(struct vn_agent_identity *identity)
{
        if (identity->key_pem.ptr)
                explicit_bzero(identity->key_pem.ptr, identity->key_pem.cap);
        vn_buf_done(&identity->key_pem);
        vn_buf_done(&identity->cert_pem);
        vn_buf_done(&identity->ca_pem);
}

enum vn_rc vn_agent_identity_save(const struct vn_agent_identity *identity, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(FILE_MAX);
        vn_buf_text(&text, "{\"account_id\":");
        vn_buf_json_string(&text, vn_str(identity->account_id));
        vn_buf_text(&text, ",\"level\":");
        vn_buf_json_string(&text, vn_str(identity->level));
        vn_buf_printf(&text, ",\"issued_s\":%lld,\"not_after_s\":%lld,\"key_pem\":", (long long)identity->issued_s,
                      (long long)identity->not_after_s);
        vn_buf_json_string(&text, vn_buf_view(&identity->key_pem));
        vn_buf_text(&text, ",\"cert_pem\":");
        vn_buf_json_string(&text, vn_buf_view(&identity->cert_pem));
        vn_buf_text(&text, ",\"ca_pem\":");
        vn_buf_json_string(&text, vn_buf_view(&identity->ca_pem));
        vn_buf_text(&text, "}\n");
        enum vn_rc rc = vn_buf_check(&text, err);
        if (rc == VN_OK)
                rc = vn_file_write_atomic(identity->path, vn_buf_view(&text), 0600, err);
        if (text.ptr)
                explicit_bzero(text.ptr, text.cap);
        return rc;
}

enum vn_rc vn_agent_identity_take(struct vn_agent_identity *identity, const struct vn_agent_certificate *certificate,
                                  int64_t now_s, struct vn_err *err)
{
        struct vn_agent_identity next;
        pem_init(&next);
        memcpy(next.path, identity->path, sizeof next.path);
        vn_buf_str(&next.key_pem, certificate->key_pem);
        vn_buf_str(&next.cert_pem, certificate->cert_pem);
        vn_buf_str(&next.ca_pem, certificate->ca_pem);
        next.issued_s = now_s;
        enum vn_rc rc = vn_buf_check(&next.key_pem, err);
        if (rc == VN_OK)
                rc = vn_buf_check(&next.cert_pem, err);
        if (rc == VN_OK)
                rc = vn_buf_check(&next.ca_pem, err);
        if (rc == VN_OK)
                rc = vn_pki_cert_not_after(certificate->cert_pem, &next.not_after_s, err);
        if (rc == VN_OK && (next.not_after_s <= now_s ||
                            !vn_str_copy(next.account_id, sizeof next.account_id, vn_str(certificate->account_id)) ||
                            !vn_str_copy(next.level, sizeof next.level, vn_str(certificate->level))))
                rc = vn_fail(err, VN_DATA_LOSS, "the server's certificate is expired, or its answer too long");
        if (rc == VN_OK)
                rc = vn_agent_identity_save(&next, err);
        if (rc != VN_OK) {
                vn_agent_identity_done(&next);
                return rc;
        }
        vn_agent_identity_done(identity);
        *identity = next;
        return VN_OK;
}

bool vn_agent_identity_renew_due(const struct vn_agent_identity *identity, int64_t now_s)
{
        int64_t life_s = identity->not_after_s - identity->issued_s;
        return identity->cert_pem.len && now_s >= identity->not_after_s - life_s / 3;
}

enum vn_rc vn_agent_token_read(const char *path, struct vn_str ca_pem, struct vn_buf *ret_text,
                               struct vn_join_token *ret, struct vn_err *err)
{
        uint8_t fingerprint[32];
        VN_TRY(vn_file_read(path, ret_text, err));
        while (ret_text->len && (ret_text->ptr[ret_text->len - 1] == '\n' || ret_text->ptr[ret_text->len - 1] == ' '))
                ret_text->ptr[--ret_text->len] = 0;
        VN_TRY(vn_join_token_decode(vn_buf_view(ret_text), ret, err));
        VN_TRY(vn_pki_cert_fingerprint(ca_pem, fingerprint, err));
        if (memcmp(fingerprint, ret->ca_fingerprint, sizeof fingerprint))
                return vn_fail(err, VN_PERMISSION_DENIED, "the join token names another CA than --ca-file holds");
        return VN_OK;
}
