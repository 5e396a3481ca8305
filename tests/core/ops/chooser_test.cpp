#include "core/ops/chooser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "tests/core/ops/chooser_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A device's matrix multiplication, with the ways in which its bytes may vary.

struct Place {
  int64_t rows;  // of the call
  int64_t row;
  int64_t workspace_bytes;
};
// Whether a row is summed from the other end.
using Varies = std::function<bool(const Place&)>;

constexpr int64_t kIn = 24, kOut = 3, kWorkspace = 256;

struct Device {
  at::Tensor weight_KN = normal({kIn, kOut}, 3);
  int64_t free_bytes = 1 << 20;
  int calls = 0;

  void multiply(const RowCall& call, const Varies& varies, float neighbour = 0) {
    ++calls;
    const int64_t rows = call.x_RK.size(0);
    const float* w = weight_KN.const_data_ptr<float>();
    const float* x = call.x_RK.const_data_ptr<float>();
    float* y = call.y_RN.mutable_data_ptr<float>();
    for (int64_t r = 0; r < rows; ++r) {
      const bool backwards = varies({rows, r, call.workspace_B.numel()});
      for (int64_t n = 0; n < kOut; ++n) {
        float sum = 0;
        for (int64_t i = 0; i < kIn; ++i) {
          const int64_t k = backwards ? kIn - 1 - i : i;
          sum += x[r * kIn + k] * w[k * kOut + n];
        }
        y[r * kOut + n] = sum + neighbour * x[(r + 1) % rows * kIn];
      }
    }
  }
};

RowKernel kernel_of(Device& device, const std::string& id, const Varies& varies) {
  return {.id = id, .workspace_bytes = kWorkspace, .run = [&device, varies](const RowCall& call) {
            device.multiply(call, varies);
          }};
}

// 226 text rows and 1,000 of video: 20 blocks, the last one of 10 rows.
constexpr int64_t kRows = 1226, kTextRows = 226;

RowLayer layer_of(RowRange range) {
  return {.name = "qkv", .rows = kRows, .range = range, .in = kIn, .out = kOut};
}
const std::vector<RowRange> kRanges = {{0, kRows}, {0, kTextRows}, {kTextRows, kRows}};

// At full size every second call.
Varies drifts_at_full_size() {
  return [calls = std::make_shared<int>(0)](const Place& p) {
    if (p.row == 0) ++*calls;
    return p.rows == kRows && *calls % 2 == 0;
  };
}

// Rows of each of `ranks` ranks, written out again.
std::vector<RowRange> shards(int64_t ranks) {
  const int64_t blocks = ceil_div(kRows, kBlockRows);
  std::vector<RowRange> dealt;
  for (int64_t block = 0, rank = 0; rank < ranks; ++rank) {
    const int64_t end = block + blocks / ranks + (rank < blocks % ranks);
    dealt.push_back({block * kBlockRows, std::min(kRows, end * kBlockRows)});
    block = end;
  }
  return dealt;
}

// The layer's bytes, computed by so many ranks.
at::Tensor computed_by(const ChosenRows& chosen, int64_t ranks, const at::Tensor& x_RK,
                       RowRange range) {
  const at::Tensor y = at::full({range.size(), kOut}, -1.0f);
  for (const RowRange& owned : shards(ranks)) {
    const RowRange own = intersect(owned, range);
    const int64_t begin = own.begin - range.begin;
    if (own.size() == 0) continue;
    chosen.run(x_RK.narrow(0, begin, own.size()), own.begin, y.narrow(0, begin, own.size()));
  }
  return y;
}

struct RowCase {
  const char* name;
  Varies varies;
  bool in_chunks;
};
void PrintTo(const RowCase& row_case, std::ostream* out) { *out << row_case.name; }

class RowsOfADevice : public testing::TestWithParam<RowCase> {};

TEST_P(RowsOfADevice, HaveTheSameBytesOnEveryNumberOfRanks) {
  for (const RowRange& range : kRanges) {
    SCOPED_TRACE(range.begin);
    Device device;
    const ChosenRows chosen = choose_rows(
        layer_of(range), [&](int64_t) { return kernel_of(device, "one", GetParam().varies); },
        tools());
    if (range.size() == kRows) {
      EXPECT_EQ(chosen.verdict().way, GetParam().in_chunks ? "chunks of 512 rows" : "whole shards");
      EXPECT_EQ(chosen.verdict().reason.empty(), !GetParam().in_chunks);
    }
    const at::Tensor x = normal({range.size(), kIn}, 7);
    const at::Tensor wanted = computed_by(chosen, 1, x, range);
    for (int64_t ranks = 2; ranks <= 24; ++ranks)
      EXPECT_TRUE(equal_bytes(computed_by(chosen, ranks, x, range), wanted)) << ranks << " ranks";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, RowsOfADevice,
    testing::Values(
        RowCase{"Constant", [](const Place&) { return false; }, false},
        RowCase{"DriftsAtFullSize", drifts_at_full_size(), true},
        RowCase{"VariesWithFewRows", [](const Place& p) { return p.rows < 100; }, true},
        RowCase{"VariesAtOneCount", [](const Place& p) { return p.rows == 192; }, true},
        RowCase{"VariesAtTheCountOfAShortTail", [](const Place& p) { return p.rows == 64 + 10; },
                true},
        RowCase{"VariesWithTheRow", [](const Place& p) { return p.row / 128 % 2 == 1; }, true},
        RowCase{"VariesInTheLastTile", [](const Place& p) { return p.row >= p.rows / 128 * 128; },
                true},
        RowCase{"VariesAtTheLastRow", [](const Place& p) { return p.row == p.rows - 1; }, true},
        RowCase{"VariesWithRowAndCount",
                [](const Place& p) { return (p.row * 7 + p.rows) % 3 == 0; }, true}),
    [](const auto& tested) { return std::string(tested.param.name); });

std::string refusal_of(const RowLayer& layer, const PickRowKernel& pick) {
  try {
    choose_rows(layer, pick, tools());
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

TEST(ChooseRows, AKernelWithoutAMemoryOfItsOwnIsRefused) {
  Device device;
  const std::string text = refusal_of(layer_of({0, kRows}), [&](int64_t) -> RowKernel {
    return {.id = "drifts", .run = [&](const RowCall& call) {
              const bool odd = device.calls % 2 == 1;
              device.multiply(call, [odd](const Place&) { return odd; });
            }};
  });
  EXPECT_THAT(text, AllOf(HasSubstr("qkv (24 to 3, Float, rows 0 to 1226 of 1226): kernel 'drifts' "
                                    "gives other bytes the second time, wanted"),
                          HasSubstr("--device cpu"), Not(HasSubstr("\n"))));
}

// Every row takes a little of the next one.
PickRowKernel mixing(Device& device) {
  return [&device](int64_t) -> RowKernel {
    return {.id = "mixes", .run = [&device](const RowCall& call) {
              device.multiply(
                  call, [](const Place&) { return false; }, 1e-3f);
            }};
  };
}

TEST(ChooseRows, AKernelThatMixesRowsIsRefused) {
  Device device;
  EXPECT_THAT(refusal_of(layer_of({0, kRows}), mixing(device)),
              HasSubstr("other bytes where the others are zeros"));
}

TEST(ChooseRows, IsPickedForAllRowsAndForChunksOnlyWhereThatDoesNotPass) {
  Device device;
  std::vector<int64_t> asked;
  Varies varies = [](const Place&) { return false; };
  const PickRowKernel pick = [&](int64_t rows) {
    asked.push_back(rows);
    return kernel_of(device, "for " + std::to_string(rows), varies);
  };
  EXPECT_EQ(choose_rows(layer_of({kTextRows, kRows}), pick, tools()).verdict().kernel, "for 1000");
  EXPECT_THAT(asked, testing::ElementsAre(1000));
  asked.clear();
  varies = [](const Place& p) { return p.rows < 512; };
  EXPECT_EQ(choose_rows(layer_of({kTextRows, kRows}), pick, tools()).verdict().kernel, "for 512");
  EXPECT_THAT(asked, testing::ElementsAre(1000, 512));
}

TEST(ChooseRows, AWorkspaceThatIsNotToBeHadIsOutOfMemoryAndNoOtherKernel) {
  Device device;
  device.free_bytes = kWorkspace - 1;
  std::vector<int64_t> asked;
  ProbeTools tight{.reserve = [&](int64_t bytes) {
    return bytes <= device.free_bytes ? tools().reserve(bytes) : at::Tensor();
  }};
  const PickRowKernel pick = [&](int64_t rows) {
    asked.push_back(rows);
    return kernel_of(device, "one", [](const Place&) { return false; });
  };
  EXPECT_THROW(choose_rows(layer_of({0, kRows}), pick, tight), MemoryError);
  EXPECT_THAT(asked, testing::ElementsAre(kRows));
  EXPECT_EQ(device.calls, 0);
}

TEST(ChooseRows, ALessOfMemoryGivenThanWantedIsOutOfMemoryToo) {
  Device device;
  ProbeTools mean{.reserve = [&](int64_t bytes) { return tools().reserve(bytes / 2); }};
  EXPECT_THROW(
      choose_rows(
          layer_of({0, kRows}),
          [&](int64_t) { return kernel_of(device, "one", [](const Place&) { return false; }); },
          mean),
      MemoryError);
  EXPECT_EQ(device.calls, 0);
}

TEST(ChooseRows, AKernelThatGoesByItsWorkspaceGetsTheSameOneWhenMemoryIsGone) {
  for (const bool chunks : {false, true}) {
    Device device;
    const Varies varies = [chunks](const Place& p) {
      return p.workspace_bytes < kWorkspace || (chunks && p.rows < 512);
    };
    const ProbeTools tight{.reserve = [&](int64_t bytes) {
      return bytes <= device.free_bytes ? tools().reserve(bytes) : at::Tensor();
    }};
    const ChosenRows chosen = choose_rows(
        layer_of({0, kRows}), [&](int64_t) { return kernel_of(device, "one", varies); }, tight);
    const at::Tensor x = normal({kRows, kIn}, 7);
    const at::Tensor wanted = computed_by(chosen, 1, x, {0, kRows});
    device.free_bytes = 0;
    EXPECT_TRUE(equal_bytes(computed_by(chosen, 3, x, {0, kRows}), wanted));
  }
}

TEST(ChooseRows, TheVerdictGoesIntoTheEnginesRecordAndIsComparedBetweenRanks) {
  const auto value_of = [](const std::string& id, const Varies& varies) {
    Device device;
    std::vector<uint64_t> values;
    ProbeTools agreeing = tools();
    agreeing.agree = [&](const std::string& what, uint64_t value) {
      EXPECT_THAT(what, HasSubstr("the kernel of qkv"));
      values.push_back(value);
    };
    choose_rows(
        layer_of({0, kRows}), [&](int64_t) { return kernel_of(device, id, varies); }, agreeing);
    EXPECT_EQ(values.size(), 1u);
    return values.at(0);
  };
  const Varies never = [](const Place&) { return false; };
  EXPECT_EQ(value_of("one", never), value_of("one", never));
  EXPECT_NE(value_of("one", never), value_of("two", never));
  EXPECT_NE(value_of("one", never), value_of("one", [](const Place& p) { return p.rows < 99; }));
  const Verdict verdict{"a", "b", "c", "d", 5, 6};
  EXPECT_EQ(verdict_to_json(verdict).dump(),
            R"({"kernel":"b","layer":"a","probes":6,"reason":"d","way":"c","workspace_bytes":5})");
}

TEST(ChooseRows, ARefusalIsComparedBetweenRanksBeforeItIsThrown) {
  Device device;
  int compared = 0;
  ProbeTools agreeing = tools();
  agreeing.agree = [&](const std::string&, uint64_t) { ++compared; };
  EXPECT_THROW(choose_rows(layer_of({0, kRows}), mixing(device), agreeing), DeviceError);
  EXPECT_EQ(compared, 1);
}

// A sequence of 480x720x49: what the check costs at start-up.
TEST(ChooseRows, TheProbesOfAWholeModelAreFew) {
  constexpr int64_t kSequence = 17776;
  int64_t rows = kSequence;  // the second time
  const std::vector<RowRange> calls = distinct_calls(kSequence, {0, kSequence});
  for (const RowRange& call : calls) rows += call.size();
  RecordProperty("calls", static_cast<int>(calls.size()) + 1);
  RecordProperty("full_calls", std::to_string(static_cast<double>(rows) / kSequence));
  EXPECT_LT(calls.size(), 100u);
  EXPECT_LT(rows, 15 * kSequence);
}

}  // namespace
}  // namespace cogvx
