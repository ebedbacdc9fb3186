// Steps by each rule of the command line, and writes the bits of all parameters to the standard output.
#include "lanestep.h"
#include <stdio.h>
#include <stdlib.h>

enum { TENSORS = 4, LEN = 33007, STEPS = 2 };
static const size_t lens[TENSORS] = {1000, 0, 32000, 7};

static void check(LanestepStatus status) {
  if (status != LANESTEP_STATUS_OK) {
    fprintf(stderr, "error %d: %s\n", (int)status, lanestep_last_error());
    exit(2);
  }
}

// Numbers of 24 bits, in (-1, 1), which the test in Rust makes too.
static uint32_t seed;
static float number(void) {
  seed = seed * 1664525u + 1013904223u;
  return (float)((int32_t)(seed >> 8) - (1 << 23)) / (1 << 23);
}

int main(int count, char **rules) {
  float *params = malloc(LEN * sizeof *params), *grads = malloc(LEN * sizeof *grads);
  for (int rule = 1; rule < count; rule++) {
    LanestepOptimizer *optimizer = NULL;
    check(lanestep_new_with(rules[rule], "[[\"a\", [10, 100]], [\"none\", [0]], [\"b\", [32000]], [\"c\", [7]]]",
                            &optimizer));
    check(lanestep_set_threads(optimizer, 1 + (size_t)rule % 3));
    seed = (uint32_t)rule;
    for (int i = 0; i < LEN; i++) params[i] = number();
    static const char *const names[TENSORS] = {"a", "none", "b", "c"};
    LanestepTensor tensors[TENSORS];
    size_t start = 0;
    for (int i = 0; i < TENSORS; start += lens[i], i++) {
      LanestepTensor tensor = {0};
      tensor.params = params + start, tensor.grads = grads + start, tensor.len = lens[i];
      tensor.name = names[i];
      tensors[i] = tensor;
    }
    LanestepPipeline pipeline = lanestep_pipeline();
    pipeline.has_max_norm = 1, pipeline.max_norm = 0.5;
    pipeline.measure_update = 1;
    LanestepReport report;
    for (int step = 0; step < STEPS; step++) {
      for (int i = 0; i < LEN; i++) grads[i] = number();
      check(lanestep_step(optimizer, tensors, TENSORS, &pipeline, &report));
    }
    const double found[4] = {report.norm, report.clip_factor, report.update_norm, report.params_norm};
    fwrite(params, sizeof *params, LEN, stdout);
    fwrite(found, sizeof *found, 4, stdout);
    lanestep_free(optimizer);
  }
  free(params), free(grads);
  return 0;
}
