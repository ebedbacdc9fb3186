// Trains a small network on two spirals that wind around each other, and resumes it from a file half way.
//
// cargo build --release -p lanestep-capi
// cc -O2 -Icrates/lanestep-capi/include crates/lanestep-capi/examples/spiral.c -o spiral
//    -Ltarget/release -Wl,-rpath,target/release -llanestep_capi -lm
#include "lanestep.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 200, HIDDEN = 32, TENSORS = 6, EPOCHS = 600 };

// A network of two hidden layers: its parameters, and gradients of the same form.
typedef struct {
  float w1[HIDDEN][2], b1[HIDDEN], w2[HIDDEN][HIDDEN], b2[HIDDEN], w3[HIDDEN], b3[1];
} Net;

static const char layout[] = "[[\"w1\", [32, 2]], [\"b1\", [32]], [\"w2\", [32, 32]], [\"b2\", [32]], [\"w3\", [32]], [\"b3\", [1]]]";
// Weights decay, biases do not.
static const char groups[] =
    "[{\"rule\": {\"rule\": \"AdamW\", \"lr\": 0.02, \"weight_decay\": 0.001}, \"tensors\": [\"w1\", \"w2\", \"w3\"]},"
    " {\"rule\": {\"rule\": \"AdamW\", \"lr\": 0.02, \"weight_decay\": 0}, \"tensors\": [\"b1\", \"b2\", \"b3\"]}]";

static void check(LanestepStatus status) {
  if (status == LANESTEP_STATUS_OK) return;
  fprintf(stderr, "error %d: %s\n", (int)status, lanestep_last_error());
  exit(1);
}

static void describe(LanestepTensor tensors[TENSORS], Net *net, Net *grads) {
  float *params[TENSORS] = {net->w1[0], net->b1, net->w2[0], net->b2, net->w3, net->b3};
  float *of[TENSORS] = {grads->w1[0], grads->b1, grads->w2[0], grads->b2, grads->w3, grads->b3};
  static const char *const names[TENSORS] = {"w1", "b1", "w2", "b2", "w3", "b3"};
  static const size_t lens[TENSORS] = {2 * HIDDEN, HIDDEN, HIDDEN * HIDDEN, HIDDEN, HIDDEN, 1};
  memset(tensors, 0, TENSORS * sizeof *tensors);
  for (int i = 0; i < TENSORS; i++) {
    tensors[i].params = params[i], tensors[i].grads = of[i], tensors[i].len = lens[i];
    tensors[i].name = names[i];
    tensors[i].zero_grads = 1; // for the next epoch to add to
  }
}

static float uniform(float size) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return size * ((float)(state >> 40 & 0xffff) / 32768 - 1);
}

// Adds the gradient of the mean loss to `grads`, and returns the share of points that are told right.
static double backward(const Net *net, Net *grads) {
  int right = 0;
  for (int i = 0; i < POINTS; i++) {
    const float turn = 3 * (float)(i / 2) / (POINTS / 2), label = i % 2 ? 1 : -1;
    const float x[2] = {label * turn * cosf(2 * turn) / 3, label * turn * sinf(2 * turn) / 3};
    float h1[HIDDEN], h2[HIDDEN], d1[HIDDEN] = {0}, out = net->b3[0];
    for (int j = 0; j < HIDDEN; j++) h1[j] = tanhf(net->w1[j][0] * x[0] + net->w1[j][1] * x[1] + net->b1[j]);
    for (int j = 0; j < HIDDEN; j++) {
      float sum = net->b2[j];
      for (int k = 0; k < HIDDEN; k++) sum += net->w2[j][k] * h1[k];
      h2[j] = tanhf(sum);
      out += net->w3[j] * h2[j];
    }
    right += out * label > 0;
    const float d = -label / (1 + expf(label * out)) / POINTS; // of the logistic loss
    grads->b3[0] += d;
    for (int j = 0; j < HIDDEN; j++) {
      grads->w3[j] += d * h2[j];
      const float d2 = d * net->w3[j] * (1 - h2[j] * h2[j]);
      grads->b2[j] += d2;
      for (int k = 0; k < HIDDEN; k++) grads->w2[j][k] += d2 * h1[k], d1[k] += d2 * net->w2[j][k];
    }
    for (int j = 0; j < HIDDEN; j++) {
      const float dj = d1[j] * (1 - h1[j] * h1[j]);
      grads->b1[j] += dj, grads->w1[j][0] += dj * x[0], grads->w1[j][1] += dj * x[1];
    }
  }
  return (double)right / POINTS;
}

int main(void) {
  if (lanestep_abi() != LANESTEP_ABI) return fprintf(stderr, "the library is not this header's\n"), 1;
  Net net = {0}, grads = {0};
  for (int j = 0; j < HIDDEN; j++) {
    net.w1[j][0] = uniform(1), net.w1[j][1] = uniform(1), net.w3[j] = uniform(0.2f);
    for (int k = 0; k < HIDDEN; k++) net.w2[j][k] = uniform(0.2f);
  }
  LanestepTensor tensors[TENSORS];
  describe(tensors, &net, &grads);
  LanestepOptimizer *optimizer = NULL;
  check(lanestep_new_with(groups, layout, &optimizer));
  LanestepPipeline pipeline = lanestep_pipeline();
  pipeline.has_max_norm = 1, pipeline.max_norm = 1;
  double right = 0;
  for (int epoch = 0; epoch < EPOCHS; epoch++) {
    right = backward(&net, &grads);
    LanestepReport report;
    check(lanestep_step(optimizer, tensors, TENSORS, &pipeline, &report));
    if (epoch % 100 == 0) printf("epoch %3d: %3.0f %% right, norm %.4f\n", epoch, 100 * right, report.norm);
    if (epoch == EPOCHS / 2) { // as if the program began again here
      check(lanestep_save(optimizer, "spiral.safetensors", tensors, TENSORS, NULL));
      lanestep_free(optimizer), optimizer = NULL;
      memset(&net, 0, sizeof net);
      check(lanestep_load("spiral.safetensors", layout, tensors, TENSORS, &optimizer));
    }
  }
  printf("at the end: %.0f %% right\n", 100 * right);
  lanestep_free(optimizer);
  return right > 0.95 ? 0 : 1;
}
