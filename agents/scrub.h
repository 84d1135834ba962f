/* scrub.h - what may stay in a line of a function's log: everything that looks like a secret or a person becomes a mark.
 * Purpose: the second half of privacy, after the allow-list (lines.h): emails, bearer tokens and JWTs, keys of the clouds
 *   and of well-known services, private key blocks, card numbers (Luhn), IPv4 and IPv6, the values of names like
 *   `password`, user names in URLs and the values of their queries, and any long run that mixes upper case, lower case
 *   and digits.
 * Threads: a scrubber belongs to one thread. Ownership: it owns two buffers; a result is good until the next call.
 * Bounds: at most VN_SCRUB_MAX_BYTES in. RESOURCE_EXHAUSTED for more, or when memory is out: such a line must not go on.
 * Promise: scrubbing twice gives what scrubbing once gave. What is split over two lines is seen by halves:
 *   docs/telemetry.md says what that covers. */
#ifndef VANE_AGENTS_SCRUB_H
#define VANE_AGENTS_SCRUB_H

#include "base/str.h"

#define VN_SCRUB_MAX_BYTES (256u << 10)

enum vn_scrub_kind {
        VN_SCRUB_EMAIL,
        VN_SCRUB_TOKEN,
        VN_SCRUB_KEY,
        VN_SCRUB_PRIVATE_KEY,
        VN_SCRUB_CARD,
        VN_SCRUB_IP,
        VN_SCRUB_SECRET,
        VN_SCRUB_USERINFO,
        VN_SCRUB_VALUE,
        VN_SCRUB_KINDS
};
const char *vn_scrub_mark(enum vn_scrub_kind kind); /* "[email]", ... */

struct vn_scrub {
        struct vn_buf buf[2];
        uint64_t counts[VN_SCRUB_KINDS]; /* of what was replaced */
};
void vn_scrub_init(struct vn_scrub *scrub);
void vn_scrub_done(struct vn_scrub *scrub);
enum vn_rc vn_scrub_text(struct vn_scrub *scrub, struct vn_str text, struct vn_str *ret,
                         struct vn_err *err) VN_MUST_USE;

#endif
