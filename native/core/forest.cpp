#include "core/forest.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>

#include "core/failure.h"
#include "core/forest_member.h"
#include "core/forest_rows.h"
#include "core/loss.h"
#include "core/record_model.h"

namespace sluice {

namespace {

using namespace forest;

/** In file order. */
constexpr OptionRange kRanges[] = {
    {"trees", 1, 256, true}, {"columns", 0.001, 1},   {"candidates", 0.001, 1},
    {"bagging", 0.1, 16},    {"grace", 1, 1e6},       {"confidence", 1e-12, 0.5},
    {"tie", 0, 1},           {"warning", 0, 0.5},     {"drift", 0, 0.5},
    {"better", 0, 1},        {"retired", 0, 8, true}, {"predictor", 0, 2, true},
    {"balance", 0, 1},       {"memory", 1, 65536}};

Settings settings_of(const std::vector<double>& v) {
  return {.trees = static_cast<uint32_t>(v[0]),
          .columns = v[1],
          .candidates = v[2],
          .bagging = v[3],
          .grace = v[4],
          .confidence = v[5],
          .tie = v[6],
          .warning = v[7],
          .drift = v[8],
          .better = v[9],
          .retired = static_cast<uint32_t>(v[10]),
          .predictor = static_cast<Predictor>(static_cast<int>(v[11])),
          .balance = v[12],
          .memory = v[13]};
}

/** Entries of a schedule that are worked on at a time, and values copied for them at most. */
constexpr size_t kEntries = 512, kValues = size_t{1} << 20;
/** Rows times trees below which waking a thread costs more than it saves. */
constexpr size_t kParallelFrom = 256;
/** What no tree gives to a class, the forest does: its probabilities are never 0. */
constexpr double kDoubt = 0.002;
/** Rows of a weight beside 0 are learned as rows of this weight. */
constexpr float kLeastWeight = 1e-9f;
/** How the shares of classes fade by which classes are balanced, and how much a rare one gains at most. */
constexpr double kKeepClasses = 0.9995, kMostBalance = 16;

/** Hands the numbers below `count` to threads; what they throw becomes a Failure of the caller. */
template <typename Work>
class Shared {
 public:
  Shared(size_t count, const Work& work) : count_(count), work_(work) {}

  void run(const Device& device, bool parallel) {
    if (parallel && device.table().parallel)
      device.table().parallel(device.handle(), share, this);
    else
      share(this);
    if (no_memory_) throw Failure("MODEL_MEMORY", "there is no memory for the forest to grow");
  }

 private:
  static void share(void* context) {
    auto& shared = *static_cast<Shared*>(context);
    try {
      auto work = shared.work_();
      for (size_t i = shared.next_++; i < shared.count_; i = shared.next_++) work(i);
    } catch (const std::bad_alloc&) {
      shared.no_memory_ = true;
    }
  }

  size_t count_;
  const Work& work_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> no_memory_{false};
};

class Forest final : public Model {
 public:
  Forest(std::shared_ptr<Device> device, const Shape& shape, const std::vector<double>& values, uint64_t seed)
      : device_(std::move(device)),
        seed_(seed),
        values_(values),
        ground_(shape, settings_of(values)),
        poisson_(ground_.settings.bagging),
        rows_(shape),
        constants_(shape.dense_dims, std::numeric_limits<float>::quiet_NaN()),
        classes_(shape.classes) {
    columns_.varied.assign(shape.dense_dims, Columns::kNever);
    for (uint32_t t = 0; t < ground_.settings.trees; ++t) members_.emplace_back(ground_, mix(seed, t));
  }

  std::string_view kind() const override { return "forest"; }
  const Shape& shape() const override { return ground_.layout.shape; }
  const Device& device() const override { return *device_; }
  size_t bytes() const override;
  void score(Batch& batch, float* scores, const Stop& stop) const override;
  void learn(Batch& batch, const Stop& stop) override { run(batch, nullptr, stop); }
  void step(Batch& batch, float* scores, const Stop& stop) override;
  void read(FileReader& file);

 protected:
  uint64_t seed() const override { return seed_; }
  Options options() const override;
  void write(FileWriter& file) const override;

 private:
  /** A chunk of a schedule, made ready. */
  struct Plan {
    std::vector<Task> tasks;
    std::vector<uint32_t> rows;   // of each task, in rows_
    std::vector<uint32_t> lines;  // rows of the batch that are scored
  };

  size_t chunk() const { return std::clamp<size_t>(kValues / (shape().dense_dims + 1), 1, kEntries); }
  void run(Batch& batch, float* scores, const Stop& stop);
  void plan(const Batch& batch, bool scores, uint64_t first, uint64_t last, Plan& plan);
  void add_entry(const Batch& batch, uint32_t row, bool scores, bool learns, Plan& plan);
  void note(const Row& row, uint64_t number);
  double balance(uint32_t label);
  void carry_out(const Plan& plan, float* scores);
  void combine(const float* votes, size_t stride, float* scores) const;

  std::shared_ptr<Device> device_;
  uint64_t seed_;
  std::vector<double> values_;
  const Ground ground_;
  const Poisson poisson_;
  std::vector<Member> members_;
  RowBuffer rows_;
  std::vector<float> votes_;
  uint64_t number_ = 0;           // of rows learned
  std::vector<float> constants_;  // the first value of each column, NaN so far
  Columns columns_;
  std::vector<double> classes_;  // weights seen, faded; only kept where classes are balanced
};

size_t Forest::bytes() const {
  size_t sum = constants_.size() * sizeof(float) + columns_.varied.size() * sizeof(uint64_t);
  for (const Member& member : members_) sum += member.bytes();
  return sum;
}

Options Forest::options() const {
  Options all;
  for (size_t at = 0; at < std::size(kRanges); ++at) all.emplace_back(kRanges[at].name, values_[at]);
  return all;
}

/** Sums the votes of the trees, `stride` apart; they say nothing until one has learned a row. */
void Forest::combine(const float* votes, size_t stride, float* scores) const {
  const uint32_t classes = shape().classes;
  double sums[kMaxClasses] = {}, total = 0;
  for (size_t t = 0; t < members_.size(); ++t)
    for (uint32_t k = 0; k < classes; ++k) sums[k] += static_cast<double>(votes[t * stride + k]);
  for (uint32_t k = 0; k < classes; ++k) total += sums[k];
  for (uint32_t k = 0; k < classes; ++k) {
    const double share = total > 0 && total < 1e9 ? sums[k] / total : 1.0 / classes;
    scores[k] = static_cast<float>(share * (1 - kDoubt) + kDoubt / classes);
  }
}

void Forest::score(Batch& batch, float* scores, const Stop& stop) const {
  check_batch(batch, shape());
  const size_t at_a_time = std::min<size_t>(chunk(), 32), count = batch.rows.count,
               width = ground_.layout.width;
  std::atomic<bool> stopped{false};
  const auto open = [&] {
    return [&, scratch = Scratch(ground_.layout), rows = RowBuffer(shape()),
            votes = std::vector<float>(members_.size() * width)](size_t part) mutable {
      for (size_t i = part * at_a_time; i < std::min(count, (part + 1) * at_a_time); ++i) {
        if (stop.load(std::memory_order_relaxed) != 0) stopped = true;
        if (stopped) return;
        rows.clear();
        rows.add(batch.rows, static_cast<uint32_t>(i));
        for (size_t t = 0; t < members_.size(); ++t)
          members_[t].vote(rows.row(0), votes.data() + t * width, scratch);
        combine(votes.data(), width, scores + i * shape().classes);
      }
    };
  };
  Shared(count == 0 ? 0 : (count - 1) / at_a_time + 1, open)
      .run(*device_, count * members_.size() >= kParallelFrom);
  expect_ok(stopped ? SLUICE_STOPPED : SLUICE_OK, "scoring");
}

void Forest::step(Batch& batch, float* scores, const Stop& stop) {
  std::fill(scores, scores + size_t{batch.rows.count} * shape().classes,
            std::numeric_limits<float>::quiet_NaN());
  run(batch, scores, stop);
}

void Forest::run(Batch& batch, float* scores, const Stop& stop) {
  if (!batch.labels && batch.rows.count > 0) throw Failure("MODEL_INPUT", "learning needs labels");
  check_batch(batch, shape());
  const uint64_t entries = batch.schedule ? batch.schedule_length : batch.rows.count;
  Plan next;
  for (uint64_t first = 0; first < entries; first += chunk()) {
    if (stop.load(std::memory_order_relaxed) != 0) expect_ok(SLUICE_STOPPED, "learning");
    plan(batch, scores != nullptr, first, std::min<uint64_t>(entries, first + chunk()), next);
    carry_out(next, scores);
  }
}

/** Entries [first, last) in order, each with what the forest as a whole knows when its turn comes. */
void Forest::plan(const Batch& batch, bool scores, uint64_t first, uint64_t last, Plan& next) {
  next.tasks.clear();
  next.rows.clear();
  next.lines.clear();
  rows_.clear();
  for (uint64_t e = first; e < last; ++e) {
    if (!batch.schedule) {
      add_entry(batch, static_cast<uint32_t>(e), scores, true, next);
      continue;
    }
    const int32_t entry = batch.schedule[e];
    const auto row = static_cast<uint32_t>(entry < 0 ? ~entry : entry);
    if (row >= batch.rows.count) continue;
    // A row that is scored and then learned is looked at once.
    const bool both = entry >= 0 && scores && e + 1 < last && batch.schedule[e + 1] == ~entry;
    add_entry(batch, row, entry >= 0 && scores, entry < 0 || both, next);
    if (both) ++e;
  }
  for (size_t i = 0; i < next.tasks.size(); ++i) next.tasks[i].row = rows_.row(next.rows[i]);
}

void Forest::add_entry(const Batch& batch, uint32_t row, bool scores, bool learns, Plan& next) {
  Task task{.row = {}, .label = -1, .weight = 1, .number = number_, .line = kNone};
  if (learns) {
    const int32_t label = batch.labels[row];
    const float weight = batch.weights ? batch.weights[row] : 1.0f;
    if (label >= 0 && label < static_cast<int32_t>(shape().classes) && weight > 0 && weight <= kMaxWeight) {
      task.label = label;
      task.weight = std::max(kLeastWeight, weight);
    }
  }
  if (!scores && task.label < 0) return;
  const uint32_t number = rows_.add(batch.rows, row);
  if (task.label >= 0) {
    note(rows_.row(number), number_++);
    task.weight =
        static_cast<float>(static_cast<double>(task.weight) * balance(static_cast<uint32_t>(task.label)));
  }
  if (scores) {
    task.line = static_cast<uint32_t>(next.lines.size());
    next.lines.push_back(row);
  }
  next.tasks.push_back(task);
  next.rows.push_back(number);
}

/** A column counts as more than a constant from the row on that brings it a second value. */
void Forest::note(const Row& row, uint64_t number) {
  for (uint32_t j = 0; j < shape().dense_dims; ++j) {
    const float x = row.dense[j];
    if (columns_.varied[j] != Columns::kNever || x != x) continue;
    if (constants_[j] != constants_[j])
      constants_[j] = x;
    else if (x != constants_[j])
      columns_.varied[j] = number;
  }
}

/** Weights rows so that each class that was seen weighs alike, as far as the option says. */
double Forest::balance(uint32_t label) {
  const double wanted = ground_.settings.balance;
  if (wanted <= 0) return 1;
  double sum = 0, seen = 0;
  classes_[label] += 1;
  for (double& weight : classes_) {
    weight *= kKeepClasses;
    sum += weight;
    seen += weight > 1e-3 ? 1 : 0;
  }
  const double factor = exp_exact(wanted * log_exact(sum / (seen * classes_[label])));
  return std::clamp(factor, 1 / kMostBalance, kMostBalance);
}

void Forest::carry_out(const Plan& next, float* scores) {
  if (next.tasks.empty()) return;
  const size_t width = ground_.layout.width, stride = next.lines.size() * width;
  votes_.resize(members_.size() * stride);
  const auto open = [&] {
    return [&, scratch = Scratch(ground_.layout)](size_t t) mutable {
      members_[t].run(next.tasks.data(), next.tasks.size(), columns_, poisson_, votes_.data() + t * stride,
                      scratch);
    };
  };
  Shared(members_.size(), open).run(*device_, next.tasks.size() * members_.size() >= kParallelFrom);
  for (size_t line = 0; line < next.lines.size(); ++line)
    combine(votes_.data() + line * width, stride, scores + size_t{next.lines[line]} * shape().classes);
}

/** rows learned u64 · of each column its first value f32 and when it varied u64 · class weights f64 · the
 * trees. */
void Forest::write(FileWriter& file) const {
  file.put<uint64_t>(number_);
  for (uint32_t j = 0; j < shape().dense_dims; ++j) {
    file.put<float>(constants_[j]);
    file.put<uint64_t>(columns_.varied[j]);
  }
  for (double weight : classes_) file.put<double>(weight);
  for (const Member& member : members_) member.write(file);
}

void Forest::read(FileReader& file) {
  number_ = file.get<uint64_t>();
  for (uint32_t j = 0; j < shape().dense_dims; ++j) {
    constants_[j] = file.get<float>();
    columns_.varied[j] = file.get<uint64_t>();
    const float none = std::numeric_limits<float>::quiet_NaN();
    if (!std::isfinite(constants_[j]) && std::memcmp(&constants_[j], &none, sizeof none) != 0)
      corrupt("the first value of a column is impossible");
    if (columns_.varied[j] != Columns::kNever &&
        (columns_.varied[j] >= number_ || !std::isfinite(constants_[j])))
      corrupt("a column varied before it was seen");
  }
  for (double& weight : classes_) {
    weight = file.get<double>();
    if (!(weight >= 0 && weight <= 1 / (1 - kKeepClasses) + 1))
      corrupt("the weight of a class is impossible");
  }
  for (Member& member : members_) member.read(file);
  file.end();
}

}  // namespace

std::unique_ptr<Model> create_forest(std::shared_ptr<Device> device, const Shape& shape,
                                     const Options& options, uint64_t seed) {
  std::vector<double> values;
  const std::string why = read_options(kRanges, options, values);
  if (!why.empty()) throw Failure("MODEL_INPUT", why);
  try {
    return std::make_unique<Forest>(std::move(device), shape, values, seed);
  } catch (const std::bad_alloc&) {
    throw Failure("MODEL_MEMORY", "there is no memory for a forest of this shape");
  }
}

std::unique_ptr<Model> read_forest(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed, FileReader& file) {
  std::vector<double> values;
  const std::string why = read_options(kRanges, options, values);
  if (!why.empty()) corrupt(why.c_str());
  try {
    auto model = std::make_unique<Forest>(std::move(device), shape, values, seed);
    model->read(file);
    return model;
  } catch (const std::bad_alloc&) {
    throw Failure("MODEL_MEMORY", "there is no memory for the forest of this file");
  }
}

}  // namespace sluice
