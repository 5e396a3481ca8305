#pragma once

#include <string>
#include <vector>

#include "app/engine.h"
#include "app/ranks.h"
#include "core/pipeline/request.h"
#include "core/pipeline/stage_recorder.h"

namespace cogvx::app {

// --trace FILE: the stage ladder of a run, brought together from all its processes.
class Trace {
 public:
  // An empty path: nothing is recorded. The ranks must outlive it.
  Trace(std::string path, Ranks& ranks) : path_(std::move(path)), ranks_(ranks) {}

  bool wanted() const { return !path_.empty(); }
  bool empty() const { return seen_by_.empty(); }
  StageRecorder* recorder() { return wanted() ? &recorder_ : nullptr; }
  // What was seen since the last call goes to rank 0. Every process calls it at the same places.
  void collect();
  // Throws OutputError.
  void write(const Request& request, const Engine& engine, const Placement& placement) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Ranks& ranks_;
  StageRecorder recorder_;
  std::vector<std::vector<UnitHash>> seen_by_;  // on rank 0, per rank
};

// Of a file that --trace wrote. Throws DataError.
struct TraceFile {
  Request request;
  std::string engine;  // a JSON object
  std::string placement;
  StageLadder ladder;
};
TraceFile read_trace(const std::string& path);
// Whether a JSON object is such a file's.
bool is_trace(const nlohmann::json& object);

}  // namespace cogvx::app
