#include "app/input.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "core/base/sha256.h"
#include "io/image_reader.h"
#include "io/video_reader.h"

namespace cogvx::app {
namespace {

io::ResizeTo resize_of(const Options& options, const Request& request) {
  return {.size = {static_cast<int>(request.width), static_cast<int>(request.height)},
          .mode = options.resize_mode == "crop"  ? io::ResizeMode::kCrop
                  : options.resize_mode == "pad" ? io::ResizeMode::kPad
                                                 : io::ResizeMode::kStretch};
}

std::vector<uint8_t> read_pixels(const Options& options, const Request& request,
                                 const Monitor& monitor) {
  const io::ResizeTo target = resize_of(options, request);
  if (request.task != Task::kImageToVideo) {
    return io::read_video(options.video,
                          {.from = static_cast<int>(options.video_frames_from),
                           .count = static_cast<int>(request.num_frames),
                           .resize = target},
                          monitor)
        .frames.pixels;
  }
  const io::Image image = io::read_image(options.image, monitor);
  io::notice_stretch(image.size, target, monitor);
  return io::resize(image.view(), target).pixels;
}

TensorShape input_shape(const Request& request) {
  return {{request.input_frames(), request.height, request.width, 3}, at::kByte};
}

}  // namespace

at::Tensor read_input(const Options& options, const Request& request, const Monitor& monitor) {
  if (request.task == Task::kTextToVideo) return {};
  const std::vector<uint8_t> pixels = read_pixels(options, request, monitor);
  const TensorShape shape = input_shape(request);
  at::Tensor rgb_FHW3 = at::empty(shape.sizes, at::TensorOptions().dtype(shape.dtype));
  std::memcpy(rgb_FHW3.mutable_data_ptr(), pixels.data(), rgb_FHW3.nbytes());
  return rgb_FHW3;
}

at::Tensor share_input(const at::Tensor& rgb_FHW3, const Request& request, WorkExchange& work) {
  if (request.task == Task::kTextToVideo) return {};
  return work.made_once(input_shape(request), [&] { return rgb_FHW3; });
}

std::string input_sha256(const at::Tensor& rgb_FHW3) {
  if (!rgb_FHW3.defined()) return "";
  return sha256_hex(rgb_FHW3.const_data_ptr(), rgb_FHW3.nbytes());
}

}  // namespace cogvx::app
