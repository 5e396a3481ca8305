#pragma once

#include <stddef.h>
#include <stdint.h>

// What the program and lib/libcogvx_nccl.so say to each other. Both come from one build: the store
// and the backend are C++ objects of the one libtorch in the process.
extern "C" {

// Raise with every change of what follows.
enum { kCogvxNcclAbi = 1 };

struct CogvxNcclRequest {
  int32_t abi;  // kCogvxNcclAbi
  int32_t rank;
  int32_t size;
  int32_t device;    // index among the visible ones
  const char* name;  // of the group
  void* store;       // c10d::Store*, still the caller's
};

// A c10d::Backend* with one reference, which is the caller's now; null: `error` says why, in at
// most `error_size` bytes. Connects the ranks, so all of them must call.
typedef void* (*CogvxMakeNcclGroup)(const struct CogvxNcclRequest* request, char* error,
                                    size_t error_size);
#define COGVX_MAKE_NCCL_GROUP_NAME "cogvx_make_nccl_group"
}
