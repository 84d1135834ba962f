/* Names follow RFC 9180. Nothing derived here is longer than one HKDF block, so expanding is one HMAC. */
#include "base/hpke.h"

#include <openssl/evp.h>

#include "base/hash.h"

#define KEM_ID 0x20
#define KDF_ID 1
#define NONCE_BYTES 12
#define LABELED_MAX 1024

struct suite {
        uint8_t id[16];
        size_t len;
};

static const struct suite kem_suite = {{'K', 'E', 'M', 0, KEM_ID}, 5};

static struct suite hpke_suite(enum vn_hpke_aead aead)
{
        return (struct suite){{'H', 'P', 'K', 'E', 0, KEM_ID, 0, KDF_ID, 0, (uint8_t)aead}, 10};
}

static void put(uint8_t *to, size_t *n, const void *bytes, size_t len)
{
        VN_ASSERT(*n + len <= LABELED_MAX);
        if (len)
                memcpy(to + *n, bytes, len);
        *n += len;
}

static void labeled_extract(const struct suite *suite, struct vn_str salt, const char *label, struct vn_str ikm,
                            uint8_t ret[VN_SHA256_BYTES])
{
        static const uint8_t no_salt[VN_SHA256_BYTES];
        uint8_t text[LABELED_MAX];
        size_t n = 0;

        put(text, &n, "HPKE-v1", 7);
        put(text, &n, suite->id, suite->len);
        put(text, &n, label, strlen(label));
        put(text, &n, ikm.ptr, ikm.len);
        vn_hmac_sha256(salt.len ? salt : vn_str_n(no_salt, sizeof(no_salt)), vn_str_n(text, n), ret);
        explicit_bzero(text, sizeof(text));
}

static void labeled_expand(const struct suite *suite, const uint8_t prk[VN_SHA256_BYTES], const char *label,
                           struct vn_str info, uint8_t *ret, size_t len)
{
        const uint8_t length[2] = {0, (uint8_t)len}, one = 1;
        uint8_t text[LABELED_MAX], block[VN_SHA256_BYTES];
        size_t n = 0;

        VN_ASSERT(len <= sizeof(block));
        put(text, &n, length, sizeof(length));
        put(text, &n, "HPKE-v1", 7);
        put(text, &n, suite->id, suite->len);
        put(text, &n, label, strlen(label));
        put(text, &n, info.ptr, info.len);
        put(text, &n, &one, 1);
        vn_hmac_sha256(vn_str_n(prk, VN_SHA256_BYTES), vn_str_n(text, n), block);
        memcpy(ret, block, len);
        explicit_bzero(block, sizeof(block));
}

/* --- the key encapsulation --- */

static bool public_of(const uint8_t private_key[VN_HPKE_KEY_BYTES], uint8_t ret[VN_HPKE_KEY_BYTES])
{
        EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, VN_HPKE_KEY_BYTES);
        size_t len = VN_HPKE_KEY_BYTES;
        bool good = key && EVP_PKEY_get_raw_public_key(key, ret, &len) == 1 && len == VN_HPKE_KEY_BYTES;

        EVP_PKEY_free(key);
        return good;
}

/* False also for a public key of small order, whose secret everybody knows. */
static bool diffie_hellman(const uint8_t private_key[VN_HPKE_KEY_BYTES], const uint8_t public_key[VN_HPKE_KEY_BYTES],
                           uint8_t ret[VN_HPKE_KEY_BYTES])
{
        EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, VN_HPKE_KEY_BYTES),
                 *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, VN_HPKE_KEY_BYTES);
        EVP_PKEY_CTX *context = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
        size_t len = VN_HPKE_KEY_BYTES;
        bool good = context && peer && EVP_PKEY_derive_init(context) == 1 &&
                    EVP_PKEY_derive_set_peer(context, peer) == 1 && EVP_PKEY_derive(context, ret, &len) == 1 &&
                    len == VN_HPKE_KEY_BYTES;

        EVP_PKEY_CTX_free(context);
        EVP_PKEY_free(own);
        EVP_PKEY_free(peer);
        return good;
}

static void shared_secret(const uint8_t dh[VN_HPKE_KEY_BYTES], const uint8_t enc[VN_HPKE_KEY_BYTES],
                          const uint8_t recipient[VN_HPKE_KEY_BYTES], uint8_t ret[VN_SHA256_BYTES])
{
        uint8_t prk[VN_SHA256_BYTES], context[2 * VN_HPKE_KEY_BYTES];

        memcpy(context, enc, VN_HPKE_KEY_BYTES);
        memcpy(context + VN_HPKE_KEY_BYTES, recipient, VN_HPKE_KEY_BYTES);
        labeled_extract(&kem_suite, VN_STR(""), "eae_prk", vn_str_n(dh, VN_HPKE_KEY_BYTES), prk);
        labeled_expand(&kem_suite, prk, "shared_secret", vn_str_n(context, sizeof(context)), ret, VN_SHA256_BYTES);
        explicit_bzero(prk, sizeof(prk));
}

/* --- the key schedule and the message --- */

struct keys {
        uint8_t key[32], nonce[NONCE_BYTES];
};

static void key_schedule(enum vn_hpke_aead aead, const uint8_t shared[VN_SHA256_BYTES], struct vn_str info,
                         struct keys *ret)
{
        const struct suite suite = hpke_suite(aead);
        uint8_t context[1 + 2 * VN_SHA256_BYTES] = {0}, secret[VN_SHA256_BYTES];
        struct vn_str whole = vn_str_n(context, sizeof(context));

        labeled_extract(&suite, VN_STR(""), "psk_id_hash", VN_STR(""), context + 1);
        labeled_extract(&suite, VN_STR(""), "info_hash", info, context + 1 + VN_SHA256_BYTES);
        labeled_extract(&suite, vn_str_n(shared, VN_SHA256_BYTES), "secret", VN_STR(""), secret);
        labeled_expand(&suite, secret, "key", whole, ret->key, aead == VN_HPKE_AES_128_GCM ? 16 : 32);
        labeled_expand(&suite, secret, "base_nonce", whole, ret->nonce, NONCE_BYTES);
        explicit_bzero(secret, sizeof(secret));
}

static bool encrypt(enum vn_hpke_aead aead, const struct keys *keys, struct vn_str associated, struct vn_str text,
                    uint8_t *ret)
{
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        const EVP_CIPHER *cipher = aead == VN_HPKE_AES_128_GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
        int n;
        bool good = c && EVP_EncryptInit_ex(c, cipher, NULL, keys->key, keys->nonce) == 1 &&
                    EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)associated.ptr, (int)associated.len) == 1 &&
                    EVP_EncryptUpdate(c, ret, &n, (const uint8_t *)text.ptr, (int)text.len) == 1 &&
                    EVP_EncryptFinal_ex(c, ret + text.len, &n) == 1 &&
                    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, VN_HPKE_TAG_BYTES, ret + text.len) == 1;

        EVP_CIPHER_CTX_free(c);
        return good;
}

static bool decrypt(const struct keys *keys, struct vn_str associated, struct vn_str sealed, uint8_t *ret)
{
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        size_t len = sealed.len - VN_HPKE_TAG_BYTES;
        uint8_t tag[VN_HPKE_TAG_BYTES];
        int n;

        memcpy(tag, sealed.ptr + len, sizeof(tag));
        bool good = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, keys->key, keys->nonce) == 1 &&
                    EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)associated.ptr, (int)associated.len) == 1 &&
                    EVP_DecryptUpdate(c, ret, &n, (const uint8_t *)sealed.ptr, (int)len) == 1 &&
                    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, VN_HPKE_TAG_BYTES, tag) == 1 &&
                    EVP_DecryptFinal_ex(c, ret + len, &n) == 1;
        EVP_CIPHER_CTX_free(c);
        return good;
}

enum vn_rc vn_hpke_make_key(uint8_t ret_private[VN_HPKE_KEY_BYTES], uint8_t ret_public[VN_HPKE_KEY_BYTES],
                            struct vn_err *err)
{
        vn_random_bytes(ret_private, VN_HPKE_KEY_BYTES);
        return public_of(ret_private, ret_public) ? VN_OK
                                                  : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a key");
}

enum vn_rc vn_hpke_seal_as(enum vn_hpke_aead aead, const uint8_t ephemeral[VN_HPKE_KEY_BYTES],
                           const uint8_t public_key[VN_HPKE_KEY_BYTES], struct vn_str info, struct vn_str associated,
                           struct vn_str text, uint8_t ret_enc[VN_HPKE_KEY_BYTES], struct vn_buf *ret,
                           struct vn_err *err)
{
        uint8_t dh[VN_HPKE_KEY_BYTES], shared[VN_SHA256_BYTES];
        struct keys keys;

        if (!text.len || text.len > VN_HPKE_MAX_BYTES || info.len > VN_HPKE_MAX_INFO_BYTES ||
            associated.len > VN_HPKE_MAX_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "seal: 1 to %d bytes", VN_HPKE_MAX_BYTES);
        if (!public_of(ephemeral, ret_enc) || !diffie_hellman(ephemeral, public_key, dh))
                return vn_fail(err, VN_INVALID_ARGUMENT, "seal: not a public key to seal to");
        if (!vn_buf_reserve(ret, text.len + VN_HPKE_TAG_BYTES))
                return vn_buf_check(ret, err);
        shared_secret(dh, ret_enc, public_key, shared);
        key_schedule(aead, shared, info, &keys);
        bool good = encrypt(aead, &keys, associated, text, (uint8_t *)ret->ptr + ret->len);
        if (good)
                ret->len += text.len + VN_HPKE_TAG_BYTES;
        explicit_bzero(dh, sizeof(dh));
        explicit_bzero(shared, sizeof(shared));
        explicit_bzero(&keys, sizeof(keys));
        return good ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "seal: no memory");
}

enum vn_rc vn_hpke_seal(const uint8_t public_key[VN_HPKE_KEY_BYTES], struct vn_str info, struct vn_str associated,
                        struct vn_str text, uint8_t ret_enc[VN_HPKE_KEY_BYTES], struct vn_buf *ret,
                        struct vn_err *err)
{
        uint8_t ephemeral[VN_HPKE_KEY_BYTES];

        vn_random_bytes(ephemeral, sizeof(ephemeral));
        enum vn_rc rc = vn_hpke_seal_as(VN_HPKE_AES_256_GCM, ephemeral, public_key, info, associated, text, ret_enc,
                                        ret, err);
        explicit_bzero(ephemeral, sizeof(ephemeral));
        return rc;
}

enum vn_rc vn_hpke_open(const uint8_t private_key[VN_HPKE_KEY_BYTES], const uint8_t enc[VN_HPKE_KEY_BYTES],
                        struct vn_str info, struct vn_str associated, struct vn_str sealed, struct vn_buf *ret,
                        struct vn_err *err)
{
        uint8_t dh[VN_HPKE_KEY_BYTES], shared[VN_SHA256_BYTES], own[VN_HPKE_KEY_BYTES];
        struct keys keys;

        if (sealed.len <= VN_HPKE_TAG_BYTES || info.len > VN_HPKE_MAX_INFO_BYTES ||
            sealed.len > VN_HPKE_MAX_BYTES + VN_HPKE_TAG_BYTES || associated.len > VN_HPKE_MAX_BYTES ||
            !public_of(private_key, own) || !diffie_hellman(private_key, enc, dh))
                return vn_fail(err, VN_UNAUTHENTICATED, "what is sealed does not open");
        if (!vn_buf_reserve(ret, sealed.len))
                return vn_buf_check(ret, err);
        shared_secret(dh, enc, own, shared);
        key_schedule(VN_HPKE_AES_256_GCM, shared, info, &keys);
        bool good = decrypt(&keys, associated, sealed, (uint8_t *)ret->ptr + ret->len);
        if (good)
                ret->len += sealed.len - VN_HPKE_TAG_BYTES;
        else /* what was decrypted before the tag was checked is nobody's */
                explicit_bzero(ret->ptr + ret->len, sealed.len - VN_HPKE_TAG_BYTES);
        explicit_bzero(dh, sizeof(dh));
        explicit_bzero(shared, sizeof(shared));
        explicit_bzero(&keys, sizeof(keys));
        return good ? VN_OK : vn_fail(err, VN_UNAUTHENTICATED, "what is sealed does not open");
}
