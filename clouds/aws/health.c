/* AWS: whose keys are these, and how far away is the service? Answered by every region's token service, to any key. */
#include "clouds/aws/aws.h"
#include "clouds/aws/sts.h"

enum vn_rc vn_aws_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        char host[128];
        const struct vn_call call = {.method = "POST",
                                     .host = host,
                                     .path = VN_STR("/"),
                                     .content_type = "application/x-www-form-urlencoded",
                                     .audience = "sts",
                                     .body = VN_STR("Action=GetCallerIdentity&Version=2011-06-15")};
        int64_t from_us = vn_mono_us(cloud->clock), service_us;

        vn_cloud_response_init(&response);
        vn_aws_host(cloud, "sts", host);
        VN_TRY(vn_cloud_send(cloud, &call, &response, err));
        if (response.status != 200)
                return vn_call_error(cloud, &response, err);
        ret->round_trip_us = vn_mono_us(cloud->clock) - from_us;
        if (!vn_str_copy(ret->identity, sizeof(ret->identity), vn_aws_xml_text(vn_buf_view(&response.body), "Arn")) ||
            !ret->identity[0])
                return vn_fail(err, VN_DATA_LOSS, "aws: an identity without its ARN");
        /* Date has whole seconds and was written half a round trip ago. */
        if (vn_http_date_parse(vn_cloud_response_header(&response, "date"), &service_us) == VN_OK)
                ret->clock_offset_us =
                        service_us + VN_US_PER_S / 2 - (vn_now_us(cloud->clock) - ret->round_trip_us / 2);
        return VN_OK;
}
