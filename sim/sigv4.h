/* sim/sigv4.h - checks AWS Signature Version 4 of a request.
 * Written apart from the signer that it judges, from AWS's description of the algorithm.
 * Threads: any; pure but for the times passed in. */
#ifndef VANE_SIM_SIGV4_H
#define VANE_SIM_SIGV4_H

#include "sim/wire.h"

enum vn_sigv4_verdict {
        VN_SIGV4_OK,
        VN_SIGV4_MISSING,    /* no Authorization header */
        VN_SIGV4_INCOMPLETE, /* it cannot be read, or something that must be signed is not */
        VN_SIGV4_UNKNOWN_KEY,
        VN_SIGV4_SCOPE,   /* signed for another region or service */
        VN_SIGV4_EXPIRED, /* more than five minutes from both clocks */
        VN_SIGV4_MISMATCH,
};
struct vn_sigv4_key {
        const char *key_id, *secret, *region; /* region NULL: any */
};
struct vn_sigv4_result {
        size_t key; /* index of the key that signed */
        char service[32];
        char message[256]; /* for the answer; never contains the expected signature */
};
/* Two clocks: the sandbox's, and the machine's, which is all that an outside client knows. */
enum vn_sigv4_verdict vn_sigv4_verify(const struct vn_sim_request *request, const struct vn_sigv4_key *keys,
                                      size_t key_count, int64_t now_us, int64_t real_us, struct vn_sigv4_result *ret);
/* Appends the canonical request over these signed headers ("host;x-amz-date"); for tests against AWS's vectors. */
bool vn_sigv4_canonical(const struct vn_sim_request *request, struct vn_str signed_headers,
                        struct vn_str payload_hash, bool s3, struct vn_buf *ret);

#endif
