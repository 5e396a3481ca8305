// Whole pipelines of every task and kind on cp x sp virtual ranks: the bytes of one process. With
// COGVX_LONG set every row of the golden table runs on every mesh, else the covering part below.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <ostream>

#include "tests/parallel/mesh_pipeline.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"
#include "tests/support/cpu_path.h"

namespace cogvx {
namespace {

using namespace test;

constexpr SequenceMode kHeads = SequenceMode::kUlysses, kRows = SequenceMode::kGather;

struct MeshCase {
  int cp;
  int sp;
  SequenceMode mode = kHeads;
};
constexpr MeshCase kMeshes[] = {{1, 1}, {1, 3}, {1, 7}, {1, 3, kRows},
                                {2, 1}, {2, 2}, {2, 4}, {2, 2, kRows}};

struct TaskRow {
  std::string recipe;
  std::string name;  // the golden case's
  at::ScalarType dtype = at::kFloat;
};
void PrintTo(const TaskRow& row, std::ostream* out) {
  *out << row.recipe << " " << row.name << " " << row.dtype;
}

// What runs in CI: each kind and task once, each mesh at least once, bf16 once.
struct Covered {
  const char* recipe;
  const char* name;
  at::ScalarType dtype;
  MeshCase mesh;
};
constexpr Covered kCovering[] = {{"tiny-5b-i2v", "i2v.dpm_other_frames", at::kFloat, {2, 2}},
                                 {"tiny-1.5", "t2v.dpm_dynamic", at::kFloat, {1, 3}},
                                 {"tiny-1.5", "v2v.ddim", at::kFloat, {1, 7}},
                                 {"tiny-1.5-i2v", "i2v.ddim", at::kBFloat16, {2, 4}},
                                 {"tiny-fun-2b", "control.generic", at::kFloat, {2, 1}},
                                 {"tiny-fun-5b", "control.generic", at::kFloat, {1, 3, kRows}},
                                 {"tiny-2b-input", "v2v.ddim_tiles", at::kFloat, {1, 7}},
                                 {"tiny-5b-input", "v2v.dpm", at::kFloat, {2, 2, kRows}},
                                 {"tiny-30x16-input", "v2v.ddim_rows3", at::kFloat, {1, 1}},
                                 {"tiny-30x16-input", "v2v.ddim_rows3", at::kFloat, {2, 4}}};

constexpr std::pair<const char*, const char*> kTable[] = {
    {"tiny-5b-i2v", "i2v"},   {"tiny-1.5", "t2v"},        {"tiny-1.5", "v2v"},
    {"tiny-1.5-i2v", "i2v"},  {"tiny-fun-2b", "control"}, {"tiny-fun-5b", "control"},
    {"tiny-2b-input", "v2v"}, {"tiny-5b-input", "v2v"},   {"tiny-30x16-input", "v2v"}};

std::vector<TaskRow> table_rows() {
  std::vector<TaskRow> rows;
  for (const auto& [recipe, kind] : kTable) {
    for (const GoldenCase& golden : golden_cases(recipe, kind))
      rows.push_back({recipe, golden.name()});
  }
  rows.push_back({"tiny-5b-i2v", "i2v.dpm_dynamic", at::kBFloat16});
  rows.push_back({"tiny-1.5", "v2v.dpm_dynamic", at::kBFloat16});
  rows.push_back({"tiny-1.5-i2v", "i2v.ddim", at::kBFloat16});
  rows.push_back({"tiny-fun-5b", "control.generic_no_guidance", at::kBFloat16});
  return rows;
}

std::vector<MeshCase> meshes_of(const TaskRow& row, bool guidance) {
  std::vector<MeshCase> meshes;
  if (std::getenv("COGVX_LONG") != nullptr) {
    std::ranges::copy_if(kMeshes, std::back_inserter(meshes),
                         [&](const MeshCase& mesh) { return guidance || mesh.cp == 1; });
    return meshes;
  }
  for (const Covered& covered : kCovering) {
    if (row.recipe == covered.recipe && row.name == covered.name && row.dtype == covered.dtype)
      meshes.push_back(covered.mesh);
  }
  return meshes;
}

void expect_same(const char* what, const at::Tensor& found, const at::Tensor& wanted) {
  ASSERT_EQ(found.defined(), wanted.defined()) << what;
  if (wanted.defined()) {
    EXPECT_TRUE(same_bytes(found, wanted)) << what;
  }
}

class TaskOnAMesh : public testing::TestWithParam<TaskRow> {
 protected:
  TaskOnAMesh()
      : golden_(golden_case(GetParam().recipe, GetParam().name)),
        checkpoint_(golden_.params().at("checkpoint"),
                    GetParam().dtype == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16),
        input_(golden_pipeline_input(*checkpoint_, golden_, GetParam().dtype)) {}

  PipelineResult in_one_process() {
    ThreadPool pool(1);
    CpuOps ops(pool, test::cpu_path());
    IdentityExchange alone;
    OneWorker one;
    return run_pipeline(*checkpoint_, input_, {alone, one, ops});
  }

  StageLadder ladder_of(const std::vector<std::vector<UnitHash>>& seen) const {
    return join_ladder(seen, input_.request.max_text_tokens);
  }

  void check_on(const MeshCase& mesh, const PipelineResult& wanted) {
    std::mutex mutex;
    UnitLedger units;
    std::vector<std::vector<UnitHash>> seen(mesh.cp * mesh.sp);
    run_mesh(mesh.cp, mesh.sp, [&](const MeshGroups& groups) {
      ThreadPool pool(1);
      CpuOps ops(pool, test::cpu_path());
      const auto exchange = make_shared_sequence(mesh.mode, groups.sequence);
      MeshWork work(groups);
      PipelineResult made = run_pipeline(*checkpoint_, input_, {*exchange, work, ops});
      SCOPED_TRACE("rank " + std::to_string(groups.mesh.rank));
      expect_same("condition", made.conditions.channels_LCYX, wanted.conditions.channels_LCYX);
      expect_same("video's latents", made.conditions.video_LCYX, wanted.conditions.video_LCYX);
      expect_same("latents", made.latents, wanted.latents);
      expect_same("frames", made.frames, groups.mesh.rank == 0 ? wanted.frames : at::Tensor());
      const std::lock_guard lock(mutex);
      units += made.units;
      seen[groups.mesh.rank] = std::move(made.seen);
    });
    EXPECT_EQ(units, wanted.units);
    const StageLadder ladder = ladder_of(seen);
    EXPECT_EQ(ladder.contradictions, std::vector<std::string>{});
    EXPECT_EQ(first_difference(ladder_of({wanted.seen}), ladder), std::nullopt);
  }

  GoldenCase golden_;
  TinyCheckpoint checkpoint_;
  PipelineInput input_;
};

TEST_P(TaskOnAMesh, HasTheBytesOfOneProcess) {
  const Request& request = input_.request;
  const std::vector<MeshCase> meshes = meshes_of(GetParam(), request.uses_guidance());
  if (meshes.empty()) GTEST_SKIP() << "not in the part that covers all; set COGVX_LONG";
  const PipelineResult wanted = in_one_process();
  const RunExtent whole{.first_step = request.skipped_steps(),
                        .steps = request.steps,
                        .videos = input_.rgb_FHW3.defined() ? 1 : 0};
  EXPECT_EQ(wanted.units, all_units(request, *checkpoint_, whole));
  for (const MeshCase& mesh : meshes) {
    SCOPED_TRACE("cp " + std::to_string(mesh.cp) + ", sp " + std::to_string(mesh.sp) + ", " +
                 name_of(mesh.mode));
    check_on(mesh, wanted);
  }
}

std::string row_name(const testing::TestParamInfo<TaskRow>& info) {
  std::string name =
      info.param.recipe + "_" + info.param.name + (info.param.dtype == at::kFloat ? "" : "_bf16");
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, TaskOnAMesh, testing::ValuesIn(table_rows()), row_name);

// A row that the table has not, or a mesh that none has, would leave something uncovered unseen.
TEST(CoveringPart, HasEveryKindTaskAndMeshOfTheTable) {
  const std::vector<TaskRow> rows = table_rows();
  for (const auto& [recipe, kind] : kTable) {
    EXPECT_TRUE(std::ranges::any_of(kCovering,
                                    [&](const Covered& c) {
                                      return std::string(recipe) == c.recipe &&
                                             std::string(c.name).starts_with(kind);
                                    }))
        << recipe << " " << kind;
  }
  for (const Covered& c : kCovering) {
    EXPECT_TRUE(std::ranges::any_of(rows,
                                    [&](const TaskRow& row) {
                                      return row.recipe == c.recipe && row.name == c.name &&
                                             row.dtype == c.dtype;
                                    }))
        << c.recipe << " " << c.name;
  }
  for (const MeshCase& mesh : kMeshes) {
    EXPECT_TRUE(std::ranges::any_of(kCovering,
                                    [&](const Covered& c) {
                                      return c.mesh.cp == mesh.cp && c.mesh.sp == mesh.sp &&
                                             c.mesh.mode == mesh.mode;
                                    }))
        << mesh.cp << "x" << mesh.sp << " " << name_of(mesh.mode);
  }
}

}  // namespace
}  // namespace cogvx
