/*
 * From a row of a batch to the inputs of a stack. A dense column is standardised by running moments, then
 * squashed, x -> sign(x) log(1 + 2 |x|): sensors have long tails, and experts that are linear in the
 * logarithm were far better on every stream tried. A missing value is the mean. Sparse cells are added up in
 * a few slots, with a sign by their hash, for the experts that want few inputs (feature hashing, Weinberger
 * et al. 2009); the cells themselves go along.
 *
 * Moments change when a row is learned, after the experts learned it, and forget slowly: the newest of
 * kMemory rows counts 1 / kMemory.
 */
#pragma once

#include <vector>

#include "core/ops.h"
#include "core/rows.h"
#include "core/stack_expert.h"

namespace sluice::stack {

Layout layout_of(const Shape& shape);

class Inputs {
 public:
  explicit Inputs(const Layout& layout);
  /** Reads the row once; what it leaves is valid until the next call. */
  void prepare(const sluice_rows& rows, uint32_t row);
  Row row() const { return {inputs_.data(), narrow_.data(), cells_}; }
  /** Moves the moments by the row prepared last. */
  void learn();
  size_t bytes() const;
  void write(FileWriter& file) const;
  void read(FileReader& file);

 private:
  void scale(uint32_t column);
  void fill_slots();
  void fold();

  Layout layout_;
  std::vector<double> counts_, means_, variances_;
  std::vector<double> inverse_;  // 1 / deviation, or 0 where there is none; follows from the moments
  std::vector<float> measured_, inputs_, narrow_;
  std::vector<Cell> cells_;
};

}  // namespace sluice::stack
