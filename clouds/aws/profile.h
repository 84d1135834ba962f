/* profile.h - one value of a profile in AWS's shared files, ~/.aws/credentials and ~/.aws/config.
 * Purpose: the two files' common form: [section] lines, "name = value" lines, comments; values of nested settings, which are
 *   indented, are not read. In the config file a profile's section is called "profile NAME", but for "default".
 * Threads: any; pure. Ownership: what is returned points into the text. */
#ifndef VANE_CLOUDS_AWS_PROFILE_H
#define VANE_CLOUDS_AWS_PROFILE_H

#include "base/str.h"

/* Empty (ptr NULL) if there is none; of several the last, as the command line tool has it. Names are matched without case,
 * sections with. */
struct vn_str vn_aws_profile_value(struct vn_str text, bool config_file, struct vn_str profile, struct vn_str name);

#endif
