/*
 * The kernels of the linear model, once per instruction set. All give the same bits: sums run in eight
 * lanes (one output) or four (several) that are combined in a fixed order, and nothing is contracted.
 */
#pragma once

#include "core/ops.h"

namespace sluice::cpu {

/** Scratch of one call; the kernels allocate nothing. Sizes in elements. */
struct LinearScratch {
  double* scale;   // 2 x dense_dims: mean, 1 / deviation of each column (0: constant or unseen)
  float* dense;    // dense_dims: the standardised row
  float* sums;     // 6 x stride: sparse sums of the last scored row, dense sums, four accumulators
  double* logits;  // outputs
};

struct LinearKernels {
  /** Fills scratch.scale from the model's moments. */
  void (*prepare)(const sluice_linear* model, const LinearScratch* scratch);
  /** Scores rows [first, last) into scores + row * classes; needs `prepare`. False when stopped. */
  bool (*score)(const sluice_linear* model, const sluice_rows* rows, uint32_t first, uint32_t last,
                float* scores, const LinearScratch* scratch, const int32_t* stop);
  /** ops.h: linear_step; needs `prepare`. False when stopped. */
  bool (*step)(sluice_linear* model, const sluice_rows* rows, const int32_t* labels, const float* weights,
               const int32_t* schedule, uint64_t entries, float* scores, const LinearScratch* scratch,
               const int32_t* stop);
};

const LinearKernels* linear_baseline();
#ifdef SLUICE_AVX2
const LinearKernels* linear_avx2();
#endif

}  // namespace sluice::cpu
