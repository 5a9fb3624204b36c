/*
 * The kernels of the text model, once per instruction set. All give the same bits: sums run in eight lanes
 * that are combined in a fixed order, and nothing is contracted. They need no memory beside the model's.
 */
#pragma once

#include "core/ops.h"

namespace sluice::cpu {

struct TextKernels {
  /** Scores rows [first, last) into scores + row * 2. False when stopped. */
  bool (*score)(const sluice_text* model, const sluice_rows* rows, uint32_t first, uint32_t last,
                float* scores, const int32_t* stop);
  /** ops.h: text_step. False when stopped. */
  bool (*step)(sluice_text* model, const sluice_rows* rows, const int32_t* labels, const float* weights,
               const int32_t* schedule, uint64_t entries, float* scores, const int32_t* stop);
};

const TextKernels* text_baseline();
#ifdef SLUICE_AVX2
const TextKernels* text_avx2();
#endif

}  // namespace sluice::cpu
