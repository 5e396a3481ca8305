#pragma once

#include <memory>
#include <ostream>
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
  int threads = 1;  // of the pool that `ops` runs units on
  std::vector<std::shared_ptr<void>> kept{};
};
// Puts a part away, for the double that takes its place.
template <typename T>
T& keep(ProcessParts& parts, std::unique_ptr<T>& part) {
  std::shared_ptr<T> kept = std::move(part);
  parts.kept.push_back(kept);
  return *kept;
}

struct Defect {
  std::string name;
  std::string checkpoint;  // one that it shows on
  int cp = 1;              // and the smallest mesh
  int sp = 1;
  std::string place;  // where the stage ladder says that it begins
  void (*plant)(ProcessParts&);
  const char* task = nullptr;  // the checkpoint's golden case that is run; else text to video
};
inline void PrintTo(const Defect& defect, std::ostream* out) { *out << defect.name; }

// Of what ranks send each other, of what is made once or tile by tile, and of kernels.
const std::vector<Defect>& exchange_defects();
const std::vector<Defect>& work_defects();
const std::vector<Defect>& op_defects();

}  // namespace cogvx::test
