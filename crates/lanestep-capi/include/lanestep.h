/* lanestep: the optimizer step on CPU. Made by cbindgen from the sources of lanestep-capi: do not edit. */

#ifndef LANESTEP_H
#define LANESTEP_H

#include <stddef.h>
#include <stdint.h>

// The number of this header's interface. It changes when a function or a structure does, not when one is added.
#define LANESTEP_ABI 1

// What a call says: 0 is success. Of all else `lanestep_last_error` has the words. Unless it says so itself, a call that
// fails has written nothing, but for the message.
typedef enum LanestepStatus {
  // Done.
  LANESTEP_STATUS_OK = 0,
  // A pointer is null that must not be.
  LANESTEP_STATUS_NULL = 1,
  // A pointer is not aligned to what it points to.
  LANESTEP_STATUS_ALIGNMENT = 2,
  // There are too many elements or too few, or more than memory can have.
  LANESTEP_STATUS_LENGTH = 3,
  // Memory that is written is also another tensor's, or another part of the same one.
  LANESTEP_STATUS_OVERLAP = 4,
  // A number is out of its range: a hyperparameter, an option of the pipeline, an enumeration.
  LANESTEP_STATUS_VALUE = 5,
  // A text is not UTF-8, or not the JSON that it must be.
  LANESTEP_STATUS_TEXT = 6,
  // There is nothing of this name or number, or two of one name.
  LANESTEP_STATUS_NAME = 7,
  // Groups do not hold every parameter once.
  LANESTEP_STATUS_GROUPS = 8,
  // Parameters are kept in another format than the call takes.
  LANESTEP_STATUS_FORMAT = 9,
  // The optimizer is not in a state for this: there is no average yet, or it is in the place of the parameters.
  LANESTEP_STATUS_STATE = 10,
  // Gradients are not finite, and the pipeline makes an error of them.
  LANESTEP_STATUS_NON_FINITE = 11,
  // There is no room in memory.
  LANESTEP_STATUS_MEMORY = 12,
  // A file could not be opened, read or written.
  LANESTEP_STATUS_FILE = 13,
  // A file is no checkpoint, or a broken one, or of something else.
  LANESTEP_STATUS_CHECKPOINT = 14,
  // Another thread is in a call with the same optimizer.
  LANESTEP_STATUS_BUSY = 15,
  // The system gives no threads.
  LANESTEP_STATUS_THREADS = 16,
  // An error that has no number here yet.
  LANESTEP_STATUS_OTHER = 17,
  // A bug in the library. Parameters and state may be half written.
  LANESTEP_STATUS_PANIC = 18,
} LanestepStatus;

// What numbers are kept as. They are computed with as `f32` in any case.
typedef enum LanestepFormat {
  // `float`.
  LANESTEP_FORMAT_F32 = 0,
  // The upper half of a `float`, in 2 bytes.
  LANESTEP_FORMAT_BF16 = 1,
  // IEEE 754's half precision, in 2 bytes.
  LANESTEP_FORMAT_F16 = 2,
  // One byte, and a `float` for every 256 of them. For state alone.
  LANESTEP_FORMAT_BLOCK8 = 3,
} LanestepFormat;

// How what is kept in less than 32 bits is rounded.
typedef enum LanestepRounding {
  // To the nearest number, to the even one of two.
  LANESTEP_ROUNDING_NEAREST = 0,
  // Up or down at random, so that the mean is exact.
  LANESTEP_ROUNDING_STOCHASTIC = 1,
} LanestepRounding;

// What to do if there are gradients that are not finite once they are scaled.
typedef enum LanestepNonFinite {
  // Go on.
  LANESTEP_NON_FINITE_PROPAGATE = 0,
  // Leave all as it is, but for gradients that are to be zero, and report it.
  LANESTEP_NON_FINITE_SKIP = 1,
  // Leave all as it is, and say `NON_FINITE`.
  LANESTEP_NON_FINITE_ERROR = 2,
} LanestepNonFinite;

// What there is of an average of the weights.
typedef enum LanestepEma {
  // None.
  LANESTEP_EMA_NONE = 0,
  // It begins with the next step.
  LANESTEP_EMA_WAITING = 1,
  // It is kept.
  LANESTEP_EMA_KEPT = 2,
  // It has changed places with the parameters.
  LANESTEP_EMA_SWAPPED = 3,
} LanestepEma;

// An optimizer. What changes it must be alone with it: a call that meets another thread's changes nothing and says `BUSY`.
typedef struct LanestepOptimizer LanestepOptimizer;

// One tensor: contiguous, in host memory, `len` numbers of each kind. All zero but for `params`, `grads` and `len`, it is of
// `float`, without a mirror and without a name, and its gradients are only read.
typedef struct LanestepTensor {
  // What is updated.
  void *params;
  // Null: there are none this time, and a step leaves the tensor alone. They are only read, unless `zero_grads` is set.
  void *grads;
  // Null: none. A copy of the parameters that a step writes, rounded to the nearest.
  void *mirror;
  // Null: none. Else it must be the name in the tensor's place of the layout.
  const char *name;
  // How many numbers.
  size_t len;
  // A `LanestepFormat`, but not `BLOCK8`.
  int32_t params_format;
  // The same of the gradients.
  int32_t grads_format;
  // The same of the mirror.
  int32_t mirror_format;
  // Not 0: a step sets the gradients to zero in the same pass, also if it is skipped, but not if it fails.
  int32_t zero_grads;
} LanestepTensor;

// What is done to the gradients of a step on their way in, in this order: they are multiplied by `scale`, by what brings their norm
// down to `max_norm`, and clamped to `clip_value`. `lanestep_pipeline` makes one that does nothing.
typedef struct LanestepPipeline {
  // The inverse of a loss scale or of a number of micro-batches, in `[0, FLT_MAX]`: 1 for nothing.
  double scale;
  // The largest norm of all gradients together, in `[0, FLT_MAX]`.
  double max_norm;
  // The largest magnitude of a gradient, in `[0, FLT_MAX]`.
  double clip_value;
  // The least parameter that stays after the update.
  double min_param;
  // The largest.
  double max_param;
  // Not 0: `max_norm` is meant, or else it is not looked at.
  int32_t has_max_norm;
  // The same of `clip_value`.
  int32_t has_clip_value;
  // The same of `min_param`.
  int32_t has_min_param;
  // The same of `max_param`.
  int32_t has_max_param;
  // A `LanestepNonFinite`.
  int32_t non_finite;
  // Not 0: report on the gradients, even if nothing above needs to know them.
  int32_t measure_grads;
  // Not 0: report how far the parameters have moved.
  int32_t measure_update;
} LanestepPipeline;

// What a step has found and done.
typedef struct LanestepReport {
  // The norm of the gradients, scaled and not yet clipped.
  double norm;
  // The largest magnitude of one; NaN if one is NaN.
  double max_abs;
  // What `max_norm` has multiplied them by; 1 if it has not.
  double clip_factor;
  // The norm of the difference between the parameters after the step and before.
  double update_norm;
  // The norm of the parameters after the step.
  double params_norm;
  // How many gradients are not finite.
  uint64_t non_finite;
  // The place of the first of them among all.
  uint64_t first_non_finite;
  // 1 if `norm`, `max_abs` and `non_finite` were measured, else 0, as they are then.
  int32_t has_grads;
  // 1 if `update_norm` and `params_norm` were measured, else 0, as they are then.
  int32_t has_update;
  // 1 if there is a `first_non_finite`, else 0, as it is then.
  int32_t has_first_non_finite;
  // 1 if nothing was updated, because of gradients that are not finite, else 0.
  int32_t skipped;
} LanestepReport;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Writes all of an optimizer to a file, or replaces it: at any moment there is either the old one or the new one, whole. With
// tensors, their parameters go into it too; with `extra`, which is JSON and may be null, whatever a trainer adds. The path is UTF-8.
//
// Errors: `FILE`, `CHECKPOINT`, `TEXT`, `STATE` if the parameters are in the place of their average, and `NULL`, `ALIGNMENT`,
// `LENGTH`, `VALUE`, `NAME` for tensors.
//
// # Safety
// `optimizer` is of this library and was not freed; `path`, and `extra` if it is not null, end with a zero; there are `count`
// tensors, whose parameters nobody writes meanwhile.
enum LanestepStatus lanestep_save(const struct LanestepOptimizer *optimizer,
                                  const char *path,
                                  const struct LanestepTensor *tensors,
                                  size_t count,
                                  const char *extra);

// The optimizer that was saved, into `*optimizer`: its next step has the same bits as if there had been no interruption. `layout` is
// JSON as for `lanestep_new_with`, which the file must fit; null takes the file's. With tensors, their parameters are read too. The
// path is UTF-8.
//
// Errors: `FILE`, `CHECKPOINT`, `TEXT`, `LENGTH` and `NAME` if the file is of other tensors, `MEMORY`, and `NULL`, `ALIGNMENT`,
// `OVERLAP`, `VALUE` for tensors.
//
// # Safety
// `path`, and `layout` if it is not null, end with a zero; there are `count` tensors, whose parameters are theirs as for
// `lanestep_step`; `optimizer` can be written.
enum LanestepStatus lanestep_load(const char *path,
                                  const char *layout,
                                  const struct LanestepTensor *tensors,
                                  size_t count,
                                  struct LanestepOptimizer **optimizer);

// What a trainer has added to a file, as JSON, into `*json`, which `lanestep_text_free` frees; the text `null` if it has not.
// Keys come in the order of their letters.
//
// Errors: `FILE`, `CHECKPOINT`, `TEXT`.
//
// # Safety
// `path` ends with a zero; `json` can be written.
enum LanestepStatus lanestep_load_extra(const char *path,
                                        char **json);

// All rules as JSON, into `*json`, which `lanestep_text_free` frees: a list of `{"defaults": {"rule": "AdamW", "lr": 0.001, ...},
// "state": ["exp_avg", "exp_avg_sq"]}`. The options are in the order of the rule's documentation. Another choice of options
// may take other state, which `lanestep_rule_state` tells.
//
// # Safety
// `json` can be written.
enum LanestepStatus lanestep_rules(char **json);

// The names of the state that a rule takes with the options that are given, as a JSON list, into `*json`, which
// `lanestep_text_free` frees.
//
// Errors: `TEXT`, and `VALUE` if an option is out of its range.
//
// # Safety
// `rule` ends with a zero; `json` can be written.
enum LanestepStatus lanestep_rule_state(const char *rule,
                                        char **json);

// The groups as they were given, with the elements that they hold, as JSON that `lanestep_new_with` takes, into `*json`, which
// `lanestep_text_free` frees. Their present learning rates are told by `lanestep_group_lr`.
//
// # Safety
// `optimizer` is of this library and was not freed; `json` can be written.
enum LanestepStatus lanestep_groups(const struct LanestepOptimizer *optimizer,
                                    char **json);

// The layout as JSON that `lanestep_new_with` takes, into `*json`, which `lanestep_text_free` frees.
//
// # Safety
// `optimizer` is of this library and was not freed; `json` can be written.
enum LanestepStatus lanestep_layout(const struct LanestepOptimizer *optimizer, char **json);

// Keeps an exponential moving average of the parameters, computed in the pass of the step, or changes how much of itself it keeps
// at each: `decay` is in `[0, 1)`. It begins as the parameters that the next step leaves.
//
// Errors: `VALUE`, `MEMORY`.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_ema(struct LanestepOptimizer *optimizer,
                                     double decay);

// Ends and forgets the average.
//
// Errors: `STATE` if the parameters are in its place.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_end_ema(struct LanestepOptimizer *optimizer);

// What there is of an average: a `LanestepEma`, and its decay, NaN if there is none. Either may be null.
//
// # Safety
// `optimizer` is of this library and was not freed; `ema` and `decay` are null or can be written.
enum LanestepStatus lanestep_ema(const struct LanestepOptimizer *optimizer, int32_t *ema, double *decay);

// Reads the average of the elements from `start` to before `end`.
//
// Errors: `LENGTH`, and `STATE` if it is not `KEPT`.
//
// # Safety
// `optimizer` is of this library and was not freed; `end - start` numbers can be written to `average`.
enum LanestepStatus lanestep_read_ema(const struct LanestepOptimizer *optimizer,
                                      size_t start,
                                      size_t end,
                                      float *average);

// Goes on from an average of an earlier run, of all parameters. `lanestep_set_ema` asks for one before.
//
// Errors: `LENGTH`, `STATE`.
//
// # Safety
// `optimizer` is of this library and was not freed; there are `len` numbers at `average`.
enum LanestepStatus lanestep_restore_ema(struct LanestepOptimizer *optimizer,
                                         const float *average,
                                         size_t len);

// Lets parameters and average change places: to evaluate or ship the average. A second call puts both back, bit for bit; until
// then steps are an error. Of the tensors, only the parameters are looked at; they must be `F32`, or split.
//
// Errors: `STATE` if there is no average yet, `FORMAT`, `NULL`, `ALIGNMENT`, `LENGTH`, `OVERLAP`, `VALUE`, `NAME`, `TEXT`.
//
// # Safety
// `optimizer` is of this library and was not freed; there are `count` tensors, whose memory is theirs as for `lanestep_step`.
enum LanestepStatus lanestep_swap_ema(struct LanestepOptimizer *optimizer,
                                      const struct LanestepTensor *tensors,
                                      size_t count);

// Keeps the state of a name in another format from now on; where `name` is null all state, also that which another rule adds
// later. What there is by then is rounded once. `format` is a `LanestepFormat`.
//
// Errors: `VALUE`, `NAME`, `MEMORY`, `TEXT`.
//
// # Safety
// `optimizer` is of this library and was not freed; `name` is null or ends with a zero.
enum LanestepStatus lanestep_set_state_format(struct LanestepOptimizer *optimizer,
                                              const char *name,
                                              int32_t format);

// What the state of a name is kept as: a `LanestepFormat`.
//
// Errors: `NAME`, `TEXT`.
//
// # Safety
// `optimizer` is of this library and was not freed; `name` ends with a zero; `format` can be written.
enum LanestepStatus lanestep_state_format(const struct LanestepOptimizer *optimizer,
                                          const char *name,
                                          int32_t *format);

// Rounds state, and parameters that are not `float`, so from the next step on. `rounding` is a `LanestepRounding`; `seed` is
// for the stochastic one alone: another one for each run.
//
// Errors: `VALUE`.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_rounding(struct LanestepOptimizer *optimizer,
                                          int32_t rounding,
                                          uint64_t seed);

// How it rounds: a `LanestepRounding`, and the seed, 0 if there is none. Either may be null.
//
// # Safety
// `optimizer` is of this library and was not freed; `rounding` and `seed` are null or can be written.
enum LanestepStatus lanestep_rounding(const struct LanestepOptimizer *optimizer,
                                      int32_t *rounding,
                                      uint64_t *seed);

// How many parameters there are in all.
//
// # Safety
// `optimizer` is of this library and was not freed; `len` can be written.
enum LanestepStatus lanestep_len(const struct LanestepOptimizer *optimizer, size_t *len);

// How many tensors the layout has; 0 if it has no names.
//
// # Safety
// `optimizer` is of this library and was not freed; `count` can be written.
enum LanestepStatus lanestep_tensor_count(const struct LanestepOptimizer *optimizer, size_t *count);

// How many groups there are: at least one.
//
// # Safety
// `optimizer` is of this library and was not freed; `count` can be written.
enum LanestepStatus lanestep_group_count(const struct LanestepOptimizer *optimizer, size_t *count);

// A group's rule as it was given, as JSON, into `*json`, which `lanestep_text_free` frees. The first group is 0. Its present
// learning rate is told by `lanestep_group_lr`.
//
// Errors: `NAME` if there is no such group.
//
// # Safety
// `optimizer` is of this library and was not freed; `json` can be written.
enum LanestepStatus lanestep_group_rule(const struct LanestepOptimizer *optimizer,
                                        size_t group,
                                        char **json);

// Changes a group's rule or its options, from the next step on; `rule` is JSON as for `lanestep_new`. State that means the same
// is carried over, all other starts from zero; if none is carried over, the group's steps start from 0. The learning rate is that
// of the new rule.
//
// Errors: `TEXT`, `VALUE`, `NAME`, `MEMORY`.
//
// # Safety
// `optimizer` is of this library and was not freed; `rule` ends with a zero.
enum LanestepStatus lanestep_set_rule(struct LanestepOptimizer *optimizer,
                                      size_t group,
                                      const char *rule);

// Whether a group is left alone, 1 or 0.
//
// Errors: `NAME` if there is no such group.
//
// # Safety
// `optimizer` is of this library and was not freed; `frozen` can be written.
enum LanestepStatus lanestep_frozen(const struct LanestepOptimizer *optimizer, size_t group, int32_t *frozen);

// Leaves the parameters of a group alone from the next step on, or with 0 steps over them again. Its state and its steps stay.
//
// Errors: `NAME` if there is no such group.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_frozen(struct LanestepOptimizer *optimizer,
                                        size_t group,
                                        int32_t frozen);

// A new optimizer of one rule for `len` parameters, into `*optimizer`. The rule is JSON, PyTorch's dictionary of options with its
// class under `rule`: `{"rule": "AdamW", "lr": 0.01}`. What is left out has the rule's default; `lanestep_rules` has them all.
//
// Errors: `TEXT`, `VALUE`, `MEMORY`.
//
// # Safety
// `rule` ends with a zero; `optimizer` can be written.
enum LanestepStatus lanestep_new(const char *rule,
                                 size_t len,
                                 struct LanestepOptimizer **optimizer);

// A new optimizer for tensors, or of groups, into `*optimizer`.
//
// `layout` is JSON: names and shapes of the tensors in order, `[["weight", [10, 64]], ["bias", [10]]]`, which all calls must then
// hand over in this order; or a number of parameters, which may be cut into tensors as one likes.
//
// `groups` is JSON: a rule as `lanestep_new` takes it, for all; or a list of groups that hold every parameter once,
// `[{"rule": {"rule": "AdamW"}, "tensors": ["weight"]}, {"rule": {"rule": "SGD", "lr": 0.1}, "tensors": ["bias"]}]`. Instead of
// `tensors`, or beside them, there may be `ranges` of elements, `[[0, 640]]`; `lr_scale` (1) multiplies the rule's learning rate,
// `frozen` (false) leaves the group alone.
//
// Errors: `TEXT`, `VALUE`, `NAME`, `GROUPS`, `LENGTH`, `MEMORY`.
//
// # Safety
// `groups` and `layout` end with a zero; `optimizer` can be written.
enum LanestepStatus lanestep_new_with(const char *groups,
                                      const char *layout,
                                      struct LanestepOptimizer **optimizer);

// A copy that goes on by itself, into `*copy`.
//
// Errors: `MEMORY`.
//
// # Safety
// `optimizer` is of this library and was not freed; `copy` can be written.
enum LanestepStatus lanestep_clone(const struct LanestepOptimizer *optimizer,
                                   struct LanestepOptimizer **copy);

// Frees an optimizer. Null is nothing to free.
//
// # Safety
// `optimizer` is null, or of this library, in no call, and not used again.
void lanestep_free(struct LanestepOptimizer *optimizer);

// Lets an optimizer step on so many threads, from the next step on: 0 is all that the machine has (or the environment's
// `RAYON_NUM_THREADS`), which is the default, and 1 is the caller's alone. No result depends on it. A step of up to 32,768
// elements takes the caller's thread in any case.
//
// Optimizers with one number of threads share them. They are made at the first step that needs them, and again in a process
// that was forked after that.
//
// Errors: `VALUE` if there are more than 1024.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_threads(struct LanestepOptimizer *optimizer,
                                         size_t threads);

// On how many threads an optimizer steps, as it was set.
//
// # Safety
// `optimizer` is of this library and was not freed; `threads` can be written.
enum LanestepStatus lanestep_threads(const struct LanestepOptimizer *optimizer, size_t *threads);

// The learning rate: what was last set, or else what the rule was given. With groups, it is that of the first whose rule was
// given one above zero.
//
// # Safety
// `optimizer` is of this library and was not freed; `lr` can be written.
enum LanestepStatus lanestep_lr(const struct LanestepOptimizer *optimizer,
                                double *lr);

// Changes the learning rate from the next step on. Groups keep the proportions of what their rules were given: the first gets `lr`.
//
// Errors: `VALUE` if a rule does not allow it.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_lr(struct LanestepOptimizer *optimizer,
                                    double lr);

// The learning rate that the next step of a group takes: its own, times its `lr_scale`.
//
// Errors: `NAME` if there is no such group.
//
// # Safety
// `optimizer` is of this library and was not freed; `lr` can be written.
enum LanestepStatus lanestep_group_lr(const struct LanestepOptimizer *optimizer, size_t group, double *lr);

// Changes the learning rate of one group from the next step on; it is multiplied by the group's `lr_scale`.
//
// Errors: `NAME` if there is no such group, `VALUE` if its rule does not allow it.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_group_lr(struct LanestepOptimizer *optimizer, size_t group, double lr);

// How many steps have been taken, without the skipped ones.
//
// # Safety
// `optimizer` is of this library and was not freed; `steps` can be written.
enum LanestepStatus lanestep_steps(const struct LanestepOptimizer *optimizer, uint64_t *steps);

// Counts from so many steps on. To resume, set those of each group too, which rules count from.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_steps(struct LanestepOptimizer *optimizer, uint64_t steps);

// How many steps a group has taken, which its rule counts from: not those while it was frozen.
//
// Errors: `NAME` if there is no such group.
//
// # Safety
// `optimizer` is of this library and was not freed; `steps` can be written.
enum LanestepStatus lanestep_group_steps(const struct LanestepOptimizer *optimizer,
                                         size_t group,
                                         uint64_t *steps);

// Lets the rule of a group count from so many steps on.
//
// Errors: `NAME` if there is no such group.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_group_steps(struct LanestepOptimizer *optimizer,
                                             size_t group,
                                             uint64_t steps);

// Keeps the lower sixteen bits of parameters whose upper ones are the caller's, as `BF16`, or with 0 forgets them: a run then has
// the bits of one with parameters in `F32`. It begins with lower halves of zero; `lanestep_set_masters` begins with others.
//
// Errors: `MEMORY`, and `STATE` if the parameters are in the place of their average.
//
// # Safety
// `optimizer` is of this library and was not freed.
enum LanestepStatus lanestep_set_split(struct LanestepOptimizer *optimizer,
                                       int32_t split);

// Whether it keeps the lower halves of parameters, 1 or 0.
//
// # Safety
// `optimizer` is of this library and was not freed; `split` can be written.
enum LanestepStatus lanestep_split(const struct LanestepOptimizer *optimizer, int32_t *split);

// Reads the parameters, whole, into `len` numbers at `masters`. Of the tensors, only the parameters are looked at.
//
// Errors: `STATE` if there are no lower halves, `FORMAT`, `NULL`, `ALIGNMENT`, `LENGTH`, `OVERLAP`, `VALUE`, `NAME`, `TEXT`.
//
// # Safety
// `optimizer` is of this library and was not freed; there are `count` tensors, whose memory is theirs as for `lanestep_step`; `len`
// numbers can be written to `masters`.
enum LanestepStatus lanestep_masters(const struct LanestepOptimizer *optimizer,
                                     const struct LanestepTensor *tensors,
                                     size_t count,
                                     float *masters,
                                     size_t len);

// Begins with these parameters: their upper halves go to the tensors, and their lower ones are kept.
//
// Errors: as `lanestep_masters`, and `STATE` if the parameters are in the place of their average.
//
// # Safety
// `optimizer` is of this library and was not freed; there are `len` numbers at `masters` and `count` tensors, whose memory is theirs
// as for `lanestep_step`.
enum LanestepStatus lanestep_set_masters(struct LanestepOptimizer *optimizer,
                                         const float *masters,
                                         size_t len,
                                         const struct LanestepTensor *tensors,
                                         size_t count);

// The names of all state, as a JSON list, into `*json`, which `lanestep_text_free` frees.
//
// # Safety
// `optimizer` is of this library and was not freed; `json` can be written.
enum LanestepStatus lanestep_state_names(const struct LanestepOptimizer *optimizer, char **json);

// Reads the state of a name, of the elements from `start` to before `end`, whatever its format, as it is computed with. It is
// zero in groups whose rule does not have the name. Of another format than `F32`, all of it is decoded for any part.
//
// Errors: `NAME`, `LENGTH`, `MEMORY`, `TEXT`.
//
// # Safety
// `optimizer` is of this library and was not freed; `name` ends with a zero; `end - start` numbers can be written to `numbers`.
enum LanestepStatus lanestep_read_state(const struct LanestepOptimizer *optimizer,
                                        const char *name,
                                        size_t start,
                                        size_t end,
                                        float *numbers);

// Puts state of a name in place of what there is, from element `start` to before `end`. What is subnormal becomes zero; in
// another format than `F32` it is rounded to the nearest. A part takes as long as all: set all at once where there is much.
//
// Errors: `NAME`, `LENGTH`, `MEMORY`, `TEXT`, and `VALUE` if a number is not zero in a group whose rule does not have the name.
//
// # Safety
// `optimizer` is of this library and was not freed; `name` ends with a zero; there are `end - start` numbers at `numbers`.
enum LanestepStatus lanestep_set_state(struct LanestepOptimizer *optimizer,
                                       const char *name,
                                       size_t start,
                                       size_t end,
                                       const float *numbers);

// The message of this thread's last call that failed; empty if none has. It is valid until the thread's next call that fails.
const char *lanestep_last_error(void);

// A pipeline that does nothing.
struct LanestepPipeline lanestep_pipeline(void);

// One step over many tensors, which laid end to end are the parameters; if the optimizer was made from a layout with names, they
// are its tensors, or one tensor of all. `pipeline` may be null, which is to do nothing; `report` too, which is not to tell.
//
// The bits are those of one tensor for all; only rules that measure layers, as LAMB and LARS, take each for a layer.
//
// Errors: `NULL`, `ALIGNMENT`, `LENGTH`, `OVERLAP`, `VALUE`, `NAME`, `TEXT`, `FORMAT`, `NON_FINITE`, `THREADS`, and `STATE` if
// the parameters are in the place of their average. Nothing has been written then, and no gradient set to zero.
//
// # Safety
// `optimizer` is of this library and was not freed; there are `count` tensors; all their memory is theirs alone during the call: nobody
// writes what it reads, nor reads what it writes. Their names end with a zero. `pipeline` is null or can be read, `report` is null
// or can be written.
enum LanestepStatus lanestep_step(struct LanestepOptimizer *optimizer,
                                  const struct LanestepTensor *tensors,
                                  size_t count,
                                  const struct LanestepPipeline *pipeline,
                                  struct LanestepReport *report);

// Frees a text that the library has handed out. Null is nothing to free.
//
// # Safety
// `text` is null, or one that a call has put into its `char **`, and is not used again.
void lanestep_text_free(char *text);

// The interface of the library that is loaded, to be compared with the header's `LANESTEP_ABI`.
uint32_t lanestep_abi(void);

// The version of the library that is loaded, such as "0.1.0". It is valid for ever.
const char *lanestep_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LANESTEP_H */
