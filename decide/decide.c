/* One pass over the hot rows scores every candidate, one pass picks. The features of a candidate are float32 values
 * made by the same inline function in the pass and afterwards, so what a record keeps gives the score's exact bits. */
#include "decide/decide.h"

#include <stdio.h>
#include <string.h>

#include "base/detmath.h"
#include "base/hash.h"
#include "decide/risk.h"

static const char *const exclusion_names[VN_EXCLUSION_COUNT] = {"cloud",     "region", "residency",  "observe_only",
                                                                "caller",    "paused", "unhealthy",  "breaker",
                                                                "throttled", "memory", "latency_slo"};

const char *vn_exclusion_name(enum vn_exclusion exclusion)
{
        return (unsigned)exclusion < VN_EXCLUSION_COUNT ? exclusion_names[exclusion] : "unknown";
}

enum { DRAW_EXPLORE = 1, DRAW_EXPLORE_WHICH, DRAW_SPLIT, DRAW_SPLIT_WHICH };

/* What of the question holds for all candidates. */
struct context {
        const struct vn_view *view;
        const struct vn_live *live;
        const float *hot;
        size_t stride;
        const float *mean[2], *rounding[2], *tail[2]; /* rows of the payload's two knots */
        const float *rate_next, *border, *limit, *tokens, *warm;
        float share; /* of the way from one to the other */
        float response_bytes;
        float since_epoch_s;
        float tail_ramp; /* 1 / (1 - quantile): where a cold start's chance fills the tail */
        float slo_us;    /* 1e30: none */
        struct vn_weights weights;
};

/* Read in place of a row that binds nobody: it stays in the cache, where the views do not. */
static const float unbound[VN_VIEW_MAX_ENDPOINTS] = {[0 ... VN_VIEW_MAX_ENDPOINTS - 1] = VN_VIEW_UNBOUND};

static inline const float *bound(const struct vn_view *view, enum vn_hot row)
{
        return view->unbound >> row & 1 ? unbound : view->hot + (size_t)row * view->stride;
}

static void context_init(struct context *c, const struct vn_view *view, const struct vn_question *question,
                         const struct vn_live *live)
{
        double payload = question->payload_bytes;
        unsigned k = 0;
        while (k < VN_VIEW_KNOTS - 2 && payload >= view->payload_bytes[k + 1])
                k++;
        double low = view->payload_bytes[k], high = view->payload_bytes[k + 1],
               share = (payload - low) / (high - low);
        c->view = view;
        c->live = live;
        c->hot = view->hot;
        c->stride = view->stride;
        c->share = (float)(share < 0 ? 0 : share > 1 ? 1 : share);
        for (unsigned i = 0; i < 2; i++) {
                const float *knot = view->hot + (size_t)(VN_HOT_KNOT + (k + i) * VN_HOT_KNOT_ROWS) * view->stride;
                c->mean[i] = knot + VN_HOT_MEAN_MS * view->stride;
                c->rounding[i] = knot + VN_HOT_ROUNDING_MS * view->stride;
                c->tail[i] = knot + VN_HOT_TAIL_US * view->stride;
        }
        c->border = bound(view, VN_HOT_BORDER_MS);
        c->limit = bound(view, VN_HOT_LIMIT);
        c->tokens = bound(view, VN_HOT_TOKENS);
        c->warm = bound(view, VN_HOT_WARM);
        c->rate_next = view->hot + (size_t)(c->border == unbound ? VN_HOT_RATE : VN_HOT_RATE_NEXT) * view->stride;
        c->response_bytes = question->response_bytes ? (float)question->response_bytes : (float)view->response_bytes;
        double since = (double)(question->time_us - view->epoch_us) / 1e6;
        c->since_epoch_s = (float)(since > 0 ? since : 0);
        double q = view->policy.slo_quantile;
        c->tail_ramp = (float)(q < .999 ? 1 / (1 - q) : 1000);
        c->slo_us = view->policy.latency_slo_ms > 0 ? (float)(view->policy.latency_slo_ms * 1e3) : 1e30f;
        vn_decide_weights(view, &c->weights);
}

#define CACHE_LINE_BYTES 64

/* A busy server's views do not all stay in the cache: what the choice will read is asked for before it is needed. */
static inline void fetch(const void *from, size_t bytes)
{
        for (size_t at = 0; at < bytes; at += CACHE_LINE_BYTES)
                __builtin_prefetch((const char *)from + at);
}

/* Once in the memory's order: of one ascending stream a processor runs ahead, of a pass over twenty rows it does not. */
static inline void walk(const void *from, size_t bytes)
{
        const char *line = from;
        for (size_t at = 0; at < bytes; at += CACHE_LINE_BYTES) {
                uint32_t word;
                memcpy(&word, line + at, sizeof word);
                __asm__ volatile("" : : "r"(word)); /* or the compiler would drop a read without a use */
        }
}

/* What the pass reads of a view: all up to the knots, and the payload's two. */
static inline void fetch_rows(const struct context *c)
{
        const struct vn_view *view = c->view;
        size_t head_bytes = (size_t)((const char *)(c->hot + (size_t)VN_HOT_KNOT * c->stride) -
                                     (const char *)view->excluded),
               knot_bytes = 2 * VN_HOT_KNOT_ROWS * c->stride * sizeof(float);
        fetch(view->excluded, head_bytes);
        fetch(c->mean[0], knot_bytes);
        walk(view->excluded, head_bytes);
        walk(c->mean[0], knot_bytes);
}

/* Piecewise linear over idle times of 1, 2, 4, ... s: the float's own exponent is the knot, its mantissa the share. */
static inline float cold_chance(const uint16_t *knots, float idle_s)
{
        float clamped = idle_s < 1.f ? 1.f : idle_s > 32767.f ? 32767.f : idle_s;
        uint32_t bits;
        memcpy(&bits, &clamped, 4);
        uint32_t k = (bits >> 23) - 127u;
        float share = (float)(bits & 0x7fffffu) * 0x1p-23f;
        float low = (float)knots[k], high = (float)knots[k + 1];
        return (low + share * (high - low)) * (1.f / 65535.f);
}

static inline float between(const float *const rows[2], float share, uint32_t i)
{
        return rows[0][i] + share * (rows[1][i] - rows[0][i]);
}

#define HOT(row) (c->view->hot[(size_t)(row)*c->view->stride + i])

static inline float cold_at(const struct context *c, uint32_t i)
{
        uint32_t assigned = c->live->assigned[i];
        float idle = assigned ? c->since_epoch_s : HOT(VN_HOT_IDLE_S) + c->since_epoch_s;
        float chance = cold_chance(c->view->cold + (size_t)i * VN_VIEW_COLD_KNOTS, idle);
        return (float)c->live->in_flight[i] >= c->warm[i] ? 1.f : chance; /* all warm instances are busy */
}

static inline struct vn_features features_at(const struct context *c, uint32_t i, float cold)
{
        struct vn_features f;
        f.mean_ms = between(c->mean, c->share, i);
        f.rounding_ms = between(c->rounding, c->share, i);
        f.tail_us = between(c->tail, c->share, i);
        float used_ms = (float)c->live->assigned[i] * (f.mean_ms + f.rounding_ms);
        float rate = HOT(VN_HOT_RATE), rate_next = c->rate_next[i];
        f.rate = used_ms < c->border[i] ? rate : rate_next;
        f.request = HOT(VN_HOT_REQUEST);
        f.egress = HOT(VN_HOT_EGRESS) * c->response_bytes;
        f.init = HOT(VN_HOT_INIT);
        f.network_us = HOT(VN_HOT_NETWORK_US);
        f.cold_chance = cold;
        f.cold_us = HOT(VN_HOT_COLD_US);
        f.error_rate = HOT(VN_HOT_ERROR);
        float over = 2.f * (((float)c->live->in_flight[i] + 1.f) / c->limit[i]) - 1.f;
        over = over > 0.f ? over : 0.f;
        f.load = over * over; /* from half of the limit on, calls start to wait */
        return f;
}

static inline double cost_of(const struct vn_features *f)
{
        return (double)f->rate * ((double)f->mean_ms + (double)f->rounding_ms) + (double)f->request +
               (double)f->egress + (double)f->cold_chance * (double)f->init;
}

static inline double latency_of(const struct vn_features *f)
{
        return (double)f->network_us + (double)f->tail_us + (double)f->cold_chance * (double)f->cold_us;
}

static inline double score_of(const struct vn_features *f, const struct vn_weights *w)
{
        return (w->cost * cost_of(f) + w->latency_per_us * latency_of(f)) *
               (1.0 + (double)f->error_rate + (double)f->load);
}

double vn_features_cost(const struct vn_features *f)
{
        return cost_of(f);
}

double vn_features_latency_us(const struct vn_features *f)
{
        return latency_of(f);
}

double vn_features_score(const struct vn_features *f, const struct vn_weights *weights)
{
        return score_of(f, weights);
}

static inline bool too_slow(const struct context *c, const struct vn_features *f)
{
        float ramp = f->cold_chance * c->tail_ramp;
        return f->network_us + f->tail_us + f->cold_us * (ramp < 1.f ? ramp : 1.f) > c->slo_us;
}

/* Scores and exclusions of all. The context is copied to where nothing else can reach it, and what is written is the
 * stack's own: the compiler may then keep the rows' addresses and work on several candidates at once. */
static void score_all(const struct context *context, double score[VN_VIEW_MAX_ENDPOINTS],
                      uint32_t excluded[VN_VIEW_MAX_ENDPOINTS])
{
        const struct context copy = *context, *c = &copy;
        const uint32_t *fixed = copy.view->excluded, n = copy.view->count;
        float cold[VN_VIEW_MAX_ENDPOINTS];
        for (uint32_t i = 0; i < n; i++)
                cold[i] = cold_at(c, i);
        for (uint32_t i = 0; i < n; i++) {
                struct vn_features f = features_at(c, i, cold[i]);
                score[i] = score_of(&f, &copy.weights);
                uint32_t full = (uint32_t)((float)c->live->in_flight[i] >= c->limit[i]) |
                                (uint32_t)((float)c->live->assigned[i] >= c->tokens[i]);
                excluded[i] = fixed[i] | full << VN_EXCLUDED_THROTTLED | (uint32_t)too_slow(c, &f) << VN_EXCLUDED_SLO;
        }
}

/* What is excluded by index: seldom any. */
static void exclude_set(const struct vn_bits128 *set, enum vn_exclusion why, uint32_t count, uint32_t *excluded)
{
        for (unsigned w = 0; w < 2; w++)
                for (uint64_t bits = set->w[w]; bits; bits &= bits - 1) {
                        uint32_t i = 64 * w + (uint32_t)__builtin_ctzll(bits);
                        if (i < count)
                                excluded[i] |= 1u << why;
                }
}

void vn_decide_weights(const struct vn_view *view, struct vn_weights *ret)
{
        const struct vn_policy_compiled *p = &view->policy;
        bool spent = p->budget_usd_per_day > 0 && view->spent_usd >= p->budget_usd_per_day;
        ret->cost = spent ? 1 : p->cost_weight;
        ret->latency_per_us = spent ? 0 : p->latency_weight * p->latency_value_usd_per_ms / 1e3;
}

double vn_decide_draw(const struct vn_decision_id *id, uint64_t purpose)
{
        uint64_t words[3] = {id->origin, id->loop, id->sequence};
        return (double)(vn_hash64(words, sizeof words, purpose) >> 11) * 0x1p-53;
}

/* One of the candidates of a set, evenly, by a hash of the decision and the candidate's id: its place in the view does
 * not matter. `mask` are the exclusions that count; provider < 0: any. */
static uint32_t draw_one(const struct vn_view *view, const struct vn_decision *d, const struct vn_decision_id *id,
                         uint64_t purpose, uint32_t mask, int provider)
{
        uint32_t chosen = VN_NO_CANDIDATE;
        uint64_t best = 0;
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_endpoint *e = &view->endpoint[i];
                if (d->excluded[i] & mask || (provider >= 0 && (int)e->provider != provider))
                        continue;
                uint64_t words[4] = {id->origin, id->loop, id->sequence, e->id};
                uint64_t key = vn_hash64(words, sizeof words, purpose);
                if (chosen == VN_NO_CANDIDATE || key < best || (key == best && e->id < view->endpoint[chosen].id)) {
                        best = key;
                        chosen = i;
                }
        }
        return chosen;
}

static void split_shares(const struct vn_view *view, const uint32_t *excluded, double ret[VN_PROVIDER_COUNT])
{
        double sum = 0;
        for (unsigned p = 0; p < VN_PROVIDER_COUNT; p++)
                ret[p] = 0;
        for (uint32_t i = 0; i < view->count; i++)
                if (!(excluded[i] & VN_EXCLUDED_NEVER_RELAXED))
                        ret[view->endpoint[i].provider] = view->policy.fallback[view->endpoint[i].provider];
        for (unsigned p = 0; p < VN_PROVIDER_COUNT; p++)
                sum += ret[p];
        for (unsigned p = 0; p < VN_PROVIDER_COUNT && sum > 0; p++)
                ret[p] /= sum;
}

void vn_decide_split(const struct vn_view *view, double ret[VN_PROVIDER_COUNT])
{
        split_shares(view, view->excluded, ret);
}

/* Nothing is feasible, or all is paused: the declared split, which the policy's law still binds. Within a cloud the
 * healthy and unpaused candidates come first. */
static void decide_split(const struct vn_view *view, const struct vn_question *question, struct vn_decision *d)
{
        double share[VN_PROVIDER_COUNT], at = vn_decide_draw(&question->id, DRAW_SPLIT);
        const uint32_t ill = 1u << VN_EXCLUDED_UNHEALTHY | 1u << VN_EXCLUDED_PAUSED | 1u << VN_EXCLUDED_BREAKER |
                             1u << VN_EXCLUDED_THROTTLED | 1u << VN_EXCLUDED_MEMORY;
        int provider = -1;
        split_shares(view, d->excluded, share);
        for (unsigned p = 0; p < VN_PROVIDER_COUNT; p++) {
                if (share[p] <= 0)
                        continue;
                provider = (int)p;
                if (at < share[p])
                        break;
                at -= share[p];
        }
        d->status = VN_DECIDED_SPLIT;
        d->choice = draw_one(view, d, &question->id, DRAW_SPLIT_WHICH, VN_EXCLUDED_NEVER_RELAXED | ill, provider);
        if (d->choice == VN_NO_CANDIDATE)
                d->choice = draw_one(view, d, &question->id, DRAW_SPLIT_WHICH, VN_EXCLUDED_NEVER_RELAXED, provider);
        if (d->choice == VN_NO_CANDIDATE)
                d->status = VN_DECIDED_NONE;
}

static inline bool better(const struct vn_view *view, const double *score, uint32_t a, uint32_t b)
{
        if (score[a] != score[b])
                return score[a] < score[b];
        return view->endpoint[a].id < view->endpoint[b].id;
}

/* Best and second best of the feasible. */
static void pick(const struct vn_view *view, const double *score, struct vn_decision *d)
{
        uint32_t first = VN_NO_CANDIDATE, second = VN_NO_CANDIDATE;
        for (uint32_t i = 0; i < view->count; i++) {
                if (d->excluded[i])
                        continue;
                d->feasible++;
                if (first == VN_NO_CANDIDATE || better(view, score, i, first)) {
                        second = first;
                        first = i;
                } else if (second == VN_NO_CANDIDATE || better(view, score, i, second)) {
                        second = i;
                }
        }
        d->best = d->choice = first;
        d->runner_up = second;
        if (first != VN_NO_CANDIDATE) /* its risk is next */
                fetch(&view->endpoint[first], sizeof view->endpoint[first]);
        if (second != VN_NO_CANDIDATE)
                __builtin_prefetch(&view->endpoint[second].samples);
}

/* Estimates rest on samples: their relative error is taken as 5 % and what few samples add. */
static float confidence(const struct vn_view *view, const struct vn_decision *d)
{
        if (d->runner_up == VN_NO_CANDIDATE)
                return 1.f;
        double n1 = (double)view->endpoint[d->choice].samples + 1,
               n2 = (double)view->endpoint[d->runner_up].samples + 1;
        double variance = d->score * d->score * (.0025 + .25 / n1) +
                          d->runner_up_score * d->runner_up_score * (.0025 + .25 / n2);
        return variance > 0 ? (float)vn_sigmoid(1.702 * d->margin / vn_sqrt(variance)) : .5f;
}

static void finish(const struct context *c, const struct vn_question *question, struct vn_decision *d)
{
        uint32_t i = d->choice;
        d->features = features_at(c, i, cold_at(c, i));
        d->score = score_of(&d->features, &c->weights);
        d->cost = cost_of(&d->features);
        d->latency_us = latency_of(&d->features);
        if (d->runner_up != VN_NO_CANDIDATE) {
                d->runner_up_features = features_at(c, d->runner_up, cold_at(c, d->runner_up));
                d->runner_up_score = score_of(&d->runner_up_features, &c->weights);
                d->margin = d->runner_up_score - d->score;
        }
        d->confidence = d->status == VN_DECIDED ? confidence(c->view, d) : 0.f;
        vn_risk_of(c->view, question, c->live, i, &d->features, &d->risk);
}

static void decision_init(const struct context *c, struct vn_decision *d)
{
        memset(d, 0, offsetof(struct vn_decision, excluded)); /* excluded[] is written for every candidate */
        memset(d->excluded + c->view->count, 0, sizeof(uint32_t) * (VN_VIEW_MAX_ENDPOINTS - c->view->count));
        d->choice = d->best = d->runner_up = VN_NO_CANDIDATE;
        d->count = c->view->count;
        d->weights = c->weights;
        d->over_budget =
                c->view->policy.budget_usd_per_day > 0 && c->view->spent_usd >= c->view->policy.budget_usd_per_day;
}

void vn_decide(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
               struct vn_decision *ret)
{
        struct context context, *c = &context;
        double score[VN_VIEW_MAX_ENDPOINTS];
        uint32_t excluded[VN_VIEW_MAX_ENDPOINTS];

        VN_ASSERT(view->sealed);
        context_init(c, view, question, live);
        fetch_rows(c);
        decision_init(c, ret);
        score_all(c, score, excluded);
        exclude_set(&question->caller_excluded, VN_EXCLUDED_CALLER, view->count, excluded);
        exclude_set(&live->breaker_open, VN_EXCLUDED_BREAKER, view->count, excluded);
        memcpy(ret->excluded, excluded, sizeof *excluded * view->count);
        pick(view, score, ret);
        if (ret->feasible == 0 || view->paused) {
                ret->runner_up = VN_NO_CANDIDATE;
                decide_split(view, question, ret);
                if (ret->status == VN_DECIDED_NONE)
                        return;
        } else if (ret->feasible > 1 && view->policy.exploration > 0 &&
                   vn_decide_draw(&question->id, DRAW_EXPLORE) < view->policy.exploration) {
                ret->choice = draw_one(view, ret, &question->id, DRAW_EXPLORE_WHICH, UINT32_MAX, -1);
                ret->explored = ret->choice != ret->best;
                if (ret->explored)
                        ret->runner_up = ret->best;
        }
        finish(c, question, ret);
}

void vn_decide_features(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                        uint32_t candidate, struct vn_features *ret)
{
        struct context context;
        VN_ASSERT(view->sealed && candidate < view->count);
        context_init(&context, view, question, live);
        *ret = features_at(&context, candidate, cold_at(&context, candidate));
}

void vn_live_assigned(struct vn_live *live, uint32_t candidate)
{
        live->assigned[candidate] = (uint16_t)(live->assigned[candidate] + (live->assigned[candidate] < VN_LIVE_MAX));
        live->in_flight[candidate] =
                (uint16_t)(live->in_flight[candidate] + (live->in_flight[candidate] < VN_LIVE_MAX));
}

void vn_live_finished(struct vn_live *live, uint32_t candidate)
{
        live->in_flight[candidate] = (uint16_t)(live->in_flight[candidate] - (live->in_flight[candidate] > 0));
}

static char *put_hex(char *to, uint64_t value, unsigned min_digits)
{
        unsigned digits = value ? (67u - (unsigned)__builtin_clzll(value)) / 4 : 1;
        for (digits = digits < min_digits ? min_digits : digits; digits-- > 0;)
                *to++ = "0123456789abcdef"[value >> (4 * digits) & 15];
        return to;
}

void vn_decision_id_format(const struct vn_decision_id *id, char ret[VN_DECISION_ID_TEXT_BYTES])
{
        /* "%016llx-%x-%llx", by hand: every answer carries one. */
        char *at = put_hex(ret, id->origin, 16);
        *at++ = '-';
        at = put_hex(at, id->loop, 1);
        *at++ = '-';
        *put_hex(at, id->sequence, 1) = 0;
}

static bool hex_part(struct vn_str part, size_t max, uint64_t *ret)
{
        *ret = 0;
        for (size_t i = 0; i < part.len; i++) {
                char ch = part.ptr[i];
                unsigned digit = ch >= '0' && ch <= '9'   ? (unsigned)(ch - '0')
                                 : ch >= 'a' && ch <= 'f' ? (unsigned)(ch - 'a') + 10
                                                          : 16;
                if (digit > 15)
                        return false;
                *ret = *ret << 4 | digit;
        }
        return part.len >= 1 && part.len <= max;
}

enum vn_rc vn_decision_id_parse(struct vn_str text, struct vn_decision_id *ret)
{
        uint64_t origin, loop, sequence;
        char canonical[VN_DECISION_ID_TEXT_BYTES];
        struct vn_str whole = text, a = vn_str_cut(&text, '-'), b = vn_str_cut(&text, '-');
        if (!hex_part(a, 16, &origin) || !hex_part(b, 8, &loop) || !text.ptr || !hex_part(text, 16, &sequence))
                return VN_INVALID_ARGUMENT;
        *ret = (struct vn_decision_id){origin, (uint32_t)loop, sequence};
        vn_decision_id_format(ret, canonical);
        return vn_str_eq(whole, vn_str(canonical)) ? VN_OK : VN_INVALID_ARGUMENT;
}
