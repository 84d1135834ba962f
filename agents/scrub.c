/* A pass looks at the input and back at the output. A line in which it replaced something is passed again until nothing
 * changes: a mark may part what hid a second secret, and what stands in the result is then clean by construction. Most
 * lines hold nothing and take one pass. */
#include "agents/scrub_internal.h"

#define LOOK_BACK_MAX 128
#define MAX_PASSES 8
#define OUT_MAX_BYTES (3u * (VN_SCRUB_MAX_BYTES + 1024)) /* the worst: "&=x" becomes "&=[value]" */

#define ALNUM_REST (VN_CH_RUN | VN_CH_NAME | VN_CH_LOCAL)
const uint8_t vn_scrub_chars[256] = {
        ['0' ... '9'] = VN_CH_DIGIT | VN_CH_HEX | ALNUM_REST,
        ['A' ... 'F'] = VN_CH_UPPER | VN_CH_HEX | ALNUM_REST,
        ['G' ... 'Z'] = VN_CH_UPPER | ALNUM_REST,
        ['a' ... 'f'] = VN_CH_LOWER | VN_CH_HEX | ALNUM_REST,
        ['g' ... 'z'] = VN_CH_LOWER | ALNUM_REST,
        ['_'] = VN_CH_RUN | VN_CH_NAME | VN_CH_LOCAL,
        ['-'] = VN_CH_RUN | VN_CH_NAME | VN_CH_LOCAL,
        ['.'] = VN_CH_NAME | VN_CH_LOCAL,
        ['+'] = VN_CH_RUN | VN_CH_LOCAL,
        ['/'] = VN_CH_RUN,
        ['%'] = VN_CH_LOCAL,
        [0x80 ... 0xff] = VN_CH_LOCAL,
        ['\t'] = VN_CH_STOP,
        ['\n'] = VN_CH_STOP,
        ['\r'] = VN_CH_STOP,
        [' '] = VN_CH_STOP,
        ['"'] = VN_CH_STOP,
        ['\''] = VN_CH_STOP,
        [','] = VN_CH_STOP,
        [';'] = VN_CH_STOP,
        ['&'] = VN_CH_STOP,
        ['<'] = VN_CH_STOP,
        ['>'] = VN_CH_STOP,
        [')'] = VN_CH_STOP,
        ['}'] = VN_CH_STOP,
};

/* What the pass does at a byte. */
enum action { COPY, WORD, AT, PERCENT, COLON, EQUALS, TAG, QUESTION, DASH };
static const uint8_t actions[256] = {
        ['0' ... '9'] = WORD, ['A' ... 'Z'] = WORD, ['a' ... 'z'] = WORD, ['/'] = WORD,
        ['+'] = WORD,         ['@'] = AT,           ['%'] = PERCENT,      [':'] = COLON,
        ['='] = EQUALS,       ['>'] = TAG,          ['?'] = QUESTION,     ['-'] = DASH,
};

static const char *const marks[VN_SCRUB_KINDS] = {
        [VN_SCRUB_EMAIL] = "[email]",   [VN_SCRUB_TOKEN] = "[token]",
        [VN_SCRUB_KEY] = "[key]",       [VN_SCRUB_PRIVATE_KEY] = "[private-key]",
        [VN_SCRUB_CARD] = "[card]",     [VN_SCRUB_IP] = "[ip]",
        [VN_SCRUB_SECRET] = "[secret]", [VN_SCRUB_USERINFO] = "[userinfo]",
        [VN_SCRUB_VALUE] = "[value]",
};

const char *vn_scrub_mark(enum vn_scrub_kind kind)
{
        return marks[kind];
}

struct pass {
        struct vn_str in;
        size_t at;
        char *out;
        size_t len;
        size_t run_end;   /* the run that `at` is in was judged up to here */
        size_t query_end; /* of the URL's query that `at` is in */
        uint64_t *counts;
};

static char before(const struct pass *p)
{
        return p->len ? p->out[p->len - 1] : ' ';
}

static void copy(struct pass *p, size_t bytes)
{
        memcpy(p->out + p->len, p->in.ptr + p->at, bytes);
        p->len += bytes;
        p->at += bytes;
}

static void replace(struct pass *p, size_t bytes, enum vn_scrub_kind kind)
{
        size_t n = strlen(marks[kind]);
        memcpy(p->out + p->len, marks[kind], n);
        p->len += n;
        p->at += bytes;
        if (p->counts)
                p->counts[kind]++;
}

static void word(struct pass *p)
{
        struct vn_str in = p->in;
        bool starts = !vn_scrub_is(before(p), VN_CH_ALNUM);
        struct vn_scrub_hit hit;
        if (starts && vn_scrub_is(in.ptr[p->at], VN_CH_ALNUM)) {
                bool after_ip = p->len >= 3 && !memcmp(p->out + p->len - 3, "ip-", 3);
                if (vn_scrub_word(in, p->at, after_ip, &hit)) {
                        copy(p, hit.keep);
                        replace(p, hit.bytes - hit.keep, hit.kind);
                        return;
                }
        }
        if (p->at >= p->run_end) {
                size_t key = vn_scrub_run(in, p->at, &p->run_end);
                if (key) {
                        replace(p, key, VN_SCRUB_KEY);
                        return;
                }
        }
        size_t n = 1;
        if (vn_scrub_is(in.ptr[p->at], VN_CH_ALNUM))
                while (p->at + n < in.len && vn_scrub_is(in.ptr[p->at + n], VN_CH_ALNUM))
                        n++;
        copy(p, n);
}

/* The local part stands in the output already. */
static void email(struct pass *p, size_t at_bytes)
{
        size_t local = p->len, domain = vn_scrub_domain(p->in, p->at + at_bytes);
        while (local && p->len - local < LOOK_BACK_MAX && vn_scrub_is(p->out[local - 1], VN_CH_LOCAL))
                local--;
        if (!domain || local == p->len) {
                copy(p, 1);
                return;
        }
        p->len = local;
        replace(p, at_bytes + domain, VN_SCRUB_EMAIL);
}

static void percent(struct pass *p)
{
        if (vn_str_starts(vn_str_n(p->in.ptr + p->at, p->in.len - p->at), VN_STR("%40")))
                email(p, 3);
        else
                copy(p, 1);
}

/* --- values of names --- */

/* The name right before, in the output: `name`, `"name"`, `\"name\"`, with blanks between it and here. */
static struct vn_str name_before(const struct pass *p)
{
        size_t end = p->len, least = p->len > LOOK_BACK_MAX ? p->len - LOOK_BACK_MAX : 0;
        while (end > least && p->out[end - 1] == ' ')
                end--;
        if (end > least && (p->out[end - 1] == '"' || p->out[end - 1] == '\''))
                end--;
        while (end > least && p->out[end - 1] == '\\')
                end--;
        size_t from = end;
        while (from > least && vn_scrub_is(p->out[from - 1], VN_CH_NAME))
                from--;
        return vn_str_n(p->out + from, end - from);
}

/* Up to the quote that closes: one with no more backslashes before it than the opening one had. */
static size_t quoted_bytes(struct vn_str in, size_t at, char quote, size_t slashes)
{
        size_t seen = 0, i = at;
        for (; i < in.len; i++) {
                bool closes = slashes ? seen <= slashes : seen % 2 == 0;
                if (in.ptr[i] == quote && closes)
                        return i - at - (slashes ? seen : 0);
                seen = in.ptr[i] == '\\' ? seen + 1 : 0;
        }
        return i - at;
}

static size_t bracket_bytes(struct vn_str in, size_t at)
{
        size_t depth = 0, i = at;
        for (; i < in.len; i++) {
                if (in.ptr[i] == '[' || in.ptr[i] == '{')
                        depth++;
                else if ((in.ptr[i] == ']' || in.ptr[i] == '}') && !--depth)
                        return i + 1 - at;
        }
        return i - at;
}

static size_t bare_bytes(struct vn_str in, size_t at, enum vn_scrub_value extent)
{
        size_t i = at;
        if (i < in.len && (in.ptr[i] == '[' || in.ptr[i] == '{'))
                i += bracket_bytes(in, i);
        for (; i < in.len; i++) {
                char c = in.ptr[i];
                bool ends = extent == VN_VALUE_LINE ? c == '\n' || c == '\r' || c == '"' : vn_scrub_is(c, VN_CH_STOP);
                if (ends)
                        break;
        }
        return i - at;
}

/* From a separator of `bytes`: it stays, with the blanks and the quote behind it, and the value goes. */
static void value(struct pass *p, size_t bytes, enum vn_scrub_value extent)
{
        struct vn_str in = p->in;
        size_t i = p->at + bytes, slashes = 0, n;
        while (i < in.len && (in.ptr[i] == ' ' || in.ptr[i] == '\t'))
                i++;
        while (i + slashes < in.len && in.ptr[i + slashes] == '\\')
                slashes++;
        if (i + slashes < in.len && (in.ptr[i + slashes] == '"' || in.ptr[i + slashes] == '\'')) {
                i += slashes + 1;
                n = quoted_bytes(in, i, in.ptr[i - 1], slashes);
        } else {
                n = bare_bytes(in, i, extent);
        }
        copy(p, i - p->at);
        if (n)
                replace(p, n, VN_SCRUB_SECRET);
}

static void separator(struct pass *p, size_t bytes)
{
        enum vn_scrub_value extent = vn_scrub_name(name_before(p));
        if (extent == VN_VALUE_OPEN)
                copy(p, bytes);
        else
                value(p, bytes, extent);
}

/* <password>x</password> */
static void tag(struct pass *p)
{
        struct vn_str name = name_before(p);
        const char *text = p->out;
        size_t from = name.len ? (size_t)(name.ptr - text) : 0, end = p->at + 1;
        bool tagged = from && text[from - 1] == '<' && name.ptr + name.len == text + p->len;
        copy(p, 1);
        if (!tagged || vn_scrub_name(name) == VN_VALUE_OPEN)
                return;
        while (end < p->in.len && p->in.ptr[end] != '<')
                end++;
        if (end > p->at)
                replace(p, end - p->at, VN_SCRUB_SECRET);
}

/* --- URLs --- */

static bool ends_url(char c)
{
        return (uint8_t)c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`';
}

/* At "://": a user name before the host goes, with its password. */
static void authority(struct pass *p)
{
        size_t from = p->at + 3, user = 0;
        for (size_t i = from; i < p->in.len; i++) {
                char c = p->in.ptr[i];
                if (ends_url(c) || c == '/' || c == '?' || c == '#')
                        break;
                if (c == '@')
                        user = i;
        }
        copy(p, 3);
        if (user > from)
                replace(p, user - from, VN_SCRUB_USERINFO);
}

/* Looked at once, however many more question marks follow: a line's time is bounded by its length. */
static void question(struct pass *p)
{
        size_t end = p->at + 1;
        if (p->at >= p->query_end) {
                while (end < p->in.len && !ends_url(p->in.ptr[end]) && p->in.ptr[end] != '#')
                        end++;
                p->query_end = end;
        }
        copy(p, 1);
}

static void query_value(struct pass *p)
{
        size_t end = p->at + 1;
        while (end < p->query_end && p->in.ptr[end] != '&')
                end++;
        copy(p, 1);
        if (end > p->at)
                replace(p, end - p->at, VN_SCRUB_VALUE);
}

static void equals(struct pass *p)
{
        struct vn_str in = p->in;
        if (p->at < p->query_end)
                query_value(p);
        else
                separator(p, p->at + 1 < in.len && in.ptr[p->at + 1] == '>' ? 2 : 1);
}

static void colon(struct pass *p)
{
        struct vn_str rest = vn_str_n(p->in.ptr + p->at, p->in.len - p->at);
        if (vn_str_starts(rest, VN_STR("://"))) {
                authority(p);
                return;
        }
        if (vn_str_starts(rest, VN_STR("::")) && !vn_scrub_is(before(p), VN_CH_ALNUM) && before(p) != ':') {
                size_t ip = vn_scrub_ipv6(p->in, p->at);
                if (ip) {
                        replace(p, ip, VN_SCRUB_IP);
                        return;
                }
        }
        separator(p, 1);
}

static void dash(struct pass *p)
{
        size_t block = vn_scrub_private_key(p->in, p->at);
        if (block)
                replace(p, block, VN_SCRUB_PRIVATE_KEY);
        else
                copy(p, 1);
}

static size_t pass(struct vn_str text, char *ret, uint64_t *counts)
{
        struct pass p = {.in = text, .out = ret, .counts = counts};
        while (p.at < text.len) {
                switch ((enum action)actions[(uint8_t)text.ptr[p.at]]) {
                case COPY: p.out[p.len++] = text.ptr[p.at++]; break;
                case WORD: word(&p); break;
                case AT: email(&p, 1); break;
                case PERCENT: percent(&p); break;
                case COLON: colon(&p); break;
                case EQUALS: equals(&p); break;
                case TAG: tag(&p); break;
                case QUESTION: question(&p); break;
                case DASH: dash(&p); break;
                }
        }
        return p.len;
}

void vn_scrub_init(struct vn_scrub *scrub)
{
        memset(scrub, 0, sizeof *scrub);
        scrub->buf[0] = scrub->buf[1] = VN_BUF_INIT(OUT_MAX_BYTES);
}

void vn_scrub_done(struct vn_scrub *scrub)
{
        vn_buf_done(&scrub->buf[0]);
        vn_buf_done(&scrub->buf[1]);
}

enum vn_rc vn_scrub_text(struct vn_scrub *scrub, struct vn_str text, struct vn_str *ret, struct vn_err *err)
{
        for (unsigned i = 0; i < MAX_PASSES && text.len <= VN_SCRUB_MAX_BYTES; i++) {
                struct vn_buf *to = &scrub->buf[i % 2];
                vn_buf_reset(to);
                if (!vn_buf_reserve(to, 3 * text.len + 16))
                        break;
                to->len = pass(text, to->ptr, i ? NULL : scrub->counts);
                bool same = to->len == text.len && !memcmp(to->ptr, text.ptr, text.len);
                text = vn_buf_view(to);
                if (same) {
                        *ret = text;
                        return VN_OK;
                }
        }
        return vn_fail(err, VN_RESOURCE_EXHAUSTED,
                       "scrub: a line is too long or does not come to rest, or out of memory");
}
