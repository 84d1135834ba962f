#include "server/routing/slowdown.h"

#include "base/clock.h"
#include "tests/test.h"

TEST(slowdown_needs_more_than_one_outcome_and_then_tells_most_of_it)
{
        struct vn_slowdown s = {0};
        CHECK_NEAR(1, vn_slowdown_now(&s, 1, 0), 0);
        vn_slowdown_add(&s, 7, 1.5, VN_US_PER_S);
        CHECK_NEAR(1, vn_slowdown_now(&s, 1, VN_US_PER_S), 0);
        for (int i = 0; i < 20; i++)
                vn_slowdown_add(&s, 7, 3, 2 * VN_US_PER_S + i * 100000);
        double now = vn_slowdown_now(&s, 1, 4 * VN_US_PER_S);
        CHECK(now > 2 && now <= 3);
}

TEST(slowdown_fades_without_news_and_ends_with_good_news)
{
        struct vn_slowdown s = {0}, mended;
        for (int i = 0; i < 20; i++)
                vn_slowdown_add(&s, 7, 3, i * 1000);
        mended = s;
        CHECK(vn_slowdown_now(&s, 1, 60 * VN_US_PER_S) > 1.2); /* two half-lives: five outcomes' weight */
        CHECK_NEAR(1, vn_slowdown_now(&s, 1, 300 * VN_US_PER_S), 0);
        for (int i = 0; i < 120; i++)
                vn_slowdown_add(&mended, 7, 1, VN_US_PER_S + i * 500000);
        CHECK_NEAR(1, vn_slowdown_now(&mended, 1, 61 * VN_US_PER_S), 0);
}

TEST(slowdown_of_its_like_holds_until_own_outcomes_say_otherwise)
{
        struct vn_slowdown s = {0};
        CHECK_NEAR(3, vn_slowdown_now(&s, 3, 0), .2);
        for (int i = 0; i < 10; i++)
                vn_slowdown_add(&s, 7, 1, 1000);
        CHECK(vn_slowdown_now(&s, 3, 1000) < 1.3);
}

TEST(slowdown_is_bounded_and_never_says_faster)
{
        struct vn_slowdown s = {0}, fast = {0}, odd = {0};
        for (int i = 0; i < 1000; i++) {
                vn_slowdown_add(&s, 7, 1e9, 1000);
                vn_slowdown_add(&fast, 7, 1e-9, 1000);
                vn_slowdown_add(&odd, 7, i % 2 ? -1 : 0, 1000);
        }
        CHECK(vn_slowdown_now(&s, 1, 1000) > 7 && vn_slowdown_now(&s, 1, 1000) <= VN_SLOWDOWN_MAX);
        CHECK_NEAR(1, vn_slowdown_now(&fast, 1, 1000), 0);
        CHECK_NEAR(1, vn_slowdown_now(&odd, 1, 1000), 0);
        CHECK(vn_slowdown_now(&s, 1, 0) > 7); /* a clock that was set back */
}

/* Four callers see nothing; a fifth swears that all is eight times as slow, and tells it as often as it likes. */
TEST(slowdown_rests_on_no_one_caller)
{
        for (int flood = 20; flood <= 2000; flood *= 10) {
                struct vn_slowdown s = {0};
                for (uint64_t caller = 1; caller <= 4; caller++)
                        for (int i = 0; i < 20; i++)
                                vn_slowdown_add(&s, caller, 1, 1000);
                for (int i = 0; i < flood; i++)
                        vn_slowdown_add(&s, 5, 8, 1000);
                CHECK(vn_slowdown_now(&s, 1, 1000) < 2.1); /* a third of ln 8, and the prior */
        }
}
