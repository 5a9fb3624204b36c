/*
 * The CPU backend: always there, and the referee of every other one. Its results are the same bits for
 * every instruction set and number of threads.
 */
#pragma once

#include "core/ops.h"

namespace sluice {

/** The table; lives as long as the program. */
const sluice_backend* cpu_backend();

}  // namespace sluice
