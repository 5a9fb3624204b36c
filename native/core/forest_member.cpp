#include "core/forest_member.h"

#include <algorithm>
#include <cmath>

namespace sluice::forest {

namespace {

/** What a record of long, and one of the last rows, keeps from row to row. */
constexpr double kKeep = 0.999, kKeepRecent = 0.99;
/** Rows that must be behind a comparison. */
constexpr double kEnough = 50;
/** Rows that a tree is given before a newer one may take its place: until then its errors rise because it has
 * not seen the classes yet that come, and what it knows would be lost for a tree that knows less. */
constexpr uint64_t kYoung = 500;
/** Rows for which retired trees are compared after a warning or a replacement. */
constexpr uint32_t kAlert = 300;

}  // namespace

std::vector<uint32_t> Columns::before(uint64_t number) const {
  std::vector<uint32_t> found;
  for (uint32_t j = 0; j < varied.size(); ++j)
    if (varied[j] <= number && varied[j] != kNever) found.push_back(j);
  return found;
}

Member::Member(const Ground& ground, uint64_t seed)
    : ground_(&ground),
      seed_(seed),
      front_(std::make_unique<Grown>(ground, mix(seed, ~planted_++), std::vector<uint32_t>())) {}

/** A tree's word counts as the fourth power of how often it was right. */
void Member::weigh(const Scratch& scratch, float* votes) const {
  const double share = front_->record.seen > 0 ? front_->record.share() : 1;
  const auto weight = static_cast<float>(share * share * share * share + 1e-6);
  for (uint32_t k = 0; k < ground_->layout.width; ++k) votes[k] = weight * scratch.votes[k];
}

void Member::vote(const Row& row, float* votes, Scratch& scratch) const {
  front_->tree.judge(row, scratch);
  weigh(scratch, votes);
}

void Member::run(const Task* tasks, size_t count, const Columns& columns, const Poisson& poisson,
                 float* votes, Scratch& scratch) {
  for (const Task* task = tasks; task < tasks + count; ++task) {
    const Opinion opinion = front_->tree.judge(task->row, scratch);
    if (task->line != kNone) weigh(scratch, votes + size_t{task->line} * ground_->layout.width);
    if (task->label >= 0) learn(*task, opinion, columns, poisson.draw(mix(seed_, task->number)), scratch);
  }
}

void Member::learn(const Task& task, const Opinion& opinion, const Columns& columns, uint32_t k,
                   Scratch& scratch) {
  const bool wrong = !learn_tree(*front_, task, opinion, k, scratch);
  if (background_) {
    const Opinion other = background_->tree.judge(task.row, scratch);
    learn_tree(*background_, task, other, k, scratch);
  }
  if (alert_ > 0) judge_retired(task, scratch);
  watch(wrong, task, columns);
  // Not before the row is learned: scoring it must not see the change.
  if (task.number + 1 == kFirst) front_->tree.redraw(columns.before(task.number));
}

/** Whether the tree was right before it learned the row. */
bool Member::learn_tree(Grown& grown, const Task& task, const Opinion& opinion, uint32_t k,
                        Scratch& scratch) {
  const auto label = static_cast<uint32_t>(task.label);
  const bool right = opinion.predicted == label;
  ++grown.age;
  grown.record.add(right, kKeep);
  grown.recent.add(right, kKeepRecent);
  if (k > 0) grown.tree.learn(task.row, opinion, label, task.weight * static_cast<float>(k), scratch);
  return right;
}

/** Retired trees are compared for a while, by what they say from now on. */
void Member::alert() {
  if (alert_ == 0)
    for (const auto& grown : retired_) grown->recent = Record();
  alert_ = kAlert;
}

void Member::judge_retired(const Task& task, Scratch& scratch) {
  --alert_;
  for (const auto& grown : retired_)
    grown->recent.add(grown->tree.judge(task.row, scratch).predicted == static_cast<uint32_t>(task.label),
                      kKeepRecent);
}

void Member::watch(bool wrong, const Task& task, const Columns& columns) {
  const Settings& settings = ground_->settings;
  if (take_over()) return;
  if (settings.warning > 0 && warning_.add(wrong, settings.warning) == Change::rise) {
    background_ = plant(task, columns);
    alert();
    warning_ = Adwin();
  }
  if (settings.drift > 0 && drift_.add(wrong, settings.drift) == Change::rise) {
    drift_ = Adwin();
    if (front_->age >= kYoung) replace(task, columns);
  }
}

/** The best of background and retired trees becomes the front if it is clearly better. */
bool Member::take_over() {
  const double least = front_->recent.share() + ground_->settings.better;
  std::unique_ptr<Grown>* best = nullptr;
  const auto offer = [&](std::unique_ptr<Grown>& grown) {
    if (!grown || grown->recent.seen < kEnough || grown->recent.share() <= least) return;
    if (!best || grown->recent.share() > (*best)->recent.share()) best = &grown;
  };
  if (front_->age >= kYoung) offer(background_);
  for (auto& grown : retired_) offer(grown);
  if (!best || ground_->settings.better >= 1) return false;
  std::unique_ptr<Grown> next = std::move(*best);
  std::erase(retired_, nullptr);
  crown(std::move(next));
  return true;
}

void Member::replace(const Task& task, const Columns& columns) {
  crown(background_ ? std::move(background_) : plant(task, columns));
}

void Member::crown(std::unique_ptr<Grown> next) {
  alert_ = 0;
  if (ground_->settings.retired > 0) {
    if (retired_.size() >= ground_->settings.retired) retired_.erase(retired_.begin());
    retired_.push_back(std::move(front_));
  }
  front_ = std::move(next);
  background_.reset();
  warning_ = Adwin();
  drift_ = Adwin();
  alert();
}

std::unique_ptr<Member::Grown> Member::plant(const Task& task, const Columns& columns) {
  return std::make_unique<Grown>(*ground_, mix(seed_, ~planted_++), columns.before(task.number));
}

size_t Member::bytes() const {
  size_t sum = sizeof *this;
  const auto add = [&](const std::unique_ptr<Grown>& grown) {
    sum += grown ? sizeof(Grown) + grown->tree.bytes() : 0;
  };
  add(front_);
  add(background_);
  for (const auto& grown : retired_) add(grown);
  return sum;
}

}  // namespace sluice::forest
