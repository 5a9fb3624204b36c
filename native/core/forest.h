/*
 * Adaptive random forest (Gomes et al. 2017) and streaming random patches (Gomes, Read and Bifet 2019) over
 * Hoeffding trees: every tree learns each row k times, k drawn from a Poisson distribution (Oza and Russell
 * 2001), looks at a random part of the columns, and is replaced when it falls behind. Trees split by dense
 * columns and by the presence of sparse buckets; a missing value goes with the majority of those that were
 * there. The forest lives in host memory. Draws depend on the seed, the tree and the number of the row alone,
 * and trees share nothing that learning changes, so that batches, single rows and any number of threads give
 * the same bits.
 */
#pragma once

#include <memory>

#include "core/model.h"

namespace sluice {

std::unique_ptr<Model> create_forest(std::shared_ptr<Device> device, const Shape& shape,
                                     const Options& options, uint64_t seed);
std::unique_ptr<Model> read_forest(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed, FileReader& file);

}  // namespace sluice
