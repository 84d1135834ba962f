#include "agents/outbox.h"
#include "agents/watch.h"
#include "tests/test.h"
#include "vane/v1/agent.pb-c.h"

static void pause_event(struct vn_watch *watch, bool paused, const char *function)
{
        char name[300];
        struct vn_agent_event event;
        Vane__V1__AgentEvent m = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__PauseNotice pause = VANE__V1__PAUSE_NOTICE__INIT;
        snprintf(name, sizeof name, "%s", function);
        pause.paused = paused;
        pause.function = name;
        m.event_case = VANE__V1__AGENT_EVENT__EVENT_PAUSE;
        m.pause = &pause;
        CHECK(!vn_watch_convert(watch, &m, &event)); /* obeyed at once, nothing for the main thread */
}

TEST(watch_obeys_pauses_of_account_and_function)
{
        struct vn_watch *watch = NULL;
        CHECK_OK(vn_watch_start(NULL, &watch, NULL));
        CHECK(!vn_watch_paused(watch, "f"));
        pause_event(watch, true, "f");
        pause_event(watch, true, "f");
        pause_event(watch, true, "g");
        CHECK(vn_watch_paused(watch, "f") && vn_watch_paused(watch, "g") && !vn_watch_paused(watch, "h"));
        pause_event(watch, false, "f");
        CHECK(!vn_watch_paused(watch, "f") && vn_watch_paused(watch, "g"));
        pause_event(watch, true, "");
        CHECK(vn_watch_paused(watch, "h"));
        pause_event(watch, false, "");
        CHECK(!vn_watch_paused(watch, "h") && vn_watch_paused(watch, "g"));
        char name[16];
        for (int i = 0; i < 1100; i++) { /* more than it can remember: then everything stands still */
                snprintf(name, sizeof name, "f%d", i);
                pause_event(watch, true, name);
        }
        CHECK(vn_watch_paused(watch, "never named"));
        vn_watch_free(watch);
}

TEST(watch_converts_what_it_knows_and_drops_the_rest)
{
        struct vn_watch *watch = NULL;
        struct vn_agent_event event;
        CHECK_OK(vn_watch_start(NULL, &watch, NULL));
        Vane__V1__AgentEvent m = VANE__V1__AGENT_EVENT__INIT;
        CHECK(!vn_watch_convert(watch, &m, &event));
        Vane__V1__Command command = VANE__V1__COMMAND__INIT;
        char id[200] = "d-1", function[] = "f";
        command.id = id;
        command.function = function;
        command.memory_mb = 512;
        m.event_case = VANE__V1__AGENT_EVENT__EVENT_COMMAND;
        m.command = &command;
        CHECK(vn_watch_convert(watch, &m, &event));
        CHECK_INT(VN_AGENT_COMMAND, event.kind);
        CHECK_TEXT("d-1", event.command.id);
        CHECK_INT(512, event.command.memory_mb);
        memset(id, 'x', sizeof id - 1); /* too long to be one of ours */
        CHECK(!vn_watch_convert(watch, &m, &event));
        id[0] = 0;
        CHECK(!vn_watch_convert(watch, &m, &event));
        Vane__V1__ModelNotice notice = VANE__V1__MODEL_NOTICE__INIT;
        uint8_t hash[33] = {7};
        notice.version = 3;
        notice.sha256.data = hash;
        notice.sha256.len = 32;
        m.event_case = VANE__V1__AGENT_EVENT__EVENT_MODEL;
        m.model = &notice;
        CHECK(vn_watch_convert(watch, &m, &event));
        CHECK(event.model.version == 3 && event.model.sha256[0] == 7);
        notice.sha256.len = 33;
        CHECK(!vn_watch_convert(watch, &m, &event));
        CHECK(!vn_watch_next(watch, 0, &event));
        vn_watch_free(watch);
}

TEST(a_grant_request_is_taken_whole_or_not_at_all)
{
        struct vn_watch *watch = NULL;
        struct vn_agent_event event;
        Vane__V1__AgentEvent m = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__GrantRequest request = VANE__V1__GRANT_REQUEST__INIT;
        Vane__V1__GrantFunction function = VANE__V1__GRANT_FUNCTION__INIT, *functions[VN_AGENT_GRANT_FUNCTIONS + 1];
        char id[] = "0123456789abcdef", name[VN_MAX_FUNCTION_NAME + 1] = "f", region[] = "r", gateway[] = "person:gw";
        uint8_t key[33] = {1};
        CHECK_OK(vn_watch_start(NULL, &watch, NULL));
        for (size_t i = 0; i <= VN_AGENT_GRANT_FUNCTIONS; i++)
                functions[i] = &function;
        function.name = name;
        function.region = region;
        request = (Vane__V1__GrantRequest){request.base, id, gateway, {32, key}, 2, functions, 900};
        m.event_case = VANE__V1__AGENT_EVENT__EVENT_GRANT;
        m.grant = &request;
        CHECK(vn_watch_convert(watch, &m, &event));
        CHECK_INT(VN_AGENT_GRANT, event.kind);
        CHECK_INT(2, event.grant.function_count);
        CHECK_INT(900, event.grant.seconds);
        CHECK(event.grant.gateway_key[0] == 1 && !strcmp(event.grant.functions[1].name, "f"));
        request.gateway_key.len = 33;
        CHECK(!vn_watch_convert(watch, &m, &event));
        request.gateway_key.len = 32;
        request.n_functions = 0;
        CHECK(!vn_watch_convert(watch, &m, &event));
        request.n_functions = VN_AGENT_GRANT_FUNCTIONS + 1;
        CHECK(!vn_watch_convert(watch, &m, &event));
        request.n_functions = 1;
        memset(name, 'x', sizeof name - 1);
        CHECK(!vn_watch_convert(watch, &m, &event));
        vn_watch_free(watch);
}

TEST(outbox_keeps_the_newest_in_order)
{
        struct vn_outbox box;
        vn_outbox_init(&box, 100);
        CHECK_INT(INT64_MAX, vn_outbox_oldest_us(&box));
        const struct vn_window *windows;
        int64_t next = 0;
        for (int64_t i = 0; i < 250; i++) {
                struct vn_window w = {.start_us = i};
                CHECK_OK(vn_outbox_put(&box, &w, NULL));
                if (i == 50) { /* some go out in between, so that the ring wraps */
                        size_t n = vn_outbox_peek(&box, 30, &windows);
                        CHECK_INT(30, n);
                        CHECK_INT(0, windows[0].start_us);
                        vn_outbox_sent(&box, n);
                }
        }
        CHECK_INT(120, box.dropped);
        CHECK_INT(150, vn_outbox_oldest_us(&box));
        for (next = 150; box.count;) {
                size_t n = vn_outbox_peek(&box, 7, &windows);
                for (size_t i = 0; i < n; i++)
                        CHECK_INT(next++, windows[i].start_us);
                vn_outbox_sent(&box, n);
        }
        CHECK_INT(250, next);
        vn_outbox_done(&box);
}

static enum vn_rc pass(void)
{
        struct vn_outbox box;
        vn_outbox_init(&box, 200);
        struct vn_watch *watch = NULL;
        enum vn_rc rc = vn_watch_start(NULL, &watch, NULL);
        vn_watch_free(watch);
        struct vn_window w = {.start_us = 1};
        for (int i = 0; i < 130 && rc == VN_OK; i++)
                rc = vn_outbox_put(&box, &w, NULL);
        vn_outbox_done(&box);
        return rc;
}

TEST(watch_and_outbox_survive_failing_allocations)
{
        TEST_ALLOC_LOOP(pass);
}
