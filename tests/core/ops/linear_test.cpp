#include "tests/core/ops/ops_test_support.h"

namespace cogvx {
namespace {

using namespace test;

class Linear : public OpsTest {};

struct Layer {
  at::Tensor weight;
  at::Tensor bias;
};

// Inputs past 1024 are summed in pieces; 100 outputs are no multiple of the 64 of a tile.
constexpr std::array<std::pair<int64_t, int64_t>, 4> kSizes{
    {{64, 64}, {192, 100}, {30, 7}, {2050, 130}}};

Layer make_layer(int64_t in, int64_t out, at::ScalarType dtype) {
  const std::string name = std::to_string(in) + "x" + std::to_string(out);
  return {values("linear.weight." + name, {out, in}, dtype),
          values("linear.bias." + name, {out}, dtype)};
}

at::Tensor exact_linear(const at::Tensor& x, const Layer& layer, Activation activation) {
  const at::Tensor y =
      at::linear(x.to(at::kDouble), layer.weight.to(at::kDouble), layer.bias.to(at::kDouble));
  switch (activation) {
    case Activation::kNone:
      return y;
    case Activation::kSilu:
      return at::silu(y);
    case Activation::kGeluTanh:
      return at::gelu(y, "tanh");
  }
  return {};
}

TEST_P(Linear, AgreesWithAtenInDouble) {
  for (const auto& [in, out] : kSizes) {
    const Layer layer = make_layer(in, out, dtype());
    const LinearWeights packed = ops_.pack_linear(layer.weight, layer.bias);
    for (const int64_t rows : {1, 2, 3, 63, 64, 65, 130}) {
      const at::Tensor x = own("linear.x", {rows, in});
      for (const Activation activation :
           {Activation::kNone, Activation::kSilu, Activation::kGeluTanh}) {
        const at::Tensor y = ops_.linear(x, packed, {.activation = activation});
        EXPECT_EQ(y.scalar_type(), dtype());
        EXPECT_TRUE(close(y, exact_linear(x, layer, activation), 2 * rounding_limit(dtype())))
            << rows << " rows " << in << " to " << out;
      }
    }
  }
}

TEST_P(Linear, AddedToRowsIsTheGatedSumInDouble) {
  const Layer layer = make_layer(192, 100, dtype());
  const LinearWeights packed = ops_.pack_linear(layer.weight, layer.bias);
  const RowVectors gate{own("gate.text", {100}), own("gate.video", {100})};
  for (const int64_t first_row : {0, 192, 256}) {
    const RowSplit split{.first_row = first_row, .text_rows = 226};
    const at::Tensor y = own("linear.x", {130, 192}), before = own("x", {130, 100});
    const int64_t text = std::clamp<int64_t>(226 - first_row, 0, 130);
    const at::Tensor gates =
        at::cat({gate.text.expand({text, 100}), gate.video.expand({130 - text, 100})});
    const at::Tensor wanted =
        before.to(at::kDouble) + gates.to(at::kDouble) * exact_linear(y, layer, Activation::kNone);
    at::Tensor x = before.clone();
    ops_.add_linear(x, y, packed, {{.first_row = first_row}, gate, split});
    EXPECT_TRUE(close(x, wanted, 2 * rounding_limit(dtype()))) << "from row " << first_row;
    // The same in two calls, cut at a block.
    at::Tensor in_pieces = before.clone();
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 64}, {64, 130}}) {
      at::Tensor part = in_pieces.narrow(0, begin, end - begin);
      ops_.add_linear(part, y.narrow(0, begin, end - begin), packed,
                      {{.first_row = first_row + begin}, gate, {first_row + begin, 226}});
    }
    EXPECT_TRUE(same_bytes(in_pieces, x)) << "from row " << first_row;
  }
}

TEST_P(Linear, WithoutBiasEqualsAZeroBias) {
  const Layer layer = make_layer(192, 100, dtype());
  const at::Tensor x = own("linear.x", {65, 192});
  EXPECT_TRUE(
      same_bytes(ops_.linear(x, ops_.pack_linear(layer.weight, {}), {}),
                 ops_.linear(x, ops_.pack_linear(layer.weight, at::zeros_like(layer.bias)), {})));
}

TEST_P(Linear, RowsInPiecesCutAtBlocksEqualTheWhole) {
  const int64_t rows = 5 * 64 + 3;
  for (const auto& [in, out] : kSizes) {
    const Layer layer = make_layer(in, out, dtype());
    const LinearWeights packed = ops_.pack_linear(layer.weight, layer.bias);
    const at::Tensor x = own("linear.x", {rows, in});
    const at::Tensor whole = ops_.linear(x, packed, {.activation = Activation::kGeluTanh});
    for (const std::vector<int64_t>& cuts : std::vector<std::vector<int64_t>>{
             {0, 64, 128, 192, 256, 320, rows}, {0, 192, rows}, {0, 64, 320, rows}}) {
      std::vector<at::Tensor> pieces;
      for (size_t i = 0; i + 1 < cuts.size(); ++i) {
        pieces.push_back(ops_.linear(x.narrow(0, cuts[i], cuts[i + 1] - cuts[i]), packed,
                                     {.first_row = cuts[i], .activation = Activation::kGeluTanh}));
      }
      EXPECT_TRUE(same_bytes(at::cat(pieces), whole)) << in << " to " << out;
    }
  }
}

// A call may begin inside a block, as video rows do behind 226 text rows: its blocks are still cut
// at global multiples of 64.
TEST_P(Linear, ACallThatBeginsInsideABlockCutsAtGlobalBlocks) {
  const int64_t first = 226;
  const int64_t rows = 150;
  const Layer layer = make_layer(192, 100, dtype());
  const LinearWeights packed = ops_.pack_linear(layer.weight, layer.bias);
  const at::Tensor x = own("linear.x", {rows, 192});
  const at::Tensor whole = ops_.linear(x, packed, {.first_row = first});
  std::vector<at::Tensor> pieces;
  for (int64_t at = first; at < first + rows;) {
    const int64_t end = std::min((at / 64 + 1) * 64, first + rows);
    pieces.push_back(ops_.linear(x.narrow(0, at - first, end - at), packed, {.first_row = at}));
    at = end;
  }
  EXPECT_TRUE(same_bytes(at::cat(pieces), whole));
}

TEST_P(Linear, NoRowsGiveNoRows) {
  const Layer layer = make_layer(64, 64, dtype());
  const at::Tensor y =
      ops_.linear(own("linear.x", {0, 64}), ops_.pack_linear(layer.weight, layer.bias), {});
  EXPECT_EQ(y.sizes(), at::IntArrayRef({0, 64}));
}

TEST_P(Linear, AWrongShapeOrTypeIsRefused) {
  const Layer layer = make_layer(64, 64, dtype());
  const LinearWeights packed = ops_.pack_linear(layer.weight, layer.bias);
  EXPECT_THROW(ops_.linear(own("linear.x", {2, 66}), packed, {}), std::logic_error);
  EXPECT_THROW(ops_.linear(own("linear.x", {2, 64}).to(at::kDouble), packed, {}), std::logic_error);
  EXPECT_THROW(ops_.pack_linear(own("odd", {4, 33}), {}), std::logic_error);
}

INSTANTIATE_TEST_SUITE_P(Ops, Linear, testing::Values(at::kFloat, at::kBFloat16), dtype_label);

}  // namespace
}  // namespace cogvx
