/* trace_test.c - single calls from the trace: repeatable, in order, of the wanted number; hostile text is refused. */
#include "platform/trace.h"

#include "base/clock.h"
#include "platform/carried_test.h"
#include "tests/test.h"

static const char *const paths[3] = {"azure-functions/azure2019-500/invocations.csv",
                                     "azure-functions/azure2019-500/durations.csv",
                                     "azure-functions/azure2019-500/memory.csv"};

static struct vn_trace *build(const struct vn_trace_options *options)
{
        struct vn_buf text[3];
        struct vn_trace *trace = NULL;
        struct vn_err err;
        for (int i = 0; i < 3; i++)
                test_read_data(paths[i], &text[i]);
        CHECK_OK(vn_trace_build(vn_buf_view(&text[0]), vn_buf_view(&text[1]), vn_buf_view(&text[2]), options, &trace,
                                &err));
        for (int i = 0; i < 3; i++)
                vn_buf_done(&text[i]);
        return trace;
}

TEST(a_trace_is_repeatable_ordered_and_of_the_wanted_size)
{
        struct vn_trace_options options;
        vn_trace_options_default(&options);
        VN_AUTO(vn_trace)
        a = build(&options);
        VN_AUTO(vn_trace)
        b = build(&options);
        options.seed = 2;
        VN_AUTO(vn_trace)
        c = build(&options);
        uint64_t by_function = 0;
        CHECK_INT(40, a->function_count);
        CHECK(a->call_count >= 12000 && a->call_count <= 16000);
        CHECK_INT(a->call_count, b->call_count);
        CHECK(!memcmp(a->calls, b->calls, a->call_count * sizeof *a->calls));
        CHECK(c->call_count != a->call_count || memcmp(a->calls, c->calls, a->call_count * sizeof *a->calls));
        for (size_t i = 0; i < a->call_count; i++) {
                CHECK(a->calls[i].at_us >= 0 && a->calls[i].at_us < a->span_us);
                CHECK(a->calls[i].function < a->function_count);
                CHECK(!i || a->calls[i].at_us >= a->calls[i - 1].at_us);
        }
        for (size_t f = 0; f < a->function_count; f++) {
                by_function += a->functions[f].calls;
                CHECK(a->functions[f].calls > 0 && a->functions[f].calls <= a->functions[f].counted);
        }
        CHECK_INT(a->call_count, by_function);
}

TEST(thinning_keeps_light_functions_whole)
{
        struct vn_trace_options options;
        vn_trace_options_default(&options);
        VN_AUTO(vn_trace)
        thin = build(&options);
        options.target_calls = 0;
        VN_AUTO(vn_trace)
        all = build(&options);
        for (size_t f = 0; f < thin->function_count; f++) {
                CHECK_INT(all->functions[f].counted, all->functions[f].calls);
                if (thin->functions[f].counted < 200)
                        CHECK_INT(thin->functions[f].counted, thin->functions[f].calls);
        }
}

TEST(hostile_text_is_refused)
{
        struct vn_trace *trace = NULL;
        struct vn_err err;
        struct vn_trace_options options = {.functions = 4, .minutes = 2, .seed = 1};
        struct vn_str durations = VN_STR("HashFunction,Average\nf,50\n"), none = VN_STR("");
        struct vn_str good = VN_STR("HashOwner,HashApp,HashFunction,Trigger,0,1\r\no,a,\"f\",http,100,50\r\n");
        CHECK_OK(vn_trace_build(good, durations, none, &options, &trace, &err));
        CHECK_INT(150, trace->call_count);
        trace = vn_trace_free(trace);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_trace_build(none, durations, none, &options, &trace, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_trace_build(good, none, none, &options, &trace, &err));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_trace_build(good, VN_STR("HashFunction,Average\nf,x\n"), none, &options, &trace, &err));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_trace_build(VN_STR("HashOwner,HashApp,HashFunction,Trigger,0,1\no,a,f,http,-1,50\n"), durations,
                                none, &options, &trace, &err));
        CHECK_RC(VN_NOT_FOUND, vn_trace_build(VN_STR("HashOwner,HashApp,HashFunction,Trigger,0,1\no,a,f,http,1,5\n"),
                                              durations, none, &options, &trace, &err));
        options.minutes = 3; /* more than the text holds */
        CHECK_RC(VN_INVALID_ARGUMENT, vn_trace_build(good, durations, none, &options, &trace, &err));
        options.minutes = 0;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_trace_build(good, durations, none, &options, &trace, &err));
}

static enum vn_rc build_small(void)
{
        struct vn_trace *trace = NULL;
        struct vn_err err;
        struct vn_trace_options options = {.functions = 4, .minutes = 2, .seed = 1};
        enum vn_rc rc = vn_trace_build(VN_STR("HashOwner,HashApp,HashFunction,Trigger,0,1\no,a,f,http,100,50\n"),
                                       VN_STR("HashFunction,Average\nf,50\n"), VN_STR(""), &options, &trace, &err);
        vn_trace_free(trace);
        return rc;
}

TEST(running_out_of_memory_leaks_nothing_of_a_trace)
{
        TEST_ALLOC_LOOP(build_small);
}
