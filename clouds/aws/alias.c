/* How calls are divided over a Lambda function's versions: an alias names one version and, at most, one more with a weight.
 * Weights are fractions on the wire; a weight finer than a thousandth that somebody else set is rounded when it is read. */
#include "clouds/aws/aws.h"

static enum vn_rc read_alias(json_t *alias, struct vn_cloud_split *ret, struct vn_err *err)
{
        json_t *weights = vn_json_at(alias, "RoutingConfig.AdditionalVersionWeights"), *weight;
        struct vn_cloud_share *main = &ret->shares[0], *other = &ret->shares[1];
        const char *version;

        *ret = (struct vn_cloud_split){.count = 1};
        if (!vn_str_copy(ret->alias, sizeof(ret->alias), vn_json_str(alias, "Name")) ||
            !vn_str_copy(ret->guard, sizeof(ret->guard), vn_json_str(alias, "RevisionId")) ||
            !vn_str_copy(main->version, sizeof(main->version), vn_json_str(alias, "FunctionVersion")) ||
            !ret->alias[0] || !ret->guard[0] || !main->version[0] || json_object_size(weights) > 1)
                return vn_fail(err, VN_DATA_LOSS, "aws: an alias without name, version or revision");
        main->per_mille = 1000;
        json_object_foreach(weights, version, weight)
        {
                double share = json_number_value(weight);

                if (!json_is_number(weight) || !(share >= 0 && share <= 1) ||
                    !vn_str_copy(other->version, sizeof(other->version), vn_str(version)))
                        return vn_fail(err, VN_DATA_LOSS, "aws: a weight of alias %s is none", ret->alias);
                other->per_mille = (uint32_t)(share * 1000 + 0.5);
                main->per_mille -= other->per_mille;
                ret->count = 2;
        }
        return VN_OK;
}

/* One page is enough: the first will do. */
static enum vn_rc list_aliases(struct vn_cloud *cloud, const char *function, json_t **ret, struct vn_err *err)
{
        const struct vn_aws_lambda_call call = {.method = "GET",
                                                .version = VN_LAMBDA_2015,
                                                .function = function,
                                                .what = "aliases",
                                                .query = VN_STR("MaxItems=50")};

        return vn_aws_lambda(cloud, &call, ret, err);
}

enum vn_rc vn_aws_published_alias(struct vn_cloud *cloud, const char *function, char ret[VN_CLOUD_NAME_BYTES],
                                  struct vn_err *err)
{
        VN_AUTO(vn_json)
        page = NULL;
        json_t *item;
        size_t i;

        VN_TRY(list_aliases(cloud, function, &page, err));
        json_array_foreach(json_object_get(page, "Aliases"), i, item)
        {
                struct vn_str name = vn_json_str(item, "Name");

                if (name.len > 0 && !vn_str_eq(vn_json_str(item, "FunctionVersion"), VN_STR("$LATEST")) &&
                    vn_str_copy(ret, VN_CLOUD_NAME_BYTES, name))
                        return VN_OK;
        }
        return vn_fail(err, VN_FAILED_PRECONDITION,
                       "aws: %s has no alias of a published version, and only such a one can be kept warm", function);
}

enum vn_rc vn_aws_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                             struct vn_cloud_split *ret, struct vn_err *err)
{
        const struct vn_aws_lambda_call call = {.method = "GET",
                                                .version = VN_LAMBDA_2015,
                                                .function = function->name,
                                                .what = "aliases",
                                                .item = alias};
        VN_AUTO(vn_json)
        answer = NULL;
        json_t *first;

        if (alias.len > 0) {
                VN_TRY(vn_aws_lambda(cloud, &call, &answer, err));
                return read_alias(answer, ret, err);
        }
        VN_TRY(list_aliases(cloud, function->name, &answer, err));
        first = json_array_get(json_object_get(answer, "Aliases"), 0);
        if (!first)
                return vn_fail(err, VN_FAILED_PRECONDITION, "aws: %s has no alias, so its calls all go to $LATEST",
                               function->name);
        return read_alias(first, ret, err);
}

static enum vn_rc split_body(const struct vn_cloud_split *wanted, struct vn_buf *body, struct vn_err *err)
{
        const struct vn_cloud_share *other = &wanted->shares[1];

        vn_buf_text(body, "{\"FunctionVersion\":");
        vn_buf_json_string(body, vn_str(wanted->shares[0].version));
        vn_buf_text(body, ",\"RoutingConfig\":{\"AdditionalVersionWeights\":{");
        if (wanted->count == 2) {
                vn_buf_json_string(body, vn_str(other->version));
                vn_buf_printf(body, ":%u.%03u", other->per_mille / 1000, other->per_mille % 1000);
        }
        vn_buf_text(body, "}},\"RevisionId\":");
        vn_buf_json_string(body, vn_str(wanted->guard));
        vn_buf_char(body, '}');
        return vn_buf_check(body, err);
}

enum vn_rc vn_aws_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                            const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                            struct vn_err *err)
{
        VN_AUTO(vn_buf)
        body = VN_BUF_INIT(4096);
        VN_AUTO(vn_json)
        answer = NULL;
        struct vn_aws_lambda_call call = {.method = "PUT",
                                          .version = VN_LAMBDA_2015,
                                          .function = function->name,
                                          .what = "aliases",
                                          .item = vn_str(wanted->alias)};

        (void)max_wait_us; /* an alias has moved when Lambda answers */
        if (!wanted->alias[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "aws: %s: which alias?", function->name);
        if (wanted->count < 1 || wanted->count > 2)
                return vn_fail(err, VN_OUT_OF_RANGE, "aws: %s: an alias divides calls over two versions at most",
                               function->name);
        VN_TRY(split_body(wanted, &body, err));
        call.body = vn_buf_view(&body);
        VN_TRY(vn_aws_lambda(cloud, &call, &answer, err));
        return read_alias(answer, ret, err);
}
