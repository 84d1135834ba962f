#include "policies/policy.h"
#include "tests/test.h"

static const char good[] = "policy: web\n"
                           "scope: {workloads: 'shop-*'}\n"
                           "objective: {cost: 0.7, latency: 0.3}\n"
                           "limits:\n"
                           "  clouds: [aws, gcp]\n"
                           "  regions: ['aws:us-east-1', us-central1]\n"
                           "  latency_slo_ms: 800\n"
                           "routing: {mode: automatic, fallback: {aws: 2, azure: 0, gcp: 2}}\n"
                           "tuning: {mode: approval, max_step: 0.5}\n";

TEST(a_policy_is_read_whole)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        CHECK_OK(vn_policy_parse(vn_str(good), &p, &errors, NULL));
        CHECK_TEXT("web", p.name);
        CHECK_NEAR(0.7, p.cost_weight, 0);
        CHECK_INT(5, p.clouds);
        CHECK_INT(2, p.region_count);
        CHECK_INT(VN_TUNING_APPROVAL, p.tuning_mode);
        CHECK_NEAR(0.5, p.fallback[0], 0);
        CHECK(vn_policy_glob(p.workloads, "shop-cart") && !vn_policy_glob(p.workloads, "cart"));
        CHECK(vn_policy_allows_region(&p, VN_PROVIDER_AWS, "us-east-1") &&
              !vn_policy_allows_region(&p, VN_PROVIDER_GCP, "us-east1"));
}

static void refused(const char *document, uint32_t line, uint32_t column, const char *field)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        struct vn_err err;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_policy_parse(vn_str(document), &p, &errors, &err));
        CHECK(errors.count >= 1);
        CHECK_INT(line, errors.items[0].line);
        CHECK_INT(column, errors.items[0].column);
        CHECK_TEXT(field, errors.items[0].field);
}

TEST(errors_name_the_place_and_the_field)
{
        refused("policy: a\ncolour: red\n", 2, 1, "colour");
        refused("policy: a\nlimits:\n  latency_slo_ms: fast\n", 3, 19, "limits.latency_slo_ms");
        refused("policy: a\nlimits: {latency_slo_ms: -5}\n", 2, 26, "limits.latency_slo_ms");
        refused("policy: a\nlimits: {clouds: [aws, ibm]}\n", 2, 24, "limits.clouds");
        refused("policy: a\nrouting: {mode: magic}\n", 2, 17, "routing.mode");
        refused("policy: a\npolicy: b\n", 2, 1, "");
        refused("policy: &x a\n", 1, 9, "");
        refused("policy: a\nscope: *x\n", 2, 8, "");
        refused("objective: cost\n", 1, 1, "policy");
        refused("policy: a\n---\npolicy: b\n", 2, 1, "");
        refused("policy: [a\n", 2, 1, "");
        refused("", 1, 1, "");
        refused("policy: a\nobjective: {cost: 0, latency: 0}\n", 2, 12, "objective");
        refused("policy: a\nrouting: {fallback: {aws: 0, azure: 0, gcp: 0}}\n", 1, 1, "routing.fallback");
        refused("policy: a\nlimits: {latency_slo_ms: 1e400}\n", 2, 26, "limits.latency_slo_ms");
        refused("policy: a\nlimits: {latency_slo_ms: '800'}\n", 2, 26, "limits.latency_slo_ms");
}

TEST(all_errors_are_reported_up_to_the_limit)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(4096);
        vn_buf_text(&text, "policy: a\n");
        for (int i = 0; i < 40; i++)
                vn_buf_printf(&text, "k%d: 1\n", i);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_policy_parse(vn_buf_view(&text), &p, &errors, NULL));
        CHECK_INT(VN_POLICY_MAX_ERRORS, errors.count);
        CHECK_INT(3, errors.items[1].line);
}

TEST(deep_and_large_documents_are_refused)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        for (int i = 0; i < 50000; i++)
                vn_buf_char(&text, '[');
        CHECK_RC(VN_INVALID_ARGUMENT, vn_policy_parse(vn_buf_view(&text), &p, &errors, NULL));
        vn_buf_reset(&text);
        for (int i = 0; i < 70000; i++)
                vn_buf_char(&text, '#');
        CHECK_RC(VN_INVALID_ARGUMENT, vn_policy_parse(vn_buf_view(&text), &p, &errors, NULL));
}

TEST(diff_names_exactly_what_changed)
{
        struct vn_policy_compiled a, b;
        struct vn_policy_errors errors;
        struct vn_policy_change rows[VN_POLICY_MAX_CHANGES];
        CHECK_OK(vn_policy_parse(vn_str(good), &a, &errors, NULL));
        b = a;
        CHECK_INT(0, vn_policy_diff(&a, &b, rows));
        b.latency_slo_ms = 500;
        b.clouds = 7;
        CHECK_INT(2, vn_policy_diff(&a, &b, rows));
        CHECK_TEXT("limits.clouds", rows[0].field);
        CHECK_TEXT("[\"aws\",\"azure\",\"gcp\"]", rows[0].after);
        CHECK_TEXT("800", rows[1].before);
        CHECK_TEXT("500", rows[1].after);
}

TEST(glob_is_linear_and_right)
{
        CHECK(vn_policy_glob("*", "") && vn_policy_glob("a*c", "abbbc") && !vn_policy_glob("a*c", "abbbd"));
        CHECK(vn_policy_glob("?x*", "axe") && !vn_policy_glob("", "a") && vn_policy_glob("**a", "ba"));
        char many[4001], stars[201];
        memset(many, 'a', 4000);
        many[4000] = 0;
        for (int i = 0; i < 200; i += 2)
                memcpy(stars + i, "*a", 2);
        stars[199] = 'b';
        stars[200] = 0;
        CHECK(!vn_policy_glob(stars, many));
}

TEST(residency_is_where_the_data_lies)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        vn_policy_default(&p);
        CHECK(vn_policy_allows_residency(&p, VN_PROVIDER_AWS, "moon-1"));
        CHECK_OK(vn_policy_parse(VN_STR("policy: a\nlimits: {residency: [eu, ch]}\n"), &p, &errors, NULL));
        CHECK(vn_policy_allows_residency(&p, VN_PROVIDER_AWS, "eu-central-1"));
        CHECK(vn_policy_allows_residency(&p, VN_PROVIDER_GCP, "europe-west6"));
        CHECK(vn_policy_allows_residency(&p, VN_PROVIDER_AZURE, "westeurope"));
        CHECK(!vn_policy_allows_residency(&p, VN_PROVIDER_AWS, "eu-west-2"));
        CHECK(!vn_policy_allows_residency(&p, VN_PROVIDER_GCP, "europe-west2"));
        CHECK(!vn_policy_allows_residency(&p, VN_PROVIDER_AZURE, "eastus2"));
        CHECK(!vn_policy_allows_residency(&p, VN_PROVIDER_GCP, "moon-1"));
        refused("policy: a\nlimits: {residency: [mars]}\n", 2, 22, "limits.residency");
}

static enum vn_rc parse_once(void)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        enum vn_rc rc = vn_policy_parse(vn_str(good), &p, &errors, NULL);
        return rc == VN_INVALID_ARGUMENT ? VN_RESOURCE_EXHAUSTED : rc; /* "too large" is how it says out of memory */
}

TEST(parsing_survives_every_failed_allocation)
{
        TEST_ALLOC_LOOP(parse_once);
}
