/* platform/demo.h - the demonstration's accounts: which sites there are and how each function of a trace behaves.
 * Purpose: the simulator, benches and training build the same fleet from the same data: every function deployed in
 *   every site under the same name, with its own work profile and a plausible, often oversized, first memory size.
 * Pure. Threads: any. Ownership: vn_demo_free releases all; config points into the demo.
 * Profiles follow from the trace's durations and memory and from hashes of the function's name, never from the seed:
 *   the seed moves only the platform's constants (platform.h). */
#ifndef VANE_PLATFORM_DEMO_H
#define VANE_PLATFORM_DEMO_H

#include "platform/platform.h"
#include "platform/trace.h"

#define VN_DEMO_SITES 6

struct vn_demo {
        struct vn_platform_site sites[VN_DEMO_SITES]; /* aws-a aws-b azure-a azure-b gcp-a gcp-b */
        struct vn_platform_deployment *deployments;   /* site-major: site * function_count + function */
        size_t function_count;
        struct vn_platform_config config;
};
enum vn_rc vn_demo_build(const struct vn_trace *trace, const struct vn_price_table *prices, struct vn_demo **ret,
                         struct vn_err *err) VN_MUST_USE;
struct vn_demo *vn_demo_free(struct vn_demo *demo);
VN_DEFINE_AUTO(vn_demo);
static inline uint32_t vn_demo_deployment(const struct vn_demo *demo, uint32_t site, uint32_t function)
{
        return (uint32_t)(site * demo->function_count + function);
}

#endif
