#include "agents/lines.h"

#include <stdio.h>

#include "agents/scrub_patterns.h"
#include "base/hash.h"
#include "clouds/aws/aws.h"

#define REPORT_BYTES 256

struct vn_lines {
        struct vn_lines_config config;
        struct vn_sampler *sampler;
        struct vn_scrub_patterns *patterns;
        struct vn_scrub scrub;
        struct vn_lines_stats stats;
};

/* What a class lets through of raw lines, to the account's own store. A function can write what looks like the platform's
 * own line, so where its words must not pass, a report is written anew from its figures. */
static const bool allowed[VN_DATA_CLASSES][VN_LINE_KINDS] = {
        [VN_DATA_PUBLIC] = {true, true, true, true},
        [VN_DATA_INTERNAL] = {true, true, true, true},
        [VN_DATA_RESTRICTED] = {true, false, false, false},
};

const char *vn_line_kind_name(enum vn_line_kind kind)
{
        static const char *const names[] = {"report", "platform", "error", "application"};
        return names[kind];
}

enum vn_rc vn_lines_new(const struct vn_lines_config *config, struct vn_lines **ret, struct vn_err *err)
{
        VN_AUTO(vn_lines)
        lines = vn_alloc(sizeof *lines);
        if (!lines)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "lines: out of memory");
        lines->config = *config;
        lines->config.patterns = NULL; /* compiled; the JSON is the caller's */
        vn_scrub_init(&lines->scrub);
        VN_TRY(vn_sampler_new(&config->sample, &lines->sampler, err));
        VN_TRY(vn_scrub_patterns_new(config->patterns, &lines->patterns, err));
        *ret = vn_steal(&lines);
        return VN_OK;
}

struct vn_lines *vn_lines_free(struct vn_lines *lines)
{
        if (!lines)
                return NULL;
        vn_sampler_free(lines->sampler);
        vn_scrub_patterns_free(lines->patterns);
        vn_scrub_done(&lines->scrub);
        vn_free(lines);
        return NULL;
}

void vn_lines_set_class(struct vn_lines *lines, enum vn_data_class data_class)
{
        lines->config.data_class = data_class;
}

static bool has(struct vn_str text, const char *what)
{
        return memmem(text.ptr, text.len, what, strlen(what)) != NULL;
}

/* Its head is enough: whoever writes a level writes it in front. */
static bool reads_as_error(struct vn_str text)
{
        struct vn_str head = vn_str_n(text.ptr, text.len < 256 ? text.len : 256);
        for (size_t i = 0; i < head.len; i++) {
                struct vn_str rest = vn_str_n(head.ptr + i, head.len - i);
                bool sign = false;
                switch (head.ptr[i]) {
                case 'C': sign = vn_str_starts(rest, VN_STR("CRITICAL")); break;
                case 'E': sign = vn_str_starts(rest, VN_STR("ERROR")); break;
                case 'F': sign = vn_str_starts(rest, VN_STR("FATAL")); break;
                case 'T':
                        sign = vn_str_starts(rest, VN_STR("Traceback (most")) ||
                               vn_str_starts(rest, VN_STR("Task timed out"));
                        break;
                case 'p': sign = vn_str_starts(rest, VN_STR("panic:")); break;
                default: break;
                }
                if (sign)
                        return true;
        }
        return false;
}

static enum vn_line_kind platform_kind(struct vn_str text, bool *ret_always)
{
        if (vn_str_starts(text, VN_STR("REPORT RequestId:"))) {
                *ret_always = has(text, "Init Duration:") || has(text, "Restore Duration:") || has(text, "\tStatus:");
                return VN_LINE_REPORT;
        }
        if (text.ptr[0] == '{' && has(text, "\"platform.report\"")) {
                *ret_always = has(text, "\"initDurationMs\"") || has(text, "\"restoreDurationMs\"") ||
                              !has(text, "\"status\":\"success\"");
                return VN_LINE_REPORT;
        }
        *ret_always = vn_str_starts(text, VN_STR("INIT_START")) || has(text, "\"platform.initStart\"") ||
                      has(text, "Starting new instance");
        return VN_LINE_PLATFORM;
}

static bool is_platform(struct vn_str text)
{
        return vn_str_starts(text, VN_STR("REPORT RequestId:")) || vn_str_starts(text, VN_STR("START RequestId:")) ||
               vn_str_starts(text, VN_STR("END RequestId:")) || vn_str_starts(text, VN_STR("INIT_START")) ||
               vn_str_starts(text, VN_STR("Starting new instance")) ||
               (text.len && text.ptr[0] == '{' &&
                has(vn_str_n(text.ptr, text.len < 256 ? text.len : 256), "\"type\":\"platform."));
}

enum vn_line_kind vn_line_kind_of(const struct vn_cloud_line *line, bool *ret_always)
{
        *ret_always = false;
        if (is_platform(line->text))
                return platform_kind(line->text, ret_always);
        if (line->error || reads_as_error(line->text)) {
                *ret_always = true;
                return VN_LINE_ERROR;
        }
        return VN_LINE_APPLICATION;
}

static uint64_t function_hash(const char *function, const char *region)
{
        return vn_hash64(region, strlen(region), vn_hash64(function, strlen(function), 1));
}

void vn_lines_cost(struct vn_lines *lines, const char *function, const char *region, double gb_seconds)
{
        vn_sampler_cost(lines->sampler, function_hash(function, region), gb_seconds);
}

static bool figures_of(struct vn_str text, char figures[REPORT_BYTES], struct vn_str *ret)
{
        struct vn_cloud_invocation r = {0};
        if (vn_aws_report_parse(text, &r) != VN_OK)
                return false;
        int n = snprintf(
                figures, REPORT_BYTES,
                "REPORT Duration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: %u MB\tMax Memory Used: %u MB"
                "\tInit Duration: %.2f ms",
                (double)r.duration_us / 1e3, (double)r.billed_us / 1e3, r.memory_mb, r.max_memory_mb,
                (double)r.init_us / 1e3);
        *ret = vn_str_n(figures, (size_t)n);
        return true;
}

enum vn_rc vn_lines_take(struct vn_lines *lines, const char *region, const struct vn_cloud_line *line,
                         struct vn_err *err)
{
        bool always;
        enum vn_line_kind kind = vn_line_kind_of(line, &always);
        struct vn_lines_stats *stats = &lines->stats;
        stats->seen++;
        if (!allowed[lines->config.data_class][kind]) {
                stats->not_allowed++;
                return VN_OK;
        }
        uint32_t weight = vn_sampler_weight(lines->sampler, function_hash(line->function, region), line->id_hash,
                                            line->time_us, always);
        if (!weight) {
                stats->left_out++;
                return VN_OK;
        }
        struct vn_line out = {line->function, region, line->time_us, kind, weight, line->text};
        char figures[REPORT_BYTES];
        if (lines->config.data_class == VN_DATA_RESTRICTED && !figures_of(line->text, figures, &out.text)) {
                stats->not_allowed++;
                return VN_OK;
        }
        if (line->text.len > VN_SCRUB_MAX_BYTES ||
            vn_scrub_patterns_run(lines->patterns, out.text, &out.text, &stats->pattern_hits, NULL) != VN_OK ||
            vn_scrub_text(&lines->scrub, out.text, &out.text, NULL) != VN_OK) {
                stats->refused++;
                return VN_OK;
        }
        stats->handed++;
        return lines->config.each(lines->config.arg, &out, err);
}

void vn_lines_stats(const struct vn_lines *lines, struct vn_lines_stats *ret)
{
        *ret = lines->stats;
        memcpy(ret->scrubbed, lines->scrub.counts, sizeof ret->scrubbed);
}
