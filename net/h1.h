/* h1.h - a strict HTTP/1.x parser: what RFC 9112 lets a lenient server guess at is an error here.
 * Purpose: request heads, chunk lines and trailers out of bytes. Pure: no I/O, no allocation.
 * Threads: any. Ownership: every vn_str points into the bytes given.
 * Refused: bare LF or CR, control bytes, blanks before a colon or at a line's start (obs-fold), a length that is not all
 *   digits, two lengths even if equal, a length beside Transfer-Encoding, any coding but exactly "chunked", any
 *   Transfer-Encoding in HTTP/1.0, no Host or several, chunk extensions that are not well formed. */
#ifndef VANE_NET_H1_H
#define VANE_NET_H1_H

#include "base/str.h"

#define VN_H1_MAX_HEADERS 100
#define VN_H1_MAX_TARGET_BYTES 8192
#define VN_H1_MAX_LINE_BYTES 1024 /* a chunk's or a trailer's line */

struct vn_h1_header {
        struct vn_str name, value;
};

struct vn_h1_head {
        struct vn_str verb, target; /* target: origin form; an absolute one is cut down to it */
        struct vn_str host;
        struct vn_h1_header headers[VN_H1_MAX_HEADERS];
        unsigned header_count;
        bool minor_0; /* HTTP/1.0 */
        bool chunked, has_length, keep_alive, expect_continue;
        uint64_t length;
};

/* Looks at bytes [*scanned, n): 0 when the head is not whole yet, its length (with the empty line) when it is, or minus
 * the HTTP status when it can be no head. *scanned goes on from call to call, starting at 0. */
long vn_h1_find_head(const char *bytes, size_t n, size_t *scanned);
/* Parses a whole head; 0, or the HTTP status to refuse it with, or VN_H1_NOT_HTTP: a first line that names another
 * protocol, which deserves no answer. */
#define VN_H1_NOT_HTTP (-1)
int vn_h1_parse_head(const char *bytes, size_t n, struct vn_h1_head *ret);
/* One chunk-size line or trailer line at the start of bytes: its length with CRLF, 0 if not whole, -1 if malformed. */
long vn_h1_chunk_line(const char *bytes, size_t n, uint64_t *ret_size);
long vn_h1_trailer_line(const char *bytes, size_t n, bool *ret_last);

#endif
