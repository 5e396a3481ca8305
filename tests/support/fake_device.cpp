#include "tests/support/fake_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

namespace cogvx::test {
namespace {

constexpr auto kFake = c10::DeviceType::PrivateUse1;

struct Counters {
  std::atomic<int64_t> to_device{0};
  std::atomic<int64_t> to_host{0};
  std::atomic<int64_t> bytes{0};
  std::atomic<int64_t> peak{0};
};
Counters& counters() {
  static Counters all;
  return all;
}

struct Block {
  void* memory;
  int64_t bytes;
};

class FakeAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t n) override {
    auto* block = new Block{c10::alloc_cpu(n), static_cast<int64_t>(n)};
    const int64_t now = counters().bytes += block->bytes;
    if (now > counters().peak) counters().peak = now;
    return {block->memory, block, &release, fake_device()};
  }
  void copy_data(void* to, const void* from, size_t count) const override {
    std::memcpy(to, from, count);
  }

 private:
  static void release(void* context) {
    auto* block = static_cast<Block*>(context);
    c10::free_cpu(block->memory);
    counters().bytes -= block->bytes;
    delete block;
  }
};

FakeAllocator& allocator() {
  static FakeAllocator one;
  return one;
}

bool is_fake(const at::Tensor& tensor) { return tensor.device().type() == kFake; }

// The same memory as a tensor of the host.
at::Tensor as_host(const at::Tensor& tensor) {
  return at::from_blob(
      tensor.mutable_data_ptr(), tensor.sizes(), tensor.strides(), [keep = tensor](void*) {},
      at::TensorOptions().dtype(tensor.scalar_type()));
}

// A result that lies on the host, moved without being counted as traffic.
at::Tensor as_fake(const at::Tensor& host) {
  at::Tensor fake =
      at::empty_strided(host.sizes(), host.strides(), host.options().device(fake_device()));
  as_host(fake).copy_(host);
  return fake;
}

at::Tensor checked(const at::Tensor& tensor, const char* call) {
  if (!tensor.defined()) return tensor;
  if (!is_fake(tensor))
    throw std::logic_error(std::string(call) + " got a tensor that was not uploaded");
  return as_host(tensor);
}

// Runs the CPU's kernel on the same memory.
void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const size_t first = stack->size() - count;
  std::vector<std::pair<at::Tensor, at::Tensor>> aliases;
  const auto alias = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (!is_fake(tensor)) {
      if (tensor.dim() == 0) return tensor;
      throw std::logic_error(op.schema().name() + " mixes the host's tensors with the device's");
    }
    aliases.emplace_back(tensor, as_host(tensor));
    return aliases.back().second;
  };
  for (size_t i = first; i < stack->size(); ++i) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = alias(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(alias(tensor));
      value = c10::List<at::Tensor>(list);
    }
  }
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  for (c10::IValue& value : *stack) {
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    const at::Tensor result = value.toTensor();
    const auto own = std::find_if(aliases.begin(), aliases.end(),
                                  [&](const auto& pair) { return pair.second.is_same(result); });
    value = own != aliases.end() ? own->first : as_fake(result);
  }
}

at::Tensor empty_here(at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                      std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                      std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(
      size, &allocator(), c10::DispatchKeySet(c10::DispatchKey(c10::DispatchKey::PrivateUse1)),
      dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided_here(at::IntArrayRef size, at::IntArrayRef stride,
                              std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                              std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           dtype.value_or(at::kFloat));
}

at::Tensor copy_between(const at::Tensor& from, const at::Tensor& to, bool) {
  if (!is_fake(from)) ++counters().to_device;
  if (!is_fake(to)) ++counters().to_host;
  (is_fake(to) ? as_host(to) : to).copy_(is_fake(from) ? as_host(from) : from);
  return to;
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty_here);
  m.impl("empty_strided", empty_strided_here);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("_copy_from", copy_between);
}

C10_REGISTER_GUARD_IMPL(PrivateUse1, c10::impl::NoOpDeviceGuardImpl<kFake>)

at::Device fake_device() { return {kFake, 0}; }
DeviceTraffic device_traffic() { return {counters().to_device, counters().to_host}; }
int64_t device_bytes() { return counters().bytes; }

int64_t FakeDeviceOps::take_peak_bytes() {
  return counters().peak.exchange(counters().bytes.load());
}

at::Tensor FakeDeviceOps::upload(const at::Tensor& host) {
  if (!host.is_cpu()) throw std::logic_error("upload got a tensor that is not the host's");
  ++asked_.to_device;
  return host.to(fake_device());
}

at::Tensor FakeDeviceOps::download(const at::Tensor& result) {
  if (!is_fake(result)) throw std::logic_error("download got a tensor that is not the device's");
  ++asked_.to_host;
  return result.to(at::kCPU);
}

LinearWeights FakeDeviceOps::pack_linear(const at::Tensor& weight, const at::Tensor& bias) {
  LinearWeights packed = inner_.pack_linear(weight, bias);
  packed.packed = upload(packed.packed);
  if (packed.bias.defined()) packed.bias = upload(packed.bias);
  return packed;
}

namespace {

NormWeights checked(const NormWeights& norm, const char* call) {
  return {checked(norm.weight, call), checked(norm.bias, call), norm.eps};
}
RowVectors checked(const RowVectors& vectors, const char* call) {
  return {checked(vectors.text, call), checked(vectors.video, call)};
}

}  // namespace

void FakeDeviceOps::add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                               const GatedLinearCall& call) {
  LinearWeights host = weights;
  host.packed = checked(weights.packed, "add_linear");
  host.bias = checked(weights.bias, "add_linear");
  at::Tensor sum = checked(x, "add_linear");
  inner_.add_linear(sum, checked(y, "add_linear"), host,
                    {call.linear, checked(call.gate, "add_linear"), call.split});
}

at::Tensor FakeDeviceOps::linear(const at::Tensor& x, const LinearWeights& weights,
                                 const LinearCall& call) {
  LinearWeights host = weights;
  host.packed = checked(weights.packed, "linear");
  host.bias = checked(weights.bias, "linear");
  return as_fake(inner_.linear(checked(x, "linear"), host, call));
}

at::Tensor FakeDeviceOps::modulated_norm(const at::Tensor& x, const NormWeights& norm,
                                         const RowVectors& shift, const RowVectors& scale,
                                         RowSplit split) {
  const char* call = "modulated_norm";
  return as_fake(inner_.modulated_norm(checked(x, call), checked(norm, call), checked(shift, call),
                                       checked(scale, call), split));
}

void FakeDeviceOps::gated_add(at::Tensor& x, const at::Tensor& y, const RowVectors& gate,
                              RowSplit split) {
  at::Tensor host = checked(x, "gated_add");
  inner_.gated_add(host, checked(y, "gated_add"), checked(gate, "gated_add"), split);
}

void FakeDeviceOps::prepare_qkv(const at::Tensor& qkv, const QkPreparation& p, RowSplit split,
                                at::Tensor& out) {
  const char* call = "prepare_qkv";
  at::Tensor host = checked(out, call);
  inner_.prepare_qkv(checked(qkv, call),
                     {checked(p.norm_q, call), checked(p.norm_k, call), checked(p.cos, call),
                      checked(p.sin, call)},
                     split, host);
}

void FakeDeviceOps::attention(const at::Tensor& qkv, std::span<const AttentionRun> runs,
                              at::Tensor& out) {
  at::Tensor host = checked(out, "attention");
  inner_.attention(checked(qkv, "attention"), runs, host);
}

at::Tensor FakeDeviceOps::rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return as_fake(inner_.rms_norm(checked(x, "rms_norm"), checked(weight, "rms_norm"), eps));
}

at::Tensor FakeDeviceOps::biased_attention(const at::Tensor& q, const at::Tensor& k,
                                           const at::Tensor& v, const at::Tensor& bias) {
  const char* call = "biased_attention";
  return as_fake(inner_.biased_attention(checked(q, call), checked(k, call), checked(v, call),
                                         checked(bias, call)));
}

at::Tensor FakeDeviceOps::gated_gelu(const at::Tensor& gate, const at::Tensor& up) {
  return as_fake(inner_.gated_gelu(checked(gate, "gated_gelu"), checked(up, "gated_gelu")));
}

ConvWeights FakeDeviceOps::pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                                            int64_t stride) {
  ConvWeights packed = inner_.pack_convolution(weight, bias, stride);
  packed.packed = upload(packed.packed);
  packed.bias = upload(packed.bias);
  return packed;
}

at::Tensor FakeDeviceOps::convolution(ConvCall call, const ConvWeights& weights) {
  const char* name = "convolution";
  ConvWeights host = weights;
  host.packed = checked(weights.packed, name);
  host.bias = checked(weights.bias, name);
  const at::Tensor y = inner_.convolution({.x_CTYX = checked(call.x_CTYX, name),
                                           .history_CTYX = checked(call.history_CTYX, name),
                                           .enlarge = call.enlarge,
                                           .sum_CTYX = checked(call.sum_CTYX, name)},
                                          host);
  return call.sum_CTYX.defined() ? call.sum_CTYX : as_fake(y);
}

void FakeDeviceOps::norm_silu(const at::Tensor& x, const NormSiluCall& c, at::Tensor& y) {
  const char* call = "norm_silu";
  const NormWeights norm = checked(c.norm, call);
  at::Tensor host = checked(y, call);
  inner_.norm_silu(checked(x, call),
                   {.norm = norm,
                    .groups = c.groups,
                    .scale_Ctyx = checked(c.scale_Ctyx, call),
                    .shift_Ctyx = checked(c.shift_Ctyx, call)},
                   host);
}

void FakeDeviceOps::fade(const at::Tensor& before, at::Tensor& tile, int64_t dim) {
  at::Tensor host = checked(tile, "fade");
  inner_.fade(checked(before, "fade"), host, dim);
}

at::Tensor FakeDeviceOps::to_rgb(const at::Tensor& x) {
  return as_fake(inner_.to_rgb(checked(x, "to_rgb")));
}

}  // namespace cogvx::test
