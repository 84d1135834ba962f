/* What a secret looks like where a word begins: prefixes that services give their keys, numbers that add up, addresses. */
#include <strings.h>

#include "agents/scrub_internal.h"

static bool is_at(struct vn_str text, size_t at, unsigned classes)
{
        return at < text.len && vn_scrub_is(text.ptr[at], classes);
}

static bool has_at(struct vn_str text, size_t at, const char *what)
{
        size_t n = strlen(what);
        return text.len - at >= n && !memcmp(text.ptr + at, what, n);
}

/* --- addresses --- */

static size_t digits_at(struct vn_str text, size_t at, unsigned *ret)
{
        size_t n = 0;
        *ret = 0;
        while (n < 4 && is_at(text, at + n, VN_CH_DIGIT))
                *ret = *ret * 10 + (unsigned)(text.ptr[at + n++] - '0');
        return n;
}

static size_t ipv4(struct vn_str text, size_t at, char separator)
{
        size_t i = at;
        for (unsigned part = 0; part < 4; part++) {
                unsigned value;
                if (part && (i >= text.len || text.ptr[i++] != separator))
                        return 0;
                size_t n = digits_at(text, i, &value);
                if (!n || n > 3 || value > 255)
                        return 0;
                i += n;
        }
        if (is_at(text, i, VN_CH_ALNUM) ||
            (i + 1 < text.len && text.ptr[i] == '.' && is_at(text, i + 1, VN_CH_DIGIT)))
                return 0;
        return i - at;
}

size_t vn_scrub_ipv6(struct vn_str text, size_t at)
{
        size_t i = at, groups = 0;
        bool gap = false;
        if (has_at(text, i, "::"))
                gap = true, i += 2;
        while (groups < 8 && is_at(text, i, VN_CH_HEX)) {
                size_t n = 0, v4 = groups ? ipv4(text, i, '.') : 0;
                if (v4 && (gap || groups == 6))
                        return i + v4 - at;
                while (n < 5 && is_at(text, i + n, VN_CH_HEX))
                        n++;
                if (n > 4)
                        return 0;
                i += n;
                groups++;
                if (!gap && has_at(text, i, "::"))
                        gap = true, i += 2;
                else if (i + 1 < text.len && text.ptr[i] == ':' && is_at(text, i + 1, VN_CH_HEX))
                        i++;
                else
                        break;
        }
        if (!groups || (!gap && groups != 8) || is_at(text, i, VN_CH_ALNUM) || (i < text.len && text.ptr[i] == ':'))
                return 0;
        return i - at;
}

size_t vn_scrub_domain(struct vn_str text, size_t at)
{
        size_t i = at, end = 0, label = at;
        for (; i < text.len && i - at < 255; i++) {
                char c = text.ptr[i];
                if (c == '.') {
                        label = i + 1;
                        continue;
                }
                if (!vn_scrub_is(c, VN_CH_ALNUM) && c != '-' && (uint8_t)c < 0x80)
                        break;
                if (label > at && i > label && c != '-')
                        end = i + 1; /* two bytes or more behind a dot */
        }
        return end ? end - at : 0;
}

/* --- numbers --- */

static bool luhn(const char *digits, size_t n)
{
        unsigned sum = 0;
        for (size_t i = 0; i < n; i++) {
                unsigned d = (unsigned)(digits[n - 1 - i] - '0');
                d = i % 2 ? d * 2 : d;
                sum += d > 9 ? d - 9 : d;
        }
        return sum % 10 == 0;
}

/* 13 to 19 digits, alone or in groups with one blank or dash between; begins as issuers' numbers do. */
static size_t card(struct vn_str text, size_t at)
{
        char digits[20];
        size_t n = 0, i = at, found = 0;
        if (text.ptr[at] < '2' || text.ptr[at] > '6')
                return 0;
        while (n < sizeof digits && is_at(text, i, VN_CH_DIGIT)) {
                digits[n++] = text.ptr[i++];
                if (is_at(text, i, VN_CH_DIGIT))
                        continue;
                if (n >= 13 && n <= 19 && !is_at(text, i, VN_CH_ALNUM) && luhn(digits, n))
                        found = i - at; /* the longest that adds up */
                if (i + 1 < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '-') && is_at(text, i + 1, VN_CH_DIGIT))
                        i++;
        }
        return found;
}

/* --- keys and tokens --- */

static size_t span(struct vn_str text, size_t at, const char *more)
{
        size_t n = 0;
        while (at + n < text.len && (vn_scrub_is(text.ptr[at + n], VN_CH_ALNUM) ||
                                     strchr(more, text.ptr[at + n] ? text.ptr[at + n] : ' ')))
                n++;
        return n;
}

struct prefix {
        const char *text;
        uint8_t least; /* bytes with the prefix */
        enum vn_scrub_kind kind;
};
static const struct prefix prefixes[] = {
        {"AKIA", 20, VN_SCRUB_KEY},      {"ASIA", 20, VN_SCRUB_KEY},     {"ABIA", 20, VN_SCRUB_KEY},
        {"ACCA", 20, VN_SCRUB_KEY},      {"AIza", 30, VN_SCRUB_KEY},     {"GOCSPX-", 20, VN_SCRUB_KEY},
        {"GOOG1", 20, VN_SCRUB_KEY},     {"ya29.", 16, VN_SCRUB_TOKEN},  {"1//0", 20, VN_SCRUB_TOKEN},
        {"ghp_", 20, VN_SCRUB_TOKEN},    {"gho_", 20, VN_SCRUB_TOKEN},   {"ghs_", 20, VN_SCRUB_TOKEN},
        {"ghu_", 20, VN_SCRUB_TOKEN},    {"ghr_", 20, VN_SCRUB_TOKEN},   {"github_pat_", 24, VN_SCRUB_TOKEN},
        {"glpat-", 20, VN_SCRUB_TOKEN},  {"xoxb-", 16, VN_SCRUB_TOKEN},  {"xoxp-", 16, VN_SCRUB_TOKEN},
        {"xoxa-", 16, VN_SCRUB_TOKEN},   {"xoxs-", 16, VN_SCRUB_TOKEN},  {"sk_live_", 16, VN_SCRUB_KEY},
        {"sk_test_", 16, VN_SCRUB_KEY},  {"rk_live_", 16, VN_SCRUB_KEY}, {"sk-", 20, VN_SCRUB_KEY},
        {"npm_", 20, VN_SCRUB_TOKEN},    {"pypi-", 20, VN_SCRUB_TOKEN},  {"SG.", 24, VN_SCRUB_KEY},
        {"dop_v1_", 20, VN_SCRUB_TOKEN}, {"hvs.", 20, VN_SCRUB_TOKEN},
};

static bool prefixed(struct vn_str text, size_t at, struct vn_scrub_hit *ret)
{
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
                if (prefixes[k].text[0] != text.ptr[at] || !has_at(text, at, prefixes[k].text))
                        continue;
                size_t n = strlen(prefixes[k].text);
                n += span(text, at + n, "_-.");
                while (n && text.ptr[at + n - 1] == '.')
                        n--;
                if (n >= prefixes[k].least) {
                        *ret = (struct vn_scrub_hit){n, 0, prefixes[k].kind};
                        return true;
                }
        }
        return false;
}

static bool jwt(struct vn_str text, size_t at, struct vn_scrub_hit *ret)
{
        if (!has_at(text, at, "eyJ"))
                return false;
        size_t head = span(text, at, "_-");
        if (head < 8)
                return false;
        size_t n = head + span(text, at + head, "_-.");
        while (text.ptr[at + n - 1] == '.')
                n--;
        *ret = (struct vn_scrub_hit){n, 0, VN_SCRUB_TOKEN};
        return n > head + 1;
}

/* "Bearer X", "Basic X": the scheme stays. */
static bool credentials(struct vn_str text, size_t at, struct vn_scrub_hit *ret)
{
        static const char *const schemes[] = {"bearer", "basic"};
        for (unsigned k = 0; k < 2; k++) {
                size_t n = strlen(schemes[k]), from = at + n;
                if (text.len - at <= n || strncasecmp(text.ptr + at, schemes[k], n))
                        continue;
                while (from < text.len && (text.ptr[from] == ' ' || text.ptr[from] == '\t'))
                        from++;
                size_t token = from > at + n ? span(text, from, "._~+/=-") : 0;
                bool coded = k == 0 || token % 4 == 0;
                *ret = (struct vn_scrub_hit){from + token - at, from - at, VN_SCRUB_TOKEN};
                return token >= 8 && coded;
        }
        return false;
}

/* An address has a colon behind one to four digits. */
static bool colon_near(struct vn_str text, size_t at)
{
        size_t i = at + 1;
        while (i < at + 4 && is_at(text, i, VN_CH_HEX))
                i++;
        return i < text.len && text.ptr[i] == ':';
}

bool vn_scrub_word(struct vn_str text, size_t at, bool after_ip, struct vn_scrub_hit *ret)
{
        char c = text.ptr[at];
        size_t n = 0;
        if (vn_scrub_is(c, VN_CH_DIGIT)) {
                n = ipv4(text, at, '.');
                if (!n && after_ip)
                        n = ipv4(text, at, '-');
                *ret = (struct vn_scrub_hit){n, 0, VN_SCRUB_IP};
                if (!n && (n = card(text, at)))
                        *ret = (struct vn_scrub_hit){n, 0, VN_SCRUB_CARD};
                if (n)
                        return true;
        }
        if (vn_scrub_is(c, VN_CH_HEX) && colon_near(text, at) && (n = vn_scrub_ipv6(text, at))) {
                *ret = (struct vn_scrub_hit){n, 0, VN_SCRUB_IP};
                return true;
        }
        switch (c) {
        case 'B':
        case 'b': return credentials(text, at, ret);
        case 'e': return jwt(text, at, ret);
        case '1':
        case 'A':
        case 'G':
        case 'S':
        case 'd':
        case 'g':
        case 'h':
        case 'n':
        case 'p':
        case 'r':
        case 's':
        case 'x':
        case 'y': return prefixed(text, at, ret);
        default: return false;
        }
}

size_t vn_scrub_run(struct vn_str text, size_t at, size_t *ret_end)
{
        unsigned seen = 0;
        size_t i = at, slashes = 0;
        bool plus = false;
        for (; is_at(text, i, VN_CH_RUN) && !has_at(text, i, "--"); i++) {
                seen |= vn_scrub_chars[(uint8_t)text.ptr[i]];
                slashes += text.ptr[i] == '/';
                plus |= text.ptr[i] == '+';
        }
        *ret_end = i > at ? i : at + 1;
        size_t n = i - at, padding = 0;
        while (padding < 2 && i + padding < text.len && text.ptr[i + padding] == '=')
                padding++;
        if (is_at(text, i + padding, VN_CH_ALNUM))
                padding = 0; /* the sign of an assignment */
        if (n < 32 || (seen & VN_CH_ALNUM) != VN_CH_ALNUM)
                return 0;
        /* A path has slashes too; a secret key of AWS is 40 bytes, and what is padded is no path. */
        if (slashes && n != 40 && !padding && !plus)
                return 0;
        return n + padding;
}

size_t vn_scrub_private_key(struct vn_str text, size_t at)
{
        static const char begin[] = "-----BEGIN ", key[] = "PRIVATE KEY", end[] = "-----END", dashes[] = "-----";
        if (!has_at(text, at, begin))
                return 0;
        size_t head = text.len - at < 64 ? text.len - at : 64;
        if (!memmem(text.ptr + at, head, key, sizeof key - 1))
                return 0;
        const char *last = text.ptr + text.len;
        const char *tail = memmem(text.ptr + at, text.len - at, end, sizeof end - 1);
        const char *close = tail ? memmem(tail + 8, (size_t)(last - tail - 8), dashes, sizeof dashes - 1) : NULL;
        return close ? (size_t)(close - text.ptr) + 5 - at : text.len - at;
}
