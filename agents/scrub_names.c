/* Names whose values are nobody's business, by how they end: case, '_', '-' and '.' aside, so that db_password,
 * X-Api-Key and SharedAccessKey are all found. */
#include "agents/scrub_internal.h"

#define NAME_MAX_BYTES 64

struct row {
        const char *ending;
        uint8_t bytes;
        bool whole; /* the name is nothing else */
        enum vn_scrub_value value;
};
static const struct row rows[] = {
        {"password", 8, false, VN_VALUE_WORD},
        {"passwd", 6, false, VN_VALUE_WORD},
        {"pwd", 3, false, VN_VALUE_WORD},
        {"passphrase", 10, false, VN_VALUE_WORD},
        {"pass", 4, true, VN_VALUE_WORD},
        {"passcode", 8, false, VN_VALUE_WORD},
        {"secret", 6, false, VN_VALUE_WORD},
        {"token", 5, false, VN_VALUE_WORD},
        {"jwt", 3, false, VN_VALUE_WORD},
        {"bearer", 6, false, VN_VALUE_LINE},
        {"credential", 10, false, VN_VALUE_WORD},
        {"authorization", 13, false, VN_VALUE_LINE},
        {"auth", 4, true, VN_VALUE_LINE},
        {"cookie", 6, false, VN_VALUE_LINE},
        {"apikey", 6, false, VN_VALUE_WORD},
        {"accesskey", 9, false, VN_VALUE_WORD},
        {"accesskeyid", 11, false, VN_VALUE_WORD},
        {"accountkey", 10, false, VN_VALUE_WORD},
        {"secretkey", 9, false, VN_VALUE_WORD},
        {"privatekey", 10, false, VN_VALUE_WORD},
        {"functionskey", 12, false, VN_VALUE_WORD},
        {"masterkey", 9, false, VN_VALUE_WORD},
        {"hostkey", 7, false, VN_VALUE_WORD},
        {"subscriptionkey", 15, false, VN_VALUE_WORD},
        {"encryptionkey", 13, false, VN_VALUE_WORD},
        {"signingkey", 10, false, VN_VALUE_WORD},
        {"authkey", 7, false, VN_VALUE_WORD},
        {"licensekey", 10, false, VN_VALUE_WORD},
        {"instrumentationkey", 18, false, VN_VALUE_WORD},
        {"sharedaccesssignature", 21, false, VN_VALUE_LINE},
        {"signature", 9, false, VN_VALUE_WORD},
        {"sig", 3, true, VN_VALUE_WORD},
        {"sessionid", 9, false, VN_VALUE_WORD},
        {"connectionstring", 16, false, VN_VALUE_LINE},
        {"connstr", 7, false, VN_VALUE_LINE},
        {"dsn", 3, true, VN_VALUE_LINE},
        {"pin", 3, true, VN_VALUE_WORD},
        {"cvv", 3, true, VN_VALUE_WORD},
        {"cvc", 3, true, VN_VALUE_WORD},
        {"ssn", 3, true, VN_VALUE_WORD},
        {"otp", 3, true, VN_VALUE_WORD},
};
/* The last letters of these: most names are told apart by this alone. */
#define LAST(c) (1u << ((c) - 'a'))
static const uint32_t last_letters = LAST('c') | LAST('d') | LAST('e') | LAST('g') | LAST('h') | LAST('l') |
                                     LAST('n') | LAST('p') | LAST('r') | LAST('s') | LAST('t') | LAST('v') |
                                     LAST('y');

enum vn_scrub_value vn_scrub_name(struct vn_str name)
{
        char low[NAME_MAX_BYTES];
        size_t n = 0;
        while (name.len && !vn_scrub_is(name.ptr[name.len - 1], VN_CH_UPPER | VN_CH_LOWER))
                name.len--; /* password1 */
        if (name.len > 1 && (name.ptr[name.len - 1] | 0x20) == 's' && (name.ptr[name.len - 2] | 0x20) != 's')
                name.len--; /* secrets */
        if (!name.len || !vn_scrub_is(name.ptr[name.len - 1], VN_CH_UPPER | VN_CH_LOWER) ||
            !(last_letters & LAST((name.ptr[name.len - 1] | 0x20))))
                return VN_VALUE_OPEN;
        size_t from = name.len > NAME_MAX_BYTES ? name.len - NAME_MAX_BYTES : 0;
        for (size_t i = from; i < name.len; i++)
                if (vn_scrub_is(name.ptr[i], VN_CH_ALNUM))
                        low[n++] = vn_scrub_is(name.ptr[i], VN_CH_UPPER) ? (char)(name.ptr[i] | 0x20) : name.ptr[i];
        VN_ASSERT(n > 0); /* the last character is a letter */
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
                size_t bytes = rows[k].bytes;
                if (rows[k].ending[bytes - 1] == low[n - 1] && n >= bytes && (!rows[k].whole || n == bytes) &&
                    !memcmp(low + n - bytes, rows[k].ending, bytes))
                        return rows[k].value;
        }
        return VN_VALUE_OPEN;
}
