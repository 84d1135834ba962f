#include "clouds/aws/profile.h"

static struct vn_str next_line(struct vn_str *text)
{
        struct vn_str line = vn_str_cut(text, '\n');
        if (line.len && line.ptr[line.len - 1] == '\r')
                line.len--;
        return line;
}

/* "[name]" is the profile's section; blanks around the name, and after "profile", do not matter. */
static bool is_section_of(struct vn_str line, bool config_file, struct vn_str profile)
{
        struct vn_str rest = vn_str_n(line.ptr + 1, line.len - 1), name = vn_str_trim(vn_str_cut(&rest, ']'));
        struct vn_str word = VN_STR("profile");
        bool prefixed = config_file && name.len > word.len && vn_str_starts(name, word) &&
                        (name.ptr[word.len] == ' ' || name.ptr[word.len] == '\t');
        if (!rest.ptr)
                return false; /* no closing bracket */
        if (prefixed)
                name = vn_str_trim(vn_str_n(name.ptr + word.len, name.len - word.len));
        else if (config_file && !vn_str_eq(name, VN_STR("default")))
                return false;
        return vn_str_eq(name, profile);
}

/* A value ends where a comment begins: at a # or ; after a blank. */
static struct vn_str without_comment(struct vn_str value)
{
        for (size_t i = 1; i < value.len; i++)
                if ((value.ptr[i] == '#' || value.ptr[i] == ';') &&
                    (value.ptr[i - 1] == ' ' || value.ptr[i - 1] == '\t'))
                        return vn_str_trim(vn_str_n(value.ptr, i));
        return value;
}

struct vn_str vn_aws_profile_value(struct vn_str text, bool config_file, struct vn_str profile, struct vn_str name)
{
        struct vn_str found = {0};
        bool inside = false;
        while (text.ptr) {
                struct vn_str line = next_line(&text);
                if (!line.len || line.ptr[0] == '#' || line.ptr[0] == ';' || line.ptr[0] == ' ' ||
                    line.ptr[0] == '\t')
                        continue;
                if (line.ptr[0] == '[') {
                        inside = is_section_of(line, config_file, profile);
                        continue;
                }
                struct vn_str value = line, key = vn_str_trim(vn_str_cut(&value, '='));
                if (inside && value.ptr && vn_str_eq_nocase(key, name))
                        found = without_comment(vn_str_trim(value));
        }
        return found;
}
