#include "core/stack_blend.h"

#include <algorithm>
#include <cmath>

#include "core/loss.h"

namespace sluice::stack {

namespace {

/** Of each opinion; its rest is even over the classes. */
constexpr double kHeard = 0.99;
/** The pull of the weights to where they began, as a gradient. */
constexpr double kPull = 0.1;
constexpr double kFirstSquares = 5;
constexpr double kMostBlendWeight = 100;
constexpr double kMostBias = 30;

}  // namespace

Blend::Blend(uint32_t experts, uint32_t classes, double share, double rate)
    : classes_(classes),
      rate_(rate),
      first_(experts, experts > 1 ? (1 - share) / (experts - 1) : 1.0),
      squares_(experts, kFirstSquares),
      bias_(classes),
      opinions_(size_t{experts} * classes) {
  if (experts > 1) first_[0] = share;
  weights_ = first_;
}

void Blend::hear(uint32_t e, const double* p) {
  double* l = opinions_.data() + size_t{e} * classes_;
  double mean = 0;
  for (uint32_t c = 0; c < classes_; ++c) {
    l[c] = log_exact(p[c] * kHeard + (1 - kHeard) / classes_);
    mean += l[c];
  }
  mean /= classes_;
  for (uint32_t c = 0; c < classes_; ++c) l[c] -= mean;
}

void Blend::score(double* p) const {
  for (uint32_t c = 0; c < classes_; ++c) p[c] = bias_[c];
  const double* l = opinions_.data();
  for (const double weight : weights_)
    for (uint32_t c = 0; c < classes_; ++c) p[c] += weight * *l++;
  softmax(p, classes_);
}

void Blend::learn(const double* p, uint32_t label, double weight) {
  const double* l = opinions_.data();
  for (size_t e = 0; e < weights_.size(); ++e, l += classes_) {
    double gradient = -l[label];
    for (uint32_t c = 0; c < classes_; ++c) gradient += p[c] * l[c];
    gradient = gradient * weight + kPull * (weights_[e] - first_[e]);
    squares_[e] += gradient * gradient;
    weights_[e] = bounded(weights_[e] - rate_ * gradient / std::sqrt(squares_[e]), kMostBlendWeight);
  }
  for (uint32_t c = 0; c < classes_; ++c) {
    const double error = (p[c] - (c == label ? 1.0 : 0.0)) * weight;
    bias_[c] = bounded(bias_[c] - 0.3 * rate_ * error, kMostBias);
  }
}

void Blend::write(FileWriter& file) const {
  put_all(file, weights_);
  put_all(file, squares_);
  put_all(file, bias_);
}

void Blend::read(FileReader& file) {
  const size_t n = weights_.size();
  take_within(file, weights_.data(), n, -kMostBlendWeight, kMostBlendWeight,
              "the weight of an expert is impossible");
  take_within(file, squares_.data(), n, kFirstSquares, 1e300, "a sum of squares is impossible");
  take_within(file, bias_.data(), classes_, -kMostBias, kMostBias, "a bias is impossible");
}

}  // namespace sluice::stack
