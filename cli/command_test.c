/* The command table, what is typed, did-you-mean, help. */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/connect.h"
#include "net/pbjson.h"
#include "tests/test.h"

static struct vn_err err;

static enum vn_rc parse(struct cli_input *in, const char *line)
{
        static char words[32][128];
        char *argv[33];
        int argc = 0;
        struct vn_str rest = vn_str(line);

        *in = (struct cli_input){.out = stdout, .err = stderr};
        while (rest.ptr) {
                struct vn_str word = vn_str_cut(&rest, ' ');
                CHECK(argc < 32 && vn_str_copy(words[argc], sizeof(words[0]), word));
                argv[argc] = words[argc];
                argc++;
        }
        err.msg[0] = '\0';
        return cli_parse(argc, argv, in, &err);
}

static void refused(const char *line, const char *message)
{
        struct cli_input in;
        CHECK_RC(VN_INVALID_ARGUMENT, parse(&in, line));
        if (!strstr(err.msg, message))
                test_fail(__FILE__, __LINE__, "%s: \"%s\" does not hold \"%s\"", line, err.msg, message);
}

static void check_field(const struct cli_command *c, const ProtobufCMessageDescriptor *d, struct vn_str name)
{
        char text[64];
        CHECK(vn_str_copy(text, sizeof(text), name));
        for (char *s = text; *s; s++)
                *s = *s == '-' ? '_' : *s;
        if (!vn_pbjson_field(d, vn_str(text)))
                test_fail(__FILE__, __LINE__, "%s %s: no field %s", c->noun, c->verb ? c->verb : "", text);
}

/* A row that names what the messages do not have would only fail when somebody uses it. */
TEST(command_rows_agree_with_the_messages)
{
        for (size_t i = 0; i < cli_command_count; i++) {
                const struct cli_command *c = &cli_commands[i];
                struct vn_str rest = vn_str(c->args), name;
                struct cli_flag_spec spec;
                bool optional;

                CHECK((c->special == CLI_LOCAL) == (c->local != NULL));
                CHECK(!strncmp(c->example, "vanectl ", 8) && c->help[strlen(c->help) - 1] == '.');
                if (c->local)
                        continue;
                while (cli_next_arg(&rest, &name, &optional))
                        check_field(c, c->request, name);
                rest = vn_str(c->flags);
                while (cli_next_flag(&rest, &spec))
                        check_field(c, c->request, spec.field);
                rest = vn_str(c->columns);
                const ProtobufCMessageDescriptor *row = c->response;
                if (strchr(c->columns, ':')) {
                        name = vn_str_cut(&rest, ':');
                        check_field(c, c->response, name);
                        row = vn_pbjson_field(c->response, name)->descriptor;
                }
                while (rest.ptr && rest.len) {
                        name = vn_str_cut(&rest, ' ');
                        if (name.len)
                                check_field(c, row, name);
                }
        }
}

/* Every example of the help is a command line that parses. */
TEST(command_examples_parse)
{
        for (size_t i = 0; i < cli_command_count; i++) {
                struct cli_input in;
                char line[256];
                CHECK(vn_str_copy(line, sizeof(line), vn_str(cli_commands[i].example)));
                bool quoted = false; /* a quoted text is one word to a shell */
                for (char *at = line; *at; at++) {
                        if (*at == '\'')
                                quoted = !quoted;
                        if (*at == '\'' || (quoted && *at == ' '))
                                *at = '_';
                }
                if (strchr(line, '>'))
                        *(strchr(line, '>') - 1) = '\0';
                if (parse(&in, line) != VN_OK)
                        test_fail(__FILE__, __LINE__, "%s: %s", line, err.msg);
                CHECK(in.command == &cli_commands[i]);
        }
}

TEST(command_flags_in_any_order)
{
        struct cli_input in;

        CHECK_OK(parse(&in, "vanectl -o json account --server https://x:1 add --cloud=aws name --region r --yes"));
        CHECK_TEXT("add", in.command->verb);
        CHECK_INT(CLI_JSON, in.format);
        CHECK_TEXT("https://x:1", in.server);
        CHECK_INT(1, in.word_count);
        CHECK_TEXT("name", in.words[0]);
        CHECK_INT(2, in.flag_count);
        CHECK_TEXT("aws", in.flags[0].value);
        CHECK(in.yes);
        CHECK_OK(parse(&in, "vanectl pause account aws-a"));
        CHECK(!in.command->verb && in.word_count == 2);
        CHECK_OK(parse(&in, "vanectl pause list"));
        CHECK_TEXT("list", in.command->verb);
        CHECK_OK(parse(&in, "vanectl decision show -- -odd-id"));
        CHECK_TEXT("-odd-id", in.words[0]);
        CHECK_OK(parse(&in, "vanectl account add --help"));
        CHECK(in.help && in.command);
        CHECK_OK(parse(&in, "vanectl help policy"));
        CHECK(in.help && !in.command);
        CHECK_TEXT("policy", in.help_noun);
        CHECK_OK(parse(&in, "vanectl policy"));
        CHECK(!in.help && !in.command);
}

TEST(command_says_what_was_meant)
{
        refused("vanectl acount list", "Did you mean \"account\"?");
        refused("vanectl account lsit", "Did you mean \"list\"?");
        refused("vanectl account add x --regoin y", "Did you mean \"region\"?");
        refused("vanectl status -o jsn", "Did you mean \"json\"?");
        refused("vanectl zebra", "See vanectl --help");
        refused("vanectl account show", "name is missing. For example: vanectl account show");
        refused("vanectl account add x --cloud aws", "--region is missing");
        refused("vanectl policy apply", "-f is missing");
        refused("vanectl account show a b", "\"b\" is one word too many");
        refused("vanectl account add x --cloud", "--cloud wants a value");
        refused("vanectl status --timeout 0", "--timeout wants seconds");
}

TEST(command_nearest_word)
{
        static const char *const words[] = {"account", "policy", "route", "round"};
        CHECK_TEXT("account", cli_nearest("acocunt", words, 4));
        CHECK_TEXT("route", cli_nearest("rout", words, 4));
        CHECK(!cli_nearest("xyz", words, 4));
        CHECK(!cli_nearest("", words, 4));
}

TEST(command_server_url)
{
        char target[256];
        bool tls;

        CHECK_OK(cli_server("https://h:1/", target, &tls, &err));
        CHECK_TEXT("h:1", target);
        CHECK(tls);
        CHECK_OK(cli_server("http://localhost", target, &tls, &err));
        CHECK_TEXT("localhost:80", target);
        CHECK(!tls);
        CHECK_RC(VN_INVALID_ARGUMENT, cli_server("h:1", target, &tls, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, cli_server("https://", target, &tls, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, cli_server("https://a@h:1", target, &tls, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, cli_server("https://h:1/path", target, &tls, &err));
}

static enum cli_exit run(const char *line, char *ret_out, size_t bytes)
{
        static char words[8][256];
        char *argv[8], *text = NULL, *errors = NULL;
        size_t out_len, err_len;
        FILE *out = open_memstream(&text, &out_len), *err_file = open_memstream(&errors, &err_len);
        struct vn_str rest = vn_str(line);
        enum cli_exit code;
        int argc = 0;

        while (rest.ptr && argc < 8) {
                CHECK(vn_str_copy(words[argc], sizeof(words[0]), vn_str_cut(&rest, ' ')));
                argv[argc] = words[argc];
                argc++;
        }
        code = cli_main(argc, argv, out, err_file);
        fclose(out);
        fclose(err_file);
        snprintf(ret_out, bytes, "%s|%s", text, errors);
        free(text);
        free(errors);
        return code;
}

TEST(command_exit_codes_and_streams)
{
        char text[16384];

        CHECK_INT(CLI_DONE, run("vanectl --help", text, sizeof(text)));
        CHECK(strstr(text, "account add") && text[strlen(text) - 1] == '|'); /* asked for: standard output */
        CHECK_INT(CLI_USAGE, run("vanectl", text, sizeof(text)));
        CHECK(*text == '|' && strstr(text, "Examples:"));
        CHECK_INT(CLI_USAGE, run("vanectl acount", text, sizeof(text)));
        CHECK(*text == '|');
        CHECK_INT(CLI_DONE, run("vanectl --version", text, sizeof(text)));
        CHECK_INT(CLI_FAILED, run("vanectl status --server http://127.0.0.1:1 --timeout 5", text, sizeof(text)));
        CHECK(*text == '|' && strstr(text, "vanectl: "));
        CHECK_INT(CLI_USAGE,
                  run("vanectl policy diff x --from-version 1 --server http://127.0.0.1:1", text, sizeof(text)));
        CHECK_INT(CLI_FAILED,
                  run("vanectl status --server http://127.0.0.1:1 --token-file /nonexistent", text, sizeof(text)));
        CHECK_INT(CLI_FAILED, run("vanectl backup /nonexistent/a /nonexistent/b", text, sizeof(text)));
        CHECK_INT(CLI_FAILED, run("vanectl audit verify /nonexistent", text, sizeof(text)));
}
