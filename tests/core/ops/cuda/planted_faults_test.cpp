#include "tests/core/ops/cuda/kernel_cases.h"

// The emulator's own proof: kernels with one defect each, and the fault that must be found.
namespace cogvx {
namespace {

using namespace test;
using cuda::Spot;
using Norm = cuda::ModulatedNorm<float, GridWatch>;
using Gate = cuda::GatedAdd<float, GridWatch>;
using Qkv = cuda::PrepareQkv<float, GridWatch>;

class PlantedFaults : public testing::Test {
 protected:
  static constexpr int64_t kRows = 65;
  static constexpr int64_t kWidth = 1025;
  static constexpr int64_t kHeads = 3;
  static constexpr int64_t kHeadWidth = 64;

  PlantedFaults()
      : x_(numbers("x", {kRows, kWidth})),
        y_(numbers("y", {kRows, kWidth})),
        vector_(numbers("vector", {kWidth})),
        qkv_(numbers("qkv", {kRows, 3 * kHeads * kHeadWidth})),
        send_(numbers("send", {kRows, kHeads, 3, kHeadWidth})) {}

  Norm norm() {
    watch_input(watch_, "x", x_);
    watch_output(watch_, "y", y_);
    watch_input(watch_, "vector", vector_);
    return cuda::make<float>(cuda::ModulatedNormCall{.x_RD = cuda::place(x_),
                                                     .y_RD = y_.mutable_data_ptr(),
                                                     .rows = kRows,
                                                     .width = kWidth,
                                                     .weight_D = cuda::place<float>(vector_),
                                                     .bias_D = cuda::place<float>(vector_),
                                                     .eps = 1e-5F},
                             watch_);
  }
  Gate gate() {
    watch_output(watch_, "x", x_);
    watch_input(watch_, "y", y_);
    watch_input(watch_, "vector", vector_);
    return cuda::make<float>(cuda::GatedAddCall{.x_RD = x_.mutable_data_ptr(),
                                                .y_RD = cuda::place(y_),
                                                .rows = kRows,
                                                .width = kWidth,
                                                .text_gate_D = cuda::place(vector_),
                                                .video_gate_D = cuda::place(vector_)},
                             watch_);
  }
  Qkv qkv() {
    watch_input(watch_, "qkv", qkv_);
    watch_output(watch_, "send", send_);
    watch_input(watch_, "vector", vector_);
    const float* v = cuda::place<float>(vector_);
    return cuda::make<float>(cuda::PrepareQkvCall{.x_R3D = cuda::place(qkv_),
                                                  .y_H3RE = send_.mutable_data_ptr(),
                                                  .rows = kRows,
                                                  .heads = kHeads,
                                                  .width = kHeadWidth,
                                                  .x_row_stride = 3 * kHeads * kHeadWidth,
                                                  .x_part_stride = kHeads * kHeadWidth,
                                                  .y_head_stride = 3 * kHeadWidth,
                                                  .y_part_stride = kHeadWidth,
                                                  .y_row_stride = 3 * kHeads * kHeadWidth,
                                                  .q_weight_E = v,
                                                  .q_bias_E = v,
                                                  .k_weight_E = v,
                                                  .k_bias_E = v},
                             watch_);
  }
  template <typename Kernel>
  void expect(Fault fault, const Kernel& kernel) {
    watch_.run_kernel(kernel);
    EXPECT_GT(watch_.count(fault), 0) << "found instead: " << watch_.report();
  }

  at::Tensor x_;
  at::Tensor y_;
  at::Tensor vector_;
  at::Tensor qkv_;
  at::Tensor send_;
  GridWatch watch_;
};

TEST_F(PlantedFaults, NoneIsFoundWhereNoneIs) {
  watch_.run_kernel(norm());
  EXPECT_TRUE(watch_.clean()) << watch_.report();
}

TEST_F(PlantedFaults, NoneIsFoundInASendLayoutEither) {
  watch_.run_kernel(qkv());
  EXPECT_TRUE(watch_.clean()) << watch_.report();
}

TEST_F(PlantedFaults, NoneIsFoundInPlaceEither) {
  watch_.run_kernel(gate());
  EXPECT_TRUE(watch_.clean()) << watch_.report();
}

TEST_F(PlantedFaults, AWrongOutputStrideWritesTwiceAndNever) {
  Qkv kernel = qkv();
  kernel.y_row_stride -= 1;
  expect(Fault::kWrittenTwice, kernel);
  EXPECT_GT(watch_.count(Fault::kNeverWritten), 0);
  EXPECT_GT(watch_.count(Fault::kRace), 0);
}

TEST_F(PlantedFaults, AStrideTooLongWritesOutside) {
  Qkv kernel = qkv();
  kernel.y_row_stride += 1;
  expect(Fault::kWriteOutside, kernel);
}

TEST_F(PlantedFaults, AWrongInputStrideReadsOutside) {
  Qkv kernel = qkv();
  kernel.x_row_stride += 1;
  expect(Fault::kReadOutside, kernel);
}

struct MissedTail : Gate {
  cuda::Launch launch() const { return {rows, width / kSpan, kThreads, 0}; }
};
TEST_F(PlantedFaults, AMissedTailIsNeverWritten) {
  expect(Fault::kNeverWritten, MissedTail{gate()});
  EXPECT_EQ(watch_.count(Fault::kNeverWritten), kRows) << "the last element of each row";
}

struct RowTooMany : Norm {
  template <int P, typename Shared>
  void phase(Spot spot, Shared shared) const {
    Norm longer = *this;
    ++longer.rows;
    longer.template phase<P>(spot, shared);
  }
};
TEST_F(PlantedFaults, ARowTooManyIsReadAndWrittenOutside) {
  expect(Fault::kReadOutside, RowTooMany{norm()});
  EXPECT_EQ(watch_.count(Fault::kWriteOutside), kWidth);
}

struct LanesOverlap : Norm {
  template <int P, typename Shared>
  void phase(Spot spot, Shared shared) const {
    Norm::phase<P>(spot, shared);
    // The last lane takes one element more, the first of the next round.
    const int64_t row = spot.x * cuda::Teams::kTeams + cuda::Teams::team(spot);
    if (P == 2 && row < rows && cuda::Teams::lane(spot) == 15) write(y, row * width + 16, 0.0F);
  }
};
TEST_F(PlantedFaults, AnElementOfTwoThreadsIsADoubleWrite) {
  expect(Fault::kWrittenTwice, LanesOverlap{norm()});
  EXPECT_EQ(watch_.count(Fault::kWrittenTwice), kRows);
  EXPECT_EQ(watch_.count(Fault::kRace), kRows);
}

struct SameThreadTwice : Gate {
  template <int P, typename Shared>
  void phase(Spot spot, Shared shared) const {
    Gate::phase<P>(spot, shared);
    Gate::phase<P>(spot, shared);
  }
};
TEST_F(PlantedFaults, AThreadThatAddsTwiceIsADoubleWrite) {
  expect(Fault::kWrittenTwice, SameThreadTwice{gate()});
  EXPECT_EQ(watch_.count(Fault::kRace), 0);
}

struct NoBarriers : Norm {
  static constexpr int kPhases = 1;
  template <int P, typename Shared>
  void phase(Spot spot, Shared shared) const {
    Norm::phase<0>(spot, shared);
    Norm::phase<1>(spot, shared);
    Norm::phase<2>(spot, shared);
  }
};
TEST_F(PlantedFaults, AMissingBarrierIsARaceAndUnsetMemory) {
  expect(Fault::kRace, NoBarriers{norm()});
  EXPECT_GT(watch_.count(Fault::kUnsetShared), 0);
}

// The mean is still read while the squares take its place.
struct SharedTwice : Norm {
  template <int P, typename Shared>
  void phase(Spot spot, Shared shared) const {
    Norm::phase<P>(spot, shared);
    if (P == 1) write(shared, spot.thread, 0.0F);
  }
};
TEST_F(PlantedFaults, SharedMemoryOverwrittenTooEarlyIsARace) {
  expect(Fault::kRace, SharedTwice{norm()});
}

template <int kStep>
struct ReadsTheNeighbour : Gate {
  template <int P, typename Shared>
  void phase(Spot spot, Shared shared) const {
    Gate::phase<P>(spot, shared);
    const int64_t row = spot.x + kStep;
    if (row >= 0 && row < rows && spot.y == 0) read(x, row * width + spot.thread);
  }
};
TEST_F(PlantedFaults, AnotherBlocksOutputReadBeforeItIsWrittenIsARace) {
  expect(Fault::kRace, ReadsTheNeighbour<1>{gate()});
}
TEST_F(PlantedFaults, AnotherBlocksOutputReadAfterItIsWrittenIsARace) {
  expect(Fault::kRace, ReadsTheNeighbour<-1>{gate()});
}

struct TooLittleShared : Norm {
  cuda::Launch launch() const {
    cuda::Launch launch = Norm::launch();
    launch.shared_bytes /= 2;
    return launch;
  }
};
TEST_F(PlantedFaults, TooLittleSharedMemoryIsWrittenOutside) {
  expect(Fault::kWriteOutside, TooLittleShared{norm()});
}

struct TooManyThreads : Gate {
  cuda::Launch launch() const { return {rows, 1, 1056, 0}; }
};
TEST_F(PlantedFaults, ALaunchBeyondTheLimitsIsIllegal) {
  expect(Fault::kIllegalLaunch, TooManyThreads{gate()});
}

TEST_F(PlantedFaults, ElementsNobodyAskedForAreSeen) {
  watch_output(watch_, "x", x_, std::vector<uint8_t>(kRows * kWidth, 0));
  watch_input(watch_, "y", y_);
  watch_input(watch_, "vector", vector_);
  watch_.run(cuda::GatedAddCall{.x_RD = x_.mutable_data_ptr(),
                                .y_RD = cuda::place(y_),
                                .rows = 1,
                                .width = kWidth,
                                .text_gate_D = cuda::place(vector_),
                                .video_gate_D = cuda::place(vector_)});
  EXPECT_EQ(watch_.count(Fault::kWrittenUnasked), kWidth);
}

}  // namespace
}  // namespace cogvx
