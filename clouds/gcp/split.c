/* GCP: how calls are divided over the revisions of the Cloud Run service that a function owns. The service's etag guards
 * the write itself, so nobody can slip in between. A share of "LATEST" goes to whatever revision is ready last, which is
 * how functions are made; it is kept apart from that revision's own name, so that undoing gives back the same. */
#include "clouds/gcp/gcp.h"

#define LATEST "LATEST"
#define BY_LATEST "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
#define BY_REVISION "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"

struct service {
        char name[VN_CLOUD_RESOURCE_BYTES]; /* projects/P/locations/L/services/S */
        json_t *json, *revisions;
};
typedef struct service service_auto;
static void service_cleanup(struct service *service)
{
        json_decref(service->json);
        json_decref(service->revisions);
}

static enum vn_rc get(struct vn_cloud *cloud, const char *host, const char *name, const char *child, json_t **ret,
                      struct vn_err *err)
{
        char path[VN_CLOUD_RESOURCE_BYTES + 32];

        snprintf(path, sizeof(path), "/v2/%s%s", name, child);
        /* Newest first: what one goes back to is among the first. */
        return vn_gcp_call(cloud, "GET", host, vn_str(path), child[0] ? VN_STR("pageSize=8") : VN_STR(""), NULL,
                           false, ret, err);
}

static enum vn_rc find_service(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct service *ret,
                               struct vn_err *err)
{
        VN_AUTO(vn_json)
        item = NULL;
        struct vn_str name;

        VN_TRY(get(cloud, VN_GCP_FUNCTIONS_HOST, function->resource, "", &item, err));
        name = vn_json_str(item, "serviceConfig.service");
        if (name.len == 0 && vn_gcp_enum_is(item, "environment", "GEN_1", 1))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "gcp: %s is of the first generation, which has no revisions", function->name);
        if (!vn_str_starts(name, VN_STR("projects/")) || name.len >= sizeof(ret->name) ||
            memchr(name.ptr, '?', name.len))
                return vn_fail(err, VN_DATA_LOSS, "gcp: %s names no Cloud Run service", function->name);
        vn_text_copy(ret->name, sizeof(ret->name), name);
        return get(cloud, VN_GCP_RUN_HOST, ret->name, "", &ret->json, err);
}

static struct vn_str short_name(struct vn_str name)
{
        struct vn_str part = name;

        while (name.ptr)
                part = vn_str_cut(&name, '/');
        return part;
}

static bool is_latest(json_t *target)
{
        return vn_gcp_enum_is(target, "type", BY_LATEST, 1);
}

static struct vn_str version_of(json_t *target)
{
        return is_latest(target) ? VN_STR(LATEST) : short_name(vn_json_str(target, "revision"));
}

static struct vn_cloud_share *share_of(struct vn_cloud_split *split, struct vn_str version)
{
        for (size_t i = 0; i < split->count; i++)
                if (vn_str_eq(version, vn_str(split->shares[i].version)))
                        return &split->shares[i];
        if (split->count == VN_CLOUD_MAX_SHARES || version.len == 0)
                return NULL;
        vn_text_copy(split->shares[split->count].version, VN_CLOUD_NAME_BYTES, version);
        return &split->shares[split->count++];
}

static enum vn_rc read_traffic(const struct service *service, struct vn_cloud_split *ret, struct vn_err *err)
{
        struct vn_str etag = vn_json_str(service->json, "etag");
        json_t *target, *revision;
        uint32_t sum = 0;
        size_t i;

        if (etag.len == 0 || etag.len >= sizeof(ret->guard))
                return vn_fail(err, VN_DATA_LOSS, "gcp: a service without an etag");
        vn_text_copy(ret->guard, sizeof(ret->guard), etag);
        json_array_foreach(json_object_get(service->json, "traffic"), i, target)
        {
                double percent = vn_json_pick_number(target, "percent", 0);
                struct vn_cloud_share *share = percent >= 1 ? share_of(ret, version_of(target)) : NULL;

                if (percent > 100 || (percent >= 1 && !share))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a service's traffic cannot be read");
                if (share) /* what has no share is a tag's address only */
                        share->per_mille += (uint32_t)percent * 10;
                sum += percent >= 1 ? (uint32_t)percent * 10 : 0;
        }
        if (sum == 0) { /* the default, which is not written down */
                share_of(ret, VN_STR(LATEST))->per_mille = 1000;
                sum = 1000;
        }
        if (sum != 1000)
                return vn_fail(err, VN_DATA_LOSS, "gcp: a service's traffic makes %u per mille", sum);
        json_array_foreach(json_object_get(service->revisions, "revisions"), i, revision)
        { /* those that get nothing, as far as they fit */
                share_of(ret, short_name(vn_json_str(revision, "name")));
        }
        return VN_OK;
}

enum vn_rc vn_gcp_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                             struct vn_cloud_split *ret, struct vn_err *err)
{
        VN_AUTO(service)
        service = {0};

        (void)alias;
        VN_TRY(find_service(cloud, function, &service, err));
        VN_TRY(get(cloud, VN_GCP_RUN_HOST, service.name, "/revisions", &service.revisions, err));
        return read_traffic(&service, ret, err);
}

static json_t *target_new(const char *version, uint32_t percent)
{
        json_t *target = json_pack("{s:s}", "type", !strcmp(version, LATEST) ? BY_LATEST : BY_REVISION);

        if (target && strcmp(version, LATEST) != 0)
                json_object_set_new(target, "revision", json_string(version));
        if (target && percent > 0)
                json_object_set_new(target, "percent", json_integer(percent));
        return target;
}

/* PATCH replaces the whole array: tags, which are addresses of their own, are kept beside the new shares. */
static enum vn_rc make_traffic(const struct vn_cloud_split *wanted, json_t *traffic, json_t *ret, struct vn_err *err)
{
        json_t *target;
        bool ok = true;
        size_t at;

        for (size_t i = 0; i < wanted->count; i++) {
                if (wanted->shares[i].per_mille % 10 != 0)
                        return vn_fail(err, VN_OUT_OF_RANGE, "gcp: Cloud Run divides calls by whole percents");
                if (wanted->shares[i].per_mille > 0)
                        ok = ok && !json_array_append_new(ret, target_new(wanted->shares[i].version,
                                                                          wanted->shares[i].per_mille / 10));
        }
        json_array_foreach(traffic, at, target)
        {
                struct vn_str tag = vn_json_str(target, "tag"), version = version_of(target);
                char name[VN_CLOUD_NAME_BYTES];
                json_t *kept;

                if (tag.len == 0)
                        continue;
                vn_text_copy(name, sizeof(name), version);
                kept = target_new(name, 0);
                ok = ok && kept && !json_object_set_new(kept, "tag", json_stringn(tag.ptr, tag.len));
                ok = !json_array_append_new(ret, kept) && ok;
        }
        return ok ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
}

enum vn_rc vn_gcp_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                            const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                            struct vn_err *err)
{
        VN_AUTO(service)
        service = {0};
        VN_AUTO(service)
        after = {0};
        VN_AUTO(vn_json)
        traffic = json_array();
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        operation = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 8];

        VN_TRY(find_service(cloud, function, &service, err));
        if (!vn_str_eq(vn_json_str(service.json, "etag"), vn_str(wanted->guard)))
                return vn_fail(err, VN_ABORTED, "gcp: the service of %s was changed by somebody else",
                               function->name);
        if (traffic)
                VN_TRY(make_traffic(wanted, json_object_get(service.json, "traffic"), traffic, err));
        body = json_pack("{s:s, s:s, s:O}", "name", service.name, "etag", wanted->guard, "traffic", traffic);
        if (!body)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        snprintf(path, sizeof(path), "/v2/%s", service.name);
        VN_TRY(vn_gcp_call(cloud, "PATCH", VN_GCP_RUN_HOST, vn_str(path), VN_STR("updateMask=traffic"), body, true,
                           &operation, err));
        VN_TRY(vn_gcp_follow(cloud, VN_GCP_RUN_HOST, &operation, max_wait_us, err));
        VN_TRY(get(cloud, VN_GCP_RUN_HOST, service.name, "", &after.json, err));
        VN_TRY(read_traffic(&after, ret, err));
        if (!vn_split_same(ret, wanted))
                return vn_fail(err, VN_ABORTED, "gcp: %s divides its calls otherwise than asked", function->name);
        return VN_OK;
}
