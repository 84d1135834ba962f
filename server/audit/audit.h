/* audit.h - the log for auditors: checkpoints, proofs, tiles, and the export that vanectl verifies offline.
 * Threads: operations on the reader loop; the export stream is fed from there and sent on its edge loop. */
#ifndef VANE_SERVER_AUDIT_AUDIT_H
#define VANE_SERVER_AUDIT_AUDIT_H

#include "server/op.h"
#include "server/server.h"
#include "vane/v1/control.pb-c.h"

/* Inclusion of one entry in the tree of `size` (0: the newest checkpoint); `present` is false while it is not
 * integrated yet. */
enum vn_rc vn_audit_proof(struct vn_op *op, uint64_t index, uint64_t size, Vane__V1__Proof **ret,
                          struct vn_err *err) VN_MUST_USE;
/* Raw HTTP: /checkpoint, /tile/..., /v1/audit/export.jsonl. */
enum vn_rc vn_audit_add_http(struct vn_server *server, struct vn_err *err) VN_MUST_USE;

/* An export accounts for every entry of a range of the log, in its order, in lines of JSON:
 *   {"type":"header","format":2,"tenant":T,"from_us":N,"to_us":N,"first":N,"end":N,"checkpoint":NOTE,"key":VKEY,"size":N}
 *   {"type":"record","seq":N,"kind":K,"record":BASE64,"leaf":BASE64,"proof":[BASE64,...]}   a record that was asked for
 *   {"type":"other","first":N,"last":N}      entries that were not: another tenant's, or of another time
 *   {"type":"tombstone","seq":N,"kind":"tombstone",...as a record}   before the first line that it excuses
 *   {"type":"expired","first":N,"last":N,"tombstone":N}   entries whose payload went under that tombstone
 *   {"type":"missing","first":N,"last":N}    entries whose payload is gone without one: somebody tampered with it
 *   {"type":"end","manifest":NOTE}           how much there is, signed, with a SHA-256 of all lines before (manifest.h)
 * It is complete against everybody but the holder of the log's key; and his word is signed. */
#define VN_EXPORT_LINE_BYTES 32768 /* a record of VN_RUN_MAX_BYTES in base64, its leaf and its proof */
struct vn_export;
enum vn_rc vn_export_new(struct vn_server *server, const char *tenant, int64_t from_us, int64_t to_us,
                         struct vn_export **ret, struct vn_err *err) VN_MUST_USE;
struct vn_export *vn_export_free(struct vn_export *export);
/* Appends the next line with its newline to `ret`; *ret_more is false after the last. */
enum vn_rc vn_export_next(struct vn_export *export, struct vn_buf *ret, bool *ret_more,
                          struct vn_err *err) VN_MUST_USE;

#endif
