/* sim/data.h - reads the simulator's data files below the data root.
 * A file is taken as X or, if that is absent, as X.gz. Ownership: vn_sim_data_done. */
#ifndef VANE_SIM_DATA_H
#define VANE_SIM_DATA_H

#include "sim/world.h"

struct vn_sim_data {
        struct vn_buf text[6];
        struct vn_sim_texts texts; /* views of text[] */
};
/* root: $VANE_DATA or NULL. A file that it lacks is taken from `carried`, the data that comes with the program. */
enum vn_rc vn_sim_data_read(const char *root, const char *carried, struct vn_sim_data *ret,
                            struct vn_err *err) VN_MUST_USE;
void vn_sim_data_done(struct vn_sim_data *data);

#endif
