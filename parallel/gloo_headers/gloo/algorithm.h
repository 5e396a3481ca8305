#pragma once
// PyTorch's wheel has Gloo inside libtorch_cpu but not its headers. c10d's header names them; these
// five declare just what it needs to compile. Nothing here is ever instantiated by us.
