#include "net/h1.h"

#include "base/hash.h"
#include "tests/test.h"

#define LINE "GET /a HTTP/1.1\r\n"
#define HOST "Host: x\r\n"

struct vector {
        int status; /* 0: accepted */
        const char *text;
        size_t len;
};
#define V(status, text)                                                                                              \
        {                                                                                                            \
                status, text, sizeof(text) - 1                                                                       \
        }

/* What a head comes to: 0, a status, or 1 when more bytes are awaited. */
static int verdict(const char *text, size_t len, struct vn_h1_head *head)
{
        size_t scanned = 0;
        long found = vn_h1_find_head(text, len, &scanned);
        if (found < 0)
                return (int)-found;
        return found == 0 ? 1 : vn_h1_parse_head(text, (size_t)found, head);
}

static const struct vector vectors[] = {
        V(0, LINE HOST "\r\n"),
        V(0, "GET /a HTTP/1.0\r\n\r\n"),
        V(0, "GET http://x/b HTTP/1.1\r\n" HOST "\r\n"),
        V(0, LINE HOST "Content-Length: 5\r\n\r\n"),
        V(0, LINE HOST "Transfer-Encoding: chunked\r\n\r\n"),
        V(0, LINE HOST "Transfer-Encoding: Chunked\r\n\r\n"),
        V(0, LINE HOST "X: a\tb\r\n\r\n"),
        V(0, LINE HOST "X:\r\n\r\n"),
        V(1, LINE HOST),
        V(400, LINE HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        V(400, LINE HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        V(400, LINE HOST "Content-Length: 5, 5\r\n\r\n"),
        V(400, LINE HOST "Content-Length: +5\r\n\r\n"),
        V(400, LINE HOST "Content-Length: -1\r\n\r\n"),
        V(400, LINE HOST "Content-Length: 0x5\r\n\r\n"),
        V(400, LINE HOST "Content-Length: \r\n\r\n"),
        V(400, LINE HOST "Content-Length: 5 5\r\n\r\n"),
        V(400, LINE HOST "Content-Length: 99999999999999999999\r\n\r\n"),
        V(400, LINE HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        V(400, LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        V(400, LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        V(400, LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        V(400, LINE HOST "Transfer-Encoding: identity\r\n\r\n"),
        V(400, LINE HOST "Transfer-Encoding: xchunked\r\n\r\n"),
        V(400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"),
        V(400, "GET /a HTTP/1.1\n" HOST "\r\n"),
        V(400, LINE "Host: x\n\r\n"),
        V(400, LINE HOST "X: a\rb\r\n\r\n"),
        V(400, LINE HOST "\n"),
        V(400, LINE HOST "X : a\r\n\r\n"),
        V(400, LINE HOST "X\t: a\r\n\r\n"),
        V(400, LINE HOST "X: a\r\n b\r\n\r\n"),
        V(400, LINE " Host: x\r\n\r\n"),
        V(400, LINE HOST "X: a\0b\r\n\r\n"),
        V(400, LINE HOST "X: a\x01\r\n\r\n"),
        V(400, LINE HOST ": a\r\n\r\n"),
        V(400, LINE HOST "no colon\r\n\r\n"),
        V(400, LINE "\r\n"),
        V(400, LINE HOST HOST "\r\n"),
        V(400, LINE "Host: a b\r\n\r\n"),
        V(400, LINE "Host: a/b\r\n\r\n"),
        V(400, "GET http://y/ HTTP/1.1\r\n" HOST "\r\n"),
        V(400, "GET  /a HTTP/1.1\r\n" HOST "\r\n"),
        V(400, "GET /a  HTTP/1.1\r\n" HOST "\r\n"),
        V(400, "GET /a\r\n" HOST "\r\n"),
        V(400, "G(T /a HTTP/1.1\r\n" HOST "\r\n"),
        V(400, "GET a HTTP/1.1\r\n" HOST "\r\n"),
        V(400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
        V(400, "GET /a HTTP/1.1 \r\n" HOST "\r\n"),
        V(400, "GET /a HTTP/11\r\n" HOST "\r\n"),
        V(400, "\r\n" LINE HOST "\r\n"),
        V(505, "GET /a HTTP/2.0\r\n" HOST "\r\n"),
        V(417, LINE HOST "Expect: magic\r\n\r\n"),
        V(VN_H1_NOT_HTTP, "INVALID CONNECTION PREFACE\r\n\r\n"),
};

TEST(h1_head_vectors)
{
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
                struct vn_h1_head head;
                int got = verdict(vectors[i].text, vectors[i].len, &head);
                if (got != vectors[i].status)
                        test_fail(__FILE__, __LINE__, "vector %zu: want %d, got %d: %s", i, vectors[i].status, got,
                                  vectors[i].text);
        }
}

TEST(h1_head_comes_to_the_same_however_it_is_cut)
{
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
                struct vn_h1_head head;
                size_t scanned = 0;
                int got = 1;
                for (size_t n = 1; n <= vectors[i].len && got == 1; n++) {
                        long found = vn_h1_find_head(vectors[i].text, n, &scanned);
                        if (found)
                                got = found < 0 ? (int)-found
                                                : vn_h1_parse_head(vectors[i].text, (size_t)found, &head);
                }
                CHECK_INT(vectors[i].status, got);
        }
}

TEST(h1_head_fields)
{
        static const char text[] = "POST /p?q HTTP/1.1\r\nHost: h:1\r\nA:  b c \r\nConnection: Close\r\n"
                                   "Content-Length: 0042\r\nExpect: 100-continue\r\n\r\n";
        struct vn_h1_head head;
        CHECK_INT(0, verdict(text, sizeof text - 1, &head));
        CHECK(vn_str_eq(head.verb, VN_STR("POST")) && vn_str_eq(head.target, VN_STR("/p?q")));
        CHECK(vn_str_eq(head.host, VN_STR("h:1")) && vn_str_eq(head.headers[1].value, VN_STR("b c")));
        CHECK(!head.keep_alive && head.has_length && head.length == 42 && head.expect_continue && !head.chunked);
        CHECK_INT(0, verdict("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 34, &head));
        CHECK(vn_str_eq(head.target, VN_STR("/")));
}

TEST(h1_chunk_lines)
{
        static const struct {
                const char *text;
                long used;
                uint64_t size;
        } lines[] = {
                {"5\r\n", 3, 5},     {"0\r\n", 3, 0},     {"fF\r\nrest", 4, 255},
                {"5;a\r\n", 5, 5},   {"5;a=b\r\n", 7, 5}, {"5;a=\"x;y\"\r\n", 11, 5},
                {"5", 0, 0},         {"5\r", 0, 0},       {"", 0, 0},
                {"+5\r\n", -1, 0},   {"-1\r\n", -1, 0},   {"0x5\r\n", -1, 0},
                {"5 \r\n", -1, 0},   {" 5\r\n", -1, 0},   {"5\n", -1, 0},
                {"5\rX", -1, 0},     {"\r\n", -1, 0},     {"5;\r\n", -1, 0},
                {"5;=b\r\n", -1, 0}, {"5;a=\r\n", -1, 0}, {"5;a=\"x\r\n", -1, 0},
                {"5 ;a\r\n", -1, 0}, {"g\r\n", -1, 0},    {"11111111111111111\r\n", -1, 0},
        };
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                uint64_t size = 0;
                CHECK_INT(lines[i].used, vn_h1_chunk_line(lines[i].text, strlen(lines[i].text), &size));
                if (lines[i].used > 0)
                        CHECK_INT(lines[i].size, size);
        }
        bool last;
        CHECK_INT(2, vn_h1_trailer_line("\r\n", 2, &last));
        CHECK(last);
        CHECK_INT(6, vn_h1_trailer_line("A: b\r\n", 6, &last));
        CHECK(!last);
        CHECK_INT(-1, vn_h1_trailer_line("A b\r\n", 5, &last));
        CHECK_INT(-1, vn_h1_trailer_line("A: b\n", 5, &last));
}

TEST(h1_random_bytes_never_pass_as_a_head_with_two_meanings)
{
        struct vn_rng rng;
        static const char *const pieces[] = {
                "GET ", "/a", " HTTP/1.1",           "\r\n",    "\n", "Host: x", "Content-Length: ",
                "5",    "+",  "Transfer-Encoding: ", "chunked", " ",  "\r",      ":",
                "\t",   ","};
        vn_rng_seed(&rng, test_seed());
        for (int round = 0; round < 20000; round++) {
                VN_AUTO(vn_buf)
                text = VN_BUF_INIT(4096);
                struct vn_h1_head head;
                vn_buf_text(&text, "GET /a HTTP/1.1\r\nHost: x\r\n");
                for (uint64_t n = vn_rng_below(&rng, 12); n; n--)
                        vn_buf_text(&text, pieces[vn_rng_below(&rng, sizeof pieces / sizeof *pieces)]);
                vn_buf_text(&text, "\r\n\r\n");
                if (verdict(text.ptr, text.len, &head) != 0)
                        continue;
                CHECK(!(head.chunked && head.has_length));
                CHECK(head.host.len == 1);
        }
}
