/*
 * What the active leaves of a tree observe, one block of memory a leaf: histograms of classes over the
 * columns of the tree, and of a bounded number of the buckets that rows brought. The root of a new tree first
 * keeps kFirst rows as they are; their quantiles become the borders of its bins. A child begins with the
 * borders of its parent. From then on a row costs one search and one addition a column, naive Bayes is a
 * product of bin shares, and every border is a candidate split. Bins that grow too heavy are cut in halves
 * and the lightest neighbours joined, so that the borders follow the values wherever they go (in the spirit
 * of Gama and Pinto 2006).
 *
 * Buckets (hashed categories) are seen as present or not; where more come than there are slots, one that
 * keeps coming takes the slot of one that does not (after Misra and Gries 1982).
 */
#pragma once

#include <cstdint>
#include <vector>

#include "core/file.h"
#include "core/forest_layout.h"

namespace sluice::forest {

/** A split as a leaf would make it. */
struct Split {
  float merit = 0;  // gain of information, bits
  uint32_t column = kNone;
  uint32_t bucket = kNone;  // instead of a column
  float border = 0;
  bool heavier_left = false;  // where more of the observed rows went
};

/** The best split, and the merit of the best by another column or bucket. */
struct Candidates {
  Split best;
  float second = 0;
};

/** Blocks are numbered; a leaf holds the number of its own. */
class Leaves {
 public:
  explicit Leaves(const Layout& layout) : layout_(&layout) {}

  /** An empty block over these columns (in rising order). Throws bad_alloc, and nothing is changed then. */
  uint32_t take(const std::vector<uint32_t>& columns, uint64_t salt);
  /** Makes `to`, which may be `from`, what a child begins with: the borders of its parent. */
  void inherit(uint32_t to, uint32_t from, uint64_t salt);
  void give_back(uint32_t block) { free_.push_back(block); }
  uint32_t in_use() const { return static_cast<uint32_t>(meta_.size() - free_.size()); }
  size_t bytes() const;

  /** Bin of each column, kNoBin where missing; false while the leaf has no bins yet. */
  bool find_bins(uint32_t block, const Row& row, uint8_t* bins) const;
  /** Naive Bayes: `p`, the prior, is multiplied by the shares and normalised; `width` floats. */
  void bayes(uint32_t block, const Row& row, const uint8_t* bins, float* p) const;
  /** `bins` as found for this row. */
  void observe(uint32_t block, const Row& row, const uint8_t* bins, uint32_t label, float weight);
  /** Moves borders where bins have grown too heavy. */
  void adjust(uint32_t block);
  Candidates candidates(uint32_t block) const;
  /** Classes of what was observed on either side of the split; `width` floats each. */
  void sides(uint32_t block, const Split& split, float* left, float* right) const;

  void write(FileWriter& file, uint32_t block) const;
  /** Appends a block. Throws Failure MODEL_CORRUPT. */
  uint32_t read(FileReader& file);

  static constexpr uint8_t kNoBin = 0xff;

 private:
  struct Meta {
    uint64_t salt = 0;     // of the columns and buckets that the leaf may split by
    uint32_t columns = 0;  // of the tree, really drawn
    uint32_t first = 0;    // rows kept as they are; kFirst: there are bins
    uint32_t slots = 0;    // in use
  };

  float* floats(uint32_t block) { return floats_.data() + block * layout_->floats; }
  const float* floats(uint32_t block) const { return floats_.data() + block * layout_->floats; }
  uint32_t* words(uint32_t block) { return words_.data() + block * layout_->words; }
  const uint32_t* words(uint32_t block) const { return words_.data() + block * layout_->words; }
  const uint32_t* buckets(uint32_t block) const { return words(block) + layout_->columns; }

  void grow();
  void keep_first(uint32_t block, const Row& row, uint32_t label, float weight);
  void make_bins(uint32_t block);
  void observe_buckets(uint32_t block, const Row& row, uint32_t label, float weight);
  uint32_t find_slot(uint32_t block, uint32_t bucket) const;
  bool may_split(uint32_t block, uint32_t by, float share) const;
  void read_first(FileReader& file, uint32_t block);

  const Layout* layout_;
  std::vector<float> floats_;
  std::vector<uint32_t> words_;
  std::vector<Meta> meta_;
  std::vector<uint32_t> free_;
};

}  // namespace sluice::forest
