#include "store/note.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"

#define ED25519_BYTES 32
#define SIGNATURE_BYTES 64
#define ALGORITHM_ED25519 1
#define MAX_SIGNATURE_LINES 100
#define MAX_PEM_BYTES 4096

struct vn_note_key {
        char name[VN_NOTE_NAME_BYTES];
        uint8_t id[4];
        uint8_t public_key[ED25519_BYTES];
        EVP_PKEY *pkey;
        bool can_sign;
};

struct vn_note_key *vn_note_key_free(struct vn_note_key *key)
{
        if (!key)
                return NULL;
        EVP_PKEY_free(key->pkey);
        vn_free_secret(key, sizeof *key);
        return NULL;
}

const char *vn_note_key_name(const struct vn_note_key *key)
{
        return key->name;
}

/* Key names: not empty, no white space, no plus (C2SP signed-note). */
static bool name_is_valid(struct vn_str name)
{
        for (size_t i = 0; i < name.len; i++)
                if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == '+' || name.ptr[i] == 127)
                        return false;
        return name.len > 0 && name.len < VN_NOTE_NAME_BYTES && vn_str_is_utf8(name);
}

/* Takes over pkey, also when it fails. */
static enum vn_rc key_new(struct vn_str name, EVP_PKEY *pkey, bool can_sign, struct vn_note_key **ret,
                          struct vn_err *err)
{
        struct vn_note_key *key = NULL;
        enum vn_rc rc = VN_OK;
        size_t n = ED25519_BYTES;
        if (!name_is_valid(name))
                rc = vn_fail(err, VN_INVALID_ARGUMENT,
                             "log key: the name is empty, too long, or holds a space or '+'");
        else if (!pkey || !(key = vn_alloc(sizeof *key)))
                rc = vn_fail(err, pkey ? VN_RESOURCE_EXHAUSTED : VN_INTERNAL, "log key: cannot be made");
        else if (EVP_PKEY_id(pkey) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(pkey, key->public_key, &n) != 1)
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "log key: not an Ed25519 key");
        if (rc != VN_OK) {
                EVP_PKEY_free(pkey);
                vn_free(key);
                return rc;
        }
        key->pkey = pkey;
        key->can_sign = can_sign;
        VN_ASSERT(vn_str_copy(key->name, sizeof key->name, name));
        const uint8_t algorithm[2] = {'\n', ALGORITHM_ED25519};
        struct vn_str parts[3] = {name, vn_str_n(algorithm, 2), vn_str_n(key->public_key, ED25519_BYTES)};
        uint8_t hash[VN_SHA256_BYTES];
        vn_sha256_parts(parts, 3, hash);
        memcpy(key->id, hash, sizeof key->id);
        *ret = key;
        return VN_OK;
}

enum vn_rc vn_note_key_generate(const char *name, struct vn_note_key **ret, struct vn_err *err)
{
        return key_new(vn_str(name), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), true, ret, err);
}

static enum vn_rc key_save(const struct vn_note_key *key, const char *path, struct vn_err *err)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *pem;
        enum vn_rc rc;
        if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
                rc = vn_fail(err, VN_INTERNAL, "%s: cannot write the log key", path);
        } else {
                long n = BIO_get_mem_data(bio, &pem);
                rc = vn_file_write_atomic(path, vn_str_n(pem, (size_t)n), 0600, err);
                OPENSSL_cleanse(pem, (size_t)n);
        }
        BIO_free(bio);
        return rc;
}

enum vn_rc vn_note_key_load_or_make(const char *path, const char *name, struct vn_note_key **ret, struct vn_err *err)
{
        if (access(path, F_OK) != 0 && errno == ENOENT) {
                VN_AUTO(vn_note_key)
                fresh = NULL;
                VN_TRY(vn_note_key_generate(name, &fresh, err));
                VN_TRY(key_save(fresh, path, err));
                *ret = vn_steal(&fresh);
                return VN_OK;
        }
        VN_AUTO(vn_buf)
        pem = VN_BUF_INIT(MAX_PEM_BYTES);
        VN_TRY(vn_file_read(path, &pem, err));
        BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
        if (pem.ptr)
                OPENSSL_cleanse(pem.ptr, pem.len);
        if (!pkey)
                return vn_fail(err, VN_DATA_LOSS, "%s: not a PEM private key", path);
        return key_new(vn_str(name), pkey, true, ret, err);
}

/* Too long for the buffer is malformed, like any other wrong text; only memory itself is RESOURCE_EXHAUSTED. */
static enum vn_rc decode(struct vn_str text, struct vn_buf *ret)
{
        return text.len / 4 * 3 > ret->max_bytes ? VN_INVALID_ARGUMENT : vn_base64_decode(text, ret);
}

enum vn_rc vn_note_key_parse(struct vn_str text, struct vn_note_key **ret, struct vn_err *err)
{
        struct vn_str rest = text, name = vn_str_cut(&rest, '+'), id = rest.ptr ? vn_str_cut(&rest, '+') : rest;
        uint8_t want_id[4];
        VN_AUTO(vn_buf)
        raw = VN_BUF_INIT(64);
        enum vn_rc rc = decode(rest, &raw);
        if (rc == VN_RESOURCE_EXHAUSTED)
                return vn_fail(err, rc, "out of memory for a log key");
        if (!rest.ptr || vn_unhex(id, want_id, sizeof want_id) != VN_OK || rc != VN_OK ||
            raw.len != 1 + ED25519_BYTES || raw.ptr[0] != ALGORITHM_ED25519)
                return vn_fail(err, VN_INVALID_ARGUMENT, "log key: want NAME+HASH+BASE64 of an Ed25519 public key");
        EVP_PKEY *pkey =
                EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)raw.ptr + 1, ED25519_BYTES);
        VN_AUTO(vn_note_key)
        key = NULL;
        VN_TRY(key_new(name, pkey, false, &key, err));
        if (memcmp(key->id, want_id, sizeof want_id))
                return vn_fail(err, VN_INVALID_ARGUMENT, "log key: the hash does not belong to name and key");
        *ret = vn_steal(&key);
        return VN_OK;
}

void vn_note_key_text(const struct vn_note_key *key, char ret[VN_NOTE_KEY_TEXT_BYTES])
{
        char id[2 * sizeof key->id + 1], base64[4 * ((1 + ED25519_BYTES + 2) / 3) + 1];
        uint8_t raw[1 + ED25519_BYTES] = {ALGORITHM_ED25519};
        memcpy(raw + 1, key->public_key, ED25519_BYTES);
        vn_hex(key->id, sizeof key->id, id);
        EVP_EncodeBlock((unsigned char *)base64, raw, sizeof raw); /* needs no memory, so it cannot fail */
        int n = snprintf(ret, VN_NOTE_KEY_TEXT_BYTES, "%s+%s+%s", key->name, id, base64);
        VN_ASSERT(n > 0 && n < VN_NOTE_KEY_TEXT_BYTES);
}

/* --- notes --- */
enum vn_rc vn_note_sign(const struct vn_note_key *key, struct vn_str text, struct vn_buf *ret, struct vn_err *err)
{
        if (!key->can_sign)
                return vn_fail(err, VN_FAILED_PRECONDITION, "log key: only its public half is here");
        if (!text.len || text.ptr[text.len - 1] != '\n')
                return vn_fail(err, VN_INVALID_ARGUMENT, "note: the text must end in a newline");
        uint8_t signature[sizeof key->id + SIGNATURE_BYTES];
        size_t n = SIGNATURE_BYTES;
        memcpy(signature, key->id, sizeof key->id);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
                  EVP_DigestSign(ctx, signature + sizeof key->id, &n, (const uint8_t *)text.ptr, text.len) == 1;
        EVP_MD_CTX_free(ctx);
        if (!ok)
                return vn_fail(err, VN_INTERNAL, "note: signing failed");
        vn_buf_str(ret, text);
        vn_buf_printf(ret, "\n\u2014 %s ", key->name);
        vn_buf_base64(ret, signature, sizeof signature);
        vn_buf_char(ret, '\n');
        return vn_buf_check(ret, err);
}

static bool signature_holds(const struct vn_note_key *key, struct vn_str text, const uint8_t *signature)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
                  EVP_DigestVerify(ctx, signature, SIGNATURE_BYTES, (const uint8_t *)text.ptr, text.len) == 1;
        EVP_MD_CTX_free(ctx);
        return ok;
}

/* One "— NAME BASE64" line: OK (holds), NOT_FOUND (another key's), or an error. */
static enum vn_rc signature_line(const struct vn_note_key *key, struct vn_str line, struct vn_str text,
                                 struct vn_err *err)
{
        struct vn_str dash = VN_STR("\u2014 "), rest = line;
        if (!vn_str_starts(line, dash))
                return vn_fail(err, VN_INVALID_ARGUMENT, "note: not a signature line");
        rest = vn_str_n(line.ptr + dash.len, line.len - dash.len);
        struct vn_str name = vn_str_cut(&rest, ' ');
        VN_AUTO(vn_buf)
        raw = VN_BUF_INIT(8192);
        enum vn_rc rc = decode(rest, &raw);
        if (rc == VN_RESOURCE_EXHAUSTED)
                return vn_fail(err, rc, "out of memory for a note");
        if (!rest.ptr || !name_is_valid(name) || rc != VN_OK || raw.len < 5)
                return vn_fail(err, VN_INVALID_ARGUMENT, "note: malformed signature line");
        if (!vn_str_eq(name, vn_str(key->name)) || memcmp(raw.ptr, key->id, sizeof key->id))
                return VN_NOT_FOUND;
        if (raw.len != sizeof key->id + SIGNATURE_BYTES ||
            !signature_holds(key, text, (const uint8_t *)raw.ptr + sizeof key->id))
                return vn_fail(err, VN_UNAUTHENTICATED, "note: the signature by %s does not hold", key->name);
        return VN_OK;
}

enum vn_rc vn_note_verify(const struct vn_note_key *key, struct vn_str note, struct vn_str *ret_text,
                          struct vn_err *err)
{
        if (note.len > VN_NOTE_MAX_BYTES || !vn_str_is_utf8(note) || !note.len || note.ptr[note.len - 1] != '\n')
                return vn_fail(err, VN_INVALID_ARGUMENT, "note: too long, not UTF-8 text, or cut off");
        for (size_t i = 0; i < note.len; i++)
                if ((unsigned char)note.ptr[i] < ' ' && note.ptr[i] != '\n')
                        return vn_fail(err, VN_INVALID_ARGUMENT, "note: holds a control character");
        /* The last blank line parts text and signatures. */
        size_t at = note.len - 1;
        while (at > 0 && !(note.ptr[at] == '\n' && note.ptr[at - 1] == '\n'))
                at--;
        if (!at || at + 1 == note.len)
                return vn_fail(err, VN_INVALID_ARGUMENT, "note: no signature");
        struct vn_str text = vn_str_n(note.ptr, at), rest = vn_str_n(note.ptr + at + 1, note.len - at - 2);
        bool found = false;
        int lines = 0;
        for (; rest.ptr && rest.len; lines++) {
                if (lines == MAX_SIGNATURE_LINES)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "note: too many signatures");
                enum vn_rc rc = signature_line(key, vn_str_cut(&rest, '\n'), text, err);
                if (rc != VN_OK && rc != VN_NOT_FOUND)
                        return rc;
                found = found || rc == VN_OK;
        }
        if (!found)
                return vn_fail(err, VN_UNAUTHENTICATED, "note: no signature by %s", key->name);
        *ret_text = text;
        return VN_OK;
}

/* --- checkpoints --- */
enum vn_rc vn_checkpoint_format(const struct vn_checkpoint *checkpoint, struct vn_buf *ret)
{
        vn_buf_printf(ret, "%s\n%llu\n", checkpoint->origin, (unsigned long long)checkpoint->size);
        vn_buf_base64(ret, checkpoint->root.b, VN_HASH_BYTES);
        vn_buf_char(ret, '\n');
        return vn_buf_check(ret, NULL);
}

enum vn_rc vn_checkpoint_parse(struct vn_str text, struct vn_checkpoint *ret, struct vn_err *err)
{
        struct vn_str rest = text, origin = vn_str_cut(&rest, '\n');
        struct vn_str size = rest.ptr ? vn_str_cut(&rest, '\n') : rest;
        struct vn_str root = rest.ptr ? vn_str_cut(&rest, '\n') : rest;
        VN_AUTO(vn_buf)
        raw = VN_BUF_INIT(64);
        /* Further lines are extensions; the text ends in a newline, so something follows the root's line. */
        if (!rest.ptr || !name_is_valid(origin) || !vn_str_copy(ret->origin, sizeof ret->origin, origin))
                return vn_fail(err, VN_INVALID_ARGUMENT, "checkpoint: malformed");
        if (vn_str_to_u64(size, &ret->size) != VN_OK || (size.len > 1 && size.ptr[0] == '0'))
                return vn_fail(err, VN_INVALID_ARGUMENT, "checkpoint: the size is not a number");
        enum vn_rc rc = decode(root, &raw);
        if (rc == VN_RESOURCE_EXHAUSTED)
                return vn_fail(err, rc, "out of memory for a checkpoint");
        if (root.len != 44 || rc != VN_OK || raw.len != VN_HASH_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "checkpoint: the root is not a hash");
        memcpy(ret->root.b, raw.ptr, VN_HASH_BYTES);
        return VN_OK;
}

enum vn_rc vn_checkpoint_open(const struct vn_note_key *key, struct vn_str note, struct vn_checkpoint *ret,
                              struct vn_err *err)
{
        struct vn_str text;
        VN_TRY(vn_note_verify(key, note, &text, err));
        VN_TRY(vn_checkpoint_parse(text, ret, err));
        if (strcmp(ret->origin, key->name))
                return vn_fail(err, VN_UNAUTHENTICATED, "checkpoint: another log's");
        return VN_OK;
}
