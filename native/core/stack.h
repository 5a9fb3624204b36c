/*
 * A stack of online experts for rows of sensors: each says what it makes of a row, and a combination that is
 * learned online too (stacking: Wolpert 1992; Breiman 1996) says how much each is worth on this stream.
 *
 *   p = softmax(b + sum_e w_e l_e)     l_e = the log-probabilities of expert e, less their mean over the
 * classes
 *
 * The experts differ in kind, because what errs differently adds most: linear by Newton steps, a kernel
 * machine by recursive least squares, a sum of curves, a network, nearest neighbours; with sparse cells a
 * linear one over them; with the option `history` one that knows only the label learned last. Each has its
 * file.
 *
 * Weights w_e begin where the linear expert has kFirstShare of the say and are pulled back there while they
 * follow the log-loss by AdaGrad. What has proved nothing yet should not decide: where labels are late or
 * end, as on a model that is trained and then only scores, the simple expert is right more often.
 *
 * The model is a function of the sequence of rows it learned; scoring changes nothing. It runs in host memory
 * on one thread. Refuses shapes beyond 1024 dense columns or 256 classes, options out of range, files whose
 * numbers learning could not have made.
 */
#pragma once

#include <memory>

#include "core/model.h"

namespace sluice {

std::unique_ptr<Model> create_stack(std::shared_ptr<Device> device, const Shape& shape,
                                    const Options& options, uint64_t seed);
std::unique_ptr<Model> read_stack(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                  uint64_t seed, FileReader& file);

}  // namespace sluice
