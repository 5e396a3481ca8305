#include <ATen/Parallel.h>

#include <functional>

#include "tests/core/ops/ops_test_support.h"

// The promise of the ops: their bytes do not depend on how many threads run their units.
namespace cogvx {
namespace {

using namespace test;

struct Call {
  const char* name;
  std::function<at::Tensor(Ops&, at::ScalarType)> run;
};

NormWeights norm(int64_t width) {
  return {values("norm.weight", {width}), values("norm.bias", {width}), 1e-5};
}

RowVectors vectors(const std::string& name, int64_t width, at::ScalarType dtype) {
  return {values(name + ".text", {width}, dtype), values(name + ".video", {width}, dtype)};
}

at::Tensor run_linear(Ops& ops, at::ScalarType dtype, Activation activation) {
  const LinearWeights weights = ops.pack_linear(values("linear.weight", {330, 2050}, dtype),
                                                values("linear.bias", {330}, dtype));
  return ops.linear(values("linear.x", {300, 2050}, dtype), weights,
                    {.first_row = 192, .activation = activation});
}

at::Tensor run_add_linear(Ops& ops, at::ScalarType dtype) {
  const LinearWeights weights = ops.pack_linear(values("linear.weight", {200, 330}, dtype),
                                                values("linear.bias", {200}, dtype));
  at::Tensor x = values("x", {300, 200}, dtype);
  ops.add_linear(x, values("linear.x", {300, 330}, dtype), weights,
                 {.linear = {.first_row = 192},
                  .gate = vectors("gate", 200, dtype),
                  .split = {.first_row = 192, .text_rows = 226}});
  return x;
}

at::Tensor run_attention(Ops& ops, at::ScalarType dtype) {
  const at::Tensor qkv = values("attention.qkv", {3, 3, 515, 64}, dtype);
  at::Tensor out = at::empty({3, 515, 64}, qkv.options());
  ops.attention(qkv, std::vector<AttentionRun>{{0, 0, 9}, {1, 0, 9}, {2, 0, 9}}, out);
  return out;
}

at::Tensor run_prepare_qkv(Ops& ops, at::ScalarType dtype) {
  const at::Tensor angles = values("angles", {100, 64});
  at::Tensor out = at::empty({3, 3, 300, 64}, at::TensorOptions().dtype(dtype));
  ops.prepare_qkv(values("qkv", {300, 576}, dtype),
                  {norm(64), norm(64), angles.cos(), angles.sin()},
                  {.first_row = 0, .text_rows = 226}, out);
  return out;
}

at::Tensor run_norm_silu(Ops& ops, at::ScalarType dtype) {
  const at::Tensor x = values("norm_silu.x", {24, 9, 24, 40}, dtype);
  const NormWeights weights = norm(24);
  at::Tensor y = at::empty_like(x);
  ops.norm_silu(x,
                {.norm = weights,
                 .groups = 8,
                 .scale_Ctyx = values("norm_silu.scale", {24, 3, 3, 5}, dtype),
                 .shift_Ctyx = values("norm_silu.shift", {24, 3, 3, 5}, dtype)},
                y);
  return y;
}

at::Tensor run_convolution(Ops& ops, at::ScalarType dtype, const std::vector<int64_t>& shape,
                           int64_t stride, ConvCall call) {
  call.x_CTYX = values("x", {shape[1], 5, 19, 23}, dtype);
  const ConvWeights weights = ops.pack_convolution(values("weight", shape, dtype),
                                                   values("bias", {shape[0]}, dtype), stride);
  return ops.convolution(call, weights);
}

std::vector<Call> all_calls() {
  return {
      {"linear", [](Ops& o, at::ScalarType t) { return run_linear(o, t, Activation::kNone); }},
      {"linear silu", [](Ops& o, at::ScalarType t) { return run_linear(o, t, Activation::kSilu); }},
      {"linear gelu",
       [](Ops& o, at::ScalarType t) { return run_linear(o, t, Activation::kGeluTanh); }},
      {"modulated_norm",
       [](Ops& o, at::ScalarType t) {
         return o.modulated_norm(values("x", {300, 200}, t), norm(200), vectors("shift", 200, t),
                                 vectors("scale", 200, t), {.first_row = 0, .text_rows = 226});
       }},
      {"gated_add",
       [](Ops& o, at::ScalarType t) {
         at::Tensor x = values("x", {300, 200}, t);
         o.gated_add(x, values("y", {300, 200}, t), vectors("gate", 200, t),
                     {.first_row = 0, .text_rows = 226});
         return x;
       }},
      {"add_linear", run_add_linear},
      {"prepare_qkv", run_prepare_qkv},
      {"attention", run_attention},
      {"rms_norm",
       [](Ops& o, at::ScalarType t) {
         return o.rms_norm(values("x", {226, 200}, t), values("weight", {200}, t), 1e-6);
       }},
      {"biased_attention",
       [](Ops& o, at::ScalarType t) {
         return o.biased_attention(values("q", {226, 320}, t), values("k", {226, 320}, t),
                                   values("v", {226, 320}, t), values("b", {5, 226, 226}, t));
       }},
      {"gated_gelu",
       [](Ops& o, at::ScalarType t) {
         return o.gated_gelu(values("gate", {226, 203}, t), values("up", {226, 203}, t));
       }},
      {"convolution",
       [](Ops& o, at::ScalarType t) {
         return run_convolution(o, t, {130, 24, 3, 3, 3}, /*stride=*/1, {});
       }},
      {"convolution behind other frames",
       [](Ops& o, at::ScalarType t) {
         return run_convolution(o, t, {130, 24, 3, 3, 3}, /*stride=*/1,
                                {.x_CTYX = {},
                                 .history_CTYX = values("history", {24, 2, 19, 23}, t),
                                 .sum_CTYX = values("sum", {130, 5, 19, 23}, t)});
       }},
      {"convolution with a stride",
       [](Ops& o, at::ScalarType t) {
         return run_convolution(o, t, {130, 130, 1, 3, 3}, /*stride=*/2, {});
       }},
      {"convolution of what is enlarged",
       [](Ops& o, at::ScalarType t) {
         return run_convolution(o, t, {40, 24, 1, 3, 3}, /*stride=*/1,
                                {.x_CTYX = {}, .enlarge = Enlarge::kSpaceAndTime});
       }},
      {"1x1 convolution",
       [](Ops& o, at::ScalarType t) {
         return run_convolution(o, t, {40, 16, 1, 1, 1}, /*stride=*/1, {});
       }},
      {"norm_silu", run_norm_silu},
  };
}

at::Tensor with_threads(int threads, const Call& call, const PathAndDtype& setting) {
  const auto& [path, dtype] = setting;
  ThreadPool pool(threads);
  CpuOps ops(pool, path);
  return call.run(ops, dtype);
}

class Invariance : public testing::TestWithParam<PathAndDtype> {};

TEST_P(Invariance, BytesOfEveryOpAreTheSameForAnyThreadCount) {
  for (const Call& call : all_calls()) {
    const at::Tensor wanted = with_threads(1, call, GetParam());
    ASSERT_TRUE(at::isfinite(wanted).all().item<bool>()) << call.name;
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(same_bytes(with_threads(threads, call, GetParam()), wanted))
          << call.name << " with " << threads << " threads";
  }
}

// The control: the same comparison catches libtorch's own threads. Which ops differ depends on the
// machine; that some do is why the program has threads of its own.
TEST(InvarianceControl, StockOpsWithAtensOwnThreadsAreCaught) {
  const at::Tensor x = values("control.x", {1, 33, 3, 41, 67});
  const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast3d);
  const at::Tensor weight = values("control.weight", {40, 33, 1, 1, 1});
  const at::Tensor flat = values("control.flat", {40003});
  const std::vector<std::pair<const char*, std::function<at::Tensor()>>> stock{
      {"gelu", [&] { return at::gelu(flat, "tanh"); }},
      {"silu", [&] { return at::silu(flat); }},
      {"group_norm of channels-last", [&] { return at::group_norm(last, 3); }},
      {"1x1 convolution", [&] { return at::conv3d(x, weight); }},
  };
  int caught = 0;
  for (const auto& [name, run] : stock) {
    at::set_num_threads(1);
    const at::Tensor one = run();
    bool differs = false;
    for (const int threads : {2, 3}) {
      at::set_num_threads(threads);
      differs = differs || !same_bytes(run(), one);
    }
    std::printf("control: stock %s with ATen's threads: %s\n", name, differs ? "differs" : "equal");
    caught += differs ? 1 : 0;
  }
  at::set_num_threads(1);
  EXPECT_GT(caught, 0);
}

// Another: a convolution whose sums are shared out among the threads, each with some of the input's
// channels.
at::Tensor convolution_of_shared_sums(int threads, const PathAndDtype& setting) {
  const auto& [path, dtype] = setting;
  ThreadPool pool(threads);
  CpuOps ops(pool, path);
  const at::Tensor x = values("x", {24, 3, 9, 11}, dtype);
  const at::Tensor weight = values("weight", {40, 24, 3, 3, 3}, dtype);
  const int64_t channels = 24 / pool.size();
  at::Tensor sum = values("sum", {40, 3, 9, 11}, dtype);
  for (int64_t first = 0; first < 24; first += channels) {
    const ConvWeights some = ops.pack_convolution(weight.narrow(1, first, channels),
                                                  at::zeros({40}, weight.options()), /*stride=*/1);
    sum = ops.convolution({.x_CTYX = x.narrow(0, first, channels), .sum_CTYX = sum}, some);
  }
  return sum;
}

TEST_P(Invariance, AConvolutionThatSharesItsSumsAmongThreadsIsCaught) {
  const at::Tensor one = convolution_of_shared_sums(1, GetParam());
  EXPECT_TRUE(same_bytes(convolution_of_shared_sums(1, GetParam()), one));
  for (const int threads : {2, 3})
    EXPECT_FALSE(same_bytes(convolution_of_shared_sums(threads, GetParam()), one));
}

INSTANTIATE_TEST_SUITE_P(Ops, Invariance, all_paths(), path_and_dtype_label);

}  // namespace
}  // namespace cogvx
