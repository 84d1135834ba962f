#include "cli/command.h"

static const char *const globals =
        "Flags of every command:\n"
        "  -o, --output FORMAT   table (default), json, yaml, jsonl\n"
        "  --server URL          or VANE_SERVER; default http://127.0.0.1:8420\n"
        "  --token-file FILE     or VANE_TOKEN_FILE: who you are\n"
        "  --ca-file FILE        or VANE_CA_FILE: whom the server's certificate must come from\n"
        "  --timeout SECONDS     default 30\n"
        "  -y, --yes             do not ask\n"
        "Exit codes: 0 done, 1 failed or different, 2 wrong usage or not confirmed, 4 log in first.\n";

static void print_name(const struct cli_command *c, FILE *out)
{
        fprintf(out, "vanectl %s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
}

static void print_usage(const struct cli_command *c, FILE *out)
{
        struct vn_str rest = vn_str(c->args), name;
        struct cli_flag_spec spec;
        bool optional;

        fputs("Usage:\n  ", out);
        print_name(c, out);
        while (cli_next_arg(&rest, &name, &optional)) {
                fputs(optional ? " [" : " ", out);
                for (size_t i = 0; i < name.len; i++)
                        fputc(name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? name.ptr[i] - 'a' + 'A' : name.ptr[i], out);
                fputs(optional ? "]" : "", out);
        }
        rest = vn_str(c->flags);
        while (cli_next_flag(&rest, &spec))
                fprintf(out, " %s%s%.*s %s%s", spec.needed ? "" : "[", spec.name.len == 1 ? "-" : "--",
                        VN_FMT(spec.name),
                        spec.file   ? "FILE"
                        : spec.time ? "TIME"
                                    : "VALUE",
                        spec.needed ? "" : "]");
        fputs("\n\n", out);
        if (strchr(c->flags, '~'))
                fputs("A TIME is 2026-11-24T13:00:00Z, or how long ago: 90s, 30m, 2h, 7d.\n\n", out);
}

static void command_help(const struct cli_command *c, FILE *out)
{
        fprintf(out, "%s\n\nExample:\n  %s\n\n", c->help, c->example);
        print_usage(c, out);
        fputs(globals, out);
}

static void list(const char *noun, FILE *out)
{
        for (size_t i = 0; i < cli_command_count; i++) {
                const struct cli_command *c = &cli_commands[i];
                char name[64];
                if (noun && strcmp(noun, c->noun))
                        continue;
                snprintf(name, sizeof(name), "%s %s", c->noun, c->verb ? c->verb : "");
                fprintf(out, "  %-18s %s\n", name, c->help);
        }
}

void cli_help(const struct cli_input *in)
{
        FILE *out = in->help ? in->out : in->err; /* asked for it is data, else a message */

        if (in->command) {
                command_help(in->command, out);
                return;
        }
        fputs("vanectl steers Vane.\n\nExamples:\n"
              "  vanectl status\n"
              "  vanectl account add aws-prod --cloud aws --region eu-central-1\n"
              "  vanectl policy apply -f policy.yaml\n"
              "  vanectl decision explain ID\n\nCommands:\n",
              out);
        list(in->help_noun, out);
        fprintf(out, "\nvanectl COMMAND --help says more about each.\n%s", globals);
}
