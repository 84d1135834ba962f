/* What becomes of a gateway's wish, and who may take a grant away. */
#include "server/grants/internal.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/tenants.h"
#include "tests/test.h"

#define NOW INT64_C(1700000040000000)

struct house {
        struct vn_server server;
        struct vn_clock_fake clock;
        struct vn_account_entry *account;
};

/* One account with two functions, its agent there, at the level invoke. */
static void house_open(struct house *house)
{
        struct vn_server *s = &house->server;
        memset(house, 0, sizeof *house);
        vn_clock_fake_init(&house->clock, NOW);
        s->clock = s->wall = &house->clock.clock;
        snprintf(s->config.state_dir, sizeof s->config.state_dir, "%s", test_dir());
        CHECK_OK(vn_loop_new("control", &s->control, NULL));
        CHECK_OK(vn_edge_new(NULL, 1, &s->edge, NULL));
        CHECK_OK(vn_record_start(s, NULL));
        CHECK_OK(vn_tenants_start(s, NULL));
        CHECK_OK(vn_registry_start(s, NULL));
        CHECK_OK(vn_hub_start(s, NULL));
        CHECK_OK(vn_grants_start(s, NULL));
        struct vn_account_entry *account = house->account = vn_registry_append(s->registry);
        CHECK(account && (account->functions = vn_alloc_array(2, sizeof *account->functions)));
        account->function_count = 2;
        snprintf(account->functions[0].name, sizeof account->functions[0].name, "f");
        snprintf(account->functions[1].name, sizeof account->functions[1].name, "g");
        snprintf(account->tenant, sizeof account->tenant, VN_TENANT_DEFAULT);
        snprintf(account->name, sizeof account->name, "aws-a");
        account->level = account->max_level = VN_LEVEL_INVOKE;
        vn_registry_heard(s, account);
}

static void house_close(struct house *house)
{
        struct vn_server *s = &house->server;
        vn_grants_stop(s);
        vn_hub_stop(s);
        s->edge = vn_edge_free(s->edge);
        vn_registry_stop(s);
        vn_tenants_stop(s);
        vn_record_stop(s);
        s->control = vn_loop_free(s->control);
}

static void hello(struct house *house, uint64_t stream, const char *gateway, const char *function)
{
        Vane__V1__GatewayMessage message = VANE__V1__GATEWAY_MESSAGE__INIT;
        Vane__V1__GatewayHello m = VANE__V1__GATEWAY_HELLO__INIT;
        Vane__V1__GrantWish wish = VANE__V1__GRANT_WISH__INIT, *wishes[] = {&wish};
        struct vn_identity who = {.access = VN_ACCESS_OPERATOR, .tenant = VN_TENANT_DEFAULT};
        uint8_t key[32] = {9}, bytes[512];
        char account[] = "aws-a", name[32], *functions[] = {name};
        snprintf(name, sizeof name, "%s", function);
        snprintf(who.actor, sizeof who.actor, "%s", gateway);
        wish.account = account;
        wish.functions = functions;
        wish.n_functions = 1;
        m.public_key = (ProtobufCBinaryData){sizeof key, key};
        m.wishes = wishes;
        m.n_wishes = 1;
        message.message_case = VANE__V1__GATEWAY_MESSAGE__MESSAGE_HELLO;
        message.hello = &m;
        CHECK(vane__v1__gateway_message__get_packed_size(&message) <= sizeof bytes);
        size_t n = vane__v1__gateway_message__pack(&message, bytes);
        vn_gateway_hello(&house->server, stream, &who, vane__v1__gateway_message__unpack(NULL, n, bytes));
}

static struct vn_grant *newest(struct house *house)
{
        struct vn_grants *grants = house->server.grants;
        return grants->count ? grants->grants[grants->count - 1] : NULL;
}

static enum vn_rc act(struct house *house, vn_op_fn operation, const char *tenant, uint64_t account_id,
                      const ProtobufCMessage *message)
{
        struct vn_identity who = {.access = VN_ACCESS_OPERATOR, .actor = "person:ann", .account_id = account_id};
        struct vn_arena arena;
        struct vn_err err;
        ProtobufCMessage *reply;
        snprintf(who.tenant, sizeof who.tenant, "%s", tenant);
        vn_arena_init(&arena, 1u << 20);
        struct vn_op op = {.server = &house->server,
                           .identity = &who,
                           .arena = &arena,
                           .now_us = vn_now_us(&house->clock.clock)};
        enum vn_rc rc = operation(&op, message, &reply, &err);
        vn_arena_done(&arena);
        return rc;
}

static enum vn_rc report(struct house *house, uint64_t account_id, const char *error, size_t enc_bytes,
                         int64_t seconds)
{
        Vane__V1__GrantReport m = VANE__V1__GRANT_REPORT__INIT;
        uint8_t enc[64] = {1}, sealed[8] = {2};
        char honoured[] = "the session's end", why[64];
        snprintf(why, sizeof why, "%s", error);
        m.id = newest(house)->id;
        m.error = why;
        m.enc = (ProtobufCBinaryData){enc_bytes, enc};
        m.sealed = (ProtobufCBinaryData){sizeof sealed, sealed};
        m.expires_us = m.honoured_until_us = vn_now_us(&house->clock.clock) + seconds * VN_US_PER_S;
        m.honoured = honoured;
        return act(house, op_report_grant, VN_TENANT_DEFAULT, account_id, &m.base);
}

static enum vn_rc revoke(struct house *house, const char *tenant, char *id)
{
        Vane__V1__GrantId m = VANE__V1__GRANT_ID__INIT;
        m.id = id;
        return act(house, op_revoke_grant, tenant, 0, &m.base);
}

TEST(a_wish_becomes_a_grant_by_its_own_agent_s_report)
{
        struct house house;
        house_open(&house);
        hello(&house, 7, "person:gw", "f");
        struct vn_grant *grant = newest(&house);
        CHECK(grant && grant->state == VN_GRANT_ASKED && !strcmp(grant->functions[0].name, "f"));
        struct vn_account_entry *other = vn_registry_append(house.server.registry);
        snprintf(other->tenant, sizeof other->tenant, VN_TENANT_DEFAULT);
        CHECK_RC(VN_NOT_FOUND, report(&house, other->id, "", 32, 900));
        CHECK_RC(VN_INVALID_ARGUMENT, report(&house, house.account->id, "", 31, 900));
        CHECK_RC(VN_INVALID_ARGUMENT, report(&house, house.account->id, "", 32, 13 * 3600));
        CHECK_INT(VN_GRANT_ASKED, grant->state);
        CHECK_OK(report(&house, house.account->id, "", 32, 900));
        CHECK_INT(VN_GRANT_HELD, grant->state);
        CHECK_RC(VN_FAILED_PRECONDITION, report(&house, house.account->id, "", 32, 900)); /* once only */
        house_close(&house);
}

TEST(what_may_not_be_invoked_is_not_asked_for)
{
        struct house house;
        house_open(&house);
        hello(&house, 1, "person:gw", "nothing");
        CHECK(!newest(&house));
        house.account->level = VN_LEVEL_TUNE;
        hello(&house, 2, "person:gw", "f");
        CHECK(!newest(&house));
        house.account->level = VN_LEVEL_INVOKE;
        house.account->ability_known = true; /* the cloud refuses what the level allows */
        house.account->ability = VN_LEVEL_TUNE;
        hello(&house, 3, "person:gw", "f");
        CHECK(!newest(&house));
        house.account->ability = VN_LEVEL_INVOKE;
        house.account->last_heard_wall_us = 0;
        hello(&house, 4, "person:gw", "f");
        CHECK(!newest(&house));
        vn_registry_heard(&house.server, house.account);
        hello(&house, 4, "person:gw", "f"); /* a second hello on one stream counts for nothing */
        CHECK(!newest(&house));
        hello(&house, 5, "person:gw", "f");
        CHECK(newest(&house));
        house_close(&house);
}

TEST(revoking_takes_the_successor_along_and_bars_its_gateway_only)
{
        struct house house;
        house_open(&house);
        hello(&house, 7, "person:gw", "f");
        CHECK_OK(report(&house, house.account->id, "", 32, 900));
        struct vn_grant *first = newest(&house);
        house.clock.time_us += 700 * VN_US_PER_S;
        vn_registry_heard(&house.server, house.account);
        house.server.grants->gateways->wishes[0].next_mono_us = 0;
        vn_grants_tick(&house.server, vn_now_us(&house.clock.clock));
        struct vn_grant *second = newest(&house);
        CHECK(second != first && second->state == VN_GRANT_ASKED && first->state == VN_GRANT_HELD);
        CHECK_RC(VN_NOT_FOUND, revoke(&house, "beta", first->id));
        CHECK_INT(VN_GRANT_HELD, first->state);
        CHECK_OK(revoke(&house, VN_TENANT_DEFAULT, first->id));
        CHECK(first->state == VN_GRANT_REVOKED && second->state == VN_GRANT_REVOKED);
        /* Minted all the same, it goes to nobody; what the cloud honours is known. */
        CHECK_OK(report(&house, house.account->id, "", 32, 900));
        CHECK(second->state == VN_GRANT_REVOKED && second->honoured_until_us > 0);
        hello(&house, 8, "person:gw", "g");
        CHECK(newest(&house) == second);
        hello(&house, 9, "person:other", "g");
        CHECK(newest(&house) != second);
        house.clock.time_us += 901 * VN_US_PER_S;
        vn_registry_heard(&house.server, house.account);
        hello(&house, 10, "person:gw", "g");
        CHECK(!strcmp(newest(&house)->gateway, "person:gw") && newest(&house)->state == VN_GRANT_ASKED);
        house_close(&house);
}

TEST(grants_end_with_their_stream_their_account_and_their_time)
{
        struct house house;
        house_open(&house);
        hello(&house, 7, "person:a", "f");
        CHECK_OK(report(&house, house.account->id, "", 32, 900));
        struct vn_grant *by_stream = newest(&house);
        hello(&house, 8, "person:b", "f");
        CHECK_OK(report(&house, house.account->id, "", 32, 900));
        struct vn_grant *by_account = newest(&house);
        vn_gateway_gone(&house.server, 7);
        CHECK(by_stream->state == VN_GRANT_ENDED && by_account->state == VN_GRANT_HELD);
        vn_grants_account_closed(&house.server, house.account->id);
        CHECK(by_stream->state == VN_GRANT_ENDED && by_account->state == VN_GRANT_REVOKED);
        hello(&house, 9, "person:c", "f");
        CHECK_OK(report(&house, house.account->id, "", 32, 60));
        struct vn_grant *by_time = newest(&house);
        house.clock.time_us += 61 * VN_US_PER_S;
        house.server.grants->gateways->wishes[0].next_mono_us = INT64_MAX;
        vn_grants_tick(&house.server, vn_now_us(&house.clock.clock));
        CHECK_INT(VN_GRANT_ENDED, by_time->state);
        house_close(&house);
}

TEST(an_agent_that_cannot_is_asked_less_and_less_often)
{
        struct house house;
        house_open(&house);
        hello(&house, 7, "person:gw", "f");
        int64_t last_pause = 0;
        for (int i = 0; i < 4; i++) {
                struct vn_gateway *gateway = house.server.grants->gateways;
                int64_t pause = gateway->wishes[0].next_mono_us - newest(&house)->asked_mono_us;
                CHECK(i == 0 || pause == 2 * last_pause);
                last_pause = pause;
                CHECK_OK(report(&house, house.account->id, "no role", 0, 0));
                CHECK_INT(VN_GRANT_FAILED, newest(&house)->state);
                size_t before = house.server.grants->count;
                vn_grants_tick(&house.server, NOW);
                CHECK_INT(before, house.server.grants->count);
                gateway->wishes[0].next_mono_us = 0;
                vn_grants_tick(&house.server, NOW);
                CHECK_INT(before + 1, house.server.grants->count);
        }
        house_close(&house);
}
