#pragma once

#include "core/pipeline/stage_recorder.h"
#include "core/pipeline/unit_ledger.h"

namespace cogvx {

// What is told about a run beside its progress; either may be null.
struct RunWatch {
  StageRecorder* recorder = nullptr;
  UnitLedger* units = nullptr;
};

}  // namespace cogvx
