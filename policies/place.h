/* place.h - the clouds, and which jurisdiction a region lies in.
 * Purpose: residency rules must know that europe-west1, eu-central-1 and westeurope are all in the EU.
 * Threads: any; pure. A region that is not known lies in no jurisdiction: a residency rule then forbids it. A place of one's own (cloud http) says it in its
 *   name: eu-cellar1 lies in the EU.
 * Source: the clouds' own region lists; United Kingdom and Switzerland are not EU. */
#ifndef VANE_POLICIES_PLACE_H
#define VANE_POLICIES_PLACE_H

#include "base/err.h"
#include "base/str.h"

enum vn_provider {
#define CLOUD(id, name) VN_PROVIDER_##id,
#include "base/clouds.def"
        VN_PROVIDER_COUNT
};
const char *vn_provider_name(enum vn_provider provider); /* "aws", ... as in base/clouds.def */
bool vn_provider_parse(struct vn_str name, enum vn_provider *ret);

enum vn_residency {
        VN_RESIDENCY_EU,
        VN_RESIDENCY_UK,
        VN_RESIDENCY_CH,
        VN_RESIDENCY_NO,
        VN_RESIDENCY_US,
        VN_RESIDENCY_CA,
        VN_RESIDENCY_BR,
        VN_RESIDENCY_IN,
        VN_RESIDENCY_JP,
        VN_RESIDENCY_AU,
        VN_RESIDENCY_SG,
        VN_RESIDENCY_KR,
};
#define VN_RESIDENCY_COUNT 12
const char *vn_residency_name(enum vn_residency residency); /* "eu", "uk", ... */
bool vn_residency_parse(struct vn_str name, enum vn_residency *ret);
/* Bit (1 << enum vn_residency) of the region, or 0 when it is not known. */
uint32_t vn_region_residency(enum vn_provider provider, struct vn_str region);

#endif
