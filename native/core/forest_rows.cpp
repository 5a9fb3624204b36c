#include "core/forest_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::forest {

void RowBuffer::clear() {
  dense_.clear();
  buckets_.clear();
  ends_.clear();
}

uint32_t RowBuffer::add(const sluice_rows& rows, uint32_t row) {
  const float* dense = rows.dense + size_t{row} * shape_.dense_dims;
  for (uint32_t j = 0; j < shape_.dense_dims; ++j) {
    const float x = dense[j];
    dense_.push_back(std::isfinite(x) ? x : std::numeric_limits<float>::quiet_NaN());
  }
  const size_t begin = buckets_.size();
  const uint64_t from = std::min<uint64_t>(rows.indptr[row], rows.nnz);
  const uint64_t to = std::min<uint64_t>(rows.indptr[row + 1], rows.nnz);
  for (uint64_t p = from; p < to; ++p)
    if (rows.values[p] != 0.0f) buckets_.push_back(rows.indices[p] & (shape_.dims - 1));
  const auto first = buckets_.begin() + static_cast<ptrdiff_t>(begin);
  std::sort(first, buckets_.end());
  buckets_.erase(std::unique(first, buckets_.end()), buckets_.end());
  ends_.push_back(buckets_.size());
  return count() - 1;
}

Row RowBuffer::row(uint32_t number) const {
  const size_t from = number > 0 ? ends_[number - 1] : 0;
  return {dense_.data() + size_t{number} * shape_.dense_dims, buckets_.data() + from,
          static_cast<uint32_t>(ends_[number] - from)};
}

}  // namespace sluice::forest
