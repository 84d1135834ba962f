/* Azure: sites: the plan that each is on, what can be tuned there, listing and reading.
 * Calls: a list takes one a page, then two a site (the site itself, since lists leave out what is tuned, and its functions) and
 * one a Premium plan. A read takes those two; outside of Flex also config/web, whose numbers are tuned there; on Premium
 * also the plan, whose size is the memory. */
#include "clouds/azure/azure.h"

#define MAX_PAGES 200
#define CONSUMPTION_MB 1536 /* what an instance has where neither the site nor its plan names a size */
#define MAX_FAILED_SITES 3  /* in a row: then the service is not there, and asking on only takes time */

const char *vn_azure_plan_name(enum vn_azure_plan plan)
{
        static const char *const names[] = {[VN_AZURE_CONSUMPTION] = "Consumption",
                                            [VN_AZURE_FLEX] = "Flex Consumption",
                                            [VN_AZURE_PREMIUM] = "Premium",
                                            [VN_AZURE_DEDICATED] = "Dedicated"};

        return names[plan];
}

static enum vn_azure_plan plan_of_tier(struct vn_str tier)
{
        if (tier.len == 0 || vn_str_eq_nocase(tier, VN_STR("Dynamic")))
                return VN_AZURE_CONSUMPTION;
        if (vn_str_eq_nocase(tier, VN_STR("FlexConsumption")))
                return VN_AZURE_FLEX;
        return vn_str_eq_nocase(tier, VN_STR("ElasticPremium")) ? VN_AZURE_PREMIUM : VN_AZURE_DEDICATED;
}

/* --- plans --- */

struct farm {
        char id[VN_CLOUD_RESOURCE_BYTES];
        enum vn_azure_plan plan;
        uint32_t memory_mb; /* of an instance; 0: not told by the plan's size */
};

static uint32_t premium_mb(struct vn_str size)
{
        return vn_str_eq_nocase(size, VN_STR("EP1"))   ? 3584
               : vn_str_eq_nocase(size, VN_STR("EP2")) ? 7168
               : vn_str_eq_nocase(size, VN_STR("EP3")) ? 14336
                                                       : 0;
}

/* Reads the site's plan unless `farm` already holds it. */
static enum vn_rc read_farm(struct vn_cloud *cloud, json_t *site, struct farm *farm, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        struct vn_str id = vn_json_str(site, "properties.serverFarmId");

        if (id.len > 0 && vn_str_eq_nocase(id, vn_str(farm->id)))
                return VN_OK;
        if (id.len == 0 || id.ptr[0] != '/' || id.len >= sizeof(farm->id))
                return vn_fail(err, VN_DATA_LOSS, "azure: a site's plan is no resource id");
        vn_cloud_response_init(&response);
        VN_TRY(vn_azure_arm(cloud, "GET", id, VN_AZURE_API, NULL, &response, &answer, err));
        vn_text_copy(farm->id, sizeof(farm->id), id);
        farm->plan = plan_of_tier(vn_json_str(answer, "sku.tier"));
        farm->memory_mb = premium_mb(vn_json_str(answer, "sku.name"));
        return VN_OK;
}

/* Sites say their plan's tier themselves; only an old one must be asked for. */
static enum vn_rc plan_of(struct vn_cloud *cloud, json_t *site, struct farm *farm, enum vn_azure_plan *ret,
                          struct vn_err *err)
{
        struct vn_str tier = vn_json_str(site, "properties.sku");

        *ret = plan_of_tier(tier);
        if (vn_json_at(site, "properties.functionAppConfig"))
                *ret = VN_AZURE_FLEX;
        else if (tier.len == 0 && vn_json_str(site, "properties.serverFarmId").len > 0) {
                VN_TRY(read_farm(cloud, site, farm, err));
                *ret = farm->plan;
        }
        return VN_OK;
}

/* --- one site --- */

enum vn_rc vn_azure_below(struct vn_cloud *cloud, const char *method, const char *resource, const char *child,
                          json_t *body, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        char path[VN_CLOUD_RESOURCE_BYTES + 64];

        vn_cloud_response_init(&response);
        snprintf(path, sizeof(path), "%s/%.60s", resource, child);
        return vn_azure_arm(cloud, method, vn_str(path), VN_AZURE_API, body, &response, ret, err);
}

enum vn_rc vn_azure_hash(json_t *parts, char ret[VN_CLOUD_GUARD_BYTES], struct vn_err *err)
{
        char *text = json_dumps(parts, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        uint8_t hash[VN_SHA256_BYTES];

        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a site");
        vn_sha256(text, strlen(text), hash);
        vn_hex(hash, sizeof(hash), ret);
        free(text);
        return VN_OK;
}

/* What a change must not overwrite. Left out: what moves by itself (state, addresses, usage). */
static enum vn_rc guard_of(json_t *site, json_t *web, char ret[VN_CLOUD_GUARD_BYTES], struct vn_err *err)
{
        static const char *const parts[] = {"kind",
                                            "tags",
                                            "identity",
                                            "properties.functionAppConfig",
                                            "properties.siteConfig",
                                            "properties.serverFarmId",
                                            "properties.httpsOnly",
                                            "properties.publicNetworkAccess",
                                            "properties.lastModifiedTimeUtc"};
        static const char *const web_parts[] = {"properties.functionAppScaleLimit",
                                                "properties.minimumElasticInstanceCount",
                                                "properties.preWarmedInstanceCount"};
        const size_t count = sizeof(parts) / sizeof(parts[0]);
        VN_AUTO(vn_json)
        all = json_array();

        for (size_t i = 0; i < count + (web ? sizeof(web_parts) / sizeof(web_parts[0]) : 0); i++) {
                json_t *part = i < count ? vn_json_at(site, parts[i]) : vn_json_at(web, web_parts[i - count]);
                if (!all || json_array_append_new(all, part ? json_incref(part) : json_null()))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a site");
        }
        return vn_azure_hash(all, ret, err);
}

static enum vn_rc get_site(struct vn_cloud *cloud, const char *resource, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;

        vn_cloud_response_init(&response);
        if (resource[0] != '/')
                return vn_fail(err, VN_INVALID_ARGUMENT, "azure: a function without its site's resource id");
        return vn_azure_arm(cloud, "GET", vn_str(resource), VN_AZURE_API, NULL, &response, ret, err);
}

static enum vn_rc get_whole(struct vn_cloud *cloud, const char *resource, struct farm *farm,
                            struct vn_azure_site *ret, struct vn_err *err)
{
        VN_TRY(get_site(cloud, resource, &ret->site, err));
        VN_TRY(plan_of(cloud, ret->site, farm, &ret->plan, err));
        if (ret->plan != VN_AZURE_FLEX)
                VN_TRY(vn_azure_below(cloud, "GET", resource, "config/web", NULL, &ret->web, err));
        return guard_of(ret->site, ret->web, ret->guard, err);
}

enum vn_rc vn_azure_site_get(struct vn_cloud *cloud, const char *resource, struct vn_azure_site *ret,
                             struct vn_err *err)
{
        struct farm farm = {0};

        memset(ret, 0, sizeof(*ret));
        return get_whole(cloud, resource, &farm, ret, err);
}

static uint32_t whole(json_t *root, const char *dotted, double max)
{
        double value = vn_json_pick_number(root, dotted, 0);

        return value >= 1 && value <= max ? (uint32_t)value : 0;
}

static void read_flex(json_t *scale, struct vn_cloud_function *ret)
{
        static const uint32_t flex_mb[] = {512, 2048, 4096};
        json_t *item;
        size_t i;

        ret->memory_mb = whole(scale, "instanceMemoryMB", 1 << 20);
        ret->memory_tunable = ret->memory_mb > 0;
        if (!ret->memory_tunable)
                ret->memory_mb = CONSUMPTION_MB;
        ret->concurrency = whole(scale, "triggers.http.perInstanceConcurrency", 1000);
        ret->max_instances = whole(scale, "maximumInstanceCount", 1e6);
        json_array_foreach(json_object_get(scale, "alwaysReady"), i, item)
        {
                if (vn_str_eq_nocase(vn_json_str(item, "name"), VN_STR("http")))
                        ret->warm_instances = whole(item, "instanceCount", 1e6);
        }
        memcpy(ret->memory_choices_mb, flex_mb, sizeof(flex_mb));
        ret->memory_choice_count = sizeof(flex_mb) / sizeof(flex_mb[0]);
        ret->memory_min_mb = flex_mb[0];
        ret->memory_max_mb = flex_mb[2];
}

/* "East US" and "eastus" are the same region; the second is the one that prices use. */
static void fold_region(char *region)
{
        char *to = region;

        for (const char *from = region; *from; from++)
                if (*from != ' ')
                        *to++ = *from >= 'A' && *from <= 'Z' ? (char)(*from + 32) : *from;
        *to = '\0';
}

/* `numbers`: where functionAppScaleLimit and minimumElasticInstanceCount stand: config/web, or the site's own siteConfig. The
 * pre-warmed instances are a buffer beyond the always ready ones and are left alone. */
static void read_site(json_t *site, json_t *numbers, enum vn_azure_plan plan, uint32_t plan_mb,
                      struct vn_cloud_function *ret)
{
        json_t *scale = vn_json_at(site, "properties.functionAppConfig.scaleAndConcurrency");

        vn_text_copy(ret->name, sizeof(ret->name), vn_json_str(site, "name"));
        vn_text_copy(ret->region, sizeof(ret->region), vn_json_str(site, "location"));
        fold_region(ret->region);
        vn_text_copy(ret->resource, sizeof(ret->resource), vn_json_str(site, "id"));
        vn_text_copy(ret->runtime, sizeof(ret->runtime),
                     vn_json_str(site, "properties.functionAppConfig.runtime.name"));
        ret->busy = vn_json_str(site, "properties.inProgressOperationId").len > 0;
        ret->memory_mb = CONSUMPTION_MB;
        if (plan == VN_AZURE_FLEX) {
                read_flex(scale, ret);
                return;
        }
        if (plan == VN_AZURE_PREMIUM && plan_mb > 0)
                ret->memory_mb = plan_mb;
        if (plan == VN_AZURE_PREMIUM)
                ret->warm_instances = whole(numbers, "minimumElasticInstanceCount", 1e6);
        if (plan != VN_AZURE_DEDICATED)
                ret->max_instances = whole(numbers, "functionAppScaleLimit", 1e6);
}

/* The functions of one site, each as `base` with its own name and address. */
static enum vn_rc site_functions(struct vn_cloud *cloud, const struct vn_cloud_function *base, struct vn_str host,
                                 struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        page = NULL;
        json_t *items, *item;
        size_t i;

        VN_TRY(vn_azure_below(cloud, "GET", base->resource, "functions", NULL, &page, err));
        items = json_object_get(page, "value");
        if (!json_is_array(items))
                return vn_fail(err, VN_DATA_LOSS, "azure: the functions of a site have no value");
        json_array_foreach(items, i, item)
        {
                struct vn_cloud_function function = *base;
                struct vn_str name = vn_json_str(item, "properties.name"),
                              url = vn_json_str(item, "properties.invoke_url_template");

                if (name.len == 0) { /* the resource's name is site/function */
                        name = vn_json_str(item, "name");
                        struct vn_str rest = name;
                        vn_str_cut(&rest, '/');
                        name = rest.ptr ? rest : name;
                }
                if (name.len == 0)
                        return vn_fail(err, VN_DATA_LOSS, "azure: a function of a site has no name");
                if (json_is_true(vn_json_at(item, "properties.isDisabled")))
                        continue;
                if (json_array_size(items) > 1)
                        snprintf(function.name, sizeof(function.name), "%.90s.%.*s", base->name, VN_FMT(name));
                if (url.len > 0)
                        vn_text_copy(function.url, sizeof(function.url), url);
                else
                        snprintf(function.url, sizeof(function.url), "https://%.*s/api/%.*s", VN_FMT(host),
                                 VN_FMT(name));
                VN_TRY(vn_list_add(ret, &function, err));
        }
        return VN_OK;
}

/* --- the list --- */

static bool is_function_app(json_t *site)
{
        struct vn_str kind = vn_json_str(site, "kind");
        char text[64];

        vn_text_copy(text, sizeof(text), kind);
        return strcasestr(text, "functionapp") && !strcasestr(text, "workflowapp");
}

/* The whole of one site of the list. */
static enum vn_rc add_site(struct vn_cloud *cloud, json_t *item, struct farm *farm, struct vn_cloud_list *ret,
                           struct vn_err *err)
{
        VN_AUTO(vn_json)
        full = NULL;
        struct vn_cloud_function base = {0};
        enum vn_azure_plan plan;

        if (!vn_json_at(item, "properties.functionAppConfig"))
                VN_TRY(get_site(cloud, json_string_value(json_object_get(item, "id")), &full, err));
        item = full ? full : item;
        VN_TRY(plan_of(cloud, item, farm, &plan, err));
        if (plan == VN_AZURE_PREMIUM)
                VN_TRY(read_farm(cloud, item, farm, err));
        read_site(item, vn_json_at(item, "properties.siteConfig"), plan, farm->memory_mb, &base);
        return site_functions(cloud, &base, vn_json_str(item, "properties.defaultHostName"), ret, err);
}

struct walk {
        struct vn_cloud_list *list;
        struct farm farm;
        int failed_in_a_row;
};

/* A site that cannot be read is told as missing, and the list goes on. */
static enum vn_rc list_site(struct vn_cloud *cloud, json_t *item, struct walk *walk, struct vn_err *err)
{
        struct vn_cloud_function base = {0};
        char what[VN_CLOUD_REGION_BYTES];
        enum vn_rc rc;

        /* Passing over what cannot be read would look like a site that was taken away. */
        if (!json_is_string(json_object_get(item, "id")) ||
            (vn_json_at(item, "kind") && !json_is_string(vn_json_at(item, "kind"))))
                return vn_fail(err, VN_DATA_LOSS, "azure: a site of the list has no id or kind");
        if (!is_function_app(item))
                return VN_OK;
        read_site(item, NULL, VN_AZURE_CONSUMPTION, 0, &base);
        if (!base.resource[0] || !base.name[0])
                return vn_fail(err, VN_DATA_LOSS, "azure: a site of the list has no id or name");
        if (cloud->config.region.len > 0 && !vn_str_eq(cloud->config.region, vn_str(base.region)))
                return VN_OK;
        rc = add_site(cloud, item, &walk->farm, walk->list, err);
        if (rc == VN_NOT_FOUND) /* deleted since the page was made */
                return VN_OK;
        walk->failed_in_a_row = rc == VN_OK ? 0 : walk->failed_in_a_row + 1;
        snprintf(what, sizeof(what), "site %.34s", base.name);
        return rc == VN_OK ? VN_OK : vn_list_partial(walk->list, rc, what, err);
}

static enum vn_rc list_page(struct vn_cloud *cloud, struct vn_buf *path, struct vn_buf *query, struct walk *walk,
                            struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        page = NULL;
        struct vn_str link, host, next_path, next_query;
        json_t *item;
        size_t at;

        vn_cloud_response_init(&response);
        VN_TRY(vn_azure_arm(cloud, "GET", vn_buf_view(path), vn_buf_view(query), NULL, &response, &page, err));
        if (!json_is_array(json_object_get(page, "value")))
                return vn_fail(err, VN_DATA_LOSS, "azure: the list has no value");
        json_array_foreach(json_object_get(page, "value"), at, item)
        {
                if (walk->failed_in_a_row == MAX_FAILED_SITES)
                        return vn_list_unreachable(walk->list, VN_STR("the sites after it"), err);
                VN_TRY(list_site(cloud, item, walk, err));
        }
        vn_buf_reset(path);
        vn_buf_reset(query);
        link = vn_json_str(page, "nextLink");
        if (link.len == 0)
                return VN_OK;
        VN_TRY(vn_link_split(link, &host, &next_path, &next_query, err));
        vn_buf_str(path, next_path);
        vn_buf_str(query, next_query);
        VN_TRY(vn_buf_check(path, err));
        return vn_buf_check(query, err);
}

enum vn_rc vn_azure_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(16384);
        struct walk walk = {.list = ret};

        vn_buf_printf(&path, "/subscriptions/%.*s/providers/Microsoft.Web/sites", VN_FMT(cloud->config.subscription));
        vn_buf_str(&query, VN_AZURE_API);
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_buf_check(&query, err));
        for (int page = 1; page <= MAX_PAGES; page++) {
                char what[VN_CLOUD_REGION_BYTES];
                enum vn_rc rc = list_page(cloud, &path, &query, &walk, err);

                snprintf(what, sizeof(what), "page %d of the sites", page);
                if (rc != VN_OK) /* the first page is the account itself; a later one is a part */
                        return page == 1 ? rc : vn_list_partial(ret, rc, what, err);
                if (path.len == 0 || walk.failed_in_a_row == MAX_FAILED_SITES)
                        return VN_OK;
        }
        ret->complete = false;
        return VN_OK;
}

enum vn_rc vn_azure_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err)
{
        VN_AUTO(vn_azure_site)
        site = {0};
        struct vn_cloud_list functions = {.complete = true};
        struct vn_cloud_function base = {0};
        struct farm farm = {0};
        enum vn_rc rc;

        VN_TRY(get_whole(cloud, which->resource, &farm, &site, err));
        if (site.plan == VN_AZURE_PREMIUM)
                VN_TRY(read_farm(cloud, site.site, &farm, err));
        read_site(site.site, json_object_get(site.web, "properties"), site.plan, farm.memory_mb, &base);
        memcpy(base.guard, site.guard, sizeof(base.guard));
        rc = site_functions(cloud, &base, vn_json_str(site.site, "properties.defaultHostName"), &functions, err);
        if (rc == VN_OK) {
                rc = vn_fail(err, VN_NOT_FOUND, "azure: %s is not on its site any more", which->name);
                for (size_t i = 0; i < functions.count; i++) {
                        if (!strcmp(functions.functions[i].name, which->name)) {
                                *ret = functions.functions[i];
                                rc = VN_OK;
                        }
                }
        }
        vn_cloud_list_done(&functions);
        return rc;
}
