/* The whole server's start, with each allocation failing once: on a fresh state directory and on a used one. A start that
 * fails says so, and stopping what stands leaves nothing behind; untouched, it starts. */
#include "server/explain/explain.h"
#include "server/people.h"
#include "server/policy_table.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/observing.h"
#include "server/registry/pki.h"
#include "server/registry/registry.h"
#include "server/rounds/rounds.h"
#include "server/routing/routing.h"
#include "server/settings.h"
#include "server/telemetry/telemetry.h"
#include "server/tenants.h"
#include "server/ticker.h"
#include "server/tuning/pauses.h"
#include "server/tuning/tuning.h"
#include "tests/test.h"

static struct vn_server server;
static char state_dir[400];

/* As vaned_main.c does it, but for the edge's listeners. The loops' own allocations are not this thread's and do not fail. */
static enum vn_rc start(struct vn_server *s, struct vn_err *err)
{
        VN_TRY(vn_loop_new("control", &s->control, err));
        VN_TRY(vn_loop_new("reader", &s->reader, err));
        VN_TRY(vn_edge_new(NULL, 1, &s->edge, err));
        VN_TRY(vn_record_start(s, err));
        VN_TRY(vn_tenants_start(s, err));
        VN_TRY(vn_pki_start(s, err));
        VN_TRY(vn_registry_start(s, err));
        VN_TRY(vn_observing_start(s, err));
        VN_TRY(vn_people_start(s, err));
        VN_TRY(vn_hub_start(s, err));
        VN_TRY(vn_pauses_start(s, err));
        VN_TRY(vn_policy_table_start(s, err));
        VN_TRY(vn_telemetry_start(s, err));
        VN_TRY(vn_rounds_start(s, err));
        VN_TRY(vn_tuning_start(s, err));
        VN_TRY(vn_explain_start(s, err));
        VN_TRY(vn_routing_start(s, err));
        VN_TRY(vn_loop_start(s->reader, err));
        VN_TRY(vn_loop_start(s->control, err));
        return vn_ticker_start(s, err);
}

static void stop(struct vn_server *s)
{
        struct vn_loop *const loops[] = {s->control, s->reader};
        for (size_t i = 0; i < 2; i++)
                if (loops[i]) {
                        vn_loop_stop(loops[i]);
                        vn_loop_join(loops[i]);
                }
        while ((s->control && vn_loop_run_left(s->control)) || (s->reader && vn_loop_run_left(s->reader)))
                ;
        s->edge = vn_edge_free(s->edge);
        vn_ticker_stop(s);
        vn_routing_stop(s);
        vn_explain_stop(s);
        vn_tuning_stop(s);
        vn_rounds_stop(s);
        vn_telemetry_stop(s);
        vn_policy_table_stop(s);
        vn_pauses_stop(s);
        vn_hub_stop(s);
        vn_people_stop(s);
        vn_observing_stop(s);
        vn_registry_stop(s);
        vn_pki_stop(s);
        vn_tenants_stop(s);
        vn_record_stop(s);
        s->reader = vn_loop_free(s->reader);
        s->control = vn_loop_free(s->control);
}

static enum vn_rc start_and_stop(void)
{
        struct vn_err err = {.rc = VN_OK};
        memset(&server, 0, sizeof server);
        vn_config_defaults(vn_settings_rows, vn_settings_row_count, &server.config);
        snprintf(server.config.state_dir, sizeof server.config.state_dir, "%s", state_dir);
        server.config.ring_slots = 64;
        server.clock = server.wall = vn_clock_real();
        enum vn_rc rc = start(&server, &err);
        stop(&server);
        if (rc != VN_OK)
                CHECK(err.msg[0]);
        return rc;
}

TEST(start_survives_failing_allocations)
{
        snprintf(state_dir, sizeof state_dir, "%s", test_dir());
        TEST_ALLOC_LOOP(start_and_stop);
        TEST_ALLOC_LOOP(start_and_stop); /* now everything is there to be read back */
}
