#include "cli/command.h"

#define MAX_NAMES 64

static enum vn_rc unknown(const char *what, const char *typed, const char *const *names, size_t count,
                          struct vn_err *err)
{
        const char *near = cli_nearest(typed, names, count);
        if (near)
                return vn_fail(err, VN_INVALID_ARGUMENT, "no %s \"%.60s\". Did you mean \"%s\"?", what, typed, near);
        return vn_fail(err, VN_INVALID_ARGUMENT, "no %s \"%.60s\". See vanectl --help", what, typed);
}

/* --- which command --- */

static enum vn_rc find_verb(struct cli_input *in, const char *noun, const char *verb, bool *ret_used,
                            struct vn_err *err)
{
        const char *names[MAX_NAMES];
        const struct cli_command *bare = NULL;
        size_t count = 0;

        *ret_used = false;
        for (size_t i = 0; i < cli_command_count; i++) {
                const struct cli_command *c = &cli_commands[i];
                if (strcmp(c->noun, noun))
                        continue;
                if (!c->verb) {
                        bare = c;
                } else if (verb && !strcmp(c->verb, verb)) {
                        in->command = c;
                        *ret_used = true;
                        return VN_OK;
                } else if (count < MAX_NAMES) {
                        names[count++] = c->verb;
                }
        }
        in->command = bare;
        if (bare)
                return VN_OK;
        in->help_noun = noun;
        if (!verb)
                return VN_OK;
        return unknown(noun, verb, names, count, err);
}

static enum vn_rc find_command(struct cli_input *in, const char *noun, const char *verb, bool *ret_used,
                               struct vn_err *err)
{
        const char *names[MAX_NAMES];
        size_t count = 0;
        bool known = false;

        for (size_t i = 0; i < cli_command_count; i++) {
                known |= !strcmp(cli_commands[i].noun, noun);
                if (count < MAX_NAMES && (!count || strcmp(names[count - 1], cli_commands[i].noun)))
                        names[count++] = cli_commands[i].noun;
        }
        if (!known)
                return unknown("command", noun, names, count, err);
        return find_verb(in, noun, verb, ret_used, err);
}

/* --- flags --- */

static enum vn_rc parse_format(const char *value, enum cli_format *ret, struct vn_err *err)
{
        static const char *const names[] = {"table", "json", "yaml", "jsonl"};

        for (size_t i = 0; i < 4; i++)
                if (!strcmp(value, names[i])) {
                        *ret = (enum cli_format)i;
                        return VN_OK;
                }
        return unknown("output format", value, names, 4, err);
}

/* Flags that every command takes; *ret_taken says whether this was one. */
static enum vn_rc global_flag(struct cli_input *in, const char *name, const char *value, bool *ret_taken,
                              struct vn_err *err)
{
        *ret_taken = true;
        if (!strcmp(name, "o") || !strcmp(name, "output"))
                return parse_format(value, &in->format, err);
        if (!strcmp(name, "server"))
                in->server = value;
        else if (!strcmp(name, "token-file"))
                in->token_file = value;
        else if (!strcmp(name, "ca-file"))
                in->ca_file = value;
        else if (strcmp(name, "timeout"))
                *ret_taken = false;
        else if (vn_str_to_u64(vn_str(value), &in->timeout_s) != VN_OK || !in->timeout_s || in->timeout_s > 86400)
                return vn_fail(err, VN_INVALID_ARGUMENT, "--timeout wants seconds, 1 to 86400");
        return VN_OK;
}

static enum vn_rc command_flag(struct cli_input *in, const char *name, const char *value, struct vn_err *err)
{
        static const char *const global[] = {"output", "server", "token-file", "ca-file", "timeout", "yes", "help"};
        static char copies[CLI_MAX_FLAGS][40];
        const char *names[CLI_MAX_FLAGS + 7];
        struct vn_str rest = vn_str(in->command ? in->command->flags : "");
        struct cli_flag_spec spec;
        size_t count = 0;

        while (cli_next_flag(&rest, &spec)) {
                if (vn_str_eq(spec.name, vn_str(name))) {
                        if (in->flag_count == CLI_MAX_FLAGS)
                                return vn_fail(err, VN_INVALID_ARGUMENT, "too many flags");
                        in->flags[in->flag_count++] = (struct cli_flag_value){spec.name, value};
                        return VN_OK;
                }
                if (count < CLI_MAX_FLAGS && vn_str_copy(copies[count], sizeof(copies[count]), spec.name)) {
                        names[count] = copies[count];
                        count++;
                }
        }
        for (size_t i = 0; i < sizeof(global) / sizeof(global[0]); i++)
                names[count++] = global[i];
        return unknown("flag", name, names, count, err);
}

/* argv[*at] is "-x", "--name" or "--name=value"; moves *at over its value. */
static enum vn_rc take_flag(struct cli_input *in, int argc, char **argv, int *at, bool commands_too,
                            struct vn_err *err)
{
        const char *text = argv[*at], *equals = strchr(text, '='), *value;
        char name[64];
        struct vn_str bare;
        bool taken;

        text += text[1] == '-' ? 2 : 1;
        bare = equals ? vn_str_n(text, (size_t)(equals - text)) : vn_str(text);
        if (!vn_str_copy(name, sizeof(name), bare))
                return vn_fail(err, VN_INVALID_ARGUMENT, "no flag is that long: %.30s...", text);
        if (!strcmp(name, "h") || !strcmp(name, "help"))
                in->help = true;
        else if (!strcmp(name, "version"))
                in->version = true;
        else if (!strcmp(name, "y") || !strcmp(name, "yes"))
                in->yes = true;
        else {
                if (!equals && ++*at >= argc)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "--%s wants a value", name);
                value = equals ? equals + 1 : argv[*at];
                VN_TRY(global_flag(in, name, value, &taken, err));
                if (!taken && commands_too)
                        return command_flag(in, name, value, err);
        }
        return VN_OK;
}

/* --- what is missing --- */

static enum vn_rc check_complete(const struct cli_input *in, struct vn_err *err)
{
        struct vn_str rest = vn_str(in->command->args), name;
        struct cli_flag_spec spec;
        size_t most = 0;
        bool optional;

        while (cli_next_arg(&rest, &name, &optional)) {
                most++;
                if (!optional && in->word_count < most)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%.*s is missing. For example: %s", VN_FMT(name),
                                       in->command->example);
        }
        if (in->word_count > most)
                return vn_fail(err, VN_INVALID_ARGUMENT, "\"%.60s\" is one word too many. For example: %s",
                               in->words[most], in->command->example);
        rest = vn_str(in->command->flags);
        while (cli_next_flag(&rest, &spec)) {
                bool given = false;
                for (size_t i = 0; i < in->flag_count; i++)
                        given |= vn_str_eq(in->flags[i].name, spec.name);
                if (spec.needed && !given)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s%.*s is missing. For example: %s",
                                       spec.name.len == 1 ? "-" : "--", VN_FMT(spec.name), in->command->example);
        }
        return VN_OK;
}

static bool is_flag(const char *word)
{
        return word[0] == '-' && word[1];
}

/* The noun, then perhaps the verb, are the first words that are neither flags nor a global flag's value. */
static enum vn_rc find_words(int argc, char **argv, struct cli_input *in, int ret_skip[2], struct vn_err *err)
{
        struct cli_input scratch = *in;
        int places[2] = {0, 0}, found = 0;
        bool used = false;

        for (int i = 1; i < argc && found < 2 && strcmp(argv[i], "--"); i++) {
                if (is_flag(argv[i]))
                        VN_TRY(take_flag(&scratch, argc, argv, &i, false, err));
                else
                        places[found++] = i;
        }
        in->help = scratch.help;
        in->version = scratch.version;
        ret_skip[0] = places[0];
        ret_skip[1] = 0;
        if (!found || !strcmp(argv[places[0]], "help")) {
                in->help = in->help || (found && !scratch.version);
                if (found == 2)
                        return find_command(in, argv[places[1]], NULL, &used, err);
                return VN_OK;
        }
        VN_TRY(find_command(in, argv[places[0]], found == 2 ? argv[places[1]] : NULL, &used, err));
        if (used)
                ret_skip[1] = places[1];
        return VN_OK;
}

enum vn_rc cli_parse(int argc, char **argv, struct cli_input *in, struct vn_err *err)
{
        bool only_words = false;
        int skip[2];

        in->timeout_s = 30;
        VN_TRY(find_words(argc, argv, in, skip, err));
        if (!in->command || in->help)
                return VN_OK;
        for (int i = 1; i < argc; i++) {
                if (i == skip[0] || i == skip[1])
                        continue;
                if (!only_words && !strcmp(argv[i], "--"))
                        only_words = true;
                else if (!only_words && is_flag(argv[i]))
                        VN_TRY(take_flag(in, argc, argv, &i, true, err));
                else if (in->word_count == CLI_MAX_WORDS)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "too many words");
                else
                        in->words[in->word_count++] = argv[i];
        }
        return in->help ? VN_OK : check_complete(in, err);
}
