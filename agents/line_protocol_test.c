#include "agents/line_protocol.h"

#include "base/hash.h"
#include "tests/test.h"

/* Takes a point's head apart as InfluxDB's parser does (models.scanMeasurement, scanTags): a backslash escapes a separator
 * behind it and is else itself. Returns where the separator is. */
static size_t take_part(struct vn_str text, size_t at, const char *escaped, const char *ends, struct vn_buf *ret)
{
        vn_buf_reset(ret);
        for (; at < text.len; at++) {
                if (text.ptr[at] == '\\' && at + 1 < text.len && strchr(escaped, text.ptr[at + 1]))
                        at++;
                else if (strchr(ends, text.ptr[at]))
                        break;
                vn_buf_char(ret, text.ptr[at]);
        }
        return at;
}

static bool is_kept(struct vn_str sent, struct vn_str got)
{
        for (size_t i = 0; i < sent.len && i < got.len; i++) {
                char c = sent.ptr[i];
                bool changed = (unsigned char)c < ' ' || c == 0x7f || (c == '\\' && i + 1 == sent.len);
                if (got.ptr[i] != (changed ? '_' : c))
                        return false;
        }
        return sent.len == got.len;
}

TEST(line_protocol_names_and_tags_come_out_as_they_went_in)
{
        static const char letters[] = "ab ,=\\\"#\n\t\x7f\xc3";
        VN_AUTO(vn_buf)
        line = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        part = VN_BUF_INIT(4096);
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (int turn = 0; turn < 20000; turn++) {
                char text[3][12];
                size_t len[3];
                for (int i = 0; i < 3; i++) {
                        len[i] = 1 + vn_rng_below(&rng, sizeof text[0]);
                        for (size_t j = 0; j < len[i]; j++)
                                text[i][j] = letters[vn_rng_below(&rng, sizeof letters - 1)];
                }
                if (text[0][0] == '#')
                        text[0][0] = 'a';
                vn_buf_reset(&line);
                CHECK(vn_line_measurement(&line, vn_str_n(text[0], len[0])));
                CHECK(vn_line_tag(&line, "one", vn_str_n(text[1], len[1])));
                CHECK(vn_line_tag(&line, "none", VN_STR("")));
                CHECK(vn_line_tag(&line, "two", vn_str_n(text[2], len[2])));
                vn_buf_text(&line, " calls=1i 1\n");
                CHECK(memchr(line.ptr, '\n', line.len) == line.ptr + line.len - 1);
                size_t at = take_part(vn_buf_view(&line), 0, ", ", ", ", &part);
                CHECK(is_kept(vn_str_n(text[0], len[0]), vn_buf_view(&part)));
                for (int i = 1; i < 3; i++) {
                        CHECK(line.ptr[at] == ',');
                        at = take_part(vn_buf_view(&line), at + 1, ", =", "=", &part);
                        CHECK_TEXT(i == 1 ? "one" : "two", part.ptr);
                        at = take_part(vn_buf_view(&line), at + 1, ", =", ", ", &part);
                        CHECK(is_kept(vn_str_n(text[i], len[i]), vn_buf_view(&part)));
                }
                CHECK_TEXT(" calls=1i 1\n", line.ptr + at);
        }
}

TEST(line_protocol_a_measurement_is_no_comment)
{
        VN_AUTO(vn_buf)
        line = VN_BUF_INIT(64);
        CHECK(vn_line_measurement(&line, VN_STR("#a")));
        CHECK_TEXT("_a", line.ptr);
}
