#include "io/png.h"

#include "io/atomic_file.h"
#include "io/frames_folder.h"
#include "io/image_reader.h"
#include "io/png_encoder.h"

namespace cogvx::io {

namespace fs = std::filesystem;

void write_png(const fs::path& path, ImageView image) {
  PngEncoder encoder(image.size);
  const AVPacket& packet = encoder.encode(image, path);
  AtomicFile file(path);
  file.write(packet.data, static_cast<size_t>(packet.size));
  file.commit();
}

void write_png_frames(const fs::path& folder, const FramesView& frames,
                      const FrameProgress& progress) {
  FramesFolder output(folder);
  output.write(frames, progress);
  output.commit();
}

Image read_png(const fs::path& path) { return decode_image(path).image; }

}  // namespace cogvx::io
