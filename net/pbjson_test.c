#include "net/pbjson.h"

#include <math.h>

#include "base/hash.h"
#include "tests/test.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"
#include "vane/v1/routing.pb-c.h"

static struct vn_arena arena;
static struct vn_err err;

static enum vn_rc parse(const ProtobufCMessageDescriptor *d, const char *json, void *ret)
{
        ProtobufCMessage *message = NULL;
        enum vn_rc rc;

        vn_arena_init(&arena, 1 << 20);
        err.msg[0] = '\0';
        rc = vn_pbjson_parse(d, vn_str(json), &arena, &message, &err);
        if (rc == VN_OK)
                *(ProtobufCMessage **)ret = message;
        else
                vn_arena_done(&arena);
        return rc;
}

static void refused(const ProtobufCMessageDescriptor *d, const char *json, const char *message)
{
        void *unused;
        CHECK_RC(VN_INVALID_ARGUMENT, parse(d, json, &unused));
        if (!strstr(err.msg, message))
                test_fail(__FILE__, __LINE__, "%s: \"%s\" does not hold \"%s\"", json, err.msg, message);
}

TEST(pbjson_reads_camel_and_snake)
{
        Vane__V1__RouteRequest *r = NULL;
        CHECK_OK(parse(&vane__v1__route_request__descriptor,
                       "{\"workload\":\"thumb\",\"payloadBytes\":7,\"response_bytes\":9,\"timeUs\":\"-5\","
                       "\"excludeAccounts\":[\"a\",\"b\",\"c\"],\"callerRegion\":null}",
                       &r));
        CHECK_TEXT("thumb", r->workload);
        CHECK_INT(7, r->payload_bytes);
        CHECK_INT(9, r->response_bytes);
        CHECK_INT(-5, r->time_us);
        CHECK_INT(3, r->n_exclude_accounts);
        CHECK_TEXT("c", r->exclude_accounts[2]);
        CHECK_TEXT("", r->caller_region);
        vn_arena_done(&arena);
}

TEST(pbjson_reads_numbers_as_the_mapping_says)
{
        Vane__V1__Model *m = NULL;
        CHECK_OK(parse(&vane__v1__model__descriptor,
                       "{\"version\":\"18446744073709551615\",\"parameters\":1e3,\"evalLoss\":0.25,"
                       "\"baselineLoss\":2,\"timeUs\":-9223372036854775808,\"current\":true}",
                       &m));
        CHECK(m->version == UINT64_MAX);
        CHECK_INT(1000, m->parameters);
        CHECK_NEAR(0.25, m->eval_loss, 0);
        CHECK_NEAR(2, m->baseline_loss, 0);
        CHECK(m->time_us == INT64_MIN);
        CHECK(m->current);
        vn_arena_done(&arena);
}

TEST(pbjson_reads_enums_bytes_and_choices)
{
        Vane__V1__ReportRequest *r = NULL;
        Vane__V1__UpdatePart *part = NULL;

        CHECK_OK(parse(&vane__v1__report_request__descriptor,
                       "{\"outcomes\":[{\"decisionId\":\"d\",\"status\":\"STATUS_TIMEOUT\"},{\"status\":3}]}", &r));
        CHECK_INT(VANE__V1__OUTCOME__STATUS__STATUS_TIMEOUT, r->outcomes[0]->status);
        CHECK_INT(VANE__V1__OUTCOME__STATUS__STATUS_THROTTLED, r->outcomes[1]->status);
        vn_arena_done(&arena);

        CHECK_OK(
                parse(&vane__v1__update_part__descriptor, "{\"chunk\":{\"offset\":\"4\",\"data\":\"AAH/\"}}", &part));
        CHECK_INT(VANE__V1__UPDATE_PART__PART_CHUNK, part->part_case);
        CHECK_INT(3, part->chunk->data.len);
        CHECK_INT(0xff, part->chunk->data.data[2]);
        vn_arena_done(&arena);
}

TEST(pbjson_names_the_field_at_fault)
{
        const ProtobufCMessageDescriptor *report = &vane__v1__report_request__descriptor;
        const ProtobufCMessageDescriptor *route = &vane__v1__route_request__descriptor;
        const ProtobufCMessageDescriptor *model = &vane__v1__model__descriptor;

        refused(report, "{\"outcomes\":[{},{\"latencyUs\":-1}]}", "outcomes[1].latencyUs: ");
        refused(report, "{\"outcomes\":[{\"status\":\"STATUS_FINE\"}]}", "outcomes[0].status: ");
        refused(report, "{\"outcomes\":[{\"status\":77}]}", "outcomes[0].status: ");
        refused(report, "{\"outcomes\":[null]}", "outcomes[0]: not an object");
        refused(report, "{\"outcomes\":{}}", "outcomes: not an array");
        refused(route, "{\"wrkload\":\"x\"}", "wrkload: no such field");
        refused(route, "{\"workload\":7}", "workload: not a string");
        refused(route, "{\"payloadBytes\":4294967296}", "payloadBytes: integer out of range");
        refused(route, "{\"payloadBytes\":1.5}", "payloadBytes: not an integer");
        refused(route, "{\"payloadBytes\":\"5\"}", "payloadBytes: not an integer");
        refused(route, "{\"timeUs\":\"+5\"}", "timeUs: not an integer");
        refused(route, "{\"timeUs\":true}", "timeUs: not an integer");
        refused(route, "{\"payloadBytes\":1,\"payload_bytes\":1}", "given twice");
        refused(route, "{\"workload\":\"a\",\"workload\":\"b\"}", "duplicate");
        refused(route, "{\"workload\":\"a\\u0000b\"}", "JSON line 1");
        refused(route, "[]", "not a JSON object");
        refused(route, "{", "JSON line 1");
        refused(model, "{\"evalLoss\":\"0.5\"}", "evalLoss: not a number");
        refused(model, "{\"version\":\"-1\"}", "version: ");
        refused(model, "{\"version\":\"18446744073709551616\"}", "version: ");
        refused(model, "{\"evalLoss\":\"NaN\"}", "evalLoss: ");
        refused(model, "{\"evalLoss\":\"Infinity\"}", "evalLoss: ");
        refused(model, "{\"evalLoss\":1e999}", "JSON line 1");
        refused(model, "{\"current\":1}", "current: not true or false");
        refused(&vane__v1__chunk__descriptor, "{\"data\":\"?\"}", "data: not base64");
        refused(&vane__v1__update_part__descriptor, "{\"chunk\":{},\"header\":{}}", "another member");
}

TEST(pbjson_bounds_depth_values_and_memory)
{
        VN_AUTO(vn_buf)
        json = VN_BUF_INIT(4 << 20);
        ProtobufCMessage *message;
        void *unused;

        for (int i = 0; i < 100; i++)
                vn_buf_text(&json, "{\"eval\":");
        refused(&vane__v1__update_part__descriptor, json.ptr, "deeper than 32");

        vn_buf_reset(&json);
        vn_buf_text(&json, "{\"excludeAccounts\":[\"\"");
        for (int i = 0; i < VN_PBJSON_MAX_VALUES; i++)
                vn_buf_text(&json, ",\"\"");
        vn_buf_text(&json, "]}");
        CHECK_RC(VN_RESOURCE_EXHAUSTED, parse(&vane__v1__route_request__descriptor, json.ptr, &unused));

        vn_arena_init(&arena, 4096);
        vn_buf_reset(&json);
        vn_buf_text(&json, "{\"outcomes\":[{}");
        for (int i = 0; i < 500; i++)
                vn_buf_text(&json, ",{}");
        vn_buf_text(&json, "]}");
        CHECK_RC(VN_RESOURCE_EXHAUSTED,
                 vn_pbjson_parse(&vane__v1__report_request__descriptor, vn_buf_view(&json), &arena, &message, NULL));
        vn_arena_done(&arena);
}

TEST(pbjson_prints_every_plain_field)
{
        Vane__V1__Checkpoint c = VANE__V1__CHECKPOINT__INIT;
        uint8_t root[2] = {1, 2};
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(1000);
        char note[] = "a\"\n\xc3\xa9";

        CHECK_OK(vn_pbjson_print(&c.base, &out, &err));
        CHECK_TEXT("{\"note\":\"\",\"size\":\"0\",\"root\":\"\",\"verifierKey\":\"\"}", out.ptr);
        c.note = note;
        c.size = 5;
        c.root = (ProtobufCBinaryData){2, root};
        vn_buf_reset(&out);
        CHECK_OK(vn_pbjson_print(&c.base, &out, &err));
        CHECK_TEXT("{\"note\":\"a\\\"\\u000a\xc3\xa9\",\"size\":\"5\",\"root\":\"AQI=\",\"verifierKey\":\"\"}",
                   out.ptr);
}

TEST(pbjson_leaves_out_what_is_not_set_and_refuses_nan)
{
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__PauseNotice pause = VANE__V1__PAUSE_NOTICE__INIT;
        Vane__V1__RiskPart risk = VANE__V1__RISK_PART__INIT;
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(1000);

        CHECK_OK(vn_pbjson_print(&event.base, &out, &err));
        CHECK_TEXT("{}", out.ptr);
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_PAUSE;
        event.pause = &pause;
        vn_buf_reset(&out);
        CHECK_OK(vn_pbjson_print(&event.base, &out, &err));
        CHECK_TEXT("{\"pause\":{\"paused\":false,\"function\":\"\"}}", out.ptr);
        risk.chance = NAN;
        CHECK_RC(VN_INTERNAL, vn_pbjson_print(&risk.base, &out, &err));
        out.max_bytes = out.len;
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_pbjson_print(&event.base, &out, &err));
}

static enum vn_rc set(ProtobufCMessage *m, const char *name, const char *text)
{
        return vn_pbjson_set_field(m, vn_str(name), vn_str(text), &arena, &err);
}

TEST(pbjson_sets_fields_from_parameters)
{
        ProtobufCMessage *m = NULL;
        Vane__V1__UpdatePart *part;
        Vane__V1__RouteRequest *route;

        vn_arena_init(&arena, 1 << 16);
        CHECK_OK(vn_pbjson_new(&vane__v1__update_part__descriptor, &arena, &m, &err));
        part = (Vane__V1__UpdatePart *)m;
        CHECK_OK(set(m, "header.base_version", "12"));
        CHECK_OK(set(m, "header.eval.modelLossSum", "1.5"));
        CHECK_INT(VANE__V1__UPDATE_PART__PART_HEADER, part->part_case);
        CHECK_INT(12, part->header->base_version);
        CHECK_NEAR(1.5, part->header->eval->model_loss_sum, 0);
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "chunk.offset", "1"));
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "header", "{}"));
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "header.eval.nothing", "1"));
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "header.round.x", "1"));
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "", "1"));
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "header.round", ""));

        CHECK_OK(vn_pbjson_new(&vane__v1__route_request__descriptor, &arena, &m, &err));
        route = (Vane__V1__RouteRequest *)m;
        for (int i = 0; i < 5; i++)
                CHECK_OK(set(m, "excludeAccounts", "x"));
        CHECK_INT(5, route->n_exclude_accounts);
        CHECK_TEXT("x", route->exclude_accounts[4]);
        CHECK_RC(VN_INVALID_ARGUMENT, set(m, "workload", "\xff"));
        vn_arena_done(&arena);
}

/* What is parsed and then added to by a parameter must not run over the parsed array. */
TEST(pbjson_appends_after_parsing)
{
        Vane__V1__RouteRequest *r = NULL;
        CHECK_OK(parse(&vane__v1__route_request__descriptor, "{\"excludeAccounts\":[\"a\",\"b\",\"c\"]}", &r));
        for (int i = 0; i < 30; i++)
                CHECK_OK(set(&r->base, "exclude_accounts", "z"));
        CHECK_INT(33, r->n_exclude_accounts);
        CHECK_TEXT("c", r->exclude_accounts[2]);
        vn_arena_done(&arena);
}

TEST(pbjson_round_trips_random_doubles)
{
        struct vn_rng rng;
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(1000);

        vn_rng_seed(&rng, test_seed());
        for (int i = 0; i < 2000; i++) {
                Vane__V1__RiskPart risk = VANE__V1__RISK_PART__INIT, *back = NULL;
                uint64_t bits = vn_rng_u64(&rng);

                memcpy(&risk.chance, &bits, 8);
                if (!isfinite(risk.chance))
                        continue;
                vn_buf_reset(&out);
                CHECK_OK(vn_pbjson_print(&risk.base, &out, &err));
                CHECK_OK(parse(&vane__v1__risk_part__descriptor, out.ptr, &back));
                CHECK(!memcmp(&risk.chance, &back->chance, 8));
                vn_arena_done(&arena);
        }
}

static enum vn_rc parse_and_print(void)
{
        Vane__V1__ReportRequest *r = NULL;
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(10000);
        enum vn_rc rc;

        VN_TRY(parse(&vane__v1__report_request__descriptor,
                     "{\"outcomes\":[{\"decisionId\":\"d\",\"status\":1},{},{\"responseBytes\":3}]}", &r));
        rc = vn_pbjson_print(&r->base, &out, &err);
        vn_arena_done(&arena);
        return rc;
}

TEST(pbjson_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(parse_and_print);
}
