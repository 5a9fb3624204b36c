/*
 * One voice of the forest: a tree, what tells that its errors have risen, the tree that grows in the
 * background since a warning (Gomes et al. 2017, whose scheme it is), and a few retired trees for concepts
 * that come back (after Gama and Kosina 2009). Beside the detectors a plain comparison of the last rows
 * decides: what is clearly better takes over, whether or not a drift was signalled; hence warnings may be
 * raised lightly. Members share nothing that learning changes, so that each can run through a batch on a
 * thread of its own.
 */
#pragma once

#include <memory>
#include <vector>

#include "core/forest_adwin.h"
#include "core/forest_numbers.h"
#include "core/forest_tree.h"

namespace sluice::forest {

/** A row to score, to learn, or both in this order. */
struct Task {
  Row row;
  int32_t label;  // -1: not learned
  float weight;
  uint64_t number;  // of rows learned before it
  uint32_t line;    // of the votes; kNone: not scored
};

/** What is known of the columns: when each was first seen to be more than a constant. */
struct Columns {
  static constexpr uint64_t kNever = ~uint64_t{0};
  std::vector<uint64_t> varied;  // number of the row, kNever so far
  std::vector<uint32_t> before(uint64_t number) const;
};

/** Right answers, where older ones fade. */
struct Record {
  double right = 0, seen = 0;
  void add(bool is_right, double keep) {
    right = right * keep + (is_right ? 1 : 0);
    seen = seen * keep + 1;
  }
  double share() const { return seen > 0 ? right / seen : 0; }
  void write(FileWriter& file) const;
  void read(FileReader& file);
};

class Member {
 public:
  Member(const Ground& ground, uint64_t seed);

  /** Runs the tasks in order; `votes` has `width` floats a line. Throws bad_alloc. */
  void run(const Task* tasks, size_t count, const Columns& columns, const Poisson& poisson, float* votes,
           Scratch& scratch);
  /** Its weighted vote: `width` floats. */
  void vote(const Row& row, float* votes, Scratch& scratch) const;

  size_t bytes() const;
  void write(FileWriter& file) const;
  /** Into a fresh member. Throws Failure MODEL_CORRUPT. */
  void read(FileReader& file);

 private:
  /** A tree and how it has done. */
  struct Grown {
    Grown(const Ground& ground, uint64_t seed, const std::vector<uint32_t>& varied)
        : tree(ground, seed, varied) {}
    Tree tree;
    uint64_t age = 0;  // rows judged and learned
    Record record;     // of long
    Record recent;     // of the last rows, by which trees are compared
    void write(FileWriter& file) const;
    void read(FileReader& file);
  };

  void weigh(const Scratch& scratch, float* votes) const;
  void learn(const Task& task, const Opinion& opinion, const Columns& columns, uint32_t k, Scratch& scratch);
  bool learn_tree(Grown& grown, const Task& task, const Opinion& opinion, uint32_t k, Scratch& scratch);
  void watch(bool wrong, const Task& task, const Columns& columns);
  void judge_retired(const Task& task, Scratch& scratch);
  void alert();
  bool take_over();
  void replace(const Task& task, const Columns& columns);
  void crown(std::unique_ptr<Grown> next);
  std::unique_ptr<Grown> plant(const Task& task, const Columns& columns);

  const Ground* ground_;
  uint64_t seed_;
  uint64_t planted_ = 0;
  uint32_t alert_ = 0;  // rows for which retired trees are still compared
  std::unique_ptr<Grown> front_, background_;
  Adwin warning_, drift_;                        // of the front's errors
  std::vector<std::unique_ptr<Grown>> retired_;  // the oldest first
};

}  // namespace sluice::forest
