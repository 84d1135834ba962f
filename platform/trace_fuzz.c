/* Any text as the trace's three files and as price lists: it ends, and what is accepted is in order and in range. */
#include <string.h>

#include "platform/prices.h"
#include "platform/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct vn_price_table table;
        const struct vn_trace_options options = {.functions = 3, .minutes = 2, .target_calls = 50, .seed = 1};
        struct vn_str rest = vn_str_n(data, size), invocations = vn_str_cut(&rest, '\0');
        struct vn_str durations = rest.ptr ? vn_str_cut(&rest, '\0') : VN_STR("");
        struct vn_trace *trace = NULL;
        struct vn_err err;
        if (vn_trace_build(invocations, durations, rest.ptr ? rest : VN_STR(""), &options, &trace, &err) == VN_OK) {
                for (size_t i = 0; i < trace->call_count; i++) {
                        VN_ASSERT(trace->calls[i].function < trace->function_count &&
                                  trace->calls[i].at_us < trace->span_us);
                        VN_ASSERT(!i || trace->calls[i].at_us >= trace->calls[i - 1].at_us);
                }
                vn_trace_free(trace);
        }
        if (vn_price_table_parse(invocations, durations, rest.ptr ? rest : VN_STR(""), &table, &err) == VN_OK)
                VN_ASSERT(table.row_count <= VN_MAX_PRICE_ROWS);
        return 0;
}
