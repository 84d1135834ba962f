/* cli/command.h - vanectl's commands as a table, and what of it was typed.
 * Purpose: one row a command: its method, how words and flags fill the request, how the answer is shown.
 * The little language, words separated by blanks:
 *   args    "name" a word that is needed, "[name]" one that is not: each fills the request's field of that name
 *   flags   "level" is --level VALUE for field level; "from:from_us" is --from for field from_us; behind it
 *           "!" needed, "@" the value is a file whose text counts ("-" standard input), "~" a time. One letter: "-f"
 *   fixed   "scope=global" fields that are set before everything else
 *   columns "accounts: name cloud" the list and its columns; "" shows every field of the answer
 * Threads: one. Ownership: input borrows from argv. */
#ifndef VANE_CLI_COMMAND_H
#define VANE_CLI_COMMAND_H

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"
#include "store/manifest.h"

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_LOGIN = 4 };
/* What is special about a command's run. */
enum cli_special {
        CLI_PLAIN,
        CLI_CONFIRM,  /* asks first, unless --yes */
        CLI_DIFF,     /* exit 1 if the answer lists anything, 2 on errors */
        CLI_REPLAY,   /* exit 1 if the answer is not identical */
        CLI_CHECK,    /* exit 1 if the answer is not ok */
        CLI_STREAM,   /* many answers, each shown as it comes */
        CLI_LINES,    /* many answers of ready lines */
        CLI_LONG,     /* takes as long as it takes: no deadline */
        CLI_DOCUMENT, /* the answer's document as it is; -o json or yaml is the request's format */
        CLI_LOCAL,    /* no server */
};

struct cli_input;
struct cli_command {
        const char *noun, *verb; /* verb NULL: the noun is the whole command */
        const char *path;        /* of the method; NULL for local ones */
        const ProtobufCMessageDescriptor *request, *response;
        enum cli_special special;
        const char *args, *flags, *fixed, *columns;
        const char *help, *example;
        enum cli_exit (*local)(const struct cli_input *input);
};
extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

enum cli_format { CLI_TABLE, CLI_JSON, CLI_YAML, CLI_JSONL };

#define CLI_MAX_WORDS 8
#define CLI_MAX_FLAGS 24
struct cli_flag_value {
        struct vn_str name; /* as in the row */
        const char *value;
};
struct cli_input {
        const struct cli_command *command; /* NULL: only help or version was asked for */
        const char *words[CLI_MAX_WORDS];
        size_t word_count;
        struct cli_flag_value flags[CLI_MAX_FLAGS];
        size_t flag_count;
        enum cli_format format;
        const char *server, *token_file, *ca_file; /* NULL: not given */
        uint64_t timeout_s;
        bool yes, help, version;
        const char *help_noun; /* of a group, or NULL */
        FILE *out, *err;
};

/* One word of a flag spec taken apart. */
struct cli_flag_spec {
        struct vn_str name, field;
        bool needed, file, time;
};
/* The next spec of `rest`; false at its end. */
bool cli_next_flag(struct vn_str *rest, struct cli_flag_spec *ret);
/* The next word of `rest` and whether it may be missing; false at its end. */
bool cli_next_arg(struct vn_str *rest, struct vn_str *ret_name, bool *ret_optional);

/* arguments.c: INVALID_ARGUMENT with a message that says what would be right. */
enum vn_rc cli_parse(int argc, char **argv, struct cli_input *ret, struct vn_err *err) VN_MUST_USE;
/* suggest.c: the nearest of the words, or NULL if none is near. */
const char *cli_nearest(const char *typed, const char *const *words, size_t count);
/* help.c */
void cli_help(const struct cli_input *input);
/* output.c: one answer. columns as in the row; not printed whole on an error. */
enum vn_rc cli_print(const ProtobufCMessage *message, const char *columns, enum cli_format format, FILE *out,
                     struct vn_err *err) VN_MUST_USE;
/* run.c */
enum cli_exit cli_run(const struct cli_input *input);
enum cli_exit cli_main(int argc, char **argv, FILE *out, FILE *err);
/* Local commands. */
enum cli_exit cli_audit_verify(const struct cli_input *input);
enum cli_exit cli_backup(const struct cli_input *input);
enum cli_exit cli_restore(const struct cli_input *input);
/* audit_verify.c: a whole export, for tests too. `text` says what was proven, one line each; the caller drops it. */
struct cli_export_report {
        struct vn_export_manifest manifest;
        struct vn_buf text;
};
enum vn_rc cli_verify_export(FILE *in, const char *key, struct cli_export_report *ret,
                             struct vn_err *err) VN_MUST_USE;

#endif
