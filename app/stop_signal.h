#pragma once

#include <atomic>
#include <initializer_list>

namespace cogvx::app {

// The signal that asked this program to stop; 0: none so far.
const std::atomic<int>& stop_signal();

// Heeds these signals: the first asks for a stop at the next safe point, the second ends the
// process at once. Writing to a closed pipe or past a limit fails with a code from here on, and the
// error says where.
void watch_signals(std::initializer_list<int> signals);

}  // namespace cogvx::app
