#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "core/ops/ops.h"
#include "core/pipeline/work_exchange.h"
#include "core/transformer/sequence_exchange.h"
#include "parallel/mesh_work.h"

// Defects that make a video depend on the number of processes, as doubles at the seams of the
// program: each is one that engines in the field have or had.
namespace cogvx::test {

// A sound process's parts, which a defect puts its doubles in front of. What it puts away stays
// alive.
struct ProcessParts {
  MeshGroups groups;
  std::unique_ptr<SequenceExchange> exchange;
  std::unique_ptr<WorkExchange> work;
  std::unique_ptr<Ops> ops;
  int64_t text_rows = 0;
  std::vector<std::shared_ptr<void>> kept{};
};

struct Defect {
  std::string name;
  std::string checkpoint;  // one that it shows on
  int cp = 1;              // and the smallest mesh
  int sp = 1;
  std::string place;  // where the stage ladder says that it begins
  void (*plant)(ProcessParts&);
  const char* task = nullptr;  // the checkpoint's golden case that is run; else text to video
};
void PrintTo(const Defect& defect, std::ostream* out);
const std::vector<Defect>& defects();

}  // namespace cogvx::test
