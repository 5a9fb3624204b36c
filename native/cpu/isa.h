/*
 * What this processor and its system can run, asked of the processor itself: the compilers' own question
 * (`__builtin_cpu_supports`) needs a run-time library that not every one of them can link into a shared
 * library.
 */
#pragma once

namespace sluice::cpu {

/** AVX2, with the system saving the wide registers. False on other processors than x86-64. */
bool has_avx2();

}  // namespace sluice::cpu
