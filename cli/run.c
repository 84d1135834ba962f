#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/connect.h"
#include "net/pbjson.h"
#include "vane/v1/control.pb-c.h"

#define MAX_FILE_BYTES ((size_t)1 << 20)
#define ARENA_BYTES ((size_t)64 << 20)

/* --- the request --- */

static enum vn_rc read_text(const char *path, struct vn_buf *ret, struct vn_err *err)
{
        char block[4096];
        size_t n;

        if (strcmp(path, "-"))
                return vn_file_read(path, ret, err);
        while ((n = fread(block, 1, sizeof(block), stdin)))
                vn_buf_add(ret, block, n);
        return vn_buf_check(ret, err);
}

/* RFC 3339, or how long ago ("90s", "30m", "2h", "7d"), as microseconds in decimal. */
static enum vn_rc time_text(const char *value, char ret[32], struct vn_err *err)
{
        static const char units[] = "smhd";
        static const int64_t seconds[] = {1, 60, 3600, 86400};
        size_t length = strlen(value);
        const char *unit = length > 1 ? strchr(units, value[length - 1]) : NULL;
        uint64_t n;
        int64_t us;

        if (vn_time_parse(value, length, &us) != VN_OK) {
                if (!unit || vn_str_to_u64(vn_str_n(value, length - 1), &n) != VN_OK || n > 1000000)
                        return vn_fail(err, VN_INVALID_ARGUMENT,
                                       "\"%.60s\" is no time: want 2026-11-24T13:00:00Z, or 30m, 2h, 7d ago", value);
                us = vn_now_us(vn_clock_real()) - (int64_t)n * seconds[unit - units] * VN_US_PER_S;
        }
        snprintf(ret, 32, "%lld", (long long)us);
        return VN_OK;
}

static enum vn_rc set_flag(ProtobufCMessage *request, const struct cli_flag_spec *spec, const char *value,
                           struct vn_arena *arena, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_FILE_BYTES);
        char time[32];
        char name[64];

        VN_ASSERT(vn_str_copy(name, sizeof(name), spec->field));
        for (char *c = name; *c; c++)
                if (*c == '-')
                        *c = '_';
        if (spec->file) {
                VN_TRY(read_text(value, &text, err));
                return vn_pbjson_set_field(request, vn_str(name), vn_buf_view(&text), arena, err);
        }
        if (spec->time) {
                VN_TRY(time_text(value, time, err));
                value = time;
        }
        return vn_pbjson_set_field(request, vn_str(name), vn_str(value), arena, err);
}

static enum vn_rc build_request(const struct cli_input *in, struct vn_arena *arena, ProtobufCMessage **ret,
                                struct vn_err *err)
{
        const struct cli_command *c = in->command;
        struct vn_str rest = vn_str(c->fixed), name;
        ProtobufCMessage *request;
        struct cli_flag_spec spec;
        bool optional;

        VN_TRY(vn_pbjson_new(c->request, arena, &request, err));
        while (rest.ptr && rest.len) {
                struct vn_str pair = vn_str_cut(&rest, ' ');
                name = vn_str_cut(&pair, '=');
                VN_TRY(vn_pbjson_set_field(request, name, pair, arena, err));
        }
        rest = vn_str(c->args);
        for (size_t i = 0; cli_next_arg(&rest, &name, &optional) && i < in->word_count; i++)
                VN_TRY(vn_pbjson_set_field(request, name, vn_str(in->words[i]), arena, err));
        rest = vn_str(c->flags);
        while (cli_next_flag(&rest, &spec))
                for (size_t i = 0; i < in->flag_count; i++)
                        if (vn_str_eq(in->flags[i].name, spec.name))
                                VN_TRY(set_flag(request, &spec, in->flags[i].value, arena, err));
        *ret = request;
        return VN_OK;
}

/* --- the answer --- */

static enum cli_exit failed(const struct cli_input *in, enum vn_rc rc, const struct vn_err *err)
{
        fprintf(in->err, "vanectl: %s\n", err->msg[0] ? err->msg : vn_rc_name(rc));
        if (rc == VN_UNAUTHENTICATED) {
                fputs("Give a token with --token-file FILE or VANE_TOKEN_FILE; an admin makes one with "
                      "`vanectl person token NAME`.\n",
                      in->err);
                return CLI_LOGIN;
        }
        return in->command->special == CLI_DIFF ? CLI_USAGE : CLI_FAILED; /* diff: above 1 is trouble */
}

static bool confirmed(const struct cli_input *in)
{
        char answer[16] = "";

        if (in->yes)
                return true;
        if (!isatty(0)) {
                fprintf(in->err, "vanectl: %s %s asks first; say --yes\n", in->command->noun, in->command->verb);
                return false;
        }
        fprintf(in->err, "%s %s %s: this cannot be undone. Go on? [y/N] ", in->command->noun, in->command->verb,
                in->words[0]);
        return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static enum vn_rc show_one(void *context, const ProtobufCMessage *message, struct vn_err *err)
{
        const struct cli_input *in = context;
        enum cli_format format = in->format == CLI_JSON ? CLI_JSONL : in->format;

        if (in->command->special != CLI_LINES)
                return cli_print(message, in->command->columns, format, in->out, err);
        if (fprintf(in->out, "%s\n", ((const Vane__V1__ExportLine *)message)->json) < 0)
                return vn_fail(err, VN_UNAVAILABLE, "standard output cannot be written");
        return VN_OK;
}

/* What the answer means for the exit code. */
static enum cli_exit judge(const struct cli_command *c, const ProtobufCMessage *reply)
{
        switch (c->special) {
        case CLI_DIFF: return ((const Vane__V1__DiffPolicyResponse *)reply)->n_changes ? CLI_FAILED : CLI_DONE;
        case CLI_REPLAY: return ((const Vane__V1__ReplayResponse *)reply)->identical ? CLI_DONE : CLI_FAILED;
        case CLI_CHECK: return ((const Vane__V1__CheckPolicyResponse *)reply)->ok ? CLI_DONE : CLI_FAILED;
        case CLI_PLAIN:
        case CLI_CONFIRM:
        case CLI_STREAM:
        case CLI_LINES:
        case CLI_LONG:
        case CLI_DOCUMENT:
        case CLI_LOCAL: break;
        }
        return CLI_DONE;
}

/* A list that goes on says so, where it does not disturb a pipe. */
static void tell_of_more(const struct cli_input *in, const ProtobufCMessage *reply)
{
        const ProtobufCFieldDescriptor *field = vn_pbjson_field(reply->descriptor, VN_STR("next_page_token"));
        const char *token = field ? *(char *const *)(const void *)((const char *)reply + field->offset) : "";

        if (token && *token)
                fprintf(in->err, "There is more: --page-token %s\n", token);
}

static enum vn_rc show_document(const struct cli_input *in, const ProtobufCMessage *reply, struct vn_err *err)
{
        if (fputs(((const Vane__V1__AccountPolicy *)reply)->document, in->out) < 0 || fflush(in->out))
                return vn_fail(err, VN_UNAVAILABLE, "standard output cannot be written");
        return VN_OK;
}

static enum vn_rc call(const struct cli_input *in, struct vn_arena *arena, enum cli_exit *ret_exit,
                       struct vn_err *err)
{
        const struct cli_command *c = in->command;
        bool stream = c->special == CLI_STREAM || c->special == CLI_LINES;
        bool endless = stream || c->special == CLI_LONG;
        struct vn_grpc_method method = {c->path, c->response, endless ? 0 : (int64_t)in->timeout_s * VN_US_PER_S,
                                        false};
        VN_AUTO(vn_grpc_channel)
        channel = NULL;
        ProtobufCMessage *request = NULL, *reply = NULL;

        VN_TRY(build_request(in, arena, &request, err));
        if (c->special == CLI_DOCUMENT && in->format != CLI_TABLE)
                VN_TRY(vn_pbjson_set_field(request, VN_STR("format"),
                                           in->format == CLI_YAML ? VN_STR("yaml") : VN_STR("json"), arena, err));
        VN_TRY(cli_connect(in, &channel, err));
        if (stream) {
                struct cli_input context = *in;
                VN_TRY(vn_grpc_server_stream(channel, &method, request, (size_t)8 << 20, show_one, &context, err));
                return fflush(in->out) ? vn_fail(err, VN_UNAVAILABLE, "standard output cannot be written") : VN_OK;
        }
        VN_TRY(vn_grpc_unary(channel, &method, request, arena, &reply, err));
        if (c->special == CLI_DOCUMENT)
                return show_document(in, reply, err);
        VN_TRY(cli_print(reply, c->columns, in->format, in->out, err));
        tell_of_more(in, reply);
        *ret_exit = judge(c, reply);
        return VN_OK;
}

enum cli_exit cli_run(const struct cli_input *in)
{
        VN_AUTO(vn_arena)
        arena;
        struct vn_err err = {.rc = VN_OK};
        enum cli_exit code = CLI_DONE;
        enum vn_rc rc;

        vn_arena_init(&arena, ARENA_BYTES);
        if (in->command->special == CLI_LOCAL)
                return in->command->local(in);
        if (in->command->special == CLI_CONFIRM && !confirmed(in))
                return CLI_USAGE;
        rc = call(in, &arena, &code, &err);
        return rc == VN_OK ? code : failed(in, rc, &err);
}

enum cli_exit cli_main(int argc, char **argv, FILE *out, FILE *err_file)
{
        struct cli_input in = {.out = out, .err = err_file};
        struct vn_err err;

        if (cli_parse(argc, argv, &in, &err) != VN_OK) {
                fprintf(err_file, "vanectl: %s\n", err.msg);
                return CLI_USAGE;
        }
        if (in.version && !in.command) {
                fprintf(out, "vanectl %s\n", VANE_VERSION);
                return CLI_DONE;
        }
        if (in.help || !in.command) {
                cli_help(&in);
                return in.help ? CLI_DONE : CLI_USAGE;
        }
        return cli_run(&in);
}
