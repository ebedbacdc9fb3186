/* What one writes in C for a compiler to vectorize: AdamW with its defaults, the correction folded into the
   coefficients, no care for subnormal numbers. */
#include <math.h>
#include <stddef.h>

void adamw(size_t n, float *restrict p, const float *restrict g, float *restrict m, float *restrict v, float decay,
           float rest1, float beta2, float rest2, float lr, float eps) {
    for (size_t i = 0; i < n; i++) {
        m[i] += rest1 * (g[i] - m[i]);
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
        p[i] = p[i] - decay * p[i] - lr * m[i] / (sqrtf(v[i]) + eps);
    }
}
