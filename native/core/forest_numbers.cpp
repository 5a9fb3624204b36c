#include "core/forest_numbers.h"

#include "core/loss.h"

namespace sluice::forest {

Poisson::Poisson(double mean) {
  double p = exp_exact(-mean), sum = 0;
  for (uint32_t k = 0; k < kMost; ++k) {
    sum += p;
    below_[k] = sum < 1 ? static_cast<uint32_t>(sum * 4294967295.0) : 0xffffffffu;
    p *= mean / (k + 1);
  }
}

}  // namespace sluice::forest
