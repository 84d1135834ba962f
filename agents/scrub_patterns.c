#include "agents/scrub_patterns.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "agents/scrub.h"
#include "base/json.h"

#define MAX_NAME 32

struct pattern {
        char mark[MAX_NAME + 3];
        pcre2_code *code;
};
struct vn_scrub_patterns {
        struct pattern items[VN_MAX_PATTERNS];
        size_t count;
        pcre2_general_context *memory;
        pcre2_match_context *limits;
        pcre2_match_data *match;
        struct vn_buf buf[2];
};

/* PCRE2 takes its memory where everything else does, so that tests see it run out. */
static void *take(PCRE2_SIZE bytes, void *tag)
{
        (void)tag;
        return vn_alloc(bytes);
}

static void give(void *memory, void *tag)
{
        (void)tag;
        vn_free(memory);
}

static enum vn_rc compile(struct vn_scrub_patterns *p, struct vn_str name, struct vn_str text, struct vn_err *err)
{
        char why[120];
        int code;
        PCRE2_SIZE at;
        if (!vn_str_is_name(name, MAX_NAME))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "scrub_patterns[%zu].name: 1 to %d letters, digits, '-', '_', '.'", p->count,
                               MAX_NAME);
        if (!text.len || text.len > VN_PATTERN_MAX_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "scrub_patterns.%.*s: 1 to %d bytes", VN_FMT(name),
                               VN_PATTERN_MAX_BYTES);
        pcre2_compile_context *context = pcre2_compile_context_create(p->memory);
        if (!context)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "scrub_patterns: out of memory");
        /* A log is not always what its encoding says; \C would match half a character. */
        pcre2_code *made =
                pcre2_compile((PCRE2_SPTR)text.ptr, text.len,
                              PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
        pcre2_compile_context_free(context);
        if (!made) {
                pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
                bool memory = code == PCRE2_ERROR_HEAP_FAILED;
                return vn_fail(err, memory ? VN_RESOURCE_EXHAUSTED : VN_INVALID_ARGUMENT,
                               "scrub_patterns.%.*s: at byte %zu: %s", VN_FMT(name), (size_t)at, why);
        }
        p->items[p->count].code = made;
        snprintf(p->items[p->count++].mark, sizeof p->items[0].mark, "[%.*s]", VN_FMT(name));
        /* Without the compiler for this machine the interpreter does the same, slower. */
        if (pcre2_jit_compile(made, PCRE2_JIT_COMPLETE) == PCRE2_ERROR_NOMEMORY)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "scrub_patterns: out of memory");
        return VN_OK;
}

static enum vn_rc compile_all(struct vn_scrub_patterns *p, const struct json_t *array, struct vn_err *err)
{
        if (array && !json_is_array(array))
                return vn_fail(err, VN_INVALID_ARGUMENT, "scrub_patterns: not an array");
        if (json_array_size(array) > VN_MAX_PATTERNS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "scrub_patterns: at most %d", VN_MAX_PATTERNS);
        for (size_t i = 0; i < json_array_size(array); i++) {
                const json_t *item = json_array_get(array, i);
                struct vn_str name, text;
                enum vn_rc rc = vn_json_text(item, "name", &name, err);
                if (rc == VN_OK)
                        rc = vn_json_text(item, "pattern", &text, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, VN_INVALID_ARGUMENT, "scrub_patterns[%zu]", i);
                VN_TRY(compile(p, name, text, err));
        }
        return VN_OK;
}

enum vn_rc vn_scrub_patterns_new(const struct json_t *array, struct vn_scrub_patterns **ret, struct vn_err *err)
{
        VN_AUTO(vn_scrub_patterns)
        p = vn_alloc(sizeof *p);
        if (!p)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "scrub_patterns: out of memory");
        p->buf[0] = p->buf[1] = VN_BUF_INIT(4 * VN_SCRUB_MAX_BYTES);
        p->memory = pcre2_general_context_create(take, give, NULL);
        p->limits = p->memory ? pcre2_match_context_create(p->memory) : NULL;
        p->match = p->memory ? pcre2_match_data_create(1, p->memory) : NULL;
        if (!p->limits || !p->match)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "scrub_patterns: out of memory");
        pcre2_set_match_limit(p->limits, VN_PATTERN_MAX_STEPS);
        pcre2_set_depth_limit(p->limits, VN_PATTERN_MAX_DEPTH);
        VN_TRY(compile_all(p, array, err));
        *ret = vn_steal(&p);
        return VN_OK;
}

struct vn_scrub_patterns *vn_scrub_patterns_free(struct vn_scrub_patterns *p)
{
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->count; i++)
                pcre2_code_free(p->items[i].code);
        pcre2_match_data_free(p->match);
        pcre2_match_context_free(p->limits);
        pcre2_general_context_free(p->memory);
        vn_buf_done(&p->buf[0]);
        vn_buf_done(&p->buf[1]);
        vn_free(p);
        return NULL;
}

/* One pattern over the whole text. A match of nothing is passed over. */
static enum vn_rc run_one(struct vn_scrub_patterns *p, const struct pattern *item, struct vn_str text,
                          struct vn_buf *to, uint64_t *replaced, struct vn_err *err)
{
        size_t from = 0, kept = 0;
        while (from <= text.len) {
                int rc = pcre2_match(item->code, (PCRE2_SPTR)text.ptr, text.len, from, 0, p->match, p->limits);
                if (rc == PCRE2_ERROR_NOMATCH)
                        break;
                if (rc < 0)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "scrub_patterns.%s: too many steps for a line",
                                       item->mark);
                const PCRE2_SIZE *place = pcre2_get_ovector_pointer(p->match);
                if (place[1] <= place[0]) { /* empty; or \K moved the start behind the end */
                        from = (place[1] > from ? place[1] : from) + 1;
                        while (from < text.len && (text.ptr[from] & 0xc0) == 0x80)
                                from++; /* the next character */
                        continue;
                }
                size_t start = place[0] > kept ? place[0] : kept;
                vn_buf_add(to, text.ptr + kept, start - kept);
                vn_buf_text(to, item->mark);
                kept = from = place[1];
                (*replaced)++;
        }
        if (kept)
                vn_buf_add(to, text.ptr + kept, text.len - kept);
        return vn_buf_check(to, err);
}

enum vn_rc vn_scrub_patterns_run(struct vn_scrub_patterns *p, struct vn_str text, struct vn_str *ret,
                                 uint64_t *replaced, struct vn_err *err)
{
        unsigned next = 0;
        for (size_t i = 0; i < p->count; i++) {
                struct vn_buf *to = &p->buf[next];
                uint64_t before = *replaced;
                vn_buf_reset(to);
                VN_TRY(run_one(p, &p->items[i], text, to, replaced, err));
                if (*replaced == before)
                        continue;
                text = vn_buf_view(to);
                next = 1 - next;
        }
        *ret = text;
        return VN_OK;
}
