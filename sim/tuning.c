#include "sim/tuning.h"

#include "sim/world.h"

#define CONSUMPTION_LIMIT 200 /* functionAppScaleLimit of a new site on Azure's Consumption plan */

struct vn_sim_tuning *vn_sim_tuning(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        struct vn_sim_tuning *t = &sim->functions[deployment].tuning;

        if (t->known)
                return t;
        t->known = true;
        t->max_instances = d->plan == VN_PLAN_AZURE_CONSUMPTION ? CONSUMPTION_LIMIT : d->max_instances;
        t->concurrency = d->concurrency;
        t->revisions = 1;
        return t;
}

void vn_sim_tuned(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);

        vn_platform_set_scaling(sim->platform, deployment, t->max_instances, t->warm_instances);
        sim->functions[deployment].revision++;
        sim->functions[deployment].changed_us = vn_now_us(sim->clock);
}

bool vn_sim_write_allowed(struct vn_sim *sim, uint32_t account, double burst, double per_s, uint32_t *ret_left)
{
        struct vn_sim_budget *b = &sim->writes[account];
        int64_t now_us = vn_now_us(sim->clock);

        if (!b->known)
                *b = (struct vn_sim_budget){burst, now_us, true};
        if (now_us > b->at_us)
                b->left += (double)(now_us - b->at_us) / 1e6 * per_s;
        b->at_us = now_us;
        b->left = b->left < burst ? b->left : burst;
        if (b->left < 1)
                return false;
        b->left -= 1;
        *ret_left = (uint32_t)b->left;
        return true;
}
