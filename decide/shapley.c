#include "decide/attribution.h"

/* phi_i = sum over sets S without i of |S|!(n-|S|-1)!/n! * (v(S+i) - v(S)). The differences are formed first, so that a
 * player who never matters gets exactly 0. Sets without i are walked as blocks of 2^i neighbours. */
void vn_shapley(const double *v, unsigned players, double *ret)
{
        double by_size[VN_SHAPLEY_MAX_PLAYERS], weight[1u << VN_SHAPLEY_MAX_PLAYERS];
        VN_ASSERT(players >= 1 && players <= VN_SHAPLEY_MAX_PLAYERS);
        uint32_t sets = 1u << players;

        by_size[0] = 1.0 / players; /* 0!(n-1)!/n! */
        for (unsigned s = 1; s < players; s++)
                by_size[s] = by_size[s - 1] * s / (players - s);
        weight[0] = by_size[0];
        for (uint32_t set = 1; set < sets - 1; set++)
                weight[set] = by_size[__builtin_popcount(set)];
        for (unsigned i = 0; i < players; i++) {
                uint32_t bit = 1u << i;
                double sum[4] = {0, 0, 0, 0};
                for (uint32_t block = 0; block < sets; block += 2 * bit) {
                        const double *without = v + block, *with = v + block + bit, *w = weight + block;
                        if (bit < 4) {
                                for (uint32_t s = 0; s < bit; s++)
                                        sum[s] += w[s] * (with[s] - without[s]);
                                continue;
                        }
                        for (uint32_t s = 0; s < bit; s += 4)
                                for (unsigned k = 0; k < 4; k++)
                                        sum[k] += w[s + k] * (with[s + k] - without[s + k]);
                }
                ret[i] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
}

/* The score with each group's values from the choice (bit set) or from the other. The groups fall into a cost part
 * (price, duration, rounding, request, egress, init), a latency part (network) and what touches both (duration, cold)
 * or the whole (errors, load): products of small tables instead of 1,024 full evaluations. */
struct sides {
        const struct vn_features *f[2]; /* 0: the other, 1: the choice */
        const struct vn_weights *w;
};

static double both(const struct sides *s, uint32_t set)
{
        const struct vn_features *price = s->f[set >> VN_FEATURE_PRICE & 1];
        const struct vn_features *duration = s->f[set >> VN_FEATURE_DURATION & 1];
        const struct vn_features *rounding = s->f[set >> VN_FEATURE_ROUNDING & 1];
        const struct vn_features *request = s->f[set >> VN_FEATURE_REQUEST & 1];
        const struct vn_features *egress = s->f[set >> VN_FEATURE_EGRESS & 1];
        const struct vn_features *init = s->f[set >> VN_FEATURE_INIT & 1];
        const struct vn_features *network = s->f[set >> VN_FEATURE_NETWORK & 1];
        const struct vn_features *cold = s->f[set >> VN_FEATURE_COLD & 1];
        double cost = (double)price->rate * ((double)duration->mean_ms + (double)rounding->rounding_ms) +
                      (double)request->request + (double)egress->egress +
                      (double)cold->cold_chance * (double)init->init;
        double latency = (double)network->network_us + (double)duration->tail_us +
                         (double)cold->cold_chance * (double)cold->cold_us;
        return s->w->cost * cost + s->w->latency_per_us * latency;
}

void vn_attribute(const struct vn_features *choice, const struct vn_features *other, const struct vn_weights *weights,
                  struct vn_attribution *ret)
{
        enum { INNER = VN_FEATURE_ERRORS }; /* the eight groups below the factor of errors and load */
        struct sides s = {{other, choice}, weights};
        double v[1u << VN_FEATURE_GROUPS], factor[4];
        double base = vn_features_score(other, weights);

        for (unsigned i = 0; i < 4; i++)
                factor[i] = 1.0 + (double)s.f[i & 1]->error_rate + (double)s.f[i >> 1]->load;
        for (uint32_t set = 0; set < 1u << INNER; set++) {
                double inner = both(&s, set);
                for (unsigned i = 0; i < 4; i++)
                        v[set | i << INNER] = base - inner * factor[i];
        }
        vn_shapley(v, VN_FEATURE_GROUPS, ret->value);
        ret->margin = base - vn_features_score(choice, weights);
        ret->sum = 0;
        for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++)
                ret->sum += ret->value[g];
        ret->draw = 0;
}
