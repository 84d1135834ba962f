/* Answers cut short and with bytes changed, on every read of every cloud: an error or a result, never a crash or a leak. */
#include "clouds/wire_test.h"

#define SITE                                                                                                         \
        "{\"id\":\"/s/a\",\"name\":\"a\",\"kind\":\"functionapp\",\"location\":\"eastus\",\"properties\":{"          \
        "\"defaultHostName\":\"h\",\"functionAppConfig\":{\"scaleAndConcurrency\":{\"instanceMemoryMB\":2048}}}}"

struct garbled {
        const char *name;
        struct vn_cloud *(*open)(struct wire *wire);
        const char *before[2]; /* bodies of the calls that come first (tokens) */
        const char *body;
        enum vn_rc (*run)(struct vn_cloud *cloud);
};

static enum vn_rc ignore_one(void *arg, const struct vn_cloud_invocation *invocation)
{
        (void)arg;
        CHECK(invocation->duration_us >= 0 && invocation->duration_us <= 24 * VN_US_PER_HOUR);
        return VN_OK;
}

static enum vn_rc run_list(struct vn_cloud *cloud)
{
        struct vn_cloud_list list;

        VN_TRY(vn_cloud_list(cloud, &list, NULL));
        vn_cloud_list_done(&list);
        return VN_OK;
}

static enum vn_rc run_logs(struct vn_cloud *cloud)
{
        const struct vn_cloud_function f = {.name = "f", .resource = "/s/a"};

        return vn_cloud_logs(cloud, &f, wire_clock.time_us, wire_clock.time_us + VN_US_PER_HOUR, ignore_one, NULL,
                             NULL);
}

static enum vn_rc ignore_line(void *arg, const struct vn_cloud_line *line)
{
        (void)arg;
        CHECK(line->text.len > 0);
        return VN_OK;
}

static enum vn_rc run_lines(struct vn_cloud *cloud)
{
        const struct vn_cloud_function f = {.name = "f", .resource = "/s/a"};

        return vn_cloud_lines(cloud, &f, wire_clock.time_us, wire_clock.time_us + VN_US_PER_HOUR, ignore_line, NULL,
                              NULL);
}

static enum vn_rc run_metrics(struct vn_cloud *cloud)
{
        const struct vn_cloud_function f = {.name = "f", .resource = "/s/a"};
        struct vn_cloud_minute minutes[4];
        size_t count;

        return vn_cloud_metrics(cloud, &f, wire_clock.time_us, wire_clock.time_us + VN_US_PER_HOUR, minutes, 4,
                                &count, NULL);
}

static enum vn_rc run_prices(struct vn_cloud *cloud)
{
        struct vn_cloud_price_list prices;

        VN_TRY(vn_cloud_prices(cloud, &prices, NULL));
        vn_cloud_price_list_done(&prices);
        return VN_OK;
}

static enum vn_rc run_split(struct vn_cloud *cloud)
{
        const struct vn_cloud_function f = {.name = "f", .resource = "/s/a"};
        struct vn_cloud_split split;
        uint32_t sum = 0;

        VN_TRY(vn_cloud_read_split(cloud, &f, VN_STR(""), &split, NULL));
        for (size_t i = 0; i < split.count; i++)
                sum += split.shares[i].per_mille;
        CHECK_INT(1000, sum);
        return VN_OK;
}

static enum vn_rc run_health(struct vn_cloud *cloud)
{
        struct vn_cloud_health health;

        return vn_cloud_health(cloud, &health, NULL);
}

#define TOKEN "{\"access_token\":\"T\",\"expires_in\":3600}"

static const struct garbled cases[] = {
        {"aws logs",
         wire_aws,
         {NULL, NULL},
         "{\"events\":[{\"logStreamName\":\"d/[$LATEST]x\",\"timestamp\":1795521601000,\"message\":\"REPORT "
         "RequestId: "
         "q\\tDuration: 100.00 ms\\tBilled Duration: 100 ms\\tMemory Size: 128 MB\\t\"}]}",
         run_logs},
        {"aws lines",
         wire_aws,
         {NULL, NULL},
         "{\"events\":[{\"logStreamName\":\"d/[$LATEST]x\",\"timestamp\":1795521601000,\"eventId\":\"e\",\"message\":"
         "\"hello\\n\"}]}",
         run_lines},
        {"azure lines",
         wire_azure,
         {TOKEN, NULL},
         "{\"tables\":[{\"columns\":[{\"name\":\"TimeGenerated\"},{\"name\":\"Message\"},{\"name\":\"AppRoleName\"}],"
         "\"rows\":[[\"2026-11-24T12:00:01.5Z\",\"hello\",\"a\"]]}]}",
         run_lines},
        {"gcp lines",
         wire_gcp,
         {TOKEN, NULL},
         "{\"entries\":[{\"insertId\":\"i\",\"timestamp\":\"2026-11-24T12:00:01Z\",\"severity\":\"ERROR\","
         "\"jsonPayload\":"
         "{\"a\":1}}]}",
         run_lines},
        {"gcp distributions",
         wire_gcp,
         {TOKEN, NULL},
         "{\"timeSeries\":[{\"metric\":{\"labels\":{}},\"points\":[{\"interval\":{\"endTime\":\"2026-11-24T12:01:"
         "00Z\"},"
         "\"value\":{\"distributionValue\":{\"count\":\"3\",\"bucketOptions\":{\"exponentialBuckets\":{"
         "\"numFiniteBuckets\":8,\"growthFactor\":2,\"scale\":1}},\"bucketCounts\":[\"0\",\"3\"]}}}]}]}",
         run_metrics},
        {"aws metrics",
         wire_aws,
         {NULL, NULL},
         "{\"MetricDataResults\":[{\"Id\":\"calls\",\"Timestamps\":[1795521600],\"Values\":[5]}]}",
         run_metrics},
        {"aws prices",
         wire_aws,
         {NULL, NULL},
         "{\"PriceList\":[\"{\\\"product\\\":{\\\"attributes\\\":{\\\"group\\\":\\\"AWS-Lambda-Requests\\\"}},"
         "\\\"terms\\\":"
         "{\\\"OnDemand\\\":{\\\"o\\\":{\\\"priceDimensions\\\":{\\\"d\\\":{\\\"beginRange\\\":\\\"0\\\","
         "\\\"pricePerUnit\\\":"
         "{\\\"USD\\\":\\\"0.0000002\\\"}}}}}}}\"]}",
         run_prices},
        {"aws split",
         wire_aws,
         {NULL, NULL},
         "{\"Aliases\":[{\"Name\":\"live\",\"FunctionVersion\":\"1\",\"RevisionId\":\"r\",\"RoutingConfig\":"
         "{\"AdditionalVersionWeights\":{\"2\":0.25}}}]}",
         run_split},
        {"azure token", wire_azure, {NULL, NULL}, TOKEN, run_list},
        {"azure list", wire_azure, {TOKEN, NULL}, "{\"value\":[" SITE "],\"nextLink\":null}", run_list},
        {"azure logs",
         wire_azure,
         {TOKEN, NULL},
         "{\"tables\":[{\"columns\":[{\"name\":\"TimeGenerated\"},{\"name\":\"AppRoleName\"},{\"name\":"
         "\"DurationMs\"}],"
         "\"rows\":[[\"2026-11-24T12:00:01.5Z\",\"a\",12.5]]}]}",
         run_logs},
        {"azure metrics",
         wire_azure,
         {TOKEN, NULL},
         "{\"interval\":\"PT1M\",\"value\":[{\"name\":{\"value\":\"Http5xx\"},\"timeseries\":[{\"data\":[{"
         "\"timeStamp\":"
         "\"2026-11-24T12:00:00Z\",\"total\":5.0}]}]}]}",
         run_metrics},
        {"azure prices",
         wire_azure,
         {NULL, NULL},
         "{\"Items\":[{\"currencyCode\":\"USD\",\"type\":\"Consumption\",\"meterName\":\"Standard Execution Time\","
         "\"unitOfMeasure\":\"1 GB Second\",\"tierMinimumUnits\":0,\"retailPrice\":0.000016}]}",
         run_prices},
        {"azure split",
         wire_azure,
         {TOKEN, "{\"id\":\"/s/a\",\"name\":\"a\",\"properties\":{\"sku\":\"ElasticPremium\"}}"},
         "{\"properties\":{\"experiments\":{\"rampUpRules\":[{\"name\":\"blue\",\"reroutePercentage\":12.5}]}}}",
         run_split},
        {"azure health", wire_azure, {TOKEN, NULL}, "{\"subscriptionId\":\"sub\",\"displayName\":\"x\"}", run_health},
        {"gcp split",
         wire_gcp,
         {TOKEN, "{\"serviceConfig\":{\"service\":\"projects/p/locations/l/services/s\"}}"},
         "{\"etag\":\"e\",\"traffic\":[{\"type\":1,\"percent\":90},{\"type\":2,\"revision\":\"r\",\"percent\":10}]}",
         run_split},
        {"gcp health", wire_gcp, {TOKEN, NULL}, "{\"functions\":[]}", run_health},
        {"gcp token", wire_gcp, {NULL, NULL}, TOKEN, run_list},
        {"gcp list",
         wire_gcp,
         {TOKEN, NULL},
         "{\"functions\":[{\"name\":\"projects/p/locations/us-central1/functions/"
         "f\",\"state\":\"ACTIVE\",\"serviceConfig\":"
         "{\"availableMemory\":\"256M\"}}],\"unreachable\":[\"x\"]}",
         run_list},
        {"gcp logs",
         wire_gcp,
         {TOKEN, NULL},
         "{\"entries\":[{\"insertId\":\"i\",\"timestamp\":\"2026-11-24T12:00:01Z\",\"labels\":{\"instanceId\":\"n\"},"
         "\"httpRequest\":{\"status\":200,\"latency\":\"0.5s\"}}]}",
         run_logs},
        {"gcp metrics",
         wire_gcp,
         {TOKEN, NULL},
         "{\"timeSeries\":[{\"metric\":{\"labels\":{\"response_code\":\"200\"}},\"points\":[{\"interval\":{"
         "\"endTime\":"
         "\"2026-11-24T12:02:00Z\"},\"value\":{\"int64Value\":\"7\"}}]}]}",
         run_metrics},
        {"gcp prices",
         wire_gcp,
         {TOKEN, NULL},
         "{\"skus\":[{\"description\":\"Requests\",\"serviceRegions\":[\"global\"],\"pricingInfo\":[{"
         "\"pricingExpression\":"
         "{\"usageUnit\":\"count\",\"tieredRates\":[{\"unitPrice\":{\"currencyCode\":\"USD\",\"nanos\":400}}]}}]}]}",
         run_prices},
};

/* Answers `body` to the call under test and to all that follow it. */
static enum vn_rc answer(const struct garbled *g, const char *body)
{
        struct wire_step steps[WIRE_MAX_ASKED];
        struct vn_cloud *cloud;
        struct wire wire;
        size_t count = 0;
        enum vn_rc rc;

        for (size_t i = 0; i < 2 && g->before[i]; i++)
                steps[count++] = (struct wire_step){NULL, 200, NULL, g->before[i]};
        steps[count++] = (struct wire_step){NULL, 200, NULL, body};
        while (count < WIRE_MAX_ASKED) /* what follows (functions of a site, a list after a token) is empty */
                steps[count++] = (struct wire_step){NULL, 200, NULL, "{\"value\":[]}"};
        wire_init(&wire, steps, count);
        cloud = g->open(&wire);
        if (!cloud) /* only where allocations fail */
                return VN_RESOURCE_EXHAUSTED;
        rc = g->run(cloud);
        vn_cloud_free(cloud);
        return rc;
}

TEST(whole_answers_are_read)
{
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
                if (answer(&cases[c], cases[c].body) != VN_OK)
                        test_fail(__FILE__, __LINE__, "%s", cases[c].name);
}

TEST(truncated_answers_are_refused)
{
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
                char *cut = vn_strdup(cases[c].body);

                CHECK(cut);
                for (size_t n = strlen(cut) - 1; n > 0; n--) {
                        cut[n] = '\0';
                        if (answer(&cases[c], cut) == VN_OK)
                                test_fail(__FILE__, __LINE__, "%s accepted at %zu bytes", cases[c].name, n);
                }
                vn_free(cut);
        }
}

TEST(garbled_answers_end_somehow)
{
        struct vn_rng rng;

        vn_rng_seed(&rng, test_seed());
        for (int round = 0; round < 1500; round++) {
                const struct garbled *g = &cases[vn_rng_below(&rng, sizeof(cases) / sizeof(cases[0]))];
                char *body = vn_strdup(g->body);

                CHECK(body);
                for (uint64_t i = 1 + vn_rng_below(&rng, 3); i > 0; i--)
                        body[vn_rng_below(&rng, strlen(g->body))] = (char)(32 + vn_rng_below(&rng, 95));
                VN_IGNORE(answer(g, body)); /* only memory and time matter here */
                vn_free(body);
        }
}

static const struct garbled *at_hand;

static enum vn_rc ask_once(void)
{
        return answer(at_hand, at_hand->body);
}

TEST(reading_survives_each_failed_allocation)
{
        VN_IGNORE(!wire_gcp_key());
        wire_may_fail = true;
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
                at_hand = &cases[c];
                TEST_ALLOC_LOOP(ask_once);
        }
        wire_may_fail = false;
}
