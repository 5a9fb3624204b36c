/*
 * The one exception of the core. Thrown inside the core, caught at the door of every caller (the binding
 * turns it into a JS error); never crosses a C function table. The codes are those of src/errors.ts.
 */
#pragma once

#include <stdexcept>
#include <string>

namespace sluice {

class Failure : public std::runtime_error {
 public:
  /** `code` is a literal: MODEL_INPUT, MODEL_CORRUPT, MODEL_VERSION, MODEL_MEMORY, MODEL_CLOSED, ... */
  Failure(const char* code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

}  // namespace sluice
