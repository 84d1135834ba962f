#include "base/clouds.h"

const char vn_cloud_names[] =
#define CLOUD(id, name) " " name
#include "base/clouds.def"
        ;
