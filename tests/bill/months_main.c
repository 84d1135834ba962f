/* months_main.c - reads months of usage from standard input and prints the bill of each, line by line, by platform/bill.h.
 * The language, a word to begin each line (tests/bill/README.md): month, free, rate, call, keep, end. Of the tests
 * only; what is malformed ends it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/mem.h"
#include "platform/bill.h"

#define MAX_FUNCTIONS 16
#define MAX_WORDS 12

struct month {
        struct vn_bill_rates rates;
        struct vn_bill_usage function[MAX_FUNCTIONS], all, before;
        struct vn_bill_line lines[VN_MAX_BILL_LINES];
        uint64_t id;
};

static _Noreturn void bad(const char *what)
{
        fprintf(stderr, "months: %s\n", what);
        exit(2);
}

static uint64_t number(struct vn_str word)
{
        uint64_t value;
        if (vn_str_to_u64(word, &value) != VN_OK)
                bad("not a number");
        return value;
}

static enum vn_bill_plan plan_of(struct vn_str word)
{
        enum vn_bill_plan plan;
        if (vn_bill_plan_parse(word, &plan) != VN_OK)
                bad("no such plan");
        return plan;
}

static void rate(struct month *m, const struct vn_str *word)
{
        enum vn_bill_meter meter;
        struct vn_err err;
        int64_t pico;
        if (vn_bill_meter_parse(word[2], &meter) != VN_OK || vn_decimal_parse(word[4], VN_PICO, &pico) != VN_OK)
                bad("no such meter, or no price");
        if (vn_bill_rate_add(&m->rates, plan_of(word[1]), meter, number(word[3]), pico, &err) != VN_OK)
                bad(err.msg);
}

static struct vn_bill_usage *usage_of(struct month *m, struct vn_str word)
{
        uint64_t f = number(word);
        if (f >= MAX_FUNCTIONS)
                bad("too many functions");
        return &m->function[f];
}

static void call(struct month *m, const struct vn_str *w)
{
        vn_bill_call(usage_of(m, w[1]), &(struct vn_bill_call){.plan = plan_of(w[2]),
                                                               .memory_mb = (uint32_t)number(w[3]),
                                                               .used_mb = (uint32_t)number(w[4]),
                                                               .storage_mb = (uint32_t)number(w[5]),
                                                               .milli_vcpu = (uint32_t)number(w[6]),
                                                               .run_us = number(w[7]),
                                                               .init_us = number(w[8]),
                                                               .response_bytes = number(w[9]),
                                                               .count = number(w[10]),
                                                               .ready = number(w[11]) != 0});
}

static void keep(struct month *m, const struct vn_str *w)
{
        vn_bill_keep(usage_of(m, w[1]), plan_of(w[2]), (uint32_t)number(w[3]), (uint32_t)number(w[4]),
                     (uint32_t)number(w[5]), number(w[6]));
}

static void show(uint64_t month, size_t function, const struct vn_bill_line *l)
{
        char amount[VN_DECIMAL_TEXT];
        vn_decimal_format(l->amount_pico_usd, VN_PICO, amount);
        printf("%" PRIu64 " %zu %s %s ", month, function, vn_bill_plan_name(l->plan), vn_bill_meter_name(l->meter));
        if (l->from == VN_BILL_GRANT)
                printf("grant %s\n", amount);
        else
                printf("%" PRIu64 " %s\n", l->from, amount);
}

static void end(struct month *m)
{
        struct vn_err err;
        size_t count;
        for (size_t f = 0; f < MAX_FUNCTIONS; f++) {
                vn_bill_settle(&m->function[f]);
                vn_bill_sum(&m->all, &m->function[f]);
        }
        if (vn_bill_price(&m->rates, &m->before, &m->all, m->lines, &count, &err) != VN_OK)
                bad(err.msg);
        for (size_t i = 0; i < count; i++)
                for (size_t f = 0; f < MAX_FUNCTIONS; f++) {
                        struct vn_bill_line part = vn_bill_share(&m->lines[i], &m->function[f], &m->all);
                        if (m->function[f].grains[part.plan][part.meter])
                                show(m->id, f, &part);
                }
}

static void take(struct month *m, const struct vn_str *word, size_t count)
{
        static const struct {
                const char *name;
                size_t words;
        } known[] = {{"month", 2}, {"free", 3}, {"rate", 5}, {"call", 12}, {"keep", 7}, {"end", 1}};
        size_t k = 0;
        while (k < 6 && !vn_str_eq(word[0], vn_str(known[k].name)))
                k++;
        if (k == 6 || known[k].words != count)
                bad("a line that is not understood");
        switch (k) {
        case 0:
                memset(m, 0, sizeof *m);
                m->id = number(word[1]);
                break;
        case 1:
                m->rates.lambda_free_gb_s = number(word[1]);
                m->rates.lambda_free_requests = number(word[2]);
                break;
        case 2: rate(m, word); break;
        case 3: call(m, word); break;
        case 4: keep(m, word); break;
        default: end(m);
        }
}

int main(void)
{
        static struct month month;
        static char line[512];
        while (fgets(line, sizeof line, stdin)) {
                line[strcspn(line, "\n")] = '\0';
                struct vn_str rest = vn_str(line), word[MAX_WORDS];
                size_t count = 0;
                while (rest.len && count < MAX_WORDS)
                        word[count++] = vn_str_cut(&rest, ' ');
                if (rest.len || !count)
                        bad("a line that is not understood");
                take(&month, word, count);
        }
        return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
