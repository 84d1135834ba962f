/* Federated averaging learns from accounts whose data differ: FedProx's Synthetic(alpha, beta) (Li et al. 2020), a small
 * one. Softmax regression with plain local gradient steps; averaging and forward pass are the library's. */
#include "base/detmath.h"
#include "base/hash.h"
#include "federation/aggregate.h"
#include "federation/model.h"
#include "tests/test.h"

enum { CLIENTS = 12, DIM = 60, CLASSES = 10, PARAMETERS = (DIM + 1) * CLASSES, MAX_ROWS = 220 };
static const struct vn_net_shape softmax_shape = {1, VN_ACTIVATION_RELU, {DIM, CLASSES, 0, 0, 0}, 0};

struct client {
        char name[12];
        size_t rows, train_rows; /* 90 % are trained on */
        float x[MAX_ROWS][DIM];
        uint8_t label[MAX_ROWS];
};

static uint8_t best_of(const float *scores)
{
        uint8_t best = 0;
        for (unsigned c = 1; c < CLASSES; c++)
                if (scores[c] > scores[best])
                        best = (uint8_t)c;
        return best;
}

static void client_make(struct client *client, int number, double alpha, double beta, struct vn_rng *rng)
{
        static float truth[PARAMETERS];
        double u = alpha * vn_rng_normal(rng), centre = beta * vn_rng_normal(rng), v[DIM];
        snprintf(client->name, sizeof client->name, "client-%02d", number);
        double size = vn_exp(4 + 2 * vn_rng_normal(rng)) + 50;
        client->rows = size > MAX_ROWS ? MAX_ROWS : (size_t)size;
        client->train_rows = client->rows * 9 / 10;
        for (size_t i = 0; i < PARAMETERS; i++)
                truth[i] = (float)(u + vn_rng_normal(rng));
        for (size_t j = 0; j < DIM; j++)
                v[j] = centre + vn_rng_normal(rng);
        for (size_t r = 0; r < client->rows; r++) {
                float scores[CLASSES];
                for (size_t j = 0; j < DIM; j++)
                        client->x[r][j] = (float)(v[j] + vn_pow((double)(j + 1), -0.6) * vn_rng_normal(rng));
                vn_net_forward(&softmax_shape, truth, client->x[r], scores);
                client->label[r] = best_of(scores);
        }
}

/* One step down the cross-entropy of one row. */
static void step(float *p, const float *x, uint8_t label, double rate)
{
        float scores[CLASSES];
        double e[CLASSES], sum = 0;
        vn_net_forward(&softmax_shape, p, x, scores);
        float top = scores[best_of(scores)];
        for (int c = 0; c < CLASSES; c++)
                sum += e[c] = vn_exp((double)(scores[c] - top));
        for (int c = 0; c < CLASSES; c++) {
                double delta = rate * (e[c] / sum - (c == label));
                for (size_t j = 0; j < DIM; j++)
                        p[j * CLASSES + (size_t)c] -= (float)(delta * (double)x[j]);
                p[DIM * CLASSES + c] -= (float)delta;
        }
}

static double held_out_accuracy(const struct client *clients, const float *p)
{
        size_t right = 0, all = 0;
        for (int k = 0; k < CLIENTS; k++)
                for (size_t r = clients[k].train_rows; r < clients[k].rows; r++, all++) {
                        float scores[CLASSES];
                        vn_net_forward(&softmax_shape, p, clients[k].x[r], scores);
                        right += best_of(scores) == clients[k].label[r];
                }
        return (double)right / (double)all;
}

static double federate(const struct client *clients, int rounds, float *global)
{
        float *local = vn_alloc_array((size_t)CLIENTS * PARAMETERS, sizeof(float));
        memset(global, 0, PARAMETERS * sizeof(float));
        for (int round = 0; round < rounds; round++) {
                struct vn_update updates[CLIENTS];
                for (int k = 0; k < CLIENTS; k++) {
                        float *p = local + (size_t)k * PARAMETERS;
                        memcpy(p, global, PARAMETERS * sizeof(float));
                        for (int epoch = 0; epoch < 3; epoch++)
                                for (size_t r = 0; r < clients[k].train_rows; r++)
                                        step(p, clients[k].x[r], clients[k].label[r], 0.02);
                        /* Handed over in another order each round: it must not matter. */
                        updates[(k + round) % CLIENTS] =
                                (struct vn_update){clients[k].name, (double)clients[k].train_rows, p};
                }
                CHECK_OK(vn_aggregate(vn_strategy_find("fedavg"), updates, CLIENTS, PARAMETERS, 2, global, NULL));
        }
        vn_free(local);
        return held_out_accuracy(clients, global);
}

static void check_convergence(double alpha, double beta, double least)
{
        static struct client clients[CLIENTS];
        struct vn_rng rng;
        vn_rng_seed(&rng, 1);
        for (int k = 0; k < CLIENTS; k++)
                client_make(&clients[k], k, alpha, beta, &rng);
        float early[PARAMETERS], late[PARAMETERS];
        double first = federate(clients, 1, early), last = federate(clients, 15, late);
        printf("  Synthetic(%.1f, %.1f): %.3f after 1 round, %.3f after 15\n", alpha, beta, first, last);
        CHECK(last >= least);
        CHECK(last >= first);
}

TEST(fedavg_converges_on_synthetic_accounts)
{
        check_convergence(0, 0, 0.5);
        check_convergence(1, 1, 0.5);
}
