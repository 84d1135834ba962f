/* codec.c - hex, base64, URL and JSON string encodings of str.h. */
#include "base/str.h"

void vn_hex(const void *bytes, size_t n, char *ret)
{
        static const char digits[] = "0123456789abcdef";
        const uint8_t *p = bytes;
        for (size_t i = 0; i < n; i++) {
                ret[2 * i] = digits[p[i] >> 4];
                ret[2 * i + 1] = digits[p[i] & 15];
        }
        ret[2 * n] = 0;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

enum vn_rc vn_unhex(struct vn_str hex, void *ret, size_t ret_bytes)
{
        uint8_t *to = ret;
        if (hex.len != 2 * ret_bytes)
                return VN_INVALID_ARGUMENT;
        for (size_t i = 0; i < ret_bytes; i++) {
                int high = hex_digit(hex.ptr[2 * i]), low = hex_digit(hex.ptr[2 * i + 1]);
                if (high < 0 || low < 0)
                        return VN_INVALID_ARGUMENT;
                to[i] = (uint8_t)(high << 4 | low);
        }
        return VN_OK;
}

static const char base64_standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool base64_add(struct vn_buf *buf, const uint8_t *p, size_t n, const char *alphabet, bool pad)
{
        for (; n >= 3; p += 3, n -= 3) {
                char out[4] = {alphabet[p[0] >> 2], alphabet[(p[0] & 3) << 4 | p[1] >> 4],
                               alphabet[(p[1] & 15) << 2 | p[2] >> 6], alphabet[p[2] & 63]};
                vn_buf_add(buf, out, 4);
        }
        if (n) {
                unsigned second = n == 2 ? p[1] : 0;
                char out[4] = {alphabet[p[0] >> 2], alphabet[(p[0] & 3) << 4 | second >> 4],
                               n == 2 ? alphabet[(second & 15) << 2] : '=', '='};
                vn_buf_add(buf, out, pad ? 4 : n + 1);
        }
        return vn_buf_reserve(buf, 0) && !buf->failed;
}

bool vn_buf_base64(struct vn_buf *buf, const void *bytes, size_t n)
{
        return base64_add(buf, bytes, n, base64_standard, true);
}

bool vn_buf_base64url(struct vn_buf *buf, const void *bytes, size_t n)
{
        return base64_add(buf, bytes, n, base64_url, false);
}

static int base64_digit(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+' || c == '-')
                return 62;
        return c == '/' || c == '_' ? 63 : -1;
}

enum vn_rc vn_base64_decode(struct vn_str text, struct vn_buf *ret)
{
        size_t padding = 0;
        while (text.len && padding < 2 && text.ptr[text.len - 1] == '=')
                text.len--, padding++;
        if (text.len % 4 == 1 || (padding && (text.len + padding) % 4))
                return VN_INVALID_ARGUMENT;
        uint32_t bits = 0;
        for (size_t i = 0; i < text.len; i++) {
                int digit = base64_digit(text.ptr[i]);
                if (digit < 0)
                        return VN_INVALID_ARGUMENT;
                bits = bits << 6 | (uint32_t)digit;
                if (i % 4 != 0)
                        vn_buf_char(ret, (char)(uint8_t)(bits >> (6 - 2 * (i % 4))));
        }
        if ((text.len % 4 == 2 && (bits & 15)) || (text.len % 4 == 3 && (bits & 3)))
                return VN_INVALID_ARGUMENT; /* bits that no encoder leaves: two texts would decode to one value */
        vn_buf_reserve(ret, 0);
        return ret->failed ? VN_RESOURCE_EXHAUSTED : VN_OK;
}

bool vn_buf_url_encode(struct vn_buf *buf, struct vn_str s, bool keep_slash)
{
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.ptr[i];
                bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                             c == '_' || c == '.' || c == '~' || (keep_slash && c == '/');
                if (plain)
                        vn_buf_char(buf, (char)c);
                else
                        vn_buf_printf(buf, "%%%02X", c);
        }
        return vn_buf_reserve(buf, 0) && !buf->failed;
}

enum vn_rc vn_url_decode(struct vn_str text, struct vn_buf *ret)
{
        for (size_t i = 0; i < text.len; i++) {
                if (text.ptr[i] != '%') {
                        vn_buf_char(ret, text.ptr[i]);
                        continue;
                }
                uint8_t byte;
                if (text.len - i < 3 || vn_unhex(vn_str_n(text.ptr + i + 1, 2), &byte, 1) != VN_OK)
                        return VN_INVALID_ARGUMENT;
                vn_buf_char(ret, (char)byte);
                i += 2;
        }
        vn_buf_reserve(ret, 0);
        return ret->failed ? VN_RESOURCE_EXHAUSTED : VN_OK;
}

bool vn_buf_json_string(struct vn_buf *buf, struct vn_str s)
{
        vn_buf_char(buf, '"');
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.ptr[i];
                if (c == '"' || c == '\\') {
                        vn_buf_char(buf, '\\');
                        vn_buf_char(buf, (char)c);
                } else if (c < 0x20 || c == 0x7F) {
                        vn_buf_printf(buf, "\\u%04x", c);
                } else if (c < 0x80) {
                        vn_buf_char(buf, (char)c);
                } else {
                        size_t one = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
                        if (one <= s.len - i && vn_str_is_utf8(vn_str_n(s.ptr + i, one))) {
                                vn_buf_add(buf, s.ptr + i, one);
                                i += one - 1;
                        } else {
                                vn_buf_text(buf, "\xEF\xBF\xBD");
                        }
                }
        }
        return vn_buf_char(buf, '"') && !buf->failed;
}
