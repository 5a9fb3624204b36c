/*
 * The line between the core and its backends: one versioned table of C functions, so that a backend
 * can be a shared library of its own, built by another compiler, opened at run time and refused with a
 * reason. No entry throws, exits or keeps a pointer after it returns, except to memory from `alloc`.
 *
 * Entries marked (optional) may be null; their default stands beside them.
 */
#ifndef SLUICE_CORE_OPS_H
#define SLUICE_CORE_OPS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rises whenever a struct or the meaning of an entry changes. */
#define SLUICE_BACKEND_ABI 4u
/* A backend library exports this function; it returns a table that lives as long as the library. */
#define SLUICE_BACKEND_SYMBOL "sluice_backend_table"

enum {
  SLUICE_OK = 0,
  SLUICE_UNAVAILABLE = 1, /* this machine cannot run it; the reason is in words */
  SLUICE_NO_MEMORY = 2,
  SLUICE_STOPPED = 3, /* `stop` was raised; the model is as it was after the last whole row */
  SLUICE_FAILED = 4   /* the device failed; the reason is in words */
};

/* The label of a row of which no label is known: a kind that trains itself decides what to learn of it. */
enum { SLUICE_OWN_LABEL = -2 };

/*
 * A batch in host memory: row i owns [indptr[i], indptr[i + 1]) of indices and values, and
 * dense[i * dense_dims, (i + 1) * dense_dims). Checked before, but another thread of a careless caller
 * may write into it meanwhile: a backend must stay inside its own memory whatever it reads here
 * (indices are taken modulo dims, spans are clamped to nnz).
 */
typedef struct sluice_rows {
  uint32_t count;
  uint32_t dense_dims;
  uint64_t nnz; /* readable length of indices and values */
  const uint32_t* indptr;
  const uint32_t* indices;
  const float* values;
  const float* dense; /* NaN and infinities: missing */
} sluice_rows;

/*
 * A linear model. `outputs` is 1 for two classes (one logit), else `classes`; `stride` is the distance of
 * the weight block to the accumulator block in floats: 1 for one output, else outputs rounded up to 4.
 * Record r = records[r * 2 * stride ...]: stride weights, then stride AdaGrad sums of squared gradients;
 * side by side, because learning touches both and a random access costs a cache line either way.
 * Records: dims sparse buckets, dense_dims columns, one bias. Padding is zero for ever.
 */
typedef struct sluice_linear {
  uint32_t dims; /* a power of two, or 0 */
  uint32_t dense_dims;
  uint32_t classes;
  uint32_t outputs;
  uint32_t stride;
  uint32_t normalise; /* 1: dense columns are standardised by `moments` */
  float rate;
  float l2;
  float eps;
  float* records;  /* device memory, 64-byte aligned */
  double* moments; /* device memory: dense_dims counts, then means, then sums of squared deviations */
} sluice_linear;

/*
 * A text model (two classes): what a bucket holds for its members (see core/text.h), in two parts or three,
 * each a table of its own and aligned to its size, so that none ever lies across two cache lines. Scoring
 * reads the first alone, and that of the member over all cells where there is one.
 */
enum { SLUICE_TEXT_VIEWS = 8 }; /* at most */

typedef struct sluice_text_weights {
  float view, ratios;
  float ratio;        /* log((spam + a) / (ham + a)) of the counts; 0: never counted */
  float view_squares; /* AdaGrad sum */
} sluice_text_weights;

typedef struct sluice_text_counts {
  float ratios_squares; /* AdaGrad sum */
  uint16_t spam, ham;   /* in eighths of a row; both are halved where one would overflow */
} sluice_text_counts;

/* A weight and its AdaGrad sum: a bias, or the weight of a bucket in the member over all cells. */
typedef struct sluice_text_member {
  float weight, squares;
} sluice_text_member;

/* The little that is not of a bucket. */
typedef struct sluice_text_state {
  sluice_text_member all, ratios, view[SLUICE_TEXT_VIEWS]; /* biases */
  double slope, offset, slope_squares, offset_squares;
  double spam, ham; /* sums of row weights */
  double noise;     /* the share of labels believed to be wrong */
} sluice_text_state;

typedef struct sluice_text {
  uint32_t dims; /* a power of two, at least `views` */
  uint32_t views;
  uint32_t view_shift; /* (index modulo dims) >> view_shift is the view of a cell */
  uint32_t all;        /* 1: with the member over all cells */
  uint32_t guard;      /* 1: errors are weighed by `noise` */
  float rate;
  float smoothing;   /* a */
  float calibration; /* step size of slope and offset */
  /* Device memory, 64-byte aligned: dims weights, then dims counts, then with `all` dims members. */
  void* tables;
  sluice_text_state* state; /* device memory: one */
} sluice_text;

typedef struct sluice_device_options {
  uint32_t threads; /* 0: the backend chooses */
  const char* isa;  /* CPU: "auto", "baseline", "avx2"; null is "auto" */
} sluice_device_options;

typedef struct sluice_backend {
  uint32_t abi;  /* SLUICE_BACKEND_ABI; checked before anything else is read */
  uint32_t size; /* sizeof(sluice_backend) */
  const char* name;

  /* Says in `text` (always terminated) what would be used, or why it cannot be. Never opens anything. */
  int (*probe)(char* text, size_t size);
  int (*open)(const sluice_device_options* options, void** device, char* text, size_t size);
  void (*close)(void* device);

  /* (optional, both or none; default: zeroed host memory) Zeroed memory of the device, null when there is
   * none. */
  void* (*alloc)(void* device, size_t bytes);
  void (*free)(void* device, void* memory, size_t bytes);
  /* (optional, both or none; default: alloc gives host memory, which is read and written directly) */
  int (*upload)(void* device, void* to, const void* from, size_t bytes);
  int (*download)(void* device, void* to, const void* from, size_t bytes);

  /*
   * (optional, both or none; default: the backend has no linear model and the CPU runs it)
   * score: probabilities, count x classes, into host memory.
   * step: the schedule of `entries` entries, e >= 0 scores row e into `scores`, e < 0 learns row ~e with
   * labels[~e] (-1, SLUICE_OWN_LABEL or weight 0: skip). A null schedule scores and learns row after row,
   * or, where `scores` is null, only learns. `weights` may be null. `stop` is looked at between rows.
   */
  int (*linear_score)(void* device, const sluice_linear* model, const sluice_rows* rows, float* scores,
                      const int32_t* stop);
  int (*linear_step)(void* device, sluice_linear* model, const sluice_rows* rows, const int32_t* labels,
                     const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
                     const int32_t* stop);

  /* (optional, both or none; default: the CPU runs it) As above, for a text model: scores are count x 2, and
   * a row with SLUICE_OWN_LABEL teaches the model what it says of it itself, where it is sure. */
  int (*text_score)(void* device, const sluice_text* model, const sluice_rows* rows, float* scores,
                    const int32_t* stop);
  int (*text_step)(void* device, sluice_text* model, const sluice_rows* rows, const int32_t* labels,
                   const float* weights, const int32_t* schedule, uint64_t entries, float* scores,
                   const int32_t* stop);

  /* (optional; default: work(context) is called once, by the caller) Calls work(context) on up to as many
   * host threads as the device has, the caller's among them, and returns when all have returned. */
  void (*parallel)(void* device, void (*work)(void* context), void* context);
} sluice_backend;

#ifdef __cplusplus
}
#endif

#endif
