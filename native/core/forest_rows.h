/*
 * Rows of a batch as trees read them: copied, because whoever called may still write into theirs; dense
 * values that are not finite are NaN, buckets are sorted, each once, none of value 0.
 */
#pragma once

#include <cstdint>
#include <vector>

#include "core/forest_member.h"
#include "core/rows.h"

namespace sluice::forest {

class RowBuffer {
 public:
  explicit RowBuffer(const Shape& shape) : shape_(shape) {}
  void clear();
  /** Its number in the buffer. */
  uint32_t add(const sluice_rows& rows, uint32_t row);
  /** Good until the next `add`. */
  Row row(uint32_t number) const;
  uint32_t count() const { return static_cast<uint32_t>(ends_.size()); }

 private:
  Shape shape_;
  std::vector<float> dense_;
  std::vector<uint32_t> buckets_;
  std::vector<size_t> ends_;
};

}  // namespace sluice::forest
