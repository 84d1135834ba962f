/* scrub_patterns.h - what an account's owner wants to be taken out of log lines beyond what scrub.h knows.
 * Purpose: named Perl-compatible patterns from `scrub_patterns` of the agent's cloud.json; a match becomes "[NAME]".
 *   They run before the built-in scrubber, on the line as it was written.
 * Threads: one at a time. Ownership: owns the compiled patterns; a result is good until the next call.
 * Errors: INVALID_ARGUMENT names the pattern and the place in it. A pattern that needs more steps for a line than
 *   VN_PATTERN_MAX_STEPS gives RESOURCE_EXHAUSTED: that line must not go on. */
#ifndef VANE_AGENTS_SCRUB_PATTERNS_H
#define VANE_AGENTS_SCRUB_PATTERNS_H

#include "base/mem.h"
#include "base/str.h"

#define VN_MAX_PATTERNS 64
#define VN_PATTERN_MAX_BYTES 1024
#define VN_PATTERN_MAX_STEPS 100000 /* of matching one line */
#define VN_PATTERN_MAX_DEPTH 1000   /* of remembered choices */

struct json_t;
struct vn_scrub_patterns;
/* array: [{"name": "customer", "pattern": "CUST-\\d+"}, ...]; NULL: none. */
enum vn_rc vn_scrub_patterns_new(const struct json_t *array, struct vn_scrub_patterns **ret,
                                 struct vn_err *err) VN_MUST_USE;
struct vn_scrub_patterns *vn_scrub_patterns_free(struct vn_scrub_patterns *patterns);
VN_DEFINE_AUTO(vn_scrub_patterns);
/* *ret is `text` itself when nothing matched; *replaced grows by the matches. */
enum vn_rc vn_scrub_patterns_run(struct vn_scrub_patterns *patterns, struct vn_str text, struct vn_str *ret,
                                 uint64_t *replaced, struct vn_err *err) VN_MUST_USE;

#endif
