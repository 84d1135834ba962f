#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <sys/random.h>

#include "base/detmath.h"

static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256_algorithm;

static void context_free(void *context)
{
        EVP_MD_CTX_free(context);
}

static void context_setup(void)
{
        /* Fetched once: an implicit fetch per digest is most of a short hash's cost in OpenSSL 3. */
        sha256_algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
        VN_ASSERT(sha256_algorithm);
        VN_ASSERT(pthread_key_create(&context_key, context_free) == 0);
}

static EVP_MD_CTX *thread_context(void)
{
        pthread_once(&context_once, context_setup);
        EVP_MD_CTX *context = pthread_getspecific(context_key);
        if (!context) {
                context = EVP_MD_CTX_new();
                VN_ASSERT(context && pthread_setspecific(context_key, context) == 0);
        }
        return context;
}

void vn_sha256_parts(const struct vn_str *parts, size_t count, uint8_t ret[VN_SHA256_BYTES])
{
        EVP_MD_CTX *context = thread_context();
        VN_ASSERT(EVP_DigestInit_ex2(context, sha256_algorithm, NULL));
        for (size_t i = 0; i < count; i++)
                VN_ASSERT(EVP_DigestUpdate(context, parts[i].ptr, parts[i].len));
        VN_ASSERT(EVP_DigestFinal_ex(context, ret, NULL));
}

void vn_sha256(const void *bytes, size_t n, uint8_t ret[VN_SHA256_BYTES])
{
        struct vn_str part = vn_str_n(bytes, n);
        vn_sha256_parts(&part, 1, ret);
}

struct vn_digest {
        EVP_MD_CTX *context;
};

struct vn_digest *vn_digest_new(void)
{
        struct vn_digest *digest = vn_alloc(sizeof *digest);
        if (!digest)
                return NULL;
        pthread_once(&context_once, context_setup);
        digest->context = EVP_MD_CTX_new();
        if (!digest->context)
                return vn_digest_free(digest);
        VN_ASSERT(EVP_DigestInit_ex2(digest->context, sha256_algorithm, NULL));
        return digest;
}

void vn_digest_add(struct vn_digest *digest, const void *bytes, size_t n)
{
        VN_ASSERT(EVP_DigestUpdate(digest->context, bytes, n));
}

void vn_digest_end(struct vn_digest *digest, uint8_t ret[VN_SHA256_BYTES])
{
        VN_ASSERT(EVP_DigestFinal_ex(digest->context, ret, NULL));
}

struct vn_digest *vn_digest_free(struct vn_digest *digest)
{
        if (digest)
                EVP_MD_CTX_free(digest->context);
        vn_free(digest);
        return NULL;
}

void vn_hmac_sha256(struct vn_str key, struct vn_str message, uint8_t ret[VN_SHA256_BYTES])
{
        /* RFC 2104 over our reused context. */
        uint8_t block[64] = {0}, inner[VN_SHA256_BYTES], pad[64];
        if (key.len > sizeof block)
                vn_sha256(key.ptr, key.len, block);
        else if (key.len)
                memcpy(block, key.ptr, key.len);
        for (size_t i = 0; i < sizeof block; i++)
                pad[i] = block[i] ^ 0x36;
        vn_sha256_parts((struct vn_str[]){vn_str_n(pad, 64), message}, 2, inner);
        for (size_t i = 0; i < sizeof block; i++)
                pad[i] = block[i] ^ 0x5C;
        vn_sha256_parts((struct vn_str[]){vn_str_n(pad, 64), vn_str_n(inner, sizeof inner)}, 2, ret);
        explicit_bzero(block, sizeof block);
        explicit_bzero(pad, sizeof pad);
}

void vn_random_bytes(void *ret, size_t n)
{
        uint8_t *p = ret;
        while (n) {
                size_t part = n < 256 ? n : 256;
                VN_ASSERT(getrandom(p, part, 0) == (ssize_t)part);
                p += part;
                n -= part;
        }
}

static uint64_t splitmix(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

void vn_rng_seed(struct vn_rng *rng, uint64_t seed)
{
        for (int i = 0; i < 4; i++)
                rng->s[i] = splitmix(&seed);
}

static uint64_t rotl(uint64_t x, int k)
{
        return x << k | x >> (64 - k);
}

uint64_t vn_rng_u64(struct vn_rng *rng)
{
        uint64_t *s = rng->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = rotl(s[3], 45);
        return result;
}

double vn_rng_unit(struct vn_rng *rng)
{
        return (double)(vn_rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t vn_rng_below(struct vn_rng *rng, uint64_t bound)
{
        uint64_t threshold = (0 - bound) % bound, value;
        do
                value = vn_rng_u64(rng);
        while (value < threshold);
        return value % bound;
}

double vn_rng_normal(struct vn_rng *rng)
{
        /* Marsaglia's polar method: needs no sine. */
        double u, v, s;
        do {
                u = 2 * vn_rng_unit(rng) - 1;
                v = 2 * vn_rng_unit(rng) - 1;
                s = u * u + v * v;
        } while (s >= 1 || s == 0);
        return u * vn_sqrt(-2 * vn_log(s) / s);
}

uint64_t vn_hash64(const void *bytes, size_t n, uint64_t seed)
{
        const uint8_t *p = bytes;
        uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;
        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * UINT64_C(0x100000001b3);
        return splitmix(&h);
}
