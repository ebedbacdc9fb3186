/* AdamW as one writes it in C for a compiler to vectorize: the correction folded into the coefficients, no care for
   subnormal numbers. Over all tensors in one parallel region; on one thread without a region, as one would write that. */
#include <math.h>
#include <stddef.h>

struct coefficients {
    float decay, rest1, beta2, rest2, lr, eps;
};

struct tensor {
    size_t len;
    float *p;
    const float *g;
    float *m, *v;
};

#define COEFFICIENTS                                                                                                   \
    const float decay = c->decay, rest1 = c->rest1, beta2 = c->beta2, rest2 = c->rest2, lr = c->lr, eps = c->eps;

#define LOOP(NAME, BODY)                                                                                               \
    static void NAME##_serial(size_t n, float *restrict p, const float *restrict g, float *restrict m,                 \
                              float *restrict v, const struct coefficients *c, float factor) {                         \
        COEFFICIENTS                                                                                                   \
        for (size_t i = 0; i < n; i++)                                                                                 \
            BODY                                                                                                       \
    }                                                                                                                  \
    void NAME(const struct tensor *tensors, size_t count, const struct coefficients *c, float factor, int threads) {   \
        COEFFICIENTS                                                                                                   \
        if (threads == 1) {                                                                                            \
            for (const struct tensor *t = tensors; t < tensors + count; t++)                                           \
                NAME##_serial(t->len, t->p, t->g, t->m, t->v, c, factor);                                              \
            return;                                                                                                    \
        }                                                                                                              \
        _Pragma("omp parallel num_threads(threads)")                                                                   \
        for (size_t k = 0; k < count; k++) {                                                                           \
            const size_t n = tensors[k].len;                                                                           \
            float *p = tensors[k].p, *m = tensors[k].m, *v = tensors[k].v;                                             \
            const float *g = tensors[k].g;                                                                             \
            _Pragma("omp for simd schedule(static) nowait")                                                            \
            for (size_t i = 0; i < n; i++)                                                                             \
                BODY                                                                                                   \
        }                                                                                                              \
    }

#define ADAMW(G)                                                                                                       \
    {                                                                                                                  \
        m[i] += rest1 * ((G) - m[i]);                                                                                  \
        v[i] = beta2 * v[i] + rest2 * (G) * (G);                                                                       \
        p[i] = p[i] - decay * p[i] - lr * m[i] / (sqrtf(v[i]) + eps);                                                  \
    }

LOOP(adamw, ADAMW(g[i]))
LOOP(adamw_scaled, ADAMW(factor * g[i]))

/* The ceiling: the same streams with next to no arithmetic. */
LOOP(move_memory, { p[i] += g[i]; m[i] += g[i]; v[i] += g[i]; })

/* The square of the gradients' norm. */
double squared(const struct tensor *tensors, size_t count, int threads) {
    double sum = 0;
    for (size_t k = 0; k < count; k++) {
        const float *g = tensors[k].g;
        const size_t n = tensors[k].len;
#pragma omp parallel for simd reduction(+ : sum) num_threads(threads)
        for (size_t i = 0; i < n; i++)
            sum += (double)g[i] * g[i];
    }
    return sum;
}
