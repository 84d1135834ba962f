/* What an answer tells about the way to a service and about its clock. */
#include "clouds/call.h"

void vn_health_clock(struct vn_cloud *cloud, const struct vn_cloud_response *response, int64_t start_us,
                     struct vn_cloud_health *ret)
{
        struct vn_str date = vn_cloud_response_header(response, "date");
        int64_t end_us = vn_now_us(cloud->clock), service_us;

        ret->round_trip_us = end_us - start_us;
        ret->clock_offset_us = 0;
        /* The header is cut to the second, so the middle of that second is the best guess. */
        if (date.ptr && vn_http_date_parse(date, &service_us) == VN_OK)
                ret->clock_offset_us = service_us + VN_US_PER_S / 2 - (start_us + ret->round_trip_us / 2);
}
