#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/metrics.h"

#define LINE_BYTES 2048
#define REPEAT_LINES 20
#define REPEAT_US (10 * VN_US_PER_S)

static const struct {
        const char *text;
        enum vn_log_level level;
        const char *help;
} events[VN_EVENT_COUNT] = {
#define VN_LOG_EVENT(name, text, level, help) {text, VN_LOG_##level, help},
#include "base/log_events.def"
#undef VN_LOG_EVENT
};
static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct {
        char program[32];
        atomic_int level;
        enum vn_log_form form;
        int fd;
        const struct vn_clock *clock;
        pthread_mutex_t lock; /* guards what follows */
        struct {
                int64_t since_us;
                unsigned lines;
                uint64_t held;
        } repeats[VN_EVENT_COUNT];
} logger = {.fd = 2, .level = VN_LOG_INFO, .lock = PTHREAD_MUTEX_INITIALIZER};

void vn_log_init(const char *program, enum vn_log_level level, enum vn_log_form form)
{
        snprintf(logger.program, sizeof(logger.program), "%s", program);
        atomic_store(&logger.level, (int)level);
        logger.form = form;
}

void vn_log_set_level(enum vn_log_level level)
{
        atomic_store(&logger.level, (int)level);
}

void vn_log_set_output(int fd, const struct vn_clock *clock)
{
        logger.fd = fd;
        logger.clock = clock;
        for (int i = 0; i < VN_EVENT_COUNT; i++)
                logger.repeats[i].lines = 0;
}

enum vn_rc vn_log_level_parse(struct vn_str text, enum vn_log_level *ret)
{
        for (int i = 0; i < 4; i++)
                if (vn_str_eq(text, vn_str(level_names[i]))) {
                        *ret = (enum vn_log_level)i;
                        return VN_OK;
                }
        return VN_INVALID_ARGUMENT;
}

/* True if the line may go out; *ret_held is how many were held back before it, to be told now. */
static bool admit(enum vn_log_event event, int64_t now_us, uint64_t *ret_held)
{
        bool go;

        *ret_held = 0;
        pthread_mutex_lock(&logger.lock);
        if (!logger.repeats[event].lines || now_us - logger.repeats[event].since_us >= REPEAT_US) {
                *ret_held = logger.repeats[event].held;
                logger.repeats[event].since_us = now_us;
                logger.repeats[event].lines = 0;
                logger.repeats[event].held = 0;
        }
        go = logger.repeats[event].lines < REPEAT_LINES;
        if (go)
                logger.repeats[event].lines++;
        else
                logger.repeats[event].held++;
        pthread_mutex_unlock(&logger.lock);
        return go;
}

/* One line only, whatever a peer's text holds: control characters become spaces. */
static void flatten(char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < ' ' || *text == 0x7f)
                        *text = ' ';
}

static bool is_key(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
                      s.ptr[i] == '_'))
                        return false;
        return s.len > 0;
}

/* `key=value` and `key="quoted value"` pairs become members; everything else is gathered in "text". */
static void add_members(struct vn_buf *line, const char *text)
{
        struct vn_str rest = vn_str(text);
        VN_AUTO(vn_buf)
        other = VN_BUF_INIT(LINE_BYTES);

        while (rest.ptr && rest.len) {
                struct vn_str key, value;
                const char *equals = memchr(rest.ptr, '=', rest.len), *blank = memchr(rest.ptr, ' ', rest.len);
                bool pair = equals && (!blank || equals < blank) &&
                            is_key(vn_str_n(rest.ptr, (size_t)(equals - rest.ptr)));
                if (!pair) {
                        struct vn_str word = vn_str_cut(&rest, ' ');
                        if (other.len)
                                vn_buf_char(&other, ' ');
                        vn_buf_str(&other, word);
                        continue;
                }
                key = vn_str_cut(&rest, '=');
                if (rest.len && *rest.ptr == '"') {
                        rest = vn_str_n(rest.ptr + 1, rest.len - 1);
                        value = vn_str_cut(&rest, '"');
                        if (rest.len && *rest.ptr == ' ')
                                rest = vn_str_n(rest.ptr + 1, rest.len - 1);
                } else {
                        value = vn_str_cut(&rest, ' ');
                }
                vn_buf_char(line, ',');
                vn_buf_json_string(line, key);
                vn_buf_char(line, ':');
                vn_buf_json_string(line, value);
        }
        if (other.len) {
                vn_buf_text(line, ",\"text\":");
                vn_buf_json_string(line, vn_buf_view(&other));
        }
}

static void write_line(enum vn_log_event event, int64_t now_us, const char *text)
{
        char time[VN_TIME_TEXT_BYTES];
        const char *level = level_names[events[event].level];
        VN_AUTO(vn_buf)
        line = VN_BUF_INIT(3 * LINE_BYTES);

        vn_time_format(now_us, time);
        if (logger.form == VN_LOG_JSON) {
                vn_buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":", time, level);
                vn_buf_json_string(&line, vn_str(logger.program));
                vn_buf_printf(&line, ",\"event\":\"%s\"", events[event].text);
                add_members(&line, text);
                vn_buf_text(&line, "}\n");
        } else {
                vn_buf_printf(&line, "%s %s %s%s%s\n", time, level, events[event].text, *text ? " " : "", text);
        }
        /* A log that cannot be written has nowhere to say so. */
        if (line.ptr)
                VN_IGNORE(write(logger.fd, line.ptr, line.len) < 0);
}

void vn_log_write(enum vn_log_event event, const char *format, ...)
{
        char text[LINE_BYTES], held_text[64];
        int64_t now_us;
        uint64_t held;
        va_list args;

        VN_ASSERT((unsigned)event < VN_EVENT_COUNT);
        if ((int)events[event].level < atomic_load(&logger.level))
                return;
        now_us = vn_now_us(logger.clock ? logger.clock : vn_clock_real());
        if (!admit(event, now_us, &held)) {
                VN_METRIC_ADD_FOR(LOG_HELD_BACK, events[event].text, 1);
                return;
        }
        if (held) {
                snprintf(held_text, sizeof(held_text), "held_back=%llu", (unsigned long long)held);
                write_line(event, now_us, held_text);
        }
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        flatten(text);
        write_line(event, now_us, text);
        VN_METRIC_ADD_FOR(LOG_LINES, events[event].text, 1);
}

void vn_log_document(struct vn_buf *out)
{
        vn_buf_text(out, "| event | level | meaning |\n| --- | --- | --- |\n");
        for (int i = 0; i < VN_EVENT_COUNT; i++)
                vn_buf_printf(out, "| `%s` | %s | %s |\n", events[i].text, level_names[events[i].level],
                              events[i].help);
}
