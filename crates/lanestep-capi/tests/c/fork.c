// Steps, forks, and steps in the child, whose bits must be the parent's: over threads, which the child does not inherit.
#define _POSIX_C_SOURCE 200809L
#include "lanestep.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEN = 40000, STEPS = 3, CHILDREN = 4 };

static void check(LanestepStatus status) {
  if (status != LANESTEP_STATUS_OK) {
    fprintf(stderr, "error %d: %s\n", (int)status, lanestep_last_error());
    exit(2);
  }
}

static void steps(LanestepOptimizer *optimizer, float *params, float *grads) {
  LanestepTensor tensor = {0};
  tensor.params = params, tensor.grads = grads, tensor.len = LEN;
  LanestepPipeline pipeline = lanestep_pipeline();
  pipeline.has_max_norm = 1, pipeline.max_norm = 1;
  for (int step = 0; step < STEPS; step++) check(lanestep_step(optimizer, &tensor, 1, &pipeline, NULL));
}

int main(void) {
  float *params = malloc(LEN * sizeof *params), *grads = malloc(LEN * sizeof *grads);
  float *expected = malloc(LEN * sizeof *expected);
  for (int i = 0; i < LEN; i++) params[i] = (float)(i % 17), grads[i] = (float)(i % 23 - 11) / 16;
  LanestepOptimizer *optimizer = NULL;
  check(lanestep_new("{\"rule\": \"AdamW\", \"lr\": 0.01}", LEN, &optimizer));
  check(lanestep_set_threads(optimizer, 3));
  steps(optimizer, params, grads); // the parent's threads are there now

  LanestepOptimizer *other = NULL;
  check(lanestep_clone(optimizer, &other));
  memcpy(expected, params, LEN * sizeof *params);
  steps(other, expected, grads);

  for (int child = 0; child < CHILDREN; child++) {
    pid_t id = fork();
    if (id == 0) {
      alarm(60); // a child that waits for threads that are not there would wait for ever
      steps(optimizer, params, grads);
      if (memcmp(params, expected, LEN * sizeof *params) != 0) _exit(3);
      pid_t grandchild = fork();
      if (grandchild == 0) {
        alarm(60);
        steps(optimizer, params, grads);
        _exit(0);
      }
      int status = 0;
      waitpid(grandchild, &status, 0);
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
    }
    int status = 0;
    if (id < 0 || waitpid(id, &status, 0) != id || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      fprintf(stderr, "a child ended with %d\n", status);
      return 1;
    }
  }
  steps(optimizer, params, grads); // and the parent's threads still are
  if (memcmp(params, expected, LEN * sizeof *params) != 0) return 3;
  lanestep_free(other);
  lanestep_free(optimizer);
  free(params), free(grads), free(expected);
  return 0;
}
