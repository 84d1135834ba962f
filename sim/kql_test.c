/* kql_test.c - log queries: filters, order, projection, summaries; what is not understood is refused. */
#include "sim/kql.h"

#include "base/clock.h"
#include "base/json.h"
#include "tests/test.h"

static const struct vn_kql_column columns[] = {
        {"T", VN_KQL_TIME}, {"Name", VN_KQL_TEXT}, {"Ms", VN_KQL_REAL}, {"Ok", VN_KQL_BOOL}};

static enum vn_rc run(const char *query, json_t **ret, struct vn_err *err)
{
        static const char *const names[] = {"a", "b", "a", "c", "a"};
        struct vn_kql_value rows[20] = {0};
        for (int i = 0; i < 5; i++) {
                rows[4 * i].integer = INT64_C(1700000000000000) + i * 100 * VN_US_PER_S;
                rows[4 * i + 1].text = vn_str(names[i]);
                rows[4 * i + 2].number = 10.0 * (i + 1);
                rows[4 * i + 3].integer = i != 3;
        }
        const struct vn_kql_table table = {columns, 4, rows, 5};
        return vn_kql_run(vn_str(query), "Log", &table, INT64_C(1700000450000000), ret, err);
}

/* The rows as compact JSON. */
static void check(const char *want, const char *query)
{
        struct vn_err err = {0};
        VN_AUTO(vn_json)
        answer = NULL;
        enum vn_rc rc = run(query, &answer, &err);
        if (rc != VN_OK)
                fprintf(stderr, "%s: %s\n", query, err.msg);
        CHECK_OK(rc);
        char *rows = json_dumps(json_object_get(json_array_get(json_object_get(answer, "tables"), 0), "rows"),
                                JSON_COMPACT);
        CHECK_TEXT(want, rows);
        free(rows);
}

TEST(filters_order_and_projection)
{
        check("[[\"a\",50.0],[\"a\",30.0],[\"a\",10.0]]",
              "Log | where Name == \"a\" | order by Ms desc | project Name, Ms");
        check("[[10.0],[20.0]]", "Log | where Ms <= 20 | sort by Ms asc | project Ms");
        check("[[20.0],[30.0]]", "Log | where Ms > 10 and Ms < 40 and Ok == true | project Ms");
        check("[[40.0]]", "Log | where Ok == false | project Ms");
        check("[[40.0],[50.0]]", "Log | where T >= datetime(2023-11-14T22:18:00Z) | project Ms");
        check("[[50.0]]", "Log | where T > ago(1m) | project Ms");
        check("[[10.0],[20.0]]", "Log | take 2 | project Ms");
        check("[[\"c\"]]", "Log | where Name =~ 'C' | project Name");
        check("[[4]]", "Log | where Name != 'b' | count");
}

TEST(summaries)
{
        check("[[5]]", "Log | summarize count()");
        check("[[\"a\",3],[\"b\",1],[\"c\",1]]", "Log | summarize count() by Name");
        check("[[150.0,30.0,10.0,50.0]]", "Log | summarize sum(Ms), avg(Ms), min(Ms), max(Ms)");
        check("[[50.0]]", "Log | summarize p = percentile(Ms, 99)");
        check("[[30.0]]", "Log | summarize percentile(Ms, 50)");
        check("[[\"2023-11-14T22:10:00.000Z\",1],[\"2023-11-14T22:15:00.000Z\",3],[\"2023-11-14T22:20:00.000Z\",1]]",
              "Log | summarize n = count() by bin(T, 5m)");
}

TEST(what_is_not_understood_is_refused_with_its_place)
{
        static const char *const bad[] = {"",
                                          "Other",
                                          "Log |",
                                          "Log | frobnicate",
                                          "Log | where",
                                          "Log | where Nope == 1",
                                          "Log | where Ms == \"x\"",
                                          "Log | where Name == 1",
                                          "Log | where T > 5",
                                          "Log | order Ms",
                                          "Log | take x",
                                          "Log | project",
                                          "Log | summarize median(Ms)",
                                          "Log | summarize percentile(Ms)",
                                          "Log | summarize count() by bin(Ms, 5m)",
                                          "Log | take 1 extra",
                                          "Log | where Name == \"open",
                                          "Log | where T > datetime(tomorrow)",
                                          "Log | where Ms == 1..2"};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct vn_err err = {0};
                json_t *answer = NULL;
                CHECK_RC(VN_INVALID_ARGUMENT, run(bad[i], &answer, &err));
                CHECK(err.msg[0] && !answer);
        }
}

static enum vn_rc run_for_allocations(void)
{
        struct vn_err err;
        json_t *answer = NULL;
        enum vn_rc rc = run("Log | where Ms > 5 | summarize n = count() by Name | order by n desc | project Name",
                            &answer, &err);
        json_decref(answer);
        return rc;
}

TEST(running_out_of_memory_leaks_nothing_of_a_query)
{
        TEST_ALLOC_LOOP(run_for_allocations);
}
