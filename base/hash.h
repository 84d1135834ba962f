/* hash.h - SHA-256, HMAC, random bytes, seeded generator, decision draws.
 * Threads: vn_sha256 keeps one reused context a thread (a new context each time is 2.8 times slower).
 * Errors: OpenSSL failing at a digest is a broken invariant and stops the process. */
#ifndef VANE_BASE_HASH_H
#define VANE_BASE_HASH_H

#include "base/err.h"
#include "base/str.h"

#define VN_SHA256_BYTES 32
void vn_sha256(const void *bytes, size_t n, uint8_t ret[VN_SHA256_BYTES]);
/* Hash of the concatenation of up to any number of parts. */
void vn_sha256_parts(const struct vn_str *parts, size_t count, uint8_t ret[VN_SHA256_BYTES]);
/* SHA-256 of what comes in pieces; one thread at a time. NULL if memory is out. */
struct vn_digest;
struct vn_digest *vn_digest_new(void);
void vn_digest_add(struct vn_digest *digest, const void *bytes, size_t n);
void vn_digest_end(struct vn_digest *digest, uint8_t ret[VN_SHA256_BYTES]); /* then only vn_digest_free */
struct vn_digest *vn_digest_free(struct vn_digest *digest);
VN_DEFINE_AUTO(vn_digest);
void vn_hmac_sha256(struct vn_str key, struct vn_str message, uint8_t ret[VN_SHA256_BYTES]);

/* From the kernel; stops the process if it has none. */
void vn_random_bytes(void *ret, size_t n);

/* xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018): repeatable, not for secrets. */
struct vn_rng {
        uint64_t s[4];
};
void vn_rng_seed(struct vn_rng *rng, uint64_t seed);
uint64_t vn_rng_u64(struct vn_rng *rng);
double vn_rng_unit(struct vn_rng *rng);                    /* [0, 1) with 53 bits */
uint64_t vn_rng_below(struct vn_rng *rng, uint64_t bound); /* unbiased; bound > 0 */
double vn_rng_normal(struct vn_rng *rng);                  /* standard normal; uses detmath only */

/* 64-bit mix of bytes for hash tables and draws (FNV-1a then a splitmix finaliser); not for security. */
uint64_t vn_hash64(const void *bytes, size_t n, uint64_t seed);

#endif
