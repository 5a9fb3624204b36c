/*
 * A Hoeffding tree (Domingos and Hulten 2000): a leaf splits as soon as the best of its candidates is better
 * than the second by more than chance allows. A leaf says what naive Bayes and the mere counts of its classes
 * say, each weighed by how often it was right there (after Gama, Rocha and Medas 2003, who choose). Nodes lie
 * in one array, children side by side; what active leaves observe lies in Leaves. Memory is bounded: where no
 * block is left, the least promising leaf becomes inactive and only counts its classes; at the most leaves
 * nothing splits any more.
 */
#pragma once

#include <cstdint>
#include <vector>

#include "core/file.h"
#include "core/forest_leaves.h"

namespace sluice::forest {

/** What does not differ between the trees of a forest; outlives them. */
struct Ground {
  Ground(const Shape& shape, const Settings& settings);
  Settings settings;
  Layout layout;
  uint32_t most_blocks, most_leaves;  // of one tree
};

/** What one thread needs to work on a row; reused. */
struct Scratch {
  explicit Scratch(const Layout& layout)
      : bins(layout.columns), votes(layout.width), bayes(layout.width), sides(2 * size_t{layout.width}) {}
  std::vector<uint8_t> bins;
  std::vector<float> votes, bayes, sides;
};

/** What a tree said of a row, good until it learns; its votes and the row's bins are in Scratch. */
struct Opinion {
  uint32_t leaf;
  uint32_t predicted;  // class
  uint32_t majority;
  uint32_t bayes;  // kNone: the leaf has no bins yet
  uint32_t mixed;  // what both together say
  float total;     // weight of the leaf's classes
};

class Tree {
 public:
  /** `varied`: columns that are more than a constant, in rising order. */
  Tree(const Ground& ground, uint64_t seed, const std::vector<uint32_t>& varied);

  /** Votes sum to 1, or are all 0 while nothing is known. */
  Opinion judge(const Row& row, Scratch& scratch) const;
  /** Learns a row of which `opinion` is fresh. Throws bad_alloc. */
  void learn(const Row& row, const Opinion& opinion, uint32_t label, float weight, Scratch& scratch);
  /** Draws its columns anew, where it never split: once it is known which are more than a constant. */
  void redraw(const std::vector<uint32_t>& varied);

  size_t bytes() const;
  void write(FileWriter& file) const;
  /** Into a fresh tree. Throws Failure MODEL_CORRUPT. */
  void read(FileReader& file);

 private:
  struct Node {
    uint32_t child = 0;       // of an inner node: the left child, the right one follows; 0: a leaf
    uint32_t column = kNone;  // kNone: `bucket` is looked for instead
    uint32_t bucket = kNone;  // of a leaf: its number in leaves_
    float border = 0;         // values up to it go left
    uint32_t missing_left = 0;
  };
  struct Leaf {
    uint32_t node = 0;
    uint32_t block = kNone;  // kNone: inactive
    float since = 0;         // weight since the last look for a split
    float majority_right = 0, bayes_right = 0;
  };

  uint32_t find_leaf(const Row& row) const;
  float* classes(uint32_t leaf) { return classes_.data() + size_t{leaf} * ground_->layout.width; }
  const float* classes(uint32_t leaf) const { return classes_.data() + size_t{leaf} * ground_->layout.width; }
  float share_of_bayes(const Leaf& leaf) const;
  bool splits(const Candidates& found, float weight) const;
  void split(uint32_t leaf, const Split& at, Scratch& scratch);
  void begin(uint32_t leaf, uint32_t node, const Leaf& parent, const float* classes);
  uint32_t free_block(uint32_t leaf, uint32_t spared);
  float promise(uint32_t leaf) const;
  uint64_t next_salt();
  void read_node(FileReader& file, uint32_t at, std::vector<bool>& reached, std::vector<bool>& named);
  void read_leaf(FileReader& file, uint32_t at);

  const Ground* ground_;
  uint64_t seed_;
  uint64_t salts_ = 0;
  /** How often naive Bayes, and both predictors mixed, were right of late: faded counts over the same rows.
   */
  float bayes_right_ = 0, mixed_right_ = 0;
  std::vector<Node> nodes_;
  std::vector<Leaf> leaves_;
  std::vector<float> classes_;
  Leaves observed_;
};

}  // namespace sluice::forest
