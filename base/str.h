/* str.h - borrowed text, growable buffers with a maximum, number parsing, hex, base64.
 * Threads: any; a buffer belongs to one thread at a time.
 * Ownership: struct vn_str borrows; struct vn_buf owns its memory (vn_buf_done). */
#ifndef VANE_BASE_STR_H
#define VANE_BASE_STR_H

#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct vn_str {
        const char *ptr; /* not terminated */
        size_t len;
};
#define VN_STR(literal) ((struct vn_str){"" literal "", sizeof(literal) - 1})
#ifdef __clang_analyzer__
struct vn_str vn_str(const char *text); /* the analyser would take the question below for doubt about every text */
#else
static inline struct vn_str vn_str(const char *text)
{
        return (struct vn_str){text, text ? strlen(text) : 0};
}
#endif
static inline struct vn_str vn_str_n(const void *ptr, size_t len)
{
        return (struct vn_str){(const char *)ptr, len};
}
#define VN_FMT(s) (int)((s).len), (s).ptr /* for "%.*s" */

bool vn_str_eq(struct vn_str a, struct vn_str b);
bool vn_str_eq_nocase(struct vn_str a, struct vn_str b); /* ASCII */
/* Takes equal time for equal lengths, whatever the bytes; for tokens and signatures. */
bool vn_str_eq_secret(struct vn_str a, struct vn_str b);
bool vn_str_starts(struct vn_str s, struct vn_str prefix);
bool vn_str_ends(struct vn_str s, struct vn_str suffix);
int vn_str_cmp(struct vn_str a, struct vn_str b);
struct vn_str vn_str_trim(struct vn_str s); /* spaces and tabs */
/* Splits at the first `separator`: returns what is before, leaves the rest in *s (ptr NULL when none was left). */
struct vn_str vn_str_cut(struct vn_str *s, char separator);
/* Whole-text parses: sign, blanks, trailing bytes and overflow are errors. */
enum vn_rc vn_str_to_u64(struct vn_str s, uint64_t *ret) VN_MUST_USE;
enum vn_rc vn_str_to_i64(struct vn_str s, int64_t *ret) VN_MUST_USE;
enum vn_rc vn_str_to_double(struct vn_str s, double *ret) VN_MUST_USE; /* finite decimal, own locale-free */
/* Copies into a fixed array with a terminator; false (and empty) if it does not fit. */
bool vn_str_copy(char *to, size_t to_bytes, struct vn_str from) VN_MUST_USE;
/* Letters, digits, '-', '_', '.', first one a letter or digit, 1..max bytes: names of accounts and the like. */
bool vn_str_is_name(struct vn_str s, size_t max);
bool vn_str_is_utf8(struct vn_str s);

/* --- growable buffer with a maximum; a failed append leaves `failed` set and the content as it was --- */
struct vn_buf {
        char *ptr; /* always terminated when not NULL */
        size_t len;
        size_t cap;
        size_t max_bytes;
        bool failed; /* an append did not fit or memory was out: check once at the end */
};
#define VN_BUF_INIT(max) ((struct vn_buf){.max_bytes = (max)})
bool vn_buf_reserve(struct vn_buf *buf, size_t more);
bool vn_buf_add(struct vn_buf *buf, const void *bytes, size_t n);
bool vn_buf_str(struct vn_buf *buf, struct vn_str s);
bool vn_buf_text(struct vn_buf *buf, const char *text);
bool vn_buf_char(struct vn_buf *buf, char c);
bool vn_buf_printf(struct vn_buf *buf, const char *format, ...) VN_PRINTF(2, 3);
void vn_buf_reset(struct vn_buf *buf); /* keeps the memory */
void vn_buf_done(struct vn_buf *buf);
/* VN_OK, or RESOURCE_EXHAUSTED with the maximum in the message. */
enum vn_rc vn_buf_check(const struct vn_buf *buf, struct vn_err *err) VN_MUST_USE;
/* Gives the memory away (terminated; never NULL unless memory is out). */
char *vn_buf_take(struct vn_buf *buf);
static inline struct vn_str vn_buf_view(const struct vn_buf *buf)
{
        return (struct vn_str){buf->ptr ? buf->ptr : "", buf->len};
}
typedef struct vn_buf vn_buf_auto;
static inline void vn_buf_cleanup(struct vn_buf *buf)
{
        vn_buf_done(buf);
}

/* --- encodings --- */
void vn_hex(const void *bytes, size_t n, char *ret); /* writes 2n+1 characters, lower case */
enum vn_rc vn_unhex(struct vn_str hex, void *ret, size_t ret_bytes) VN_MUST_USE; /* exact length */
bool vn_buf_base64(struct vn_buf *buf, const void *bytes, size_t n);             /* standard, padded */
bool vn_buf_base64url(struct vn_buf *buf, const void *bytes, size_t n);          /* URL alphabet, no padding */
/* Both alphabets, padding optional; anything else is an error. */
enum vn_rc vn_base64_decode(struct vn_str text, struct vn_buf *ret) VN_MUST_USE;
bool vn_buf_url_encode(struct vn_buf *buf, struct vn_str s, bool keep_slash); /* RFC 3986 unreserved stay */
enum vn_rc vn_url_decode(struct vn_str text, struct vn_buf *ret) VN_MUST_USE;
bool vn_buf_json_string(struct vn_buf *buf, struct vn_str s); /* with the quotes; invalid UTF-8 becomes U+FFFD */

/* --- whole files --- */
enum vn_rc vn_file_read(const char *path, struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
/* Writes beside, fsyncs, renames, fsyncs the directory: all or nothing. */
enum vn_rc vn_file_write_atomic(const char *path, struct vn_str content, unsigned mode,
                                struct vn_err *err) VN_MUST_USE;

#endif
