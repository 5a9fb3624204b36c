/*
 * The calls of a model as jobs. Each is made at the door from checked types, runs without JS, and gives
 * its result back on the JS thread.
 */
#pragma once

#include <napi.h>

#include "node/strand.h"

namespace sluice::node {

/**
 * Each takes (handle, count, indptr, indices, values, denseDims, dense, …) from `info` and gives a promise:
 * score …; learn …, labels, weights?; step …, labels, weights?, schedule?.
 */
Napi::Value submit_score(Strand& strand, const Napi::CallbackInfo& info, uint32_t classes);
Napi::Value submit_learn(Strand& strand, const Napi::CallbackInfo& info);
Napi::Value submit_step(Strand& strand, const Napi::CallbackInfo& info, uint32_t classes);
Napi::Value submit_save(Strand& strand, const Napi::CallbackInfo& info);

}  // namespace sluice::node
