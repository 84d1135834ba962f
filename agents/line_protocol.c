#include "agents/line_protocol.h"

static bool add_escaped(struct vn_buf *ret, struct vn_str text, const char *special)
{
        for (size_t i = 0; i < text.len; i++) {
                char c = text.ptr[i];
                if ((unsigned char)c < ' ' || c == 0x7f || (c == '\\' && i + 1 == text.len))
                        c = '_';
                if (strchr(special, c))
                        vn_buf_char(ret, '\\');
                vn_buf_char(ret, c);
        }
        return !ret->failed;
}

bool vn_line_measurement(struct vn_buf *ret, struct vn_str name)
{
        /* A line that begins with '#' is a comment. */
        if (name.len && name.ptr[0] == '#') {
                vn_buf_char(ret, '_');
                name = vn_str_n(name.ptr + 1, name.len - 1);
        }
        return add_escaped(ret, name, ", ");
}

bool vn_line_tag(struct vn_buf *ret, const char *key, struct vn_str value)
{
        if (!value.len)
                return true;
        vn_buf_char(ret, ',');
        vn_buf_text(ret, key);
        vn_buf_char(ret, '=');
        return add_escaped(ret, value, ",= ");
}
