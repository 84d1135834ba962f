/* scrub_internal.h - between the pass over a line (scrub.c) and what it looks for (scrub_detect.c, scrub_names.c).
 * Purpose: internal to the scrubber. Threads: pure. */
#ifndef VANE_AGENTS_SCRUB_INTERNAL_H
#define VANE_AGENTS_SCRUB_INTERNAL_H

#include "agents/scrub.h"

enum {
        VN_CH_DIGIT = 1,
        VN_CH_UPPER = 2,
        VN_CH_LOWER = 4,
        VN_CH_HEX = 8,
        VN_CH_RUN = 16, /* may be inside a base64 or base64url run, padding aside */
        VN_CH_NAME = 32,
        VN_CH_LOCAL = 64, /* of an email address, before the @ */
        VN_CH_STOP = 128, /* ends an unquoted value */
};
#define VN_CH_ALNUM (VN_CH_DIGIT | VN_CH_UPPER | VN_CH_LOWER)
extern const uint8_t vn_scrub_chars[256];
static inline bool vn_scrub_is(char c, unsigned classes)
{
        return (vn_scrub_chars[(uint8_t)c] & classes) != 0;
}

/* Something that begins at `at` where a word begins: how many bytes it takes, 0 for nothing; `keep` of them stay. */
struct vn_scrub_hit {
        size_t bytes, keep;
        enum vn_scrub_kind kind;
};
bool vn_scrub_word(struct vn_str text, size_t at, bool after_ip, struct vn_scrub_hit *ret);
size_t vn_scrub_ipv6(struct vn_str text, size_t at);
size_t vn_scrub_private_key(struct vn_str text, size_t at); /* at "-----BEGIN" */
size_t vn_scrub_domain(struct vn_str text, size_t at);      /* after the @ */
/* The length of the run at `at` if it looks like key material, else 0; *ret_end is where the run ends. */
size_t vn_scrub_run(struct vn_str text, size_t at, size_t *ret_end);

enum vn_scrub_value { VN_VALUE_OPEN, VN_VALUE_WORD, VN_VALUE_LINE };
/* Whether what such a name holds is secret, and how far that goes when it is not quoted. */
enum vn_scrub_value vn_scrub_name(struct vn_str name);

#endif
