/* platform/tables.h - the model's constants (internal to platform/; decide/ must not read them).
 * Pure data. Threads: any. tables.c names the source of each figure; [m] marks general knowledge, unproven. */
#ifndef VANE_PLATFORM_TABLES_H
#define VANE_PLATFORM_TABLES_H

#include "platform/platform.h"

/* Log-normal by its median and sigma. */
struct vn_spread {
        double median, sigma;
};
struct vn_plan_table {
        double speed;                               /* one vCPU against one of AWS */
        struct vn_spread place_ms;                  /* finding and starting a machine, not billed */
        struct vn_spread init_ms[VN_RUNTIME_COUNT]; /* starting runtime and function */
        double init_ms_per_mb;                      /* of deployment package */
        struct vn_spread front_ms;                  /* the front end's own time for each request */
        double billed_front_share;                  /* of front_ms that is inside the billed time */
        /* Idle life: log of minutes is uniform between the first two with chance 1 - early, else between min and the
         * first. */
        double idle_early, idle_min_s, idle_low_s, idle_high_s;
        double host_mb[VN_RUNTIME_COUNT]; /* memory that the platform's host adds to what is billed */
        uint32_t default_max_instances;
};
const struct vn_plan_table *vn_plan_table(enum vn_platform_plan plan);

#endif
