#include "server/routing/witness.h"

unsigned vn_witness_place(uint64_t callers[VN_WITNESSES], uint64_t caller)
{
        unsigned i = 0;
        while (i < VN_WITNESSES - 1 && callers[i] && callers[i] != caller)
                i++;
        if (i < VN_WITNESSES - 1)
                callers[i] = caller;
        return i;
}

void vn_witness_weights(const double count[VN_WITNESSES], double floor, double ret[VN_WITNESSES])
{
        double limit = 0, share;
        unsigned heard = 0;
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                heard += count[i] > 0;
                limit = count[i] > limit ? count[i] : limit;
        }
        share = 2.0 / (heard + 1);
        share = share < .25 ? .25 : share;
        /* The greatest limit that is within its share of what counts under it: found from above, as what is cut off of one
         * lowers the sum for the others. Each round takes at least a quarter of the way. */
        for (unsigned round = 0; heard > 1 && round < 100; round++) {
                double sum = 0;
                for (unsigned i = 0; i < VN_WITNESSES; i++)
                        sum += count[i] < limit ? count[i] : limit;
                if (share * sum >= limit || limit <= floor)
                        break;
                limit = share * sum > floor ? share * sum : floor;
        }
        for (unsigned i = 0; i < VN_WITNESSES; i++)
                ret[i] = count[i] > limit ? limit / count[i] : 1;
}

void vn_witness_mean_add(struct vn_witness_mean *mean, uint64_t caller, double value)
{
        unsigned place = vn_witness_place(mean->caller, caller);
        mean->sum[place] += value;
        mean->count[place] += 1;
}

void vn_witness_mean_fade(struct vn_witness_mean *mean, double keep)
{
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                mean->sum[i] *= keep;
                mean->count[i] *= keep;
        }
}

double vn_witness_mean_sum(const struct vn_witness_mean *mean, double floor, double *ret_count)
{
        double weight[VN_WITNESSES], sum = 0;
        vn_witness_weights(mean->count, floor, weight);
        *ret_count = 0;
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                sum += weight[i] * mean->sum[i];
                *ret_count += weight[i] * mean->count[i];
        }
        return sum;
}
