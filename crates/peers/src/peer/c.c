/* AdamW as one writes it in C for a compiler to vectorize, over all tensors in one parallel region: the correction folded
   into the coefficients, no care for subnormal numbers. */
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

#define UPDATE(G)                                                                                                      \
    do {                                                                                                               \
        m[i] += rest1 * ((G) - m[i]);                                                                                  \
        v[i] = beta2 * v[i] + rest2 * (G) * (G);                                                                       \
        p[i] = p[i] - decay * p[i] - lr * m[i] / (sqrtf(v[i]) + eps);                                                  \
    } while (0)

/* Where there is one thread, no region: what one would write for it. */
#define ADAMW(NAME, G)                                                                                                 \
    static void NAME##_serial(size_t n, float *restrict p, const float *restrict g, float *restrict m,                 \
                              float *restrict v, const struct coefficients *c, float factor) {                         \
        const float decay = c->decay, rest1 = c->rest1, beta2 = c->beta2, rest2 = c->rest2, lr = c->lr, eps = c->eps;  \
        (void)factor;                                                                                                  \
        for (size_t i = 0; i < n; i++)                                                                                 \
            UPDATE(G);                                                                                                 \
    }                                                                                                                  \
    void NAME(const struct tensor *tensors, size_t count, const struct coefficients *c, float factor, int threads) {   \
        const float decay = c->decay, rest1 = c->rest1, beta2 = c->beta2, rest2 = c->rest2, lr = c->lr, eps = c->eps;  \
        if (threads == 1) {                                                                                            \
            for (size_t k = 0; k < count; k++)                                                                         \
                NAME##_serial(tensors[k].len, tensors[k].p, tensors[k].g, tensors[k].m, tensors[k].v, c, factor);      \
            return;                                                                                                    \
        }                                                                                                              \
        _Pragma("omp parallel num_threads(threads)")                                                                   \
        for (size_t k = 0; k < count; k++) {                                                                           \
            const size_t n = tensors[k].len;                                                                           \
            float *p = tensors[k].p, *m = tensors[k].m, *v = tensors[k].v;                                             \
            const float *g = tensors[k].g;                                                                             \
            _Pragma("omp for simd schedule(static) nowait")                                                            \
            for (size_t i = 0; i < n; i++)                                                                             \
                UPDATE(G);                                                                                             \
        }                                                                                                              \
    }

ADAMW(adamw, g[i])
ADAMW(adamw_scaled, (factor * g[i]))

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

/* The same streams with next to no arithmetic. */
static void move_serial(size_t n, float *restrict p, const float *restrict g, float *restrict m, float *restrict v) {
    for (size_t i = 0; i < n; i++) {
        p[i] += g[i];
        m[i] += g[i];
        v[i] += g[i];
    }
}

void move_memory(const struct tensor *tensors, size_t count, int threads) {
    if (threads == 1) {
        for (size_t k = 0; k < count; k++)
            move_serial(tensors[k].len, tensors[k].p, tensors[k].g, tensors[k].m, tensors[k].v);
        return;
    }
#pragma omp parallel num_threads(threads)
    for (size_t k = 0; k < count; k++) {
        const size_t n = tensors[k].len;
        float *p = tensors[k].p, *m = tensors[k].m, *v = tensors[k].v;
        const float *g = tensors[k].g;
#pragma omp for simd schedule(static) nowait
        for (size_t i = 0; i < n; i++) {
            p[i] += g[i];
            m[i] += g[i];
            v[i] += g[i];
        }
    }
}
