/*
 * Logistic (two classes) and softmax regression over hashed sparse features and standardised dense
 * columns, learned online with AdaGrad per coordinate (Duchi, Hazan and Singer 2011, diagonal case):
 *
 *   g = weight (p - y) x + l2 w      G += g^2      w -= rate g / (sqrt(G) + eps)
 *
 * Dense columns are standardised by running moments (Welford 1962) that change only when a row is
 * learned, before its gradient is taken, so the model is a function of the sequence it learned. Missing
 * dense values count as the mean. Refuses options out of range and files that are not canonical.
 */
#pragma once

#include <memory>

#include "core/model.h"

namespace sluice {

std::unique_ptr<Model> create_linear(std::shared_ptr<Device> device, const Shape& shape,
                                     const Options& options, uint64_t seed);
std::unique_ptr<Model> read_linear(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed, FileReader& file);

}  // namespace sluice
