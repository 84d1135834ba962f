/* Who may approve what: never one's own, never another tenant's, nothing that is not waiting. */
#include "server/api.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/rounds/rounds.h"
#include "server/tenants.h"
#include "server/tuning/internal.h"
#include "server/tuning/pauses.h"
#include "tests/test.h"
#include "vane/v1/control.pb-c.h"

#define NOW INT64_C(1700000040000000)

struct house {
        struct vn_server server;
        struct vn_clock_fake clock;
};

/* One account and one waiting proposal that a person made. */
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
        CHECK_OK(vn_pauses_start(s, NULL));
        CHECK_OK(vn_rounds_start(s, NULL));
        CHECK_OK(vn_tuning_start(s, NULL));
        struct vn_account_entry *account = vn_registry_append(s->registry);
        struct vn_proposal *p = s->tuning->items = vn_alloc(sizeof *p);
        CHECK(account && p);
        snprintf(account->tenant, sizeof account->tenant, VN_TENANT_DEFAULT);
        account->level = VN_LEVEL_TUNE;
        s->tuning->count = 1;
        p->account_id = account->id;
        snprintf(p->id, sizeof p->id, "m-1");
        snprintf(p->tenant, sizeof p->tenant, VN_TENANT_DEFAULT);
        snprintf(p->state, sizeof p->state, "waiting");
        snprintf(p->proposed_by, sizeof p->proposed_by, "person:ann");
}

static void house_close(struct house *house)
{
        struct vn_server *s = &house->server;
        vn_tuning_stop(s);
        vn_rounds_stop(s);
        vn_pauses_stop(s);
        vn_hub_stop(s);
        s->edge = vn_edge_free(s->edge);
        vn_registry_stop(s);
        vn_tenants_stop(s);
        vn_record_stop(s);
        s->control = vn_loop_free(s->control);
}

static enum vn_rc act(struct house *house, vn_op_fn operation, const char *tenant, const char *actor)
{
        struct vn_identity who = {.access = VN_ACCESS_ADMIN};
        Vane__V1__ProposalAction action = VANE__V1__PROPOSAL_ACTION__INIT;
        char id[] = "m-1";
        struct vn_arena arena;
        struct vn_err err;
        ProtobufCMessage *reply;
        snprintf(who.tenant, sizeof who.tenant, "%s", tenant);
        snprintf(who.actor, sizeof who.actor, "%s", actor);
        action.id = id;
        vn_arena_init(&arena, 1u << 20);
        struct vn_op op = {.server = &house->server, .identity = &who, .arena = &arena, .now_us = NOW};
        enum vn_rc rc = operation(&op, &action.base, &reply, &err);
        vn_arena_done(&arena);
        return rc;
}

TEST(proposal_is_not_approved_by_its_author)
{
        static struct house house;
        house_open(&house);
        const struct vn_proposal *p = house.server.tuning->items;
        CHECK_RC(VN_PERMISSION_DENIED, act(&house, op_approve_proposal, VN_TENANT_DEFAULT, "person:ann"));
        CHECK_TEXT("waiting", p->state);
        CHECK_OK(act(&house, op_approve_proposal, VN_TENANT_DEFAULT, "person:ben"));
        CHECK_TEXT("applying", p->state);
        CHECK_TEXT("person:ben", p->approved_by);
        CHECK_RC(VN_FAILED_PRECONDITION, act(&house, op_approve_proposal, VN_TENANT_DEFAULT, "person:eve"));
        house_close(&house);
}

TEST(proposal_is_not_there_for_another_tenant)
{
        static struct house house;
        house_open(&house);
        CHECK_RC(VN_NOT_FOUND, act(&house, op_approve_proposal, "other", "person:ben"));
        CHECK_RC(VN_NOT_FOUND, act(&house, op_reject_proposal, "other", "person:ben"));
        CHECK_TEXT("waiting", house.server.tuning->items->state);
        CHECK_OK(act(&house, op_reject_proposal, VN_TENANT_DEFAULT, "person:ann")); /* one may take back one's own */
        CHECK_TEXT("rejected", house.server.tuning->items->state);
        house_close(&house);
}
