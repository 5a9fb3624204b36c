/*
 * A classifier of texts and mails into two labels: learners over the same hashed cells, their logits
 * averaged, each learning from its own error and in part from that of all. They err on different rows, so the
 * mean ranks better than the best.
 *
 * - view: logistic regression over the cells of one view, AdaGrad per coordinate. A view is a region of the
 *   index space, named by its top bits, such as the headers or the decoded text of a mail. A view of which a
 *   row has no cell is no member for it and learns nothing from it.
 * - ratios: logistic regression over all cells whose input is |x_j| r_j instead of x_j, with r_j the running
 *   naive-Bayes log-ratio of the cell (NB-SVM: Wang and Manning 2012). Weights begin above 0, at naive Bayes.
 * - all (an option): as a view, over all cells.
 *
 *   r_j = log((spam_j + a) / (ham_j + a)) - log((spam + 2 a) / (ham + 2 a)), 0 for a cell never counted
 *
 *   p = sigmoid(slope * blend + offset), blend = mean of the logits of the members
 *
 * spam_j and ham_j count labelled rows (label 1 and 0) by their weight, spam and ham all of them. Slope and
 * offset follow the labelled rows by AdaGrad steps, each before its row is learned (Platt 1999, online). With
 * `guard`, the share of wrong labels is estimated as rows come, and where it is not small members learn more
 * slowly and by the likelihood under label flips (Bootkrajang and Kaban 2012).
 *
 * A row whose label is not known, SLUICE_OWN_LABEL, is learned as what the model says of it where the model
 * is sure (self-training: Yarowsky 1995): |blend| >= 8 after 300 rows; else it leaves no trace. Members and
 * counts learn it, calibration and noise do not: it agrees with the model and would only flatter it.
 *
 * Refuses other than two classes, dense columns, and fewer buckets than views.
 */
#pragma once

#include <memory>

#include "core/model.h"

namespace sluice {

std::unique_ptr<Model> create_text(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed);
std::unique_ptr<Model> read_text(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                 uint64_t seed, FileReader& file);

}  // namespace sluice
