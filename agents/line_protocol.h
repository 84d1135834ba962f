/* line_protocol.h - InfluxDB's line protocol: names and tags, escaped as its parser takes them apart.
 * Threads: any. What the form cannot hold is replaced by '_': control characters, and a backslash at the end, which would
 *   escape the separator behind it. */
#ifndef VANE_AGENTS_LINE_PROTOCOL_H
#define VANE_AGENTS_LINE_PROTOCOL_H

#include "base/str.h"

bool vn_line_measurement(struct vn_buf *ret, struct vn_str name);
/* Appends ",key=value"; nothing for an empty value, which is not allowed. */
bool vn_line_tag(struct vn_buf *ret, const char *key, struct vn_str value);

#endif
