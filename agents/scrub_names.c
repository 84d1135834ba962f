/* Names whose values are nobody's business, by how they end: case, '_', '-' and '.' aside, so that db_password,
 * X-Api-Key and SharedAccessKey are all found. */
#include "agents/scrub_internal.h"

#define NAME_MAX_BYTES 64

struct row {
        const char *ending;
        bool whole; /* the name is nothing else */
        enum vn_scrub_value value;
};
static const struct row rows[] = {
        {"password", false, VN_VALUE_WORD},
        {"passwd", false, VN_VALUE_WORD},
        {"pwd", false, VN_VALUE_WORD},
        {"passphrase", false, VN_VALUE_WORD},
        {"pass", true, VN_VALUE_WORD},
        {"passcode", false, VN_VALUE_WORD},
        {"secret", false, VN_VALUE_WORD},
        {"token", false, VN_VALUE_WORD},
        {"jwt", false, VN_VALUE_WORD},
        {"bearer", false, VN_VALUE_LINE},
        {"credential", false, VN_VALUE_WORD},
        {"authorization", false, VN_VALUE_LINE},
        {"auth", true, VN_VALUE_LINE},
        {"cookie", false, VN_VALUE_LINE},
        {"apikey", false, VN_VALUE_WORD},
        {"accesskey", false, VN_VALUE_WORD},
        {"accesskeyid", false, VN_VALUE_WORD},
        {"accountkey", false, VN_VALUE_WORD},
        {"secretkey", false, VN_VALUE_WORD},
        {"privatekey", false, VN_VALUE_WORD},
        {"functionskey", false, VN_VALUE_WORD},
        {"masterkey", false, VN_VALUE_WORD},
        {"hostkey", false, VN_VALUE_WORD},
        {"subscriptionkey", false, VN_VALUE_WORD},
        {"encryptionkey", false, VN_VALUE_WORD},
        {"signingkey", false, VN_VALUE_WORD},
        {"authkey", false, VN_VALUE_WORD},
        {"licensekey", false, VN_VALUE_WORD},
        {"instrumentationkey", false, VN_VALUE_WORD},
        {"sharedaccesssignature", false, VN_VALUE_LINE},
        {"signature", false, VN_VALUE_WORD},
        {"sig", true, VN_VALUE_WORD},
        {"sessionid", false, VN_VALUE_WORD},
        {"connectionstring", false, VN_VALUE_LINE},
        {"connstr", false, VN_VALUE_LINE},
        {"dsn", true, VN_VALUE_LINE},
        {"pin", true, VN_VALUE_WORD},
        {"cvv", true, VN_VALUE_WORD},
        {"cvc", true, VN_VALUE_WORD},
        {"ssn", true, VN_VALUE_WORD},
        {"otp", true, VN_VALUE_WORD},
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
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
                size_t bytes = strlen(rows[k].ending);
                if (rows[k].ending[bytes - 1] == low[n - 1] && n >= bytes && (!rows[k].whole || n == bytes) &&
                    !memcmp(low + n - bytes, rows[k].ending, bytes))
                        return rows[k].value;
        }
        return VN_VALUE_OPEN;
}
