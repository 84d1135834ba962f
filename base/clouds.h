/* clouds.h - the names of the clouds in base/clouds.def, for messages. Threads: any. */
#ifndef VANE_BASE_CLOUDS_H
#define VANE_BASE_CLOUDS_H

extern const char vn_cloud_names[]; /* " aws azure ..." */

#endif
