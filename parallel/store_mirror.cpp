#include <cstring>
#include <exception>
#include <string>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "parallel/heartbeat.h"

namespace cogvx {
namespace {

constexpr char kAll[] = "cogvx-life/all";

// Rank 0 gathers the signs and gives out all of them under one name, so that every rank can tell
// who is missing, and not only that somebody is.
class StoreMirror final : public LifeMirror {
 public:
  StoreMirror(std::string host, const c10d::TCPStoreOptions& options, int rank, int world)
      : host_(std::move(host)), options_(options), rank_(rank), there_(world, false) {}

  void exchange(LifeBoard& board) noexcept override {
    try {
      if (!store_) store_ = c10::make_intrusive<c10d::TCPStore>(host_, options_);
      if (rank_ == 0) {
        gather(board);
      } else {
        store_->set(name_of(rank_), bytes({board.sign(rank_)}));
        look(board);
      }
    } catch (const std::exception&) {
      // An answer that comes too late would be taken for that of the next question.
      store_.reset();
    }
  }

 private:
  static std::string name_of(int rank) { return "cogvx-life/" + std::to_string(rank); }

  static std::vector<uint8_t> bytes(const std::vector<LifeSign>& signs) {
    std::vector<uint8_t> packed(signs.size() * sizeof(LifeSign));
    std::memcpy(packed.data(), signs.data(), packed.size());
    return packed;
  }
  // Signs of `count` ranks; empty where somebody else wrote something there.
  std::vector<LifeSign> signs(const std::string& name, size_t count) {
    const std::vector<uint8_t> packed = store_->get(name);
    std::vector<LifeSign> found(packed.size() == count * sizeof(LifeSign) ? count : 0);
    std::memcpy(found.data(), packed.data(), found.size() * sizeof(LifeSign));
    return found;
  }
  // To ask for what is not there yet would be to wait for it.
  bool is_there(int slot, const std::string& name) {
    if (!there_[slot]) there_[slot] = store_->check({name});
    return there_[slot];
  }

  void gather(LifeBoard& board) {
    std::vector<LifeSign> all = {board.sign(0)};
    for (int rank = 1; rank < board.world(); ++rank) {
      if (is_there(rank, name_of(rank))) {
        for (const LifeSign& sign : signs(name_of(rank), 1)) board.put(rank, sign);
      }
      all.push_back(board.sign(rank));
    }
    store_->set(kAll, bytes(all));
  }

  void look(LifeBoard& board) {
    if (!is_there(0, kAll)) return;
    const std::vector<LifeSign> all = signs(kAll, board.world());
    for (int rank = 0; rank < static_cast<int>(all.size()); ++rank) {
      if (rank != rank_) board.put(rank, all[rank]);
    }
  }

  std::string host_;
  c10d::TCPStoreOptions options_;
  int rank_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
  std::vector<bool> there_;  // names that were seen once
};

}  // namespace

std::unique_ptr<LifeMirror> make_store_mirror(const std::string& host, uint16_t port, int rank,
                                              int world, std::chrono::milliseconds patience) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = false;
  options.numWorkers = world;
  options.waitWorkers = false;
  options.timeout = patience;
  return std::make_unique<StoreMirror>(host, options, rank, world);
}

}  // namespace cogvx
