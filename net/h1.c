/* h1.c - see h1.h. */
#include "net/h1.h"

static bool is_token_char(unsigned char c)
{
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
                return true;
        return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_token_char((unsigned char)s.ptr[i]))
                        return false;
        return s.len > 0;
}

static bool is_field_char(unsigned char c)
{
        return c == '\t' || (c >= 0x20 && c != 0x7f);
}

long vn_h1_find_head(const char *bytes, size_t n, size_t *scanned)
{
        size_t i = *scanned;
        for (; i < n; i++) {
                char c = bytes[i];
                if (c == '\r') {
                        if (i + 1 == n)
                                break; /* its LF may still come */
                        if (bytes[i + 1] != '\n')
                                return -400;
                        continue;
                }
                if (c == '\n') {
                        if (i == 0 || bytes[i - 1] != '\r')
                                return -400;
                        if (i == 1)
                                return -400; /* an empty request line */
                        if (i >= 3 && bytes[i - 2] == '\n')
                                return (long)i + 1;
                        continue;
                }
                if (!is_field_char((unsigned char)c))
                        return -400;
        }
        *scanned = i;
        return 0;
}

/* Cuts one CRLF line off; the caller knows that there is one. */
static struct vn_str next_line(struct vn_str *rest)
{
        const char *end = memchr(rest->ptr, '\n', rest->len);
        size_t n = end ? (size_t)(end - rest->ptr) : rest->len;
        struct vn_str line = vn_str_n(rest->ptr, n ? n - 1 : 0);
        *rest = vn_str_n(rest->ptr + (end ? n + 1 : n), rest->len - (end ? n + 1 : n));
        return line;
}

static bool is_visible(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.ptr[i] <= 0x20 || (unsigned char)s.ptr[i] >= 0x7f)
                        return false;
        return s.len > 0;
}

static bool is_host(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.ptr[i];
                if (c <= 0x20 || c >= 0x7f || strchr("/?#@\\\"<>^`{|}", c))
                        return false;
        }
        return true;
}

/* "http://host/path" is a valid target for every server (RFC 9112, 3.2.2), and its host then counts. */
static bool absolute_form(struct vn_h1_head *head, struct vn_str *ret_authority)
{
        struct vn_str t = head->target;
        size_t skip = vn_str_starts(t, VN_STR("http://")) ? 7 : vn_str_starts(t, VN_STR("https://")) ? 8 : 0;
        if (!skip)
                return false;
        t = vn_str_n(t.ptr + skip, t.len - skip);
        const char *slash = memchr(t.ptr, '/', t.len);
        size_t host_len = slash ? (size_t)(slash - t.ptr) : t.len;
        *ret_authority = vn_str_n(t.ptr, host_len);
        head->target = slash ? vn_str_n(slash, t.len - host_len) : VN_STR("/");
        return host_len > 0 && is_host(*ret_authority);
}

static int parse_request_line(struct vn_str line, struct vn_h1_head *ret, struct vn_str *ret_authority)
{
        struct vn_str rest = line;
        ret->verb = vn_str_cut(&rest, ' ');
        if (!rest.ptr || !is_token(ret->verb))
                return 400;
        ret->target = vn_str_cut(&rest, ' ');
        if (!rest.ptr)
                return 400;
        if (!vn_str_eq(rest, VN_STR("HTTP/1.1")) && !vn_str_eq(rest, VN_STR("HTTP/1.0"))) {
                bool other = rest.len == 8 && vn_str_starts(rest, VN_STR("HTTP/")) && rest.ptr[6] == '.' &&
                             rest.ptr[5] >= '0' && rest.ptr[5] <= '9' && rest.ptr[7] >= '0' && rest.ptr[7] <= '9';
                if (!vn_str_starts(rest, VN_STR("HTTP/")))
                        return memchr(rest.ptr, ' ', rest.len) ? 400 : VN_H1_NOT_HTTP;
                return other ? 505 : 400;
        }
        ret->minor_0 = rest.ptr[7] == '0';
        ret->keep_alive = !ret->minor_0;
        if (!is_visible(ret->target) || memchr(ret->target.ptr, '#', ret->target.len))
                return 400;
        if (ret->target.len > VN_H1_MAX_TARGET_BYTES)
                return 414;
        if (ret->target.ptr[0] == '/' || vn_str_eq(ret->target, VN_STR("*")))
                return 0;
        return absolute_form(ret, ret_authority) ? 0 : 400;
}

static bool parse_length(struct vn_str value, uint64_t *ret)
{
        *ret = 0;
        if (!value.len || value.len > 18)
                return false;
        for (size_t i = 0; i < value.len; i++) {
                if (value.ptr[i] < '0' || value.ptr[i] > '9')
                        return false;
                *ret = *ret * 10 + (uint64_t)(value.ptr[i] - '0');
        }
        return true;
}

static void parse_connection(struct vn_str value, struct vn_h1_head *ret)
{
        while (value.ptr) {
                struct vn_str option = vn_str_trim(vn_str_cut(&value, ','));
                if (vn_str_eq_nocase(option, VN_STR("close")))
                        ret->keep_alive = false;
                else if (vn_str_eq_nocase(option, VN_STR("keep-alive")) && ret->minor_0)
                        ret->keep_alive = true;
        }
}

struct seen {
        unsigned hosts, lengths, codings;
};

static int note_header(struct vn_h1_head *ret, struct vn_str name, struct vn_str value, struct seen *seen)
{
        if (vn_str_eq_nocase(name, VN_STR("host"))) {
                if (++seen->hosts > 1 || !is_host(value))
                        return 400;
                ret->host = value;
        } else if (vn_str_eq_nocase(name, VN_STR("content-length"))) {
                if (++seen->lengths > 1 || !parse_length(value, &ret->length))
                        return 400;
                ret->has_length = true;
        } else if (vn_str_eq_nocase(name, VN_STR("transfer-encoding"))) {
                if (++seen->codings > 1 || ret->minor_0 || !vn_str_eq_nocase(value, VN_STR("chunked")))
                        return 400;
                ret->chunked = true;
        } else if (vn_str_eq_nocase(name, VN_STR("connection"))) {
                parse_connection(value, ret);
        } else if (vn_str_eq_nocase(name, VN_STR("expect"))) {
                if (!vn_str_eq_nocase(value, VN_STR("100-continue")))
                        return 417;
                ret->expect_continue = !ret->minor_0;
        }
        return 0;
}

static bool parse_field(struct vn_str line, struct vn_str *ret_name, struct vn_str *ret_value)
{
        const char *colon = memchr(line.ptr, ':', line.len);
        if (!colon)
                return false;
        *ret_name = vn_str_n(line.ptr, (size_t)(colon - line.ptr));
        *ret_value = vn_str_trim(vn_str_n(colon + 1, line.len - ret_name->len - 1));
        if (!is_token(*ret_name)) /* so no blank before the colon and no folded line either */
                return false;
        for (size_t i = 0; i < ret_value->len; i++)
                if (!is_field_char((unsigned char)ret_value->ptr[i]))
                        return false;
        return true;
}

int vn_h1_parse_head(const char *bytes, size_t n, struct vn_h1_head *ret)
{
        struct vn_str rest = vn_str_n(bytes, n), authority = VN_STR("");
        struct seen seen = {0};
        memset(ret, 0, offsetof(struct vn_h1_head, headers));
        ret->header_count = 0;
        ret->chunked = ret->has_length = ret->expect_continue = false;
        ret->length = 0;
        int status = parse_request_line(next_line(&rest), ret, &authority);
        if (status)
                return status;
        for (;;) {
                struct vn_str line = next_line(&rest), name, value;
                if (!line.len)
                        break;
                if (!parse_field(line, &name, &value))
                        return 400;
                if (ret->header_count == VN_H1_MAX_HEADERS)
                        return 431;
                status = note_header(ret, name, value, &seen);
                if (status)
                        return status;
                ret->headers[ret->header_count++] = (struct vn_h1_header){name, value};
        }
        if (rest.len || (seen.lengths && seen.codings) || (!seen.hosts && !ret->minor_0))
                return 400;
        if (authority.len) {
                if (seen.hosts && !vn_str_eq_nocase(authority, ret->host))
                        return 400; /* two names for one request */
                ret->host = authority;
        }
        return 0;
}

/* --- chunked bodies --- */

/* Finds the line's end; 0 not yet, -1 never. */
static long line_length(const char *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (bytes[i] == '\n')
                        return i && bytes[i - 1] == '\r' ? (long)i + 1 : -1;
                if (bytes[i] == '\r' ? i + 1 < n && bytes[i + 1] != '\n' : !is_field_char((unsigned char)bytes[i]))
                        return -1;
                if (i > VN_H1_MAX_LINE_BYTES)
                        return -1;
        }
        return 0;
}

static size_t quoted_length(struct vn_str s)
{
        for (size_t i = 1; i < s.len; i++) {
                if (s.ptr[i] == '\\')
                        i++;
                else if (s.ptr[i] == '"')
                        return i + 1;
        }
        return 0;
}

static size_t token_length(struct vn_str s)
{
        size_t n = 0;
        while (n < s.len && is_token_char((unsigned char)s.ptr[n]))
                n++;
        return n;
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ), without the blanks that only old senders put there. */
static bool extensions_ok(struct vn_str s)
{
        while (s.len) {
                if (s.ptr[0] != ';')
                        return false;
                s = vn_str_n(s.ptr + 1, s.len - 1);
                size_t n = token_length(s);
                if (!n)
                        return false;
                s = vn_str_n(s.ptr + n, s.len - n);
                if (!s.len || s.ptr[0] != '=')
                        continue;
                s = vn_str_n(s.ptr + 1, s.len - 1);
                n = s.len && s.ptr[0] == '"' ? quoted_length(s) : token_length(s);
                if (!n)
                        return false;
                s = vn_str_n(s.ptr + n, s.len - n);
        }
        return true;
}

long vn_h1_chunk_line(const char *bytes, size_t n, uint64_t *ret_size)
{
        long length = line_length(bytes, n);
        if (length <= 0)
                return length;
        size_t i = 0, end = (size_t)length - 2;
        uint64_t size = 0;
        for (; i < end; i++) {
                char c = bytes[i];
                unsigned digit;
                if (c >= '0' && c <= '9')
                        digit = (unsigned)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        digit = (unsigned)(c - 'a') + 10;
                else if (c >= 'A' && c <= 'F')
                        digit = (unsigned)(c - 'A') + 10;
                else
                        break;
                if (i == 15)
                        return -1;
                size = size << 4 | digit;
        }
        if (!i || !extensions_ok(vn_str_n(bytes + i, end - i)))
                return -1;
        *ret_size = size;
        return length;
}

long vn_h1_trailer_line(const char *bytes, size_t n, bool *ret_last)
{
        long length = line_length(bytes, n);
        struct vn_str name, value;
        if (length <= 0)
                return length;
        *ret_last = length == 2;
        return *ret_last || parse_field(vn_str_n(bytes, (size_t)length - 2), &name, &value) ? length : -1;
}
