/* config.h - one YAML file read through a table of rows into a plain struct.
 * Purpose: each program has a table (server/config.def and the like): key, type, bounds, default, unit and help in one
 *   row. The same rows fill the struct, check the file and make the documentation.
 * Use: a .def of VN_CONFIG(field, "section.key", TYPE, "default", min, max, "unit", RELOAD|START, "help"), where TYPE is
 *   TEXT (char array), UINT (uint16_t, uint32_t or uint64_t), NUMBER (double) or BOOL, and
 *     static const struct vn_config_row rows[] = {
 *     #define VN_CONFIG(field, key, type, ...) VN_CONFIG_ROW(struct my_config, field, key, type, __VA_ARGS__)
 *     #include "my/config.def"
 *     };
 * File: nested mappings, whose keys are joined by dots, or dotted keys. Unknown and repeated keys, wrong types and
 *   values out of bounds are errors with line and column. min and max bound the value, or a text's bytes.
 * Threads: pure; the owner publishes the struct. Limits: file 256 KiB, nesting 8.
 * Reload: parse into a second struct, then vn_config_reload: all or nothing, and keys marked START may not change. */
#ifndef VANE_BASE_CONFIG_H
#define VANE_BASE_CONFIG_H

#include "base/err.h"
#include "base/str.h"

enum vn_config_type { VN_CONFIG_TEXT, VN_CONFIG_UINT, VN_CONFIG_NUMBER, VN_CONFIG_BOOL };
enum vn_config_when { VN_CONFIG_START, VN_CONFIG_RELOAD };

struct vn_config_row {
        const char *key;
        enum vn_config_type type;
        const char *fallback; /* the default, as it would stand in the file; NULL: the key is required */
        double min, max;
        const char *unit; /* "" for none */
        enum vn_config_when when;
        const char *help;
        size_t offset, bytes;
};
#define VN_CONFIG_ROW(strct, field, key_, type_, fallback_, min_, max_, unit_, when_, help_)                         \
        {.key = key_,                                                                                                \
         .type = VN_CONFIG_##type_,                                                                                  \
         .fallback = fallback_,                                                                                      \
         .min = min_,                                                                                                \
         .max = max_,                                                                                                \
         .unit = unit_,                                                                                              \
         .when = VN_CONFIG_##when_,                                                                                  \
         .help = help_,                                                                                              \
         .offset = offsetof(strct, field),                                                                           \
         .bytes = sizeof(((strct *)0)->field)},

/* Every field at its default ("" or 0 for required ones). */
void vn_config_defaults(const struct vn_config_row *rows, size_t count, void *config);
/* Defaults, then the file's values. On an error *config is not touched. */
enum vn_rc vn_config_parse(const struct vn_config_row *rows, size_t count, struct vn_str yaml, const char *name,
                           void *config, size_t config_bytes, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_config_read(const struct vn_config_row *rows, size_t count, const char *path, void *config,
                          size_t config_bytes, struct vn_err *err) VN_MUST_USE;
/* Reads anew and replaces *config only if all is well and no START key differs (FAILED_PRECONDITION names it). */
enum vn_rc vn_config_reload(const struct vn_config_row *rows, size_t count, const char *path, void *config,
                            size_t config_bytes, struct vn_err *err) VN_MUST_USE;
/* A Markdown table of the rows. */
void vn_config_document(const struct vn_config_row *rows, size_t count, struct vn_buf *out);

#endif
