#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "parallel/life_board.h"

namespace cogvx {

// Carries signs of life between processes that share no memory.
class LifeMirror {
 public:
  virtual ~LifeMirror() = default;
  // This process's sign goes out, those of the others come in. Signs that cannot be had stay as
  // they are. Never throws; may take forever where the other side is stopped.
  virtual void exchange(LifeBoard& board) noexcept = 0;
};

// Signs by way of rank 0's store at `host`:`port` (see Rendezvous::at_address), over a connection
// of its own: the run's own is busy wherever a process waits in it.
std::unique_ptr<LifeMirror> make_store_mirror(const std::string& host, uint16_t port, int rank,
                                              int world, std::chrono::milliseconds patience);

// Gives this process's sign of life from a thread of its own, and may listen to the others.
class Heartbeat {
 public:
  struct Listening {
    std::chrono::milliseconds limit;           // --dist-timeout
    std::unique_ptr<LifeMirror> mirror{};      // null: the board is shared memory
    std::function<void(int rank)> on_silence;  // called once, in the heartbeat's thread
  };
  Heartbeat(std::shared_ptr<LifeBoard> board, int rank);
  Heartbeat(std::shared_ptr<LifeBoard> board, int rank, Listening listening);
  // Says that this process leaves in order.
  ~Heartbeat();

 private:
  void start();
  void run(const std::stop_token& stop, std::chrono::milliseconds pause);

  struct Exchanges;

  std::shared_ptr<LifeBoard> board_;
  int rank_;
  Listening listening_;
  std::shared_ptr<Exchanges> exchanges_;  // null without a mirror
  std::jthread thread_;
};

}  // namespace cogvx
