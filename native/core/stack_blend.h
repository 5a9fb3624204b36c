/*
 * How a stack weighs its experts: one weight per expert and one bias per class, logistic or softmax
 * regression over the experts' centred log-probabilities. Opinions are mixed with a little ignorance first,
 * so that an expert who is wrong and sure of it is not infinitely wrong.
 */
#pragma once

#include <vector>

#include "core/stack_expert.h"

namespace sluice::stack {

class Blend {
 public:
  /** The first expert has `share` of the say at the beginning, the others the rest evenly. */
  Blend(uint32_t experts, uint32_t classes, double share, double rate);
  /** Takes the probabilities of expert e. */
  void hear(uint32_t e, const double* p);
  /** Probabilities, after all experts were heard. */
  void score(double* p) const;
  /** After score; `p` is what it gave. */
  void learn(const double* p, uint32_t label, double weight);
  const std::vector<double>& weights() const { return weights_; }
  size_t bytes() const { return 3 * bytes_of(weights_) + bytes_of(opinions_) + bytes_of(bias_); }
  void write(FileWriter& file) const;
  void read(FileReader& file);

 private:
  uint32_t classes_;
  double rate_;
  std::vector<double> first_, weights_, squares_;  // experts
  std::vector<double> bias_;                       // classes
  std::vector<double> opinions_;                   // experts x classes
};

}  // namespace sluice::stack
