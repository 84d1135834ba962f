#include "agents/apply.h"

/* Why not, before the cloud is asked; NULL: go on. */
static const char *refusal(const struct vn_apply_cloud *cloud, const struct vn_agent_command *c, const char *level,
                           int64_t now_us)
{
        if (strcmp(level, "tune") && strcmp(level, "invoke"))
                return "this account is observed only";
        if (c->expires_us && now_us > c->expires_us)
                return "the command has expired";
        if (!c->memory_mb || c->memory_mb > 65536)
                return "no such memory size";
        if (!c->rollback && c->expected_memory_mb && c->memory_mb > c->expected_memory_mb + c->expected_memory_mb / 2)
                return "more than +50 % in one step";
        /* Asked last and again before the change: a pause must win. */
        if (cloud->paused(cloud->state, c->function))
                return "changes are paused";
        return NULL;
}

static void fail(struct vn_command_result *ret, const char *why)
{
        ret->done = false;
        if (!vn_str_copy(ret->error, sizeof ret->error, vn_str_n(why, strnlen(why, sizeof ret->error - 1))))
                ret->error[0] = 0;
}

static void take_state(struct vn_command_result *ret, const struct vn_apply_state *state)
{
        ret->memory_mb = state->memory_mb;
        memcpy(ret->guard, state->guard, sizeof ret->guard);
}

static const char *mismatch(const struct vn_agent_command *c, const struct vn_apply_state *now)
{
        if (now->busy)
                return "another change is under way";
        if (c->expected_memory_mb && now->memory_mb != c->expected_memory_mb)
                return "the memory is not what the decision was based on";
        if (c->expected_guard[0] && now->guard[0] && strcmp(c->expected_guard, now->guard))
                return "the configuration has changed since the decision";
        if (!c->rollback && c->memory_mb > now->memory_mb + now->memory_mb / 2)
                return "more than +50 % in one step";
        return NULL;
}

void vn_apply(const struct vn_apply_cloud *cloud, const struct vn_agent_command *command, const char *level,
              int64_t now_us, struct vn_command_result *ret)
{
        struct vn_apply_state now = {0}, after = {0};
        struct vn_err err = {0};
        memset(ret, 0, sizeof *ret);
        memcpy(ret->id, command->id, sizeof ret->id);
        const char *why = refusal(cloud, command, level, now_us);
        if (!why && cloud->read(cloud->state, command->function, command->region, &now, &err) != VN_OK)
                why = err.msg;
        if (why) {
                fail(ret, why);
                return;
        }
        take_state(ret, &now);
        if (now.memory_mb == command->memory_mb) { /* done before, by this command or by somebody: the same end */
                ret->done = true;
                return;
        }
        why = mismatch(command, &now);
        if (!why && cloud->paused(cloud->state, command->function))
                why = "changes are paused";
        if (!why &&
            cloud->set(cloud->state, command->function, command->region, command->memory_mb, &after, &err) != VN_OK)
                why = err.msg;
        if (why) {
                fail(ret, why);
                return;
        }
        take_state(ret, &after);
        ret->done = true;
}
