/* Shapley values of a score in closed form. The score is a sum of products, (sum of cost and latency terms) times
 * (1 + errors + load), no product has more than three groups in it, and Shapley values of a sum are the sums of its
 * parts'. In a product x*y*z each group's value is its own difference times the mean of the others over all orders in
 * which the groups may change sides: (y_a+y_b)/2 with one other, weights 1/3, 1/6, 1/6, 1/3 with two. So what 1,024
 * evaluations would give comes out of some sixty multiplications, and a group that is alike on both sides gets exactly
 * nothing, because its difference is a factor of all that it gets. */
#include "decide/attribution.h"

struct factor {
        enum vn_group group;
        double a, b; /* the choice's value, the other's */
};

static inline double mean_of_two(const struct factor *y, const struct factor *z)
{
        return (2 * (y->a * z->a + y->b * z->b) + (y->a * z->b + y->b * z->a)) / 6;
}

static inline void share_one(double *value, double weight, const struct factor *x)
{
        value[x->group] -= weight * (x->a - x->b);
}

static inline void share_two(double *value, double weight, const struct factor *x, const struct factor *y)
{
        value[x->group] -= weight * ((x->a - x->b) * (y->a + y->b) / 2);
        value[y->group] -= weight * ((y->a - y->b) * (x->a + x->b) / 2);
}

static inline void share_three(double *value, double weight, const struct factor *x, const struct factor *y,
                               const struct factor *z)
{
        value[x->group] -= weight * ((x->a - x->b) * mean_of_two(y, z));
        value[y->group] -= weight * ((y->a - y->b) * mean_of_two(x, z));
        value[z->group] -= weight * ((z->a - z->b) * mean_of_two(x, y));
}

/* What slows the whole down: errors and load, each in a product with every term. */
struct slowdown {
        struct factor errors, load;
};

static inline void term_of_one(double *value, double weight, const struct factor *x, const struct slowdown *s)
{
        share_one(value, weight, x);
        share_two(value, weight, x, &s->errors);
        share_two(value, weight, x, &s->load);
}

static inline void term_of_two(double *value, double weight, const struct factor *x, const struct factor *y,
                               const struct slowdown *s)
{
        share_two(value, weight, x, y);
        share_three(value, weight, x, y, &s->errors);
        share_three(value, weight, x, y, &s->load);
}

#define FACTOR(group, field) ((struct factor){(group), (double)choice->field, (double)other->field})

void vn_attribute(const struct vn_features *choice, const struct vn_features *other, const struct vn_weights *w,
                  struct vn_attribution *ret)
{
        const struct slowdown s = {FACTOR(VN_FEATURE_ERRORS, error_rate), FACTOR(VN_FEATURE_LOAD, load)};
        const struct factor price = FACTOR(VN_FEATURE_PRICE, rate), mean = FACTOR(VN_FEATURE_DURATION, mean_ms),
                            rounding = FACTOR(VN_FEATURE_ROUNDING, rounding_ms),
                            request = FACTOR(VN_FEATURE_REQUEST, request), egress = FACTOR(VN_FEATURE_EGRESS, egress),
                            init = FACTOR(VN_FEATURE_INIT, init), network = FACTOR(VN_FEATURE_NETWORK, network_us),
                            tail = FACTOR(VN_FEATURE_DURATION, tail_us),
                            chance = FACTOR(VN_FEATURE_COLD, cold_chance);
        /* Chance and length of a cold start are one group: they change sides together. */
        const struct factor cold = {VN_FEATURE_COLD, chance.a * (double)choice->cold_us,
                                    chance.b * (double)other->cold_us};
        double *value = ret->value;

        *ret = (struct vn_attribution){.sum = 0};
        term_of_two(value, w->cost, &price, &mean, &s);
        term_of_two(value, w->cost, &price, &rounding, &s);
        term_of_one(value, w->cost, &request, &s);
        term_of_one(value, w->cost, &egress, &s);
        term_of_two(value, w->cost, &chance, &init, &s);
        term_of_one(value, w->latency_per_us, &network, &s);
        term_of_one(value, w->latency_per_us, &tail, &s);
        term_of_one(value, w->latency_per_us, &cold, &s);
        ret->margin = vn_features_score(other, w) - vn_features_score(choice, w);
        for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++)
                ret->sum += value[g];
}
