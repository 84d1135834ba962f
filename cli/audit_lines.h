/* audit_lines.h - the lines of an export (server/audit/audit.h), taken one after the other; for audit_verify.c.
 * Purpose: each line proves what it says of the log, and together they leave no entry of the range out. Whether the file
 *   is the one that was signed is for the caller, with the manifest of the end line.
 * Threads: one. Ownership: whoever inits also ends it. Errors: DATA_LOSS for what the log does not vouch for. */
#ifndef VANE_CLI_AUDIT_LINES_H
#define VANE_CLI_AUDIT_LINES_H

#include <jansson.h>

#include "store/manifest.h"

#define VN_AUDIT_LINE_BYTES ((size_t)1 << 20)

struct audit_tombstone {
        uint64_t seq, first, last;
        char rule[256], actor[64];
        uint64_t excused; /* entries of this export */
};
struct audit_lines {
        struct vn_note_key *key;
        bool has_header;
        struct vn_export_manifest told; /* as the header says and the lines add up to */
        uint64_t next;                  /* the entry of the log that must come next */
        struct audit_tombstone *tombstones;
        size_t tombstone_count, tombstone_room;
        struct vn_err *err;
};
/* Any line but the end; given_key may be NULL. */
enum vn_rc audit_take_line(struct audit_lines *lines, json_t *line, struct vn_str type,
                           const char *given_key) VN_MUST_USE;
/* Refuses members that are not in the list of words: a member that nobody checks could say anything. */
enum vn_rc audit_only_members(json_t *line, const char *words, struct vn_err *err) VN_MUST_USE;
void audit_lines_done(struct audit_lines *lines);

#endif
