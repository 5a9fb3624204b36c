/*
 * The kernels of the text model (core/text.h says what it is), compiled once for each instruction set by the
 * text_<isa>.cpp beside this file, under the hazard that linear_kernels.inl names.
 *
 * Order of a logit: the cell at position p adds to lane p % 8 of its sum (each view has eight lanes of its
 * own), lanes are combined as ((0+4)+(2+6))+((1+5)+(3+7)), then the bias is added. Cells are learned one
 * after the other, each with its weights first, then its counts and its ratio; a vector of cells that are all
 * of different buckets gives the same bits.
 */
#include <cstddef>
#include <cstdint>

#include "core/loss.h"
#include "cpu/text_cells.inl"
#include "cpu/text_kernels.h"

namespace sluice::cpu {
namespace {

/** The logit beyond which a gradient of the calibration grows no more. */
constexpr double kMaxBlend = 50;

inline Span sparse_span(const sluice_text* model, const sluice_rows* rows, uint32_t row) {
  return sparse_span(tables_of(model).weights, model->dims, rows, row);
}

/** log((spam + 2 a) / (ham + 2 a)) over rows: what a ratio of counts is compared with. */
float base_ratio(const sluice_text* model) {
  const double a = 2.0 * static_cast<double>(model->smoothing);
  return static_cast<float>(log_exact((model->state->spam + a) / (model->state->ham + a)));
}

/** The logits of the members, and their mean. A view without a cell in the row is none of them. */
struct Logits {
  double all, ratios, view[SLUICE_TEXT_VIEWS];
  double blend;
};

Logits logits_of(const sluice_text* model, const Sums& sums) {
  const sluice_text_state& state = *model->state;
  Logits z{};
  z.all = bounded_logit(sums.all + state.all.weight);
  z.ratios = bounded_logit(sums.ratios + state.ratios.weight);
  double total = z.ratios, members = 1;
  if (model->all) {
    total += z.all;
    members += 1;
  }
  for (uint32_t v = 0; v < model->views; ++v) {
    if (!(sums.present >> v & 1)) continue;
    z.view[v] = bounded_logit(sums.view[v] + state.view[v].weight);
    total += z.view[v];
    members += 1;
  }
  z.blend = total / members;
  return z;
}

Sums sum_row(const sluice_text* model, const Span& span, float base) {
  return model->all ? sum_row<true>(model, span, base) : sum_row<false>(model, span, base);
}

double calibrated(const sluice_text_state& state, double blend) {
  return sigmoid(state.slope * blend + state.offset);
}

/** Both probabilities keep their relative precision: their odds rank rows where one of them rounds to 1. */
void write_scores(const sluice_text* model, const Sums& sums, float* scores) {
  const sluice_text_state& state = *model->state;
  const double logit = state.slope * logits_of(model, sums).blend + state.offset;
  scores[0] = static_cast<float>(sigmoid(-logit));
  scores[1] = static_cast<float>(sigmoid(logit));
}

// ---------------------------------------------------------------- learning

/** What a row's label is worth, the same for all members. */
struct Truth {
  double y, weight;
  double noise;  // share of labels taken to be wrong
  double trust;  // in the noise: 0 learns as if there were none
  float rate;    // of the step
};

/** The noise that counts a little, that counts in full, the most that counts so, and what is none. */
constexpr double kSomeNoise = 0.02, kFullNoise = 0.05, kCutNoise = 0.3, kOnlyErrors = 0.4;
/** Noise is held to be so many times what was seen: the members have learned some of it by heart. */
constexpr double kUnseenNoise = 2;
/** The part of the rate that noise takes. */
constexpr double kNoisyRate = 0.5;
/** Step of the running share of labels that seem wrong. */
constexpr double kNoiseStep = 0.005;

/**
 * Follows the share of wrong labels by the posterior that this one is wrong, given `p` of the uncalibrated
 * blend (a calibration follows wrong labels itself, and then none would surprise).
 */
void follow_noise(sluice_text_state& state, double p, double y, double weight) {
  const double e = state.noise, likely = y == 1 ? p : 1 - p;
  const double wrong = (1 - likely) * e / ((1 - likely) * e + likely * (1 - e));
  const double noise = e + (wrong - e) * kNoiseStep * (weight < 1 ? weight : 1);
  const double most = noise < kMostNoise ? noise : kMostNoise;
  state.noise = most > kLeastNoise ? most : kLeastNoise;
}

/**
 * Labels that are mostly held to be wrong come from people who only correct errors, which is no noise.
 */
Truth judge(const sluice_text* model, double y, double weight) {
  const double noise = model->state->noise;
  const double assumed = noise * kUnseenNoise;
  Truth truth{y, weight, assumed < kCutNoise ? assumed : kCutNoise, 0, model->rate};
  if (!model->guard || noise <= kSomeNoise || noise >= kOnlyErrors) return truth;
  truth.trust = noise < kFullNoise ? (noise - kSomeNoise) / (kFullNoise - kSomeNoise) : 1;
  if (noise > kCutNoise) truth.trust *= (kOnlyErrors - noise) / (kOnlyErrors - kCutNoise);
  truth.rate = static_cast<float>(static_cast<double>(model->rate) * (1 - kNoisyRate * truth.trust));
  return truth;
}

/**
 * weight times the gradient of a member's log-loss by its logit: p - y, or under flips what the label still
 * says; 0 where that is not worth a change. The logit is in part that of the blend, so that members learn
 * less of what the others know and more of what they all miss (between learning alone and learning as one;
 * Liu and Yao 1999).
 */
float error_of(double logit, double blend, const Truth& truth) {
  const double p = sigmoid((1 - kSharedLogit) * logit + kSharedLogit * blend);
  double error = p - truth.y;
  if (truth.trust > 0) {
    const double told = 1 - 2 * truth.noise, q = truth.noise + told * p;
    error += truth.trust * (told * (p * (1 - p)) / (q * (1 - q)) * (q - truth.y) - error);
  }
  return error > kNoError || error < -kNoError ? static_cast<float>(truth.weight * error) : 0.0f;
}

void update_bias(sluice_text_member& bias, float error, float rate) {
  update_member(bias.weight, bias.squares, error, 1.0f, rate * kBiasRate);
}

/** One AdaGrad step of slope and offset on the log-loss of the calibrated blend, as far as labels are true.
 */
void calibrate(sluice_text* model, double blend, const Truth& truth) {
  sluice_text_state& state = *model->state;
  const double z = blend > kMaxBlend ? kMaxBlend : blend < -kMaxBlend ? -kMaxBlend : blend;
  const double g = truth.weight * (1 - truth.trust) * (calibrated(state, blend) - truth.y);
  const double rate = static_cast<double>(model->calibration);
  state.slope_squares += g * z * (g * z);
  state.offset_squares += g * g;
  double slope = state.slope - rate * (g * z) / __builtin_sqrt(1.0 + state.slope_squares);
  slope = slope < kMostSlope ? slope : kMostSlope;
  state.slope = slope > kLeastSlope ? slope : kLeastSlope;
  state.offset -= rate * g / __builtin_sqrt(1.0 + state.offset_squares);
}

/** What a row of this weight adds to counts: rounded, and no more than halving once makes room for. */
int32_t count_of(float weight) {
  const double units = static_cast<double>(weight) * kCountUnit + 0.5;
  return units < 32767.0 ? static_cast<int32_t>(units) : 32767;
}

/** Whether what the model says of a row without a label is to be learned. */
bool is_sure(const sluice_text_state& state, double blend) {
  return (blend >= kSureBlend || blend <= -kSureBlend) && state.spam + state.ham >= kRowsToBeSure;
}

void learn_row(sluice_text* model, const Span& span, int32_t given, float weight, const Sums& sums,
               float base) {
  sluice_text_state& state = *model->state;
  const Logits z = logits_of(model, sums);
  const bool own = given == SLUICE_OWN_LABEL;
  if (own && !is_sure(state, z.blend)) return;
  const int32_t label = own ? z.blend > 0 : given;
  const double y = label == 1 ? 1 : 0, w = static_cast<double>(weight);
  if (!own) follow_noise(state, sigmoid(z.blend), y, w);
  const Truth truth = judge(model, y, w);
  if (!own) calibrate(model, z.blend, truth);
  const int32_t units = count_of(weight);
  Lesson lesson{.all = error_of(z.all, z.blend, truth),
                .ratios = error_of(z.ratios, z.blend, truth),
                .view = {},
                .rate = truth.rate,
                .base = base,
                .smoothing = model->smoothing,
                .view_shift = model->view_shift,
                .spam = label == 1 ? units : 0,
                .ham = label == 1 ? 0 : units};
  for (uint32_t v = 0; v < model->views; ++v) {
    if (!(sums.present >> v & 1)) continue;
    lesson.view[v] = error_of(z.view[v], z.blend, truth);
    update_bias(state.view[v], lesson.view[v], truth.rate);
  }
  if (model->all) update_bias(state.all, lesson.all, truth.rate);
  update_bias(state.ratios, lesson.ratios, truth.rate);
  if (model->all)
    update_row<true>(tables_of(model), span, lesson);
  else
    update_row<false>(tables_of(model), span, lesson);
  (label == 1 ? state.spam : state.ham) += truth.weight;
}

// ---------------------------------------------------------------- entries of TextKernels

bool score(const sluice_text* model, const sluice_rows* rows, uint32_t first, uint32_t last, float* scores,
           const int32_t* stop) {
  const float base = base_ratio(model);
  for (uint32_t row = first; row < last; ++row) {
    if (stopped(stop)) return false;
    write_scores(model, sum_row(model, sparse_span(model, rows, row), base), scores + size_t{2} * row);
  }
  return true;
}

bool step(sluice_text* model, const sluice_rows* rows, const int32_t* labels, const float* weights,
          const int32_t* schedule, uint64_t entries, float* scores, const int32_t* stop) {
  float base = base_ratio(model);
  Sums sums{};
  return run_schedule<true>(
      rows, 2, labels, weights, schedule, entries, scores != nullptr, stop,
      [&](uint32_t row) {
        sums = sum_row(model, sparse_span(model, rows, row), base);
        write_scores(model, sums, scores + size_t{2} * row);
      },
      [&](uint32_t row, int32_t label, float weight, bool fresh) {
        const Span span = sparse_span(model, rows, row);
        if (!fresh) sums = sum_row(model, span, base);
        learn_row(model, span, label, weight, sums, base);
        base = base_ratio(model);
      });
}

}  // namespace
}  // namespace sluice::cpu
