#include "cli/command.h"
#include "vane/v1/control.pb-c.h"
#include "vane/v1/routing.pb-c.h"

#define VN_CMD(noun_, verb_, service, method, request_, response_, special_, args_, flags_, fixed_, columns_, help_, \
               example_)                                                                                             \
        {.noun = noun_,                                                                                              \
         .verb = verb_,                                                                                              \
         .path = "/vane.v1." #service "/" #method,                                                                   \
         .request = &vane__v1__##request_##__descriptor,                                                             \
         .response = &vane__v1__##response_##__descriptor,                                                           \
         .special = CLI_##special_,                                                                                  \
         .args = args_,                                                                                              \
         .flags = flags_,                                                                                            \
         .fixed = fixed_,                                                                                            \
         .columns = columns_,                                                                                        \
         .help = help_,                                                                                              \
         .example = example_},
#define VN_CMD_LOCAL(noun_, verb_, local_, args_, flags_, help_, example_)                                           \
        {.noun = noun_,                                                                                              \
         .verb = verb_,                                                                                              \
         .special = CLI_LOCAL,                                                                                       \
         .args = args_,                                                                                              \
         .flags = flags_,                                                                                            \
         .fixed = "",                                                                                                \
         .columns = "",                                                                                              \
         .help = help_,                                                                                              \
         .example = example_,                                                                                        \
         .local = local_},
const struct cli_command cli_commands[] = {
#include "cli/commands.def"
};
#undef VN_CMD
#undef VN_CMD_LOCAL
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);

static bool next_word(struct vn_str *rest, struct vn_str *ret)
{
        while (rest->ptr && rest->len) {
                *ret = vn_str_cut(rest, ' ');
                if (ret->len)
                        return true;
        }
        return false;
}

bool cli_next_flag(struct vn_str *rest, struct cli_flag_spec *ret)
{
        struct vn_str word;

        if (!next_word(rest, &word))
                return false;
        *ret = (struct cli_flag_spec){.needed = false};
        for (; word.len; word.len--) {
                char last = word.ptr[word.len - 1];
                if (last == '!')
                        ret->needed = true;
                else if (last == '@')
                        ret->file = true;
                else if (last == '~')
                        ret->time = true;
                else
                        break;
        }
        ret->name = vn_str_cut(&word, ':');
        ret->field = word.ptr ? word : ret->name;
        return true;
}

bool cli_next_arg(struct vn_str *rest, struct vn_str *ret_name, bool *ret_optional)
{
        if (!next_word(rest, ret_name))
                return false;
        *ret_optional = *ret_name->ptr == '[';
        if (*ret_optional)
                *ret_name = vn_str_n(ret_name->ptr + 1, ret_name->len - 2);
        return true;
}
