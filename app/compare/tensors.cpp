#include "app/compare/tensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/saved_run_files.h"
#include "core/base/errors.h"
#include "core/base/sha256.h"
#include "core/base/shapes.h"
#include "core/weights/mapped_file.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

// By its header, so that a damaged file is refused as what it is.
bool is_state(const std::string& path) {
  constexpr size_t kHead = 1 << 16;
  const MappedFile file(path);
  const std::string_view head(reinterpret_cast<const char*>(file.bytes().data()),
                              std::min(file.bytes().size(), kHead));
  return head.find("\"cogvx_state\"") != std::string_view::npos;
}

bool equal_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(),
                     a.nbytes()) == 0;
}

std::string contents_text(const Tensors& tensors) {
  const std::string step =
      tensors.kind == Kind::kState
          ? "a state after step " + std::to_string(tensors.next_step) + " with latents "
          : "latents ";
  return step + dtype_name(tensors.latents_LCYX.scalar_type()) + " " +
         shape_text(tensors.latents_LCYX.sizes());
}

std::string hash_of(const at::Tensor& tensor) {
  return sha256_hex(tensor.const_data_ptr(), tensor.nbytes());
}

}  // namespace

Tensors read_tensors(const std::string& path) {
  if (is_state(path)) {
    const SavedState saved = read_state(path);
    const DenoiseState& state = saved.state;
    return {.path = path,
            .kind = Kind::kState,
            .next_step = state.next_step,
            .provenance = {.request = saved.request, .engine = json::parse(saved.engine)},
            .latents_LCYX = state.latents_LCYX.contiguous(),
            .others = {{"previous_x0", state.memory.previous_x0},
                       {"generator", state.generator.get_state()}}};
  }
  const SavedLatents saved = read_latents(path);
  return {.path = path,
          .kind = Kind::kLatents,
          .provenance = {.request = saved.request, .engine = json::parse(saved.engine)},
          .latents_LCYX = saved.latents_LCYX.contiguous()};
}

Comparison compare_tensors(const Tensors& reference, const Tensors& test) {
  if (contents_text(reference) != contents_text(test)) {
    throw DataError(test.path + ": holds " + contents_text(test) + ", " + reference.path +
                    " holds " + contents_text(reference) + "; they cannot be compared");
  }
  const at::Tensor &a = reference.latents_LCYX, &b = test.latents_LCYX;
  Comparison result{
      .kind = reference.kind, .sha256_reference = hash_of(a), .sha256_test = hash_of(b)};
  const auto piece = static_cast<size_t>(a.nbytes() / a.size(0));
  const size_t first =
      compare_pieces(a.const_data_ptr(), b.const_data_ptr(), a.nbytes(), piece, result);
  if (!result.same) result.first_difference = "latent frame " + std::to_string(first / piece);
  for (size_t i = 0; i < reference.others.size(); ++i) {
    if (equal_bytes(reference.others[i].second, test.others[i].second)) continue;
    result.same = false;
    result.first_difference += (result.first_difference.empty() ? "" : "; ") +
                               std::string(reference.others[i].first) + " differs";
  }
  result.tensors = tensor_distance(a, b);
  result.notes = provenance_notes(reference.provenance, test.provenance);
  if (!result.same) note_promise(reference.provenance, test.provenance, result.notes);
  return result;
}

}  // namespace cogvx::app
